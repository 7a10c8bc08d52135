"""All gateways by name, in the order in which the banner and the OpenAPI document list them."""

from __future__ import annotations

from gateways import chatwoot, evolution, generic, meta, telegram, twilio, uazapi, waha, zapi
from gateways.base import Gateway

GATEWAYS: dict[str, Gateway] = {
    gateway.name: gateway
    for gateway in (
        generic.GATEWAY,
        evolution.GATEWAY,
        meta.GATEWAY,
        twilio.GATEWAY,
        chatwoot.GATEWAY,
        waha.GATEWAY,
        zapi.GATEWAY,
        uazapi.GATEWAY,
        telegram.GATEWAY,
    )
}

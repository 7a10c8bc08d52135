"""The gateways there are, by name. A new one is one file, one line here, and one folder of fixtures."""

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

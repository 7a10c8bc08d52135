"""The gateways there are, by name. A new one is one file, one line here, and one folder of fixtures."""

from __future__ import annotations

from gateways import evolution, generic
from gateways.base import Gateway

GATEWAYS: dict[str, Gateway] = {
    gateway.name: gateway
    for gateway in (
        generic.GATEWAY,
        evolution.GATEWAY,
    )
}

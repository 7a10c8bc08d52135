"""The canonical form of a phone number. It only decides whether two ids are the same person.

Brazil's ninth digit and the mobile digits of Mexico and Argentina are sometimes missing in WhatsApp ids
(docs/gateways.md). The reply address stays the id that the gateway sent.
"""

from __future__ import annotations

import re

WHATSAPP = frozenset({"evolution", "meta", "twilio", "waha", "zapi", "uazapi"})
"""Gateways whose conversation ids are WhatsApp numbers."""

BRAZIL_WITHOUT_NINE = re.compile(r"55\d{2}[6-9]\d{7}")
MOBILE_DIGIT = ("521", "549")
"""The country codes of Mexico and Argentina with their mobile digits 1 and 9."""


def canonical_phone(gateway: str, peer: str) -> str:
    """Return the form that all spellings of a WhatsApp number share. Any other id is returned unchanged."""
    if gateway not in WHATSAPP:
        return peer
    if len(peer) == 12 and BRAZIL_WITHOUT_NINE.fullmatch(peer):
        return f"{peer[:4]}9{peer[4:]}"
    if len(peer) == 13 and peer.startswith(MOBILE_DIGIT) and peer.isdecimal():
        return peer[:2] + peer[3:]
    return peer

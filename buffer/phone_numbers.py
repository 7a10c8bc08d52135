"""One phone number, several spellings: a form that is used only to tell whether two ids are the same person.

Brazil's ninth digit, Mexico's and Argentina's mobile digit come and go in WhatsApp ids (docs/gateways.md); what the
gateway wrote stays the reply address.
"""

from __future__ import annotations

import re

WHATSAPP = frozenset({"evolution", "meta", "twilio", "waha", "zapi", "uazapi"})
"""Gateways whose conversation ids are WhatsApp numbers."""

BRAZIL_WITHOUT_NINE = re.compile(r"55\d{2}[6-9]\d{7}")
MOBILE_DIGIT = ("521", "549")
"""Mexico's 1 and Argentina's 9 behind the country's code."""


def canonical_phone(gateway: str, peer: str) -> str:
    """The form of a WhatsApp number that is equal for all its spellings; any other id as it is."""
    if gateway not in WHATSAPP:
        return peer
    if len(peer) == 12 and BRAZIL_WITHOUT_NINE.fullmatch(peer):
        return f"{peer[:4]}9{peer[4:]}"
    if len(peer) == 13 and peer.startswith(MOBILE_DIGIT) and peer.isdecimal():
        return peer[:2] + peer[3:]
    return peer

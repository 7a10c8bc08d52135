"""One phone number, several spellings: a form that is used only to tell whether two ids are the same person.

Brazil's ninth digit, Mexico's and Argentina's mobile digit come and go in WhatsApp ids (docs/gateways.md); what the
gateway wrote stays the reply address.
"""

from __future__ import annotations

import re

WHATSAPP = frozenset({"evolution", "meta", "twilio", "waha", "zapi", "uazapi"})
"""Gateways whose conversation ids are WhatsApp numbers."""

BRAZIL_WITHOUT_NINE = re.compile(r"55(\d{2})([6-9]\d{7})")
MEXICO_WITH_ONE = re.compile(r"521(\d{10})")
ARGENTINA_WITH_NINE = re.compile(r"549(\d{10})")


def canonical(gateway: str, peer: str) -> str:
    """The form of a WhatsApp number that is equal for all its spellings; any other id as it is."""
    if gateway not in WHATSAPP:
        return peer
    if match := BRAZIL_WITHOUT_NINE.fullmatch(peer):
        return f"55{match[1]}9{match[2]}"
    if match := MEXICO_WITH_ONE.fullmatch(peer):
        return f"52{match[1]}"
    if match := ARGENTINA_WITH_NINE.fullmatch(peer):
        return f"54{match[1]}"
    return peer

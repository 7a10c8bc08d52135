"""Makes the text of a gateway's error fit for logs and for Redis: one short line without secrets and numbers."""

from __future__ import annotations

import re
from collections.abc import Collection
from urllib.parse import quote

from buffer.phone_numbers import WHATSAPP
from config.logs import PHONE, mask

REASON_MAX = 300
"""Characters of a masked reason."""

READ_MAX = 4000
"""Characters of a reason that are looked at."""

SHORT_SECRET = 4
"""A secret of fewer characters is masked only where it stands as a word of its own."""

MASK = "***"

HIDDEN = "••••"
PHONE_GATEWAYS = WHATSAPP | {"generic"}
PHONE_DIGITS = range(10, 16)
"""Lengths of the numbers that are shown as phone numbers. A shorter one would show too much of itself."""

BRAZIL = "55"
ADDRESS = re.compile(r"\b([a-z][a-z0-9+.-]{1,15}://)(?:[^\s/?#@]*@)?([^\s/?#\"'<>]*)[^\s\"'<>]*", re.IGNORECASE)
NAMED_SECRET = re.compile(
    r"\b(bearer|basic|(?:[\w-]{0,20}(?:token|secret|password|authorization|api[_-]?key)|apikey|key)[\"']?\s{0,3}[:=])"
    r"\s{0,3}[\"']?(?:bearer\s{1,3}|basic\s{1,3})?[^\s\"',;&}]+",
    re.IGNORECASE,
)
LONG_NAME = re.compile(r"(?<![\w-])(?:(?=[\w-]{0,40}\d)[\w-]{20,}|[\w-]{40,})(?:\.[\w-]{8,})*")
"""A token, a UUID, a JWT or the id of a message: no word has 20 letters and a digit, or 40 letters."""

SPACED_PHONE = re.compile(r"(?<![\d.:])\+?\d{1,3}[ -]?\(?\d{2,3}\)?[ -]?\d{3,5}[ -]?\d{4}(?!\d)")
JID = re.compile(r"[\w.:-]{1,64}@(?=s\.whatsapp\.net|c\.us|lid|g\.us)")
SHAPES = (
    (ADDRESS, r"\1\2"),
    (NAMED_SECRET, rf"\1 {MASK}"),
    (JID, MASK + "@"),
    (LONG_NAME, MASK),
    (SPACED_PHONE, MASK),
)
"""What is masked wherever it stands, in this order, and what is shown instead."""


def masked_reason(text: str, secrets: Collection[str]) -> str:
    """Return a text in one line of at most REASON_MAX characters, with `***` for secrets, numbers and addresses.

    A secret is masked as it is written and as addresses write it. What looks like a token or a phone number is masked
    too, and of an address only scheme and host are left.
    """
    line = _one_line(text)
    for secret in sorted(filter(None, map(_one_line, secrets)), key=len, reverse=True):
        line = _hide(line, secret)
    line = line[:READ_MAX]
    for pattern, shown in SHAPES:
        line = pattern.sub(shown, line)
    line = mask_numbers(line)
    return line if len(line) <= REASON_MAX else line[:REASON_MAX].rstrip() + "…"


def masked_peer(gateway: str, peer: str) -> str:
    """Return `+55 11 •••• 4321` for a phone number, and any other id with its middle masked."""
    digits = peer.removeprefix("+")
    if gateway not in PHONE_GATEWAYS or not (digits.isascii() and digits.isdecimal() and len(digits) in PHONE_DIGITS):
        return mask(peer)
    area = f" {digits[2:4]}" if digits.startswith(BRAZIL) and len(digits) in (12, 13) else ""
    return f"+{digits[:2]}{area} {HIDDEN} {digits[-4:]}"


def mask_numbers(text: str) -> str:
    """Mask everything that may be a phone number."""
    return PHONE.sub(lambda found: mask(found[0]), text)


def _one_line(text: str) -> str:
    return " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())


def _hide(line: str, secret: str) -> str:
    if len(secret) < SHORT_SECRET:
        return re.sub(rf"(?<!\w){re.escape(secret)}(?!\w)", MASK, line)
    return line.replace(secret, MASK).replace(quote(secret, safe="", errors="replace"), MASK)

"""What stands around a WhatsApp message: the message it answers, the advertisement it came from, forwarding.

It is in a `contextInfo` beside the message or inside its content.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any, NamedTuple

from buffer.models import Ignored
from gateways.content import Content, known, quoted_of, referral_of, unknown_content
from gateways.fields import first_text, object_of, text_of
from gateways.jid import PHONE_HOSTS, bare_jid
from gateways.whatsapp_content import read_content, unwrap

STATUS = "status@broadcast"
AD_ENTRY = "ctwa"
"""A click on an advertisement that opens the chat ("click to WhatsApp"), in the names of entry points."""

QUOTED_IDS = ("stanzaId", "stanzaID", "quotedStanzaID", "quotedMessageId")
ENTRIES = ("entryPointConversionSource", "entryPointConversionExternalSource")
TELLING = frozenset(
    {*QUOTED_IDS, *ENTRIES, "quotedMessage", "externalAdReply", "ctwaContext", "isForwarded", "forwardingScore"}
)
"""Fields of a context that tell something about a message. Most others are settings of the chat."""


class Sides(NamedTuple):
    """The addresses of the person and of us, to tell whose message is quoted. Digits or jids.

    `alone` is True for a chat of two: there a phone number that is not the person's is ours.
    """

    person: Collection[Any] = ()
    ours: Collection[Any] = ()
    alone: bool = False


def contexts_in(*holders: Any) -> Sequence[dict[str, Any]]:
    """Return the contexts in these objects that tell something. Most messages have none, or one of settings alone."""
    found: Sequence[dict[str, Any]] = ()
    for holder in holders:
        if isinstance(holder, dict) and "contextInfo" in holder:
            context = holder["contextInfo"]
            if isinstance(context, dict) and not context.keys().isdisjoint(TELLING):
                found = [*found, context]
    return found


def read_contexts(contexts: Iterable[dict[str, Any]], sides: Sides) -> dict[str, Any]:
    """Return the parts `quoted_id`, `quoted`, `referral` and `forwarded` from contexts. The first one wins."""
    parts: dict[str, Any] = {}
    for context in contexts:
        parts = context_parts(context, sides) | parts
    return parts


def context_parts(context: dict[str, Any], sides: Sides) -> dict[str, Any]:
    """Return the parts of a message that one `contextInfo` tells."""
    quoted_id = first_text(context, *QUOTED_IDS)
    parts = known(
        quoted_id=quoted_id,
        quoted=_quoted(context, quoted_id, sides) or None,
        referral=ad_referral(context) or None,
        forwarded=is_forwarded(context) or None,
    )
    return parts


def is_forwarded(fields: dict[str, Any]) -> bool:
    """Return True for a message that the person forwarded."""
    score = fields.get("forwardingScore")
    return any(fields.get(name) is True for name in ("isForwarded", "forwarded")) or (
        isinstance(score, int) and score > 0
    )


def _quoted(context: dict[str, Any], quoted_id: str | None, sides: Sides) -> dict[str, Any]:
    quoted_message = object_of(context.get("quotedMessage"))
    author = first_text(context, "participant", "quotedParticipant")
    story = True if STATUS in (context.get("remoteJid"), context.get("remoteJID")) else None
    return quoted_message_of(quoted_message, quoted_id, author, sides, story=story)


def quoted_message_of(
    message: dict[str, Any], quoted_id: str | None, author: str | None, sides: Sides, story: bool | None = None
) -> dict[str, Any]:
    """Return the `quoted` part for the content of a quoted message, in WhatsApp's own form."""
    content = read_content(unwrap(message), None) if message else None
    told: dict[str, Any] = {}
    if isinstance(content, Content):
        media_url = (content.media or {}).get("url")
        told = {"text": content.text, "kind": content.kind, "media_url": media_url}
    return quoted_of(quoted_id, **told, from_me=is_ours(author, sides), story=story)


def is_ours(author: Any, sides: Sides) -> bool | None:
    """Return True if an address is ours, False if it is the person's, and None if it can be either."""
    user = _user(author)
    if user is None:
        return None
    if user in map(_user, sides.ours):
        return True
    if user in map(_user, sides.person):
        return False
    both_phones = _is_phone(author) and any(map(_is_phone, sides.person))
    return True if sides.alone and both_phones else None


def _user(jid: Any) -> str | None:
    bare = bare_jid(jid)
    return bare.partition("@")[0] if bare else None


def _is_phone(jid: Any) -> bool:
    return isinstance(jid, str) and jid.endswith(PHONE_HOSTS)


def ad_referral(context: dict[str, Any]) -> dict[str, Any]:
    """Return the `referral` for the advertisement in a context."""
    advert = object_of(context.get("externalAdReply")) or object_of(context.get("ctwaContext"))
    entry = first_text(context, *ENTRIES) or ""
    if not advert and AD_ENTRY not in entry.lower():
        return {}
    source_type = first_text(advert, "sourceType", "source_type")
    return referral_of(
        source_type=source_type or ("ad" if AD_ENTRY in entry.lower() else None),
        source_id=first_text(advert, "sourceId", "sourceID", "source_id"),
        source_url=first_text(advert, "sourceUrl", "sourceURL", "source_url"),
        headline=first_text(advert, "title", "headline"),
        body=first_text(advert, "body", "description"),
        media_url=_ad_media(advert),
        ctwa_clid=first_text(advert, "ctwaClid", "ctwaCLID", "ctwa_clid")
        or first_text(context, "ctwaClid", "ctwa_clid"),
    )


def _ad_media(advert: dict[str, Any]) -> str | None:
    names = ("mediaUrl", "mediaURL", "originalImageUrl", "originalImageURL", "imageUrl", "thumbnailUrl", "thumbnailURL")
    return next((url for name in names if (url := text_of(advert.get(name))) and url.startswith("http")), None)


def ad_opener(parts: dict[str, Any]) -> Content | None:
    """Return the content of a message without words that came from an advertisement, None for any other.

    Its text is the title of the advertisement.
    """
    referral = parts.get("referral")
    return unknown_content("ad", referral.get("headline") or referral.get("body")) if referral else None


def in_context(content: Content | Ignored, parts: dict[str, Any]) -> Content | Ignored:
    """Add the parts around a message to it. A message without words that came from an advertisement is one, too."""
    if isinstance(content, Ignored):
        opener = ad_opener(parts) if content.reason == "empty" else None
        if opener is None:
            return content
        content = opener
    content.extra |= parts
    return content

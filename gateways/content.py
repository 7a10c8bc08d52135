"""What a message says, whichever gateway brought it, in the final shape of the outbound message."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Content:
    """What one message says; `extra` has the optional fields of the outbound message."""

    kind: str
    text: str | None = None
    media: dict[str, Any] | None = None
    extra: dict[str, Any] = field(default_factory=dict)


def unknown(raw_type: str | None, text: str | None = None) -> Content:
    """Something we have no kind for, under the gateway's own word for it."""
    return Content("unknown", text, extra={"raw_type": raw_type} if raw_type else {})


def media_of(url: str | None, media_id: str | None, mime: str | None, caption: str | None) -> dict[str, Any]:
    """The `media` of a message: where the file is, or under which id the gateway hands it out."""
    return {"url": url, "id": media_id, "mime": mime, "caption": caption}


def located(latitude: float | None, longitude: float | None, name: str | None, address: str | None) -> Content:
    """A place on the map; its text is what is written about it."""
    location = {"lat": latitude, "lng": longitude, "name": name, "address": address}
    text = ", ".join(written for written in (name, address) if written)
    return Content("location", text or None, extra={"location": location})


def chosen(choice_id: str | None, title: str | None) -> Content:
    """The answer to a list or a row of buttons."""
    return Content("interactive", title or choice_id, extra={"interactive": {"id": choice_id, "title": title}})


def carded(contacts: Sequence[dict[str, Any]]) -> Content:
    """Contact cards, each `{name, phones}`; the text has the names."""
    names = [card["name"] for card in contacts if card["name"]]
    return Content("contact", ", ".join(names) or None, extra={"contacts": list(contacts)})


def numbered(contents: Sequence[Content], message_id: str | None) -> Iterator[tuple[str | None, Content]]:
    """The parts of one message, each with an id of its own: the first keeps the message's."""
    for index, content in enumerate(contents):
        if len(contents) > 1:
            content.extra["media_index"] = index
        yield f"{message_id}#{index}" if index and message_id else message_id, content

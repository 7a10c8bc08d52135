"""The content of a message in the form that the agent receives, the same for all gateways."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Content:
    """The content of one message. `extra` has the optional fields of the message in the agent's request."""

    kind: str
    text: str | None = None
    media: dict[str, Any] | None = None
    extra: dict[str, Any] = field(default_factory=dict)

    def extra_with(self, **fields: Any) -> dict[str, Any]:
        """Return `extra` together with those of `fields` that have a value."""
        return self.extra | {name: value for name, value in fields.items() if value}


def unknown_content(raw_type: str | None, text: str | None = None) -> Content:
    """Return the content of a message of no known kind, with the gateway's own name for its type."""
    return Content("unknown", text, extra={"raw_type": raw_type} if raw_type else {})


def media_of(url: str | None, media_id: str | None, mime: str | None, caption: str | None) -> dict[str, Any]:
    """Return the `media` of a message: the address of the file, or the id under which the gateway serves it."""
    return {"url": url, "id": media_id, "mime": mime, "caption": caption}


def location_content(latitude: float | None, longitude: float | None, name: str | None, address: str | None) -> Content:
    """Return the content of a location. Its text is the name and the address."""
    location = {"lat": latitude, "lng": longitude, "name": name, "address": address}
    text = ", ".join(part for part in (name, address) if part)
    return Content("location", text or None, extra={"location": location})


def choice_content(choice_id: str | None, title: str | None) -> Content:
    """Return the content of a tapped button or a chosen row of a list."""
    return Content("interactive", title or choice_id, extra={"interactive": {"id": choice_id, "title": title}})


def contacts_content(contacts: Sequence[dict[str, Any]]) -> Content:
    """Return the content of contact cards, each `{name, phones}`. Its text is the names."""
    names = [card["name"] for card in contacts if card["name"]]
    return Content("contact", ", ".join(names) or None, extra={"contacts": list(contacts)})


def with_part_ids(contents: Sequence[Content], message_id: str | None) -> Iterator[tuple[str | None, Content]]:
    """Yield each part of one message with an id of its own. The first part keeps the message's id."""
    for index, content in enumerate(contents):
        if len(contents) > 1:
            content.extra["media_index"] = index
        yield f"{message_id}#{index}" if index and message_id else message_id, content

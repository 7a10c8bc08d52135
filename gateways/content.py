"""The content of a message in the form that the agent receives, the same for all gateways.

docs/gateways.md has the table of what each gateway fills. A part without a value is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from gateways.fields import number_of, text_of
from gateways.raw import raw_of

PARTS = (
    "text",
    "media",
    "location",
    "contacts",
    "interactive",
    "order",
    "quoted",
    "referral",
    "product",
    "forwarded",
    "transcript",
    "thread",
    "raw",
)
"""The parts that a message can have, by their names in the agent's request."""

QUOTED_TEXT_MAX = 2000
"""Characters of a quoted text. The rest is cut: every reply in a burst repeats it."""

EXACT = 2**53
"""Doubles are exact below this number."""

REFERRAL_FIELDS = ("source_type", "source_id", "source_url", "headline", "body", "media_url", "ctwa_clid")


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


def unknown_content(raw_type: str | None, text: str | None = None, raw: Any = None) -> Content:
    """Return the content of a message of no known kind, with the gateway's own name for its type.

    `raw` is the gateway's own form of the content. The agent gets it bounded, without secrets and files.
    """
    extra: dict[str, Any] = {"raw_type": raw_type} if raw_type else {}
    if kept := raw_of(raw):
        extra["raw"] = kept
    return Content("unknown", text, extra=extra)


def media_of(url: str | None, media_id: str | None, mime: str | None, caption: str | None) -> dict[str, Any]:
    """Return the `media` of a message: the address of the file, or the id under which the gateway serves it."""
    return {"url": url, "id": media_id, "mime": mime, "caption": caption}


def location_content(latitude: float | None, longitude: float | None, name: str | None, address: str | None) -> Content:
    """Return the content of a location. Its text is the name and the address."""
    location = {"lat": latitude, "lng": longitude, "name": name, "address": address}
    text = ", ".join(part for part in (name, address) if part)
    return Content("location", text or None, extra={"location": location})


def choice_content(
    choice_id: str | None, title: str | None, description: str | None = None, response_json: str | None = None
) -> Content:
    """Return the content of a tapped button, a chosen row of a list, a vote or a filled-in form.

    `response_json` is the answers of a form, as JSON text.
    """
    interactive = {"id": choice_id, "title": title}
    interactive |= known(description=description, response_json=response_json)
    return Content("interactive", title or choice_id, extra={"interactive": interactive})


def contacts_content(contacts: Sequence[dict[str, Any]]) -> Content:
    """Return the content of contact cards, each `{name, phones}`. Its text is the names."""
    names = [card["name"] for card in contacts if card["name"]]
    return Content("contact", ", ".join(names) or None, extra={"contacts": list(contacts)})


def item_of(
    item_id: Any = None, name: Any = None, quantity: Any = None, price: float | None = None, currency: Any = None
) -> dict[str, Any]:
    """Return one item of an order, with those of its fields that are known. The price is of one unit."""
    return known(
        id=text_of(item_id), name=text_of(name), quantity=amount_of(quantity), price=price, currency=text_of(currency)
    )


def order_of(
    order_id: Any = None,
    text: str | None = None,
    items: Iterable[dict[str, Any]] = (),
    total: float | None = None,
    currency: Any = None,
) -> dict[str, Any]:
    """Return the `order` of a message: an order, a cart, a product or a payment. `text` is the person's words.

    Without a total it is the sum of the items.
    """
    kept = [item for item in items if item]
    total = _sum(kept) if total is None else total
    currency = text_of(currency) or next((item["currency"] for item in kept if "currency" in item), None)
    return known(id=text_of(order_id), text=text, items=kept or None, currency=currency, total=total)


def _sum(items: Sequence[dict[str, Any]]) -> float | None:
    """Return what the items cost together, or None if a price or quantity is missing."""
    if not items or any("price" not in item or "quantity" not in item for item in items):
        return None
    return amount_of(round(sum(item["price"] * item["quantity"] for item in items), 4))


def amount_of(value: Any, per_unit: int = 1) -> float | None:
    """Return an amount of money or things. `per_unit` is 1000 where the gateway counts thousandths."""
    number = number_of(value)
    if number is None:
        return None
    amount = number / per_unit
    return int(amount) if amount.is_integer() and abs(amount) < EXACT else amount


def quoted_of(quoted_id: str | None, **told: Any) -> dict[str, Any]:
    """Return the `quoted` of a message, or an empty object if the gateway told nothing of the quoted message.

    `told` is any of `text`, `kind`, `media_url`, `from_me` (a message of ours) and `story` (a status update).
    """
    fields = known(**told)
    if isinstance(text := fields.get("text"), str) and len(text) > QUOTED_TEXT_MAX:
        fields["text"] = text[:QUOTED_TEXT_MAX] + "…"
    return {} if fields.keys() <= {"from_me"} else known(id=quoted_id) | fields


def referral_of(**told: Any) -> dict[str, Any]:
    """Return the `referral` of a message: the advertisement that the person came from, else an empty object.

    `told` is any of REFERRAL_FIELDS.
    """
    return known(**{name: text_of(told.get(name)) for name in REFERRAL_FIELDS})


def product_of(catalog_id: Any, product_id: Any) -> dict[str, Any]:
    """Return the `product` that the person asks about, else an empty object."""
    return known(catalog_id=text_of(catalog_id), id=text_of(product_id))


def thread_of(thread_id: Any, name: Any = None) -> dict[str, Any]:
    """Return the `thread` (topic) that a message belongs to, else an empty object."""
    written = text_of(thread_id)
    return known(id=written, name=text_of(name)) if written else {}


def known(**fields: Any) -> dict[str, Any]:
    """Return the fields that have a value. False and 0 are values."""
    return {name: value for name, value in fields.items() if value is not None}


def with_part_ids(contents: Sequence[Content], message_id: str | None) -> Iterator[tuple[str | None, Content]]:
    """Yield each part of one message with an id of its own. The first part keeps the message's id."""
    for index, content in enumerate(contents):
        if len(contents) > 1:
            content.extra["media_index"] = index
        yield _part_id(message_id, index) if index and message_id else message_id, content


def part_ids(message_id: str, count: int) -> tuple[str, ...]:
    """Return the ids that the parts of a message have after the first, if there are `count` parts."""
    return tuple(_part_id(message_id, index) for index in range(1, count))


def _part_id(message_id: str, index: int) -> str:
    return f"{message_id}#{index}"

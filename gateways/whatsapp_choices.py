"""What a person tapped, chose or filled in, in WhatsApp's own `message` object."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from buffer.models import Ignored
from gateways.answers import json_text, parsed
from gateways.content import Content, choice_content
from gateways.fields import first_text, object_of, text_of
from gateways.ignored import ignored
from gateways.raw import nearest_text

ID_NAMES = ("selectedbuttonid", "selectedrowid", "selectedid", "buttonid", "rowid")
TITLE_NAMES = ("selecteddisplaytext", "displaytext", "title", "text")
DESCRIPTION_NAMES = ("description",)

TAP_PARAMS = frozenset({"id", "display_text", "title", "description", "disabled"})
"""The parameters of a tapped button or row. Others are the answers of a form."""

CHOSEN_NAMES = ("selectedOptions", "selected_options", "options")


def _list_choice(body: dict[str, Any]) -> Content:
    reply = object_of(body.get("singleSelectReply"))
    row_id = first_text(reply, "selectedRowId", "selectedRowID") or nearest_text(body, ID_NAMES)
    title = text_of(body.get("title")) or nearest_text(body, TITLE_NAMES)
    return choice_content(row_id, title, text_of(body.get("description")) or nearest_text(body, DESCRIPTION_NAMES))


def _button(body: dict[str, Any]) -> Content:
    button_id = first_text(body, "selectedButtonId", "selectedButtonID", "selectedId", "selectedID")
    title = text_of(body.get("selectedDisplayText"))
    return choice_content(
        button_id or nearest_text(body, ID_NAMES),
        title or nearest_text(body, TITLE_NAMES[:2] if button_id else TITLE_NAMES),
    )


def _native_flow(body: dict[str, Any]) -> Content:
    """Read a tap or the answers of a form, whose parameters are JSON text."""
    flow = object_of(body.get("nativeFlowResponseMessage")) or _flow_inside(body, levels=3)
    written = next((flow[name] for name in ("paramsJson", "paramsJSON", "params") if flow.get(name)), None)
    value = parsed(written) if isinstance(written, str) else written
    params = object_of(value)
    title = text_of(object_of(body.get("body")).get("text")) or first_text(params, "display_text", "title")
    if not isinstance(value, list) and params.keys() <= TAP_PARAMS:
        return choice_content(text_of(params.get("id")), title, text_of(params.get("description")))
    return choice_content(text_of(params.get("id")) or text_of(flow.get("name")), title, None, json_text(written))


def _flow_inside(body: Mapping[str, Any], levels: int) -> dict[str, Any]:
    """Return the nearest object with parameters: libraries nest it under names of their own."""
    parts = [part for part in body.values() if isinstance(part, dict)]
    for part in parts:
        if "paramsJson" in part or "paramsJSON" in part:
            return part
    return next((flow for part in parts if levels and (flow := _flow_inside(part, levels - 1))), {})


def _poll_vote(body: dict[str, Any]) -> Content | Ignored:
    """Read a vote, if the gateway decrypted it."""
    vote = object_of(body.get("vote")) or body
    chosen = next((vote[name] for name in CHOSEN_NAMES if isinstance(vote.get(name), list)), None)
    return ignored("encrypted") if chosen is None else vote_content(chosen)


def vote_content(chosen: list[Any]) -> Content | Ignored:
    """Return the content of a vote. Its title is the chosen options."""
    title = option_names(chosen)
    return choice_content(None, title) if title else ignored("taken_back")


def option_names(chosen: Any) -> str | None:
    """Return the names of chosen options, each a text or an object with a name, or one text for all of them."""
    options = chosen if isinstance(chosen, list) else [chosen]
    names = [text_of(item) or first_text(object_of(item), "name", "optionName", "title", "text") for item in options]
    return ", ".join(name for name in names if name) or None


CHOICE_READERS: dict[str, Callable[[dict[str, Any]], Content | Ignored]] = {
    "listResponseMessage": _list_choice,
    "buttonsResponseMessage": _button,
    "templateButtonReplyMessage": _button,
    "interactiveResponseMessage": _native_flow,
    "pollUpdateMessage": _poll_vote,
}

"""Bodies that people of this trade met in the field, each with what its parser must return.

A file `tests/fixtures/field/<gateway>/<case>.json` has `bodies`, in the order of their arrival, and `expected`: for
each body the list of its messages, edits, revokes and ignored parts.
"""

import json
from pathlib import Path
from urllib.parse import urlencode

import pytest

from buffer.models import DeliveryStatus, Edit, Ignored, Message, Presence, Revoke
from gateways.base import Request
from gateways.content import PARTS
from gateways.ignored import IGNORED_REASONS
from gateways.registry import GATEWAYS
from tests.recorded_bodies import CASES, FIELD_CASES, FORMS, body_of, field_case

DOCS = Path(__file__).parents[2] / "docs" / "gateways.md"


def parsed(gateway, body):
    return GATEWAYS[gateway].parse(Request({}, {}, "", body))


def told(event):
    """Return an event as the files have it: fields without a value are left out. Reports count as ignored."""
    if isinstance(event, DeliveryStatus):
        return {"ignored": "unknown_event"}
    if isinstance(event, Ignored):
        return {"ignored": event.reason} | ({"shape": event.shape} if event.shape else {})
    if isinstance(event, Revoke):
        return {"revoke": event.target_id}
    if isinstance(event, Edit):
        return {"edit": event.target_id, "text": event.text, "timestamp_ms": event.timestamp_ms}
    if isinstance(event, Presence):
        return {"presence": event.state}
    fields = {name: getattr(event, name) for name in ("message_id", "timestamp_ms", "kind", "text")}
    optional = {"media": event.media, "from_me": event.from_me or None, "alias": event.conversation_alias}
    if event.dedupe_id and "#" in event.dedupe_id:
        optional["dedupe_id"] = event.dedupe_id
    given = {name: value for name, value in optional.items() if value}
    return {"conversation": event.conversation.peer} | fields | given | event.extra


def encoded(gateway, body):
    return urlencode(body).encode() if gateway in FORMS else json.dumps(body).encode()


@pytest.mark.parametrize(("gateway", "case"), FIELD_CASES)
def test_a_body_of_the_field_is_understood(gateway, case):
    """Each body becomes exactly what its file expects: messages with all their parts, changes, or a reason."""
    recorded = field_case(gateway, case)
    events = [parsed(gateway, encoded(gateway, body)) for body in recorded["bodies"]]
    assert [[told(event) for event in each] for each in events] == recorded["expected"]


@pytest.mark.parametrize(("gateway", "case"), FIELD_CASES)
def test_no_message_of_the_field_is_empty(gateway, case):
    """A message has words, a file, or another part with content, but for the stub of a view-once message."""
    for body in field_case(gateway, case)["bodies"]:
        for event in parsed(gateway, encoded(gateway, body)):
            if isinstance(event, Message) and event.extra.get("raw_type") != "view_once":
                assert event.text or any(parts_of(event))


def parts_of(message):
    """Return the parts of the content model that a message has."""
    fields = {"text": message.text, "media": message.media} | message.extra
    return {part for part in PARTS if fields.get(part)}


def parts_by_gateway():
    """Return the parts that each parser produces, over all recorded bodies and those of the field."""
    bodies = [(gateway, body_of(gateway, case)) for gateway, case in CASES]
    for gateway, case in FIELD_CASES:
        bodies += [(gateway, encoded(gateway, body)) for body in field_case(gateway, case)["bodies"]]
    found = {name: set() for name in GATEWAYS}
    for gateway, body in bodies:
        for event in parsed(gateway, body):
            if isinstance(event, Message):
                found[gateway] |= parts_of(event)
    return found


def test_the_table_of_parts_is_true():
    """docs/gateways.md marks exactly the parts that each gateway's parser fills."""
    lines = DOCS.read_text().splitlines()
    header = next(line for line in lines if line.startswith("| gateway | `text`"))
    parts = [cell.strip(" `") for cell in header.strip("|").split("|")[1:]]
    rows = {}
    for line in lines[lines.index(header) + 2 :]:
        if not line.startswith("|"):
            break
        name, *cells = [cell.strip(" `") for cell in line.strip("|").split("|")]
        rows[name] = {part for part, cell in zip(parts, cells, strict=True) if cell == "✓"}
    assert parts == list(PARTS)
    assert rows == parts_by_gateway()


def test_the_table_of_reasons_is_true():
    """docs/gateways.md names every reason why a body is ignored, in the words of the code."""
    for reason, meaning in IGNORED_REASONS.items():
        assert f"| `{reason}` | {meaning} |" in DOCS.read_text()

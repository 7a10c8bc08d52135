"""Chatwoot: credentials, the age of a signature, and the forms of its bodies that are not among the fixtures."""

import hmac
import json
from pathlib import Path

import pytest

from buffer.models import Conversation, Ignored, Presence
from config.settings import Settings
from gateways import chatwoot
from gateways.base import BadRequest, Request

(VECTOR,) = json.loads((Path(__file__).parent.parent / "fixtures/auth_vectors.json").read_bytes())["chatwoot"]
SIGNED_S = int(VECTOR["X-Chatwoot-Timestamp"])
HERE = Conversation("chatwoot", "29269", "48")
TOKEN = "a-static-token"


def configured(**settings):
    return Settings(_env_file=None, **settings)


def asking(body=b"{}", headers=None, query=None):
    return Request(headers or {}, query or {}, "", body)


def as_signed(**changes):
    sent = {
        "x-chatwoot-timestamp": VECTOR["X-Chatwoot-Timestamp"],
        "x-chatwoot-signature": VECTOR["X-Chatwoot-Signature"],
    }
    return asking(VECTOR["body_utf8"].encode(), sent | changes)


def opens(request, now_s=SIGNED_S, **settings):
    return chatwoot.verify(request, configured(**settings), clock=lambda: now_s)


def created(**fields):
    body = {
        "event": "message_created",
        "id": 7,
        "content": "oi",
        "message_type": "incoming",
        "private": False,
        "created_at": "2026-03-20T09:46:40.000Z",
        "inbox": {"id": 29269},
        "conversation": {"id": 48, "inbox_id": 29269, "status": "pending"},
        "sender": {"name": "Ana"},
    }
    return body | fields


def parse(body):
    return chatwoot.parse(asking(json.dumps(body).encode()))


def read(**fields):
    (event,) = parse(created(**fields))
    return event


def test_the_computed_signature_opens():
    """The computed signature is accepted with its own secret, body and timestamp, and with no others."""
    secret = VECTOR["secret"]
    assert opens(as_signed(), chatwoot_secret=secret)
    assert not opens(as_signed(), chatwoot_secret="another")
    assert not opens(as_signed(), chatwoot_token=secret)
    assert not opens(as_signed(**{"x-chatwoot-timestamp": "1774000001"}), chatwoot_secret=secret)
    assert not opens(as_signed(**{"x-chatwoot-signature": "sha256=\xff"}), chatwoot_secret=secret)
    assert not opens(asking(VECTOR["body_utf8"].encode()), chatwoot_secret=secret)


@pytest.mark.parametrize(
    ("max_age", "now_s", "accepted"),
    [
        (0, SIGNED_S + 10**9, True),
        (300, SIGNED_S, True),
        (300, SIGNED_S + 300, True),
        (300, SIGNED_S + 301, False),
        (300, SIGNED_S - 300, True),
        (300, SIGNED_S - 301, False),
        (0.5, SIGNED_S + 1, False),
    ],
)
def test_an_old_signature_is_refused_when_asked_for(max_age, now_s, accepted):
    """A signature may be SIGNATURE_MAX_AGE seconds away from the clock, limit included. 0 accepts any age."""
    assert opens(as_signed(), now_s, chatwoot_secret=VECTOR["secret"], signature_max_age=max_age) is accepted


@pytest.mark.parametrize("timestamp", ["", "soon", "nan", "inf", "-1"])
def test_a_signed_timestamp_that_is_none_is_too_old(timestamp):
    """With a window, a signature over something that is no time is refused."""
    digest = hmac.digest(b"s", f"{timestamp}.".encode() + b"{}", "sha256").hex()
    request = asking(b"{}", {"x-chatwoot-timestamp": timestamp, "x-chatwoot-signature": f"sha256={digest}"})
    assert opens(request, chatwoot_secret="s")
    assert not opens(request, chatwoot_secret="s", signature_max_age=60)


@pytest.mark.parametrize(
    ("headers", "query"), [({"authorization": f"Bearer {TOKEN}"}, {}), ({}, {"token": TOKEN})], ids=["bearer", "query"]
)
def test_versions_that_do_not_sign_show_a_token(headers, query):
    """The static token opens, beside a secret too (bots and webhooks of one installation differ), and no other."""
    request = asking(b"{}", headers, query)
    assert opens(request, chatwoot_token=TOKEN)
    assert opens(request, chatwoot_token=TOKEN, chatwoot_secret="s", signature_max_age=1)
    assert not opens(request, chatwoot_token="another")
    assert not opens(request, chatwoot_secret=TOKEN)


def test_either_secret_opens_the_gateway():
    """It is open with a signing secret or a token, and closed without both."""
    assert chatwoot.is_open(configured(chatwoot_secret="s"))
    assert chatwoot.is_open(configured(chatwoot_token="t"))
    assert not chatwoot.is_open(configured())


def test_the_retry_status_is_500():
    """Chatwoot repeats a delivery to an agent bot after 429 and 500 only."""
    assert chatwoot.GATEWAY.retry_status == 500


@pytest.mark.parametrize("body", [b"", b"[]", b"7", b"a=1"])
def test_a_body_that_is_no_object_is_refused(body):
    """The reason is said."""
    with pytest.raises(BadRequest):
        chatwoot.parse(asking(body))


ASSIGNED = {
    "id": 48,
    "inbox_id": 29269,
    "status": "open",
    "meta": {"assignee": {"id": 5, "name": "Bia", "type": "user"}},
}


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"private": True}, "private_note"),
        ({"private": True, "message_type": "outgoing"}, "private_note"),
        ({"message_type": "template"}, "notification"),
        ({"message_type": 2}, "notification"),
        ({"message_type": None}, "notification"),
        ({"event": "message_updated", "message_type": "outgoing"}, "unknown_event"),
        ({"event": "message_updated", "content": None}, "edit_without_text"),
        ({"event": "conversation_updated"}, "unknown_event"),
        ({"event": None}, "misfit"),
        ({"conversation": None}, "misfit"),
        ({"conversation": {"inbox_id": 29269}}, "misfit"),
        ({"conversation": {"id": 48}, "inbox": None}, "misfit"),
        ({"content_type": "voice_call"}, "call"),
        ({"conversation": ASSIGNED}, "with_human"),
    ],
)
def test_messages_that_are_not_for_the_bot_are_ignored(fields, reason):
    """Private notes, notices, and messages in a conversation that a human answers call nobody."""
    assert [event.reason for event in parse(created(**fields))] == [reason]


@pytest.mark.parametrize("status", ["pending", "resolved", "snoozed", "open", None])
def test_conversations_of_every_status_are_heard(status):
    """Without an assignee a message is for the bot, whatever the status of its conversation is."""
    assert read(conversation={"id": 48, "inbox_id": 29269, "status": status}).conversation == HERE


@pytest.mark.parametrize(
    ("fields", "with_human"),
    [
        ({"meta": {"assignee": None}}, False),
        ({"meta": {"assignee": {"id": 5, "name": "Bia"}}}, True),
        ({"meta": {"assignee": {"id": 5, "type": "agent_bot"}}}, False),
        ({"meta": {"assignee": {"id": 5}, "assignee_type": "AgentBot"}}, False),
        ({"assignee": {"id": 5, "type": "user"}}, True),
        ({"assignee_id": 5}, True),
        ({"assignee_id": None, "meta": {}}, False),
        ({"messages": [{"conversation": {"assignee_id": 5}}]}, True),
        ({"messages": [{"conversation": {"assignee_id": 5}}], "meta": {"assignee": None}}, False),
        ({"status": "0", "assignee_id": 5}, True),
        ({"status": "pending", "assignee_id": 5}, False),
    ],
)
def test_an_open_conversation_with_a_human_assignee_is_the_humans(fields, with_human):
    """The assignee is named in several places. A bot is no human, and a pending conversation stays the bot's."""
    (event,) = parse(created(conversation={"id": 48, "inbox_id": 29269, "status": "open"} | fields))
    assert (event == Ignored("with_human")) is with_human


@pytest.mark.parametrize(
    ("statuses", "status", "reason"),
    [
        ("pending", "open", "status_open"),
        ("pending", "pending", None),
        ("pending", None, None),
        ("open,pending", "resolved", "status_resolved"),
        ("open", 2, "status_pending"),
        ("open", "archived", "status_other"),
        ("", "snoozed", None),
    ],
)
def test_the_setting_says_which_statuses_are_heard(statuses, status, reason):
    """CHATWOOT_STATUSES leaves out the other statuses, each with a reason of its own. Blank is every status."""
    parse_configured = chatwoot.GATEWAY.configured(configured(chatwoot_statuses=statuses))
    body = created(conversation={"id": 48, "inbox_id": 29269, "status": status})
    (event,) = parse_configured(asking(json.dumps(body).encode()))
    assert (event.reason if isinstance(event, Ignored) else None) == reason


def test_messages_of_humans_are_read_in_every_conversation():
    """A message from us is not for the agent, and is read whoever answers the conversation."""
    assert read(message_type="outgoing", conversation=ASSIGNED).from_me


@pytest.mark.parametrize(("message_type", "from_me"), [("incoming", False), (0, False), ("outgoing", True), (1, True)])
def test_the_direction_comes_as_a_word_or_a_number(message_type, from_me):
    """The same versions write words in the body, and numbers in nested objects."""
    assert read(message_type=message_type).from_me is from_me


@pytest.mark.parametrize(("kind", "extra"), [("agent_bot", {"via_api": True}), ("user", {}), (None, {})])
def test_only_a_bots_reply_is_via_the_api(kind, extra):
    """A bot's and a human's reply are both from us, in an open conversation too. Only the bot's has `via_api`."""
    conversation = {"id": 48, "inbox_id": 29269, "status": "open"}
    message = read(message_type="outgoing", sender={"name": "X", "type": kind}, conversation=conversation)
    assert (message.from_me, message.extra) == (True, extra)


@pytest.mark.parametrize(
    ("written", "moment"),
    [
        ("2026-03-20T09:46:40.000Z", 1774000000000),
        ("2026-03-20T09:46:40.123Z", 1774000000123),
        ("2026-03-20T06:46:40-03:00", 1774000000000),
        ("2026-03-20 09:46:40 UTC", 1774000000000),
        (1774000000, 1774000000000),
        ("1774000000", 1774000000000),
        ("2026-03-20T09:46:40", None),
        ("0001-01-01T00:00:00+23:59", None),
        ("yesterday", None),
        (None, None),
        ({}, None),
    ],
)
def test_times_of_all_versions(written, moment):
    """ISO times, the older form with UTC, and epoch seconds; a time without a zone is none."""
    assert read(created_at=written).timestamp_ms == moment


def test_only_the_contacts_typing_is_presence():
    """Typing on and off of the person is presence; agents, bots and private notes are not."""

    def typing(name, **fields):
        body = {"event": name, "conversation": {"id": 48, "inbox_id": 29269}, "user": {"type": "contact"}}
        return parse(body | fields)

    assert typing("conversation_typing_on") == [Presence(HERE, "composing")]
    assert typing("conversation_typing_off") == [Presence(HERE, "paused")]
    assert typing("conversation_typing_on", user={"id": 1}) == [Presence(HERE, "composing")]
    assert typing("conversation_typing_on", user={"type": "user"}) == [Ignored("not_delivered_here")]
    assert typing("conversation_typing_on", user={"type": "agent_bot"}) == [Ignored("not_delivered_here")]
    assert typing("conversation_typing_on", is_private=True) == [Ignored("not_delivered_here")]


@pytest.mark.parametrize(
    ("attachment", "kind", "text", "extra"),
    [
        ({"file_type": "file", "data_url": "u"}, "document", "oi", {}),
        ({"file_type": "audio", "data_url": "u"}, "audio", "oi", {}),
        (
            {"file_type": "ig_reel", "data_url": "u"},
            "unknown",
            "oi",
            {"raw_type": "ig_reel", "raw": {"file_type": "ig_reel", "data_url": "u"}},
        ),
        ({"data_url": "u"}, "unknown", "oi", {"raw": {"data_url": "u"}}),
        (
            {"file_type": "location", "coordinates_lat": 1, "coordinates_long": "2.5", "fallback_title": "Sé"},
            "location",
            "oi",
            {"location": {"lat": 1.0, "lng": 2.5, "name": "Sé", "address": None}},
        ),
        (
            {"file_type": "contact", "fallback_title": "+55", "meta": {"firstName": "Bia", "lastName": "Sá"}},
            "contact",
            "oi",
            {"contacts": [{"name": "Bia Sá", "phones": ["+55"]}]},
        ),
        ({"file_type": "contact"}, "contact", "oi", {"contacts": [{"name": "oi", "phones": []}]}),
    ],
)
def test_attachments_by_type(attachment, kind, text, extra):
    """Each type has its kind; the message's content is the caption."""
    message = read(attachments=[attachment])
    assert (message.kind, message.text, message.extra) == (kind, text, extra)
    assert (message.media is None) is ("data_url" not in attachment)


def test_several_attachments_are_several_messages():
    """Each file has an id of its own, and the text goes with the first."""
    files = [{"id": index, "file_type": "image", "data_url": f"u{index}"} for index in range(3)]
    messages = parse(created(attachments=files))
    assert [message.message_id for message in messages] == ["7", "7#1", "7#2"]
    assert [message.text for message in messages] == ["oi", None, None]
    assert [(message.media["id"], message.extra["media_index"]) for message in messages] == [
        ("0", 0),
        ("1", 1),
        ("2", 2),
    ]


def test_quotes_and_empty_messages():
    """A reply has the id of the quoted message. A message without content keeps its type."""
    message = read(content=None, content_type="incoming_email", content_attributes={"in_reply_to": 6})
    assert (message.kind, message.text) == ("unknown", None)
    assert message.extra == {"raw_type": "incoming_email", "quoted_id": "6"}


def test_a_deletion_names_all_parts_of_its_message():
    """A deleted message no longer tells its files. Its deletion names the ids of as many as Chatwoot allows."""
    files = [{"file_type": "image", "data_url": f"https://files.example.com/{number}.jpg"} for number in range(15)]
    sent = [event.message_id for event in parse(created(attachments=files))]
    content = {"content": "This message was deleted", "content_attributes": {"deleted": True}}
    (revoke,) = parse(created(event="message_updated", **content))
    assert [revoke.target_id, *revoke.part_ids] == sent
    assert len(set(sent)) == 15

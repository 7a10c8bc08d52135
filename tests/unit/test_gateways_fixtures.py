"""Every recorded body of every gateway, unchanged and mutated at random.

A folder in tests/fixtures with the name of a gateway is picked up. SECRETS in tests/recorded_bodies.py names the
setting that opens the gateway.
"""

import copy
import json
from contextlib import suppress
from dataclasses import asdict
from urllib.parse import parse_qsl, urlencode, urlsplit

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from buffer.models import KINDS, DeliveryStatus, Edit, Ignored, Message, Presence, Revoke
from config.settings import Settings
from gateways.base import BadRequest, Request
from gateways.fields import MAX_TIME_MS
from gateways.ignored import IGNORED_REASONS
from gateways.registry import GATEWAYS
from tests.recorded_bodies import (
    CASES,
    FIELD_CASES,
    FORMS,
    SECRETS,
    body_of,
    described,
    expected_of,
    field_case,
    heard,
    opened_by,
)

LEAK = "a-secret-that-came-inside-the-body"


def read(gateway, body):
    """Return a recorded body as data that can be mutated."""
    return dict(parse_qsl(body.decode(), keep_blank_values=True)) if gateway in FORMS else json.loads(body)


def write(gateway, data):
    """Return the body of mutated data. A form gets values that it cannot hold as JSON."""
    if gateway not in FORMS or not isinstance(data, dict):
        return json.dumps(data).encode()
    fields = {name: value if isinstance(value, str) else json.dumps(value) for name, value in data.items()}
    return urlencode(fields, errors="surrogatepass").encode()


def request_for(gateway, case):
    sent = described(gateway, case)
    url = urlsplit(sent["path"])
    return Request(
        headers={name.lower(): value for name, value in sent["headers"].items()},
        query=dict(parse_qsl(url.query)),
        tail=url.path.removeprefix(f"/webhooks/{gateway}").strip("/"),
        body=body_of(gateway, case),
        path=url.path,
        query_string=url.query,
    )


def settings_for(gateway, auth):
    return Settings(_env_file=None, **opened_by(gateway, auth))


def where(conversation):
    return {
        "gateway": conversation.gateway,
        "channel": conversation.channel,
        "conversation": conversation.peer,
    }


def told(message):
    """Return a message in the form of the expected.json files, optional fields only if they are set."""
    fields = asdict(message)
    extra, alt, _ = fields.pop("extra"), fields.pop("conversation_alias"), fields.pop("dedupe_id")
    fields.pop("conversation")
    fields.pop("return_address")
    if fields["media"] and fields["media"].get("base64"):
        assert isinstance(fields["media"]["base64"], str)
        fields["media"]["base64"] = True
    return where(message.conversation) | fields | extra | ({"conversation_alt": alt} if alt else {})


def outcome(events):
    """Return the events of a parser in the form of the expected.json files. What is ignored is not in them."""
    events = heard(events)
    if not events or isinstance(events[0], Message):
        return [told(event) for event in events]
    (event,) = events
    fields = {name: value for name, value in asdict(event).items() if value is not None}
    name = {Presence: "presence", Edit: "edit", Revoke: "revoke"}[type(event)]
    return {name: fields | where(event.conversation)}


# a forged request never reaches the parser
GENUINE = [case for case in CASES if described(*case)["auth"].get("valid", True)]


def test_there_are_fixtures():
    """The fixtures are found. With a wrong path the tests below would have no cases."""
    assert len(CASES) >= 152


@pytest.mark.parametrize(("gateway", "case"), CASES)
def test_the_recorded_secret_opens_and_a_wrong_one_does_not(gateway, case):
    """A recorded request is accepted with the secret of its gateway, unless it is a forged one."""
    auth = described(gateway, case)["auth"]
    accepted = GATEWAYS[gateway].verify(request_for(gateway, case), settings_for(gateway, auth))
    assert accepted is auth.get("valid", True)


@pytest.mark.parametrize(("gateway", "case"), CASES)
def test_another_secret_does_not_open(gateway, case):
    """The same request is refused by a service with another secret, and by one with none."""
    request, auth = request_for(gateway, case), described(gateway, case)["auth"]
    assert not GATEWAYS[gateway].verify(request, settings_for(gateway, auth | {"secret": "another"}))
    assert not GATEWAYS[gateway].verify(request, settings_for(gateway, auth | {"secret": None}))


@pytest.mark.parametrize(("gateway", "case"), GENUINE)
def test_the_parser_returns_what_is_expected(gateway, case):
    """A recorded body becomes exactly the messages or the event that its expectation names."""
    assert outcome(GATEWAYS[gateway].parse(request_for(gateway, case))) == expected_of(gateway, case)


@pytest.mark.parametrize(("gateway", "case"), CASES)
def test_secrets_of_the_body_stay_out_of_the_events(gateway, case):
    """The token that a gateway puts into the body is in no event."""
    body = read(gateway, body_of(gateway, case)) | {"apikey": LEAK, "token": LEAK, "instanceToken": LEAK}
    request = Request({}, {}, "", write(gateway, body))
    assert LEAK not in repr(GATEWAYS[gateway].parse(request))


def paths_in(node, path=()):
    yield path
    children = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, child in children:
        yield from paths_in(child, (*path, key))


def keys_in(node):
    return {key for path in paths_in(node) for key in path if isinstance(key, str)}


# bodies that no fixture records, to be deformed like the recorded ones
UNRECORDED: dict[str, list] = {
    "generic": [
        {
            "conversation": "5511900000001",
            "channel": "loja",
            "message_id": "M1",
            "timestamp_ms": 1749766101000,
            "kind": "image",
            "text": "oi",
            "media": {"url": "https://example.com/a.png", "mime": "image/png", "caption": "olha"},
            "sender_name": "Ana",
            "from_me": True,
            "via": "device",
        }
    ],
    "evolution": [
        {
            "event": "send.message",
            "instance": "loja",
            "data": {
                "key": {"remoteJid": "1@lid", "senderPn": "2@s.whatsapp.net", "id": "M1"},
                "message": said,
            },
        }
        for said in (
            {"locationMessage": {"degreesLatitude": 1, "degreesLongitude": 2, "name": "a", "address": "b"}},
            {"contactMessage": {"displayName": "a", "vcard": "TEL;waid=1:+1\nitem1.TEL:2"}},
            {"reactionMessage": {"text": "👍", "key": {"id": "T1"}}},
            {"editedMessage": {"message": {"protocolMessage": {"key": {"id": "T1"}, "type": 14}}}},
        )
    ]
    + [
        {
            "event": "Message",
            "instanceId": "loja",
            "data": {
                "Info": {
                    "Chat": "1@g.us",
                    "Sender": "2@lid",
                    "ID": "M1",
                    "Timestamp": "2025-06-12T19:08:21Z",
                },
                "Message": {"conversation": "oi"},
            },
        }
    ],
    "meta": [
        {
            "object": "whatsapp_business_account",
            "entry": [
                {
                    "changes": [
                        {
                            "field": field,
                            "value": {
                                "metadata": {"phone_number_id": "1"},
                                "contacts": [{"user_id": "BR.1", "profile": {"name": "Ana"}}],
                                items: [{"from_user_id": "BR.1", "to": "2", "id": "M1", "group_id": "G1"} | said],
                            },
                        }
                    ]
                }
            ],
        }
        for field, items in (("messages", "messages"), ("smb_message_echoes", "message_echoes"))
        for said in (
            {"type": "document", "document": {"id": "1", "filename": "a.pdf", "caption": "b"}},
            {"type": "interactive", "interactive": {"nfm_reply": {"name": "flow", "response_json": "{}"}}},
            {"type": "revoke", "revoke": {"original_message_id": "T1"}},
            {"type": "edit", "edit": {"original_message_id": "T1", "message": {"type": "text", "text": {"body": "a"}}}},
        )
    ],
    "twilio": [
        {"MessageSid": "M1", "From": "whatsapp:+1", "To": "+2", "Body": "oi"} | said
        for said in (
            {"ButtonText": "Sim", "ButtonPayload": "1", "ExternalUserId": "whatsapp:BR.1"},
            {"ListTitle": "Sim", "ListId": "1", "OriginalRepliedMessageSid": "T1", "WaId": "1"},
            {"MediaUrl0": "a", "MediaContentType0": "image/webp", "MessageType": "sticker", "MediaUrl1": "b"},
        )
    ],
    "chatwoot": [
        {
            "event": "message_updated",
            "id": 7,
            "account_id": 1,
            "message_type": "outgoing",
            "inbox": {"id": 29269},
            "conversation": {"id": 48, "inbox_id": 29269, "messages": [{"id": 7, "status": 3}]},
            "content_attributes": {"external_error": "131047: Re-engagement message"},
        },
        *(
            {
                "event": "message_created",
                "id": 1,
                "message_type": message_type,
                "created_at": created_at,
                "content_attributes": {"in_reply_to": 7},
                "conversation": {"id": 48, "inbox_id": 2},
                "attachments": [
                    {"file_type": "location", "coordinates_lat": 1, "coordinates_long": 2, "fallback_title": "a"},
                    {"file_type": "contact", "fallback_title": "+1", "meta": {"firstName": "Bia", "lastName": "Sá"}},
                    {"file_type": "fallback", "data_url": "https://example.com"},
                ],
            }
            for message_type, created_at in (("incoming", "2020-03-03 13:05:57 UTC"), (1, 1583240757))
        ),
    ],
    "waha": [
        {
            "event": event,
            "session": "loja",
            "payload": {"id": "true_1@lid_M1", "from": "1@lid", "fromMe": True, "source": "api"} | said,
        }
        for event, said in (
            ("message.any", {"hasMedia": True, "_data": {"key": {"remoteJidAlt": "2@c.us"}, "type": "ptt"}}),
            ("message.any", {"location": {"latitude": 1, "longitude": "2", "description": "a"}, "to": "1@g.us"}),
            ("message.any", {"vCards": ["BEGIN:VCARD\nFN:a\nTEL;waid=1:+1"], "author": "1@lid"}),
            ("message.any", {"_data": {"Message": {"listResponseMessage": {"title": "a"}}, "Info": {"PushName": "b"}}}),
            ("message.any", {"body": "", "_data": {"type": "order"}}),
            ("message.edited", {"editedMessageId": "T1", "body": "a"}),
            ("message.revoked", {"after": {"from": "1@g.us"}, "before": {"id": "false_1@g.us_T1"}}),
        )
    ],
    "zapi": [
        {"type": "ReceivedCallback", "instanceId": "I1", "phone": "1-group", "isEdit": is_edit, "messageId": "M1"}
        | said
        for is_edit in (False, True)
        for said in (
            {"sticker": {"stickerUrl": "a", "mimeType": "image/webp"}, "participantLid": "1@lid"},
            {"listResponseMessage": {"title": "a", "selectedRowId": "1"}},
            {"reaction": {"value": "👍", "referencedMessage": {"messageId": "T1"}}},
            {"pollVote": {"options": [{"name": "a"}, {"name": "b"}]}},
            {"contact": {"displayName": "a", "vCard": "TEL:1", "phones": []}},
            {"text": {"message": "oi"}, "chatName": "Ana", "chatLid": "1@lid"},
        )
    ],
    "uazapi": [
        {"event": "message", "instance": "I1", "data": {"chatid": "1@g.us", "sender_pn": "2", "id": "3:M1"} | said}
        for said in (
            {"messageType": "conversation", "content": {"body": "oi"}, "quoted": "T1", "isGroup": "True"},
            {"messageType": "image", "content": {"mimetype": "image/png"}, "fileURL": "a", "text": "b"},
            {"messageType": "ReactionMessage", "reaction": "T1", "text": "👍"},
            {"messageType": "ContactMessage", "content": {"displayName": "a", "vcard": "TEL;waid=1:+1"}},
            {
                "messageType": "ListResponseMessage",
                "content": {"title": "a", "singleSelectReply": {"selectedRowID": "1"}},
            },
            {"messageType": "PollUpdateMessage", "content": {"vote": {}}, "vote": "a", "buttonOrListid": "b"},
        )
    ],
    "telegram": [
        {
            "message": {
                "message_id": 1,
                "date": 1,
                "chat": {"id": -1, "type": "group"},
                "from": {"id": 2, "is_bot": True},
            }
            | said
        }
        for said in (
            {"venue": {"title": "a", "address": "b", "location": {"latitude": 1, "longitude": 2}}},
            {"location": {"latitude": 1, "longitude": 2}, "reply_to_message": {"message_id": 7}},
            {"voice": {"file_id": "a"}, "caption": "b"},
            {"sticker": {"file_id": "a", "is_animated": True}, "sender_chat": {"id": 3}},
            {"web_app_data": {"data": "a", "button_text": "b"}},
            {"poll": {"question": "a"}, "new_chat_title": "b"},
        )
    ]
    + [
        {
            "callback_query": {
                "id": "1",
                "from": {"id": 2, "first_name": "Ana"},
                "data": "a",
                "message": {
                    "chat": {"id": 1},
                    "reply_markup": {"inline_keyboard": [[{"callback_data": "a", "text": "b"}]]},
                },
            }
        }
    ],
}
BODIES = {
    name: [read(name, body_of(*case)) for case in CASES if case[0] == name] + UNRECORDED.get(name, [])
    for name in GATEWAYS
}
DEFORMABLE = {
    name: bodies
    + [body for gateway, case in FIELD_CASES if gateway == name for body in field_case(name, case)["bodies"]]
    for name, bodies in BODIES.items()
}
"""Bodies to deform at random. Those of the field are too many for every odd value in every place."""

KNOWN_KEYS = sorted(set().union(*(keys_in(body) for bodies in DEFORMABLE.values() for body in bodies)))
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20)
    | st.sampled_from(["", "REVOKE", "MESSAGE_EDIT", "@lid", "@s.whatsapp.net", "1:2@g.us", "\ud83d", "\x00"])
)
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KNOWN_KEYS) | st.text(), inner, max_size=4)
    ),
    max_leaves=12,
)


def deform(body, path, how, anything):
    """Replace, delete or wrap the node at a path, or the whole body if the path is empty."""
    if not path:
        return anything if how == "replace" else {"message": body} if how == "wrap" else body
    parent = body
    for key in path[:-1]:
        parent = parent[key]
    if how == "delete":
        del parent[path[-1]]
    else:
        parent[path[-1]] = anything if how == "replace" else {"message": parent[path[-1]]}
    return body


@st.composite
def deformed(draw, gateway):
    body = copy.deepcopy(draw(st.sampled_from(DEFORMABLE[gateway])))
    for _ in range(draw(st.integers(1, 4))):
        path = draw(st.sampled_from(list(paths_in(body))))
        how = draw(st.sampled_from(["replace", "delete", "wrap"]))
        body = deform(body, path, how, draw(ANYTHING) if how == "replace" else None)
    return body


def assert_well_formed(event):
    """Assert the right types, times that Redis can hold, and values that can be serialised."""
    if isinstance(event, Ignored):
        assert event.reason in IGNORED_REASONS
        assert (event.shape is None) is (event.reason != "misfit")
        return
    if isinstance(event, DeliveryStatus):
        assert event.channel
        assert event.message_id or event.own_mark
        assert bool(event.reason) is (event.state == "failed")
        orjson.dumps(asdict(event))
        return
    assert all(isinstance(part, str) and part for part in event.conversation)
    orjson.dumps(asdict(event) | {"conversation": list(event.conversation)})
    moment = getattr(event, "timestamp_ms", None)
    assert moment is None or 0 <= moment < MAX_TIME_MS
    if isinstance(event, Message):
        assert event.kind in KINDS
        in_media = (event.media or {}).values()
        for text in (event.text, event.message_id, event.sender_name, event.conversation_alias, *in_media):
            assert text is None or (isinstance(text, str) and text)


def assert_survives(gateway, body):
    with suppress(BadRequest):
        for event in GATEWAYS[gateway].parse(Request({}, {}, "", write(gateway, body))):
            assert_well_formed(event)


@pytest.mark.parametrize("gateway", sorted(GATEWAYS))
def test_no_single_odd_value_breaks_a_parser(gateway):
    """Every node of every body, exchanged for every type of JSON: well-formed events or BadRequest."""
    odd = [None, True, 0, -7, 1.5, 2**70, "", "x", [], [7], ["x", {}], {}, {"x": 7}, {"message": {}}]
    for body in BODIES[gateway]:
        for path in list(paths_in(body)):
            for value in odd:
                assert_survives(gateway, deform(copy.deepcopy(body), path, "replace", copy.deepcopy(value)))
            assert_survives(gateway, deform(copy.deepcopy(body), path, "delete", None))


@pytest.mark.parametrize("gateway", sorted(SECRETS))
def test_no_bytes_break_a_gateway(gateway):
    """No bytes, headers or query are accepted without the secret, and no parser raises anything but BadRequest."""
    recorded = [body_of(*case) for case in CASES if case[0] == gateway]
    configured = settings_for(gateway, {"secret": "a-secret"})
    names = sorted({name.lower() for case in CASES if case[0] == gateway for name in described(*case)["headers"]})
    strings = st.text(st.characters(max_codepoint=255), max_size=20)
    noise = st.binary(max_size=40) | st.sampled_from(
        [b"[" * 5000, b"%" * 50, b"%f", b"&=" * 2000, b'"\\ud83d"', b"\xff"]
    )

    @settings(max_examples=300, deadline=None)
    @given(
        st.sampled_from(recorded),
        noise,
        st.integers(0, 3000),
        st.dictionaries(st.sampled_from([*names, "authorization"]), strings),
        st.dictionaries(st.sampled_from(["token", "bodySHA256"]), strings),
    )
    def holds(body, noise, at, headers, query):
        request = Request(headers, query, "", body[:at] + noise + body[at:], "/webhooks/x", "a=1")
        assert not GATEWAYS[gateway].verify(request, configured)
        with suppress(BadRequest):
            for event in GATEWAYS[gateway].parse(request):
                assert_well_formed(event)

    holds()


@pytest.mark.parametrize("gateway", sorted(GATEWAYS))
def test_no_body_breaks_a_parser(gateway):
    """Whatever JSON arrives, a parser returns well-formed events or raises BadRequest, nothing else."""

    @settings(max_examples=400, deadline=None)
    @given(deformed(gateway))
    def holds(body):
        assert_survives(gateway, body)

    holds()

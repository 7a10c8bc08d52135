"""WAHA: its signature, and the forms of its bodies that are not among the fixtures."""

import hashlib
import hmac
import json
from pathlib import Path

import pytest

from buffer.models import Conversation, Edit, Ignored, Presence, Revoke
from config.settings import Settings
from gateways import waha
from gateways.base import BadRequest, Request
from tests.recorded_bodies import heard

(VECTOR,) = json.loads((Path(__file__).parent.parent / "fixtures/auth_vectors.json").read_bytes())["waha"]
BODY = VECTOR["body_utf8"].encode()
SIGNATURE = VECTOR["X-Webhook-Hmac"]
PHONE = "5511900000001@c.us"
OWN = "5511900000000@c.us"
LID = "100000000000001@lid"
GROUP = "120363040000000001@g.us"
ANA = Conversation("waha", "loja", "5511900000001")


def accepted(signature, algorithm=None, body=BODY, key=VECTOR["key"]):
    headers = {"x-webhook-hmac": signature} | ({"x-webhook-hmac-algorithm": algorithm} if algorithm else {})
    return waha.verify(Request(headers, {}, "", body), Settings(_env_file=None, waha_hmac_key=key))


def parse(event="message", **payload):
    told = {"id": f"false_{PHONE}_M1", "timestamp": 1667561485, "from": PHONE, "fromMe": False} | payload
    body = {"event": event, "session": "loja", "payload": told}
    return heard(waha.parse(Request({}, {}, "", json.dumps(body).encode())))


def said(event="message", **payload):
    (message,) = parse(event, **payload)
    return message


def test_it_is_open_with_its_key():
    """The gateway is open when the key is configured, and closed without."""
    assert waha.is_open(Settings(_env_file=None, waha_hmac_key="k"))
    assert not waha.is_open(Settings(_env_file=None))


@pytest.mark.parametrize("algorithm", ["sha512", "SHA512", None])
@pytest.mark.parametrize("signature", [SIGNATURE, SIGNATURE.upper()])
def test_the_published_signature_opens(signature, algorithm):
    """The vector of WAHA's documentation is accepted, in capitals too, and without the name of the algorithm."""
    assert accepted(signature, algorithm)


@pytest.mark.parametrize(
    ("signature", "other"),
    [
        (SIGNATURE, {"key": "another"}),
        (SIGNATURE, {"key": None}),
        (SIGNATURE, {"body": BODY + b" "}),
        (SIGNATURE, {"algorithm": "sha256"}),
        (SIGNATURE[:-1], {}),
        ("sha512=" + SIGNATURE, {}),
        ("", {}),
        ("é", {}),
        (VECTOR["key"], {}),
        (hmac.digest(VECTOR["key"].encode(), BODY, hashlib.sha256).hex(), {"algorithm": "sha256"}),
    ],
)
def test_no_other_signature_opens(signature, other):
    """Another key, body or algorithm, a part of the signature or the key itself do not open."""
    assert not accepted(signature, **other)


@pytest.mark.parametrize("headers", [{"authorization": "Bearer k"}, {"x-webhook-hmac": ""}, {}])
def test_the_key_is_no_static_token(headers):
    """The key proves nothing unless the body is signed with it."""
    request = Request(headers, {"token": "k"}, "", BODY)
    assert not waha.verify(request, Settings(_env_file=None, waha_hmac_key="k"))


@pytest.mark.parametrize(
    "event", [None, "", 7, [], "message.ack", "message.waiting", "poll.vote", "call.received", "engine.event", "x"]
)
def test_other_events_are_ignored(event):
    """Other events are no error."""
    assert parse(event, body="oi") == []


@pytest.mark.parametrize("session", [None, "", [], {}])
def test_a_message_without_session_is_refused_by_name(session):
    """Without the session the channel is unknown, and the error names the field."""
    body = {"event": "message", "session": session, "payload": {"id": "1", "from": PHONE, "body": "oi"}}
    with pytest.raises(BadRequest, match="`session`"):
        waha.parse(Request({}, {}, "", json.dumps(body).encode()))


@pytest.mark.parametrize("event", ["message", "message.any"])
def test_both_message_events_give_the_same_message(event):
    """A subscription to both events gives the same message id twice, which is a duplicate."""
    assert (said(event, body="oi").message_id, said(event, body="oi").text) == (f"false_{PHONE}_M1", "oi")


@pytest.mark.parametrize("chat", ["status@broadcast", "1@broadcast", "1@newsletter", "", None, []])
def test_broadcasts_newsletters_and_missing_addresses_are_ignored(chat):
    """Broadcasts, newsletters and a chat without a name give no event of any kind."""
    presences = [{"participant": PHONE, "lastKnownPresence": "typing"}]
    assert parse(**{"from": chat}, body="oi", participant=PHONE) == []
    assert parse("presence.update", id=chat, presences=presences) == []


@pytest.mark.parametrize(
    "names",
    [
        {"from": OWN, "to": PHONE},
        {"from": PHONE, "to": OWN},
        {"from": PHONE, "to": PHONE},
        {"id": "M1", "from": OWN, "to": PHONE},
        {"id": "true_x_M1", "from": OWN, "to": PHONE},
        {"id": "M1", "from": PHONE},
    ],
)
def test_our_own_message_belongs_to_the_other_side(names):
    """Some engines have us in `from`. The chat is in the message id, else in `to`."""
    message = said("message.any", **{"id": f"true_{PHONE}_M1", "fromMe": True, "body": "olá"} | names)
    assert (message.conversation, message.from_me) == (ANA, True)


@pytest.mark.parametrize(
    ("from_me", "source", "extra"), [(True, "api", {"via_api": True}), (True, "app", {}), (False, "api", {})]
)
def test_our_own_message_is_marked_as_sent_via_the_api(from_me, source, extra):
    """Only our own messages can have come through the API."""
    assert said("message.any", fromMe=from_me, source=source, body="oi").extra == extra


@pytest.mark.parametrize(
    "data",
    [
        {"key": {"remoteJidAlt": "5511900000001@s.whatsapp.net"}},
        {"key": {"senderPn": "5511900000001:7@s.whatsapp.net"}},
        {"Info": {"SenderAlt": "5511900000001:7@s.whatsapp.net"}},
    ],
)
def test_a_lid_is_known_by_its_phone(data):
    """The engine's data may name the phone of a lid chat: it is the conversation, the lid its twin."""
    message = said(**{"from": LID}, body="oi", _data=data)
    assert (message.conversation, message.conversation_alias) == (ANA, LID)


def test_our_own_phone_is_no_alias_of_the_person():
    """In a message that we sent, the sender's other name is ours."""
    data = {"key": {"senderPn": OWN}, "Info": {"SenderAlt": OWN}}
    ours = {"id": f"true_{LID}_M1", "from": LID, "fromMe": True, "body": "olá"}
    assert said("message.any", **ours, _data=data).conversation.peer == LID
    known = said("message.any", **ours, _data={"Info": {"RecipientAlt": PHONE}})
    assert (known.conversation, known.conversation_alias) == (ANA, LID)


@pytest.mark.parametrize(
    "names",
    [
        {"participant": PHONE},
        {"author": PHONE},
        {"participant": LID, "_data": {"Info": {"SenderAlt": PHONE}}},
        {"participant": LID, "_data": {"key": {"participantAlt": PHONE}}},
        {"participant": LID, "_data": {"key": {"participantPn": PHONE}}},
    ],
)
def test_the_author_in_a_group_is_a_phone_when_one_is_known(names):
    """The group is the conversation, its author told by phone."""
    message = said(**{"from": GROUP, "body": "oi"} | names)
    assert (message.conversation.peer, message.is_group, message.conversation_alias) == (GROUP, True, None)
    assert message.extra == {"participant": "5511900000001"}


@pytest.mark.parametrize(
    "data", [{"Info": {"PushName": "Ana"}}, {"pushName": "Ana"}, {"notifyName": "Ana"}, {"Info": [], "pushName": "Ana"}]
)
def test_the_name_is_where_the_engine_puts_it(data):
    """Each engine has its own place for the name of the sender."""
    assert said(body="oi", _data=data).sender_name == "Ana"


@pytest.mark.parametrize(
    ("mime", "kind"),
    [
        ("image/jpeg", "image"),
        ("audio/ogg; codecs=opus", "audio"),
        ("VIDEO/mp4", "video"),
        ("application/pdf", "document"),
        ("text/csv", "document"),
    ],
)
def test_the_kind_of_a_file_is_in_its_type(mime, kind):
    """The type of a file tells its kind; the body beside it is the caption."""
    message = said(body="olha", hasMedia=True, media={"url": "http://waha/x", "mimetype": mime})
    media = {"url": "http://waha/x", "id": None, "mime": mime, "caption": "olha"}
    assert (message.kind, message.text, message.media) == (kind, "olha", media)


@pytest.mark.parametrize(
    ("payload", "kind", "mime"),
    [
        ({"media": None}, "unknown", None),
        ({}, "unknown", None),
        ({"media": {"url": None, "mimetype": "image/png", "error": {"message": "x"}}}, "image", "image/png"),
        ({"media": None, "_data": {"type": "ptt"}}, "audio", None),
        ({"media": None, "_data": {"message": {"videoMessage": {"mimetype": "video/mp4"}}}}, "video", "video/mp4"),
        ({"media": None, "_data": {"Message": {"documentMessage": {"fileName": "a.jpg"}}}}, "document", None),
        ({"media": {"mimetype": "image/png"}, "_data": {"message": {"documentMessage": {}}}}, "document", "image/png"),
    ],
)
def test_a_file_that_was_not_downloaded_is_still_a_message(payload, kind, mime):
    """Without a url, or without any `media`, the engine's data has the kind of the file."""
    message = said(body="olha", hasMedia=True, **payload)
    assert (message.kind, message.text, message.media["url"], message.media["mime"]) == (kind, "olha", None, mime)


@pytest.mark.parametrize("data", [{"type": "sticker"}, {"message": {"stickerMessage": {"mimetype": "image/webp"}}}])
def test_a_sticker_is_an_image(data):
    """A sticker is marked as one."""
    message = said(body=None, hasMedia=True, media={"url": "u", "mimetype": "image/webp"}, _data=data)
    assert (message.kind, message.extra) == ("image", {"sticker": True})


def test_the_picture_of_a_map_is_no_text():
    """An engine puts the map of a location into the body, in base64: the text is what is written about the place."""
    place = {"latitude": "-23.5", "longitude": -46.6, "name": "Loja", "address": "Rua A, 1"}
    message = said(body="/9j/4AAQSkZJRg", location=place)
    assert (message.kind, message.text) == ("location", "Loja, Rua A, 1")
    assert message.extra["location"] == {"lat": -23.5, "lng": -46.6, "name": "Loja", "address": "Rua A, 1"}
    assert said(body="/9j", location={"latitude": 1, "longitude": 2, "description": "Loja"}).text == "Loja"
    assert said(body="/9j", location={"latitude": 1, "longitude": 2}).text is None


def test_contacts_are_read_from_their_cards():
    """Each card gives its name and phones, with WhatsApp's own number in place of the written one."""
    cards = ["BEGIN:VCARD\r\nFN:Bruno Lima\r\nTEL;waid=5511900000009:+55 11 90000-0009\r\nEND:VCARD", 7]
    message = said(body="", vCards=cards)
    assert (message.kind, message.text) == ("contact", "Bruno Lima")
    assert message.extra["contacts"] == [{"name": "Bruno Lima", "phones": ["5511900000009"]}]


@pytest.mark.parametrize("holder", ["message", "Message"])
def test_a_choice_in_a_list_is_found_in_the_engines_data(holder):
    """WAHA's body has only the title of a chosen row. Its id is in the engine's data."""
    row = {"title": "Plano A", "singleSelectReply": {"selectedRowId": "a"}}
    message = said(body="Plano A", _data={holder: {"listResponseMessage": row}})
    assert (message.kind, message.text, message.extra["interactive"]["id"]) == ("interactive", "Plano A", "a")


@pytest.mark.parametrize(
    ("data", "raw_type", "text", "raw"),
    [
        ({"message": {"pollCreationMessage": {"name": "x"}}}, "pollCreationMessage", "x", {"name": "x"}),
        ({"type": "product"}, "product", None, {"type": "product"}),
        ({"type": "event_creation", "eventName": "x", "id": {}}, "event_creation", "x", None),
    ],
)
def test_unknown_types_are_kept(data, raw_type, text, raw):
    """A message of a type we do not know reaches the agent under the engine's word for it, with its fields."""
    message = said(body=None, _data=data)
    assert (message.kind, message.text) == ("unknown", text)
    assert message.extra == {"raw_type": raw_type, "raw": raw or {"type": "event_creation", "eventName": "x"}}


def test_a_text_of_an_unknown_type_is_a_text():
    """A text in the body is a message, even if the engine's type is unknown."""
    message = said(body="oi", _data={"message": {"someFutureMessage": {"x": 1}}})
    assert (message.kind, message.text) == ("text", "oi")


@pytest.mark.parametrize("data", [None, {}, {"type": "e2e_notification"}, {"type": "revoked"}, {"type": ["x"]}])
def test_messages_without_content_are_ignored(data):
    """Notices of WhatsApp itself and empty bodies give no message."""
    assert parse(body="", _data=data) == []


@pytest.mark.parametrize(
    "target", ["T1", f"false_{PHONE}_T1", f"true_{PHONE}_T1", f"false_{GROUP}_T1_{PHONE}"], ids=range(4)
)
def test_changes_name_their_target_by_its_raw_id(target):
    """An edit and a revoke name the raw id, with the chat before it or without."""
    edit = Edit(ANA, "T1", "novo", 1667561485000)
    assert parse("message.edited", editedMessageId=target, body="novo") == [edit]
    after = {"id": f"false_{PHONE}_R1", "from": PHONE}
    assert parse("message.revoked", after=after, before=None, revokedMessageId=target) == [Revoke(ANA, "T1")]


def test_a_revoke_of_an_old_version_has_its_target_in_before_or_after():
    """Where the target has no field of its own, `before` is the message, and `after` shares its id."""
    stub = {"id": f"false_{PHONE}_T1", "from": PHONE}
    assert parse("message.revoked", after={"id": f"false_{PHONE}_R1", "from": PHONE}, before=stub) == [
        Revoke(ANA, "T1")
    ]
    assert parse("message.revoked", after=stub) == [Revoke(ANA, "T1")]


@pytest.mark.parametrize(
    "payload", [{"body": "novo"}, {"editedMessageId": "T1"}, {"editedMessageId": "T1", "body": ""}]
)
def test_a_change_without_target_or_text_changes_nothing(payload):
    """An incomplete edit or revoke is ignored."""
    assert parse("message.edited", **payload) == []
    assert parse("message.revoked", after={"from": PHONE}) == []


def test_a_revoke_without_a_notice_names_the_chat_itself():
    """Where `after` and `before` are absent, the chat is that of the payload."""
    assert parse("message.revoked", revokedMessageId="T1") == [Revoke(ANA, "T1")]


def test_presence_in_a_group_names_its_author():
    """One event can have several people. An unknown state is skipped."""
    presences = [
        {"participant": PHONE, "lastKnownPresence": "typing"},
        {"participant": LID, "lastKnownPresence": "recording"},
        {"participant": OWN, "lastKnownPresence": "dancing"},
        {"participant": OWN, "lastKnownPresence": ["typing"]},
        "typing",
    ]
    group = Conversation("waha", "loja", GROUP)
    expected = [Presence(group, "composing", "5511900000001"), Presence(group, "recording", LID)]
    assert parse("presence.update", id=GROUP, presences=presences) == expected


def test_an_unknown_state_is_ignored_with_a_reason():
    """A state that tells nothing of typing is no event, and no body of unknown form either."""
    body = {"event": "presence.update", "session": "loja"}
    payload = {"id": PHONE, "presences": [{"participant": PHONE, "lastKnownPresence": "dancing"}]}
    request = Request({}, {}, "", json.dumps(body | {"payload": payload}).encode())
    assert waha.parse(request) == [Ignored("presence")]


def test_presence_of_a_lid_chat_is_known_by_its_phone():
    """A presence that names the phone beside the lid goes to the phone's conversation."""
    presences = [{"participant": PHONE, "lastKnownPresence": "typing"}]
    assert parse("presence.update", id=LID, presences=presences) == [Presence(ANA, "composing")]

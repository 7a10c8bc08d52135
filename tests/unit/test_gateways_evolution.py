"""Evolution: credentials, and the forms of its bodies that are not among the fixtures."""

import base64
import hmac
import json
from pathlib import Path

import pytest

from buffer.models import Conversation, Edit, Ignored, Presence, Revoke
from config.settings import Settings
from gateways import evolution
from gateways.base import BadRequest, Request
from tests.recorded_bodies import heard

(VECTOR,) = json.loads((Path(__file__).parent.parent / "fixtures/auth_vectors.json").read_bytes())["evolution"]
EXPIRY_S = VECTOR["claims"]["exp"]
TOKEN = "a-static-token"
PHONE = "5511900000001@s.whatsapp.net"
LID = "100000000000001@lid"
OWN = "5511900000000@s.whatsapp.net"
ANA = Conversation("evolution", "loja", "5511900000001")


def configured(token=None, jwt_key=None):
    return Settings(_env_file=None, evolution_token=token, evolution_jwt_key=jwt_key)


def asking(headers=None, query=None, body=b"{}"):
    return Request(headers or {}, query or {}, "", body)


def parse(event="messages.upsert", data=None, **envelope):
    body = {"event": event, "instance": "loja", "sender": OWN, "data": data} | envelope
    return heard(evolution.parse(asking(body=json.dumps(body).encode())))


def record(message, **key):
    return {
        "key": {"remoteJid": PHONE, "fromMe": False, "id": "M1"} | key,
        "message": message,
        "messageTimestamp": 1749766101,
    }


def said(message, **key):
    (event,) = parse(data=record(message, **key))
    return event


def jwt(claims, key=VECTOR["jwt_key"]):
    parts = [{"alg": "HS256", "typ": "JWT"}, claims]
    signed = b".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in parts)
    digest = hmac.digest(key.encode(), signed, "sha256")
    return (signed + b"." + base64.urlsafe_b64encode(digest).rstrip(b"=")).decode()


def jwt_opens(token, now_s=EXPIRY_S):
    request = asking({"authorization": f"Bearer {token}"})
    return evolution.verify(request, configured(jwt_key=VECTOR["jwt_key"]), clock=lambda: now_s)


def test_either_secret_opens_the_gateway():
    """The gateway is open with a static token or a jwt_key, and closed without both."""
    assert evolution.is_open(configured(token=TOKEN))
    assert evolution.is_open(configured(jwt_key="k"))
    assert not evolution.is_open(configured())


@pytest.mark.parametrize(
    ("headers", "query"),
    [
        ({"authorization": f"Bearer {TOKEN}"}, {}),
        ({"authorization": f"bearer  {TOKEN}"}, {}),
        ({"authorization": TOKEN}, {}),
        ({"apikey": TOKEN}, {}),
        ({}, {"token": TOKEN}),
        ({}, {"token": f"{TOKEN}/messages-upsert"}),
        ({"authorization": "Basic abc"}, {"token": TOKEN}),
    ],
)
def test_the_static_token_is_found_where_evolution_can_put_it(headers, query):
    """The token opens as a header or in the URL, also with the event name glued to it."""
    assert evolution.verify(asking(headers, query), configured(token=TOKEN))


@pytest.mark.parametrize(
    ("headers", "query"),
    [
        ({}, {}),
        ({"authorization": f"Bearer {TOKEN}x"}, {}),
        ({"authorization": "Bearer "}, {"token": ""}),
        ({"x-token": TOKEN}, {}),
        ({}, {"token": f"{TOKEN}x/messages-upsert"}),
        ({}, {"token": f"x/{TOKEN}"}),
        ({"authorization": "Bearer ção"}, {}),
    ],
)
def test_no_other_token_opens(headers, query):
    """A missing, wrong, empty or misplaced token does not open."""
    assert not evolution.verify(asking(headers, query), configured(token=TOKEN))


def test_a_token_with_a_slash_survives_the_event_name():
    """Only the event name is cut off the URL's token, not a part of the token itself."""
    request = asking(query={"token": "se/cret/messages-upsert"})
    assert evolution.verify(request, configured(token="se/cret"))


def test_the_recorded_jwt_opens():
    """The published vector is accepted with its key, and refused with another or with none."""
    request = asking({"authorization": VECTOR["Authorization"]})
    for key, opens in ((VECTOR["jwt_key"], True), ("another", False), (None, False)):
        assert evolution.verify(request, configured(jwt_key=key), clock=lambda: EXPIRY_S) is opens


@pytest.mark.parametrize(("late_s", "opens"), [(-600, True), (0, True), (1800, True), (1801, False)])
def test_a_late_retry_may_bring_an_expired_jwt(late_s, opens):
    """An expired token is accepted for half an hour and not a second more."""
    assert jwt_opens(jwt(VECTOR["claims"]), EXPIRY_S + late_s) is opens


def test_the_jwt_claims_app_and_action_are_not_needed():
    """Only the signature and the expiry count."""
    assert jwt_opens(jwt({"exp": EXPIRY_S}))


@pytest.mark.parametrize("claims", [{}, {"exp": None}, {"exp": "9999999999"}, {"exp": [1]}, [], 7, None])
def test_a_jwt_without_a_proper_expiry_is_refused(claims):
    """A correctly signed token that would be valid for ever does not open."""
    assert not jwt_opens(jwt(claims))


@pytest.mark.parametrize("token", ["", ".", "..", "a.b.c", "a.b", "€.€.€", VECTOR["jwt_key"]])
def test_a_malformed_jwt_is_refused(token):
    """Malformed tokens are refused, without an exception."""
    assert not jwt_opens(token)


def test_a_changed_jwt_is_refused():
    """Neither the claims nor the signature of a token can be exchanged, nor the signature dropped."""
    header, claims, signature = jwt(VECTOR["claims"]).split(".")
    other = jwt({"exp": EXPIRY_S + 9}).split(".")[1]
    for forged in (
        f"{header}.{other}.{signature}",
        f"{header}.{claims}.{signature[:-2]}",
        f"{header}.{claims}.",
    ):
        assert not jwt_opens(forged)


def test_a_signed_body_that_is_not_json_is_refused():
    """A correct signature over something that is no claims object does not open, nor raise."""
    signed = b"e30.!!!!"
    digest = hmac.digest(VECTOR["jwt_key"].encode(), signed, "sha256")
    assert not jwt_opens((signed + b"." + base64.urlsafe_b64encode(digest).rstrip(b"=")).decode())


@pytest.mark.parametrize("body", [b"[]", b'"x"', b"7", b"null", b"", b"{", b"\xff", b'{"a":NaN}'])
def test_a_body_that_is_no_object_is_refused(body):
    """Only a JSON object can be an Evolution body; the error says what came instead."""
    with pytest.raises(BadRequest, match="body"):
        evolution.parse(asking(body=body))


@pytest.mark.parametrize("event", [None, 7, [], "", "contacts.update", "messages.set", "send.message.update"])
def test_other_events_are_ignored(event):
    """An unknown, missing or odd event is no error, even without an instance."""
    assert parse(event=event, data=record({"conversation": "oi"}), instance=None) == []


@pytest.mark.parametrize("instance", [None, "", [], {}, True])
def test_a_message_without_instance_is_refused_by_name(instance):
    """Without the instance the channel is unknown, and the error names the field."""
    with pytest.raises(BadRequest, match="`instance`"):
        parse(data=record({"conversation": "oi"}), instance=instance)


@pytest.mark.parametrize("jid", ["status@broadcast", "12345@broadcast", "12345@newsletter", "", None, [], "@lid"])
def test_broadcasts_newsletters_and_missing_addresses_are_ignored(jid):
    """Broadcasts, newsletters and a chat without a name give no event of any kind."""
    assert parse(data=record({"conversation": "oi"}, remoteJid=jid, remoteJidAlt="status@broadcast")) == []
    presences = {PHONE: {"lastKnownPresence": "composing"}}
    assert parse("presence.update", {"id": jid, "presences": presences}) == []


@pytest.mark.parametrize(
    ("key", "peer", "alias"),
    [
        ({"remoteJid": LID, "senderPn": PHONE}, "5511900000001", LID),
        ({"remoteJid": LID, "remoteJidAlt": PHONE}, "5511900000001", LID),
        ({"remoteJid": PHONE, "remoteJidAlt": LID}, "5511900000001", LID),
        ({"remoteJid": PHONE, "senderLid": LID}, "5511900000001", LID),
        ({"remoteJid": "100000000000001:7@lid"}, LID, None),
        ({"remoteJid": LID, "remoteJidAlt": 7, "senderPn": []}, LID, None),
        ({"remoteJid": "5511900000001@c.us"}, "5511900000001", None),
    ],
)
def test_the_phone_is_the_peer_in_any_field(key, peer, alias):
    """The phone wins over the lid, which is kept as the alias; a lone lid stays whole."""
    message = said({"conversation": "oi"}, **key)
    assert (message.conversation.peer, message.conversation_alias) == (peer, alias)


def test_our_own_jids_are_no_alias_of_the_person():
    """In a message that we sent, the sender's phone and lid are ours and must not name the conversation."""
    ours = {
        "remoteJid": LID,
        "fromMe": True,
        "senderPn": "5511900000000:3@s.whatsapp.net",
        "senderLid": "9@lid",
    }
    message = said({"conversation": "oi"}, **ours)
    assert (message.conversation.peer, message.conversation_alias) == (LID, None)
    assert said({"conversation": "oi"}, **ours | {"remoteJid": PHONE}).conversation_alias is None


def test_a_note_to_ourselves_is_a_conversation():
    """A chat with our own number keeps that number: only aliases are compared with it."""
    assert said({"conversation": "oi"}, remoteJid=OWN).conversation.peer == "5511900000000"


def test_the_author_in_a_group_is_a_phone_when_one_is_known():
    """A group is the conversation, and the participant is the author's phone or whole lid."""
    group = {"remoteJid": "5511900000000-1600000000@g.us", "participant": LID}
    assert said({"conversation": "oi"}, **group).extra["participant"] == LID
    known = said({"conversation": "oi"}, **group, participantPn=PHONE)
    assert (known.conversation.peer, known.is_group) == (group["remoteJid"], True)
    assert (known.extra["participant"], known.conversation_alias) == ("5511900000001", None)


def test_an_answer_through_the_api_is_ours():
    """send.message is always from us and marked as sent through the API, whatever its key says."""
    (message,) = parse("SEND_MESSAGE", record({"conversation": "olá"}))
    assert message.from_me
    assert message.extra == {"via_api": True}


@pytest.mark.parametrize(("from_me", "ours"), [(True, True), ("true", True), (False, False), (None, False)])
def test_from_me_is_read_loosely(from_me, ours):
    """A message of a person on our side is from us."""
    assert said({"conversation": "oi"}, fromMe=from_me).from_me is ours


@pytest.mark.parametrize(
    ("written", "timestamp_ms"),
    [
        (1749766101.5, 1749766101500),
        ("1749766101", 1749766101000),
        ({"low": 1749766101, "high": 0}, 1749766101000),
        (None, None),
        (True, None),
        (0, None),
        (-5, None),
        ("soon", None),
        (10**16, None),
        (1e300, None),
        ({"low": 1}, None),
    ],
)
def test_a_timestamp_is_milliseconds_or_nothing(written, timestamp_ms):
    """Seconds in any form become milliseconds, and an impossible time becomes None."""
    (message,) = parse(data=record({"conversation": "oi"}) | {"messageTimestamp": written})
    assert message.timestamp_ms == timestamp_ms


@pytest.mark.parametrize(
    "message",
    [
        {"ephemeralMessage": {"message": {"extendedTextMessage": {"text": "oi"}}}},
        {"viewOnceMessageV2": {"message": {"conversation": "oi"}}},
        {"editedMessage": {"message": {"conversation": "oi"}}},
        {"messageContextInfo": {}, "conversation": "oi"},
        {"imageMessage": None, "conversation": "oi"},
        {"conversation": "", "extendedTextMessage": {"text": "oi"}},
    ],
)
def test_a_text_is_found_in_any_wrapping(message):
    """The type is what the message holds, under its wrappers and beside empty fields."""
    assert (said(message).kind, said(message).text) == ("text", "oi")


def test_two_hundred_wrappers_are_taken_off():
    """The text is found at any depth, because `unwrap` does not recurse."""
    message = {"conversation": "oi"}
    for _ in range(200):
        message = {"ephemeralMessage": {"message": message}}
    assert said(message).text == "oi"


def test_media_beside_a_wrapper_belongs_to_what_is_inside():
    """Evolution puts the decrypted file beside the outermost wrapper; the encrypted address is never used."""
    image = {"url": "https://mmg.whatsapp.net/x.enc", "mimetype": "image/jpeg", "caption": "olha"}
    message = said(
        {
            "viewOnceMessage": {"message": {"imageMessage": image}},
            "mediaUrl": "https://s3/x",
            "base64": "aGk=",
        }
    )
    assert (message.kind, message.text) == ("image", "olha")
    assert message.media == {
        "url": "https://s3/x",
        "id": "M1",
        "mime": "image/jpeg",
        "caption": "olha",
        "base64": "aGk=",
    }


@pytest.mark.parametrize(
    "message",
    [
        None,
        [],
        {},
        {"conversation": ""},
        {"messageContextInfo": {"deviceListMetadataVersion": 2}},
        {"senderKeyDistributionMessage": {"groupId": "g"}},
        {"albumMessage": {"expectedImageCount": 3}},
        {"protocolMessage": {"type": "EPHEMERAL_SETTING", "key": {"id": "T1"}}},
        {"reactionMessage": {"text": "", "key": {"id": "T1"}}},
        {"reactionMessage": {"key": {"id": "T1"}}},
        {"extendedTextMessage": {"text": ""}},
    ],
)
def test_messages_without_content_are_ignored(message):
    """Headers, protocol, empty texts and removed reactions give no message."""
    assert parse(data=record(message)) == []


@pytest.mark.parametrize("kind", ["locationMessage", "liveLocationMessage"])
def test_a_location_has_numbers_and_a_readable_text(kind):
    """Coordinates are numbers even when sent as text; name and address are the text."""
    place = {"degreesLatitude": "-23.5", "degreesLongitude": -46.6, "name": "Loja", "address": "Rua A, 1"}
    message = said({kind: place})
    assert (message.kind, message.text) == ("location", "Loja, Rua A, 1")
    assert message.extra["location"] == {"lat": -23.5, "lng": -46.6, "name": "Loja", "address": "Rua A, 1"}


def test_a_location_without_coordinates_is_still_a_location():
    """What is missing or impossible is None, not an error."""
    message = said({"locationMessage": {"degreesLatitude": "nan", "degreesLongitude": True}})
    assert message.extra["location"] == {"lat": None, "lng": None, "name": None, "address": None}
    assert message.text is None


def test_a_contact_has_every_phone_of_its_card():
    """WhatsApp's own number is preferred to the written one, in every form of vCard line."""
    lines = ["BEGIN:VCARD", "item1.TEL;waid=5511900000009:+55 11 90000-0009", "TEL;type=HOME: +1 555 0100 "]
    card = "\r\n".join([*lines, "END:VCARD"])
    message = said({"contactMessage": {"displayName": "Bruno", "vcard": card}})
    assert (message.kind, message.text) == ("contact", "Bruno")
    assert message.extra["contacts"] == [{"name": "Bruno", "phones": ["5511900000009", "+1 555 0100"]}]


def test_a_reaction_names_its_target():
    """A reaction is a message of its own with the emoji as text."""
    message = said({"reactionMessage": {"text": "👍", "key": {"id": "T1"}}})
    assert (message.kind, message.text, message.extra) == ("reaction", "👍", {"target_id": "T1"})


@pytest.mark.parametrize("params", ["", "{", "[]", '{"id":7}', None, {}])
def test_a_broken_native_flow_still_shows_its_title(params):
    """The JSON inside the JSON may be anything; the visible title is the text all the same."""
    flow = {"body": {"text": "Plano"}, "nativeFlowResponseMessage": {"paramsJson": params}}
    message = said({"interactiveResponseMessage": flow})
    assert (message.kind, message.text, message.extra["interactive"]["title"]) == (
        "interactive",
        "Plano",
        "Plano",
    )


def test_the_text_of_a_choice_without_a_title_is_its_id():
    """A tapped button is never silent: without a title its id is the text."""
    assert said({"buttonsResponseMessage": {"selectedButtonId": "sim"}}).text == "sim"


@pytest.mark.parametrize("place", ["beside", "inside"])
def test_a_quote_is_found_beside_the_message_and_inside_it(place):
    """Versions differ in where the answered message is named."""
    context = {"contextInfo": {"stanzaId": "Q1"}}
    text = {"text": "sim"} | (context if place == "inside" else {})
    data = record({"extendedTextMessage": text}) | (context if place == "beside" else {})
    (message,) = parse(data=data)
    assert message.extra == {"quoted_id": "Q1"}


@pytest.mark.parametrize("kind", ["MESSAGE_EDIT", 14])
def test_an_edit_is_the_same_event_in_both_forms(kind):
    """An edit comes as an event of its own, or wrapped in a message; the new caption counts as text."""
    protocol = {
        "key": {"remoteJid": PHONE, "fromMe": False, "id": "T1"},
        "type": kind,
        "editedMessage": {"imageMessage": {"caption": "novo"}},
        "timestampMs": "1749766199123",
    }
    edit = Edit(ANA, "T1", "novo", 1749766199123)
    assert parse("messages.edited", protocol) == [edit]
    assert parse(data=record({"editedMessage": {"message": {"protocolMessage": protocol}}})) == [edit]


def test_an_edit_in_a_message_belongs_to_the_chat_of_the_message():
    """The inner key is written from the sender's side, so only its id is used."""
    protocol = {"key": {"remoteJid": OWN, "fromMe": True, "id": "T1"}, "type": 14}
    protocol["editedMessage"] = {"conversation": "novo"}
    assert parse(data=record({"protocolMessage": protocol})) == [Edit(ANA, "T1", "novo", 1749766101000)]


@pytest.mark.parametrize(
    "protocol",
    [
        {"type": "MESSAGE_EDIT", "editedMessage": {"conversation": "novo"}},
        {"type": "MESSAGE_EDIT", "editedMessage": {"imageMessage": {}}, "key": {"id": "T1"}},
        {"type": "MESSAGE_EDIT", "editedMessage": [], "key": {"id": "T1"}},
        {"type": False, "key": {"id": "T1"}},
        {"type": None, "key": {"id": "T1"}},
        {"type": {}, "key": {"id": "T1"}},
    ],
)
def test_a_change_without_target_text_or_type_changes_nothing(protocol):
    """An incomplete edit or revoke is ignored."""
    assert parse(data=record({"protocolMessage": protocol})) == []


@pytest.mark.parametrize("data", [{"remoteJid": PHONE, "id": "T1"}, {"key": {"remoteJid": PHONE, "id": "T1"}}])
def test_a_deletion_is_a_revoke(data):
    """The data is the key itself, or holds it."""
    assert parse("messages.delete", data) == [Revoke(ANA, "T1")]


def test_a_deletion_of_nothing_is_nothing():
    """Without the id of a message there is nothing to take back."""
    assert parse("messages.delete", {"remoteJid": PHONE}) == []


def test_presence_of_a_lid_chat_is_known_by_its_phone():
    """A presence that names the phone beside the lid goes to the phone's conversation."""
    data = {"id": LID, "presences": {PHONE: {"lastKnownPresence": "composing"}}}
    assert parse("presence.update", data) == [Presence(ANA, "composing")]


@pytest.mark.parametrize(
    "presences", [None, [], {PHONE: None}, {PHONE: {"lastKnownPresence": ["composing"]}}, {PHONE: {"x": 1}}]
)
def test_an_odd_presence_is_ignored(presences):
    """Only the known states are events."""
    assert parse("presence.update", {"id": PHONE, "presences": presences}) == []


def test_an_unknown_state_is_ignored_with_a_reason():
    """A state that tells nothing of typing is no event, and no body of unknown form either."""
    data = {"id": PHONE, "presences": {PHONE: {"lastKnownPresence": "dancing"}}}
    body = {"event": "presence.update", "instance": "loja", "data": data}
    assert evolution.parse(asking(body=json.dumps(body).encode())) == [Ignored("presence")]


@pytest.mark.parametrize(
    ("event", "data", "state"),
    [
        ("ChatPresence", {"State": "composing", "Media": ""}, "composing"),
        ("ChatPresence", {"State": "composing", "Media": "audio"}, "recording"),
        ("ChatPresence", {"State": "paused", "Media": ""}, "paused"),
        ("ChatPresence", {"State": "composing", "Chat": LID, "Sender": LID, "SenderAlt": PHONE}, "composing"),
        ("ChatPresence", {"State": "composing", "IsFromMe": True}, None),
        ("ChatPresence", {"State": "dancing"}, None),
        ("ChatPresence", {}, None),
        ("Presence", {"From": PHONE, "Unavailable": False, "LastSeen": "0001-01-01T00:00:00Z"}, "available"),
        ("Presence", {"From": PHONE, "Unavailable": True, "LastSeen": "2025-06-12T19:08:21-03:00"}, "unavailable"),
    ],
)
def test_typing_in_evolution_go(event, data, state):
    """Both presence events of whatsmeow are read. Our own typing is none of the person."""
    source = {"Chat": PHONE, "Sender": "5511900000001:7@s.whatsapp.net", "SenderAlt": "", "IsFromMe": False}
    given = data if "From" in data else source | data
    body = {"event": event, "instanceId": "loja", "instanceToken": "secret", "data": given}
    expected = Presence(ANA, state) if state else Ignored("presence")
    assert evolution.parse(asking(body=json.dumps(body).encode())) == [expected]


def go(message=None, **info):
    told = {
        "Chat": PHONE,
        "Sender": PHONE,
        "SenderAlt": LID,
        "ID": "G1",
        "IsFromMe": False,
        "PushName": "Ana",
        "Timestamp": "2025-06-12T19:08:21-03:00",
    }
    data = {"Info": told | info, "Message": message or {"conversation": "oi"}}
    (event,) = parse("Message", data, instance=None, instanceId="loja", instanceToken="secret")
    return event


def test_an_evolution_go_message_is_read():
    """An Evolution Go event gives the same message, with its time and both jids of the person."""
    message = go()
    assert (message.conversation, message.conversation_alias, message.message_id) == (ANA, LID, "G1")
    assert (message.kind, message.text, message.sender_name) == ("text", "oi", "Ana")
    assert message.timestamp_ms == 1749766101000


def test_the_peer_of_our_own_evolution_go_message_is_the_recipient():
    """In our own message the sender is us: the alias is the recipient's."""
    message = go(IsFromMe=True, Sender=OWN, SenderAlt="9@lid", RecipientAlt=LID)
    assert (message.conversation, message.conversation_alias, message.from_me) == (ANA, LID, True)


@pytest.mark.parametrize("written", ["2025-06-12T19:08:21", "yesterday", None, "0001-01-01T00:00:00Z", {}])
def test_evolution_go_time_without_a_zone_is_no_time(written):
    """A time that depends on the zone of this machine is not used."""
    assert go(Timestamp=written).timestamp_ms is None


def test_evolution_go_spells_ids_in_capitals():
    """The targets of reactions and quotes are found in Go's spelling."""
    assert go({"reactionMessage": {"text": "👍", "key": {"ID": "T1"}}}).extra == {"target_id": "T1"}
    quoting = {"extendedTextMessage": {"text": "sim", "contextInfo": {"stanzaID": "Q1"}}}
    assert go(quoting).extra == {"quoted_id": "Q1"}

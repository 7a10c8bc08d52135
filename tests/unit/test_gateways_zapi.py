"""Z-API: credentials, and the forms of its bodies that are not among the fixtures."""

import json

import pytest

from buffer.models import Conversation, Edit, Presence
from config.settings import Settings
from gateways import zapi
from gateways.base import BadRequest, Request
from tests.recorded_bodies import heard

TOKEN = "a-static-token"
PHONE = "5544999999999"
LID = "81896604192873@lid"
ANA = Conversation("zapi", "I1", PHONE)
GROUP = "120363019502650977-group"


def configured(token=TOKEN):
    return Settings(_env_file=None, zapi_token=token)


def parse(**fields):
    body = {
        "type": "ReceivedCallback",
        "instanceId": "I1",
        "messageId": "M1",
        "phone": PHONE,
        "momment": 1632228638000,
    }
    return heard(zapi.parse(Request({}, {}, "", json.dumps(body | fields).encode())))


def said(**fields):
    (message,) = parse(**fields)
    return message


def text(**fields):
    return said(text={"message": "oi"}, **fields)


def test_it_is_open_with_its_token():
    """The gateway is open when the token is configured, and closed without."""
    assert zapi.is_open(configured())
    assert not zapi.is_open(configured(None))


@pytest.mark.parametrize(
    ("headers", "query"),
    [
        ({"z-api-token": TOKEN}, {}),
        ({"client-token": TOKEN}, {}),
        ({"authorization": f"Bearer {TOKEN}"}, {}),
        ({}, {"token": TOKEN}),
    ],
)
def test_the_token_is_found_where_it_can_stand(headers, query):
    """The token opens as a header that Z-API sends, as a Bearer, or in the URL."""
    assert zapi.verify(Request(headers, query, "", b"{}"), configured())


@pytest.mark.parametrize(
    ("headers", "query"),
    [({}, {}), ({"z-api-token": ""}, {"token": ""}), ({"z-api-token": "x"}, {}), ({"token": TOKEN}, {"t": TOKEN})],
)
def test_no_other_token_opens(headers, query):
    """A missing, wrong, empty or misplaced token does not open."""
    assert not zapi.verify(Request(headers, query, "", b"{}"), configured())


def test_a_token_in_the_body_opens_nothing():
    """Only headers and the URL count."""
    assert not zapi.verify(Request({}, {}, "", json.dumps({"token": TOKEN}).encode()), configured())


@pytest.mark.parametrize(
    "name", [None, "", 7, {}, "MessageStatusCallback", "DeliveryCallback", "ConnectedCallback", "DisconnectedCallback"]
)
def test_other_events_are_ignored(name):
    """Other callbacks are no error, even without an instance."""
    assert parse(type=name, instanceId=None, text={"message": "oi"}) == []


def test_the_callback_is_known_in_any_case():
    """The documentation writes the type in two ways."""
    assert text(type="ReceivedCallBack").conversation == ANA


@pytest.mark.parametrize("instance", [None, "", [], {}])
def test_a_message_without_instance_is_refused_by_name(instance):
    """Without the instance the channel is unknown, and the error names the field."""
    with pytest.raises(BadRequest, match="`instanceId`"):
        parse(instanceId=instance, text={"message": "oi"})


def test_the_connected_phone_stands_in_for_the_instance():
    """Where the id of the instance is missing, our own number tells the channel."""
    assert text(instanceId=None, connectedPhone="5544888888888").conversation.channel == "5544888888888"


@pytest.mark.parametrize(
    "fields",
    [
        {"isNewsletter": True},
        {"phone": "120363@newsletter"},
        {"phone": "status@broadcast"},
        {"broadcast": True},
        {"phone": None},
        {"phone": {}},
        {"waitingMessage": True},
    ],
)
def test_chats_that_are_no_conversation_are_ignored(fields):
    """Channels, broadcasts, missing addresses, and messages whose content comes later give no event."""
    assert parse(text={"message": "oi"}, **fields) == []


@pytest.mark.parametrize("notification", ["CALL_VOICE", "GROUP_CREATE", "E2E_ENCRYPTED"])
def test_a_notification_says_nothing(notification):
    """A notice of WhatsApp about a chat gives no event."""
    assert parse(notification=notification, notificationParameters=["1"], callId="2") == []


@pytest.mark.parametrize(
    ("fields", "peer", "alias"),
    [
        ({"chatLid": LID}, PHONE, LID),
        ({"senderLid": LID}, PHONE, LID),
        ({"senderLid": LID, "fromMe": True}, PHONE, None),
        ({"chatLid": LID, "senderLid": "9@lid", "fromMe": True}, PHONE, LID),
        ({"phone": LID, "chatLid": LID}, LID, None),
        ({"phone": int(PHONE)}, PHONE, None),
    ],
)
def test_the_person_is_the_phone_and_its_lid(fields, peer, alias):
    """The lid of the chat is the alias of its phone; the sender's only when the sender is the person."""
    message = text(**fields)
    assert (message.conversation.peer, message.conversation_alias) == (peer, alias)


@pytest.mark.parametrize(
    ("fields", "author"),
    [
        ({"participantPhone": PHONE, "participantLid": LID}, PHONE),
        ({"participantPhone": None, "participantLid": LID}, LID),
        ({"participantPhone": None}, None),
    ],
)
def test_a_group_names_its_author(fields, author):
    """The group is the conversation under its whole id, and has no name of its own for the author."""
    message = text(phone=GROUP, senderName=None, chatName="Grupo", senderLid=LID, **fields)
    assert (message.conversation.peer, message.is_group, message.conversation_alias) == (GROUP, True, None)
    assert (message.extra.get("participant"), message.sender_name) == (author, None)


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"senderName": "Ana", "chatName": "Ana Souza"}, "Ana"),
        ({"senderName": "", "chatName": "Ana Souza"}, "Ana Souza"),
        ({"senderName": "", "chatName": "Ana Souza", "fromMe": True}, None),
    ],
)
def test_the_chat_is_named_after_the_person(fields, name):
    """Without the sender's name that of the chat serves, except in our own messages."""
    assert text(**fields).sender_name == name


@pytest.mark.parametrize(
    ("fields", "extra"),
    [
        ({"fromMe": True, "fromApi": True}, {"via_api": True}),
        ({"fromMe": True, "fromApi": False}, {}),
        ({"fromMe": False, "fromApi": True}, {}),
        ({"referenceMessageId": "Q1"}, {"quoted_id": "Q1"}),
    ],
)
def test_fields_beside_a_text_are_kept(fields, extra):
    """Answers through the API are marked, and quotes are kept."""
    assert text(**fields).extra == extra


@pytest.mark.parametrize(
    ("momment", "timestamp_ms"),
    [(1632228638000, 1632228638000), ("1632228638000", 1632228638000), (None, None), (-1, None), ("agora", None)],
)
def test_the_moment_is_in_milliseconds(momment, timestamp_ms):
    """The time is already in milliseconds, and an impossible time becomes None."""
    assert text(momment=momment).timestamp_ms == timestamp_ms


def test_the_id_of_the_edited_message_is_its_own():
    """An edit comes under the id of what it changes, with an id of its own beside it."""
    edit = Edit(ANA, "M1", "novo", 1632228638000)
    assert parse(isEdit=True, editMessageId="E1", text={"message": "novo"}) == [edit]
    assert parse(isEdit=True, image={"imageUrl": "https://x", "caption": "novo"}) == [edit]


@pytest.mark.parametrize(
    "fields",
    [{"messageId": None, "text": {"message": "novo"}}, {"text": {"message": ""}}, {"image": {"imageUrl": "https://x"}}],
)
def test_an_edit_without_target_or_text_changes_nothing(fields):
    """An incomplete edit is neither an edit nor a new message."""
    assert parse(isEdit=True, **fields) == []


@pytest.mark.parametrize("name", ["image", "audio", "video", "document", "sticker"])
def test_a_file_is_at_its_own_address(name):
    """Every kind of file has its address under a name of its own; the caption is the text."""
    message = said(**{name: {f"{name}Url": "https://x", "mimeType": "a/b", "caption": "olha", "thumbnailUrl": "y"}})
    assert message.kind == ("image" if name == "sticker" else name)
    assert (message.text, message.extra) == ("olha", {"sticker": True} if name == "sticker" else {})
    assert message.media == {"url": "https://x", "id": "M1", "mime": "a/b", "caption": "olha"}


def test_the_name_of_a_document_may_be_its_title():
    """A document without a file name is known by its title."""
    assert said(document={"documentUrl": "https://x", "title": "nota"}).media["filename"] == "nota"


def test_a_location_says_what_is_written_about_it():
    """Name and address are the text, the coordinates are numbers."""
    message = said(location={"latitude": "-23.5", "longitude": -46.6, "name": "Loja", "address": "Rua A, 1"})
    assert (message.kind, message.text) == ("location", "Loja, Rua A, 1")
    assert message.extra["location"] == {"lat": -23.5, "lng": -46.6, "name": "Loja", "address": "Rua A, 1"}


@pytest.mark.parametrize(
    ("contact", "phones"),
    [
        ({"phones": ["5511900000009", 7, None]}, ["5511900000009", "7"]),
        ({"phones": [], "vCard": "TEL;waid=5511900000009:+55 11 90000-0009"}, ["5511900000009"]),
        ({"phones": "x", "vCard": None}, []),
    ],
)
def test_a_contact_has_the_phones_of_its_list_or_card(contact, phones):
    """The phones that Z-API read from the card are used, else the card itself."""
    message = said(contact={"displayName": "Bruno"} | contact)
    assert (message.text, message.extra["contacts"]) == ("Bruno", [{"name": "Bruno", "phones": phones}])


def test_a_reaction_names_its_target():
    """A reaction is a message of its own with the emoji as text. A removed one gives no event."""
    target = {"messageId": "T1", "fromMe": True}
    message = said(reaction={"value": "❤️", "referencedMessage": target})
    assert (message.kind, message.text, message.extra) == ("reaction", "❤️", {"target_id": "T1"})
    assert parse(reaction={"value": "", "referencedMessage": target}) == []


@pytest.mark.parametrize(
    ("content", "chosen"),
    [
        ({"buttonsResponseMessage": {"buttonId": "1", "message": "Sim"}}, ("1", "Sim")),
        ({"listResponseMessage": {"selectedRowId": "1", "title": "Sim", "message": "mais"}}, ("1", "Sim")),
        ({"listResponseMessage": {"selectedRowId": "1", "title": "", "message": "Sim"}}, ("1", "Sim")),
        ({"pollVote": {"pollMessageId": "P1", "options": [{"name": "Sim"}, {"name": "Não"}]}}, (None, "Sim, Não")),
    ],
)
def test_the_text_of_a_choice_is_its_title(content, chosen):
    """A tapped button, a chosen row of a list and a vote have the choice as text."""
    message = said(**content)
    assert (message.kind, message.text) == ("interactive", chosen[1])
    assert message.extra["interactive"] == {"id": chosen[0], "title": chosen[1]}


@pytest.mark.parametrize(
    "content",
    [
        {"text": {}},
        {"text": {"message": ""}},
        {"pollVote": {"options": []}},
        {"buttonsResponseMessage": {}},
        {"text": []},
    ],
)
def test_messages_without_content_are_ignored(content):
    """Empty contents, and a vote taken back, give no message."""
    assert parse(**content) == []


@pytest.mark.parametrize(
    "content",
    [
        {"carouselMessage": {"text": "a"}},
        {"externalAdReply": {"title": "a"}, "statusImage": {"imageUrl": "b"}, "carouselMessage": {"text": "a"}},
    ],
)
def test_unknown_types_are_kept(content):
    """Content of an unknown kind reaches the agent under its own key, not under that of another field."""
    message = said(**content)
    assert (message.kind, message.text, message.extra["raw_type"]) == ("unknown", "a", "carouselMessage")
    assert message.extra["raw"] == {"text": "a"}


def test_an_advertisement_does_not_hide_the_text():
    """A text that came from an ad is a text."""
    assert text(externalAdReply={"title": "Oferta"}).text == "oi"


@pytest.mark.parametrize("state", ["COMPOSING", "RECORDING", "PAUSED", "AVAILABLE", "UNAVAILABLE"])
def test_the_states_of_presence_become_lower_case(state):
    """The five states of Z-API are ours in small letters."""
    assert parse(type="PresenceChatCallback", status=state) == [Presence(ANA, state.lower())]


@pytest.mark.parametrize("state", [None, "", "DANCING", ["COMPOSING"], 7])
def test_an_odd_presence_is_ignored(state):
    """Only the known states are events."""
    assert parse(type="PresenceChatCallback", status=state) == []


def test_presence_in_a_group_names_its_author():
    """The participant of a group's presence is the author's phone."""
    group = Conversation("zapi", "I1", GROUP)
    seen = parse(type="PresenceChatCallback", status="COMPOSING", phone=GROUP, participantPhone=PHONE)
    assert seen == [Presence(group, "composing", PHONE)]

"""uazapi: who may post, and the turns of its bodies that no recorded case shows."""

import json

import pytest

from buffer.models import Conversation, Edit, Presence
from config.settings import Settings
from gateways import uazapi
from gateways.base import BadRequest, Request
from tests.recorded_bodies import heard

TOKEN = "11111111-2222-3333-4444-555555555555"
PHONE = "5511900000001@s.whatsapp.net"
OWN = "5511900000000@s.whatsapp.net"
LID = "100000000000001@lid"
GROUP = "120363040000000001@g.us"
ANA = Conversation("uazapi", "loja", "5511900000001")


def accepted(body=b"{}", headers=None, query=None, token=TOKEN):
    settings = Settings(_env_file=None, uazapi_token=token)
    return uazapi.verify(Request(headers or {}, query or {}, "", body), settings)


def post(body):
    return heard(uazapi.parse(Request({}, {}, "messages/text", json.dumps(body).encode())))


def parse(chat=None, **fields):
    message = {"chatid": PHONE, "messageid": "M1", "messageTimestamp": 1770146178000, "type": "text"} | fields
    return post({"EventType": "messages", "instanceName": "loja", "chat": chat, "message": message, "token": TOKEN})


def said(chat=None, **fields):
    (message,) = parse(chat, **fields)
    return message


def text(chat=None, **fields):
    return said(chat, **{"messageType": "Conversation", "content": "oi", "text": "oi"} | fields)


def test_it_is_open_with_its_token():
    """The gateway is open when the token is configured, and closed without."""
    assert uazapi.is_open(Settings(_env_file=None, uazapi_token=TOKEN))
    assert not uazapi.is_open(Settings(_env_file=None))


@pytest.mark.parametrize(
    "given",
    [
        {"body": json.dumps({"token": TOKEN}).encode()},
        {"headers": {"token": TOKEN}},
        {"headers": {"authorization": f"Bearer {TOKEN}"}},
        {"query": {"token": TOKEN}},
        {"query": {"token": TOKEN}, "body": b"not json"},
        {"query": {"token": f"{TOKEN}/messages"}},
    ],
)
def test_the_token_is_found_where_uazapi_can_put_it(given):
    """The token opens in the body, where uazapi writes it, as a header, or in the URL."""
    assert accepted(**given)


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"body": json.dumps({"token": TOKEN + "x"}).encode()},
        {"body": json.dumps({"message": {"token": TOKEN}}).encode()},
        {"body": json.dumps({"token": [TOKEN]}).encode()},
        {"body": json.dumps([{"token": TOKEN}, {}]).encode()},
        {"body": json.dumps({"headers": {"token": TOKEN}, "body": {}}).encode()},
        {"body": json.dumps({"text": f'"token":"{TOKEN}"'}).encode()},
        {"body": b"not json"},
        {"body": b'{"token": "\\ud83d"}'},
        {"body": json.dumps({"token": ""}).encode(), "token": None},
        {"body": json.dumps({"token": TOKEN}).encode(), "token": None},
        {"body": json.dumps({"token": "é"}).encode()},
    ],
)
def test_no_other_token_opens(given):
    """A missing, wrong or misplaced token does not open, and no body makes the check fail."""
    assert not accepted(**given)


def test_the_token_stays_out_of_the_message():
    """The token in the body can send messages for us, so it is in no event."""
    assert TOKEN not in repr(text(token=TOKEN, owner=TOKEN, sendPayload={"token": TOKEN}))


@pytest.mark.parametrize(
    "event", [None, "", 7, {}, "connection", "messages_update", "chats", "contacts", "groups", "call", "labels"]
)
def test_other_events_are_ignored(event):
    """Other events are no error, even without an instance."""
    assert post({"EventType": event, "message": {"chatid": PHONE, "text": "oi"}}) == []


def test_a_receipt_whose_event_is_an_object_is_acknowledged():
    """Receipts put an object where the other envelope has the name of the event."""
    body = {"EventType": "messages_update", "event": {"Type": "Delivered", "MessageIDs": ["M1"], "IsFromMe": "False"}}
    assert post(body) == []
    assert post({"event": body["event"]}) == []


@pytest.mark.parametrize("names", [{}, {"instanceName": ""}, {"instance": {"name": "loja"}}])
def test_a_message_without_instance_is_refused_by_name(names):
    """Without the instance the channel is unknown, and the error names the field."""
    with pytest.raises(BadRequest, match="`instanceName`"):
        post({"EventType": "messages", "message": {"chatid": PHONE, "text": "oi"}} | names)


@pytest.mark.parametrize(
    ("names", "channel"),
    [
        ({"instanceName": "loja", "instance": "i1", "owner": "5511"}, "loja"),
        ({"instance": "i1", "owner": "5511"}, "i1"),
        ({"instance": {}, "owner": "5511"}, "5511"),
    ],
)
def test_the_channel_is_the_best_name_of_the_instance(names, channel):
    """The name is used, else the id of the instance, else our number."""
    (message,) = post({"EventType": "messages", "message": {"chatid": PHONE, "text": "oi"}} | names)
    assert message.conversation.channel == channel


def test_the_second_envelope_gives_the_same_message():
    """`{event, instance, data}` is published as a capture too: the message stands in `data`, content as text."""
    data = {"chatid": PHONE, "sender": LID, "sender_lid": LID, "sender_pn": PHONE, "senderName": "Ana"}
    data |= {"messageType": "Conversation", "content": "Bom dia", "text": "Bom dia", "type": "text", "fromMe": False}
    data |= {"id": "5511900000000:M1", "messageid": "M1", "messageTimestamp": 1765454975000}
    (message,) = post({"event": "message", "instance": "loja", "data": data, "owner": "5511900000000", "token": TOKEN})
    assert (message.conversation, message.conversation_alias, message.message_id) == (ANA, LID, "M1")
    assert (message.kind, message.text, message.sender_name) == ("text", "Bom dia", "Ana")
    assert message.timestamp_ms == 1765454975000


@pytest.mark.parametrize(
    ("ids", "message_id"), [({"messageid": None, "id": "5511:M2"}, "M2"), ({"messageid": ""}, None)]
)
def test_the_message_id_has_no_number_of_ours(ids, message_id):
    """`id` is the message's id after our number; a message without any id has none."""
    assert text(**ids).message_id == message_id


@pytest.mark.parametrize(
    ("fields", "chat", "peer", "alias"),
    [
        ({"chatlid": LID}, None, "5511900000001", LID),
        ({"sender_lid": LID}, None, "5511900000001", LID),
        ({}, {"wa_chatlid": LID}, "5511900000001", LID),
        ({"chatid": LID, "sender_pn": PHONE}, None, "5511900000001", LID),
        ({"chatid": LID, "sender_pn": "5511900000001"}, None, "5511900000001", LID),
        ({"chatid": LID}, {"wa_chatid": PHONE}, "5511900000001", LID),
        ({"chatid": LID}, None, LID, None),
        ({"chatid": "r5f6g7h8", "sender": PHONE}, None, "5511900000001", None),
        ({"chatid": LID, "fromMe": True, "sender_pn": OWN, "sender_lid": "9@lid"}, None, LID, None),
        ({"fromMe": True, "sender": "9@lid", "sender_lid": "9@lid"}, {"wa_chatlid": LID}, "5511900000001", LID),
    ],
)
def test_the_phone_is_the_peer_in_any_field(fields, chat, peer, alias):
    """The phone is the peer and the lid its alias. In our own messages the sender's jids are ours and are not read."""
    message = text(chat, **fields)
    assert (message.conversation.peer, message.conversation_alias) == (peer, alias)


@pytest.mark.parametrize("chatid", ["status@broadcast", "1@newsletter", None, "", {}, "r5f6g7h8"])
def test_chats_that_are_no_conversation_are_ignored(chatid):
    """Stories, channels and a missing address give no event."""
    assert parse(chatid=chatid, messageType="Conversation", content="oi", text="oi") == []


@pytest.mark.parametrize(
    ("senders", "author"),
    [({"sender": LID, "sender_pn": PHONE}, "5511900000001"), ({"sender": LID}, LID), ({}, None)],
)
def test_a_group_names_its_author(senders, author):
    """The group is the conversation, its author told by phone when one is known."""
    message = text(chatid=GROUP, isGroup=True, **senders)
    assert (message.conversation.peer, message.is_group, message.conversation_alias) == (GROUP, True, None)
    assert message.extra.get("participant") == author


@pytest.mark.parametrize(
    ("fields", "from_me", "extra"),
    [
        ({"fromMe": True, "wasSentByApi": True}, True, {"via_api": True}),
        ({"fromMe": "True"}, True, {}),
        ({"fromMe": "False"}, False, {}),
        ({"fromMe": False, "wasSentByApi": True}, False, {}),
        ({"quoted": "Q1"}, False, {"quoted_id": "Q1"}),
    ],
)
def test_fields_beside_a_text_are_kept(fields, from_me, extra):
    """Booleans may come as text; answers through the API are marked, and quotes are kept."""
    message = text(**fields)
    assert (message.from_me, message.extra) == (from_me, extra)


def test_an_edit_names_the_message_it_changes():
    """An edit is a message with a new id: it must not reach the agent as a second text."""
    edited = parse(
        messageid="E1", edited="M1", messageType="ExtendedTextMessage", content={"text": "novo"}, text="novo"
    )
    assert edited == [Edit(ANA, "M1", "novo", 1770146178000)]
    assert parse(edited="M1", messageType="ImageMessage", content={"mimetype": "image/png"}) == []


@pytest.mark.parametrize(
    "fields",
    [
        {"messageType": "Conversation", "content": "oi", "text": "oi"},
        {"messageType": "Conversation", "content": "oi"},
        {"messageType": "conversation", "content": {"type": "conversation", "body": "oi"}, "type": None},
        {"messageType": "ExtendedTextMessage", "content": {"text": "oi"}},
        {"messageType": "extendedText", "content": {}, "text": "oi"},
        {"messageType": "SomeFutureText", "content": {"x": 1}, "text": "oi"},
        {"text": "oi"},
    ],
)
def test_a_text_is_found_in_every_form(fields):
    """The content is a string or an object, and the type is written in several ways."""
    assert (said(**fields).kind, said(**fields).text) == ("text", "oi")


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("ImageMessage", "image"),
        ("image", "image"),
        ("AudioMessage", "audio"),
        ("ptt", "audio"),
        ("VideoMessage", "video"),
        ("PtvMessage", "video"),
        ("DocumentMessage", "document"),
        ("StickerMessage", "image"),
    ],
)
def test_the_kind_of_a_file_is_its_type(name, kind):
    """The address of the encrypted blob is never used; the one of uazapi's own storage is."""
    content = {"URL": "https://mmg.whatsapp.net/x.enc", "url": "https://x.enc", "mimetype": "a/b"}
    message = said(type="media", messageType=name, content=content, fileURL="https://files/x")
    assert (message.kind, message.extra) == (kind, {"sticker": True} if "Sticker" in name else {})
    assert message.media == {"url": "https://files/x", "id": "M1", "mime": "a/b", "caption": None}
    assert said(type="media", messageType=name, content=content).media["url"] is None


@pytest.mark.parametrize("fields", [{"text": "olha"}, {"content": {"caption": "olha"}}])
def test_a_caption_is_the_text(fields):
    """uazapi tells the caption in `text`, WhatsApp in the content: either is text and caption."""
    message = said(**{"type": "media", "messageType": "ImageMessage", "content": {"mimetype": "image/png"}} | fields)
    assert (message.text, message.media["caption"]) == ("olha", "olha")


def test_the_words_of_a_voice_note_are_no_caption():
    """The transcript of a voice note is its text."""
    message = said(type="media", messageType="AudioMessage", content={"mimetype": "audio/ogg"}, text="oi")
    assert (message.text, message.media["caption"]) == ("oi", None)


def test_the_text_of_a_contact_is_its_name():
    """The card is read; the summary that uazapi makes of it is not the text."""
    card = "BEGIN:VCARD\nitem1.TEL;waid=5511900000009:+55 11 90000-0009\nEND:VCARD"
    summary = "Bruno\nPhone (Celular): +55 11 90000-0009"
    content = {"displayName": "Bruno", "vcard": card}
    message = said(type="media", messageType="ContactMessage", mediaType="vcard", content=content, text=summary)
    assert (message.kind, message.text) == ("contact", "Bruno")
    assert message.extra["contacts"] == [{"name": "Bruno", "phones": ["5511900000009"]}]


def test_a_reaction_names_its_target():
    """A reaction is a message of its own with the emoji as text. A removed one gives no event."""
    content = {"key": {"ID": "T1"}, "text": "❤️"}
    message = said(type="reaction", messageType="ReactionMessage", reaction="T1", text="❤️", content=content)
    assert (message.kind, message.text, message.extra) == ("reaction", "❤️", {"target_id": "T1"})
    gone = {"key": {"ID": "T1"}, "text": ""}
    assert parse(type="reaction", messageType="ReactionMessage", reaction="T1", text="", content=gone) == []


@pytest.mark.parametrize(
    ("fields", "chosen"),
    [
        (
            {
                "messageType": "ListResponseMessage",
                "content": {"title": "Fones", "singleSelectReply": {"selectedRowID": "fones"}},
                "buttonOrListid": "fones",
                "vote": "Fones",
            },
            {"id": "fones", "title": "Fones"},
        ),
        (
            {"messageType": "PollUpdateMessage", "content": {"vote": {"encIV": "x"}}, "vote": "Sol", "type": "poll"},
            {"id": None, "title": "Sol"},
        ),
        (
            {"messageType": "TemplateButtonReplyMessage", "content": {"selectedID": "1", "selectedDisplayText": "Sim"}},
            {"id": "1", "title": "Sim"},
        ),
        (
            {"messageType": "FutureButton", "content": {}, "buttonOrListid": "1", "text": "Sim"},
            {"id": "1", "title": "Sim"},
        ),
        ({"messageType": "FutureButton", "content": {}, "buttonOrListid": "1"}, {"id": "1", "title": None}),
    ],
)
def test_the_text_of_a_choice_is_its_title(fields, chosen):
    """A tapped button, a chosen row of a list and a vote have the choice as text."""
    message = said(**fields)
    assert (message.kind, message.text) == ("interactive", chosen["title"] or chosen["id"])
    assert message.extra == {"interactive": chosen}


def test_unknown_types_are_kept():
    """A message of a type we do not know reaches the agent, with what uazapi can write about it."""
    content = {"messageContextInfo": {}, "pollCreationMessageV3": {"name": "Almoço?"}}
    message = said(type="poll", messageType="PollCreationMessageV3", content=content, text="Almoço?")
    assert (message.kind, message.text) == ("unknown", "Almoço?")
    raw = {"pollCreationMessageV3": {"name": "Almoço?"}}
    assert message.extra == {"raw_type": "PollCreationMessageV3", "raw": raw}


@pytest.mark.parametrize(
    "fields",
    [{}, {"messageType": "ProtocolMessage", "content": {"type": 0}}, {"messageType": "Conversation", "content": ""}],
)
def test_messages_without_content_are_ignored(fields):
    """Protocol and empty texts give no message."""
    assert parse(**fields) == []


def presence(**fields):
    return post({"EventType": "presence", "instanceName": "loja"} | fields)


@pytest.mark.parametrize(
    ("state", "media", "told"),
    [("composing", "", "composing"), ("composing", "audio", "recording"), ("paused", "audio", "paused")],
)
def test_a_recording_is_composing_with_sound(state, media, told):
    """whatsmeow has two states, and marks a recording by its medium."""
    assert presence(event={"Chat": PHONE, "Sender": PHONE, "State": state, "Media": media}) == [Presence(ANA, told)]


@pytest.mark.parametrize(
    "fields",
    [
        {"chatid": PHONE, "presence": "composing"},
        {"chatid": PHONE, "state": "Composing"},
        {"data": {"chatid": PHONE, "presence": "composing"}},
        {"chat": {"wa_chatid": PHONE}, "presence": "composing"},
        {"event": {"Chat": LID, "Sender": LID, "SenderAlt": PHONE, "State": "composing", "IsFromMe": "False"}},
    ],
)
def test_presence_is_understood_in_every_shape(fields):
    """The form of this event is not documented, so every published form is read."""
    assert presence(**fields) == [Presence(ANA, "composing")]


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"chatid": PHONE, "presence": "dancing"},
        {"chatid": PHONE, "presence": ["composing"]},
        {"chatid": "status@broadcast", "presence": "composing"},
        {"event": {"Chat": PHONE, "State": "composing", "IsFromMe": True}},
        {"event": {"Chat": PHONE, "State": "composing", "IsFromMe": "True"}},
    ],
)
def test_an_odd_presence_or_our_own_is_ignored(fields):
    """Only what the person does in a chat is an event."""
    assert presence(**fields) == []


def test_presence_in_a_group_names_its_author():
    """The participant of a group's presence is the author's phone."""
    seen = presence(event={"Chat": GROUP, "Sender": LID, "SenderAlt": PHONE, "State": "composing", "IsGroup": True})
    assert seen == [Presence(Conversation("uazapi", "loja", GROUP), "composing", "5511900000001")]

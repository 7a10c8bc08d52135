"""Telegram: who may post, and the updates that no recorded case shows."""

import json
from pathlib import Path

import pytest

from buffer.models import Conversation, Edit, Ignored, Message
from config.settings import Settings
from gateways import telegram
from gateways.base import Request

(VECTOR,) = json.loads((Path(__file__).parent.parent / "fixtures/auth_vectors.json").read_bytes())["telegram"]
TOKEN = VECTOR["secret_token"]
HEADER = "x-telegram-bot-api-secret-token"
ANA = Conversation("telegram", "main", "1111111")
PERSON = {"id": 1111111, "is_bot": False, "first_name": "Ana"}
GROUP = {"id": -1001234567890, "title": "Grupo", "type": "supergroup"}


def accepted(headers=None, query=None, token=TOKEN):
    settings = Settings(_env_file=None, telegram_secret_token=token)
    return telegram.verify(Request(headers or {}, query or {}, "", b"{}"), settings)


def parse(tail="main", **update):
    return telegram.parse(Request({}, {}, tail, json.dumps({"update_id": 1} | update).encode()))


def sent(**fields):
    told = {"message_id": 20, "from": PERSON, "chat": {"id": 1111111, "type": "private"}, "date": 1753164390}
    return parse(message=told | fields)


def said(**fields):
    (message,) = sent(**fields)
    return message


def test_it_is_open_with_its_token():
    """The gateway is open when the secret token is configured, and closed without."""
    assert telegram.is_open(Settings(_env_file=None, telegram_secret_token=TOKEN))
    assert not telegram.is_open(Settings(_env_file=None))


@pytest.mark.parametrize(
    ("headers", "query"),
    [
        ({HEADER: VECTOR["X-Telegram-Bot-Api-Secret-Token"]}, {}),
        ({"authorization": f"Bearer {TOKEN}"}, {}),
        ({}, {"token": TOKEN}),
    ],
)
def test_the_secret_token_opens(headers, query):
    """The token opens in the header that setWebhook makes Telegram send, and where all static tokens may stand."""
    assert accepted(headers, query)


@pytest.mark.parametrize(
    ("headers", "token"),
    [
        ({}, TOKEN),
        ({HEADER: ""}, TOKEN),
        ({HEADER: TOKEN[:-1]}, TOKEN),
        ({HEADER: TOKEN}, None),
        ({HEADER: "é"}, TOKEN),
    ],
)
def test_anything_else_does_not_open(headers, token):
    """A missing, empty or wrong token does not open, nor any where none is configured."""
    assert not accepted(headers, token=token)


@pytest.mark.parametrize(("tail", "channel"), [("main", "main"), ("main/", "main"), ("", "default"), ("/", "default")])
def test_the_path_names_the_channel(tail, channel):
    """No update names the bot that it is for, so the path does."""
    message = {"message_id": 1, "chat": {"id": 1, "type": "private"}, "text": "oi"}
    assert parse(tail, message=message)[0].conversation.channel == channel


@pytest.mark.parametrize(
    ("update", "reason"),
    [
        ({}, "misfit"),
        ({"message": None}, "misfit"),
        ({"message": []}, "misfit"),
        ({"some_future_update": {"text": "oi"}}, "misfit"),
        ({"channel_post": {"message_id": 1, "chat": {"id": -1, "type": "channel"}, "text": "post"}}, "unknown_event"),
        ({"edited_channel_post": {"message_id": 1, "chat": {"id": -1}, "text": "post"}}, "unknown_event"),
        ({"message": {"message_id": 1, "chat": {"id": -1, "type": "channel"}, "text": "post"}}, "unknown_event"),
        ({"message": {"message_id": 1, "text": "oi"}}, "misfit"),
        ({"inline_query": {"id": "1", "from": PERSON, "query": "oi"}}, "unknown_event"),
        ({"poll": {"id": "1"}}, "unknown_event"),
        ({"chat_member": {"chat": GROUP, "from": PERSON}}, "unknown_event"),
        ({"message_reaction_count": {"chat": GROUP, "message_id": 1}}, "unknown_event"),
        ({"business_connection": {"id": "BC1", "user": PERSON, "is_enabled": True}}, "unknown_event"),
        ({"deleted_business_messages": {"business_connection_id": "BC1", "chat": {"id": 1}}}, "misfit"),
        ({"poll_answer": {"poll_id": "1", "user": PERSON, "option_ids": []}}, "taken_back"),
        ({"poll_answer": {"poll_id": "1", "voter_chat": GROUP, "option_ids": [1]}}, "unknown_event"),
        ({"poll_answer": {"poll_id": "1", "option_ids": [1]}}, "misfit"),
    ],
)
def test_other_updates_are_ignored(update, reason):
    """Channels, queries, memberships and odd updates call nobody."""
    assert [event.reason for event in parse(**update)] == [reason]


@pytest.mark.parametrize(
    ("user", "name"),
    [
        ({"first_name": "Ana", "last_name": "Souza"}, "Ana Souza"),
        ({"first_name": "Ana", "last_name": "Ana Souza"}, "Ana Souza"),
        ({"first_name": "An", "last_name": "Anand"}, "An Anand"),
        ({"first_name": "Ana"}, "Ana"),
        ({"last_name": "Souza"}, "Souza"),
        ({"first_name": " "}, None),
        ({}, None),
    ],
)
def test_the_name_is_both_names(user, name):
    """First and last name make the name. A last name that begins with the first name is the whole name."""
    assert said(**{"from": {"id": 1} | user}, text="oi").sender_name == name


@pytest.mark.parametrize("chat_type", ["group", "supergroup"])
def test_a_group_keeps_its_negative_id_and_names_the_author(chat_type):
    """The id of a group is negative and is not changed. Each message names its author."""
    message = said(chat=GROUP | {"type": chat_type}, text="oi")
    assert (message.conversation.peer, message.is_group) == ("-1001234567890", True)
    assert message.extra == {"participant": "1111111"}


@pytest.mark.parametrize(
    ("fields", "from_me"),
    [
        ({"from": {"id": 9, "is_bot": True, "first_name": "Bot"}}, True),
        ({"from": {"id": 9, "is_bot": True}, "sender_chat": {"id": -1, "title": "Grupo"}}, False),
        ({"from": PERSON, "via_bot": {"id": 9, "is_bot": True}}, False),
        ({"from": None}, False),
    ],
)
def test_messages_of_bots_are_from_us(fields, from_me):
    """A bot's messages are from us. Messages of anonymous admins, or sent via an inline bot, are a person's."""
    assert said(text="oi", chat=GROUP, **fields).from_me is from_me


def test_an_answer_names_the_message_it_answers():
    """A reply is kept as a quote."""
    quoted = {"id": "7", "text": "?", "kind": "text"}
    assert said(text="sim", reply_to_message={"message_id": 7, "text": "?"}).extra == {
        "quoted_id": "7",
        "quoted": quoted,
    }


@pytest.mark.parametrize(
    ("sizes", "file_id"),
    [
        ([{"file_id": "S", "width": 9, "height": 9}, {"file_id": "L", "width": 90, "height": 90}], "L"),
        ([{"file_id": "L", "width": 90, "height": 90}, {"file_id": "S", "width": 9, "height": 9}], "L"),
        ([{"file_id": "S"}, {"file_id": "L"}], "L"),
        ([{"file_id": "L", "width": 9, "height": 9}, {"file_id": "S", "width": "wide"}, None], "L"),
    ],
)
def test_the_largest_photo_is_taken(sizes, file_id):
    """Telegram lists a photo in several sizes, the largest last; only that one goes on."""
    assert said(photo=sizes, caption="olha").media == {
        "url": None,
        "id": file_id,
        "mime": "image/jpeg",
        "caption": "olha",
    }


@pytest.mark.parametrize(
    ("fields", "kind", "mime"),
    [
        ({"voice": {"file_id": "F", "mime_type": "audio/ogg"}}, "audio", "audio/ogg"),
        ({"voice": {"file_id": "F"}}, "audio", "audio/ogg"),
        ({"audio": {"file_id": "F", "mime_type": "audio/x-m4a"}}, "audio", "audio/x-m4a"),
        ({"video": {"file_id": "F"}}, "video", "video/mp4"),
        ({"video_note": {"file_id": "F", "length": 240}}, "video", "video/mp4"),
        ({"document": {"file_id": "F"}}, "document", None),
        ({"document": {"file_id": "D"}, "animation": {"file_id": "F"}}, "video", "video/mp4"),
        ({"sticker": {"file_id": "F"}}, "image", "image/webp"),
        ({"sticker": {"file_id": "F", "is_animated": True}}, "image", "application/x-tgsticker"),
        ({"sticker": {"file_id": "F", "is_video": True}}, "image", "video/webm"),
    ],
)
def test_a_file_is_known_by_its_id(fields, kind, mime):
    """Files have an id and no url. An animation is read once, not again as the document beside it."""
    message = said(**fields)
    assert (message.kind, message.text) == (kind, None)
    assert message.media == {"url": None, "id": "F", "mime": mime, "caption": None}
    assert message.extra == ({"sticker": True} if "sticker" in fields else {})


def test_an_album_is_known_by_its_group():
    """The parts of an album are messages of their own with one album id; the caption belongs to the first."""
    message = said(video={"file_id": "F", "file_name": "a.mp4"}, media_group_id="13579", caption="olha")
    assert (message.text, message.media["filename"]) == ("olha", "a.mp4")
    assert message.extra == {"album_id": "13579"}


def test_a_location_has_coordinates():
    """A location alone has no text. A venue has its name and address as text, and is read once."""
    point = {"latitude": -23.5, "longitude": -46.6}
    assert said(location=point).extra["location"] == {"lat": -23.5, "lng": -46.6, "name": None, "address": None}
    venue = said(location=point, venue={"location": point, "title": "Loja", "address": "Rua A, 1"})
    assert (venue.kind, venue.text) == ("location", "Loja, Rua A, 1")
    assert venue.extra["location"] == {"lat": -23.5, "lng": -46.6, "name": "Loja", "address": "Rua A, 1"}


def test_a_contact_without_a_phone_is_still_a_contact():
    """What is missing is left out, not an error."""
    assert said(contact={"first_name": "Bruno"}).extra["contacts"] == [{"name": "Bruno", "phones": []}]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"new_chat_members": [PERSON]}, "notification"),
        ({"left_chat_member": PERSON}, "notification"),
        ({"pinned_message": {"message_id": 1, "text": "x"}}, "notification"),
        ({"group_chat_created": True}, "notification"),
        ({"migrate_to_chat_id": -100}, "notification"),
        ({"forum_topic_created": {"name": "x"}}, "notification"),
        ({"video_chat_started": {}}, "notification"),
        ({"refunded_payment": {"currency": "XTR"}}, "notification"),
        ({"poll_option_added": {"option_text": "a"}}, "notification"),
        ({"text": ""}, "empty"),
        ({"photo": []}, "empty"),
        ({}, "empty"),
    ],
)
def test_service_messages_are_ignored(fields, reason):
    """Service messages and empty ones call nobody."""
    assert sent(**fields) == [Ignored(reason)]


@pytest.mark.parametrize("name", ["poll", "dice", "story", "invoice", "some_future_thing"])
def test_unknown_types_are_kept(name):
    """A message of a type we do not know reaches the agent under Telegram's name for it."""
    message = said(**{name: {"x": 1}}, has_protected_content=True, forward_origin={}, caption="a")
    assert (message.kind, message.text) == ("unknown", "a")
    assert message.extra == {"raw_type": name, "raw": {"x": 1}, "forwarded": True}


def test_the_answer_of_a_web_app_is_a_choice():
    """The data of a web app has the label of the button that opened it as title."""
    message = said(web_app_data={"data": '{"size":"M"}', "button_text": "Tamanho"})
    assert (message.kind, message.text) == ("interactive", "Tamanho")
    answers = '{"size":"M"}'
    assert message.extra == {"interactive": {"id": answers, "title": "Tamanho", "response_json": answers}}
    assert "response_json" not in said(web_app_data={"data": "M", "button_text": "a"}).extra["interactive"]


@pytest.mark.parametrize(
    ("fields", "edits"),
    [
        ({"text": "novo", "edit_date": 1441645600}, [Edit(ANA, "20", "novo", 1441645600000)]),
        ({"photo": [{"file_id": "F"}], "caption": "novo"}, [Edit(ANA, "20", "novo", 1441645532000)]),
        (
            {"checklist": {"title": "Lista", "tasks": [{"text": "pão"}]}},
            [Edit(ANA, "20", "Lista\n- pão", 1441645532000)],
        ),
        ({"location": {"latitude": 1, "longitude": 2}}, ["edit_without_text"]),
        ({"text": "novo", "message_id": None}, ["misfit"]),
        ({"text": "novo", "chat": None}, ["misfit"]),
    ],
)
def test_an_edit_has_the_new_text_or_caption(fields, edits):
    """A live location that moves is no edit, nor is one without a target."""
    told = {"message_id": 20, "from": PERSON, "chat": {"id": 1111111, "type": "private"}, "date": 1441645532}
    events = parse(edited_message=told | fields)
    assert [event.reason if isinstance(event, Ignored) else event for event in events] == edits


def tap(**fields):
    message = {"message_id": 5, "date": 1441645532, "chat": {"id": 1111111, "type": "private"}, "text": "Confirma?"}
    message["reply_markup"] = {"inline_keyboard": [[{"text": "Não", "callback_data": "n"}], "x", [{"text": "?"}]]}
    message["reply_markup"]["inline_keyboard"][0].append({"text": "Sim", "callback_data": "s"})
    return parse(callback_query={"id": "4382", "from": PERSON, "data": "s", "message": message} | fields)


def test_the_text_of_a_tapped_button_is_its_label():
    """The label of the button is the text, its data the id; the tap has no time of its own."""
    (message,) = tap()
    assert (message.conversation, message.message_id, message.timestamp_ms) == (ANA, "4382", None)
    assert (message.kind, message.text, message.sender_name) == ("interactive", "Sim", "Ana")
    assert message.extra == {"interactive": {"id": "s", "title": "Sim"}}


@pytest.mark.parametrize(
    ("fields", "count"),
    [
        ({"message": {"chat": {"id": 1, "type": "private"}, "message_id": 5, "date": 0}}, 1),
        ({"message": None}, 0),
        ({"message": {"chat": {"id": 1}, "reply_markup": {"inline_keyboard": "x"}}}, 1),
        ({"data": None, "game_short_name": "x"}, 0),
    ],
)
def test_the_text_of_a_tap_without_its_message_is_its_data(fields, count):
    """Telegram does not send the message of an old button. A tap without a chat or data gives no event."""
    taps = [event for event in tap(**fields) if isinstance(event, Message)]
    assert [(message.text, message.extra["interactive"]["title"]) for message in taps] == [("s", None)] * count


def test_a_tap_in_a_group_names_its_author():
    """The participant of a tap in a group is the person who tapped."""
    (message,) = tap(message={"chat": GROUP, "message_id": 5})
    assert (message.is_group, message.extra["participant"]) == (True, "1111111")


@pytest.mark.parametrize(
    ("old", "new", "emojis"),
    [
        ([], [{"type": "emoji", "emoji": "👍"}], ["👍"]),
        ([{"type": "emoji", "emoji": "👍"}], [], []),
        ([{"type": "emoji", "emoji": "👍"}], [{"type": "emoji", "emoji": "❤"}], ["❤"]),
        (
            [{"type": "emoji", "emoji": "👍"}],
            [{"type": "emoji", "emoji": "❤"}, {"type": "emoji", "emoji": "👍"}],
            ["❤"],
        ),
        ([], [{"type": "emoji", "emoji": "👍"}, {"type": "emoji", "emoji": "❤"}], ["❤"]),
        (
            [{"type": "emoji", "emoji": "👍"}],
            [{"type": "emoji", "emoji": "👍"}, {"type": "emoji", "emoji": "❤"}],
            ["❤"],
        ),
        ([], [{"type": "custom_emoji", "custom_emoji_id": "1"}], [None]),
        (None, None, []),
    ],
)
def test_a_reaction_is_what_was_added(old, new, emojis):
    """An update has all reactions before and after. The added one counts, and a removed one gives no event."""
    change = {"chat": {"id": 1111111, "type": "private"}, "message_id": 7, "user": PERSON, "date": 9}
    events = parse(message_reaction=change | {"old_reaction": old, "new_reaction": new})
    messages = [event for event in events if event != Ignored("taken_back")]
    assert [(message.kind, message.text) for message in messages] == [("reaction", emoji) for emoji in emojis]
    assert all((m.message_id, m.extra) == ("reaction:7:9", {"target_id": "7"}) for m in messages)

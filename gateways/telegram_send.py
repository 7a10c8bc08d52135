"""Telegram's Bot API sends. The token is a part of every address.

A text goes without `parse_mode`, so none can fail because of its signs. Telegram reports nothing afterwards.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple
from urllib.parse import quote

from buffer.models import Conversation
from gateways.fields import int_of, number_of, object_of, text_of
from gateways.sending import (
    Again,
    InDoubt,
    Later,
    Misconfigured,
    Part,
    PartId,
    Rate,
    Refused,
    ReplyTo,
    Sender,
    SendRequest,
    SendResponse,
    SendResult,
    Sent,
    Target,
)
from gateways.sending_http import (
    address,
    by_status,
    error_text,
    extension_of,
    get,
    is_success,
    last_text,
    object_in,
    post_json,
    quoted_id,
    retry_after_s,
    told,
    unknown_error,
    without_id,
)
from gateways.utf16 import utf16_size

TEXT_MAX = 4096
CAPTION_MAX = 1024
CHANNEL_RATE = Rate(35)
"""Telegram allows a bot 30 messages a second."""

PERSON_RATE = Rate(1050)
"""One message a second in a chat."""

GROUP_RATE = Rate(3100)
"""20 messages a minute in a group."""

TYPING_S = 4.5
"""Seconds. Telegram shows the indicator for 5 s."""

RETRY_AFTER_S = 5.0
"""Seconds. The wait after a 429 that names none."""

RETRY_AFTER_MAX_S = 3600.0

MESSAGE_ID_MAX = 2**31
"""Ids of messages are smaller. Those of taps and votes are larger numbers or none."""

PEER = re.compile(r"(?P<chat>[^@:]*)(?:@(?P<connection>[^:]*))?(?::(?P<topic>.*))?", re.DOTALL)
METHODS = {
    "image": ("sendPhoto", "photo"),
    "audio": ("sendAudio", "audio"),
    "voice": ("sendVoice", "voice"),
    "video": ("sendVideo", "video"),
    "document": ("sendDocument", "document"),
}
"""The method for each kind of file, and the name of its field."""

VOICE = frozenset({"ogg", "oga", "opus"})
"""The extensions of what Telegram plays as a voice message."""

NO_QUOTE = re.compile(r"(message to be replied|replied message|reply message).*not found|REPLY_MESSAGE_ID", re.I)
NO_FILE = re.compile(r"URL content|HTTP URL|web ?page|IMAGE_PROCESS|PHOTO_|MEDIA_|wrong (file|type)|file is too", re.I)
ADVICE = {
    401: ": the token of the bot is wrong (TELEGRAM_BOT_TOKEN, or `send_key` of the route)",
    404: ": check the token and the address (TELEGRAM_BOT_TOKEN and TELEGRAM_URL, or those of the route)",
}


class Place(NamedTuple):
    """Where a message goes: the chat, a topic in it, and the business connection that it goes through."""

    chat: str
    connection: str | None
    topic: str | None

    def fields(self, *, is_group: bool) -> dict[str, Any]:
        """Return the fields that name the place. A topic of a chat that is no group is one of messages to a channel."""
        topic = "direct_messages_topic_id" if self.chat.startswith("-") and not is_group else "message_thread_id"
        given = {"business_connection_id": self.connection, topic: _number(self.topic or "")}
        return {"chat_id": _number(self.chat)} | {name: value for name, value in given.items() if value}

    def peer(self) -> str:
        """Return the peer of this place, as the webhook writes it."""
        return self.chat + (f"@{self.connection}" if self.connection else "") + (f":{self.topic}" if self.topic else "")


def place_of(peer: str) -> Place:
    """Return the place that a peer stands for: `<chat>`, `<chat>:<topic>`, `<chat>@<connection>` or all three."""
    found = PEER.fullmatch(peer)
    return Place(found["chat"], found["connection"], found["topic"]) if found else Place(peer, None, None)


def _number(written: str) -> int | str:
    return int(written) if re.fullmatch(r"-?[0-9]{1,19}", written) else written


def request(target: Target, reply_to: ReplyTo, part: Part, part_id: PartId) -> SendRequest:
    """Return the request for one part."""
    fields = _place_fields(reply_to) | _quote(reply_to, part_id)
    if part.kind == "text":
        fields |= {"text": part.text or "", "link_preview_options": {"is_disabled": True}}
        return _post(target, "sendMessage", fields)
    is_voice = part.kind == "audio" and extension_of(part) in VOICE
    method, name = METHODS["voice" if is_voice else part.kind]
    return _post(target, method, fields | {name: part.url or ""} | ({"caption": part.text} if part.text else {}))


def _place_fields(reply_to: ReplyTo) -> dict[str, Any]:
    return place_of(reply_to.conversation.peer).fields(is_group=reply_to.is_group)


def _quote(reply_to: ReplyTo, part_id: PartId) -> dict[str, Any]:
    message_id = _number(quoted_id(reply_to, part_id) or "")
    if not isinstance(message_id, int) or not 0 < message_id < MESSAGE_ID_MAX:
        return {}
    return {"reply_parameters": {"message_id": message_id, "allow_sending_without_reply": True}}


def _post(target: Target, method: str, fields: dict[str, Any]) -> SendRequest:
    return post_json(_url(target, method), {}, fields, [target.secret])


def _url(target: Target, method: str) -> str:
    # the colon of a token stays as it is: servers of one's own may compare the path undecoded
    return f"{address(target.url)}/bot{quote(target.secret, safe=':')}/{method}"


def read(response: SendResponse, reply_to: ReplyTo) -> SendResult:
    """Return what a response means. The code in the body decides, which is that of the HTTP status."""
    body = object_in(response)
    if is_success(response) and body.get("ok") is True:
        return _taken(body, response, reply_to)
    code = int_of(body.get("error_code")) if body.get("ok") is False else None
    if code is None or not 300 <= code < 600:
        code = response.status
    if 200 <= code < 300:
        return without_id(response, reply_to)
    return _failed(code, object_of(body.get("parameters")), response._replace(status=code), reply_to)


def _taken(body: dict[str, Any], response: SendResponse, reply_to: ReplyTo) -> SendResult:
    """Return the id of the message with its chat: Telegram counts the messages of each chat from 1."""
    message_id = text_of(object_of(body.get("result")).get("message_id"))
    chat = place_of(reply_to.conversation.peer).chat
    return Sent(f"{chat}:{message_id}") if message_id else without_id(response, reply_to)


def _failed(code: int, parameters: dict[str, Any], response: SendResponse, reply_to: ReplyTo) -> SendResult:
    if code == 400:
        return _bad_request(parameters, response, reply_to)
    if code == 403:
        return Refused("the person has blocked the bot, or the bot may not write there" + told(response, reply_to))
    if code == 429:
        return Later("too many messages" + told(response, reply_to), _wait_s(parameters, response))
    if code == 409:
        return Misconfigured("another program uses this bot" + told(response, reply_to))
    if code >= 500:
        return InDoubt(f"Telegram answered {code}{told(response, reply_to)}")
    return by_status(response, reply_to, ADVICE) or unknown_error(response, reply_to)


def _wait_s(parameters: dict[str, Any], response: SendResponse) -> float:
    """Return the wait that Telegram names, else the one of a proxy before it, else RETRY_AFTER_S."""
    seconds = number_of(parameters.get("retry_after"))
    if seconds is not None and seconds >= 0:
        return min(seconds, RETRY_AFTER_MAX_S)
    named_s = retry_after_s(response)
    return RETRY_AFTER_S if named_s is None else named_s


def _bad_request(parameters: dict[str, Any], response: SendResponse, reply_to: ReplyTo) -> SendResult:
    """Read a 400, which always comes before anything was sent."""
    text = error_text(response)
    if chat := text_of(parameters.get("migrate_to_chat_id")):
        return Again("the group has become a supergroup with another id", _moved(reply_to, chat))
    if NO_QUOTE.search(text) and "message_id" in reply_to.last:
        return Again("the message to quote is gone", _without_quote(reply_to))
    if NO_FILE.search(text):
        return Again("Telegram cannot load the file" + told(response, reply_to), as_link=True)
    return Refused("Telegram does not accept the message" + told(response, reply_to))


def _moved(reply_to: ReplyTo, chat: str) -> ReplyTo:
    peer = place_of(reply_to.conversation.peer)._replace(chat=chat).peer()
    return reply_to._replace(conversation=reply_to.conversation._replace(peer=peer))


def _without_quote(reply_to: ReplyTo) -> ReplyTo:
    return reply_to._replace(last={name: value for name, value in reply_to.last.items() if name != "message_id"})


def typing(target: Target, reply_to: ReplyTo) -> SendRequest | None:
    """Return the request that shows that we type. None in the messages to a channel, which have no indicator."""
    fields = _place_fields(reply_to)
    if "direct_messages_topic_id" in fields:
        return None
    return _post(target, "sendChatAction", fields | {"action": "typing"})


def read_receipt(target: Target, reply_to: ReplyTo) -> SendRequest | None:
    """Return the request that marks the last message as read, which bots can only in chats of a business account."""
    place, message_id = place_of(reply_to.conversation.peer), _number(last_text(reply_to, "message_id") or "")
    if not place.connection or not isinstance(message_id, int):
        return None
    fields = {"business_connection_id": place.connection, "chat_id": _number(place.chat), "message_id": message_id}
    return _post(target, "readBusinessMessage", fields)


def probe(target: Target, conversation: Conversation) -> SendRequest:
    """Return the request for the bot itself."""
    return get(_url(target, "getMe"), {}, [target.secret])


def read_probe(response: SendResponse) -> str | None:
    """Return None if Telegram knows the bot, else what is wrong."""
    if is_success(response) and object_in(response).get("ok") is True:
        return None
    return f"Telegram answered {response.status}{ADVICE.get(response.status, '')}"


SENDER = Sender(
    request,
    read,
    TEXT_MAX,
    CHANNEL_RATE,
    PERSON_RATE,
    group_rate=GROUP_RATE,
    text_size=utf16_size,
    caption_max=CAPTION_MAX,
    media_kinds=frozenset({"image", "audio", "video", "document"}),
    caption_kinds=frozenset({"image", "audio", "video", "document"}),
    typing=typing,
    typing_lasts_s=TYPING_S,
    read_receipt=read_receipt,
    probe=probe,
    read_probe=read_probe,
)

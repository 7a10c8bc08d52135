"""Evolution v2 and Evolution Go: the requests, and what each response means."""

from __future__ import annotations

import pytest

from gateways import evolution
from gateways.evolution_send import SENDER, STRIKES
from gateways.sending import Again, InDoubt, Later, Misconfigured, Part, Refused, Sent, Target
from gateways.sending_http import whatsapp_id
from tests.replies import GROUP, LID, PART_ID, PHONE, fields, reply_to, response

V2 = Target("https://evo.example.com/", "k3y")
GO = V2._replace(account="go")
OWN_ID = whatsapp_id(PART_ID)
PERSON = reply_to("evolution", "loja")


def v2_error(status, message):
    return response(status, {"status": status, "error": "Bad Request", "response": {"message": message}})


def test_a_text_goes_to_the_instance():
    """The path names the instance, the header has the key, and the body the address, the text and the id of ours."""
    request = SENDER.request(V2, PERSON, Part(text="olá"), PART_ID)
    assert (request.method, request.url) == ("POST", "https://evo.example.com/message/sendText/loja")
    assert dict(request.headers) == {"apikey": "k3y", "content-type": "application/json"}
    assert fields(request) == {"number": PHONE, "text": "olá", "linkPreview": True, "messageId": OWN_ID}


def test_the_own_id_has_the_form_of_whatsapp_web():
    """22 characters, the same on every attempt, and another for every part."""
    assert SENDER.own_id(PART_ID) == OWN_ID
    assert len(OWN_ID) == 22
    assert OWN_ID.startswith("3EB0")
    assert SENDER.own_id(PART_ID._replace(number=2)) != OWN_ID


def test_the_name_of_the_instance_is_encoded():
    """An instance with a slash or a blank in its name is one part of the path."""
    request = SENDER.request(V2, reply_to("evolution", "loja 1/ç"), Part(text="a"), PART_ID)
    assert request.url == "https://evo.example.com/message/sendText/loja%201%2F%C3%A7"


@pytest.mark.parametrize("peer", [PHONE, LID, GROUP])
def test_the_address_stays_as_it_came(peer):
    """Digits, a lid and a group go out unchanged."""
    assert fields(SENDER.request(V2, reply_to("evolution", "loja", peer), Part(text="a"), PART_ID))["number"] == peer


def test_the_first_part_to_a_group_quotes():
    """In a group the first text quotes the last message. Later parts, and those to a person, do not."""
    group = reply_to("evolution", "loja", GROUP, is_group=True)
    assert fields(SENDER.request(V2, group, Part(text="a"), PART_ID))["quoted"] == {"key": {"id": "M1"}}
    assert "quoted" not in fields(SENDER.request(V2, group, Part(text="a"), PART_ID._replace(number=2)))
    assert "quoted" not in fields(SENDER.request(V2, PERSON, Part(text="a"), PART_ID))


@pytest.mark.parametrize(
    ("part", "path", "body"),
    [
        (
            Part("image", "olha", "https://x.example/a.png"),
            "message/sendMedia",
            {"mediatype": "image", "media": "https://x.example/a.png", "caption": "olha"},
        ),
        (
            Part("document", None, "https://x.example/a.pdf", "tabela.pdf"),
            "message/sendMedia",
            {"mediatype": "document", "media": "https://x.example/a.pdf", "fileName": "tabela.pdf"},
        ),
        (
            Part("audio", None, "https://x.example/a.ogg"),
            "message/sendWhatsAppAudio",
            {"audio": "https://x.example/a.ogg"},
        ),
    ],
)
def test_files_have_paths_of_their_own(part, path, body):
    """A file goes by its address."""
    request = SENDER.request(V2, PERSON, part, PART_ID)
    assert request.url == f"https://evo.example.com/{path}/loja"
    assert fields(request) == {"number": PHONE} | body


def test_evolution_go_has_no_instance_in_its_path():
    """The token names the instance, and the full address is not reformatted."""
    request = SENDER.request(GO, PERSON, Part(text="olá"), PART_ID)
    assert request.url == "https://evo.example.com/send/text"
    assert fields(request) == {
        "number": f"{PHONE}@s.whatsapp.net",
        "text": "olá",
        "id": OWN_ID,
        "formatJid": False,
    }


def test_evolution_go_quotes_with_the_author():
    """A quote in a group names the author with a full address."""
    group = reply_to("evolution", "loja", GROUP, is_group=True, participant=PHONE)
    quoted = fields(SENDER.request(GO, group, Part(text="a"), PART_ID))["quoted"]
    assert quoted == {"messageId": "M1", "participant": f"{PHONE}@s.whatsapp.net"}


def test_evolution_go_sends_files():
    """A file has its kind, its address and the id of ours. Evolution Go would reformat the number here, too."""
    request = SENDER.request(GO, PERSON, Part("image", "olha", "https://x.example/a.png"), PART_ID)
    assert request.url == "https://evo.example.com/send/media"
    assert fields(request) == {
        "number": f"{PHONE}@s.whatsapp.net",
        "url": "https://x.example/a.png",
        "type": "image",
        "caption": "olha",
        "id": OWN_ID,
        "formatJid": False,
    }


@pytest.mark.parametrize(
    ("target", "path", "body"),
    [
        (V2, "chat/sendPresence/loja", {"number": PHONE, "presence": "composing", "delay": 8000}),
        (GO, "message/presence", {"number": f"{PHONE}@s.whatsapp.net", "state": "composing", "isAudio": False}),
    ],
)
def test_typing(target, path, body):
    """Typing is shown for eight seconds and asked for again."""
    request = SENDER.typing(target, PERSON)
    assert request.url == f"https://evo.example.com/{path}"
    assert fields(request) == body
    assert SENDER.typing_lasts_s == 8


@pytest.mark.parametrize(
    ("target", "path", "body"),
    [
        (
            V2,
            "chat/markMessageAsRead/loja",
            {"readMessages": [{"remoteJid": f"{PHONE}@s.whatsapp.net", "fromMe": False, "id": "M1"}]},
        ),
        (GO, "message/markread", {"number": f"{PHONE}@s.whatsapp.net", "id": ["M1"]}),
    ],
)
def test_read_receipt(target, path, body):
    """The last message is marked as read. Without an id there is nothing to mark."""
    request = SENDER.read_receipt(target, PERSON)
    assert request.url == f"https://evo.example.com/{path}"
    assert fields(request) == body
    assert SENDER.read_receipt(target, reply_to("evolution", "loja", message_id=None)) is None


NOT_ON_WHATSAPP = [{"exists": False, "jid": f"{PHONE}@s.whatsapp.net", "number": PHONE}]
META_WINDOW = {
    "message": "(#131047) Re-engagement message",
    "type": "OAuthException",
    "code": 131047,
    "error_data": {"messaging_product": "whatsapp", "details": "more than 24 hours"},
    "fbtrace_id": "AbC",
}

TABLE = [
    (response(201, {"key": {"remoteJid": "x", "fromMe": True, "id": "3EB01"}, "status": "PENDING"}), Sent, ""),
    (response(200, {"message": "success", "data": {"Info": {"ID": "3EB02"}}}), Sent, ""),
    (response(201, META_WINDOW), Refused, "24 hours"),
    (response(201, {**META_WINDOW, "code": 190}), Misconfigured, "access token"),
    (response(201, {**META_WINDOW, "code": 130429}), Later, "more messages a second"),
    (response(201, {**META_WINDOW, "code": 777777}), InDoubt, ""),
    (response(201, {"error": META_WINDOW}), Refused, "24 hours"),
    (response(201, {}), InDoubt, "without the id"),
    (response(201, b"<html>hello"), InDoubt, "an HTML page"),
    (response(201, b'{"key": {"id": '), InDoubt, "without the id"),
    (response(204), InDoubt, "without the id"),
    (v2_error(400, NOT_ON_WHATSAPP), Refused, "not on WhatsApp"),
    (v2_error(400, ["Error: Connection Closed"]), Later, "no connection to WhatsApp"),
    (v2_error(400, ["Error: Timed Out"]), InDoubt, "Timed Out"),
    (v2_error(400, ["Error: rate-overlimit"]), InDoubt, "rate-overlimit"),
    (v2_error(400, [['instance requires property "number"']]), Misconfigured, "does not know the request"),
    (v2_error(400, [{"message": "x"}]), InDoubt, "400"),
    (v2_error(401, "Unauthorized"), Misconfigured, "EVOLUTION_API_KEY"),
    (v2_error(403, ["Missing global api key"]), Misconfigured, "EVOLUTION_API_KEY"),
    (v2_error(404, ['The "loja" instance does not exist']), Misconfigured, "instance does not exist"),
    (v2_error(404, "Group not found"), Refused, "group does not exist"),
    (v2_error(500, "Connection Closed"), Later, "no connection"),
    (
        v2_error(500, "Cannot read properties of undefined (reading 'textMessage')"),
        Misconfigured,
        "restart it",
    ),
    (v2_error(500, "Cannot read properties of undefined (reading 'id')"), InDoubt, "500"),
    (response(503, {"error": "LICENSE_REQUIRED"}), Misconfigured, "licence"),
    (response(503, b"busy"), Later, "503"),
    (response(429, b"", retry_after="7"), Later, "429"),
    (response(502, b"<html>"), InDoubt, "502"),
    (response(504), InDoubt, "504"),
    (response(522), InDoubt, "522"),
    (response(302, b"", location="https://x"), Misconfigured, "redirects"),
    (response(405), Misconfigured, "405"),
    (response(413), Refused, "413"),
    (response(418), InDoubt, "418"),
    (response(400, {"error": "phone number is required"}), Misconfigured, "misses a field"),
    (response(400, {"error": "message body is required"}), Misconfigured, "misses a field"),
    (response(401, {"error": "not authorized"}), Misconfigured, "EVOLUTION_API_KEY"),
    (response(500, {"error": f"number {PHONE} is not registered on WhatsApp"}), Refused, "not on WhatsApp"),
    (response(500, {"error": "client disconnected"}), Misconfigured, "no connection"),
    (response(500, {"error": "no active session found"}), Misconfigured, "no connection"),
    (response(500, {"error": "failed to connect client after 3 attempts"}), Misconfigured, "no connection"),
    (response(500, {"error": "instance not found"}), Misconfigured, "EVOLUTION_API_KEY"),
    (response(500, {"error": "could not parse phone"}), Refused, "address"),
    (response(500, {"error": "invalid messageType"}), Refused, "address"),
    (response(500, {"error": "Invalid file format"}), Again, "files of this type"),
    (response(500, {"error": "timed out waiting for message send response"}), InDoubt, "timed out"),
    (response(500, {"error": "server returned error 479"}), InDoubt, "479"),
]


@pytest.mark.parametrize(("answer", "result", "words"), TABLE)
def test_what_a_response_means(answer, result, words):
    """Each row of the table: the class of the response, and a reason in plain words without the number."""
    read = SENDER.read(answer, PERSON)
    assert type(read) is result
    assert words in getattr(read, "reason", "")
    assert PHONE not in repr(read)


def test_the_id_of_the_message_is_returned():
    """The id is that of the message at WhatsApp, in both flavours."""
    assert SENDER.read(TABLE[0][0], PERSON) == Sent("3EB01")
    assert SENDER.read(TABLE[1][0], PERSON) == Sent("3EB02")


def test_a_closed_connection_counts_for_the_instance():
    """The connection is the channel's, and after a few such errors in a row somebody must look at it."""
    read = SENDER.read(v2_error(500, "Connection Closed"), PERSON)
    assert (read.whole_channel, read.strikes) == (True, STRIKES)


def test_a_lid_that_is_not_found_names_the_version():
    """Evolution before 2.4 does not find any lid, and the reason says so."""
    read = SENDER.read(v2_error(400, NOT_ON_WHATSAPP), reply_to("evolution", "loja", LID))
    assert type(read) is Refused
    assert "2.4" in read.reason


def test_retry_after_is_read():
    """The gateway's own delay is kept."""
    assert SENDER.read(response(429, b"", retry_after="7"), PERSON).after_s == 7


@pytest.mark.parametrize(
    ("answer", "wrong"),
    [
        (response(200, {"instance": {"instanceName": "loja", "state": "open"}}), None),
        (response(200, {"instance": {"instanceName": "loja", "state": "close"}}), "'close'"),
        (response(200, {"instance": {"instanceName": "loja"}}), "restart"),
        (response(404, {"response": {"message": ["no such instance"]}}), "no such instance"),
        (response(401), "EVOLUTION_API_KEY"),
        (response(200, {"data": {"Connected": True, "LoggedIn": True}}), None),
        (response(200, {"data": {"Connected": False}}), "no connection"),
        (response(200, b"<html>"), "EVOLUTION_URL"),
    ],
)
def test_the_probe(answer, wrong):
    """The state of the instance is told in one sentence."""
    read = SENDER.read_probe(answer)
    assert read is None if wrong is None else wrong in read


def test_the_gateway_has_the_sender():
    """The record of the gateway leads to its sender, whose probes have their addresses."""
    assert evolution.GATEWAY.sender is SENDER
    conversation = PERSON.conversation
    assert SENDER.probe(V2, conversation).url == "https://evo.example.com/instance/connectionState/loja"
    assert SENDER.probe(GO, conversation).url == "https://evo.example.com/instance/status"

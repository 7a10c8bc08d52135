"""Meta: credentials, the verification request, and the forms of its bodies that are not among the fixtures."""

import hmac
import json
from pathlib import Path

import pytest

from buffer.models import Conversation, Edit, Ignored, Revoke
from config.settings import Settings
from gateways import meta
from gateways.base import BadRequest, Request

VECTORS = json.loads((Path(__file__).parent.parent / "fixtures/auth_vectors.json").read_bytes())["meta"]
SIGNATURE = "X-Hub-Signature-256"
PHONE, BSUID = "5511900000001", "BR.13491208655302741918"
ANA = Conversation("meta", "106540352242922", PHONE)


def configured(**settings):
    return Settings(_env_file=None, **settings)


def asking(body=b"{}", headers=None, query=None):
    return Request(headers or {}, query or {}, "", body)


def opens(body, signature, secret):
    return meta.verify(asking(body, {SIGNATURE.lower(): signature}), configured(meta_app_secret=secret))


def change(*items, field="messages", name="messages", contacts=(), number=ANA.channel):
    value = {"metadata": {"phone_number_id": number}, "contacts": list(contacts), name: list(items)}
    return {"field": field, "value": value}


def parse(*changes, kind=meta.WHATSAPP):
    body = {"object": kind, "entry": [{"id": "1", "changes": [each]} for each in changes]}
    return meta.parse(asking(json.dumps(body).encode()))


def item(kind, said=None, **fields):
    message = {"from": PHONE, "id": "wamid.1", "timestamp": "1749416400", "type": kind} | fields
    return message if said is None else message | {kind: said}


def read(kind, said=None, contacts=(), **fields):
    (event,) = parse(change(item(kind, said, **fields), contacts=contacts))
    return event


def contact(name, **ids):
    return {"profile": {"name": name}} | ids


@pytest.mark.parametrize("vector", VECTORS, ids=range(len(VECTORS)))
def test_the_published_signatures_open(vector):
    """The signature of a real delivery is accepted for its own bytes and for no others."""
    body = vector["body_utf8"].encode()
    assert opens(body, vector[SIGNATURE], vector["secret"])
    assert not opens(body + b" ", vector[SIGNATURE], vector["secret"])
    assert not opens(json.dumps(json.loads(body)).encode(), vector[SIGNATURE], vector["secret"])
    assert not opens(body, vector[SIGNATURE], "another")


@pytest.mark.parametrize("signature", ["", "sha256=", "sha256=00", "sha1=00", "\xff\xfe", "sha256=" + "0" * 64])
def test_no_other_signature_opens(signature):
    """Missing, short and unreadable signatures are refused, and so is everything without a secret."""
    assert not opens(b"{}", signature, "s")
    digest = hmac.digest(b"", b"{}", "sha256").hex()
    assert not opens(b"{}", f"sha256={digest}", None)


def test_the_app_secret_opens_the_gateway():
    """The secret that signs deliveries makes it open, the verify token alone does not."""
    assert meta.is_open(configured(meta_app_secret="s"))
    assert not meta.is_open(configured(meta_verify_token="t"))


@pytest.mark.parametrize(
    ("query", "settings", "status"),
    [
        ({"hub.mode": "subscribe", "hub.verify_token": "t"}, {"meta_verify_token": "t"}, 200),
        ({"hub.mode": "unsubscribe", "hub.verify_token": "t"}, {"meta_verify_token": "t"}, 403),
        ({"hub.verify_token": "t"}, {"meta_verify_token": "t"}, 403),
        ({"hub.mode": "subscribe", "hub.verify_token": "ü"}, {"meta_verify_token": "t"}, 403),
        ({"hub.mode": "subscribe", "hub.verify_token": ""}, {}, 403),
        ({"hub.mode": "subscribe"}, {}, 403),
        ({"hub.mode": "subscribe"}, {"webhook_allow_unsigned": True}, 200),
        ({}, {}, 403),
    ],
)
def test_the_verification_needs_the_verify_token(query, settings, status):
    """The challenge comes back as plain text for the right token, else 403 that names the setting."""
    answer = meta.reply_to_verification(asking(query=query | {"hub.challenge": "1158201444"}), configured(**settings))
    assert answer.status == status
    if status == 200:
        assert (answer.body, answer.content_type) == (b"1158201444", "text/plain; charset=utf-8")
    else:
        assert "META_VERIFY_TOKEN" in json.loads(answer.body)["detail"]


@pytest.mark.parametrize("body", [b"", b"{", b"a=1", b"\xff"])
def test_a_body_that_is_not_json_is_refused(body):
    """A body that is no JSON at all is a bad request."""
    with pytest.raises(BadRequest):
        meta.parse(asking(body))


@pytest.mark.parametrize(
    ("body", "event"),
    [
        (b"[]", Ignored("misfit", "- []")),
        (b"7", Ignored("misfit", "- int")),
        (b"null", Ignored("misfit", "- NoneType")),
        (b'"5511900000001"', Ignored("misfit", "- str")),
        (b'{"object": {}, "x": 1}', Ignored("misfit", "- {object,x}")),
        (b'{"object": "instagram"}', Ignored("unknown_event")),
        (b'{"object": "whatsapp_business_account"}', Ignored("misfit", "whatsapp_business_account {object}")),
    ],
)
def test_json_of_another_form_is_accepted_and_ignored(body, event):
    """Authentic JSON of another form gives no message and no error, or Meta would repeat it. A misfit is described."""
    assert meta.parse(asking(body)) == [event]


@pytest.mark.parametrize(
    ("kind", "said", "expected"),
    [
        ("text", {"body": "oi"}, ("text", "oi", {})),
        ("sticker", {"id": "1", "animated": False}, ("image", None, {"sticker": True})),
        ("interactive", {"type": "x", "button_reply": {"id": "b", "title": "Sim"}}, ("interactive", "Sim", None)),
        ("order", {"text": "sem cebola"}, ("unknown", "sem cebola", None)),
        ("request_welcome", None, ("unknown", None, {"raw_type": "request_welcome"})),
        ("text", None, ("unknown", None, {"raw_type": "text"})),
        ("text", {"body": ""}, ("unknown", None, {"raw_type": "text"})),
        ("image", None, ("unknown", None, {"raw_type": "image"})),
        ("image", "x", ("unknown", None, {"raw_type": "image"})),
        ("button", None, ("unknown", None, {"raw_type": "button"})),
        ("location", [], ("unknown", None, {"raw_type": "location"})),
        ("contacts", {}, ("unknown", None, {"raw_type": "contacts"})),
        (
            "interactive",
            {"type": "nfm_reply"},
            ("unknown", None, {"raw_type": "interactive", "raw": {"type": "nfm_reply"}}),
        ),
        (
            "address",
            {"body": "Rua A, 1"},
            ("unknown", "Rua A, 1", {"raw_type": "address", "raw": {"body": "Rua A, 1"}}),
        ),
        (None, None, ("unknown", None, {})),
    ],
)
def test_a_message_is_read_by_its_type(kind, said, expected):
    """The named field decides; a field that is missing or unreadable leaves a message of kind unknown."""
    message = read(kind, said)
    assert (message.kind, message.text) == expected[:2]
    assert expected[2] is None or message.extra == expected[2]


def test_media_keeps_address_and_file_name():
    """Newer payloads carry the address already, and documents their name."""
    message = read("document", {"id": "7", "url": "https://x", "mime_type": "a/b", "filename": "c.pdf", "caption": "d"})
    assert message.media == {"url": "https://x", "id": "7", "mime": "a/b", "caption": "d", "filename": "c.pdf"}
    assert (message.kind, message.text) == ("document", "d")


def test_a_form_keeps_its_answers():
    """The answers in a Flow reach the agent as unchanged JSON text."""
    reply = {"name": "flow", "body": "Sent", "response_json": '{"dia": "seg"}'}
    message = read("interactive", {"type": "nfm_reply", "nfm_reply": reply})
    assert message.extra["interactive"] == {"id": "flow", "title": "Sent", "response_json": '{"dia": "seg"}'}


def test_a_card_without_a_formatted_name_still_has_one():
    """Cards fall back on the first name and on the WhatsApp number."""
    message = read("contacts", [{"name": {"first_name": "Bia"}, "phones": [{"wa_id": "1"}, {}, 7]}, {}])
    assert message.extra["contacts"] == [{"name": "Bia", "phones": ["1"]}, {"name": None, "phones": []}]
    assert message.text == "Bia"


def test_a_person_without_a_phone_has_the_user_id_as_peer():
    """A person with a username comes without `from` and `wa_id`, and is not lost."""
    message = read("text", {"body": "oi"}, [contact("Ana", user_id=BSUID)], **{"from": None, "from_user_id": BSUID})
    assert (message.conversation.peer, message.conversation_alias, message.sender_name) == (BSUID, None, "Ana")


@pytest.mark.parametrize(
    "fields",
    [
        {"from_user_id": BSUID},
        {"from": None, "from_user_id": BSUID},
        {},
    ],
)
def test_the_phone_goes_before_the_user_id(fields):
    """Whichever of the two names the message has, the contact adds the other, and the phone is the key."""
    message = read("text", {"body": "oi"}, [contact("Ana", wa_id=PHONE, user_id=BSUID)], **fields)
    assert (message.conversation, message.conversation_alias, message.sender_name) == (ANA, BSUID, "Ana")


def test_names_are_not_matched_by_position():
    """The contacts of a batch stand in any order, and some are missing."""
    contacts = [contact("Bia", wa_id="2"), contact("Ana", wa_id="1")]
    events = parse(change(*(item("text", {"body": "oi"}, **{"from": name}) for name in "123"), contacts=contacts))
    assert [event.sender_name for event in events] == ["Ana", "Bia", None]


def test_a_group_is_the_conversation_and_names_the_author():
    """In a group the peer is the group, the participant is the author, and there is no alias."""
    message = read("text", {"body": "oi"}, [contact("Ana", wa_id=PHONE, user_id=BSUID)], group_id="Y2Fw")
    assert (message.conversation.peer, message.is_group, message.conversation_alias) == ("Y2Fw", True, None)
    assert (message.extra, message.sender_name) == ({"participant": PHONE}, "Ana")


def test_an_echo_is_ours_and_belongs_to_the_receiver():
    """A message that a human wrote in the business app is from us, also to a person with a user id alone."""
    echo = {"from": "15550783881", "to_user_id": BSUID, "id": "M1", "type": "text", "text": {"body": "oi"}}
    receiver = [contact("Ana", user_id=BSUID)]
    (event,) = parse(change(echo, field="smb_message_echoes", name="message_echoes", contacts=receiver))
    assert (event.conversation.peer, event.from_me, event.sender_name) == (BSUID, True, None)


def test_edits_and_revokes_name_their_target():
    """Both are no messages, but act on an earlier one."""
    edited = item("edit", {"original_message_id": "T1", "message": {"type": "text", "text": {"body": "novo"}}})
    revoked = item("revoke", {"original_message_id": "T2"})
    assert parse(change(edited, revoked)) == [Edit(ANA, "T1", "novo", 1749416400000), Revoke(ANA, "T2")]


@pytest.mark.parametrize(
    ("left_out", "reason"),
    [
        (change(item("system", {"body": "changed number"})), "notification"),
        (change(item("text", {"body": "oi"}, **{"from": None})), "misfit"),
        (change(item("reaction", {"message_id": "T1", "emoji": ""})), "taken_back"),
        (change(item("unsupported", {"type": "pin_in_chat"})), "pin"),
        (change(item("unsupported", {"type": "call_log"})), "call"),
        (change(item("revoke", {})), "misfit"),
        (change(item("edit", {"original_message_id": "T1"})), "edit_without_text"),
        (change(item("edit", {"message": {"type": "text", "text": {"body": "novo"}}})), "misfit"),
        (change({"id": "S1", "status": "deleted"}, name="statuses"), "unknown_event"),
        (change("odd", name="statuses"), "unknown_event"),
        (change({"code": 1}, name="errors"), "unknown_event"),
        (change(), "misfit"),
        (change(item("text", {"body": "oi"}), field="history"), "unknown_event"),
        (change(item("text", {"body": "oi"}), field="standby"), "unknown_event"),
        (change(item("text", {"body": "oi"}), field=None), "misfit"),
        (change(item("text", {"body": "oi"}), number=None), "misfit"),
    ],
)
def test_items_that_are_no_messages_are_ignored(left_out, reason):
    """System notices, statuses and replayed history call nobody, and the other items of the body are read."""
    said = change(item("text", {"body": "oi"}, id="wamid.2"))
    before, message, after = parse(left_out, said, left_out)
    assert (before.reason, message.message_id, after.reason) == (reason, "wamid.2", reason)


@pytest.mark.parametrize(
    ("kind", "reason"), [("page", "unknown_event"), ("instagram", "unknown_event"), (None, "misfit"), ([], "misfit")]
)
def test_other_products_of_the_app_are_ignored(kind, reason):
    """One app secret signs for Messenger and Instagram too, which are not ours."""
    said = change(item("text", {"body": "oi"}))
    assert [event.reason for event in parse(said, kind=kind)] == [reason]


def test_the_order_is_that_of_the_batch():
    """Messages of the same second keep the order of the body, over all entries, changes and numbers."""
    names = [f"wamid.{index}" for index in (3, 1, 2, 5, 4)]
    events = parse(
        *(change(item("text", {"body": "oi"}, id=name), number=str(index % 2)) for index, name in enumerate(names))
    )
    assert [event.message_id for event in events] == names
    assert [event.conversation.channel for event in events] == ["0", "1", "0", "1", "0"]

"""Recorded bodies of the gateways that sign, posted to the application as the gateway posts them."""

import hashlib
import hmac

import orjson
import pytest

from buffer.stored_message import decode_messages
from gateways.twilio import TWIML
from tests import recorded_bodies
from tests.recorded_bodies import body_of, described, expected_of
from tests.webhook_client import PUBLIC_BASE_URL, serving

SECRETS = {
    "meta_app_secret": "test-app-secret",
    "meta_verify_token": "a-verify-token",
    "twilio_auth_token": "12345",
    "chatwoot_secret": "chatwoot-webhook-secret",
    "public_base_url": PUBLIC_BASE_URL,
}
FOR_OTHER_ADDRESSES = {("twilio", "duplicate_values_signature")}
SIGNING = ("chatwoot", "meta", "twilio")
CASES = [(gateway, case) for gateway, case in recorded_bodies.CASES if gateway in SIGNING]


def buffered(gateway, case):
    """Return the number of messages in a case that are buffered for the agent."""
    expected = expected_of(gateway, case)
    messages = expected if isinstance(expected, list) else []
    return sum(1 for each in messages if not (each["from_me"] or each["is_group"] or each["kind"] == "reaction"))


def stored(server, prefix):
    with server.client() as client:
        return sum(client.llen(key) for key in client.scan_iter(f"{prefix}:*buffer:*"))


def signed(body, secret=SECRETS["meta_app_secret"]):
    return {"X-Hub-Signature-256": "sha256=" + hmac.digest(secret.encode(), body, hashlib.sha256).hex()}


async def post(client, gateway, case):
    sent = described(gateway, case)
    return await client.post(sent["path"], content=body_of(gateway, case), headers=sent["headers"])


@pytest.fixture
def configured(valkey, make_settings):
    def make(**overrides):
        return make_settings(**{"redis_url": valkey.url, **SECRETS, **overrides})

    return make


@pytest.mark.server
@pytest.mark.parametrize(("gateway", "case"), [case for case in CASES if case not in FOR_OTHER_ADDRESSES])
async def test_a_recorded_body_is_stored_once(configured, valkey, prefix, gateway, case):
    """Each case gets its gateway's reply, and its messages are stored once, also when it is posted twice."""
    sent, count = described(gateway, case), buffered(gateway, case)
    async with serving(configured(meta_app_secret=sent["auth"]["secret"] if gateway == "meta" else "x")) as client:
        answers = [await post(client, gateway, case) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [sent["expect_http_status"]] * 2
    assert stored(valkey, prefix) == count
    if sent["expect_http_status"] != 200:
        assert answers[0].json()["error"] == "unauthorized"
    elif gateway == "twilio":
        assert (answers[0].content, answers[0].headers["content-type"]) == (TWIML.body, "text/xml")
    elif isinstance(expected_of(gateway, case), list):
        first, again = (answer.json() for answer in answers)
        assert (first["accepted"], again["accepted"], again["duplicates"]) == (count, 0, count)


@pytest.mark.server
@pytest.mark.parametrize(
    ("token", "status", "content", "content_type"),
    [
        ("a-verify-token", 200, "1158201444", "text/plain; charset=utf-8"),
        ("another", 403, None, "application/json"),
        ("", 403, None, "application/json"),
    ],
)
async def test_meta_gets_its_challenge(configured, token, status, content, content_type):
    """The GET of Meta is answered with the bare challenge, or with 403 for anybody else's token."""
    asked = {"hub.mode": "subscribe", "hub.verify_token": token, "hub.challenge": "1158201444"}
    async with serving(configured()) as client:
        answer = await client.get("/webhooks/meta", params=asked)
    assert (answer.status_code, answer.headers["content-type"]) == (status, content_type)
    assert answer.text == content if content else "META_VERIFY_TOKEN" in answer.json()["detail"]


@pytest.mark.server
@pytest.mark.parametrize(
    "body", [{}, [], 7, None, {"object": "whatsapp_business_account", "entry": [{"changes": 7}, None]}]
)
async def test_meta_gets_200_for_every_signed_json_body(configured, body):
    """An authentic body of an unexpected form is accepted and ignored. After a 4xx Meta would repeat it for a week."""
    content = orjson.dumps(body)
    async with serving(configured()) as client:
        answer = await client.post("/webhooks/meta", content=content, headers=signed(content))
    assert (answer.status_code, answer.json()) == (200, {"accepted": 0, "duplicates": 0, "ignored": 1})


@pytest.mark.server
async def test_a_batch_that_failed_is_stored_by_its_repetition(configured, start_server, prefix):
    """While Redis is away, Meta and Chatwoot get the status that makes them repeat the request."""
    server = start_server()
    settings = configured(redis_url=server.url)
    async with serving(settings) as client:
        server.stop()
        away = [await post(client, "meta", "voice"), await post(client, "chatwoot", "incoming_text")]
        server.restart()
        back = [await post(client, "meta", "voice"), await post(client, "chatwoot", "incoming_text")]
    assert [answer.status_code for answer in away] == [503, 500]
    # A late first attempt may have stored the message, and then the repetition is the duplicate.
    assert [answer.json()["accepted"] + answer.json()["duplicates"] for answer in back] == [1, 1]
    assert stored(server, prefix) == 2


@pytest.mark.server
async def test_a_batch_of_many_people_is_stored_once(configured, valkey, prefix):
    """1,000 messages for 300 phones, half of them twice, are 500 messages; the repetition adds none."""
    messages = [
        {"from": f"55119{index % 300:08}", "id": f"wamid.{index}", "type": "text", "text": {"body": str(index)}}
        for index in range(500)
    ]
    value = {"metadata": {"phone_number_id": "1"}, "messages": messages + messages}
    change = {"field": "messages", "value": value}
    content = orjson.dumps({"object": "whatsapp_business_account", "entry": [{"changes": [change]}]})
    async with serving(configured()) as client:
        first = await client.post("/webhooks/meta", content=content, headers=signed(content))
        after_first = stored(valkey, prefix)
        again = await client.post("/webhooks/meta", content=content, headers=signed(content))
    assert (first.status_code, after_first, stored(valkey, prefix)) == (200, 500, 500)
    assert again.json() == {"accepted": 0, "duplicates": 1000, "ignored": 0}


TOKENS = {"chatwoot_token": "a-token", "telegram_secret_token": "a-token"}


def field_bodies(gateway, case):
    path = recorded_bodies.FIXTURES / "field" / gateway / f"{case}.json"
    return orjson.loads(path.read_bytes())["bodies"]


async def post_with_token(client, gateway, body):
    answer = await client.post(f"/webhooks/{gateway}?token=a-token", content=orjson.dumps(body))
    return answer.json()


def buffers(server, prefix):
    """Return the texts of the buffered messages, one list per conversation."""
    with server.client() as client:
        lists = [client.lrange(key, 0, -1) for key in client.scan_iter(f"{prefix}:*buffer:*")]
    messages = [decode_messages(entries, [b""] * len(entries)) for entries in lists]
    return sorted([(message.edit or message.fields)["text"] for message in each] for each in messages)


@pytest.mark.server
@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("chatwoot/deleted_msg_updated", []),
        ("chatwoot/edited", [["quero 3"]]),
        ("chatwoot/input_select_answer_message_updated", [["Sim"]]),
        ("telegram/edited_in_burst", [["quero 3"]]),
        ("telegram/edited_business_message", [["oi2"]]),
        ("telegram/two_people_same_id_different_chats_must_both_count_telegram", [["a"], ["b"]]),
        ("telegram/same_chat_and_id_in_two_business_accounts", [["a"], ["b"], ["c"]]),
    ],
)
async def test_bodies_of_the_field_change_the_buffer(configured, valkey, prefix, where, expected):
    """Edits and deletions act on the open burst. Two chats of one person, or of one id, are two conversations."""
    async with serving(configured(**TOKENS)) as client:
        for body in field_bodies(*where.split("/")):
            await post_with_token(client, where.partition("/")[0], body)
    assert buffers(valkey, prefix) == expected


@pytest.mark.server
async def test_two_topics_are_two_conversations(configured, valkey, prefix):
    """Messages of two topics of one group are not joined."""
    async with serving(configured(**TOKENS, groups_enabled=True)) as client:
        for body in field_bodies("telegram", "two_topics_of_a_group"):
            body["message"]["message_id"] = body["update_id"]
            await post_with_token(client, "telegram", body)
    assert buffers(valkey, prefix) == [["a"], ["b"], ["c"]]


@pytest.mark.server
@pytest.mark.parametrize(("statuses", "accepted"), [("open,pending", 1), ("", 1), ("pending", 0)])
async def test_the_service_hears_the_configured_statuses(configured, statuses, accepted):
    """CHATWOOT_STATUSES decides in the running service. By default an open conversation is heard, too."""
    (body,) = field_bodies("chatwoot", "account_webhook_no_bot_status_open")
    async with serving(configured(**TOKENS, chatwoot_statuses=statuses)) as client:
        counts = await post_with_token(client, "chatwoot", body)
    assert (counts["accepted"], counts["ignored"]) == (accepted, 1 - accepted)

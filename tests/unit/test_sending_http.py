"""What the senders share: no hostile response raises, and no reason shows a secret."""

from __future__ import annotations

import json
from urllib.parse import quote

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateways import meta_errors, twilio_errors
from gateways.masking import MASK, REASON_MAX, masked_reason
from gateways.registry import GATEWAYS
from gateways.sending import InDoubt, Later, Misconfigured, Part, PartId, Refused, Sent, Target
from gateways.sending_http import (
    BODY_MAX,
    RETRY_AFTER_MAX_S,
    address,
    by_status,
    error_text,
    json_bytes,
    json_of,
    masked_url,
    mime_type_of,
    retry_after_s,
    whatsapp_id,
    without_secrets,
)
from tests.fuzzed_bodies import RAW, VALUES
from tests.replies import PART_ID, PHONE, reply_to, response

SENDERS = {name: gateway.sender for name, gateway in GATEWAYS.items() if gateway.sender}
TARGET = Target("https://gw.example.com/v1", "s3cr3t-t0ken", "acc0unt-t0ken")
PERSON = reply_to("evolution", "loja")
PARTS = [
    Part(text="olá"),
    Part(text=None),
    Part("image", None, None),
    Part("audio", "x", "https://x.example/a.ogg"),
    Part("document", "\ud83d", "https://[", "a/../b"),
]
TEXTS = st.text() | st.sampled_from(["\ud83d", "\x00", "..", "/", "", "\u202e", "a" * 70_000])
WORDS = st.sampled_from(
    ["Connection Closed", "exists", "No sessions", "463", "STARTING", "null not allowed", "phone", "does not exist"]
)


WITH_TOKEN_IN_ADDRESS = "telegram"
EVERY_2XX_IS_SENT = "generic"


def person_of(name, channel="loja", **about):
    """Return a person with the return address that Chatwoot needs."""
    return reply_to(name, channel, **{"return_address": {"account": "1"}, **about})


def test_every_gateway_sends():
    """The tests below run for all gateways."""
    assert set(SENDERS) == set(GATEWAYS)


@st.composite
def bodies(draw):
    """A body of a response: any bytes, JSON that no serialiser writes, or an object with odd fields."""
    names = st.sampled_from(
        ["key", "id", "error", "message", "response", "code", "data", "Info", "ID", "status", "messageid", "exception"]
    )
    values = st.recursive(VALUES | WORDS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner))
    odd = st.dictionaries(names, values, max_size=4).map(lambda tree: json.dumps(tree).encode("utf-8", "surrogatepass"))
    return draw(st.one_of(st.binary(max_size=200), st.sampled_from(RAW), odd))


@pytest.mark.parametrize("name", sorted(SENDERS))
def test_no_response_raises(name):
    """Any status, headers and bytes give a result, and its reason is short and can be printed."""
    sender = SENDERS[name]

    @settings(max_examples=150, deadline=None)
    @given(
        st.integers(-1, 1000) | st.sampled_from([200, 201, 400, 401, 404, 422, 429, 500, 503]),
        bodies(),
        st.dictionaries(st.sampled_from(["retry-after", "date", "content-type"]), st.text(max_size=20)),
    )
    @example(201, b"[" * 100_000, {})
    @example(429, b"", {"retry-after": "9" * 400})
    @example(429, b"", {"retry-after": "Wed, 21 Oct 2015 07:28:00 -0000", "date": "Wed, 21 Oct 2015 07:27:00 GMT"})
    def holds(status, body, headers):
        answer = response(status, body)._replace(headers=headers)
        result = sender.read(answer, reply_to(name, "loja"))
        if not isinstance(result, Sent):
            assert result.reason.isprintable()
            assert len(result.reason) < 2 * REASON_MAX
        if sender.read_probe:
            assert sender.read_probe(answer) is None or sender.read_probe(answer).isprintable()

    holds()


@pytest.mark.parametrize("name", sorted(SENDERS))
def test_no_part_raises(name):
    """Any address, text and last message give requests with an encoded path and bytes that UTF-8 knows."""
    sender = SENDERS[name]
    kinds = ["text", *sorted(sender.media_kinds)]

    @settings(max_examples=150, deadline=None)
    @given(
        st.builds(Part, st.sampled_from(kinds), st.none() | TEXTS, st.none() | TEXTS, st.none() | TEXTS),
        TEXTS,
        TEXTS,
        st.dictionaries(st.sampled_from(["message_id", "participant", "text"]), VALUES | TEXTS),
        st.booleans(),
    )
    def holds(part, channel, peer, last, is_group):
        person = person_of(name, channel, peer=peer, is_group=is_group, **last)
        made = [sender.request(TARGET, person, part, PART_ID)]
        made += [make(TARGET, person) for make in (sender.typing, sender.read_receipt) if make]
        made += [sender.probe(TARGET, person.conversation)] if sender.probe else []
        for request in filter(None, made):
            request.body.decode()
            assert request.url.isascii()
            assert TARGET.secret not in request.url or name == WITH_TOKEN_IN_ADDRESS
            assert TARGET.secret not in request.masked_url
            assert TARGET.account not in request.masked_url

    holds()


@pytest.mark.parametrize("name", sorted(SENDERS))
@pytest.mark.parametrize("part", PARTS)
def test_the_same_part_gives_the_same_bytes(name, part):
    """A repeated attempt is the same request."""
    sender, person = SENDERS[name], person_of(name)
    one, other = (sender.request(TARGET, person, part, PART_ID) for _ in range(2))
    # a signature has the time in it
    assert one._replace(headers={}) == other._replace(headers={})
    assert one.headers.get("idempotency-key") == other.headers.get("idempotency-key")


@pytest.mark.parametrize("name", sorted(SENDERS))
def test_no_gateway_text_shows_a_secret(name):
    """The words of a gateway reach a reason without token, number and message."""
    sender, person = SENDERS[name], reply_to(name, "loja")
    text = "a resposta do agente, com espaços"
    told = f"{TARGET.secret} {TARGET.account} {PHONE} +55 11 90000-0001 {text} {person.last['text']} x"
    for status in (*([] if name == EVERY_2XX_IS_SENT else [200]), 400, 401, 404, 422, 429, 500, 503):
        for body in ({"error": told}, {"response": {"message": [told]}}, {"exception": {"message": told}}, told):
            result = without_secrets(sender.read(response(status, body), person), TARGET, Part(text=text))
            assert isinstance(result, Later | Refused | Misconfigured | InDoubt)
            for secret in (TARGET.secret, TARGET.account, PHONE, "90000-0001", text, person.last["text"]):
                assert secret not in result.reason


TABLES = (meta_errors.MISCONFIGURED, meta_errors.REFUSED, meta_errors.LATER, twilio_errors.MISCONFIGURED)
CODES = sorted({code for table in TABLES for code in table if code is not None})


@pytest.mark.parametrize("name", SENDERS)
def test_the_words_of_our_own_are_not_masked(name):
    """What the gateway says stays whole beside the name of a setting: `…_TOKEN: Instance` looks like a token."""
    bodies = [{"error": "Instance not found"}, *({"code": code, "error": {"code": code}} for code in CODES)]
    for status in (400, 401, 403, 404, 422, 429, 500, 503):
        for body in bodies:
            read = SENDERS[name].read(response(status, body), person_of(name))
            assert MASK not in without_secrets(read, TARGET, Part(text="olá")).reason


def test_the_four_whatsapp_gateways_keep_their_limits():
    """4,096 characters, one message a second for the channel, and one in 1.5 seconds for a person."""
    for name in ("evolution", "waha", "zapi", "uazapi"):
        sender = SENDERS[name]
        assert sender.text_max == 4096
        assert (sender.channel_rate.interval_ms, sender.person_rate.interval_ms) == (1000, 1500)


@pytest.mark.parametrize(
    ("status", "result"),
    [
        (200, None),
        (301, Misconfigured),
        (302, Misconfigured),
        (307, Misconfigured),
        (308, Misconfigured),
        (400, None),
        (401, Misconfigured),
        (403, Misconfigured),
        (404, Misconfigured),
        (405, Misconfigured),
        (413, Refused),
        (415, Misconfigured),
        (422, None),
        (429, Later),
        (500, None),
        (502, InDoubt),
        (503, Later),
        (504, InDoubt),
        (520, InDoubt),
        (524, InDoubt),
        (525, None),
    ],
)
def test_what_a_status_alone_means(status, result):
    """The same for every gateway, and None where the body decides."""
    read = by_status(response(status, {"message": "x"}), PERSON)
    assert read is None if result is None else type(read) is result


@pytest.mark.parametrize(
    ("written", "date", "seconds"),
    [
        ("7", "", 7.0),
        ("1.5", "", 1.5),
        ("999999", "", RETRY_AFTER_MAX_S),
        ("-3", "", None),
        ("soon", "", None),
        ("", "", None),
        ("Wed, 21 Oct 2015 07:28:00 GMT", "Wed, 21 Oct 2015 07:27:00 GMT", 60.0),
        ("Wed, 21 Oct 2015 07:26:00 GMT", "Wed, 21 Oct 2015 07:27:00 GMT", 0.0),
        ("Wed, 21 Oct 2015 07:28:00 GMT", "", None),
        ("9" * 400, "", None),
    ],
)
def test_retry_after(written, date, seconds):
    """A number of seconds, or a date that counts from the response's own date."""
    assert retry_after_s(response(429, b"", retry_after=written, date=date)) == seconds


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("", ""),
        ("plain words", "plain words"),
        ("two\nlines\tand \x00\x1b[2J", "two lines and [2J"),
        (f"the number {PHONE} is wrong", f"the number {MASK} is wrong"),
        (f"{PHONE}@s.whatsapp.net", f"{MASK}@s.whatsapp.net"),
        ("call +55 (11) 90000-0001 now", f"call {MASK} now"),
        ("at https://u:p@x.example/a/b?token=1#c here", "at https://x.example here"),
        ("Authorization: Bearer abc.def", f"Authorization: {MASK}"),
        ('{"apikey": "abc"}', '{"apikey": ' + MASK + '"}'),
        ("key=abc&x=1", f"key= {MASK}&x=1"),
        ("id 3EB0AABBCCDDEEFF001122 unknown", f"id {MASK} unknown"),
        ("11111111-2222-3333-4444-555555555555", MASK),
        ("at 10.0.0.1:8080", "at 10.0.0.1:8080"),
        ("reachout_timelock 463", "reachout_timelock 463"),
        ("12345678901234567", f"1234{'*' * 11}67"),
    ],
)
def test_what_looks_like_a_secret_is_masked(text, shown):
    """Numbers, tokens and addresses are masked, and plain words are not."""
    assert masked_reason(text, ()) == shown


@pytest.mark.parametrize("secret", ["abcd", "a b\nc", "ção/+?", "oi"])
def test_a_known_secret_is_masked(secret):
    """A secret is masked as it is written, in one line, and in an address. A short one only as a word."""
    one_line = " ".join(secret.split())
    told = masked_reason(f"x {secret} y {quote(one_line, safe='')} z coisa", [secret])
    assert told == f"x {MASK} y {MASK} z coisa"


@given(st.text(max_size=2000), st.lists(st.text(max_size=50), max_size=4))
def test_masking_never_raises(text, secrets):
    """Any text gives one short line that can be printed."""
    told = masked_reason(text, secrets)
    assert told.isprintable()
    assert len(told) <= REASON_MAX + 1


@given(st.text(alphabet="ab1-_.@:/=\" '", max_size=4000))
def test_masking_takes_no_long(text):
    """No text makes the patterns go back and forth: hypothesis ends the test that takes too long."""
    masked_reason(text * 5, ())


def test_a_long_body_is_not_read():
    """A body above the limit is no JSON for us."""
    short, long = (json.dumps({"error": "x" * size}).encode() for size in (1000, BODY_MAX))
    assert json_of(response(500, short)) == {"error": "x" * 1000}
    assert json_of(response(500, long)) is None
    assert len(error_text(response(500, long))) <= 500


@pytest.mark.parametrize(
    ("parts", "url"),
    [
        (("a", "b"), "https://x.example/base/a/b"),
        (("a b", "ç/?#"), "https://x.example/base/a%20b/%C3%A7%2F%3F%23"),
        (("..", "."), "https://x.example/base/%2E%2E/%2E"),
        (("1@c.us",), "https://x.example/base/1@c.us"),
        (("\ud83d",), "https://x.example/base/?".replace("?", "%3F")),
    ],
)
def test_addresses_are_encoded(parts, url):
    """Each part stays one part of the path."""
    assert address("https://x.example/base/ ", *parts) == url


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://u:p@x.example/a/t%C3%B3ken/b?x=1", "https://x.example/a/***/b"),
        ("https://x.example/5511900000001/a", f"https://x.example/5511{'*' * 7}01/a"),
        ("https://[", "an address that cannot be read"),
    ],
)
def test_the_address_that_is_shown(url, shown):
    """User, query, secrets and numbers are not shown."""
    assert masked_url(url, ["tóken"]) == shown


def test_json_without_half_emojis():
    """A lone surrogate becomes the replacement character, and the rest stays."""
    assert json.loads(json_bytes({"text": "a\ud83db", "n": 1})) == {"text": "a\ufffdb", "n": 1}


def test_own_ids_differ():
    """No two parts have one id."""
    ids = {whatsapp_id(PartId(flush, number)) for flush in ("a", "b", "a.1") for number in range(1, 6)}
    assert len(ids) == 15


@pytest.mark.parametrize(
    ("part", "mime"),
    [
        (Part("image", None, "https://x.example/a.PNG?x=1"), "image/png"),
        (Part("document", None, "https://x.example/a", "t.pdf"), "application/pdf"),
        (Part("audio", None, "https://x.example/a"), "audio/ogg; codecs=opus"),
        (Part("video", None, None), "video/mp4"),
    ],
)
def test_media_types(part, mime):
    """The extension tells the media type, else the kind does."""
    assert mime_type_of(part) == mime

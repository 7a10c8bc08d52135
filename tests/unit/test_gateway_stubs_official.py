"""The senders of Meta, Twilio, Telegram, Chatwoot and generic against their stubs over HTTP."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple
from urllib.parse import urlencode, urlsplit

import httpx
import pytest

from buffer.models import DeliveryStatus
from config.settings import Settings
from gateways.base import Request
from gateways.registry import GATEWAYS
from gateways.sending import Again, InDoubt, Later, Misconfigured, Part, Refused, Sender, Sent, Target
from tests.gateway_stubs import chatwoot, generic, meta, telegram, twilio
from tests.gateway_stubs.base import Fault, GatewayStub
from tests.gateway_stubs.twilio import Callback
from tests.replies import PART_ID, PHONE, exchange, fields, reply_to
from tests.signing import OPEN, sign
from tests.webhook_client import PUBLIC_BASE_URL

USER_ID = "BR.13491208655302741918"


class Kind(NamedTuple):
    """A stub, and how a person of it is addressed. `path` comes after the address of the stub."""

    make: Callable[[], GatewayStub]
    channel: str
    peer: str
    target: Target
    path: str = ""
    group: str = ""
    last: Mapping[str, Any] = MappingProxyType({})


KINDS = {
    "meta": Kind(
        meta.MetaStub,
        "106540352242922",
        PHONE,
        Target("", meta.TOKEN),
        "/v26.0",
        "Y2FwaV9ncm91cDox",
        {"message_id": "wamid.IN"},
    ),
    "twilio": Kind(
        twilio.TwilioStub,
        "14155238886",
        PHONE,
        Target("", twilio.TOKEN, twilio.ACCOUNT, callback_url=PUBLIC_BASE_URL),
        last={"message_id": "SM1"},
    ),
    "telegram": Kind(
        telegram.TelegramStub,
        "default",
        "1111111",
        Target("", telegram.TOKEN),
        "",
        "-1001234567890",
        {"message_id": "45"},
    ),
    "chatwoot": Kind(
        chatwoot.ChatwootStub, "29269", "48", Target("", chatwoot.TOKEN), last={"return_address": {"account": "1"}}
    ),
    "generic": Kind(generic.GenericStub, "loja", PHONE, Target("", generic.SECRET), "/replies"),
}
MARKED = ["chatwoot", "generic", "meta", "twilio"]
"""The gateways that get an id or a mark of ours with each part."""

REPORTING = ["meta", "twilio"]
"""The gateways that report on a message with our mark."""

LOST = (httpx.RemoteProtocolError, httpx.ReadError)


class Line:
    """A stub, and the sender that sends to it."""

    def __init__(self, name: str) -> None:
        self.name, self.kind = name, KINDS[name]
        self.stub: Any = self.kind.make()
        if isinstance(self.stub, telegram.TelegramStub):
            self.stub.limits_on = False
        self.stub.open()
        self.target = self.kind.target._replace(url=self.stub.url + self.kind.path)
        sender = GATEWAYS[name].sender
        assert sender is not None
        self.sender: Sender = sender

    def person(self, peer: str = "", *, is_group: bool = False, **last: Any):
        return reply_to(
            self.name, self.kind.channel, peer or self.kind.peer, is_group=is_group, **{**self.kind.last, **last}
        )

    def send(self, part: Part, number: int = 1, timeout_s: float = 5.0, person=None):
        """Send a part and read the response."""
        person = person or self.person()
        request = self.sender.request(self.target, person, part, PART_ID._replace(number=number))
        return self.sender.read(exchange(request, timeout_s), person)

    def events(self):
        """Return the events of all webhooks that the stub has sent. Each of them is genuine."""
        wait_until(lambda: self.stub.echoes)
        return [event for body in self.stub.echoes for event in self._events(body)]

    def _events(self, echo):
        gateway, settings = GATEWAYS[self.name], Settings(_env_file=None, **OPEN | {"twilio_auth_token": twilio.TOKEN})
        request = _posted(self.name, echo)
        assert gateway.verify(request, settings)
        return gateway.parse(request)


def _posted(name, echo):
    """Return the request that a webhook of the gateway is."""
    if isinstance(echo, Callback):
        path, headers, body = urlsplit(echo.url)._replace(scheme="", netloc="").geturl(), echo.headers, echo.body
    else:
        body = json.dumps(echo).encode()
        path, headers = sign(name, f"/webhooks/{name}", body)
    url = urlsplit(path)
    query = dict(pair.split("=") for pair in url.query.split("&") if pair)
    return Request({key.lower(): value for key, value in headers.items()}, query, "", body, url.path, url.query)


@pytest.fixture(params=sorted(KINDS))
def line(request) -> Iterator[Line]:
    made = Line(request.param)
    yield made
    made.stub.close()


def wait_until(is_so: Callable[[], bool]) -> None:
    for _ in range(1000):
        if is_so():
            return
        time.sleep(0.01)
    raise AssertionError("it did not happen")


def test_a_text_arrives(line):
    """A text is taken, and the id that comes back is that of the message."""
    result = line.send(Part(text="olá {{nome}} & 😀"))
    (entry,) = line.stub.journal
    assert result == Sent(entry.message_id)
    assert entry.text == "olá {{nome}} & 😀"
    assert line.stub.violations == []


@pytest.mark.parametrize("line", ["meta", "telegram"], indirect=True)
def test_a_group_is_quoted(line):
    """The group is an address that the gateway knows, and the first part quotes the last message."""
    assert type(line.send(Part(text="olá"), person=line.person(line.kind.group, is_group=True))) is Sent
    assert ("context" if line.name == "meta" else "reply_parameters") in line.stub.requests[0].json
    assert line.stub.violations == []


@pytest.mark.parametrize("line", ["generic", "meta", "telegram", "twilio"], indirect=True)
@pytest.mark.parametrize("kind", ["image", "audio", "video", "document"])
def test_every_kind_of_file_is_taken(line, kind):
    """A file goes by its address, with its caption and name where the gateway takes them."""
    caption = "olha" if kind in line.sender.caption_kinds else None
    assert type(line.send(Part(kind, caption, f"https://x.example/{kind}.ogg", "arquivo.bin"))) is Sent
    assert line.stub.violations == []


def test_the_requests_beside_the_messages_are_taken(line):
    """Typing, read receipt, hand-over and probe keep the contract too."""
    if isinstance(line.stub, chatwoot.ChatwootStub):
        line.stub.owner = "user"
    sender, person = line.sender, line.person()
    makers = (sender.typing, sender.stop_typing, sender.read_receipt, sender.hand_over)
    made = [make(line.target, person) for make in makers if make]
    assert all(200 <= exchange(request).status < 300 for request in filter(None, made))
    if sender.probe:
        assert sender.read_probe(exchange(sender.probe(line.target, person.conversation))) is None
    assert line.stub.violations == []
    assert line.stub.journal == []


@pytest.mark.parametrize("line", MARKED, indirect=True)
def test_the_stub_gets_our_mark(line):
    """The part is named in the request."""
    line.send(Part(text="olá"))
    assert str(PART_ID) in line.stub.journal[0].own_id


@pytest.mark.parametrize("line", REPORTING, indirect=True)
def test_reports_carry_the_mark(line):
    """What the gateway reports about a message is genuine, and names it by its id and by our mark."""
    result = line.send(Part(text="olá"))
    wait_until(lambda: len(line.stub.echoes) == 2)
    report = DeliveryStatus(line.name, line.kind.channel, result.message_id, "sent", line.sender.own_id(PART_ID))
    assert line.events() == [report, report]


@pytest.mark.parametrize("line", REPORTING, indirect=True)
def test_a_message_can_fail_after_it_was_taken(line):
    """The success was none: a report says so later, with the reason in plain words."""
    line.stub.fails_late = {"meta": 131047, "twilio": 63016}[line.name]
    assert type(line.send(Part(text="olá"))) is Sent
    (event,) = line.events()
    assert (event.state, event.own_mark) == ("failed", str(PART_ID))
    assert "24 hours" in event.reason


@pytest.mark.parametrize("line", ["chatwoot", "generic"], indirect=True)
def test_the_echo_is_ours(line):
    """The echo is an own message of a program, and its id is the one that the response told."""
    result = line.send(Part(text="olá"))
    (echo,) = line.events()
    assert (echo.from_me, echo.extra["via_api"], echo.message_id) == (True, True, result.message_id)
    assert (echo.conversation.channel, echo.conversation.peer) == (line.kind.channel, line.kind.peer)
    assert echo.text == "olá"


@pytest.mark.parametrize("kind", ["close", "lost", "half", "echo_only"])
def test_a_broken_response_is_no_response(line, kind):
    """The caller learns nothing. The person got the message, except where nothing was done."""
    line.stub.faults[1] = Fault(kind)
    with pytest.raises(LOST):
        line.send(Part(text="olá"))
    assert len(line.stub.journal) == (0 if kind == "close" else 1)


PAGES = [Fault("html"), Fault("garbage"), Fault("endless")]


@pytest.mark.parametrize(
    ("fault", "result"),
    [
        *[(page, InDoubt) for page in PAGES],
        (Fault("redirect"), Misconfigured),
        (Fault("status", status=401), Misconfigured),
        (Fault("status", status=404), Misconfigured),
        (Fault("status", status=413), Refused),
        (Fault("status", status=429, headers={"retry-after": "3"}), Later),
        (Fault("status", status=500, body={"error": "odd"}), InDoubt),
        (Fault("status", status=502, body=b"<html>bad gateway"), InDoubt),
        (Fault("echo_first"), Sent),
        (Fault("echo_twice"), Sent),
        (Fault("slow", after_s=0.01), Sent),
    ],
)
def test_what_a_fault_becomes(line, fault, result):
    """Each fault that has a response is read as its class."""
    if line.name == "generic" and fault in PAGES:
        result = Sent  # every 2xx is one there
    if line.name == "chatwoot" and fault.status == 404:
        result = Refused
    line.stub.faults[1] = fault
    assert type(line.send(Part(text="olá"))) is result
    assert line.stub.violations == []
    assert len(line.stub.journal) == (0 if fault.kind in ("status", "redirect") else 1)


def test_a_wrong_secret_is_a_violation(line):
    """A request with a wrong secret is told and delivers nothing."""
    line.target = line.target._replace(secret="wrong")
    line.send(Part(text="olá"))
    assert len(line.stub.violations) == 1
    assert line.stub.journal == []


def test_an_odd_field_is_a_violation(line):
    """An unknown field is told by name."""
    request = line.sender.request(line.target, line.person(), Part(text="olá"), PART_ID)
    body = request.body + b"&odd=1" if line.name == "twilio" else json.dumps(fields(request) | {"odd": 1}).encode()
    if line.name == "generic":
        line.stub._check_signature = lambda received: None
    exchange(request._replace(body=body))
    (violation,) = line.stub.violations
    assert "odd" in violation


@pytest.mark.parametrize("line", ["chatwoot", "meta", "twilio"], indirect=True)
def test_a_repeated_mark_is_a_violation(line):
    """The same part twice is a double message."""
    line.send(Part(text="olá"))
    line.send(Part(text="olá"))
    assert "came twice" in line.stub.violations[0]


def test_meta_person_without_a_phone():
    """A person with a user id alone is named in `recipient`. Exactly one of both is allowed."""
    line = Line("meta")
    person = line.person(USER_ID)
    assert type(line.send(Part(text="olá"), person=person)) is Sent
    request = line.sender.request(line.target, person, Part(text="olá"), PART_ID)
    exchange(request._replace(body=json.dumps(fields(request) | {"to": PHONE}).encode()))
    assert "exactly one" in line.stub.violations[0]
    line.stub.close()


def test_meta_window():
    """After 24 hours the person cannot be reached, and with their next message they can."""
    line = Line("meta")
    line.stub.clock, line.stub.last_inbound[PHONE] = (lambda: 100_000.0), 13_600.0
    assert type(line.send(Part(text="olá"))) is Sent
    line.stub.last_inbound[PHONE] = 13_599.0
    assert "only a template" in line.send(Part(text="olá"), 2).reason
    assert len(line.stub.journal) == 1
    line.stub.close()


def test_meta_pair_limit():
    """A burst is taken, then this person has to wait, and another one has not."""
    line = Line("meta")
    line.stub.pair_burst = 3
    results = [line.send(Part(text="olá"), number) for number in range(1, 5)]
    assert [type(result) for result in results] == [Sent, Sent, Sent, Later]
    assert not results[-1].whole_channel
    assert type(line.send(Part(text="olá"), 5, person=line.person("5511900000002"))) is Sent
    line.stub.close()


def test_twilio_limits():
    """1,600 UTF-16 units, a body that is none, and addresses of two kinds."""
    line = Line("twilio")
    assert type(line.send(Part(text="😀" * 800))) is Sent
    assert "longer" in line.send(Part(text="😀" * 800 + "a"), 2).reason
    request = line.sender.request(line.target, line.person(), Part(text="olá"), PART_ID)
    exchange(
        request._replace(body=urlencode({"From": "+14155238886", "To": f"whatsapp:+{PHONE}", "Body": "a"}).encode())
    )
    assert "both addresses" in line.stub.violations[0]
    line.stub.close()


def test_telegram_counts_utf_16():
    """4,096 units are taken and one more is not."""
    line = Line("telegram")
    assert type(line.send(Part(text="😀" * 2048))) is Sent
    assert "too long" in line.send(Part(text="😀" * 2048 + "a"), 2).reason
    line.stub.close()


def test_telegram_rates():
    """A second message to a chat at once has to wait, and to another chat not: up to 30 in all."""
    line = Line("telegram")
    line.stub.limits_on = True
    assert type(line.send(Part(text="um"))) is Sent
    wait = line.send(Part(text="dois"), 2)
    assert (type(wait), wait.after_s, wait.whole_channel) == (Later, 1.0, False)
    line.stub._sent_at[1111111].clear()
    now_s = time.monotonic()
    line.stub._sent_at[5].extend([now_s] * 30)
    assert type(line.send(Part(text="três"), 3)) is Later
    line.stub.close()


@pytest.mark.parametrize("peer", ["-1001234567890", "-1001234567890:7"])
def test_telegram_group_rate(peer):
    """The 21st message of a minute has to wait in a group."""
    line = Line("telegram")
    line.stub.limits_on = True
    line.stub._sent_at[-1001234567890].extend([time.monotonic() - 30] * 20)
    result = line.send(Part(text="a"), person=line.person(peer, is_group=True))
    assert type(result) is Later
    assert 1 < result.after_s <= 30
    line.stub.close()


def test_telegram_other_forms():
    """A moved group, a quote that is gone and a file that cannot be loaded are sent in another form, and arrive."""
    line = Line("telegram")
    line.stub.moved[-5], line.stub.gone, line.stub.unloadable = -1009, {45}, {"https://x.example/a"}
    moved = line.send(Part(text="olá"), person=line.person("-5", is_group=True))
    assert type(moved) is Again
    unquoted = line.send(Part(text="olá"), person=moved.reply_to)
    assert type(line.send(Part(text="olá"), person=unquoted.reply_to)) is Sent
    assert line.stub.texts("-1009") == ["olá"]
    unloaded = line.send(Part("image", "olha", "https://x.example/a"), 2)
    assert unloaded.as_link
    line.stub.close()


def test_telegram_block():
    """A person who has blocked the bot is refused."""
    line = Line("telegram")
    line.stub.blocked_by.add(1111111)
    assert "blocked" in line.send(Part(text="olá")).reason
    line.stub.close()


def test_chatwoot_bots_do_not_type():
    """The token of a bot may send, hand over and be probed, and not type."""
    line = Line("chatwoot")
    person = line.person()
    assert exchange(line.sender.typing(line.target, person)).status == 401
    assert line.sender.read_probe(exchange(line.sender.probe(line.target, person.conversation))) is None
    assert exchange(line.sender.hand_over(line.target, person)).status == 200
    assert line.stub.statuses == {"48": "open"}
    assert type(line.send(Part(text="olá"))) is Sent
    assert line.stub.violations == []
    line.stub.close()


def test_chatwoot_channel_fails():
    """The channel behind Chatwoot reports that it could not deliver."""
    line = Line("chatwoot")
    line.stub.external_error = "131047: Re-engagement message"
    result = line.send(Part(text="olá"))
    wait_until(lambda: len(line.stub.echoes) == 2)
    assert line.events()[1] == DeliveryStatus(
        "chatwoot", "29269", result.message_id, "failed", reason="131047: Re-engagement message"
    )
    line.stub.close()


def test_generic_is_idempotent():
    """A repeated part gets the same response, and the person gets it once."""
    line = Line("generic")
    line.stub.idempotent = True
    assert line.send(Part(text="olá")) == line.send(Part(text="olá"))
    assert line.stub.texts(PHONE) == ["olá"]
    line.stub.close()


def test_generic_signature_is_recent():
    """An old signature is a violation."""
    line = Line("generic")
    request = line.sender.request(line.target, line.person(), Part(text="olá"), PART_ID)
    exchange(request._replace(headers=dict(request.headers) | {"webhook-timestamp": "1"}))
    assert "signature" in line.stub.violations[0]
    line.stub.close()

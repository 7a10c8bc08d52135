"""The senders against their stubs over HTTP: the usual way, each fault, and the stubs' own strictness."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from gateways.base import Request
from gateways.registry import GATEWAYS
from gateways.sending import InDoubt, Later, Misconfigured, Part, Refused, Sender, Sent, Target
from tests.gateway_stubs import evolution, uazapi, waha, zapi
from tests.gateway_stubs.base import Fault, GatewayStub
from tests.replies import GROUP, LID, PART_ID, PHONE, exchange, fields, reply_to

STUBS = {
    "evolution": (evolution.EvolutionStub, "loja", Target("", evolution.KEY)),
    "evolution_go": (evolution.EvolutionGoStub, "loja", Target("", evolution.KEY, "go")),
    "waha": (waha.WahaStub, "default", Target("", waha.KEY)),
    "zapi": (zapi.ZapiStub, "3E4F7360B552F0C2DBCB9E6774402775", Target("", zapi.CLIENT_TOKEN, zapi.INSTANCE_TOKEN)),
    "uazapi": (uazapi.UazapiStub, "eKoB39", Target("", uazapi.KEY)),
}
MARKED = sorted(STUBS.keys() - {"zapi"})
"""The gateways that take an id or a mark of ours."""

LOST = (httpx.RemoteProtocolError, httpx.ReadError)


class Line:
    """A stub, and the sender that sends to it."""

    def __init__(self, name: str) -> None:
        make, self.channel, target = STUBS[name]
        self.gateway = name.partition("_")[0]
        self.stub: GatewayStub = make(self.channel)
        self.stub.open()
        self.target = target._replace(url=self.stub.url)
        sender = GATEWAYS[self.gateway].sender
        assert sender is not None
        self.sender: Sender = sender

    def person(self, peer: str = PHONE, **last):
        return reply_to(self.gateway, self.channel, peer, **last)

    def send(self, part: Part, number: int = 1, timeout_s: float = 5.0, **about):
        """Send a part and read the response."""
        person = self.person(**about)
        request = self.sender.request(self.target, person, part, PART_ID._replace(number=number))
        return self.sender.read(exchange(request, timeout_s), person)

    def events(self):
        """Return the events of all webhooks that the stub has sent."""
        parse = GATEWAYS[self.gateway].parse
        return [event for body in self.stub.echoes for event in parse(Request({}, {}, "", json.dumps(body).encode()))]


@pytest.fixture(params=sorted(STUBS))
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
    result = line.send(Part(text="olá {{nome}}, tudo bem?"))
    (entry,) = line.stub.journal
    assert result == Sent(entry.message_id)
    assert entry.text.replace("\u200d", "") == "olá {{nome}}, tudo bem?"
    assert line.stub.violations == []


@pytest.mark.parametrize("peer", [PHONE, LID, GROUP])
def test_every_address_is_taken(line, peer):
    """A phone, a lid and a group are addresses that the gateway knows. The first part to a group quotes."""
    if line.gateway == "zapi":
        peer = peer.replace("@g.us", "-group")
    last = {"participant": PHONE, "message_id": "M1"}
    assert type(line.send(Part(text="olá"), peer=peer, is_group=peer not in (PHONE, LID), **last)) is Sent
    assert line.stub.violations == []


@pytest.mark.parametrize("kind", ["image", "audio", "video", "document"])
def test_every_kind_of_file_is_taken(line, kind):
    """A file goes by its address, with its caption and name where the gateway takes them."""
    part = Part(kind, "olha", f"https://x.example/{kind}.bin", "arquivo.bin")
    assert type(line.send(part)) is Sent
    assert line.stub.violations == []


def test_typing_read_receipt_and_probe_are_taken(line):
    """The requests beside the messages keep the contract too."""
    person = line.person()
    makers = (line.sender.typing, line.sender.stop_typing, line.sender.read_receipt)
    made = [make(line.target, person) for make in makers if make]
    assert all(200 <= exchange(request).status < 300 for request in made)
    probe = exchange(line.sender.probe(line.target, person.conversation))
    assert line.sender.read_probe(probe) is None
    assert line.stub.violations == []
    assert line.stub.journal == []


def test_the_echo_is_ours(line):
    """The echo is an own message sent through the API, and its id is the one that the response told."""
    result = line.send(Part(text="olá {{nome}}"))
    wait_until(lambda: line.stub.echoes)
    (echo,) = line.events()
    assert (echo.from_me, echo.extra["via_api"]) == (True, True)
    assert (echo.dedupe_id or echo.message_id) == result.message_id
    assert (echo.conversation.channel, echo.conversation.peer) == (line.channel, PHONE)
    assert echo.text == "olá {{nome}}"


@pytest.mark.parametrize("line", MARKED, indirect=True)
def test_the_echo_carries_our_mark(line):
    """Where the gateway takes an id or a mark of ours, the echo has it."""
    line.send(Part(text="olá"))
    wait_until(lambda: line.stub.echoes)
    (echo,) = line.events()
    assert line.sender.own_id(PART_ID) in (echo.message_id, echo.dedupe_id, echo.extra.get("own_mark"))


@pytest.mark.parametrize("kind", ["close", "lost", "half", "echo_only"])
def test_a_broken_response_is_no_response(line, kind):
    """The caller learns nothing. The person got the message, except where nothing was done."""
    line.stub.faults[1] = Fault(kind)
    with pytest.raises(LOST):
        line.send(Part(text="olá"))
    assert len(line.stub.journal) == (0 if kind == "close" else 1)
    assert len(line.stub.echoes) == 1 or kind != "echo_only"


def test_a_slow_response_is_given_up(line):
    """The caller stops waiting, and the person got the message."""
    line.stub.faults[1] = Fault("slow", after_s=30)
    with pytest.raises(httpx.ReadTimeout):
        line.send(Part(text="olá"), timeout_s=0.5)
    assert line.stub.texts(line.stub.journal[0].conversation) == ["olá"]


def test_what_a_503_becomes(line):
    """It had no effect, but at Z-API nobody knows after any 5xx."""
    line.stub.faults[1] = Fault("status", status=503)
    assert type(line.send(Part(text="olá"))) is (InDoubt if line.gateway == "zapi" else Later)


@pytest.mark.parametrize(
    ("fault", "result"),
    [
        (Fault("html"), InDoubt),
        (Fault("garbage"), InDoubt),
        (Fault("endless"), InDoubt),
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
    line.stub.faults[1] = fault
    assert type(line.send(Part(text="olá"))) is result
    assert line.stub.violations == []
    assert len(line.stub.journal) == (0 if fault.kind in ("status", "redirect") else 1)


def test_echoes_come_before_the_response_when_told(line):
    """With `echo_first` the webhook has come when the caller has its response, and with `echo_twice` two have."""
    line.stub.faults.update({1: Fault("echo_first"), 2: Fault("echo_twice")})
    line.send(Part(text="um"))
    assert len(line.stub.echoes) == 1
    line.send(Part(text="dois"), number=2)
    assert len(line.stub.echoes) == 3


def test_a_stub_that_is_shut_refuses_connections(line):
    """Nothing listens, until it opens again at the same address."""
    line.stub.shut()
    with pytest.raises(httpx.ConnectError):
        line.send(Part(text="olá"))
    line.stub.open()
    assert type(line.send(Part(text="olá"))) is Sent


def test_a_wrong_key_is_a_violation(line):
    """A request with a wrong secret is told and delivers nothing."""
    line.target = line.target._replace(secret="wrong")
    line.send(Part(text="olá"))
    assert len(line.stub.violations) == 1
    assert line.stub.journal == []


@pytest.mark.parametrize("change", [{"odd": 1}, {"text": 7, "message": 7}])
def test_an_odd_field_is_a_violation(line, change):
    """An unknown field and a wrong type are told by name."""
    request = line.sender.request(line.target, line.person(), Part(text="olá"), PART_ID)
    exchange(request._replace(body=json.dumps(fields(request) | change).encode()))
    (violation,) = line.stub.violations
    assert "field" in violation


def test_a_wrong_path_and_a_wrong_method_are_violations(line):
    """So are a path that the gateway does not have, and another method."""
    request = line.sender.request(line.target, line.person(), Part(text="olá"), PART_ID)
    exchange(request._replace(url=line.stub.url + "/elsewhere"))
    exchange(request._replace(method="PUT"))
    assert len(line.stub.violations) == 2


def test_a_text_over_the_limit_is_a_violation(line):
    """4,097 characters are too many."""
    line.send(Part(text="a" * 4097))
    assert "4097" in line.stub.violations[0]


@pytest.mark.parametrize("line", MARKED, indirect=True)
def test_a_repeated_own_id_is_a_violation(line):
    """The same id of ours twice is a double message."""
    line.send(Part(text="olá"))
    line.send(Part(text="olá"))
    assert "came twice" in line.stub.violations[0]


def test_more_than_the_rate_is_a_violation(line):
    """Three messages at once are too many for a limit of two a second."""
    line.stub.most_per_second = 2
    for number in (1, 2, 3):
        line.send(Part(text="olá"), number=number)
    assert "more than 2" in line.stub.violations[0]


def test_two_messages_to_a_person_at_once_are_a_violation(line):
    """The second comes while the first is unanswered."""
    line.stub.faults[1] = Fault("slow", after_s=30)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(line.send, Part(text="um"), 1, 60.0)
        wait_until(lambda: len(line.stub.journal) == 1)
        line.send(Part(text="dois"), number=2)
        line.stub.shut()
        assert isinstance(first.exception(), LOST)
    assert "while the first is unanswered" in line.stub.violations[0]


def test_uazapi_replaces_templates():
    """The stub does what the real gateway does: a text with two braces would be changed."""
    line = Line("uazapi")
    request = line.sender.request(line.target, line.person(), Part(text="olá"), PART_ID)
    exchange(request._replace(body=json.dumps(fields(request) | {"text": "olá {{nome}}"}).encode()))
    assert "template" in line.stub.violations[0]
    line.stub.close()


@pytest.mark.parametrize("engine", ["NOWEB", "WEBJS", "GOWS", "EMPTY"])
def test_every_engine_of_waha(engine):
    """The id is found in three forms, and an empty answer is a success without an id."""
    line = Line("waha")
    line.stub.engine = engine
    result = line.send(Part(text="olá"))
    assert result == Sent(None if engine == "EMPTY" else line.stub.journal[0].message_id)
    line.stub.close()


def test_evolution_before_own_ids():
    """Before 2.4 Evolution makes the id itself, and the response tells it."""
    line = Line("evolution")
    line.stub.takes_own_ids = False
    result = line.send(Part(text="olá"))
    assert result == Sent(line.stub.journal[0].message_id)
    assert result.message_id != line.sender.own_id(PART_ID)
    line.stub.close()


def test_zapi_holds_its_queue():
    """A message in the queue is a success, and the person gets it later."""
    line = Line("zapi")
    line.stub.holds = True
    assert type(line.send(Part(text="olá"))) is Sent
    assert line.stub.journal == []
    line.stub.flush()
    assert line.stub.texts(PHONE) == ["olá"]
    line.stub.close()

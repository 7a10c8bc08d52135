"""`debouncer check --agent`: what it prints for answers and failures of the sample agents; nobody gets them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from agents.results import AgentReply, doubt, later, misconfigured, refused
from cli.main import main
from cli.sample.base import SampleAgent
from cli.sample.kinds import SAMPLES
from cli.trial_call import TEXTS, outcome_of
from config.settings import load_settings
from gateways.sending import Part
from tests.sample_agents import served
from tests.servers import free_port

Call = Callable[..., tuple[int, str]]
"""Runs `check --agent` against a sample agent of a kind and mode. Returns the exit code and what was printed."""


@pytest.fixture
def agents() -> list[SampleAgent]:
    """The sample agents that were started in the test."""
    return []


@pytest.fixture
def call(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], agents: list[SampleAgent]
) -> Iterator[Call]:
    """Start sample agents and call them."""
    with ExitStack() as running:

        def check(kind: str, mode: str = "", channel: tuple[str, ...] = (), **settings: str) -> tuple[int, str]:
            agents.append(SAMPLES[kind].agent(mode))
            url = running.enter_context(served(agents[-1])) + SAMPLES[kind].path
            values = {"AGENT_KIND": kind, "AGENT_URL": url, **SAMPLES[kind].settings, **settings}
            for name, value in values.items():
                monkeypatch.setenv(name.upper(), value)
            code = main(["check", "--agent", *channel])
            return code, capsys.readouterr().out

        yield check


@pytest.mark.parametrize("kind", SAMPLES)
def test_answer_is_shown(call: Call, agents: list[SampleAgent], kind: str):
    """The answer of each kind is shown as the parts that a person would get, and the agent has heard both texts."""
    code, printed = call(kind)
    assert (code, agents[0].wrong) == (0, [])
    assert f": {kind} at http://127.0.0.1:" in printed
    assert "Understood, and sent to nobody:\n  1. " in printed
    assert [text for said in agents[0].turns.values() for text in said] == ["\n".join(TEXTS)]


@pytest.mark.parametrize(
    ("kind", "mode", "code", "words"),
    [
        ("n8n", "immediately", 1, "the agent's software said: Workflow was started"),
        ("n8n", "not-reached", 0, "Using 'Respond to Webhook' Node"),
        ("n8n", "inactive", 1, "switch the workflow on"),
        ("n8n", "error", 1, "and then runs twice"),
        ("n8n", "html", 1, "an HTML page"),
        ("openai", "quota", 1, "its account has no credit"),
        ("openai", "tools", 1, "A real burst becomes a dead letter at once"),
        ("dify", "cut", 1, "Dify's stream broke off before its end"),
        ("typebot", "error", 1, "AGENT_REPEAT=never"),
    ],
)
def test_failure_is_shown_in_words(call: Call, kind: str, mode: str, code: int, words: str):
    """A failure, or an answer that is none, says what it was and what becomes of a real burst."""
    found, printed = call(kind, mode)
    assert (found, words in printed) == (code, True)


def test_wrong_key_is_named(call: Call):
    """A key that the agent refuses is named as the setting that is wrong, and the burst would wait."""
    code, printed = call("openai", agent_key="wrong")
    assert (code, "see AGENT_KEY" in printed, "AGENT_GIVE_UP" in printed) == (1, True, True)


def test_silence_is_right_if_replies_are_off(call: Call):
    """An agent that sends its replies itself is not told to answer."""
    code, printed = call("n8n", "not-reached", send_replies="off")
    assert (code, "which is right: SEND_REPLIES=off" in printed) == (0, True)


def test_session_is_that_of_the_channel(call: Call, agents: list[SampleAgent]):
    """The agent of a channel is called as that channel, with a person who is no phone number."""
    call("n8n", channel=("evolution/loja",))
    (session,) = agents[0].turns
    assert session.startswith("evolution:loja:check-")


def test_nobody_gets_the_answer(call: Call):
    """The gateway of the channel is not called, although replies could be sent."""
    calls: list[str] = []

    class Gateway(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            calls.append(self.path)
            self.send_error(500)

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Gateway) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        code, _ = call(
            "n8n", channel=("evolution/loja",), evolution_url=url, evolution_api_key="k", evolution_token="t"
        )
        server.shutdown()
    assert (code, calls) == (0, [])


def test_agent_that_is_away(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Nobody at the address: the burst would wait."""
    monkeypatch.setenv("AGENT_URL", f"http://127.0.0.1:{free_port()}/")
    assert main(["check", "--agent"]) == 1
    printed = capsys.readouterr().out
    assert "nobody listens at 127.0.0.1:" in printed
    assert "A real burst waits" in printed


@pytest.mark.parametrize(
    ("arguments", "words"),
    [([], "AGENT_URL of default is not set"), (["evolucion/loja"], "did you mean evolution/loja?")],
)
def test_call_that_cannot_be_made(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
):
    """Without an address, and for a gateway that does not exist, the command says what to write."""
    monkeypatch.delenv("AGENT_URL", raising=False)
    assert main(["check", "--agent", *arguments]) == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize(
    ("failure", "words"),
    [
        (refused("no"), "becomes a dead letter at once"),
        (misconfigured("no"), "for AGENT_GIVE_UP=86400 s at most"),
        (later("no"), "up to 8 times (AGENT_MAX_ATTEMPTS), then it becomes a dead letter."),
        (doubt("no"), "and then runs twice"),
    ],
)
def test_fate_of_a_burst(failure: Any, words: str):
    """Each class of failures says what a real burst would meet."""
    assert words in outcome_of(failure, 0.1, load_settings(None)).lines[1]


def test_file_handoff_and_what_was_left_out():
    """A file is shown with its address, beside the wish for a human and what was not understood."""
    parts = (Part(text="one\ntwo"), Part("image", "a cat", "https://example.com/c.png"))
    lines = outcome_of(AgentReply(parts, True, "part 3: a number"), 0.1, load_settings(None)).lines
    assert lines[1:] == [
        "  1. one\n     two",
        "  2. image https://example.com/c.png a cat",
        "  not understood: part 3: a number",
        "  handoff: a human takes over after it",
    ]


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("https://n8n.example.com/webhook/bot", "n8n"),
        ("https://flows.example.com/api/v1/prediction/1", "flowise"),
        ("https://bots.example.com/api/v1/typebots/shop", "typebot"),
        ("https://api.dify.ai/v1", "dify"),
        ("http://127.0.0.1:11434/v1", "openai"),
    ],
)
def test_kind_is_guessed_from_the_address(url: str, kind: str):
    """An agent that is called as a generic one and not understood is said to look like another kind."""
    settings = load_settings(None, agent_url=url)
    silent = AgentReply(not_understood="JSON without `reply`")
    assert f"try AGENT_KIND={kind} " in outcome_of(silent, 0.1, settings).lines[-1]
    assert f"try AGENT_KIND={kind} " in outcome_of(later("the agent answered 500"), 0.1, settings).lines[-1]
    assert "AGENT_KIND" not in outcome_of(AgentReply((Part(text="hi"),)), 0.1, settings).lines[-1]
    assert "AGENT_KIND" not in outcome_of(silent, 0.1, load_settings(None, agent_url=url, agent_kind="n8n")).lines[-1]


@pytest.mark.parametrize(("kind", "words"), [("n8n", "AGENT_ANSWER_WITHIN=300 s"), ("generic", "gets no reply")])
def test_answer_that_comes_later(kind: str, words: str):
    """A 202 is said to be an answer that comes later where one is waited for, else to be none."""
    outcome = outcome_of(AgentReply(comes_later=True), 0.1, load_settings(None, agent_kind=kind))
    assert (outcome.is_well, words in " ".join(outcome.lines)) == (True, True)

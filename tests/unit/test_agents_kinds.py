"""The kinds of agents: what each one is sent, and what its answers mean. No answer that is none becomes a part."""

from __future__ import annotations

import json
from typing import Any

import pytest

from agents import dify, flowise, langgraph, n8n, openai, typebot
from agents.base import AgentRequest, AgentResponse, AgentTarget, Ask, Missing, Running
from agents.dify_stream import DifyStream
from agents.event_stream import EVENT_MAX, EventStream, EventTooLong
from agents.kinds import KINDS
from agents.results import Again, AgentFailure, AgentReply
from agents.thinking import strip_think
from buffer.models import Batch, Conversation, Reason, StoredMessage
from config.agent_settings import AGENT_KINDS, LOOKING_KINDS, AgentKindName
from gateways.sending import Part

TALK = "0c6f2a3e-54a1-4c39-9a52-0d8a3a6b7c11"
JSON = {"content-type": "application/json"}
ENC = "https://mmg.whatsapp.net/v/f.enc"


def batch(*messages: dict[str, Any], gateway: str = "evolution", flush_id: str = "flush-2") -> Batch:
    stored = tuple(StoredMessage(1_000, {"message_id": "M1", **fields}, None, None, 1_000) for fields in messages)
    talk = Conversation(gateway, "loja", "5511900000001")
    return Batch("1:t", flush_id, 1, 0, Reason.QUIET, talk, "Ana", 1_000, 1_000, 9_000, "\n", None, stored)


def ask(
    kind: str = "openai", memory: bytes = b"", *, url: str = "http://a/v1", said: Batch | None = None, **more: Any
) -> Ask:
    target = AgentTarget(url, key="k", model="m" if kind == "openai" else "", **more)
    return Ask(target, said or batch({"text": "oi"}, {"text": "tudo bem?"}), memory)


def ok(body: Any, status: int = 200, headers: dict[str, str] = JSON) -> AgentResponse:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return AgentResponse(status, headers, content)


def said_by(reply: Any) -> list[str | None]:
    assert isinstance(reply, AgentReply), reply
    return [part.text for part in reply.parts]


def events(*all_: dict[str, Any]) -> bytes:
    return b"".join(b"event: message\ndata: " + json.dumps(one, ensure_ascii=False).encode() + b"\n\n" for one in all_)


def test_every_kind_exists():
    """Each name of AGENT_KIND has a kind, and `look` is offered by those that can."""
    assert set(KINDS) == set(AGENT_KINDS)
    assert {name for name, kind in KINDS.items() if kind.look} == set(LOOKING_KINDS)


# --- n8n


def test_n8n_gets_both_sets_of_names():
    """A Chat Trigger, and a flow made for the gateway's own link, find what they read, beside the generic body."""
    sent = json.loads(n8n.request(ask("n8n", url="http://n/webhook/bot")).body)
    assert (sent["chatInput"], sent["sessionId"]) == ("oi\ntudo bem?", "evolution:loja:5511900000001")
    assert (sent["remoteJid"], sent["instanceName"]) == ("5511900000001@s.whatsapp.net", "loja")
    assert (sent["flush_id"], sent["text"]) == ("flush-2", "oi\ntudo bem?")


@pytest.mark.parametrize(
    ("body", "texts"),
    [
        ({"output": "olá"}, ["olá"]),
        ([{"output": "a"}, {"text": "b"}], ["a", "b"]),
        ({"response": {"output": "dentro"}}, ["dentro"]),
        ({"replies": ["a", {"text": "b"}]}, ["a", "b"]),
        ({"output": ["a", "b"]}, ["a", "b"]),
        ({"output": ""}, []),
        ([], []),
        (b"", []),
    ],
)
def test_n8n_answers(body: Any, texts: list[str]):
    """The first field of a known name counts, in each item."""
    assert said_by(n8n.read(ask("n8n"), ok(body))) == texts


@pytest.mark.parametrize(
    "body",
    [
        *({"message": sentence} for sentence in sorted(n8n.SILENT)),
        [{"message": "Workflow was started"}],
        *(json.dumps(sentence).encode() for sentence in sorted(n8n.SILENT)),
        *({"output": [sentence]} for sentence in sorted(n8n.SILENT)),
        {"replies": [{"text": "Workflow was started\n"}]},
        {"data": 1, "response": {"message": "Workflow was started"}},
        {"output": "<!DOCTYPE html>\n<html><body>Sign in</body></html>"},
        b"\xef\xbb\xbf  \n<HTML><head><title>502 Bad Gateway</title></head></HTML>",
        b"<!DOCTYPE html><html>login</html>",
        b"{not json",
        {"other": "x"},
    ],
)
def test_n8n_itself_never_reaches_a_person(body: Any):
    """What n8n or a proxy says in a 200 becomes no part, and the log gets to know it."""
    for headers in (JSON, {"content-type": "text/html"}, {"content-type": "text/plain"}):
        if not isinstance(body, bytes) and headers is not JSON:
            continue
        reply = n8n.read(ask("n8n"), ok(body, headers=headers))
        if headers.get("content-type") == "text/plain" and body == b"{not json":
            continue
        assert said_by(reply) == []
        assert isinstance(reply, AgentReply)
        assert reply.not_understood


@pytest.mark.parametrize("sentence", sorted(n8n.SILENT))
def test_n8n_itself_as_plain_text(sentence: str):
    """A proxy or an old version may send the sentence without its JSON."""
    reply = n8n.read(ask("n8n"), ok(f"{sentence}\n".encode(), headers={"content-type": "text/plain; charset=utf-8"}))
    assert said_by(reply) == []
    assert said_by(n8n.read(ask("n8n"), ok(b"ol\xc3\xa1", headers={"content-type": "text/plain"}))) == ["olá"]


def test_n8n_streams():
    """The lines of a workflow that streams are joined; an error among them is none."""
    lines = [
        {"type": kind, "content": text, "metadata": {}} for kind, text in (("begin", ""), ("item", "o"), ("item", "lá"))
    ]
    body = b"\n".join(json.dumps(line).encode() for line in lines)
    assert said_by(n8n.read(ask("n8n"), ok(body))) == ["olá"]
    failed = body + b"\n" + json.dumps({"type": "error", "content": "secret", "metadata": {}}).encode()
    assert isinstance(n8n.read(ask("n8n"), ok(failed)), AgentFailure)


@pytest.mark.parametrize(
    ("status", "body", "field"),
    [
        (404, {"message": 'The requested webhook "POST bot" is not registered.'}, "misconfigured"),
        (404, b"", "misconfigured"),
        (401, b"", "misconfigured"),
        (428, b"", "misconfigured"),
        (413, b"", "dead"),
        (500, {"message": "Error in workflow"}, "doubt"),
        (504, b"", "doubt"),
    ],
)
def test_n8n_failures(status: int, body: Any, field: str):
    """Each status has its class."""
    failure = n8n.read(ask("n8n"), ok(body, status))
    assert isinstance(failure, AgentFailure)
    assert getattr(failure, field)


# --- openai


def test_openai_keeps_whole_turns():
    """The history is ours: whole turns, within both bounds, and the system prompt before them."""
    memory = b""
    for number in range(5):
        one = ask(
            memory=memory,
            memory_turns=3,
            memory_bytes=60,
            system_prompt="Seja breve",
            said=batch({"text": f"p{number}"}),
        )
        sent = json.loads(openai.request(one).body)
        reply = openai.read(one, ok({"choices": [{"message": {"content": f"r{number}"}}]}))
        assert isinstance(reply, AgentReply)
        memory = reply.memory or b""
    assert [m["content"] for m in sent["messages"]] == ["Seja breve", "p1", "r1", "p2", "r2", "p3", "r3", "p4"]
    assert set(sent) == {"model", "messages", "stream"}
    tight = ask(memory=memory, memory_turns=3, memory_bytes=16)
    assert openai._pack(tight, openai.turns_of(tight)).count(b'["p') == 1


@pytest.mark.parametrize(
    ("status", "error", "field"),
    [
        (401, {}, "misconfigured"),
        (404, {"code": "model_not_found"}, "misconfigured"),
        (429, {"code": "insufficient_quota"}, "misconfigured"),
        (402, {}, "misconfigured"),
        (400, {"message": "unknown parameter"}, "misconfigured"),
        (200, {"code": 402}, "misconfigured"),
        (400, {"code": "context_length_exceeded"}, "dead"),
    ],
)
def test_openai_failures(status: int, error: dict[str, Any], field: str):
    """Quota is no throttling, and an error in a 200 is one."""
    failure = openai.read(ask(), ok({"error": {"message": "x", **error}}, status))
    assert isinstance(failure, AgentFailure)
    assert getattr(failure, field)


def test_openai_asks_again_with_less():
    """A history that is too long is halved; an image that is not taken is left out. Both in the same attempt."""
    full = ask(memory=json.dumps({"session": "s", "kept": [["a", "b"], ["c", "d"]], "at_ms": 9_000}).encode())
    again = openai.read(full, ok({"error": {"code": "context_length_exceeded"}}, 400))
    assert isinstance(again, Again)
    assert json.loads(again.memory)["kept"] == [["c", "d"]]
    photo = ask(said=batch({"kind": "image", "text": "olha", "media": {"url": "https://cdn.example.com/a.jpg"}}))
    assert json.loads(openai.request(photo).body)["messages"][0]["content"][1]["type"] == "image_url"
    again = openai.read(photo, ok({"error": {"code": "invalid_image_url", "message": "image"}}, 400))
    assert isinstance(again, Again)
    assert not again.with_files


def test_openai_answers():
    """Parts of a content are joined, thinking is left out, and a call of tools is refused."""

    def content(message: dict[str, Any]) -> Any:
        return openai.read(ask(), ok({"choices": [{"message": message}]}))

    assert said_by(content({"content": [{"type": "text", "text": "o"}, {"type": "text", "text": "i"}]})) == ["oi"]
    assert said_by(content({"content": "<think>hm</think>\noi"})) == ["oi"]
    assert said_by(content({"content": None, "refusal": "não posso"})) == ["não posso"]
    assert content({"content": None, "tool_calls": [{}]}).dead
    assert openai.read(ask(), ok(b"<html>", headers={"content-type": "text/html"})).misconfigured


# --- dify

ANSWER = [
    {"event": "message", "conversation_id": TALK, "answer": "ol"},
    {"event": "message", "conversation_id": TALK, "answer": "á ção 👋"},
    {"event": "message_end", "conversation_id": TALK},
]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_dify_stream_in_any_pieces(size: int, end: bytes):
    """Pieces that are cut inside a character, a field's name or a line's end make the same answer."""
    content = (b": ping\n\nevent: ping\n\n" + events(*ANSWER)).replace(b"\n", end)
    stream = DifyStream(ask("dify"), dify.failed)
    for at in range(0, len(content), size):
        stream.feed(content[at : at + size])
    reply = stream.result()
    assert said_by(reply) == ["olá ção 👋"]
    assert isinstance(reply, AgentReply)
    assert json.loads(reply.memory or b"")["kept"] == TALK


def stream_of(*all_: dict[str, Any]) -> Any:
    return dify.read(ask("dify"), ok(events(*all_), headers={"content-type": "text/event-stream"}))


def test_dify_answers_that_replace():
    """Moderation replaces the answer, and so does the whole answer that follows the pieces of an agent."""
    end = {"event": "message_end"}
    assert said_by(stream_of(ANSWER[0], {"event": "message_replace", "answer": "não"}, end)) == ["não"]
    agent = {"event": "agent_message", "answer": "meio"}
    assert said_by(stream_of(agent, {"event": "message", "answer": "inteiro"}, end)) == ["inteiro"]


def test_dify_errors_in_a_200():
    """An error event, a failed workflow and a stream without an end are no answers, whatever came before."""
    error = {"event": "error", "status": 400, "code": "provider_quota_exceeded", "message": "quota of a@b.c"}
    failure = stream_of(*ANSWER[:2], error)
    assert isinstance(failure, AgentFailure)
    assert failure.misconfigured
    assert "a@b.c" not in failure.error
    assert stream_of(*ANSWER[:2]).doubt
    assert stream_of(ANSWER[0], {"event": "workflow_finished", "data": {"status": "failed"}}).doubt
    assert said_by(stream_of({"event": "human_input_required"})) == []


def known(talk: str = TALK) -> Ask:
    memory = json.dumps({"session": "evolution:loja:lid", "kept": talk, "at_ms": 9_000}).encode()
    return ask("dify", memory)


def test_dify_goes_on_and_begins_anew():
    """The conversation goes on under the user of its first turn. One that is gone begins anew, under the same user."""
    sent = json.loads(dify.request(known()).body)
    assert (sent["user"], sent["conversation_id"]) == ("evolution:loja:lid", TALK)
    gone = {"code": "not_found", "message": "Conversation Not Exists.", "status": 404}
    again = dify.read(known(), ok(gone, 404))
    assert isinstance(again, Again)
    sent = json.loads(dify.request(ask("dify", again.memory)).body)
    assert sent["user"] == "evolution:loja:lid"
    assert "conversation_id" not in sent
    assert dify.read(ask("dify"), ok({"code": "not_found", "message": "Workflow not found"}, 404)).misconfigured


def test_dify_is_looked_at():
    """Our own words after the burst was closed are the answer; without any the look finds nothing."""
    look = dify.KIND.look
    assert look is not None
    first = look.request(ask("dify"))
    assert "/conversations?" in first.url
    second = look.read(ask("dify"), first, ok({"data": [{"id": TALK}]}))
    assert isinstance(second, AgentRequest)
    entry = {"query": "oi\ntudo bem?", "created_at": 9, "answer": "olá", "conversation_id": TALK}

    def found(**changes: Any) -> Any:
        return look.read(ask("dify"), second, ok({"data": [{**entry, **changes}]}))

    assert said_by(found()) == ["olá"]
    assert isinstance(found(answer=""), Running)
    assert isinstance(found(created_at=3), Missing)
    assert isinstance(found(query="outra"), Missing)


def test_event_stream_is_bounded():
    """A line without an end is refused before it fills the memory."""
    stream = EventStream()
    stream.feed(b"data: " + b"x" * (EVENT_MAX // 2))
    with pytest.raises(EventTooLong):
        stream.feed(b"x" * (EVENT_MAX // 2))


# --- flowise, typebot, langgraph


def test_flowise():
    """The session stands in both fields, and structured output is an answer, too."""
    sent = json.loads(flowise.request(ask("flowise")).body)
    assert sent["chatId"] == sent["overrideConfig"]["sessionId"] == "evolution:loja:5511900000001"
    assert said_by(flowise.read(ask("flowise"), ok({"text": "olá"}))) == ["olá"]
    assert said_by(flowise.read(ask("flowise"), ok({"json": {"a": 1}}))) == ['{"a":1}']
    assert flowise.read(ask("flowise"), ok({"message": "OpenAI API key missing"}, 500)).misconfigured
    assert flowise.read(ask("flowise"), ok({"message": "boom"}, 500)).doubt
    assert flowise.read(ask("flowise"), ok(b"devagar", 429, {})).is_counted is not False


def test_typebot_walks_through_a_flow():
    """A start, a step of the same session, and a new start after its end. Buttons become a numbered list."""
    url = "http://t/api/v1/typebots/bot/startChat"
    begin = ask("typebot", url=url)
    assert typebot.request(begin).url == url
    text = {"type": "text", "content": {"type": "markdown", "markdown": "Qual?"}}
    choice = {"items": [{"content": "Um"}, {"content": "Dois"}]}
    reply = typebot.read(begin, ok({"sessionId": "s1", "messages": [text], "input": choice}))
    assert said_by(reply) == ["Qual?\n\n1. Um\n2. Dois"]
    step = ask("typebot", reply.memory or b"", url=url)
    assert typebot.request(step).url == "http://t/api/v1/sessions/s1/continueChat"
    assert isinstance(typebot.read(step, ok({"message": "Session not found."}, 404)), Again)
    over = typebot.read(step, ok({"messages": [text]}))
    assert typebot.request(ask("typebot", over.memory or b"", url=url)).url == url
    assert typebot.read(step, ok(b"", 500)).doubt


def test_langgraph():
    """What the agent said after our message is the answer. Its errors in a 200 are none."""
    one = ask("langgraph")
    sent = json.loads(langgraph.request(one).body)
    assert (sent["assistant_id"], sent["input"]["messages"][0]["id"]) == ("agent", "flush-2")
    state = [
        {"type": "ai", "content": "antes"},
        {"type": "human", "id": "flush-2"},
        {"type": "ai", "content": "", "tool_calls": [{}]},
        {"type": "ai", "content": [{"type": "text", "text": "depois"}]},
    ]
    assert said_by(langgraph.read(one, ok({"messages": state}))) == ["depois"]
    assert isinstance(langgraph.read(one, ok({"__error__": {"error": "X"}})), AgentFailure)
    look = langgraph.KIND.look
    assert look is not None
    assert said_by(look.read(one, look.request(one), ok({"values": {"messages": state}}))) == ["depois"]


# --- what all have in common


def test_what_a_flush_replaces():
    """Each kind that can pass on what a flush replaces does so. Without it no request has a word of it."""
    plain = batch({"text": "oi"})
    again = plain._replace(supersedes=("flush-0", "flush-1"))

    def sent(kind: AgentKindName, said: Batch) -> dict[str, Any]:
        return dict(json.loads(KINDS[kind].request(ask(kind, said=said)).body))

    assert sent("n8n", again)["supersedes"] == ["flush-0", "flush-1"]
    assert sent("dify", again)["inputs"]["supersedes"] == "flush-0 flush-1"
    assert sent("langgraph", again)["metadata"]["supersedes"] == ["flush-0", "flush-1"]
    assert [sent("langgraph", one)["multitask_strategy"] for one in (plain, again)] == ["reject", "rollback"]
    for kind in ("n8n", "dify", "langgraph"):
        assert "supersedes" not in json.dumps(sent(kind, plain))


@pytest.mark.parametrize(
    ("gateway", "message", "text"),
    [
        ("evolution", {"kind": "image", "text": "olha", "media": {"url": ENC}}, "[imagem] olha"),
        ("meta", {"kind": "audio", "media": {"url": "https://lookaside.example.com/1"}}, "[áudio sem transcrição]"),
        ("evolution", {"kind": "audio", "transcript": "bom dia", "media": {"url": ENC}}, "[audio] bom dia"),
        ("evolution", {"kind": "location", "location": {"latitude": 1, "longitude": 2}}, "[localização] 1,2"),
    ],
)
def test_files_that_no_agent_can_open(gateway: str, message: dict[str, Any], text: str):
    """Addresses that need credentials of ours, or are encrypted, are never handed on."""
    one = batch(message, gateway=gateway)
    for kind in (openai, dify, flowise):
        content = kind.request(ask(said=one)).body.decode()
        assert text in content
        assert "https://" not in content


@pytest.mark.parametrize(
    ("text", "left"),
    [("<think>a</think>b", "b"), ("<THINK>a", ""), ("a <think>b</think>", "a <think>b</think>"), (" oi", " oi")],
)
def test_thinking(text: str, left: str):
    """Only a block at the start is left out."""
    assert strip_think(text) == left


def test_answers_are_parts():
    """A file of Dify's assistant is a part of its own; one of the person is none."""
    file = {"event": "message_file", "type": "image", "url": "https://d.example.com/a.png", "belongs_to": "assistant"}
    reply = stream_of(file, {**file, "belongs_to": "user"}, *ANSWER)
    assert reply.parts == (Part(text="olá ção 👋"), Part("image", url="https://d.example.com/a.png"))

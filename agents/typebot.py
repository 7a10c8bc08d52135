"""The kind `typebot`: a scripted flow. Each call advances it, so none is repeated in doubt."""

from __future__ import annotations

from typing import Any

import orjson

from agents.base import AgentKind, AgentRequest, AgentResponse, Ask
from agents.http_errors import http_failure
from agents.memory import pack_memory, read_memory
from agents.results import Again, AgentReply, AgentResult, doubt
from agents.said import nothing, said
from agents.spoken import inner, is_page, read_object, word
from gateways.sending import Part, PartKind, is_link

FILES: dict[str, PartKind] = {"image": "image", "video": "video", "audio": "audio"}
START = "/startChat"


def request(ask: Ask) -> AgentRequest:
    """Return a start, or the next step of the session that the memory names."""
    memory = read_memory(ask)
    message = {"type": "text", "text": said(ask.batch, nothing).text}
    body: dict[str, Any] = {"message": message, "textBubbleContentFormat": "markdown"}
    start = ask.target.url.rstrip("/").removesuffix(START) + START
    url = start
    if isinstance(memory.kept, str):
        url = start.partition("/typebots/")[0] + f"/sessions/{memory.kept}/continueChat"
    else:
        names = {"remoteJid": ask.batch.conversation.peer, "pushName": ask.batch.name or ""}
        body |= {"isStreamEnabled": False, "prefilledVariables": names}
    return AgentRequest(
        url, orjson.dumps(body), {"authorization": f"Bearer {ask.target.key}"} if ask.target.key else {}
    )


def read(ask: Ask, response: AgentResponse) -> AgentResult:
    """Read a response. The memory is the session while the flow waits for an input, and is forgotten at its end."""
    memory = read_memory(ask)
    if response.status == 404 and isinstance(memory.kept, str):
        return Again("the Typebot session is over", pack_memory(ask, memory.session))
    if response.status >= 500:
        return doubt(f"Typebot answered {response.status}")
    if not 200 <= response.status < 300:
        return http_failure(response)
    fields = read_object(response)
    if is_page(response) or not isinstance(fields.get("messages"), list):
        return AgentReply(
            not_understood="no JSON with `messages`: is AGENT_URL the address of /typebots/<id>/startChat?"
        )
    parts = [part for message in fields["messages"] if isinstance(message, dict) for part in _parts(message)]
    parts = _with_choices(parts, inner(fields, "input"))
    is_waiting = bool(inner(fields, "input"))
    session = (word(fields, "sessionId") or memory.kept) if is_waiting else None
    return AgentReply(tuple(parts), memory=pack_memory(ask, memory.session, session))


def _parts(message: dict[str, Any]) -> list[Part]:
    content = inner(message, "content")
    url, text = word(content, "url"), word(content, "markdown")
    if (kind := FILES.get(word(message, "type"))) and is_link(url):
        return [Part(kind, url=url)]
    return [Part(text=text or url)] if (text or url).strip() else []


def _with_choices(parts: list[Part], asked: dict[str, Any]) -> list[Part]:
    """Append the buttons to the last text as a numbered list."""
    items = asked.get("items") if isinstance(asked.get("items"), list) else []
    choices = [word(item, "content") for item in items or [] if isinstance(item, dict) and word(item, "content")]
    if not choices:
        return parts
    listed = "\n".join(f"{number}. {choice}" for number, choice in enumerate(choices, 1))
    if parts and parts[-1].kind == "text":
        return [*parts[:-1], Part(text=f"{parts[-1].text}\n\n{listed}")]
    return [*parts, Part(text=listed)]


KIND = AgentKind(request, read)

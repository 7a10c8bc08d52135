"""Reads the stream of a Dify app: the text grows, is replaced, or the stream turns out to be an error."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson

from agents.base import Ask
from agents.event_stream import EventStream, EventTooLong
from agents.memory import pack_memory, read_memory
from agents.results import AgentReply, AgentResult, doubt
from agents.spoken import inner, word
from agents.thinking import strip_think
from gateways.sending import Part, PartKind, is_link

TEXT_MAX = 1_048_576
"""Characters of an answer that are kept."""

FILES: dict[str, PartKind] = {"image": "image", "audio": "audio", "video": "video", "document": "document"}
FILES_MAX = 20
WAITS = frozenset({"human_input_required", "workflow_paused"})

OnError = Callable[[Ask, int, dict[str, Any]], AgentResult]


class DifyStream:
    """Keeps the text, the files and the conversation's id of one answer. `is_over`: an event said that it ends."""

    def __init__(self, ask: Ask, on_error: OnError) -> None:
        self.is_over = False
        self._ask = ask
        self._on_error = on_error
        self._events = EventStream()
        self._text = ""
        self._of_agent = False
        self._files: list[Part] = []
        self._conversation_id = ""
        self._failure: AgentResult | None = None
        self._waits = False

    def feed(self, chunk: bytes) -> bool:
        """Take the next bytes of the stream. Return True once nothing more is needed."""
        try:
            for data in self._events.feed(chunk):
                self._take_data(data)
        except EventTooLong as error:
            self._failure = doubt(f"the agent answered with {error}")
        return self._failure is not None

    def _take_data(self, data: bytes) -> None:
        try:
            event = orjson.loads(data)
        except orjson.JSONDecodeError:
            return
        if isinstance(event, dict) and self._failure is None:
            self.take(event)

    def take(self, event: dict[str, Any]) -> None:
        """Take one event."""
        name = word(event, "event")
        self._conversation_id = word(event, "conversation_id") or self._conversation_id
        if name in ("message", "agent_message", "message_replace"):
            self._take_text(name, word(event, "answer"))
        elif name == "message_file":
            self._take_file(event)
        elif name == "error":
            status = event.get("status")
            self._failure = self._on_error(self._ask, status if isinstance(status, int) else 500, event)
        elif name == "workflow_finished" and word(inner(event, "data"), "status") == "failed":
            self._failure = doubt("Dify's workflow failed: see its runs")
        elif name in WAITS:
            self._waits = self.is_over = True
        self.is_over = self.is_over or name == "message_end"

    def _take_text(self, name: str, text: str) -> None:
        """Append a piece. A `message` after pieces of an agent repeats them all."""
        is_whole = name == "message_replace" or (name == "message" and self._of_agent)
        self._of_agent = self._of_agent or name == "agent_message"
        self._text = text if is_whole else self._text + text
        if len(self._text) > TEXT_MAX:
            self._failure = doubt(f"the agent answered with more than {TEXT_MAX} characters")

    def _take_file(self, event: dict[str, Any]) -> None:
        url = word(event, "url")
        if event.get("belongs_to") == "assistant" and is_link(url) and len(self._files) < FILES_MAX:
            self._files.append(Part(FILES.get(word(event, "type"), "document"), url=url))

    def result(self) -> AgentResult:
        """Return the answer. A stream without an end leaves in doubt what Dify has done."""
        if self._failure is not None:
            return self._failure
        if not self.is_over:
            return doubt("Dify's stream broke off before its end")
        memory = pack_memory(self._ask, read_memory(self._ask).session, self._conversation_id or None)
        if self._waits:
            return AgentReply(not_understood="the app waits for a person in Dify", memory=memory)
        text = strip_think(self._text) if self._ask.target.strip_think else self._text
        parts = ([Part(text=text)] if text.strip() else []) + self._files
        return AgentReply(tuple(parts), memory=memory)

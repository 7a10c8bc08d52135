"""`debouncer check --agent`: calls the agent with a test burst, and shows what was understood of the answer.

Nothing is stored, and nobody gets the answer.
"""

from __future__ import annotations

import asyncio
import secrets
import sys
import time
from typing import NamedTuple

from agents.results import AgentFailure, AgentReply
from buffer.models import Batch, Conversation, Reason, StoredMessage
from cli.names import channel_named
from cli.terminal import Colours, count_of, redact_url
from config.logs import configure_logs
from config.routes import Routes
from config.settings import Settings, SettingsError
from gateways.sending import Part
from worker.agents import Agents

TEXTS = ("Hi", "This is a test of debouncer. Please answer in one sentence.")
"""What the test burst says: two messages, so that one can see that they arrive together."""

NOTHING_SAID = {
    "n8n": "nothing: set Respond of the Webhook node to `Using 'Respond to Webhook' Node`, and let every way through "
    "the workflow reach that node",
    "dify": "nothing: does the app end in an Answer node?",
    "typebot": "nothing: the flow has no text before its first input",
}
"""What an answer without a reply means, by the kind of the agent."""

LOOKS_LIKE = {
    "/api/v1/prediction/": "flowise",
    "/api/v1/typebots/": "typebot",
    "/webhook": "n8n",
    "dify": "dify",
    "/v1": "openai",
}
"""What an address has in it, and the kind that it then looks like. The first that fits counts."""


class Outcome(NamedTuple):
    """What a trial call came to: the lines for people, and whether the agent's answer was understood."""

    lines: list[str]
    is_well: bool


def run(routes: Routes, channel: str) -> int:
    """Call the agent of a channel, of the default route without one. Return 0 if its answer was understood, else 1.

    Raises SettingsError.
    """
    gateway, name = channel_named(channel) if channel else ("generic", "check")
    route = routes.of(gateway, name) if channel else routes.default
    settings, colours = route.settings, Colours(sys.stdout)
    if settings.agent_url is None:
        raise SettingsError(f"there is no agent to call: AGENT_URL of {route.name} is not set")
    configure_logs(settings)
    batch = trial_batch(Conversation(gateway, name, f"check-{secrets.token_hex(4)}"), settings)
    print(colours(f"Agent of {route.name}", "bold") + f": {settings.agent_kind} at {redact_url(settings.agent_url)}")
    print(f"Sent, as {count_of(len(TEXTS), 'message')} of {':'.join(batch.conversation)}:")
    print(*(f"  {text}" for text in TEXTS), sep="\n", flush=True)
    outcome = asyncio.run(_call(routes, batch, settings))
    print(*outcome.lines, sep="\n")
    return 0 if outcome.is_well else 1


def trial_batch(conversation: Conversation, settings: Settings) -> Batch:
    """Return a burst as a claim returns it. Its person is no phone number, so that no workflow can write to anybody."""
    now_ms = time.time_ns() // 1_000_000
    flush_id = f"check-{secrets.token_hex(8)}"
    messages = tuple(
        StoredMessage(now_ms, {"message_id": f"{flush_id}-{number}", "text": text}, order_ms=now_ms)
        for number, text in enumerate(TEXTS, 1)
    )
    separator = settings.message_buffer_separator
    return Batch(
        "", flush_id, 1, 0, Reason.MANUAL, conversation, "debouncer", now_ms, now_ms, now_ms, separator, None, messages
    )


async def _call(routes: Routes, batch: Batch, settings: Settings) -> Outcome:
    agents = Agents(routes)
    begin = time.monotonic()
    try:
        result = await agents.call(batch)
    finally:
        await agents.close()
    return outcome_of(result, time.monotonic() - begin, settings)


def outcome_of(result: AgentReply | AgentFailure, seconds: float, settings: Settings) -> Outcome:
    """Return what to print for the result of a call."""
    if isinstance(result, AgentFailure):
        fate = f"A real burst {_fate(result, settings)}."
        failed = f"Failed after {seconds:.1f} s: {result.error}"
        return Outcome([failed, fate, *_kind_hint(settings)], is_well=False)
    lines = [f"Answered after {seconds:.1f} s. Understood, and sent to nobody:", *_understood(result, settings)]
    is_well = bool(result.parts) or result.not_understood is None
    return Outcome(lines if is_well else [*lines, *_kind_hint(settings)], is_well)


def _understood(reply: AgentReply, settings: Settings) -> list[str]:
    lines = [f"  {number}. {_part_text(part)}" for number, part in enumerate(reply.parts, 1)]
    if reply.not_understood:
        lines.append(f"  not understood: {reply.not_understood}")
    if reply.handoff:
        lines.append("  handoff: a human takes over after it")
    if reply.comes_later and settings.answer_within_ms:
        within_s = settings.answer_within_ms / 1000
        lines.append(f"  202: its answer comes later, within AGENT_ANSWER_WITHIN={within_s:g} s")
        lines.append("  (the answer to this test gets 404: nothing waits for it)")
    return lines or [f"  {_silence(settings)}"]


def _part_text(part: Part) -> str:
    text = (part.text or "").replace("\n", "\n     ")
    return text if part.kind == "text" else f"{part.kind} {part.url} {text}".rstrip()


def _silence(settings: Settings) -> str:
    if settings.send_replies == "off":
        return "nothing, which is right: SEND_REPLIES=off, the agent sends its replies itself"
    advice = NOTHING_SAID.get(settings.agent_kind, "nothing: the person gets no reply")
    return f"{advice}. If the agent sends its replies itself, set SEND_REPLIES=off"


def _kind_hint(settings: Settings) -> list[str]:
    """Return a line if the agent is called as a generic one, and its address looks like one of another kind."""
    url = settings.agent_url or ""
    looks = next((kind for part, kind in LOOKS_LIKE.items() if part in url), None)
    if looks is None or settings.agent_kind != "generic":
        return []
    return [f"AGENT_KIND is generic, and the address looks like {looks}: try AGENT_KIND={looks} (docs/agents.md)"]


def _fate(failure: AgentFailure, settings: Settings) -> str:
    """Return what happens to a burst whose call fails like this."""
    if failure.dead:
        return "becomes a dead letter at once (`debouncer dead`)"
    if not failure.is_counted:
        return f"waits and is sent again, for AGENT_GIVE_UP={settings.agent_give_up:g} s at most"
    again = f"up to {settings.agent_max_attempts} times (AGENT_MAX_ATTEMPTS), then it becomes a dead letter"
    if failure.doubt and settings.repeat == "always":
        return f"is sent again {again}; the agent may have run already, and then runs twice"
    return f"is sent again {again}"

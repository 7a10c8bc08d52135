"""The settings of the agent and of the calls to it."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, Field
from pydantic_settings import BaseSettings

from config.setting_types import BlankIsNone, OptionalAddress, OptionalSecret, Seconds, milliseconds

AgentKindName = Literal["generic", "n8n", "openai", "dify", "flowise", "typebot", "langgraph"]
AGENT_KINDS: tuple[AgentKindName, ...] = get_args(AgentKindName)
Repeat = Literal["look", "always", "never"]

REPEAT_DEFAULTS: dict[AgentKindName, Repeat] = {"dify": "look", "langgraph": "look", "typebot": "never"}
"""AGENT_REPEAT of the kinds for which it is not `always`."""

LOOKING_KINDS = ("dify", "langgraph")
"""The kinds that can be asked whether they have answered a batch."""

MARKDOWN_KINDS = frozenset({"openai", "dify", "flowise"})
"""The kinds whose models write Markdown unasked."""

OWN_PARAMS = ("messages", "model", "stream")
"""Fields of a chat completion that AGENT_PARAMS may not change."""


ANSWER_WITHIN_S = 300.0
"""AGENT_ANSWER_WITHIN of the kinds other than `generic`, whose 202 has always meant that it answers by itself."""


def json_object(value: str) -> str:
    """Return a JSON object as it was written. Raises ValueError unless it is one that may be added to a call."""
    try:
        found = json.loads(value)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise ValueError('must be a JSON object, e.g. {"temperature": 0.2}')
    if taken := [name for name in OWN_PARAMS if name in found]:
        raise ValueError(f"must not have {', '.join(taken)}: debouncer sets that itself")
    return value


JSONObject = Annotated[str, AfterValidator(json_object)]
OptionalText = Annotated[str | None, BlankIsNone]


class AgentSettings(BaseSettings):
    """The agent, and how a call to it is repeated."""

    agent_url: OptionalAddress = Field(
        None, repr=False, description="address that bursts are sent to (n8n, Dify, your own agent)"
    )
    agent_timeout: Seconds = Field(60.0, description="longest wait for the agent's answer")
    agent_secret: OptionalSecret = Field(None, description="key that signs the calls to the agent (Standard Webhooks)")
    agent_kind: AgentKindName = Field(
        "generic", description="how the agent is spoken to; generic: the body of docs/invariants.md (docs/agents.md)"
    )
    agent_key: OptionalSecret = Field(
        None, description="API key of the agent; n8n: the whole value of the header Authorization"
    )
    agent_model: OptionalText = Field(None, description="openai: the model; langgraph: the assistant (default: agent)")
    agent_system_prompt: OptionalText = Field(
        None, repr=False, description="openai: what the model is told before the conversation"
    )
    agent_params: Annotated[JSONObject | None, BlankIsNone] = Field(
        None, description="openai: a JSON object with further fields of each call"
    )
    agent_repeat: Annotated[Repeat | None, BlankIsNone] = Field(
        None,
        description="what follows if the agent may have run and its answer is lost. look: it is asked for the answer, "
        "then called again (dify, langgraph); always: it is called again; never: the batch becomes a dead letter. "
        "Default: look for dify and langgraph, never for typebot, else always",
    )
    agent_memory_turns: int = Field(10, ge=0, le=200, description="openai: turns of a conversation that are kept")
    agent_memory_bytes: int = Field(
        32_768, ge=0, le=131_072, description="openai: bytes of all turns of a conversation that are kept"
    )
    agent_memory_ttl: Seconds = Field(
        86_400.0, description="time after which a silent conversation with the agent begins anew"
    )
    agent_strip_think: bool = Field(
        True, description="true: a <think> block at the start of an answer is left out (all kinds but generic)"
    )
    agent_answer_within: Annotated[float | None, BlankIsNone] = Field(
        None,
        ge=0,
        le=86_400,
        description="longest wait for the answer that an agent posts after a 202 (docs/agents.md); 0: such a 202 is no "
        "answer. Default: 0 for generic, else 300",
    )
    agent_answer_token: OptionalSecret = Field(
        None, description="token with which an agent may post such an answer; ADMIN_TOKEN may, too"
    )
    agent_max_attempts: int = Field(
        8, ge=1, le=100, description="number of failed calls after which a batch becomes a dead letter"
    )
    agent_give_up: Seconds = Field(
        86_400.0,
        description="time after which a batch becomes a dead letter if no connection to the agent can be made; "
        "such attempts do not count",
    )
    retry_base: Seconds = Field(5.0, description="wait before the second attempt; doubles with each attempt")
    retry_max: Seconds = Field(300.0, description="longest wait between two attempts")

    @property
    def repeat(self) -> Repeat:
        """Return AGENT_REPEAT, or the default of the kind."""
        return self.agent_repeat or REPEAT_DEFAULTS.get(self.agent_kind, "always")

    @property
    def agent_params_object(self) -> dict[str, Any]:
        """Return AGENT_PARAMS as an object, an empty one without it."""
        params: dict[str, Any] = json.loads(self.agent_params) if self.agent_params else {}
        return params

    @property
    def answer_within_ms(self) -> int:
        """Return how long an answer is waited for that an agent posts later, in milliseconds. 0: not at all."""
        default_s = 0.0 if self.agent_kind == "generic" else ANSWER_WITHIN_S
        within_s = default_s if self.agent_answer_within is None else self.agent_answer_within
        return milliseconds(within_s) if within_s else 0

    @property
    def give_up_ms(self) -> int:
        """Return how long a batch waits for an agent that cannot be reached, in milliseconds."""
        return milliseconds(self.agent_give_up)

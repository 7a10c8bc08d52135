"""The settings of the agent and of the calls to it."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import BaseSettings

from config.setting_types import OptionalAddress, OptionalSecret, Seconds, milliseconds


class AgentSettings(BaseSettings):
    """The agent, and how a call to it is repeated."""

    agent_url: OptionalAddress = Field(
        None, repr=False, description="address that bursts are sent to (n8n, Dify, your own agent)"
    )
    agent_timeout: Seconds = Field(60.0, description="longest wait for the agent's answer")
    agent_secret: OptionalSecret = Field(None, description="key that signs the calls to the agent (Standard Webhooks)")
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
    def give_up_ms(self) -> int:
        """Return how long a batch waits for an agent that cannot be reached, in milliseconds."""
        return milliseconds(self.agent_give_up)

"""What AGENT_REPEAT=never means: a call of which nobody knows whether it ran is not made again."""

from __future__ import annotations

from dataclasses import replace

from agents.results import AgentFailure, AgentReply, refused
from buffer.models import Batch

MAY_HAVE_RUN = "the agent may have run, and AGENT_REPEAT=never: send the batch again if it has not"


def why_not_called(batch: Batch) -> AgentFailure | None:
    """Return the failure of a batch whose worker died, for the agent may have run. None if it may be called."""
    return refused(MAY_HAVE_RUN) if batch.crashes else None


def without_repeat(result: AgentReply | AgentFailure) -> AgentReply | AgentFailure:
    """Return the result. A doubt becomes a dead letter that says so."""
    if isinstance(result, AgentReply) or not result.doubt:
        return result
    return replace(result, dead=True, error=f"{result.error}; {MAY_HAVE_RUN}")

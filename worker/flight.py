"""A batch in flight."""

from __future__ import annotations

from dataclasses import dataclass

from buffer.keys import Ref
from buffer.models import Batch
from worker.channels import Channel
from worker.leases import Lease


@dataclass(slots=True)
class Flight:
    """A batch in flight: its conversation, its lease, and the channel that it goes through.

    `is_called` is True from the call to the agent to its end, also to an end that cuts it short.
    """

    ref: Ref
    batch: Batch
    lease: Lease
    channel: Channel
    is_called: bool = False

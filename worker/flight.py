"""A batch in flight."""

from __future__ import annotations

from dataclasses import dataclass

from buffer.keys import Ref
from buffer.models import Batch
from worker.channels import Channel
from worker.leases import Lease


@dataclass(slots=True, frozen=True)
class Flight:
    """A batch in flight: its conversation, its lease, and the channel that it goes through."""

    ref: Ref
    batch: Batch
    lease: Lease
    channel: Channel

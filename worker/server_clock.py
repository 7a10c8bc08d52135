"""Finds steps of the Redis server's clock: a step forward ends every lease at once, although its worker is alive."""

from __future__ import annotations


class ServerClock:
    """Compares the server's clock with the monotonic clock of this process, for each partition's server."""

    def __init__(self) -> None:
        self._latest_offsets: dict[int, float] = {}

    def step_s(self, partition: int, now_ms: int, asked_at: float, replied_at: float) -> float:
        """Return by how many seconds the server's clock has surely gone forward since the call before, at least 0.

        The server read its clock between `asked_at` and `replied_at`, so a slow reply is no step.
        """
        now = now_ms / 1000
        before = self._latest_offsets.get(partition)
        self._latest_offsets[partition] = now - asked_at
        return 0.0 if before is None else max(0.0, now - replied_at - before)

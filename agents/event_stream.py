"""Reads an event stream (`text/event-stream`) while it arrives, in any pieces, within bounds."""

from __future__ import annotations

EVENT_MAX = 1_048_576
"""Bytes of one event's data that are kept."""


class EventTooLong(Exception):
    """One event holds more than EVENT_MAX bytes."""


class EventStream:
    """Turns bytes into the data of events. What stands in other fields (`event:`, `id:`, comments) is left out."""

    def __init__(self) -> None:
        self._rest = bytearray()
        self._scanned = 0
        self._data: list[bytes] = []
        self._size = 0
        self._after_cr = False

    def feed(self, chunk: bytes) -> list[bytes]:
        """Take the next bytes. Return the data of the events that they complete. Raises EventTooLong."""
        if self._after_cr and chunk:
            chunk = chunk.removeprefix(b"\n")
            self._after_cr = False
        self._rest += chunk
        events = [event for line in self._lines() if (event := self._line(line)) is not None]
        if len(self._rest) + self._size > EVENT_MAX:
            raise EventTooLong(f"an event of more than {EVENT_MAX} bytes")
        return events

    def _lines(self) -> list[bytes]:
        """Cut the complete lines off. They end with CR, LF or both, and the two may arrive apart."""
        if b"\n" not in self._rest[self._scanned :] and b"\r" not in self._rest[self._scanned :]:
            self._scanned = len(self._rest)
            return []
        self._after_cr = self._rest.endswith(b"\r")
        lines = self._rest.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        self._rest = lines.pop()
        self._scanned = len(self._rest)
        return [bytes(line) for line in lines]

    def _line(self, line: bytes) -> bytes | None:
        """Take one line. Return the data of an event if the line ends one that has some."""
        if not line:
            data, self._data, self._size = b"\n".join(self._data), [], 0
            return data or None
        name, _, value = line.removeprefix(b"\xef\xbb\xbf").partition(b":")
        if name == b"data":
            self._data.append(value.removeprefix(b" "))
            self._size += len(line)
        return None

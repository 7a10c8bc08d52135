"""What can go wrong in the buffer; the docstring is the default message."""

from __future__ import annotations


class StoreError(Exception):
    """The buffer store failed."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or (self.__doc__ or "").strip())


class StoreUnavailable(StoreError):
    """Redis cannot be reached or did not answer in time; nothing was accepted, try again."""


class Unconfirmed(StoreUnavailable):
    """Redis has the messages, but DURABILITY was not confirmed in time: they are not accepted, send them again."""


class StoreFull(StoreError):
    """Redis is out of memory (maxmemory with noeviction); nothing was accepted, try again later."""


class UnsafeServer(StoreError):
    """This Redis server is not fit to hold messages."""


class PartitionMismatch(StoreError):
    """REDIS_PARTITIONS differs from the number this Redis was first used with."""

"""The errors of the buffer. The docstring of an error is its default message."""

from __future__ import annotations

import re

import redis.exceptions as rx

TEMPORARY_ERRORS = (rx.ClusterError, rx.RedisClusterException, rx.ReadOnlyError, rx.TryAgainError)
TEMPORARY_CODES = re.compile(r"(^|-)(BUSY|LOADING|MASTERDOWN|MISCONF|NOREPLICAS|READONLY)\b")
"""Codes of a server that is unusable for a while (failover, busy, disk full). Redis 6.2 has them in mid-sentence."""


class StoreError(Exception):
    """The buffer store failed."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or (self.__doc__ or "").strip())


class StoreUnavailable(StoreError):
    """Redis cannot be reached or did not answer in time; nothing was accepted, try again."""


class NotDurable(StoreUnavailable):
    """Redis has the messages, but DURABILITY was not confirmed in time: they are not accepted, send them again."""


class StoreFull(StoreError):
    """Redis is out of memory (maxmemory with noeviction); nothing was accepted, try again later."""


class ConversationBroken(StoreError):
    """A key of the conversation in Redis is damaged; nothing was accepted, try again when it is repaired."""


class ConversationFull(StoreError):
    """MESSAGE_BUFFER_MAX_PENDING messages of the conversation wait already; nothing was accepted, try again later."""


class UnsafeServer(StoreError):
    """This Redis server is not fit to hold messages."""


class PartitionMismatch(StoreError):
    """REDIS_PARTITIONS differs from the number this Redis was first used with."""


def store_error(error: BaseException) -> StoreError:
    """Return the StoreError for an error of redis-py: unavailable, full, or broken. A StoreError stays as it is."""
    if isinstance(error, StoreError):
        return error
    if isinstance(error, rx.OutOfMemoryError) or "OOM command not allowed" in str(error):
        return StoreFull()
    if isinstance(error, rx.ConnectionError | rx.TimeoutError | OSError | TimeoutError):
        reason = str(error).partition(" : <")[0]  # Sentinel's errors go on with the repr of the client's objects
        return StoreUnavailable(f"Redis cannot be reached: {reason}" if reason else None)
    if "BROKEN " in str(error):
        return ConversationBroken(f"a conversation in Redis is damaged: {str(error).partition('BROKEN ')[2]}")
    if isinstance(error, TEMPORARY_ERRORS) or TEMPORARY_CODES.search(str(error)):
        return StoreUnavailable(f"Redis is not ready: {error}")
    return StoreError(f"Redis refused a command: {error}")

"""Reads keys in pipelines, past those of another type."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from redis.exceptions import RedisError, ResponseError

from buffer.errors import store_error
from buffer.insight_models import Item
from buffer.store import Store


async def read_all(store: Store, commands: Iterable[tuple[Any, ...]], at_once: int) -> list[Any]:
    """Run commands, each the name of its method and the arguments, in pipelines of `at_once`.

    Redis runs a pipeline without serving others in between. The reply is None for a key of another type: it must not
    hide the others. Raises StoreUnavailable, StoreFull or StoreError.
    """
    replies: list[Any] = []
    for some in batched(commands, at_once):
        pipeline = store.client.pipeline(transaction=False)
        for method, *args in some:
            getattr(pipeline, method)(*args)
        try:
            replies += await pipeline.execute(raise_on_error=False)
        except (RedisError, OSError) as error:
            raise store_error(error) from error
    return [_known(reply) for reply in replies]


def batched(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Yield the items in lists of `size`, the last one shorter."""
    rest = iter(items)
    while some := list(islice(rest, size)):
        yield some


def _known(reply: Any) -> Any:
    if isinstance(reply, ResponseError):
        return None
    if isinstance(reply, RedisError):
        raise store_error(reply) from reply
    return reply

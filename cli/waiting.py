"""What `up` says about waiting conversations at its start and end. Nothing here may delay or prevent either."""

from __future__ import annotations

import asyncio

from buffer.errors import StoreError
from buffer.store import Store
from cli.overview import Overview, overview_of
from cli.preflight import REDIS_ERRORS, open_client
from cli.terminal import count_of
from config.logs import get_logger
from config.settings import Settings

WITHIN_S = 2.0
"""Longest wait for the numbers."""

log = get_logger()


async def tell_waiting_at_start(settings: Settings) -> None:
    """Log the conversations and dead letters of the run before."""
    overview = await _overview(settings)
    if overview is None:
        return
    if waiting := overview.waiting + overview.in_flight:
        log.info(f"{count_of(waiting, 'conversation')} waiting from before", conversations=waiting)
    if overview.dead:
        letters = count_of(overview.dead, "dead letter")
        log.warning(f"{letters} from before; `debouncer dead` lists them", dead=overview.dead)


async def tell_stopping(settings: Settings) -> None:
    """Log that the end begins, and for what it waits."""
    overview = await _overview(settings)
    if overview is None or not overview.in_flight:
        log.info("stopping")
        return
    calls = count_of(overview.in_flight, "call")
    grace = f"{settings.shutdown_grace:g} s"
    log.info(f"stopping; waiting up to {grace} for {calls} in flight; Ctrl-C again hands back what is left")


async def tell_waiting_at_end(settings: Settings, data_dir: str | None) -> None:
    """Log what is kept in the data folder, or, if that is None, in a Redis that stays."""
    overview = await _overview(settings)
    if overview is None or not (waiting := overview.waiting + overview.in_flight):
        return
    place, moment = ("Redis", "while a worker runs") if data_dir is None else (f"{data_dir}/", "at the next start")
    verbs = ("is", "goes") if waiting == 1 else ("are", "go")
    text = f"{count_of(waiting, 'conversation')} waiting {verbs[0]} kept in {place} and {verbs[1]} out {moment}"
    log.info(text, conversations=waiting)


async def _overview(settings: Settings) -> Overview | None:
    """Return the numbers, or None if they cannot be had in time."""
    if settings.redis_url is None:
        return None
    store = Store(open_client(settings.redis_url, "REDIS_URL"), settings)
    try:
        async with asyncio.timeout(WITHIN_S):
            return await overview_of(store)
    except (StoreError, TimeoutError, *REDIS_ERRORS):
        return None
    finally:
        await store.close()

"""Makes the transport that fits a client and the settings."""

from __future__ import annotations

import redis.asyncio

from buffer.transport.autopipeline import AutoPipeline
from buffer.transport.clients import AsyncClient
from buffer.transport.durability import durability_wait
from buffer.transport.multiplexer import Multiplexer
from config.settings import Settings

Transport = Multiplexer | AutoPipeline


def make_transport(client: AsyncClient, settings: Settings) -> Transport:
    """Return a Multiplexer, or an AutoPipeline for a cluster or a DURABILITY that waits.

    A cluster has several servers. WAIT and WAITAOF block their connection, so they need more than one.
    """
    wait = durability_wait(settings)
    if wait is None and isinstance(client, redis.asyncio.Redis):
        return Multiplexer(client.connection_pool)
    return AutoPipeline(client, wait)

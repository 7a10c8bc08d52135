"""RQ as its operators look at it: its command line, its queue, and its clean-up with the time moved on."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from pathlib import Path

from rq import Queue, Worker
from rq.registry import StartedJobRegistry
from rq.serializers import JSONSerializer
from rq.worker import BaseWorker

from buffer.keys import Ref
from buffer.transport.clients import connect
from tests.integration.deployment import REPLY_WITHIN_S, Deployment
from tests.integration.polling import until
from worker.rq.queue import JobQueue
from worker.rq.runner import OnBatch, Work
from worker.rq.worker import AsyncWorker

RQ = str(Path(sys.executable).with_name("rq"))


def rq(deployment: Deployment, command: str, *arguments: str) -> str:
    """Run RQ's own command; returns what it prints."""
    done = subprocess.run(
        [RQ, command, "--url", deployment.server.url, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout


def suspend(deployment: Deployment) -> None:
    """Suspend RQ, and wait until the idle workers know: one that waited for a job before may take one more."""
    rq(deployment, "suspend")
    until("no worker waits for a job", lambda: {one.get_state() for one in workers(deployment)} == {"suspended"})


def workers(deployment: Deployment) -> list[BaseWorker]:
    """The workers that RQ lists."""
    return Worker.all(connection=deployment.redis)


def queue_of(deployment: Deployment) -> Queue:
    """The queue as an operator's program opens it."""
    return Queue("flush", connection=deployment.redis, serializer=JSONSerializer)


def job_ids(deployment: Deployment) -> set[str]:
    """Every job of which RQ knows anything, without those that are only shown: pending and finished ones."""
    shown = {
        name.decode()
        for key in ("rq:finished:flush", "rq:scheduled:flush")
        for name in deployment.redis.zrange(key, 0, -1)
    }
    return {key.decode().removeprefix("rq:job:") for key in deployment.redis.scan_iter("rq:job:*")} - shown


def pass_heartbeats(deployment: Deployment) -> None:
    """Let so much time pass that a worker without heartbeats counts as dead."""
    started = StartedJobRegistry(queue=queue_of(deployment))
    for entry in deployment.redis.zrange(started.key, 0, -1):
        deployment.redis.zadd(started.key, {entry: time.time() - 1}, xx=True)


def maintain_twice(deployment: Deployment) -> None:
    """What the maintenance of another worker of ours does within two minutes."""

    async def run() -> None:
        client = connect(deployment.server.url, timeout_s=REPLY_WITHIN_S)
        queue = JobQueue(deployment.settings_object(), deployment.redis, client)
        worker = AsyncWorker(queue, Work(_no_flush, _no_redrive), 1)
        for _ in range(2):
            worker.run_maintenance_tasks()
        worker.registries.close()
        await queue.close()
        await client.aclose()

    asyncio.run(run())


async def _no_flush(ref: Ref, on_batch: OnBatch) -> str:
    raise AssertionError(f"this worker must not flush {ref}")


async def _no_redrive(flush_id: str) -> str:
    raise AssertionError(f"this worker must not redrive {flush_id}")

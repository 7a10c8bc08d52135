"""RQ's own `enqueue_in` as the timer: how far from its moment a job reaches the agent."""

from __future__ import annotations

import random
import time
from datetime import timedelta

import redis
from rq import Queue
from rq.serializers import JSONSerializer

from benchmarks.agent import running_agent
from benchmarks.figures import Spread
from benchmarks.machine import MEASURED_CORE, process, python, valkey
from benchmarks.pending import environment, settings_for
from benchmarks.usage import settle

PROBES, OVER_S = 30, (2.0, 12.0)


def lateness() -> Spread:
    """Lateness in ms of some jobs with nothing else pending; negative where one came early."""
    chance = random.Random(1)
    with valkey() as url, running_agent() as agent, redis.Redis.from_url(url) as client:
        settings = settings_for(url)
        stock = python("benchmarks.programs.stock_worker", "fork", "scheduler")
        with process(stock, MEASURED_CORE, **environment(settings, agent.url)):
            settle(url)
            queue = Queue(settings.rq_queue, connection=client, serializer=JSONSerializer)
            for number in range(PROBES):
                wait = timedelta(seconds=chance.uniform(*OVER_S))
                deadline_ms = int((time.time() + wait.total_seconds()) * 1000)
                queue.enqueue_in(wait, "benchmarks.programs.jobs.call_agent", agent.port, f"rq{number}", deadline_ms)
            return agent.report(PROBES).lateness

"""Measure RQ's own `enqueue_in` as the timer: the distance between a job's moment and its call to the agent."""

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
from benchmarks.usage import wait_until_idle

JOBS = 30
DELAY_RANGE_S = (2.0, 12.0)


def lateness() -> Spread:
    """Return the lateness (ms) of JOBS jobs with nothing else pending. Negative if a job was early."""
    chance = random.Random(1)
    with valkey() as url, running_agent() as agent, redis.Redis.from_url(url) as client:
        settings = settings_for(url)
        stock = python("benchmarks.programs.stock_worker", "fork", "scheduler")
        with process(stock, MEASURED_CORE, **environment(settings, agent.url)):
            wait_until_idle(url)
            queue = Queue(settings.rq_queue, connection=client, serializer=JSONSerializer)
            for number in range(JOBS):
                wait = timedelta(seconds=chance.uniform(*DELAY_RANGE_S))
                deadline_ms = int((time.time() + wait.total_seconds()) * 1000)
                queue.enqueue_in(wait, "benchmarks.programs.jobs.call_agent", agent.port, f"rq{number}", deadline_ms)
            return agent.report(JOBS).lateness

"""RQ's own worker on our queue. It imports the jobs' code before the first fork, which helps it."""

from __future__ import annotations

import logging
import os
import sys

import rq
import rq.worker
from redis import Redis
from rq.serializers import JSONSerializer

import worker.job  # noqa: F401  without this, each forked child would import it again (about 300 ms a job)

CLASSES = {"fork": rq.worker.Worker, "simple": rq.SimpleWorker}


def main(kind: str, *, scheduler: bool) -> None:
    """Work until the process is stopped. The queue's name and the server come from the environment."""
    logging.getLogger("rq").setLevel(logging.WARNING)
    connection = Redis.from_url(os.environ["REDIS_URL"])
    stock = CLASSES[kind]([os.environ["RQ_QUEUE"]], connection=connection, serializer=JSONSerializer)
    stock.work(logging_level="WARNING", with_scheduler=scheduler)


if __name__ == "__main__":
    main(sys.argv[1], scheduler="scheduler" in sys.argv[2:])

"""The parts of RQ 3.0 that worker/rq uses: a release that changes one of them fails here, and not on a dashboard.

Besides names and signatures, the state that RQ's own worker leaves in Redis is compared with what ours leaves, for the
same job at the same moments.
"""

from __future__ import annotations

import asyncio
import inspect
import re
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any, NamedTuple

import pytest
import redis
import rq
from rq import Queue, SimpleWorker
from rq.command import PUBSUB_CHANNEL_TEMPLATE, handle_command, parse_payload
from rq.executions import Execution
from rq.intermediate_queue import IntermediateQueue
from rq.job import JOB_ID_PATTERN, Job, JobStatus
from rq.registry import FailedJobRegistry, StartedJobRegistry, clean_registries
from rq.serializers import JSONSerializer, resolve_serializer
from rq.suspension import WORKERS_SUSPENDED
from rq.utils import utcformat
from rq.worker import BaseWorker, WorkerStatus
from rq.worker_registration import clean_worker_registry, register

from buffer.keys import Ref, ref_of
from buffer.models import Conversation
from buffer.transport.clients import connect
from config.settings import Settings
from tests.servers import Server
from worker.rq import registries
from worker.rq.job_fields import FAILURE_TTL_S
from worker.rq.job_ids import JOB_FUNCTION, NewJob
from worker.rq.queue import JobQueue
from worker.rq.registries import EXECUTION_TTL_S, JOB_TTL_S, JobStopped
from worker.rq.runner import OnBatch, Work
from worker.rq.worker import AsyncWorker

REF = ref_of(Conversation("generic", "loja", "ana"), 1)
JOB_OF_REF = NewJob(f"{REF}-7", str(REF), 1)
FLUSH_WITHIN_S = 20.0


async def no_redrive(flush_id: str) -> str:
    """No job of these tests stands for a dead letter."""
    raise AssertionError(flush_id)


VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)

SIGNATURES: list[tuple[Callable[..., Any], set[str]]] = [
    (
        BaseWorker.__init__,
        {"queues", "name", "connection", "serializer", "worker_ttl", "maintenance_interval"},
    ),
    (BaseWorker.handle_job_failure, {"job", "queue", "exc_string", "execution"}),
    (BaseWorker.set_state, {"state", "pipeline"}),
    (BaseWorker.get_state, set()),
    (BaseWorker.increment_total_working_time, {"job_execution_time", "pipeline"}),
    (BaseWorker.heartbeat, {"pipeline"}),
    (BaseWorker.handle_payload, {"message"}),
    (BaseWorker.run_maintenance_tasks, set()),
    (BaseWorker.clean_registries, set()),
    (BaseWorker.subscribe, set()),
    (BaseWorker.register_birth, set()),
    (BaseWorker.teardown, set()),
    (BaseWorker.serialize, set()),
    (Execution.create, {"job", "ttl", "pipeline", "worker_name"}),
    (Execution.delete, {"job", "pipeline"}),
    (Execution.heartbeat, {"started_job_registry", "ttl", "pipeline"}),
    (Job.prepare_for_execution, {"worker_name", "pipeline"}),
    (Job.fetch_many, {"job_ids", "connection", "serializer"}),
    (Job.key_for, {"job_id"}),
    (Queue.create_job, {"func", "timeout", "result_ttl", "failure_ttl", "status"}),
    (Job.to_dict, set()),
    (utcformat, {"dt"}),
    (Queue.get_job_ids, set()),
    (Queue.fetch_job, {"job_id"}),
    (Job.delete, {"remove_from_queue"}),
    (Job.latest_result, set()),
    (FailedJobRegistry.get_job_ids, {"cleanup"}),
    (Queue.acquire_maintenance_lock, set()),
    (Queue.release_maintenance_lock, set()),
    (IntermediateQueue.get_job_ids, set()),
    (IntermediateQueue.remove, {"job_id"}),
    (clean_registries, {"queue"}),
    (clean_worker_registry, {"queue"}),
    (register, {"worker", "pipeline"}),
    (parse_payload, {"payload"}),
    (handle_command, {"worker", "payload"}),
]
"""What we call or override, and the parameters that we pass or are given."""


def test_version() -> None:
    """Written against RQ 3.0: read the code again before another one is allowed in."""
    assert re.fullmatch(r"3\.0\.\d+", rq.__version__)


@pytest.mark.parametrize(("function", "needed"), SIGNATURES, ids=lambda part: getattr(part, "__qualname__", ""))
def test_signature(function: Callable[..., Any], needed: set[str]) -> None:
    """The parameters that we use are there, and no other one has become required."""
    parameters = inspect.signature(function).parameters
    require = {
        name
        for name, parameter in parameters.items()
        if parameter.default is parameter.empty
        and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    }
    assert needed <= set(parameters)
    assert require - {"self", "cls"} <= needed


def test_names() -> None:
    """The keys, words and characters that we share with RQ's tools."""
    queue = Queue("flush", connection=redis.Redis(), serializer=JSONSerializer)
    assert (queue.key, queue.intermediate_queue_key) == ("rq:queue:flush", "rq:queue:flush:intermediate")
    assert (queue.started_job_registry.key, queue.failed_job_registry.key) == ("rq:wip:flush", "rq:failed:flush")
    assert (WORKERS_SUSPENDED, PUBSUB_CHANNEL_TEMPLATE, Job.key_for("x")) == (
        "rq:suspended",
        "rq:pubsub:%s",
        "rq:job:x",
    )
    assert [WorkerStatus.BUSY, WorkerStatus.IDLE, WorkerStatus.SUSPENDED] == ["busy", "idle", "suspended"]
    assert JOB_ID_PATTERN.fullmatch(f"{REF}-1")
    assert resolve_serializer("json") is JSONSerializer


class State(NamedTuple):
    """What stands in Redis: each key with its members or fields, and whether it has a TTL."""

    keys: dict[str, Any]

    def without(self, *names: str) -> dict[str, Any]:
        """All keys but these."""
        return {key: value for key, value in self.keys.items() if key not in names}


TIMES = {"created_at", "enqueued_at", "started_at", "ended_at", "last_heartbeat", "birth", "total_working_time"}
OWN = {"pid", "ip_address", "exc_info", "return_value"}
"""Fields whose values differ between two runs of anything."""


def state_of(client: Any, worker: BaseWorker | None = None) -> State:
    """Every key of RQ, with the names of the worker and its executions replaced."""
    names = {worker.name: "WORKER"} if worker else {}
    for key in client.scan_iter("rq:execution:*"):
        names[key.decode().rpartition(":")[2]] = "EXECUTION"

    def plain(value: Any) -> str:
        text = value.decode("utf-8", "replace")
        for name, word in names.items():
            text = text.replace(name, word)
        return text

    def content(key: bytes) -> Any:
        kind = client.type(key)
        if kind == b"hash":
            fields = {plain(name): plain(value) for name, value in client.hgetall(key).items()}
            return {name: "..." if name in TIMES | OWN else value for name, value in fields.items()}
        if kind == b"zset":
            return sorted(plain(member) for member in client.zrange(key, 0, -1))
        if kind == b"stream":
            return [sorted(plain(name) for name in fields) for _, fields in client.xrange(key)]
        return sorted(map(plain, client.lrange(key, 0, -1) if kind == b"list" else client.smembers(key)))

    # Maintenance runs at times of its own.
    keys = [key for key in client.scan_iter("rq:*") if b"clean" not in key and b"maintenance" not in key]
    return State({plain(key): (content(key), client.ttl(key) > 0) for key in keys})


@pytest.fixture
def client(valkey: Server) -> Iterator[Any]:
    """A client of a server that holds nothing of RQ."""
    with valkey.client() as client:
        for key in client.scan_iter("rq:*"):
            client.delete(key)
        yield client
        for key in client.scan_iter("rq:*"):
            client.delete(key)


@pytest.fixture
async def queue(valkey: Server, client: Any, make_settings: Callable[..., Settings]) -> AsyncIterator[JobQueue]:
    """The queue with one job in it."""
    reached = connect(valkey.url, timeout_s=FLUSH_WITHIN_S)
    queue = JobQueue(make_settings(), client, reached)
    await queue.enqueue_and_dequeue([JOB_OF_REF], 0)
    yield queue
    await queue.close()
    await reached.aclose()


async def test_our_job_is_what_rq_would_make(client: Any, queue: JobQueue) -> None:
    """`Queue.enqueue` with the same options leaves the same state as our queue."""
    ours = state_of(client)
    (job_id,) = queue.rq.get_job_ids()
    client.flushdb()
    Queue("flush", connection=client, serializer="json").enqueue(
        JOB_FUNCTION, str(REF), job_timeout=queue._timeout_s, result_ttl=0, failure_ttl=FAILURE_TTL_S, job_id=job_id,
        description=f"flush {REF}",
    )  # fmt: skip
    assert ours == state_of(client)
    assert f"rq:job:{job_id}" in ours.keys


class Stock:
    """RQ's own worker at the moments of one job: while it runs, and after it."""

    def __init__(self, client: Any, queue: JobQueue, patch: pytest.MonkeyPatch, error: Exception | None) -> None:
        self.during = State({})

        def flush(ref: str) -> str:
            self.during = state_of(client, worker)
            if error:
                raise error
            return "acked"

        patch.setattr("worker.job.flush", flush)
        worker = SimpleWorker([queue.rq], connection=client, serializer="json")
        handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)}
        worker.register_death = lambda: None  # type: ignore[method-assign]
        worker.work(burst=True, logging_level="CRITICAL")
        for number, handler in handlers.items():
            signal.signal(number, handler)
        self.after = state_of(client, worker)


class Ours:
    """Our worker at the same moments."""

    def __init__(self, queue: JobQueue) -> None:
        self.go_on: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._begun = asyncio.Event()
        self.worker = AsyncWorker(queue, Work(self._flush, no_redrive), 10)
        self.worker.register_birth()
        self.worker.set_state("idle")
        self._consuming = asyncio.create_task(self.worker.runner.consume())

    async def _flush(self, ref: Ref, on_batch: OnBatch) -> str:
        self._begun.set()
        return await self.go_on

    async def start(self) -> None:
        """Take the job and show it."""
        async with asyncio.timeout(FLUSH_WITHIN_S):
            await self._begun.wait()
        await self.worker.registries.write()

    async def end(self, error: Exception | None = None) -> None:
        """Let the flush end, and write that down."""
        if error:
            self.go_on.set_exception(error)
        elif not self.go_on.done():
            self.go_on.set_result("acked")
        self.worker.runner.stop()
        await self._consuming
        await self.worker.runner.drain(FLUSH_WITHIN_S, asyncio.Event())
        await self.worker.registries.write()
        self.worker.registries.close()


@pytest.fixture
def shown_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every job is shown as started, however short it is."""
    monkeypatch.setattr(registries, "SHOW_AFTER_S", 0.0)


async def stock_states(
    client: Any, queue: JobQueue, monkeypatch: pytest.MonkeyPatch, error: Exception | None = None
) -> Stock:
    """What RQ's own worker leaves; then everything is as before, with the job in the queue again."""
    stock = Stock(client, queue, monkeypatch, error)
    client.flushdb()
    await queue.enqueue_and_dequeue([JOB_OF_REF], 0)
    return stock


@pytest.mark.usefixtures("shown_at_once")
async def test_a_job_looks_the_same_as_under_rqs_worker(
    client: Any, queue: JobQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While it runs and when it is over: the same keys, fields and values. Only the TTL of its hash is our own."""
    stock = await stock_states(client, queue, monkeypatch)
    ours = Ours(queue)
    await ours.start()
    job, executions = f"rq:job:{REF}-7", [f"{REF}-7:EXECUTION"]
    during = state_of(client, ours.worker)
    assert during.without(job) == stock.during.without(job)
    assert (during.keys[job][0], stock.during.keys[job]) == (stock.during.keys[job][0], (during.keys[job][0], False))
    assert 0 < client.ttl(job) <= JOB_TTL_S < EXECUTION_TTL_S  # a job of a dead worker is gone before RQ fails it
    assert during.keys["rq:wip:flush"][0] == during.keys["rq:worker:WORKER:executions"][0] == executions
    assert during.keys[job][0]["status"] == "started"
    assert during.keys["rq:worker:WORKER"][0]["state"] == "busy"
    await ours.end()
    after = state_of(client, ours.worker)
    assert after == stock.after
    assert after.keys["rq:worker:WORKER"][0]["successful_job_count"] == "1"
    assert set(after.keys) == {"rq:queues", "rq:workers", "rq:workers:flush", "rq:worker:WORKER"}


@pytest.mark.usefixtures("shown_at_once")
async def test_the_worker_is_busy_before_its_job_is_shown(
    client: Any, queue: JobQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An idle worker never has jobs."""
    ours, states, show = Ours(queue), list[bytes](), registries.RegistryWriter._write_started

    def noting(self: registries.RegistryWriter, job_ids: Sequence[str]) -> None:
        states.append(client.hget(ours.worker.key, "state"))
        show(self, job_ids)

    monkeypatch.setattr(registries.RegistryWriter, "_write_started", noting)
    await ours.start()
    await ours.end()
    assert states == [b"busy"]


@pytest.mark.usefixtures("shown_at_once")
async def test_a_failed_job_looks_the_same_as_under_rqs_worker(
    client: Any, queue: JobQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bug of ours is in the failed registry with its traceback, as RQ's own worker leaves it."""
    bug = LookupError("a bug of ours")
    stock = await stock_states(client, queue, monkeypatch, bug)
    ours = Ours(queue)
    await ours.start()
    await ours.end(bug)
    assert state_of(client, ours.worker) == stock.after
    (failed,) = FailedJobRegistry(queue=queue.rq).get_job_ids()
    result = Job.fetch(failed, connection=client, serializer="json").latest_result()
    assert result is not None
    assert "LookupError: a bug of ours" in str(result.exc_string)
    assert "in _flush" in str(result.exc_string)


@pytest.mark.usefixtures("shown_at_once")
@pytest.mark.parametrize("shown", [True, False])
async def test_a_stopped_job_is_shown_as_stopped(
    client: Any, queue: JobQueue, shown: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """stop-job leaves the job in the failed registry with the status `stopped`, whether it was shown before or not."""
    monkeypatch.setattr(registries, "SHOW_AFTER_S", 0.0 if shown else 60.0)
    ours = Ours(queue)
    await ours.start()
    assert StartedJobRegistry(queue=queue.rq).count == int(shown)
    ours.worker.handle_payload({"data": f'{{"command": "stop-job", "job_id": "{REF}-7"}}'.encode()})
    await asyncio.sleep(0)
    await ours.end()
    (job_id,) = FailedJobRegistry(queue=queue.rq).get_job_ids()
    job = Job.fetch(job_id, connection=client, serializer="json")
    assert job.get_status() is JobStatus.STOPPED
    assert JobStopped.__name__ in str(job.latest_result().exc_string)  # type: ignore[union-attr]
    assert StartedJobRegistry(queue=queue.rq).count == client.llen(queue.rq.intermediate_queue_key) == 0


async def test_handed_back_is_neither_success_nor_failure(client: Any, queue: JobQueue) -> None:
    """A flush cancelled at shutdown leaves no trace: the wake index has its conversation."""
    ours = Ours(queue)
    await ours.start()
    ours.go_on.cancel()
    await ours.end()
    worker = state_of(client, ours.worker).keys["rq:worker:WORKER"][0]
    assert (worker["successful_job_count"], worker.get("failed_job_count")) == ("0", None)
    assert not client.exists(f"rq:job:{REF}-7", "rq:failed:flush", queue.rq.intermediate_queue_key)


@pytest.mark.usefixtures("shown_at_once")
async def test_what_could_not_be_written_is_written_later(
    client: Any, queue: JobQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RQ's server fails in a pipeline, at the start and at the end of a job: the next writes repair it."""
    ours = Ours(queue)
    with monkeypatch.context() as broken:
        broken.setattr(redis.client.Pipeline, "execute", executed_and_lost)
        await ours.start()
    await ours.worker.registries.write()
    assert StartedJobRegistry(queue=queue.rq).get_job_ids() == [f"{REF}-7"]
    assert client.scard(f"rq:worker:{ours.worker.name}:executions") == 1
    with monkeypatch.context() as broken:
        broken.setattr(redis.client.Pipeline, "execute", executed_and_lost)
        await ours.end()
    assert ours.worker.registries._ended == {f"{REF}-7": None}
    ours.worker.registries._write([], ours.worker.registries._ended)
    left = set(state_of(client, ours.worker).keys)
    assert left == {"rq:queues", "rq:workers", "rq:workers:flush", "rq:worker:WORKER"}


@pytest.mark.usefixtures("shown_at_once")
async def test_heartbeats_keep_a_live_job_from_being_abandoned(client: Any, queue: JobQueue) -> None:
    """One beat later the job may be quiet for another 80 s; a worker that RQ's server forgot is there again."""
    ours = Ours(queue)
    await ours.start()
    started = StartedJobRegistry(queue=queue.rq)
    (entry,) = client.zrange(started.key, 0, -1)
    before = state_of(client, ours.worker)
    client.zadd(started.key, {entry: time.time() + 1})
    client.delete(ours.worker.key)
    ours.worker.registries._send_heartbeats()
    started.cleanup(timestamp=time.time() + 80)
    assert state_of(client, ours.worker) == before
    await ours.end()


execute = redis.client.Pipeline.execute


def executed_and_lost(pipeline: Any, raise_on_error: bool = True) -> Any:
    """The server has done it all, and its reply was lost; reading goes well."""
    wrote = any(arguments[0] != "HGETALL" for arguments, _ in pipeline.command_stack)
    replies = execute(pipeline, raise_on_error)
    if wrote:
        raise redis.ConnectionError("the reply was lost")
    return replies


async def test_the_heartbeat_begins_with_the_workers_hash(client: Any, queue: JobQueue) -> None:
    """Its first reply says whether the hash was gone, so that we announce ourselves again."""
    worker = BaseWorker([queue.rq], connection=client, serializer=JSONSerializer)
    with client.pipeline(transaction=False) as pipeline:
        worker.heartbeat(pipeline=pipeline)
        assert pipeline.execute()[0] == 1
        worker.heartbeat(pipeline=pipeline)
        assert pipeline.execute()[0] == 0


@pytest.mark.parametrize("result", ["retry", "dead", "lost", "cancelled"])
@pytest.mark.parametrize("shown", [True, False])
async def test_a_failed_call_is_not_a_finished_job(
    client: Any, queue: JobQueue, monkeypatch: pytest.MonkeyPatch, result: str, shown: bool
) -> None:
    """RQ's own worker would count any job that returns. Ours counts only those whose batch needs no other attempt."""
    monkeypatch.setattr(registries, "SHOW_AFTER_S", 0.0 if shown else 60.0)
    ours = Ours(queue)
    await ours.start()
    ours.go_on.set_result(result)
    await ours.end()
    worker = state_of(client, ours.worker).keys["rq:worker:WORKER"][0]
    assert (worker["successful_job_count"], worker.get("failed_job_count")) == ("0", None)
    assert not client.exists(f"rq:job:{REF}-7", "rq:failed:flush", queue.rq.intermediate_queue_key)


def abandon(client: Any, queue: JobQueue) -> str:
    """Let RQ's clean-up fail the running job, as after the death of its worker."""
    started = StartedJobRegistry(queue=queue.rq)
    (entry,) = client.zrange(started.key, 0, -1)
    client.zadd(started.key, {entry: time.time() - 1})
    started.cleanup()
    (job_id,) = FailedJobRegistry(queue=queue.rq).get_job_ids()
    result = Job.fetch(job_id, connection=client, serializer="json").latest_result()
    assert result is not None
    assert "AbandonedJobError" in str(result.exc_string)
    return job_id


@pytest.mark.usefixtures("shown_at_once")
async def test_an_abandoned_job_leaves_nothing(client: Any, queue: JobQueue) -> None:
    """The worker died, and its batch is delivered all the same: another worker's maintenance forgets the job."""
    doomed = Ours(queue)
    await doomed.start()
    job_id = abandon(client, queue)
    AsyncWorker(queue, Work(doomed._flush, no_redrive), 1).clean_registries()
    assert not client.exists(f"rq:job:{job_id}", "rq:failed:flush", f"rq:results:{job_id}")
    await doomed.end()


@pytest.mark.usefixtures("shown_at_once")
async def test_a_bug_stays_in_the_failed_registry(client: Any, queue: JobQueue) -> None:
    """Only the death of a worker is forgotten: an error of a flush is shown until FAILURE_TTL_S is over."""
    ours = Ours(queue)
    await ours.start()
    await ours.end(LookupError("a bug of ours"))
    other = AsyncWorker(queue, Work(ours._flush, no_redrive), 1)
    for _ in range(2):
        other.clean_registries()
    assert FailedJobRegistry(queue=queue.rq).get_job_ids() == [f"{REF}-7"]


@pytest.mark.parametrize("job_id", [f"{REF}-7", "report"])
async def test_a_job_that_was_taken_and_never_started(client: Any, queue: JobQueue, job_id: str) -> None:
    """After two clean-ups a flush is forgotten, and a job of another program has failed, as under RQ's worker."""
    client.delete(queue.rq.key)
    queue.rq.create_job(JOB_FUNCTION, args=("x",), job_id=job_id).save()
    client.rpush(queue.rq.intermediate_queue_key, job_id)
    other = AsyncWorker(queue, Work(Ours._flush, no_redrive), 1)  # type: ignore[arg-type]
    for _ in range(2):
        client.delete(queue.rq.registry_cleaning_key)
        other.clean_registries()
    assert not client.exists(queue.rq.intermediate_queue_key)
    is_flush = job_id != "report"
    assert FailedJobRegistry(queue=queue.rq).get_job_ids() == ([] if is_flush else ["report"])
    assert client.exists(f"rq:job:{job_id}") == (0 if is_flush else 1)

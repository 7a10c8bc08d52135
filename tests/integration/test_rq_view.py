"""RQ's registries show what the buffer holds: pending flushes, their way through the queue, and dead letters."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

import pytest
from rq.registry import ScheduledJobRegistry

from buffer.keys import ref_of
from tests.integration.agent import Answer
from tests.integration.deployment import Deployment, person
from tests.integration.polling import until
from tests.integration.rq_operator import RQ, queue_of, rq, suspend
from tests.integration.rq_view import (
    FAILED,
    FINISHED,
    SCHEDULED,
    STARTED,
    due_s,
    everything_in_rq,
    jobs_in,
    texts_in,
)
from tests.servers import Server

ANA = "5511900000021"
SHOWN = "+55 11 •••• 0021 · generic/default"
LONG = {"message_buffer_timeout": 600.0, "message_buffer_max_wait": 3600.0}


def deadline_ms(deployment: Deployment, peer: str) -> int:
    """When the open burst of a person is due."""
    (found,) = [one for one in deployment.snapshot()["conversations"] if one["peer"] == peer]
    return int(found["deadline_ms"])


def wait_shown(deployment: Deployment, text: str) -> None:
    """Wait until the scheduled registry shows one job, and it begins with this text."""
    until(f"shown: {text}", lambda: [one[: len(text)] for one in texts_in(deployment, SCHEDULED)] == [text])


def start_stock(deployment: Deployment) -> None:
    """Start RQ's own worker with its scheduler."""
    options = ["--url", deployment.server.url, "--serializer", "json", "--worker-class", "rq.worker.SimpleWorker"]
    deployment.run([RQ, "worker", "flush", "--with-scheduler", *options])


def test_a_pending_flush_is_scheduled_with_its_due_time(start_deployment: Callable[..., Deployment]) -> None:
    """Its description says how many messages of whom; a further message moves the due time and the number."""
    deployment = start_deployment(**LONG)
    deployment.worker()
    webhook = deployment.webhook()
    webhook.say(ANA, "um")
    wait_shown(deployment, f"1 message · {SHOWN} · due ")
    webhook.say(ANA, "dois")
    wait_shown(deployment, f"2 messages · {SHOWN} · due ")
    (job,) = jobs_in(deployment, SCHEDULED)
    assert due_s(deployment, job) == deadline_ms(deployment, ANA) / 1000
    assert (job.get_status(), job.func_name) == ("scheduled", "worker.job.flush")
    due = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(deadline_ms(deployment, ANA) // 1000))
    assert job.description == f"2 messages · {SHOWN} · due {due}"
    assert "0, 0 executing, 0 finished, 0 failed" in rq(deployment, "info")


def test_the_way_of_a_flush(start_deployment: Callable[..., Deployment]) -> None:
    """Scheduled, then started, then finished for 500 s, with the same description; `rq info` counts each."""
    deployment = start_deployment(message_buffer_timeout=4.0)
    deployment.agent.default = Answer(held=True)
    deployment.worker()
    deployment.webhook().say(ANA, "um")
    wait_shown(deployment, f"1 message · {SHOWN} · due ")
    until("it is started", lambda: texts_in(deployment, STARTED) == [f"1 message · {SHOWN}"])
    until("it is no longer scheduled", lambda: not texts_in(deployment, SCHEDULED))
    assert "1 executing, 0 finished, 0 failed" in rq(deployment, "info")
    deployment.agent.release()
    until("it is finished", lambda: texts_in(deployment, FINISHED) == [f"1 message · {SHOWN}"])
    assert "0 executing, 1 finished, 0 failed" in rq(deployment, "info")
    (job,) = jobs_in(deployment, FINISHED)
    assert job.get_status() == "finished"
    assert job.ended_at is not None
    left_s = deployment.redis.zscore("rq:finished:flush", job.id) - time.time()
    assert 400 < left_s <= 500
    assert deployment.redis.ttl(job.key) == -1


def test_enqueuing_takes_the_place_of_what_was_shown(start_deployment: Callable[..., Deployment]) -> None:
    """When RQ is suspended the job waits in the queue, and no longer in the scheduled registry."""
    deployment = start_deployment(message_buffer_timeout=4.0)
    deployment.worker()
    suspend(deployment)
    deployment.webhook().say(ANA, "um")
    wait_shown(deployment, f"1 message · {SHOWN} · due ")
    queue = queue_of(deployment)
    until("it is queued", lambda: queue.count == 1)
    (job,) = queue.get_jobs()
    assert job.description == f"1 message · {SHOWN}"
    assert ScheduledJobRegistry(queue=queue).get_job_ids() == []
    rq(deployment, "resume")
    deployment.wait_calls(ANA)
    deployment.wait_drained()
    assert len(deployment.agent.calls) == 1


def test_a_job_that_runs_early_flushes_nothing_early(start_deployment: Callable[..., Deployment]) -> None:
    """An operator enqueues what is scheduled: the claim answers `early`, and the burst waits for its deadline."""
    deployment = start_deployment(message_buffer_timeout=6.0)
    worker = deployment.worker()
    webhook = deployment.webhook()
    webhook.say(ANA, "um", message_id="m1")
    wait_shown(deployment, f"1 message · {SHOWN} · due ")
    queue = queue_of(deployment)
    (job,) = jobs_in(deployment, SCHEDULED)
    ScheduledJobRegistry(queue=queue).remove(job)
    queue.enqueue_job(job)
    until("the worker has taken it", lambda: not queue.count)
    wait_shown(deployment, f"1 message · {SHOWN} · due ")
    assert not deployment.agent.calls
    webhook.say(ANA, "dois", message_id="m2")
    deployment.wait_calls(ANA)
    deployment.wait_drained()
    (call,) = deployment.agent.calls
    assert (call.ids, call.content["reason"]) == (["m1", "m2"], "quiet")
    assert "Traceback" not in worker.log


@pytest.mark.parametrize("how", ["job.delete", "registry emptied", "queue emptied"])
def test_what_is_deleted_comes_back(start_deployment: Callable[..., Deployment], how: str) -> None:
    """Delete and empty in a dashboard change only the view: it is shown again and delivered once."""
    deployment = start_deployment(message_buffer_timeout=6.0)
    deployment.worker()
    deployment.webhook().say(ANA, "um")
    wait_shown(deployment, f"1 message · {SHOWN} · due ")
    (job,) = jobs_in(deployment, SCHEDULED)
    if how == "queue emptied":
        rq(deployment, "empty", "--all")
    elif how == "job.delete":
        job.delete()
    else:
        deployment.redis.delete("rq:scheduled:flush", job.key)
    wait_shown(deployment, f"1 message · {SHOWN} · due ")
    deployment.wait_calls(ANA)
    deployment.wait_drained()
    assert len(deployment.agent.calls) == 1


def test_rqs_scheduler_moves_what_is_due(start_deployment: Callable[..., Deployment]) -> None:
    """With no worker of ours alive, a stock worker with RQ's scheduler delivers what was shown, at its due time."""
    deployment = start_deployment(message_buffer_timeout=5.0)
    ours = deployment.worker()
    deployment.webhook().say(ANA, "um")
    wait_shown(deployment, f"1 message · {SHOWN} · due ")
    due = deadline_ms(deployment, ANA)
    ours.kill()
    start_stock(deployment)
    deployment.wait_calls(ANA)
    deployment.wait_drained()
    (call,) = deployment.agent.calls
    assert call.arrived_ms >= due
    assert not texts_in(deployment, SCHEDULED)


def test_rqs_scheduler_beside_ours(start_deployment: Callable[..., Deployment]) -> None:
    """Both move what is due; every burst is called once, and nothing is left in a registry."""
    deployment = start_deployment(message_buffer_timeout=2.5)
    deployment.worker()
    start_stock(deployment)
    people = [f"person-{number}" for number in range(30)]
    webhook = deployment.webhook()
    for one in people:
        webhook.say(one, "oi")
    until("all are called", lambda: len(deployment.agent.calls) >= len(people))
    deployment.wait_drained()
    assert sorted(call.peer for call in deployment.agent.calls) == sorted(people)
    until("nothing is left", lambda: not (jobs_in(deployment, SCHEDULED) + jobs_in(deployment, STARTED)))
    assert not jobs_in(deployment, FAILED)


def test_no_number_and_no_text_in_rq(start_deployment: Callable[..., Deployment]) -> None:
    """Pending, started, finished or dead: no key of RQ has a full number or a word that somebody wrote."""
    deployment = start_deployment(message_buffer_timeout=3.0)
    dead, slow, done = "5511900000022", "5511900000023", "5511900000024"
    deployment.agent.answer(dead, Answer(422, b'{"error": "segredo 5511900000022"}', "application/json"))
    deployment.agent.answer(slow, Answer(held=True))
    deployment.worker()
    webhook = deployment.webhook()
    for one in (dead, slow, done):
        webhook.say(one, "segredo", sender_name="segredo")
    until("one is dead", lambda: texts_in(deployment, FAILED))
    until("one is started", lambda: texts_in(deployment, STARTED))
    until("one is finished", lambda: texts_in(deployment, FINISHED))
    webhook.say(ANA, "segredo", sender_name="segredo")
    wait_shown(deployment, f"1 message · {SHOWN} · due ")
    held = everything_in_rq(deployment)
    assert "•••• 0022" in held
    assert "segredo" not in held
    assert not re.findall("55119000000", held)
    deployment.agent.release()


def test_switched_off(start_deployment: Callable[..., Deployment]) -> None:
    """RQ_SHOW_PENDING=false: nothing is shown, and what an earlier worker has shown is removed."""
    deployment = start_deployment(**LONG)
    shows = deployment.worker()
    deployment.webhook().say(ANA, "um")
    wait_shown(deployment, f"1 message · {SHOWN} · due ")
    shows.terminate()
    assert shows.wait() == 0
    assert len(texts_in(deployment, SCHEDULED)) == 1
    deployment.worker(rq_show_pending=False)
    until("nothing is shown", lambda: not list(deployment.redis.scan_iter("rq:job:*")))
    assert deployment.pending() == 1


def test_another_worker_shows_after_a_crash(start_deployment: Callable[..., Deployment]) -> None:
    """One worker shows for all; when it is killed another one goes on, and removes what is no longer true."""
    deployment = start_deployment(**LONG)
    workers = {one.pid: one for one in deployment.workers(2)}
    deployment.webhook().say(ANA, "um")
    wait_shown(deployment, f"1 message · {SHOWN} · due ")
    shower = deployment.redis.get("rq:queue:flush:shown-by")
    pid = int(deployment.redis.hget(b"rq:worker:" + shower, "pid"))
    workers[pid].kill()
    deployment.ask(lambda store: store.discard(person(ANA)))
    until("the stale job is gone", lambda: not list(deployment.redis.scan_iter("rq:job:*")))
    assert deployment.redis.get("rq:queue:flush:shown-by") not in (None, shower)


def test_rq_on_another_server(start_deployment: Callable[..., Deployment], start_server: Callable[..., Server]) -> None:
    """RQ has a server of its own: it is shown there; while that is away bursts are called, and later shown again."""
    other = start_server()
    deployment = start_deployment(message_buffer_timeout=8.0, rq_redis_url=other.url)
    deployment.worker()
    webhook = deployment.webhook()
    client = other.client()
    webhook.say(ANA, "um")
    until("it is shown", lambda: client.zcard("rq:scheduled:flush") == 1)
    assert not list(deployment.redis.scan_iter("rq:*"))
    other.kill()
    deployment.wait_calls(ANA)
    other.restart()
    webhook.say("person-1", "um")
    client = other.client()
    shown = f"{ref_of(person('person-1'), 1)}-0".encode()
    until("the next one is shown", lambda: client.zscore("rq:scheduled:flush", shown))
    deployment.wait_calls("person-1")
    deployment.wait_drained()
    assert len(deployment.agent.calls) == 2

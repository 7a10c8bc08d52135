"""When a call is made again: errors, silence, Retry-After, back-off, dead letters and their second chance."""

from __future__ import annotations

import email.utils
import resource
import time
from collections.abc import Callable

import pytest

from tests.integration.agent import Answer
from tests.integration.delivery import check_same, dead, deliver, gaps_ms
from tests.integration.deployment import Deployment
from tests.integration.polling import until
from tests.integration.processes import Webhook

BROKEN = Answer(500)

shared_worker = pytest.mark.usefixtures("shared_worker")


@shared_worker
def test_errors_are_retried_with_growing_delays(
    shared_deployment: Deployment, shared_webhook: Webhook, peer: str
) -> None:
    """500, 500, 500, 200 are four requests with one key and one body, each wait at least doubled (jitter 20 %)."""
    calls = deliver(shared_deployment, shared_webhook, peer, BROKEN, BROKEN, BROKEN, Answer())
    assert len(calls) == 4
    check_same(calls)
    for gap_ms, least_ms in zip(gaps_ms(calls), (240, 480, 960), strict=True):
        assert gap_ms >= least_ms


@shared_worker
def test_a_call_without_an_answer_is_repeated(
    shared_deployment: Deployment, shared_webhook: Webhook, peer: str
) -> None:
    """After AGENT_TIMEOUT the call is given up and made again, the same."""
    calls = deliver(shared_deployment, shared_webhook, peer, Answer(delay_s=60), Answer())
    assert len(calls) == 2
    check_same(calls)
    assert gaps_ms(calls)[0] >= 2000


@shared_worker
def test_a_connection_closed_after_reading_is_repeated(
    shared_deployment: Deployment, shared_webhook: Webhook, peer: str
) -> None:
    """The agent took the request and hung up: it may have seen it, so the same key comes again."""
    calls = deliver(shared_deployment, shared_webhook, peer, Answer(cut=True), Answer())
    assert len(calls) == 2
    check_same(calls)


@shared_worker
@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("form", ["seconds", "date"])
def test_retry_after_is_honoured(
    shared_deployment: Deployment, shared_webhook: Webhook, peer: str, status: int, form: str
) -> None:
    """The agent says when to come again, in seconds or as a date; not a moment sooner."""
    value = "2" if form == "seconds" else email.utils.formatdate(time.time() + 3, usegmt=True)
    calls = deliver(shared_deployment, shared_webhook, peer, Answer(status, headers={"Retry-After": value}), Answer())
    assert len(calls) == 2
    check_same(calls)
    if form == "seconds":
        assert gaps_ms(calls)[0] >= 2000
    else:
        assert calls[1].arrived_ms >= email.utils.parsedate_to_datetime(value).timestamp() * 1000


@shared_worker
@pytest.mark.parametrize("value", ["3600", "Fri, 31 Dec 2100 23:59:59 GMT"])
def test_retry_after_is_capped(shared_deployment: Deployment, shared_webhook: Webhook, peer: str, value: str) -> None:
    """An hour or a century is cut to RETRY_MAX (3 s here)."""
    calls = deliver(shared_deployment, shared_webhook, peer, Answer(503, headers={"Retry-After": value}), Answer())
    assert len(calls) == 2
    assert gaps_ms(calls)[0] >= 3000


@shared_worker
def test_messages_during_back_off_come_after_it(
    shared_deployment: Deployment, shared_webhook: Webhook, peer: str
) -> None:
    """A new message neither joins the sealed body, nor hastens its retry, nor resets its attempts."""
    later = Answer(503, headers={"Retry-After": "2"})
    shared_deployment.agent.answer(peer, BROKEN, later, Answer())
    shared_webhook.say(peer, "um")
    shared_deployment.wait_calls(peer, 2)
    shared_webhook.say(peer, "dois")
    shared_deployment.wait_drained()
    calls = shared_deployment.agent.calls_of(peer)
    assert [call.texts for call in calls] == [["um"], ["um"], ["um"], ["dois"]]
    check_same(calls[:3])
    assert gaps_ms(calls)[1] >= 2000
    assert calls[3].attempt == 1


@shared_worker
def test_exhausted_retries_become_a_dead_letter_that_can_be_redriven(
    shared_deployment: Deployment, shared_webhook: Webhook, peer: str
) -> None:
    """Four failures end a flush; redriven, even twice at once, it comes once more with the same key and body."""
    calls = deliver(shared_deployment, shared_webhook, peer, BROKEN)
    key = calls[0].key
    assert len(calls) == 4
    check_same(calls)
    assert b"500" in dead(shared_deployment, key)[b"error"]
    shared_deployment.agent.answer(peer, Answer())
    assert shared_deployment.ask(lambda store: store.redrive(key)) == "ok"
    assert shared_deployment.ask(lambda store: store.redrive(key)) != "ok"
    shared_deployment.wait_calls(peer, 5)
    shared_deployment.wait_drained()
    calls = shared_deployment.agent.calls_of(peer)
    assert len(calls) == 5
    assert (calls[4].key, calls[4].body) == (key, calls[0].body)
    assert dead(shared_deployment, key) == {}


NO_ATTEMPT_TO_SPARE = {"message_buffer_timeout": 0.3, "agent_max_attempts": 1, "retry_base": 0.2, "retry_max": 0.2}


def test_an_agent_that_is_down_gets_the_call_when_it_is_up(
    start_deployment: Callable[..., Deployment], peer: str
) -> None:
    """Refused connections are no attempts: however many there are, the call comes with its one key."""
    deployment = start_deployment(**NO_ATTEMPT_TO_SPARE)
    deployment.agent.shut()
    webhook, worker = deployment.webhook(), deployment.worker()
    webhook.say(peer, "oi")
    until("the agent was found down again and again", lambda: worker.log.count("the agent cannot be reached") >= 5)
    assert deployment.agent.calls == []
    assert deployment.snapshot()["dead"] == 0
    deployment.agent.open()
    deployment.wait_drained()
    (call,) = deployment.agent.calls
    assert call.attempt > 5
    assert call.texts == ["oi"]


def test_a_worker_without_descriptors_makes_no_dead_letters(
    start_deployment: Callable[..., Deployment], peer: str
) -> None:
    """What never left this machine is not the batch's fault."""
    deployment = start_deployment(**NO_ATTEMPT_TO_SPARE)
    webhook, worker = deployment.webhook(), deployment.worker()
    webhook.say("somebody before", "oi")
    deployment.wait_drained()  # the connections to Redis are open
    deployment.agent.shut()
    deployment.agent.open()  # the connection to the agent is not
    before = resource.prlimit(worker.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(worker.pid, resource.RLIMIT_NOFILE, (3, before[1]))
    webhook.say(peer, "oi")
    until("calls have failed", lambda: worker.log.count("no file descriptor left") >= 3)
    assert deployment.snapshot()["dead"] == 0
    resource.prlimit(worker.pid, resource.RLIMIT_NOFILE, before)
    deployment.wait_drained()
    assert len(deployment.agent.calls_of(peer)) == 1


def test_an_agent_that_stays_down_is_given_up(start_deployment: Callable[..., Deployment], peer: str) -> None:
    """After AGENT_GIVE_UP the batch is a dead letter, which is an error of its own in the log."""
    deployment = start_deployment(**NO_ATTEMPT_TO_SPARE, agent_give_up=1)
    deployment.agent.shut()
    webhook, worker = deployment.webhook(), deployment.worker()
    webhook.say(peer, "oi")
    until("the batch is dead", lambda: deployment.snapshot()["dead"] == 1)
    until("the log says so", lambda: "dead letter: 1 message of" in worker.log)


def test_no_more_calls_at_once_than_allowed(start_deployment: Callable[..., Deployment]) -> None:
    """WORKER_CONCURRENCY limits the calls of a worker to a slow agent, and nobody starves."""
    deployment = start_deployment(message_buffer_timeout=0.3, worker_concurrency=5)
    deployment.agent.default = Answer(delay_s=0.2)
    webhook = deployment.webhook()
    deployment.worker()
    webhook.post([{"conversation": f"person-{number}", "text": "oi"} for number in range(30)])
    until("everybody was served", lambda: len(deployment.agent.flushes()) == 30)
    deployment.wait_drained()
    assert len(deployment.agent.calls) == 30
    assert deployment.agent.most_at_once == 5

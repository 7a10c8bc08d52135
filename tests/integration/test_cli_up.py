"""`debouncer up`: one command, its own server, everything supervised."""

from __future__ import annotations

import os
import signal
import socket
import sys
from pathlib import Path

import pytest

from cli.embedded import running_server
from tests.integration.agent import Answer
from tests.integration.alive import running
from tests.integration.polling import until
from tests.integration.processes import TOKEN, Process

ENDS_WITHIN_S = 20.0


def test_up_does_everything(up, agent, tmp_path):
    """One command delivers a burst to the agent. SIGTERM ends every process in order, with exit code 0.

    Its folder has a name that cannot stand in an address and is too long for a socket.
    """
    service = up("--workers", "2", data_dir=tmp_path / ("my data " + "x" * 100))
    service.wait_up()
    service.say("ana", "oi")
    service.say("ana", "tudo bem?")
    until("the agent is called", lambda: agent.calls_of("ana"))
    assert agent.calls_of("ana")[0].texts == ["oi", "tudo bem?"]
    pids = service.pids() - {service.pid}
    assert len(pids) >= 5
    service.terminate()
    assert service.wait(ENDS_WITHIN_S) == 0
    assert not [pid for pid in pids if running(pid)]
    stopped = [line["event"] for line in service.log_lines() if line["event"] in ("Shutting down", "worker stopped")]
    assert stopped[-1] == "worker stopped"
    assert "Traceback" not in service.log


@pytest.mark.parametrize("part", ["server", "worker", "webhook"])
def test_what_dies_is_started_again(up, agent, part):
    """kill -9 of any part in the middle of a burst: it is started again and nothing is lost."""
    service = up("--workers", "2")
    service.wait_up()
    service.say("ana", "before")
    service.wait_stored("before")
    os.kill(service.children(part)[0], signal.SIGKILL)
    until("it is started again", lambda: len(service.children(part)) > 1)
    service.say("bruno", "after")
    until("the agent has got both", lambda: agent.calls_of("ana") and agent.calls_of("bruno"))
    assert [call.texts for call in agent.calls_of("ana")] == [["before"]]
    assert [call.texts for call in agent.calls_of("bruno")] == [["after"]]
    died = [line for line in service.log_lines() if line["event"] == "process died; starting it again"]
    assert (died[0]["process"], died[0]["exit"]) == (part, "killed by SIGKILL")
    service.terminate()
    assert service.wait(ENDS_WITHIN_S) == 0


def test_messages_survive_a_restart(up, agent):
    """Messages that wait when `up` is stopped are delivered after its next start on the same folder."""
    first = up(message_buffer_timeout=3)
    first.wait_up()
    first.say("ana", "oi")
    first.terminate()
    assert first.wait(ENDS_WITHIN_S) == 0
    assert agent.calls == []
    second = up(data_dir=first.data)
    second.wait_up()
    until("the agent is called", lambda: agent.calls_of("ana"))
    assert agent.calls_of("ana")[0].texts == ["oi"]


def run_command(folder: Path, *arguments: str) -> tuple[int, str]:
    """Run a command in the folder of an `up`, with no settings but an agent and a gateway."""
    (folder / "command").mkdir(exist_ok=True)
    settings = {"agent_url": "http://127.0.0.1:1/", "generic_token": TOKEN, "data_dir": folder / "data"}
    process = Process([sys.executable, "-m", "cli", *arguments], settings, folder / "command")
    code = process.wait(ENDS_WITHIN_S)
    return code, process.log


def test_up_tells_what_waits(up, agent):
    """The end says what is kept, the next start says what waited, and each names dead letters."""
    agent.default = Answer(status=400)
    first = up(message_buffer_timeout=1)
    first.wait_up()
    first.say("bruno", "oi")
    until("bruno's burst is dead", lambda: '"dead"' in first.log)
    agent.default = Answer(status=500)
    first.say("ana", "oi")
    first.terminate()
    assert first.wait(ENDS_WITHIN_S) == 0
    assert f"1 conversation waiting is kept in {first.data}/ and goes out at the next start" in first.log
    second = up(data_dir=first.data)
    second.wait_up()
    events = [line["event"] for line in second.log_lines()]
    assert "1 conversation waiting from before" in events
    assert "1 dead letter from before; `debouncer dead` lists them" in events


def test_commands_find_a_running_up(up, tmp_path):
    """check, health, status, pending and dead find the embedded server of a running `up` by its data folder."""
    service = up(message_buffer_timeout=30, message_buffer_max_wait=60)
    service.wait_up()
    service.say("5511900000001", "oi")
    folder = service.data.parent
    code, checked = run_command(folder, "check")
    assert (code, f"embedded Valkey in {service.data}/: running, 1 waiting, 0 dead" in checked) == (0, True)
    assert run_command(folder, "health", "worker") == (0, "")
    assert "1 conversation pending" in run_command(folder, "pending")[1]
    assert "1 alive" in run_command(folder, "status")[1]
    assert run_command(folder, "dead") == (0, "There are no dead letters.\n")
    service.kill()
    until("the server is gone", lambda: run_command(folder, "status")[0] == 2)


def test_a_socket_elsewhere_is_found(up, tmp_path):
    """The server is found, too, when the folder's path is too long for its socket."""
    data = tmp_path / ("my data " + "x" * 100)
    service = up(data_dir=data)
    service.wait_up()
    assert running_server(str(data)) is not None
    service.terminate()
    assert service.wait(ENDS_WITHIN_S) == 0
    assert running_server(str(data)) is None


def test_up_tells_for_what_it_waits(up, agent):
    """With a call in flight, the end says for how long it waits and that a second Ctrl-C hands back."""
    agent.answer("ana", Answer(held=True))
    service = up(agent_timeout=60, shutdown_grace=60)
    service.wait_up()
    service.say("ana", "oi")
    until("the agent is called", lambda: agent.calls_of("ana"))
    service.signal(signal.SIGINT)
    text = "stopping; waiting up to 60 s for 1 call in flight; Ctrl-C again hands back what is left"
    until("it says so", lambda: text in service.log)
    service.signal(signal.SIGINT)
    assert service.wait(ENDS_WITHIN_S) == 0
    assert "1 conversation waiting is kept" in service.log


def test_up_without_a_gateway_says_so(up):
    """An `up` that would refuse every webhook says so."""
    service = up(generic_token="")
    service.wait_up()
    assert "no gateway is open, so every webhook is refused" in service.log


def test_a_second_up_is_refused(up):
    """Two `up` on one folder would write one file: the second is refused with a sentence, the first goes on."""
    first = up()
    first.wait_up()
    second = up(data_dir=first.data)
    assert second.wait(ENDS_WITHIN_S) == 2
    assert f"DATA_DIR={first.data}: another `debouncer up`" in second.log
    assert "Traceback" not in second.log
    first.say("ana", "oi")


def test_a_killed_up_takes_its_children_along(up):
    """After kill -9 of `up` no child lives on, and the folder is free again."""
    first = up()
    first.wait_up()
    pids = first.pids()
    os.kill(first.pid, signal.SIGKILL)
    until("all of them are gone", lambda: not any(running(pid) for pid in pids))
    up(data_dir=first.data).wait_up()


def test_a_second_signal_hurries(up, agent):
    """The first SIGTERM waits for the agent. A second one releases the batch and ends at once, with exit code 0."""
    agent.answer("ana", Answer(held=True))
    service = up(agent_timeout=60, shutdown_grace=60)
    service.wait_up()
    service.say("ana", "oi")
    until("the agent is called", lambda: agent.calls_of("ana"))
    service.terminate()
    until("the worker waits for the agent", lambda: "stopping; no new jobs" in service.log)
    assert service.alive
    service.terminate()
    assert service.wait(ENDS_WITHIN_S) == 0
    assert "flushes handed back at shutdown" in service.log


def test_up_with_a_server_of_the_users(up, agent, valkey, prefix):
    """With REDIS_URL nothing is embedded: no server is started and the data folder is left alone."""
    service = up(redis_url=valkey.url, redis_key_prefix=prefix, rq_queue=prefix)
    service.wait_up()
    service.say("ana", "oi")
    until("the agent is called", lambda: agent.calls_of("ana"))
    assert service.children("server") == []
    assert not service.data.exists()


def test_up_needs_an_agent(up):
    """Without AGENT_URL nothing starts, and the sentence holds an example."""
    service = up(agent_url="")
    assert service.wait(ENDS_WITHIN_S) == 2
    assert "AGENT_URL is not set" in service.log
    assert "AGENT_URL=http" in service.log
    assert "Traceback" not in service.log


def test_up_says_that_its_port_is_taken(up):
    """A taken port is noticed before anything is started: there is not even a data folder."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        service = up("--port", str(port))
        assert service.wait(ENDS_WITHIN_S) == 2
    assert f"PORT={port}" in service.log
    assert "process started" not in service.log
    assert not service.data.exists()


def test_up_says_that_it_cannot_write(up, tmp_path):
    """A data folder that cannot be made is named."""
    (tmp_path / "file").write_text("not a folder")
    service = up(data_dir=tmp_path / "file" / "data")
    assert service.wait(ENDS_WITHIN_S) == 2
    assert f"DATA_DIR={tmp_path}/file/data" in service.log
    assert "Traceback" not in service.log


def test_up_shows_why_its_server_does_not_start(up, tmp_path):
    """A damaged file stops the server: `up` ends with exit code 1 and prints the end of the server's log."""
    damaged = tmp_path / "data" / "appendonlydir"
    damaged.mkdir(parents=True)
    (damaged / "appendonly.aof.manifest").write_text("this is no manifest\n")
    service = up(data_dir=damaged.parent)
    assert service.wait(ENDS_WITHIN_S) == 1
    assert "the embedded server did not start" in service.log
    assert "manifest" in service.log
    assert "Traceback" not in service.log

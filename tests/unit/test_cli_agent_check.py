"""agent_check: what `debouncer check` can see of an agent without calling it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from cli.agent_check import check_agent
from tests.servers import free_port


class Agent(BaseHTTPRequestHandler):
    """Answers by path, and records the methods."""

    methods: list[str]

    def do_HEAD(self) -> None:
        """Answer with the status and headers of the path."""
        Agent.methods.append(self.command)
        status, headers = ANSWERS[self.path.partition("?")[0]]
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    do_GET = do_POST = do_HEAD

    def log_message(self, *_: Any) -> None:
        """Stay silent."""


ANSWERS: dict[str, tuple[int, dict[str, str]]] = {
    "/ok": (200, {"Content-Type": "application/json"}),
    "/post-only": (405, {}),
    "/not-found": (404, {"Content-Type": "text/html"}),
    "/moved": (301, {"Location": "https://me:hunter2@agent.example.com/x?key=hunter2"}),
    "/slash": (308, {"Location": "/slash/"}),
    "/page": (200, {"Content-Type": "text/html; charset=utf-8"}),
}


@pytest.fixture
def agent() -> Iterator[str]:
    """The address of an agent."""
    Agent.methods = []
    with ThreadingHTTPServer(("127.0.0.1", 0), Agent) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize("path", ["/ok", "/post-only", "/not-found", "/ok?key=word"])
def test_agent_that_answers(agent: str, path: str):
    """An agent that answers HEAD, however, is well, and got nothing but HEAD."""
    assert check_agent(agent + path).level == "ok"
    assert Agent.methods == ["HEAD"]


@pytest.mark.parametrize("path", ["/moved", "/slash"])
def test_agent_that_redirects(agent: str, path: str):
    """A redirect is a warning that shows the target without secrets."""
    result = check_agent(agent + path)
    assert result.level == "warning"
    assert "set AGENT_URL to the final address" in result.message
    assert "hunter2" not in result.message


def test_agent_that_is_a_page(agent: str):
    """An HTML page is a warning."""
    result = check_agent(f"{agent}/page")
    assert (result.level, "HTML page" in result.message) == ("warning", True)


def test_test_address_of_n8n():
    """The test address of n8n is a warning, whatever answers there."""
    result = check_agent("http://127.0.0.1:1/webhook-test/bot")
    assert (result.level, "use the production address (/webhook/)" in result.message) == ("warning", True)


def test_agent_that_is_away():
    """Nobody at the address is a warning."""
    result = check_agent(f"http://127.0.0.1:{free_port()}/")
    assert (result.level, "connection refused" in result.message) == ("warning", True)


def test_agent_that_speaks_no_tls(agent: str):
    """https:// at a port without TLS is a warning that says so."""
    result = check_agent(agent.replace("http:", "https:") + "/ok")
    assert (result.level, "does not speak TLS" in result.message) == ("warning", True)


def test_agent_that_hangs_up_on_head():
    """An agent that accepts connections and answers no HEAD is well: it was not asked for what it does."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def hang_up() -> None:
            server.accept()[0].close()

        threading.Thread(target=hang_up, daemon=True).start()
        assert check_agent(f"http://127.0.0.1:{server.getsockname()[1]}/").level == "ok"

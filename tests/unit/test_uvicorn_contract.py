"""The parts of uvicorn that the fast path relies on. A release that changes one must fail here, not in production."""

from __future__ import annotations

import asyncio
import inspect
import re

import pytest
from uvicorn.config import Config
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import Server, ServerState

from webhook.app import create_app
from webhook.connection import LimitedProtocol
from webhook.fast_path import INGEST, FastPathProtocol, _FastRequest

SOURCE = inspect.getsource(HttpToolsProtocol)
CALLBACKS = {"on_message_begin", "on_url", "on_header", "on_headers_complete", "on_body", "on_message_complete"}


def test_a_fast_request_has_what_uvicorn_uses_of_a_cycle():
    """uvicorn keeps a fast request where it keeps its cycles, and uses these attributes."""
    used = set(re.findall(r"self\.cycle\.(\w+)", SOURCE))
    assert used == {"response_complete", "disconnected", "message_event", "keep_alive", "body", "more_body"}
    assert used - {"body", "more_body"} <= {*_FastRequest.__slots__, "message_event"}
    assert "existing_cycle.response_complete" in SOURCE


def test_bodies_are_ours_on_the_fast_path():
    """uvicorn uses `body` and `more_body` only in the two callbacks that a fast request never reaches."""
    rest = SOURCE.replace(inspect.getsource(HttpToolsProtocol.on_body), "")
    rest = rest.replace(inspect.getsource(HttpToolsProtocol.on_message_complete), "")
    assert not re.search(r"cycle\.(more_)?body", rest)


def test_overridden_methods_exist_in_uvicorn():
    """Every method that we override exists in uvicorn and has the same parameters."""
    for name, ours in [*vars(FastPathProtocol).items(), *vars(LimitedProtocol).items()]:
        if inspect.isfunction(ours) and hasattr(HttpToolsProtocol, name):
            theirs = inspect.signature(getattr(HttpToolsProtocol, name))
            assert list(inspect.signature(ours).parameters) == list(theirs.parameters), name
    assert set(vars(FastPathProtocol)) >= CALLBACKS - {"on_url", "on_header"}
    overridden = {"data_received", "on_response_complete", "_unset_keepalive_if_required", "timeout_keep_alive_handler"}
    overridden |= {"connection_made", "connection_lost"}
    assert all(callable(getattr(HttpToolsProtocol, name)) for name in overridden)


def test_a_packet_is_read_as_uvicorn_reads_it():
    """uvicorn does no more with a packet than we do: it feeds the parser, whose two errors it knows."""
    source = inspect.getsource(HttpToolsProtocol.data_received)
    assert set(re.findall(r"self\.(?!logger)(\w+)", source)) == {
        "_unset_keepalive_if_required",
        "parser",
        "send_400_response",
        "_should_upgrade",
        "handle_websocket_upgrade",
        "_unsupported_upgrade_warning",
    }
    assert re.findall(r"except httptools\.(\w+)", source) == ["HttpParserError", "HttpParserUpgrade"]


def test_a_request_begins_with_these_attributes():
    """uvicorn sets nothing else when a message begins, so the fast path can give the request back to it later."""
    begun = set(re.findall(r"self\.(\w+) =", inspect.getsource(HttpToolsProtocol.on_message_begin)))
    assert begun == {"url", "expect_100_continue", "headers", "scope"}


async def test_a_connection_has_the_attributes_that_we_read():
    """The attributes of the protocol, its flow control and the server's state exist."""
    protocol = FastPathProtocol(_config(), ServerState(), {})
    for name in ("access_log", "root_path", "limit_concurrency", "pipeline", "tasks", "parser", "timeout_keep_alive"):
        assert hasattr(protocol, name), name
    assert protocol.timeout_keep_alive_task is None
    assert protocol.server_state.total_requests == 0
    assert protocol.server_state.default_headers == []
    assert callable(FlowControl.resume_reading)
    assert STATUS_LINE[200] == b"HTTP/1.1 200 OK\r\n"
    assert "on_response()" in inspect.getsource(RequestResponseCycle.send)
    assert "server_state.default_headers = " in inspect.getsource(Server.on_tick), "a new list for each date"


@pytest.mark.parametrize(
    "options", [{"root_path": "/bot"}, {"limit_concurrency": 3}], ids=["root_path", "limit_concurrency"]
)
async def test_options_that_turn_the_fast_path_off(options: dict[str, object]):
    """uvicorn itself handles a root path and a limit of connections, so they turn the fast path off."""
    state = {INGEST: object()}
    assert FastPathProtocol(_config(), ServerState(), state)._ingest is state[INGEST]
    assert FastPathProtocol(_config(**options), ServerState(), state)._ingest is None


async def test_the_lifespan_leaves_the_ingest(make_settings):
    """uvicorn gives the lifespan state to every connection. The application puts its ingest there."""
    app = create_app(make_settings(redis_url="redis://127.0.0.1:1/0"))
    received: asyncio.Queue[dict[str, str]] = asyncio.Queue()
    state: dict[str, object] = {}
    sent: asyncio.Queue[dict[str, str]] = asyncio.Queue()
    lifespan = asyncio.create_task(app({"type": "lifespan", "state": state}, received.get, sent.put))
    await received.put({"type": "lifespan.startup"})
    assert (await sent.get())["type"] == "lifespan.startup.complete"
    assert state[INGEST] is app.ingest
    await received.put({"type": "lifespan.shutdown"})
    await lifespan


def _config(**options: object) -> Config:
    config = Config("webhook.fast_path:FastPathProtocol", **{"access_log": False, "log_config": None, **options})  # type: ignore[arg-type]
    config.load()
    return config

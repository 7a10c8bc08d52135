"""`debouncer sample-agent`: an agent that prints each burst and answers it."""

from __future__ import annotations

import argparse
import asyncio
import socket
import sys
from datetime import datetime
from typing import Any

from buffer.models import Reason
from cli.echo import Body, EchoAgent
from cli.sample.kinds import SAMPLES
from cli.shutdown import ShutdownSignal, exit_on_signal
from cli.sockets import bind_listener, own_address, url_of
from cli.terminal import Colours
from config.logs import mask
from config.settings import SettingsError

REASONS: dict[str, str] = {
    Reason.QUIET: "quiet long enough",
    Reason.MAX_MESSAGES: "as many messages as one call may hold",
    Reason.MAX_BYTES: "as many bytes as one call may hold",
    Reason.MAX_WAIT: "the longest wait was over",
    Reason.KEYWORD: "a message was a flush keyword",
    Reason.MANUAL: "an operator closed it",
    Reason.DISABLED: "the buffer is switched off",
}


def run(args: argparse.Namespace) -> int:
    """Answer until SIGTERM or SIGINT. Raises SettingsError if it cannot listen."""
    _check_mode(args.kind, args.mode)
    exit_on_signal()
    with bind_listener(args.host, args.port) as listener:
        asyncio.run(_run(listener, args.delay) if args.kind == "generic" else _run_kind(listener, args))
    return 0


def _check_mode(kind: str, mode: str) -> None:
    """Raise SettingsError for a mode that the kind does not have."""
    known = (*SAMPLES[kind].agent.modes, "html") if kind in SAMPLES else ()
    if mode and mode not in known:
        names = f"it has {', '.join(known)}" if known else "it has none"
        raise SettingsError(f"--mode {mode}: --kind {kind} has no such mode; {names}")


async def _run(listener: socket.socket, delay_s: float) -> None:
    shutdown, colours = ShutdownSignal(), Colours(sys.stdout)
    host, port = listener.getsockname()[:2]
    agent = EchoAgent(
        delay_s,
        on_request=lambda body, headers: _print_burst(body, headers, colours),
        on_answer=lambda _, replies: _print_replies(replies, colours),
    )
    async with agent.serve(listener):
        print(
            f"The sample agent listens; set AGENT_URL={url_of(own_address(host), port)}/ (Ctrl-C stops it)", flush=True
        )
        await shutdown.requested.wait()


async def _run_kind(listener: socket.socket, args: argparse.Namespace) -> None:
    """Stand in for an agent of another kind."""
    shutdown, sample = ShutdownSignal(), SAMPLES[args.kind]
    host, port = listener.getsockname()[:2]
    agent = sample.agent(args.mode, args.delay, _print_turn)
    settings = {"AGENT_KIND": args.kind, "AGENT_URL": url_of(own_address(host), port) + sample.path, **sample.settings}
    async with agent.serve(listener):
        shown = " ".join(f"{name}={value}" for name, value in settings.items())
        print(f"The sample agent listens; set {shown} (Ctrl-C stops it)", flush=True)
        await shutdown.requested.wait()


def _print_turn(session: str, text: str, answer: str) -> None:
    print("", f"{mask(session)}: {text}", f"  > {answer}", sep="\n", flush=True)


def _print_burst(body: Body, headers: dict[str, str], colours: Colours) -> None:
    print("", colours(_title(body), "bold"), sep="\n")
    for message in body["messages"]:
        print(f"  {_line(message)}")
    key, attempt = headers.get("idempotency-key", "none"), headers.get("debouncer-attempt", "?")
    print(colours(f"  {_reason(body)}; key {key}, attempt {attempt}", "dim"), flush=True)


def _print_replies(replies: list[str], colours: Colours) -> None:
    for reply in replies:
        print(colours(f"  > {reply}", "cyan"), flush=True)


def _title(body: Body) -> str:
    conversation, count = body["conversation"], len(body["messages"])
    who = conversation.get("name") or "someone"
    number = mask(str(conversation.get("id", "")))
    moment = datetime.now().astimezone().strftime("%H:%M:%S")
    return f"{moment}  {who} ({number}), {count} {'message' if count == 1 else 'messages'} in one call"


def _reason(body: Body) -> str:
    reason = str(body.get("reason"))
    return f"closed because: {REASONS.get(reason, reason)}"


def _line(message: dict[str, Any]) -> str:
    kind, text = message.get("kind", "text"), message.get("text") or ""
    return text if kind == "text" else f"[{kind}] {text}".rstrip()

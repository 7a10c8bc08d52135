"""The start-up banner of `debouncer up`: which URL to paste into which gateway."""

from __future__ import annotations

import socket

from cli.sockets import WILDCARDS, own_address, url_of
from cli.terminal import columns, count_of, redact_url
from config.settings import Settings
from gateways.registry import GATEWAYS
from gateways.targets import target_of, why_not_sent

NO_GATEWAY = "no gateway is open, so every webhook is refused: set EVOLUTION_TOKEN, GENERIC_TOKEN or another secret"


def banner(settings: Settings, store: str) -> list[str]:
    """Return the lines of the banner. `store` names the server that keeps the messages."""
    agent = agent_text(settings)
    quiet = f"{settings.auto_min:g} to {settings.auto_max:g}" if settings.is_auto else f"{settings.window_s:g}"
    rows = [*_open_gateways(settings), ("", "")]
    if closed := closed_gateways(settings):
        rows.append(("Closed gateways", f"{', '.join(closed)} (one opens when its secret is set)"))
    rows += [
        ("Bursts go to", f"{agent} after {quiet} s of quiet"),
        ("Messages are kept in", store),
        ("Processes", f"{count_of(settings.uvicorn_workers, 'webhook')}, 1 worker"),
    ]
    hints = _hints(settings)
    return ["debouncer is up; Ctrl-C stops it.", "", *columns(rows), *([""] if hints else []), *hints]


def agent_text(settings: Settings) -> str:
    """Return the address that bursts go to, without its secrets."""
    return redact_url(settings.agent_url) if settings.agent_url else "the agents of ROUTES_FILE"


def open_gateways(settings: Settings) -> list[str]:
    """Return the names of the gateways that accept webhooks."""
    return [name for name, gateway in GATEWAYS.items() if settings.webhook_allow_unsigned or gateway.is_open(settings)]


def closed_gateways(settings: Settings) -> list[str]:
    """Return the names of the gateways that respond 404 because their secret is not set."""
    return [name for name in GATEWAYS if name not in open_gateways(settings)]


def replies_text(settings: Settings, gateway: str) -> str:
    """Return where the answers to a gateway's messages are sent, or what is missing for it."""
    target = target_of(settings, gateway)
    if target is None:
        return why_not_sent(settings, gateway) or ""
    return f"answers are sent through {redact_url(target.url)}"


def webhook_url(settings: Settings, gateway: str) -> str:
    """Return the address to paste into a gateway."""
    host = socket.gethostname() if settings.host in WILDCARDS else settings.host
    base = settings.public_base_url or url_of(host, settings.port)
    return f"{base.rstrip('/')}/webhooks/{gateway}"


def _open_gateways(settings: Settings) -> list[tuple[str, str]]:
    rows = []
    for name in open_gateways(settings):
        rows.append((f"Paste into {name.capitalize()}", webhook_url(settings, name)))
        if not settings.webhook_allow_unsigned:
            rows.append(("", GATEWAYS[name].auth_hint))
        rows.append(("", replies_text(settings, name)))
    return rows


def _hints(settings: Settings) -> list[str]:
    hints = []
    if settings.generic_token is not None:
        hints.append(f"Try it:  {_example(settings)}")
    if not open_gateways(settings):
        hints.append("No gateway is open, so nothing can arrive: set EVOLUTION_TOKEN or GENERIC_TOKEN and start again.")
    if settings.webhook_allow_unsigned:
        hints.append("WEBHOOK_ALLOW_UNSIGNED=true: anyone who reaches this port can post messages.")
    if settings.host in WILDCARDS and settings.public_base_url is None:
        hints.append(f"`{socket.gethostname()}` is this machine: write the name by which the gateway reaches it.")
    if settings.host.startswith("127.") or settings.host == "localhost":
        hints.append("Only this machine can reach it. For a gateway elsewhere or in a container: --host 0.0.0.0")
    return hints


def _example(settings: Settings) -> str:
    url = f"{url_of(own_address(settings.host), settings.port)}/webhooks/generic"
    return f"""curl -H "Authorization: Bearer $GENERIC_TOKEN" -d '{{"conversation": "ana", "text": "oi"}}' {url}"""

"""The routes as `debouncer check` shows them: the rules in force, where each comes from, and where replies go."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from buffer.transport.server_checks import CheckResult
from cli.banner import open_gateways, replies_text
from cli.terminal import Colours, columns
from cli.values import value_text
from config.reply_credentials import REPLY_CREDENTIALS
from config.route_keys import ROUTE_KEYS, channel_keys
from config.routes import Route, Routes
from config.settings import SettingsError
from config.spelling import nearest
from gateways.targets import has_some_credentials, why_not_sent

ALL_ELSE = "(all else as in Settings)"


def routes_lines(routes: Routes, colours: Colours) -> list[str]:
    """Return the lines about all routes: what the file changes in each of them. None without a routes file."""
    if routes.path is None:
        return []
    lines = ["", colours("Routes", "bold") + f" of {routes.path}"]
    for route in routes.all():
        lines += [f"  {_title(route)}", *columns(_changed_rows(route) or [(ALL_ELSE,)], indent="    ")]
    return lines


def route_lines(routes: Routes, name: str, colours: Colours) -> list[str]:
    """Return the lines about one route, `gateway/channel`. Raises SettingsError for a gateway that does not exist."""
    gateway, _, channel = name.partition("/")
    if gateway not in REPLY_CREDENTIALS or not channel:
        meant = nearest(gateway, REPLY_CREDENTIALS)
        hint = f"did you mean {meant}/{channel or 'CHANNEL'}?" if meant else f"known: {', '.join(REPLY_CREDENTIALS)}"
        raise SettingsError(f"{name!r:.60} is no route; write gateway/channel, e.g. evolution/loja; {hint}")
    route = routes.of(gateway, channel)
    table = "" if route.name != "default" else " (it has no table of its own)"
    title = colours(f"{gateway}/{channel}", "bold") + f": route {_title(route)}{table}"
    replies = f"replies: {replies_text(route.settings, gateway)}"
    return [title, *columns(_all_rows(route, routes, gateway)), "", replies]


def reply_results(routes: Routes) -> list[CheckResult]:
    """Return for each open gateway, and for each of its routes, whether its answers are sent or what is missing."""
    return [_result(route, gateway, name) for route, gateway, name in _ways_out(routes)]


def unsent_replies(routes: Routes) -> list[str]:
    """Return a sentence for each open gateway, and for each of its routes, whose answers are not sent."""
    return [
        f"{name}: {why}"
        for route, gateway, name in _ways_out(routes)
        if (why := why_not_sent(route.settings, gateway)) is not None
    ]


def _ways_out(routes: Routes) -> Iterator[tuple[Route, str, str]]:
    """Yield the default route of each open gateway, then its routes whose replies go elsewhere."""
    for gateway in open_gateways(routes.base):
        yield routes.default, gateway, gateway
        for (one, channel), route in routes.channels.items():
            if one == gateway and route.enabled and _differs(route, routes.default, gateway):
                yield route, gateway, f"{gateway}/{channel}"


def _differs(route: Route, default: Route, gateway: str) -> bool:
    return replies_text(route.settings, gateway) != replies_text(default.settings, gateway)


def _result(route: Route, gateway: str, name: str) -> CheckResult:
    is_half = why_not_sent(route.settings, gateway) is not None and has_some_credentials(route.settings, gateway)
    return CheckResult("warning" if is_half else "ok", "replies", f"{name}: {replies_text(route.settings, gateway)}")


def _title(route: Route) -> str:
    return route.name if route.enabled else f"{route.name}: off, messages are acknowledged and dropped"


def _changed_rows(route: Route) -> list[tuple[str, str, str]]:
    gateway = route.name.partition("/")[0]
    keys = channel_keys(gateway) if gateway in REPLY_CREDENTIALS else ROUTE_KEYS
    return [
        _row(route, key, setting, route.sources[setting]) for key, setting in keys.items() if setting in route.sources
    ]


def _all_rows(route: Route, routes: Routes, gateway: str) -> Sequence[tuple[str, str, str]]:
    return [
        _row(route, key, setting, _source(route, routes, setting)) for key, setting in channel_keys(gateway).items()
    ]


def _row(route: Route, key: str, setting: str, source: str) -> tuple[str, str, str]:
    return (key, value_text(setting, getattr(route.settings, setting)), source)


def _source(route: Route, routes: Routes, setting: str) -> str:
    """Return the table, the variable, or that it is the default."""
    if setting in route.sources:
        return route.sources[setting]
    return setting.upper() if setting in routes.base.model_fields_set else "default"

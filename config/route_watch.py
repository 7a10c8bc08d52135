"""Reloads the routes when their file changes, or at SIGHUP. A file that cannot be used changes nothing."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from pathlib import Path

from config.logs import get_logger
from config.routes import Route, Routes
from config.settings import SettingsError

CHECK_EVERY_S = 1.0
"""Seconds between two looks at the files. A change counts when two looks have seen it: a file may be half written."""

Stamp = tuple[int, int, int]
"""What tells that a file is another one: its inode, its size and the time of its last change in ns. Zeros: no file."""

log = get_logger()


class RouteWatch:
    """Watches the routes file and the files with secrets that it names. Calls `changed` after each reload."""

    def __init__(self, routes: Routes, changed: Callable[[], None] = lambda: None) -> None:
        self._routes = routes
        self._changed = changed
        self._stamps = self._seen = self._look()

    def install_signal(self) -> None:
        """Reload at SIGHUP from now on. Without a routes file SIGHUP keeps its meaning. Needs a running event loop."""
        if self._routes.path is not None:
            asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self.reload)

    async def run(self) -> None:
        """Watch until cancelled. Return at once if there is no routes file."""
        while self._routes.path is not None:
            await asyncio.sleep(CHECK_EVERY_S)
            self.check()

    def check(self) -> None:
        """Reload if the files have changed and have stayed as they are since the last check."""
        before, self._seen = self._seen, self._look()
        if self._seen != self._stamps and self._seen == before:
            self.reload()

    def reload(self) -> None:
        """Put the file in force. If something is wrong with it, log that once, and keep the old routes."""
        looked, before = self._look(), _by_name(self._routes)
        try:
            self._routes.reload()
        except SettingsError as error:
            log.error("the routes file cannot be used; the routes stay as they are", problems=str(error).splitlines())
            return
        finally:
            # a change after the first look was perhaps not read yet
            self._stamps = self._seen = {path: looked.get(path, stamp) for path, stamp in self._look().items()}
        log.info("routes reloaded", routes=len(self._routes.channels), changed=_differences(before, self._routes))
        self._changed()

    def _look(self) -> dict[Path, Stamp]:
        return {path: _stamp(path) for path in self._routes.files}


def _stamp(path: Path) -> Stamp:
    try:
        found = path.stat()
    except OSError:
        return (0, 0, 0)
    return (found.st_ino, found.st_size, found.st_mtime_ns)


def _by_name(routes: Routes) -> dict[str, Route]:
    return {route.name: route for route in routes.all()}


def _differences(before: dict[str, Route], routes: Routes) -> list[str]:
    """Return the names of the routes that are new, gone or other than before."""
    after = _by_name(routes)
    names = dict.fromkeys([*before, *after])
    return [name for name in names if _state(before.get(name)) != _state(after.get(name))]


def _state(route: Route | None) -> object:
    return None if route is None else (route.settings, route.enabled)

"""Routes: the settings that hold for one of our numbers, from the environment and the file at ROUTES_FILE."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError

from config.reply_credentials import REPLY_CREDENTIALS
from config.route_file import DEFAULT, Channel, RouteFile, RouteSection, read_route_file
from config.settings import Settings, SettingsError
from config.value_errors import sentence


@dataclass(frozen=True, slots=True, eq=False)
class Route:
    """The settings of one channel. `name` is `gateway/channel`, or `default` for all channels without a table.

    `enabled`: False if what the channel brings is acknowledged and dropped. `sources` names the table that each
    setting comes from; a setting without an entry comes from the environment, or has its default.
    """

    name: str
    settings: Settings
    enabled: bool = True
    sources: Mapping[str, str] = field(default_factory=dict)


class RouteTable(NamedTuple):
    """All routes of a file."""

    default: Route
    channels: Mapping[Channel, Route]


class Routes:
    """The routes that are in force. `version` changes with each reload.

    `only` is the one route of a process without a routes file, else None. `files` are the files that the routes are
    made of, and `names` the variables that the file refers to, both also of a file that cannot be used.
    """

    def __init__(self, base: Settings, env_file: str | None = ".env") -> None:
        self.base = base
        self.path = Path(base.routes_file) if base.routes_file is not None else None
        self.version = 0
        self.files: frozenset[Path] = frozenset()
        self.names: frozenset[str] = frozenset()
        self._env_file = env_file
        self._put(self._read())

    def of(self, gateway: str, channel: str) -> Route:
        """Return the route of a channel."""
        return self._channels.get((gateway, channel), self.default)

    def all(self) -> list[Route]:
        """Return the default route, then those that have a table, in the order of the file."""
        return [self.default, *self._channels.values()]

    @property
    def channels(self) -> Mapping[Channel, Route]:
        """The routes that have a table."""
        return self._channels

    def reload(self) -> None:
        """Put the file in force as it is now. Raises SettingsError, and the old routes stay, if something is wrong."""
        self._put(self._read())
        self.version += 1

    def _read(self) -> RouteTable:
        if self.path is None:
            return RouteTable(Route(DEFAULT, self.base), {})
        self.files = self.files or frozenset({self.path})
        found = read_route_file(self.path, self._env_file)
        self.files = frozenset({self.path, *found.references.files})
        self.names = frozenset(found.references.names)
        return _table(found, self.base)

    def _put(self, table: RouteTable) -> None:
        self.default = table.default
        self._channels = table.channels
        self.only = table.default if self.path is None else None


def load_routes(settings: Settings, env_file: str | None = ".env") -> Routes:
    """Return the routes of the settings. Raises SettingsError with one sentence for each mistake in ROUTES_FILE."""
    return Routes(settings, env_file)


def _table(found: RouteFile, base: Settings) -> RouteTable:
    default = _route(found, found.default, Route(DEFAULT, base), DEFAULT)
    channels = {
        (gateway, channel): _route(found, section, default, f"{gateway}/{channel}")
        for (gateway, channel), section in found.channels.items()
    }
    for (gateway, _), section in found.channels.items():
        _check_credentials(found, section, gateway, base)
    if found.problems:
        raise SettingsError("\n".join(found.problems))
    return RouteTable(default, channels)


def _route(found: RouteFile, section: RouteSection, parent: Route, name: str) -> Route:
    """Return the route of a table, which inherits from its parent. Note what cannot be, and then return the parent."""
    sources = {**parent.sources, **dict.fromkeys(section.values, section.title)}
    try:
        settings = _changed(parent.settings, section.values) if section.values else parent.settings
    except ValidationError as error:
        for item in error.errors():
            for line in sentence(item, Settings.model_fields).splitlines():
                found.refuse(section.title, _with_keys(line, section, sources))
        return parent
    return Route(name, settings, parent.enabled if section.enabled is None else section.enabled, sources)


def _changed(settings: Settings, values: Mapping[str, Any]) -> Settings:
    """Return settings with other values, checked like those of the environment. Raises ValidationError."""
    present = {name: getattr(settings, name) for name in Settings.model_fields}
    return Settings(_env_file=None, **{**present, **values})


def _with_keys(text: str, section: RouteSection, sources: Mapping[str, str]) -> str:
    """Replace the settings that a sentence names by the keys under which they stand in the file."""
    for key, setting in section.keys.items():
        if setting in sources:
            text = re.sub(rf"\b{setting.upper()}\b", key, text)
    return text


def _check_credentials(found: RouteFile, section: RouteSection, gateway: str, base: Settings) -> None:
    """Refuse a table that has some of the credentials for replies, while others are nowhere set."""
    names = REPLY_CREDENTIALS[gateway]
    given = [key for key, setting in section.keys.items() if setting in section.values and setting in names.needed()]
    for key, setting in section.keys.items():
        is_missing = setting in names.needed() and setting not in section.values and not getattr(base, setting)
        if given and is_missing:
            found.refuse(section.title, f"{given[0]} is set, but neither {key} nor {setting.upper()} is")

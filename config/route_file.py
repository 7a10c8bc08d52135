"""Reads the routes file: its tables with their keys and values, and a sentence for everything in it that is wrong."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from config.reply_credentials import REPLY_CREDENTIALS
from config.route_keys import ENABLED, OTHER_KEYS, ROUTE_KEYS, channel_keys, key_place
from config.route_values import enabled_of, value_of
from config.secret_references import SecretReferences
from config.settings import Settings, SettingsError
from config.spelling import nearest

DEFAULT = "default"

Channel = tuple[str, str]
"""The names of a gateway and of one of its channels."""


@dataclass
class RouteSection:
    """One table of the file. `keys` are the keys that may stand in it, `values` those that do, by their settings."""

    title: str
    keys: Mapping[str, str]
    values: dict[str, Any] = field(default_factory=dict)
    enabled: bool | None = None


@dataclass
class RouteFile:
    """The tables of a routes file, and what is wrong with it. `references` has what it refers to."""

    path: Path
    references: SecretReferences
    default: RouteSection = field(default_factory=lambda: RouteSection(f"[{DEFAULT}]", ROUTE_KEYS))
    channels: dict[Channel, RouteSection] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def refuse(self, title: str, problem: str) -> None:
        """Note a problem with the file and the table in which it is."""
        self.problems.append(f"{self.path}: {title} {problem}")


def read_route_file(path: Path, env_file: str | None) -> RouteFile:
    """Read the file. Its `problems` have a sentence for each mistake. Raises SettingsError if it is no TOML."""
    found = RouteFile(path, SecretReferences(env_file))
    for name, table in _document(path).items():
        if name == DEFAULT and isinstance(table, dict):
            _fill(found, found.default, table)
        elif name in REPLY_CREDENTIALS and isinstance(table, dict):
            _read_gateway(found, name, table)
        else:
            found.refuse(f"[{name}]" if isinstance(table, dict) else name, _unknown_table(name))
    return found


def _document(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_bytes().decode())
    except OSError as error:
        raise SettingsError(f"ROUTES_FILE={path} cannot be read: {error.strerror}") from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"{path}: this is not TOML: {error}") from None


def _unknown_table(name: str) -> str:
    places = [DEFAULT, *REPLY_CREDENTIALS]
    if name == DEFAULT or name in REPLY_CREDENTIALS:
        return f"must be a table: [{DEFAULT}], or [gateway.channel]"
    if name in ROUTE_KEYS or name in OTHER_KEYS:
        return f"stands in no table: write it below [{DEFAULT}] or [gateway.channel]"
    return f"is no gateway; {_hint(name, places)}"


def _read_gateway(found: RouteFile, gateway: str, tables: dict[str, Any]) -> None:
    """Read the tables of a gateway's channels."""
    keys = channel_keys(gateway)
    for channel, table in tables.items():
        title = f"[{gateway}.{_quoted(channel)}]"
        if not isinstance(table, dict):
            found.refuse(f"[{gateway}]", f"{channel}: a key belongs into the table of a channel, [{gateway}.channel]")
            continue
        section = found.channels[(gateway, channel)] = RouteSection(title, keys)
        _fill(found, section, table)


def _fill(found: RouteFile, section: RouteSection, table: dict[str, Any]) -> None:
    """Read the keys of one table into its section."""
    for key, written in table.items():
        try:
            _set(found, section, key, written)
        except ValueError as error:
            found.refuse(section.title, f"{key}: {error}")


def _set(found: RouteFile, section: RouteSection, key: str, written: Any) -> None:
    """Set one key of a section. Raises ValueError with what is wrong with the key or its value."""
    if key == ENABLED:
        section.enabled = enabled_of(written)
    elif key in section.keys:
        setting = section.keys[key]
        section.values[setting] = value_of(key, written, Settings.model_fields[setting], found.references)
    else:
        raise ValueError(_unknown_key(section, key, written))


def _unknown_key(section: RouteSection, key: str, written: Any) -> str:
    if isinstance(written, dict):
        gateway, _, channel = section.title[1:-1].replace('"', "").partition(".")
        quoted = f'; if the channel is called so, write [{gateway}."{channel}.{key}"]' if channel else ""
        return f"is a table in a table{quoted}"
    if place := key_place(key):
        return place
    by_setting = {setting: one for one, setting in section.keys.items()}
    if meant := by_setting.get(key.lower()):
        return f"is the setting of the environment; here it is {meant}"
    return f"is no key of a route; {_hint(key, [*section.keys, *OTHER_KEYS])}"


def _hint(name: str, known: list[str]) -> str:
    meant = nearest(name, known)
    return f"did you mean {meant}?" if meant else f"known: {', '.join(known)}"


def _quoted(channel: str) -> str:
    """Return a channel's name as TOML wants it in the head of a table."""
    bare = channel.replace("-", "").replace("_", "")
    return channel if bare.isascii() and bare.isalnum() else f'"{channel}"'

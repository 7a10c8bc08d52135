"""The settings of a command: its flags override the environment."""

from __future__ import annotations

import argparse
import os

from config.routes import Routes
from config.settings import Settings, SettingsError, load_settings

VARIABLES = {"host": "HOST", "port": "PORT", "workers": "UVICORN_WORKERS", "data_dir": "DATA_DIR"}
"""The variable that each flag overrides."""

NO_AGENT = (
    "AGENT_URL is not set: it is the address that each burst is sent to. For example:\n"
    "  AGENT_URL=http://127.0.0.1:9000/ debouncer {command}\n"
    "(`debouncer sample-agent` runs an agent at that address, which prints each burst)"
)


NO_ROUTE_AGENT = (
    "{file}: the route {route} has no agent, because AGENT_URL is not set: write agent_url for it, or enabled = false. "
    "(`default` is the route of all channels without a table)"
)


def load_settings_with_flags(args: argparse.Namespace) -> Settings:
    """Write the flags to the environment, where child processes find them too, and load the settings.

    Raises SettingsError.
    """
    for flag, variable in VARIABLES.items():
        value = getattr(args, flag, None)
        if value is not None:
            os.environ[variable] = str(value)
    try:
        return load_settings()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f".env: this file cannot be read ({error}); it must be readable UTF-8 text") from None


def require_agent(routes: Routes, command: str) -> None:
    """Raise SettingsError, with an example, if a route that is enabled has no agent."""
    without = [route.name for route in routes.all() if route.enabled and route.settings.agent_url is None]
    if not without:
        return
    if routes.path is None:
        raise SettingsError(NO_AGENT.format(command=command))
    raise SettingsError(NO_ROUTE_AGENT.format(file=routes.path, route=without[0]))

"""The settings of a command: its flags override the environment."""

from __future__ import annotations

import argparse
import os

from config.settings import Settings, SettingsError, load_settings

VARIABLES = {"host": "HOST", "port": "PORT", "workers": "UVICORN_WORKERS", "data_dir": "DATA_DIR"}
"""The variable that each flag overrides."""

NO_AGENT = (
    "AGENT_URL is not set: it is the address that each burst is sent to. For example:\n"
    "  AGENT_URL=http://127.0.0.1:9000/ debouncer {command}\n"
    "(`debouncer sample-agent` runs an agent at that address, which prints each burst)"
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


def require_agent(settings: Settings, command: str) -> None:
    """Raise SettingsError, with an example, if AGENT_URL is not set."""
    if settings.agent_url is None:
        raise SettingsError(NO_AGENT.format(command=command))

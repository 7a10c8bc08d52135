"""The application for `uvicorn webhook.main:app`. Its settings come from the environment."""

from __future__ import annotations

import sys

from config.logs import configure_logs
from config.routes import load_routes
from config.settings import SettingsError, load_settings
from config.spelling_log import warn_of_spelling
from config.tracing import open_spans
from webhook.app import create_app

try:
    settings = load_settings()
    configure_logs(settings)
    warn_of_spelling(load_routes(settings))
    app = create_app(settings, open_spans())
except SettingsError as error:
    print(error, file=sys.stderr)
    sys.exit(2)

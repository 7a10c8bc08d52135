"""Names of the environment and of `.env` that look like a misspelt setting, with the setting that was meant."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from dotenv import dotenv_values

OWN_PREFIXES = (
    *("MESSAGE_BUF", "AGENT_", "WEBHOOK_", "DEBOUNCER_", "FLUSH_", "RETRY_", "DURABIL"),
    *("SEND_REPL", "REPLY_", "TAKEOVER_", "ROUTES_"),
)
"""A name that begins with one of these and is nearly a setting is refused."""

MEANT = {
    "EVOLUTION_KEY": "EVOLUTION_API_KEY",
    "EVOLUTION_BASE_URL": "EVOLUTION_URL",
    "EVOLUTION_API_URL": "EVOLUTION_URL",
    "EVOLUTION_SECRET": "EVOLUTION_TOKEN",
    "META_TOKEN": "META_ACCESS_TOKEN",
    "META_SECRET": "META_APP_SECRET",
    "TWILIO_TOKEN": "TWILIO_AUTH_TOKEN",
    "TWILIO_SID": "TWILIO_ACCOUNT_SID",
    "TELEGRAM_TOKEN": "TELEGRAM_BOT_TOKEN",
    "BOT_TOKEN": "TELEGRAM_BOT_TOKEN",
    "WAHA_TOKEN": "WAHA_HMAC_KEY",
    "N8N_URL": "AGENT_URL",
    "N8N_WEBHOOK_URL": "AGENT_URL",
    "REDIS_HOST": "REDIS_URL",
    "REDIS_URI": "REDIS_URL",
    "BUFFER_TIMEOUT": "MESSAGE_BUFFER_TIMEOUT",
    "MESSAGE_BUFFER_WINDOW": "MESSAGE_BUFFER_TIMEOUT",
    "DEBOUNCE_TIMEOUT": "MESSAGE_BUFFER_TIMEOUT",
    "MESSAGE_BUFFER_TYPING_TIMEOUT": "TYPING_HOLD",
    "WORKERS": "UVICORN_WORKERS",
    "UVICORN_PORT": "PORT",
    "UVICORN_HOST": "HOST",
}
"""Names that people write for a setting, although their spelling is not near, or nearer to another one."""

COMMON = frozenset({"META_TOKEN", "META_SECRET", "TWILIO_TOKEN", "TWILIO_SID", "TELEGRAM_TOKEN", "BOT_TOKEN"}) | {
    "N8N_URL",
    "N8N_WEBHOOK_URL",
    "REDIS_HOST",
    "REDIS_URI",
    "BUFFER_TIMEOUT",
    "WORKERS",
    "UVICORN_PORT",
    "UVICORN_HOST",
}
"""Names of MEANT that other programs read too: in the environment they are not told, in `.env` they are."""

COMPOSE_NAMES = frozenset({"PUBLISH_ADDRESS", "PUBLISH_PORT", "VALKEY_MAXMEMORY", "EVOLUTION_NETWORK", "N8N_NETWORK"})
"""Names that docker-compose.yml and deploy/compose.beside.yml read from `.env`."""

OTHER_PREFIXES = ("COMPOSE_", "OTEL_")
"""How the names of others begin that may stand in `.env`: Docker's, and those of OpenTelemetry (config/tracing.py)."""

SHORTEST = 8
"""Letters of a name at least, for it to be near a setting. Shorter ones are near too many other words."""

LONG = 12
"""A name with this number of letters may have two mistakes, a shorter one may have one."""

NEAR = 0.85
"""Smallest ratio of difflib at which a name is near a setting, also with more mistakes."""


def refused_names(known: Iterable[str], env_file: str | None, environ: Mapping[str, str]) -> list[str]:
    """Return a sentence for each name that is certainly a misspelt setting, in the environment or in the file."""
    names = set(known)
    places = {**_file_names(env_file), **dict.fromkeys(environ, "")}
    return [
        f"{name}{place} is not a setting; did you mean {MEANT.get(name.upper(), near)}?"
        for name, place in places.items()
        if name.upper().startswith(OWN_PREFIXES) and (near := _near(name, names))
    ]


def told_names(known: Iterable[str], env_file: str | None, environ: Mapping[str, str]) -> Iterator[str]:
    """Yield a sentence for each other name that may be a misspelt setting, and one for the unknown rest of the file."""
    names = set(known)
    file_names = _file_names(env_file)
    unknown = []
    for name, place in file_names.items():
        meant = MEANT.get(name.upper()) or _near(name, names)
        if name.upper() in names or (name.upper().startswith(OWN_PREFIXES) and _near(name, names)):
            continue
        if meant:
            yield f"{name}{place} is not a setting and is ignored; did you mean {meant}?"
        elif name.upper() not in COMPOSE_NAMES and not name.upper().startswith(OTHER_PREFIXES):
            unknown.append(name)
    if unknown:
        yield f"not settings, so ignored in {env_file}: {', '.join(sorted(unknown))}"
    for name in environ:
        if name in file_names or name.upper() in COMMON or name.upper().startswith(OWN_PREFIXES):
            continue
        if meant := MEANT.get(name.upper()) or _near(name, names):
            yield f"{name} is not a setting and is ignored; did you mean {meant}?"


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the one of the known names that a name is nearly, or None. Case, dashes and underscores do not count."""
    letters = {_letters(one).lower(): one for one in known}
    written = _letters(name).lower()
    if written in letters:
        return letters[written]
    best = min(letters, key=lambda one: (_distance(written, one), one), default=None)
    if best is not None and _distance(written, best) <= (2 if len(written) >= SHORTEST else 1):
        return letters[best]
    return next((letters[one] for one in difflib.get_close_matches(written, letters, n=1, cutoff=NEAR)), None)


def _file_names(env_file: str | None) -> dict[str, str]:
    """Return the names in the file, each with the words that name the place."""
    if env_file is None:
        return {}
    return dict.fromkeys(dotenv_values(env_file, encoding="utf-8"), f" in {env_file}")


def _near(name: str, known: set[str]) -> str | None:
    """Return the setting that a name is nearly, or None. A setting itself is near nothing."""
    upper = name.upper()
    if upper in known or len(_letters(upper)) < SHORTEST:
        return None
    letters = _letters(upper)
    mistakes = 2 if len(letters) >= LONG else 1
    alike = [setting for setting in known if _fewest_mistakes(letters, _letters(setting)) <= mistakes]
    distances = [(_distance(letters, _letters(setting)), setting) for setting in alike]
    if distances and min(distances)[0] <= mistakes:
        return min(distances)[1]
    if not upper.startswith(OWN_PREFIXES):
        return None
    return next(iter(difflib.get_close_matches(upper, known, n=1, cutoff=NEAR)), None)


def _letters(name: str) -> str:
    return name.replace("_", "").replace("-", "")


def _fewest_mistakes(one: str, other: str) -> int:
    """Return a number that `_distance` cannot be below, but soon: every process compares each name when it starts."""
    if abs(len(one) - len(other)) > 2:
        return abs(len(one) - len(other))
    here, there = Counter(one), Counter(other)
    return max((here - there).total(), (there - here).total())


def _distance(one: str, other: str) -> int:
    """Return how many letters must be changed, added, dropped or swapped with their neighbour."""
    rows = [list(range(len(other) + 1))]
    for i, left in enumerate(one, start=1):
        row = [i]
        for j, right in enumerate(other, start=1):
            row.append(min(rows[-1][j] + 1, row[-1] + 1, rows[-1][j - 1] + (left != right)))
            if i > 1 and j > 1 and left == other[j - 2] and right == one[i - 2]:
                row[j] = min(row[j], rows[-2][j - 2] + 1)
        rows.append(row)
    return rows[-1][-1]

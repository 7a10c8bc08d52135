"""References to secrets: `env:NAME` and `file:/path` in the routes file stand for a value that is somewhere else."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

from dotenv import dotenv_values

SCHEMES = ("env:", "file:")
FORMS = "env:NAME or file:/path"
FILE_MAX = 65_536
"""Bytes of a file with a secret. A larger one holds something else."""


def is_reference(value: str) -> bool:
    """Return True for `env:…` and `file:…`."""
    return value.startswith(SCHEMES)


class SecretReferences:
    """Resolves references with the environment, the `.env` file and the files that they name."""

    def __init__(self, env_file: str | None, environ: Mapping[str, str] = os.environ) -> None:
        self._env_file = env_file
        self._environ = environ
        self.names: set[str] = set()
        self.files: set[Path] = set()

    @cached_property
    def _env_file_values(self) -> Mapping[str, str | None]:
        return dotenv_values(self._env_file, encoding="utf-8") if self._env_file else {}

    def resolve(self, reference: str) -> str:
        """Return the value that a reference stands for. Raises ValueError, without the value, if there is none."""
        scheme, _, place = reference.partition(":")
        value = self._of_environment(place) if scheme == "env" else self._of_file(place)
        if not value.strip():
            raise ValueError(f"{reference} is empty")
        return value.strip()

    def _of_environment(self, name: str) -> str:
        self.names.add(name)
        value = self._environ.get(name, self._env_file_values.get(name))
        if value is None:
            places = f"neither the environment nor {self._env_file} has" if self._env_file else "the environment has no"
            raise ValueError(f"env:{name}: {places} {name or 'variable without a name'}")
        return value

    def _of_file(self, place: str) -> str:
        path = Path(place)
        if not path.is_absolute():
            raise ValueError(f"file:{place}: the path must be absolute")
        self.files.add(path)
        try:
            with path.open("rb") as file:
                content = file.read(FILE_MAX + 1)
            if len(content) > FILE_MAX:
                raise ValueError(f"file:{place} has more than {FILE_MAX} bytes")
            return content.decode()
        except OSError as error:
            raise ValueError(f"file:{place} cannot be read: {error.strerror}") from None
        except UnicodeDecodeError:
            raise ValueError(f"file:{place} is not UTF-8 text") from None

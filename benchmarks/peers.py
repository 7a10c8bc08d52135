"""Run Fastify, BullMQ and undici, if node and npm are installed. peers/package.json has their versions."""

from __future__ import annotations

import functools
import json
import shutil
import subprocess

from benchmarks.figures import Meaningless
from benchmarks.machine import ROOT

FOLDER = ROOT / "benchmarks" / "peers"
INSTALL = ["npm", "install", "--no-package-lock", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"]
INSTALL_TIMEOUT_S = 120


def pinned_versions() -> dict[str, str]:
    """Return the version of each peer package."""
    packages: dict[str, str] = json.loads((FOLDER / "package.json").read_text())["dependencies"]
    return packages


def node(script: str, *arguments: object) -> list[str]:
    """Return the command for a script of peers/. Raises Meaningless if it cannot run here."""
    _install()
    return ["node", str(FOLDER / script), *map(str, arguments)]


@functools.cache
def _install() -> None:
    missing = [program for program in ("node", "npm") if shutil.which(program) is None]
    if missing:
        raise Meaningless(f"{' and '.join(missing)} is not installed, so BullMQ and Fastify could not run")
    if _installed() == pinned_versions():
        return
    try:
        subprocess.run(INSTALL, cwd=FOLDER, check=True, timeout=INSTALL_TIMEOUT_S, capture_output=True)
    except (subprocess.SubprocessError, OSError) as error:
        raise Meaningless(f"BullMQ and Fastify could not be installed: {error}") from error


def _installed() -> dict[str, str]:
    versions = {}
    for name in pinned_versions():
        file = FOLDER / "node_modules" / name / "package.json"
        if file.exists():
            versions[name] = json.loads(file.read_text())["version"]
    return versions

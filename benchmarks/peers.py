"""Fastify, BullMQ and undici, run for real where node and npm are there; the versions stand in peers/package.json."""

from __future__ import annotations

import functools
import json
import shutil
import subprocess

from benchmarks.figures import Meaningless
from benchmarks.machine import ROOT

FOLDER = ROOT / "benchmarks" / "peers"
INSTALL = ["npm", "install", "--no-package-lock", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"]
INSTALL_WITHIN_S = 120


def wanted() -> dict[str, str]:
    """Each peer package and its version."""
    packages: dict[str, str] = json.loads((FOLDER / "package.json").read_text())["dependencies"]
    return packages


def node(script: str, *arguments: object) -> list[str]:
    """The command for a script of peers/; raises Meaningless where it cannot run."""
    _install()
    return ["node", str(FOLDER / script), *map(str, arguments)]


@functools.cache
def _install() -> None:
    missing = [program for program in ("node", "npm") if shutil.which(program) is None]
    if missing:
        raise Meaningless(f"{' and '.join(missing)} is not installed, so BullMQ and Fastify could not run")
    if _installed() == wanted():
        return
    try:
        subprocess.run(INSTALL, cwd=FOLDER, check=True, timeout=INSTALL_WITHIN_S, capture_output=True)
    except (subprocess.SubprocessError, OSError) as error:
        raise Meaningless(f"BullMQ and Fastify could not be installed: {error}") from error


def _installed() -> dict[str, str]:
    found = {}
    for name in wanted():
        file = FOLDER / "node_modules" / name / "package.json"
        if file.exists():
            found[name] = json.loads(file.read_text())["version"]
    return found

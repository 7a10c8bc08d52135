"""What runs us beside Evolution and n8n: the compose file with all three, and the n8n workflows."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from agents import n8n
from agents.base import AgentTarget, Ask
from buffer.models import Conversation
from cli.main import build_parser
from cli.trial_call import trial_batch
from config.settings import Settings, load_settings
from gateways import evolution
from webhook.admin.gate import is_answer

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy" / "evolution-n8n"
COMPOSE: dict[str, Any] = yaml.safe_load((FOLDER / "docker-compose.yml").read_text(encoding="utf-8"))
SERVICES: dict[str, Any] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if service["image"] == "debouncer"}
EXAMPLE = (FOLDER / ".env.example").read_text(encoding="utf-8")
SETTINGS = {name.upper() for name in Settings.model_fields}
WORKFLOWS = {path.name: json.loads(path.read_text(encoding="utf-8")) for path in (ROOT / "deploy/n8n").glob("*.json")}

NODES = {
    "n8n-nodes-base.webhook": (1, 2.1),
    "n8n-nodes-base.respondToWebhook": (1, 1.5),
    "n8n-nodes-base.httpRequest": (1, 4.3),
    "n8n-nodes-base.stickyNote": (1, 1),
    "@n8n/n8n-nodes-langchain.agent": (1, 3),
    "@n8n/n8n-nodes-langchain.lmChatOpenAi": (1, 1.4),
    "@n8n/n8n-nodes-langchain.memoryBufferWindow": (1, 1.4),
    "@n8n/n8n-nodes-langchain.memoryRedisChat": (1, 1.6),
    "n8n-nodes-base.redis": (1, 1),
    "n8n-nodes-base.if": (1, 2.3),
}
"""The nodes of n8n that a workflow may use, with the versions that they have."""

PORTS = {"ai_languageModel": {"lmChatOpenAi"}, "ai_memory": {"memoryBufferWindow", "memoryRedisChat"}}
"""The connections of an AI Agent, and the nodes that each may come from."""


def variables(text: str) -> set[str]:
    """Return the names that Compose fills in."""
    return set(re.findall(r"\$\{([A-Z0-9_]+)", text))


def expressions(value: Any) -> Iterator[str]:
    """Yield the expressions of a workflow: what stands between {{ and }} in a parameter that begins with `=`."""
    if isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from expressions(inner)
    elif isinstance(value, str) and value.startswith("="):
        yield from re.findall(r"{{(.+?)}}", value)


def body_of_a_call() -> dict[str, Any]:
    """Return the body that a workflow gets."""
    ask = Ask(
        AgentTarget("http://n8n/webhook/bot"), trial_batch(Conversation("evolution", "loja", "55119"), load_settings())
    )
    body: dict[str, Any] = json.loads(n8n.request(ask).body)
    return body


def test_compose_file_is_valid():
    """The compose file holds to the compose specification's own schema."""
    schema = json.loads((ROOT / "tests/fixtures/compose-spec.json").read_text(encoding="utf-8"))
    assert [error.json_path for error in Draft202012Validator(schema).iter_errors(COMPOSE)] == []


def test_compose_sets_documented_settings():
    """Whatever our two services are given is a setting, and each setting has a value that is not refused."""
    assert OURS.keys() == {"debouncer", "worker"}
    for service in OURS.values():
        assert set(service["environment"]) <= SETTINGS
        assert service["environment"] == OURS["worker"]["environment"]


def test_compose_names_stand_in_the_example():
    """Each name that Compose reads from .env is in .env.example, and no other; a required one has no default there."""
    text = (FOLDER / "docker-compose.yml").read_text(encoding="utf-8")
    assert variables(text) == set(re.findall(r"^#?([A-Z0-9_]+)=", EXAMPLE, re.MULTILINE))
    required = set(re.findall(r"\$\{([A-Z0-9_]+):\?", text))
    assert required == set(re.findall(r"^([A-Z0-9_]+)=$", EXAMPLE, re.MULTILINE))


@pytest.mark.parametrize("name", OURS)
def test_compose_commands_exist(name: str):
    """Our commands and health checks are ones that the command line understands."""
    build_parser().parse_args(OURS[name]["command"])
    assert OURS[name]["healthcheck"]["test"][:2] == ["CMD", "debouncer"]
    build_parser().parse_args(OURS[name]["healthcheck"]["test"][2:])


def test_compose_addresses_name_services():
    """Each address inside the network names a service of the file, and the port on which it listens."""
    text = (FOLDER / "docker-compose.yml").read_text(encoding="utf-8")
    ports = {"evolution": "8080", "evolution-db": "5432", "n8n": "5678", "valkey": "6379"}
    found = re.findall(r"(?:@|://)([a-z0-9-]+):(\d+)", text)
    assert {host for host, _ in found} == ports.keys() | {"localhost"}
    assert [(host, port) for host, port in found if host != "localhost" and ports[host] != port] == []


def test_instance_of_the_guide_posts_to_us():
    """The command that makes the instance has our address in the network, the token, and events that we read."""
    guide = (ROOT / "docs/guides/evolution-n8n.md").read_text(encoding="utf-8")
    (body,) = re.findall(r"/instance/create .*? -d '({.*?}})'", guide, re.DOTALL)
    webhook = json.loads(body.replace("""'"$EVOLUTION_TOKEN"'""", "$EVOLUTION_TOKEN"))["webhook"]
    assert webhook["url"] == "http://debouncer:8000/webhooks/evolution"
    assert webhook["headers"] == {"Authorization": "Bearer $EVOLUTION_TOKEN"}
    assert {event.lower().replace("_", ".") for event in webhook["events"]} <= evolution.READERS.keys()
    assert guide.count(json.dumps(webhook["events"])) == 2


def test_only_this_machine_reaches_the_ports():
    """No port is open to the world."""
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert [port for port in ports if not port.startswith("127.0.0.1:")] == []
    assert len(ports) == 3


@pytest.mark.parametrize("name", WORKFLOWS)
def test_workflow_has_known_nodes(name: str):
    """Each node is one that n8n has, in a version that it has, with an id and a name of its own."""
    nodes = WORKFLOWS[name]["nodes"]
    for node in nodes:
        first, last = NODES[node["type"]]
        assert first <= node["typeVersion"] <= last
        assert node.keys() >= {"parameters", "id", "name", "type", "typeVersion", "position"}
    assert len({node["name"] for node in nodes}) == len({node["id"] for node in nodes}) == len(nodes)


@pytest.mark.parametrize("name", WORKFLOWS)
def test_workflow_connections_lead_to_nodes(name: str):
    """Each connection leads from a node to a node. All but the note are connected, the AI Agent to all it needs."""
    workflow = WORKFLOWS[name]
    types = {node["name"]: node["type"].rpartition(".")[2] for node in workflow["nodes"]}
    seen = set()
    for source, outputs in workflow["connections"].items():
        for port, branches in outputs.items():
            for target in [target for branch in branches for target in branch]:
                assert (target["type"], target["index"]) == (port, 0)
                assert port == "main" or (types[source] in PORTS[port] and types[target["node"]] == "agent")
                seen |= {source, target["node"], port}
    assert seen == {name for name, kind in types.items() if kind != "stickyNote"} | {"main", *PORTS}


@pytest.mark.parametrize("name", WORKFLOWS)
def test_workflow_reads_fields_that_are_there(name: str):
    """Each expression reads a field of our body, the answer of the AI Agent, or what a Redis node has looked up."""
    nodes = WORKFLOWS[name]["nodes"]
    said = {"output", *(node["parameters"]["propertyName"] for node in nodes if "propertyName" in node["parameters"])}
    readable = {f"$('Webhook').item.json.body.{field}" for field in body_of_a_call()}
    readable |= {f"{item}.{field}" for field in said for item in ("$json", "$('AI Agent').item.json")}
    found = [expression for node in nodes for expression in expressions(node["parameters"])]
    assert len(found) >= 3
    for expression in found:
        read = re.findall(r"\$(?:\('[^']+'\)|json|\w+)(?:\.\w+)*", expression)
        assert read
        assert [path for path in read if path not in readable] == []


@pytest.mark.parametrize("name", WORKFLOWS)
def test_workflow_has_no_secret(name: str):
    """A workflow names no credential: whoever imports it chooses their own."""
    assert [node["name"] for node in WORKFLOWS[name]["nodes"] if "credentials" in node] == []


def test_workflow_answers_what_we_understand():
    """What the first workflow responds with is an answer, and the second accepts at once and answers later."""
    first, later = (
        {node["name"]: node["parameters"] for node in WORKFLOWS[name]["nodes"]}
        for name in ("answer.json", "answer-later.json")
    )
    assert "{ reply: $json.output }" in first["Respond"]["responseBody"]
    assert first["Webhook"]["responseMode"] == later["Webhook"]["responseMode"] == "responseNode"
    assert later["Accept"]["options"] == {"responseCode": 202}
    path = later["Send the answer"]["url"].removeprefix("=http://debouncer:8000")
    assert re.sub(r"{{.*}}", "0-abc", path) == "/flushes/0-abc/answer"
    assert is_answer({"type": "http", "method": later["Send the answer"]["method"], "path": path})
    assert "{ reply: $json.output }" in later["Send the answer"]["jsonBody"]


def test_workflow_answers_a_repeated_call_from_memory():
    """The third workflow keeps the answer under the flush's id, and a call with an answer does not reach the agent."""
    workflow = WORKFLOWS["answer-once.json"]
    nodes = {node["name"]: node["parameters"] for node in workflow["nodes"]}
    assert nodes["Look up"]["key"] == nodes["Keep"]["key"]
    assert nodes["Look up"]["key"].endswith(".body.flush_id }}")
    yes, no = workflow["connections"]["Answered?"]["main"]
    assert ([target["node"] for target in yes], [target["node"] for target in no]) == (["Respond again"], ["AI Agent"])

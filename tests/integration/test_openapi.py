"""The OpenAPI description, compared with the service: schemathesis sends the requests that it describes, and others."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import jsonschema
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import CheckFunction
from schemathesis.config import GenerationConfig, ProjectConfig, ProjectsConfig, SchemathesisConfig
from schemathesis.specs.openapi import checks

from config.settings import Settings, load_settings
from gateways.registry import GATEWAYS
from tests.integration.deployment import Deployment
from tests.integration.processes import Webhook
from tests.servers import free_port
from tests.signing import OPEN, SECRET, sign
from tests.webhook_client import serving
from webhook.app import create_app

pytestmark = pytest.mark.server

EXAMPLES = settings(
    max_examples=12, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck)
)
CONFIG = SchemathesisConfig(
    projects=ProjectsConfig(default=ProjectConfig(generation=GenerationConfig(deterministic=True, max_examples=12)))
)
OF_BODIES: list[CheckFunction] = [checks.positive_data_acceptance, checks.negative_data_rejection]
"""Checks for a body with an exact schema, which only the generic gateway has."""

OF_CREDENTIALS: list[CheckFunction] = [checks.ignored_auth, checks.missing_required_header]
"""Checks that cannot compute signatures. `test_a_refusal_is_described` takes their place."""


ADMIN_TOKEN = "a-token-for-operators"


class Credentials(requests.auth.AuthBase):
    """Signs a complete request as its gateway does."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        path, body = request.path_url, request.body or b""
        name = path.split("/")[2].partition("?")[0]
        signed = sign(name, path, body.encode() if isinstance(body, str) else body)  # type: ignore[arg-type]
        request.url = f"{(request.url or '').removesuffix(path)}{signed.path}"
        request.headers.update(signed.headers)
        return request


DESCRIBED = create_app(load_settings(env_file=None, redis_url="redis://nowhere")).api.openapi()
schema = schemathesis.openapi.from_dict(DESCRIBED, config=CONFIG)


@pytest.fixture(scope="module")
def service(shared_deployment: Deployment) -> Iterator[Webhook]:
    """The service with every gateway open."""
    webhook = shared_deployment.webhook(1, ready=True, admin_token=ADMIN_TOKEN, **OPEN)
    yield webhook
    webhook.close()


@schema.include(path_regex="^/webhooks/").parametrize()
@EXAMPLES
def test_the_service_does_what_its_description_says(case: schemathesis.Case, service: Webhook) -> None:
    """A request with the right credentials gets a described reply, and never a 5xx."""
    unfit = OF_CREDENTIALS if "generic" in case.path else OF_CREDENTIALS + OF_BODIES
    answer = case.call_and_validate(f"http://127.0.0.1:{service.port}", auth=Credentials(), excluded_checks=unfit)
    assert answer.status_code != 401


@schema.exclude(path_regex="^/webhooks/").parametrize()
@EXAMPLES
def test_the_paths_for_people_do_what_their_description_says(case: schemathesis.Case, service: Webhook) -> None:
    """A request with the token gets a described reply, one without it a 401, and nobody a 5xx."""
    has_own_form = case.path.endswith("/retry") or "cursor" in (case.query or {})
    case.call_and_validate(
        f"http://127.0.0.1:{service.port}",
        headers={"Authorization": f"Bearer {ADMIN_TOKEN}"},
        excluded_checks=[checks.positive_data_acceptance] if has_own_form else [],
    )


def posted() -> list[str]:
    """Return every path to which a gateway posts."""
    paths = [path for path in DESCRIBED["paths"] if path.startswith("/webhooks/")]
    return [path.replace("{tail}", "a-channel") for path in paths]


def answer_of(status: int, path: str, method: str = "post") -> dict[str, Any]:
    """Return the description of a reply."""
    template = "/".join([*path.split("/")[:3], "{tail}"]) if path.count("/") > 2 else path
    described: dict[str, Any] = DESCRIBED["paths"][template][method]["responses"][str(status)]
    return described


def check(answer: httpx.Response, path: str, method: str = "post") -> None:
    """Assert that an error is described under its status, and has the form of all errors."""
    described = answer_of(answer.status_code, path, method)
    assert described["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/Error"}
    jsonschema.validate(answer.json(), DESCRIBED["components"]["schemas"]["Error"])
    assert {name.lower() for name in described.get("headers", {})} <= set(answer.headers)


REFUSALS: dict[str, tuple[dict[str, Any], dict[str, int]]] = {
    "closed": ({}, {"": 404}),
    "too large": ({"webhook_allow_unsigned": True, "webhook_max_body": 1024}, {"": 413}),
    "Redis is away": ({"webhook_allow_unsigned": True}, {"": 503, "chatwoot": 500}),
    "no credentials": (OPEN, {"": 401}),
}
"""Settings of a service without Redis, and the status of what is posted to it, by gateway (`""`: all others)."""


@pytest.mark.parametrize("name", REFUSALS)
async def test_a_refusal_is_described(make_settings: Callable[..., Settings], name: str) -> None:
    """Every gateway gets errors with a described status and body."""
    overrides, statuses = REFUSALS[name]
    body = b" " * 1025 if name == "too large" else b"{}"
    async with serving(make_settings(redis_url=f"redis://127.0.0.1:{free_port()}", **overrides)) as client:
        for path in posted():
            answer = await client.post(path, content=body)
            assert answer.status_code == statuses.get(path.split("/")[2], statuses[""]), path
            check(answer, path)


async def test_another_verify_token_gets_no_challenge(make_settings: Callable[..., Settings]) -> None:
    """A verification request with another token gets a 403, as described."""
    secrets = {"meta_app_secret": SECRET, "meta_verify_token": SECRET}
    async with serving(make_settings(redis_url=f"redis://127.0.0.1:{free_port()}", **secrets)) as client:
        answer = await client.get("/webhooks/meta", params={"hub.mode": "subscribe", "hub.verify_token": "another"})
    assert answer.status_code == 403
    check(answer, "/webhooks/meta", "get")


def test_every_gateway_is_described() -> None:
    """Each gateway has both of its paths and its security schemes, and every scheme is defined and used."""
    described = {path.split("/")[2] for path in DESCRIBED["paths"] if path.startswith("/webhooks/")}
    assert described == set(GATEWAYS)
    assert len(posted()) == 2 * len(GATEWAYS)
    schemes = set(DESCRIBED["components"]["securitySchemes"])
    named = [
        name
        for item in DESCRIBED["paths"].values()
        if "post" in item
        for way in item["post"]["security"]
        for name in way
    ]
    assert set(named) == schemes


def test_the_pages_of_the_description(service: Webhook) -> None:
    """`/docs` reads `/openapi.json`, which is the description."""
    assert "/openapi.json" in service.get("/docs").text
    assert service.get("/openapi.json").json() == DESCRIBED

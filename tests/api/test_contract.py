"""The whole API against its own document: no crash, no undocumented answer, nothing of another tenant."""

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
import schemathesis
from anyio.from_thread import start_blocking_portal
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.checks import CheckFunction, not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.core.result import Ok
from schemathesis.schemas import APIOperation
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)
from tests.api.served import Served, serve
from tests.tenants.strangers import readable_routes

from wafleet.simulator.world import World

CHECKS: list[CheckFunction] = [
    not_a_server_error,
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
]
# Each case is a request and its answers are what matters, not how fast or how similar they are.
CALM = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]
PER_OPERATION = 10


@pytest.fixture
def served(dsn: str, tmp_path: Path) -> Iterator[Served]:
    with (
        start_blocking_portal(backend_options={"use_uvloop": False}) as portal,
        portal.wrap_async_context_manager(serve(dsn, tmp_path, World(seed=1))) as served,
    ):
        yield served


@pytest.mark.timeout(600)
@pytest.mark.filterwarnings("ignore:Do not use the `random` module")  # the served program does, in its own thread
def test_every_operation_answers_as_its_document_says(served: Served) -> None:
    there = _furnished(served, {"Authorization": f"Bearer {served.kitchen}"})
    schema = schemathesis.openapi.from_url(f"{served.url}/openapi.json")
    answers: Counter[int] = Counter()
    failures: list[str] = []
    for found in schema.get_all_operations():
        assert isinstance(found, Ok)
        _ask(found.ok(), served.fleet, there, answers, failures)
    assert not failures, "\n\n".join(failures)
    assert {200, 201, 204, 404, 409, 422} <= set(answers), f"hardly anything was asked: {answers}"


def _ask(
    operation: APIOperation[Any, Any, Any, Any],
    token: str,
    there: Mapping[str, str],
    answers: Counter[int],
    failures: list[str],
) -> None:
    """Send made-up requests, half of them to what is there; note each answer and what is wrong with it."""

    @given(case=operation.as_strategy(), real=st.booleans())
    @settings(
        max_examples=PER_OPERATION,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=CALM,
    )
    def each(case: schemathesis.Case[Any], real: bool) -> None:
        known = {name: there[name] for name in case.path_parameters or {} if real and name in there}
        case.path_parameters = {**(case.path_parameters or {}), **known}
        if real and case.query and "tenant" in case.query:
            case.query = {**case.query, "tenant": "Kitchen"}
        answer = case.call(headers={"Authorization": f"Bearer {token}"})
        answers[answer.status_code] += 1
        try:
            case.validate_response(answer, checks=CHECKS if real else [*CHECKS, negative_data_rejection])
        except FailureGroup as group:  # a replay would meet another database: there is nothing to shrink
            failures.extend(f"{operation.label}: {one}\n{case.as_curl_command()}" for one in group.exceptions)

    each()


def test_every_operation_documents_its_problems(served: Served) -> None:
    document = httpx.get(f"{served.url}/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            answers = operation["responses"]
            assert "503" in answers, f"{method} {path}"
            if path.startswith("/api/v1") and "/sign-" not in path:
                assert {"401", "403", "404", "429"} <= set(answers), f"{method} {path}"
            for status, answer in answers.items():
                if int(status) >= 400 and path != "/health":
                    assert list(answer["content"]) == ["application/problem+json"], f"{method} {path} {status}"


def test_operation_ids_are_unique_and_readable(served: Served) -> None:
    document = httpx.get(f"{served.url}/openapi.json").json()
    ids = [operation["operationId"] for methods in document["paths"].values() for operation in methods.values()]
    assert len(ids) == len(set(ids))
    assert all(one.replace("_", "").replace("-", "").isalnum() for one in ids)


def test_nothing_is_open_without_credentials_but_what_is_meant_to_be(served: Served) -> None:
    open_to_all: set[str] = set()
    with httpx.Client(base_url=served.url) as http:
        for path, methods in http.get("/openapi.json").json()["paths"].items():
            for method in methods:
                answer = http.request(method, path.format_map(_Zeros()), json={})
                if answer.status_code != 401:
                    open_to_all.add(path)
    assert open_to_all == {
        "/health",
        "/health/live",
        "/health/ready",
        "/metrics",  # from this machine alone
        "/api/v1/sign-in",
        "/api/v1/sign-out",
    }


def test_a_tenant_finds_nothing_of_another_on_any_route(served: Served) -> None:
    mine = {"Authorization": f"Bearer {served.kitchen}"}
    theirs = _furnished(served, mine)
    assert len(readable_routes(served.app.http)) >= 8
    with httpx.Client(base_url=served.url) as http:
        for path in readable_routes(served.app.http):
            named = path.format_map(theirs)
            assert http.get(named, headers=mine).status_code in (200, 409, 422), f"{named} as its owner"
            stranger = http.get(named, headers={"Authorization": f"Bearer {served.office}"})
            assert stranger.status_code == 404, f"{named} as a stranger"


class _Zeros(dict[str, str]):
    def __missing__(self, key: str) -> str:
        return "00000000-0000-7000-8000-000000000000"


def _furnished(served: Served, owner: dict[str, str]) -> dict[str, str]:
    """Give a tenant an account, a user, a conversation and a message; return their ids."""
    with httpx.Client(base_url=f"{served.url}/api/v1", headers=owner) as http:
        account = http.post("/accounts", json={"name": "A", "phone": "+966500000001", "transport": "simulator"}).json()
        message = http.post("/messages", json={"to": "+966500000099", "text": "hello"}).json()
        conversation = http.get("/conversations").json()["items"][0]
        user = http.post("/users", json={"email": "cook@example.com"}).json()["user"]
        file = http.post("/media", content=b"menu").json()
        http.post(f"/accounts/{account['id']}/link", json={}).raise_for_status()
    ids = {"account": account["id"], "user": user["id"], "named": "Kitchen", "message": message["id"]}
    return {**ids, "conversation": conversation["id"], "file": file["id"]}

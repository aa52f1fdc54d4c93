"""Bad requests: each is answered as a problem that says what to do, and none breaks anything."""

import json
import re
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import httpx
import psycopg
import pytest
from fastapi import APIRouter
from tests.tenants.houses import House, client

from wafleet.api import HttpLimits
from wafleet.domain.errors import Conflict, TooMany, Unavailable
from wafleet.engine.clock import ManualClock
from wafleet.engine.db import DatabaseAway
from wafleet.tenants import Scope


@pytest.fixture
async def http(house: House) -> AsyncIterator[httpx.AsyncClient]:
    async with client(house.app(failing()), await house.token(*Scope, tenant=None)) as http:
        yield http


def failing() -> APIRouter:
    routes = APIRouter(prefix="/fail", tags=["fail"])
    errors: dict[str, Exception] = {
        "conflict": Conflict("Choose another name"),
        "many": TooMany("Wait", retry_after_s=2.2),
        "unavailable": Unavailable("Try again"),
        "away": DatabaseAway("server closed the connection, host=secret"),
        "deadlock": psycopg.errors.DeadlockDetected("secret"),
        "bug": RuntimeError("secret of the house"),
        "data": psycopg.DataError("secret"),
    }

    @routes.get("/{kind}")
    async def fail(kind: str) -> None:
        raise errors[kind]

    return routes


def is_problem(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    told = answer.json()
    assert (answer.status_code, told["code"]) == (status, code), answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert told["status"] == status
    assert told["type"] == f"urn:wafleet:problem:{code}"
    assert told["instance"] == answer.headers["x-request-id"]
    assert told["title"]
    assert told["detail"]
    return told


@pytest.mark.parametrize(
    ("kind", "status", "code", "retry"),
    [
        ("conflict", 409, "conflict", None),
        ("many", 429, "too_many", "3"),
        ("unavailable", 503, "unavailable", "2"),
        ("away", 503, "database_away", "2"),
        ("deadlock", 503, "database_away", "2"),
        ("bug", 500, "internal", None),
        ("data", 422, "invalid", None),
    ],
)
async def test_every_failure_is_told_without_its_inside(
    http: httpx.AsyncClient, kind: str, status: int, code: str, retry: str | None
) -> None:
    answer = await http.get(f"/api/v1/fail/{kind}")
    is_problem(answer, status, code)
    assert "secret" not in answer.text
    assert answer.headers.get("retry-after") == retry
    assert answer.headers["content-security-policy"]


@pytest.mark.parametrize("body", ["{", '{"name":', "[1,", "nope", '{"name": "a"} x'])
async def test_malformed_json_is_400(http: httpx.AsyncClient, body: str) -> None:
    answer = await http.post("/api/v1/tenants", content=body.encode(), headers={"Content-Type": "application/json"})
    assert answer.status_code == 400, answer.text
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("body", [b"\xff\xfe{}", b'{"name": "\xe9"}', b"[" * 200_000])
async def test_a_body_that_cannot_be_read_is_400(http: httpx.AsyncClient, body: bytes) -> None:
    answer = await http.post("/api/v1/tenants", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400, answer.text


@pytest.mark.parametrize(
    ("body", "field", "message"),
    [
        ({}, "name", "needed"),
        ({"name": 5}, "name", "Write text"),
        ({"name": None}, "name", "Write text"),
        ({"name": ""}, "name", "at least 1"),
        ({"name": "   "}, "name", "1 to 100"),
        ({"name": "x" * 101}, "name", "at most 100"),
        ({"name": "a\x00b"}, "name", "U\\+0000"),
        ({"name": "\ud800"}, "name", "Unicode"),
        ({"name": "x", "colour": "red"}, "colour", "no such field"),
        ({"name": str(uuid4())}, "name", "look like an id"),
        ([], "body", "object"),
        ("text", "body", "object"),
    ],
)
async def test_a_wrong_field_is_named_with_the_remedy(
    http: httpx.AsyncClient, body: object, field: str, message: str
) -> None:
    content = json.dumps(body).encode()
    answer = await http.post("/api/v1/tenants", content=content, headers={"Content-Type": "application/json"})
    told = is_problem(answer, 422, "invalid")
    assert told["field"] == field
    assert field in told["detail"]
    assert re.search(message, told["errors"][0]["message"])


async def test_nested_fields_are_named_by_their_path(http: httpx.AsyncClient) -> None:
    answer = await http.post("/api/v1/tokens", json={"name": "t", "scopes": ["read", "fly"], "accounts": ["x"]})
    told = is_problem(answer, 422, "invalid")
    assert [wrong["field"] for wrong in told["errors"]] == ["scopes.1", "accounts.0"]


async def test_a_body_that_is_not_json_is_415(http: httpx.AsyncClient) -> None:
    is_problem(await http.post("/api/v1/tenants", data={"name": "x"}), 415, "unsupported_media_type")
    is_problem(await http.post("/api/v1/tenants", content=b'{"name":"x"}'), 415, "unsupported_media_type")


async def test_an_unknown_address_is_404_and_a_wrong_method_405_with_those_allowed(http: httpx.AsyncClient) -> None:
    is_problem(await http.get("/api/v1/nothing"), 404, "not_found")
    is_problem(await http.get("/"), 404, "not_found")
    answer = await http.delete("/api/v1/me")
    is_problem(answer, 405, "method_not_allowed")
    assert "GET" in answer.headers["allow"]


@pytest.mark.parametrize("cursor", ["x", "AAAA", "é", "a" * 500, "eyJhIjoxfQ=="])
async def test_a_cursor_that_was_tampered_with_is_422(http: httpx.AsyncClient, cursor: str) -> None:
    for path in ("tenants", "users", "tokens", "audit"):
        told = is_problem(await http.get(f"/api/v1/{path}", params={"cursor": cursor}), 422, "bad_cursor")
        assert told["field"] == "cursor"


async def test_a_cursor_of_another_list_is_422(http: httpx.AsyncClient) -> None:
    cursor = (await http.get("/api/v1/audit", params={"limit": 1})).json()["next"]
    assert (await http.get("/api/v1/audit", params={"limit": 1, "cursor": cursor})).status_code == 200
    is_problem(await http.get("/api/v1/tenants", params={"cursor": cursor}), 422, "bad_cursor")


async def test_five_megabytes_are_refused_before_they_are_read(house: House) -> None:
    token = await house.token(tenant=None)
    read = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal read
        for _ in range(80):
            read += 65_536
            yield b"x" * 65_536

    async with client(house.app(), token) as http:
        told = await http.post("/api/v1/tenants", content=b"x" * 5_000_000)
        is_problem(told, 413, "too_large")
        streamed = await http.post("/api/v1/tenants", content=body(), headers={"Content-Type": "application/json"})
        is_problem(streamed, 413, "too_large")
        lying = {"Content-Type": "application/json", "Content-Length": "-1"}
        is_problem(await http.post("/api/v1/tenants", content=body(), headers=lying), 413, "too_large")


async def test_one_caller_who_asks_too_fast_waits_while_others_do_not(house: House, clock: ManualClock) -> None:
    fast, calm = await house.token(tenant=house.office), await house.token(tenant=house.office)
    app = house.app(limits=HttpLimits(requests_per_s=10, burst=5))
    async with client(app, fast) as http, client(app, calm) as other:
        answers = [(await http.get("/api/v1/me")).status_code for _ in range(6)]
        assert answers == [200] * 5 + [429]
        refused = await http.get("/api/v1/me")
        is_problem(refused, 429, "too_many")
        assert refused.headers["retry-after"] == "1"
        assert (await other.get("/api/v1/me")).status_code == 200
        assert (await http.get("/health/live")).status_code == 200
        await clock.advance(1)
        assert (await http.get("/api/v1/me")).status_code == 200


async def test_trying_token_after_token_is_slowed_down_but_good_ones_behind_the_same_address_pass(
    house: House,
) -> None:
    good = await house.token(tenant=house.office)
    app = house.app()
    async with client(app) as http:
        assert (await http.get("/api/v1/me", headers={"Authorization": f"Bearer {good}"})).status_code == 200
        answers = [
            (await http.get("/api/v1/me", headers={"Authorization": f"Bearer wf_{n:043}"})).status_code
            for n in range(70)
        ]
        assert answers == [401] * 60 + [429] * 10
        assert (await http.get("/api/v1/me", headers={"Authorization": f"Bearer {good}"})).status_code == 200


async def test_a_request_keeps_the_id_it_came_with_unless_it_is_strange(http: httpx.AsyncClient) -> None:
    kept = await http.get("/health/live", headers={"X-Request-Id": "trace-12345678"})
    assert kept.headers["x-request-id"] == "trace-12345678"
    made = await http.get("/health/live", headers={"X-Request-Id": "<script>"})
    assert len(made.headers["x-request-id"]) == 24


async def test_answers_carry_security_headers_and_hsts_only_over_https(house: House) -> None:
    app = house.app()
    async with client(app) as http, client(app, base_url="https://wafleet.test") as https:
        plain, secure = await http.get("/health/live"), await https.get("/health/live")
    policy = plain.headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert plain.headers["x-content-type-options"] == "nosniff"
    assert plain.headers["cache-control"] == "no-store"
    assert "strict-transport-security" not in plain.headers
    assert "strict-transport-security" in secure.headers


async def test_head_is_answered_like_get_without_its_body(http: httpx.AsyncClient) -> None:
    got, head = await http.get("/api/v1/tenants"), await http.head("/api/v1/tenants")
    assert head.status_code == 200
    assert head.content == b""
    assert head.headers["content-length"] == got.headers["content-length"]
    assert (await http.head("/api/v1/sign-out")).status_code == 405

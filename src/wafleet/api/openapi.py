"""The OpenAPI document: FastAPI's, plus every answer that is a problem, on every operation where it can happen."""

from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any, Final

from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema
from starlette.routing import BaseRoute

from wafleet.api.problems import PROBLEM_JSON, Problem

ABOUT: Final = (
    "Runs a fleet of WhatsApp numbers as one reliable system. Failures are `application/problem+json` with a sentence "
    "that says what to do and a `code` for programs. Lists are paged by cursor: ask again with `cursor` = `next`. "
    "Times are ISO 8601 in UTC."
)
MEANINGS: Final[Mapping[int, str]] = {
    400: "The body is not valid JSON",
    401: "No credentials, or they no longer count",
    403: "The caller may not do this",
    404: "It does not exist, or belongs to another tenant",
    409: "It clashes with what is there",
    413: "The body is over the limit",
    415: "The body is not JSON",
    422: "A field is wrong: `field` names it",
    429: "Too many requests: wait as long as `Retry-After` says",
    503: "The database is away: try again after `Retry-After`",
}
METHODS: Final = ("get", "put", "post", "patch", "delete")


def document(*, version: str, routes: list[BaseRoute]) -> dict[str, Any]:
    """Return the OpenAPI 3.1 document of these routes."""
    made = get_openapi(title="wafleet", version=version, description=ABOUT, routes=routes)
    schemas: dict[str, Any] = made.setdefault("components", {}).setdefault("schemas", {})
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    _, shapes = models_json_schema([(Problem, "serialization")], ref_template="#/components/schemas/{model}")
    schemas.update(shapes["$defs"])
    for path, operation in _operations(made):
        _add_problems(path, operation)
    return made


def _operations(made: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, item in made.get("paths", {}).items():
        for method in METHODS:
            if method in item:
                item[method].setdefault("x-method", method)
                yield path, item[method]


def _add_problems(path: str, operation: dict[str, Any]) -> None:
    answers: dict[str, Any] = operation.setdefault("responses", {})
    declared = {int(status) for status in answers if status.isdigit() and int(status) >= 400}
    for status in sorted(declared | _possible(path, operation)):
        answer: dict[str, Any] = {
            "description": MEANINGS.get(status, HTTPStatus(status).phrase),
            "content": {PROBLEM_JSON: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
        if status in (429, 503):
            answer["headers"] = {"Retry-After": {"schema": {"type": "integer"}, "description": "seconds"}}
        answers[str(status)] = answer


def _possible(path: str, operation: dict[str, Any]) -> set[int]:
    found: set[int] = {503, 413}
    if not path.startswith("/health"):
        found.add(429)
    if operation.get("security"):
        found |= {401, 403, 404}
    if operation.get("parameters"):
        found |= {422}
    if operation.get("requestBody"):
        found |= {400, 415, 422}
    if "{" in path:
        found |= {404}
    if operation.pop("x-method") != "get":
        found |= {409}
    return found

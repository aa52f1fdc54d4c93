"""Everything that goes wrong is told in one shape: problem+json (RFC 9457) with a sentence that says what to do."""

import math
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

import psycopg
import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from wafleet.domain.errors import Invalid, SignInNeeded, TooMany, WafleetError
from wafleet.engine.blobs import StoreAway
from wafleet.engine.db import DatabaseAway
from wafleet.engine.web import BadCursor

log = structlog.get_logger(__name__)

REQUEST_ID: Final = "wafleet.request_id"  # in the ASGI scope
PROBLEM_JSON: Final = "application/problem+json"


class FieldError(BaseModel):
    """One field that is wrong."""

    field: str = Field(description="where it is, as a path: `content.text`", examples=["content.text"])
    message: str = Field(description="what to do about it")
    code: str


class Problem(BaseModel):
    """What went wrong, and what to do next."""

    type: str = Field(examples=["urn:wafleet:problem:not_found"])
    title: str = Field(examples=["Not Found"])
    status: int = Field(examples=[404])
    detail: str = Field(description="one sentence for people", examples=["There is no account 0197..."])
    code: str = Field(description="for programs", examples=["not_found"])
    instance: str = Field(description="the id of this request, as in the header X-Request-Id and in the logs")
    field: str | None = Field(None, description="the first field that is wrong")
    errors: list[FieldError] | None = Field(None, description="every field that is wrong")


class ProblemResponse(JSONResponse):
    media_type = PROBLEM_JSON


PHRASES: Final[Mapping[str, str]] = {
    "missing": "This field is needed",
    "extra_forbidden": "There is no such field: remove it",
    "string_type": "Write text",
    "string_unicode": "Write valid Unicode text",
    "int_type": "Write a whole number",
    "int_parsing": "Write a whole number",
    "bool_type": "Write true or false",
    "bool_parsing": "Write true or false",
    "list_type": "Write a list",
    "dict_type": "Write an object",
    "model_attributes_type": "Write an object",
    "uuid_parsing": "Write an id, like 0197b1c2-3d4e-7f50-8a6b-9c0d1e2f3a4b",
    "uuid_type": "Write an id, like 0197b1c2-3d4e-7f50-8a6b-9c0d1e2f3a4b",
    "datetime_parsing": "Write a time like 2026-01-31T14:20:00Z",
    "datetime_from_date_parsing": "Write a time like 2026-01-31T14:20:00Z",
    "datetime_type": "Write a time like 2026-01-31T14:20:00Z",
    "timezone_aware": "Say the time zone: a time like 2026-01-31T14:20:00Z",
}
WRONG_SHAPES: Final = frozenset({"model_attributes_type", "dict_type", "model_type", "dataclass_type", "list_type"})
CODES: Final[Mapping[int, str]] = {
    400: "bad_request",
    401: "sign_in_needed",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    413: "too_large",
    415: "unsupported_media_type",
    422: "invalid",
}
SENTENCES: Final[Mapping[int, str]] = {
    400: "The body could not be read: send valid JSON in UTF-8",
    404: "There is nothing at this address: see /openapi.json for what there is",
    405: "This address does not take that method: the header Allow names those it takes",
}


def problem(
    request_id: str,
    *,
    status: int,
    code: str,
    detail: str,
    errors: Sequence[FieldError] = (),
    headers: Mapping[str, str] | None = None,
) -> ProblemResponse:
    """Make the answer to a request that cannot be served."""
    told = Problem(
        type=f"urn:wafleet:problem:{code}",
        title=HTTPStatus(status).phrase,
        status=status,
        detail=detail,
        code=code,
        instance=request_id,
        field=errors[0].field if errors else None,
        errors=list(errors) or None,
    )
    return ProblemResponse(told.model_dump(exclude_none=True), status, dict(headers or {}))


def add_handlers(app: FastAPI) -> None:
    """Teach an app to answer every failure as a problem."""
    app.add_exception_handler(WafleetError, _ours)
    app.add_exception_handler(BadCursor, _bad_cursor)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(DatabaseAway, _away)
    for busy in (psycopg.errors.DeadlockDetected, psycopg.errors.SerializationFailure):
        app.add_exception_handler(busy, _away)
    app.add_exception_handler(StoreAway, _store_away)
    app.add_exception_handler(psycopg.DataError, _unstorable)
    for clash in (psycopg.errors.UniqueViolation, psycopg.errors.ForeignKeyViolation):
        app.add_exception_handler(clash, _clash)


def request_id(request: Request) -> str:
    """Return the id that this request has in answers and logs."""
    return str(request.scope.get(REQUEST_ID, ""))


async def _ours(request: Request, error: Exception) -> Response:
    assert isinstance(error, WafleetError)
    headers: dict[str, str] = {}
    if isinstance(error, TooMany):
        headers["Retry-After"] = str(max(1, math.ceil(error.retry_after_s)))
    elif error.status == 503:
        headers["Retry-After"] = "2"
    elif isinstance(error, SignInNeeded):
        headers["WWW-Authenticate"] = "Bearer"
    wrong = (
        [FieldError(field=error.field, message=error.sentence, code=error.code)] if isinstance(error, Invalid) else []
    )
    detail = f"{wrong[0].field}: {error.sentence}" if wrong else error.sentence
    return problem(
        request_id(request), status=error.status, code=error.code, detail=detail, errors=wrong, headers=headers
    )


async def _bad_cursor(request: Request, error: Exception) -> Response:
    return await _ours(request, Invalid("cursor", str(error), code="bad_cursor"))


async def _away(request: Request, error: Exception) -> Response:
    sentence = "The database is away or busy: nothing was changed unless a retry says so; try again in a moment"
    headers = {"Retry-After": "2"}
    return problem(request_id(request), status=503, code="database_away", detail=sentence, headers=headers)


async def _store_away(request: Request, error: Exception) -> Response:
    """Where files lie is the operator's business: it stands in the log."""
    log.warning("media_store_away", error=str(error))
    sentence = "The store of files cannot be reached now: try again in a moment"
    headers = {"Retry-After": "2"}
    return problem(request_id(request), status=503, code="store_away", detail=sentence, headers=headers)


async def _unstorable(request: Request, error: Exception) -> Response:
    """Values that pass every rule of ours, but not PostgreSQL's, such as U+0000 in a path."""
    log.warning("value_refused_by_database", sqlstate=getattr(error, "sqlstate", None), path=request.url.path)
    sentence = "A value cannot be stored: a number is too large, or a text holds U+0000"
    return problem(request_id(request), status=422, code="invalid", detail=sentence)


async def _clash(request: Request, error: Exception) -> Response:
    constraint = error.diag.constraint_name if isinstance(error, psycopg.Error) else None
    log.warning("change_clashed", constraint=constraint, path=request.url.path)
    sentence = "Somebody else changed this at the same moment: look again, then try again"
    return problem(request_id(request), status=409, code="conflict", detail=sentence)


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code < 400:
        return Response(status_code=error.status_code, headers=error.headers)
    status = error.status_code
    ours = SENTENCES.get(status)
    detail = ours if ours and error.detail in (HTTPStatus(status).phrase, _FASTAPI_PARSING) else str(error.detail)
    code = CODES.get(status, HTTPStatus(status).phrase.lower().replace(" ", "_"))
    return problem(request_id(request), status=status, code=code, detail=detail, headers=error.headers)


_FASTAPI_PARSING: Final = "There was an error parsing the body"


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    found: Sequence[Mapping[str, Any]] = error.errors()
    if any(one["type"] == "json_invalid" for one in found):
        at = found[0]["loc"][-1]
        detail = f"This is not valid JSON, at character {at}: {found[0]['ctx']['error']}"
        return problem(request_id(request), status=400, code="malformed_json", detail=detail)
    if _not_json(request, found):
        detail = "Send the body as JSON, with the header Content-Type: application/json"
        return problem(request_id(request), status=415, code="unsupported_media_type", detail=detail)
    wrong = [FieldError(field=_path(one["loc"]), message=_remedy(one), code=one["type"]) for one in found]
    detail = "; ".join(f"{one.field}: {one.message}" for one in wrong[:3])
    return problem(request_id(request), status=422, code="invalid", detail=detail, errors=wrong[:50])


def _not_json(request: Request, found: Sequence[Mapping[str, Any]]) -> bool:
    """FastAPI hands a body of another type over as bytes, which then fit nothing."""
    return any(
        tuple(one["loc"]) == ("body",) and one["type"] in WRONG_SHAPES and isinstance(one.get("input"), bytes)
        for one in found
    )


def _path(loc: Sequence[int | str]) -> str:
    named = [str(step) for step in loc]
    if named[0] in ("body", "query", "path", "header", "cookie") and len(named) > 1:
        named = named[1:]
    return ".".join(named)


def _remedy(one: Mapping[str, Any]) -> str:
    known = PHRASES.get(one["type"])
    return known or str(one["msg"]).removeprefix("Value error, ").replace("Input should", "This should")

"""What can go wrong between a program and wafleet."""

from collections.abc import Sequence
from typing import Final

import httpx
import msgspec

START_IT: Final = "start it with `wafleet up` (or `make demo`)"


class FieldError(msgspec.Struct, frozen=True):
    """One field that is wrong, and what to do about it."""

    field: str
    message: str
    code: str = ""


class ApiError(Exception):
    """What wafleet answered instead of what was asked: one sentence, and a code for programs.

    status    the HTTP status; 0 where there was no answer
    field     the first field that is wrong, for status 422
    request   the id of the request, as it stands in wafleet's logs
    """

    def __init__(
        self,
        sentence: str,
        *,
        status: int = 0,
        code: str = "",
        field: str | None = None,
        errors: Sequence[FieldError] = (),
        request: str = "",
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(sentence)
        self.sentence, self.status, self.code, self.field = sentence, status, code, field
        self.errors, self.request, self.retry_after_s = tuple(errors), request, retry_after_s


class Unreachable(ApiError):
    """No wafleet answers: it is stopped, starting, or elsewhere."""


class _Problem(msgspec.Struct, frozen=True):
    detail: str
    code: str = ""
    field: str | None = None
    errors: list[FieldError] | None = None
    instance: str = ""


def no_answer(url: str, error: httpx.TransportError) -> Unreachable:
    """Say that nobody answers, and what to do."""
    if isinstance(error, httpx.TimeoutException) and not isinstance(error, httpx.ConnectTimeout):
        return Unreachable(f"wafleet at {url} takes too long to answer: look at its logs", code="timeout")
    return Unreachable(f"wafleet does not answer at {url}: {START_IT}", code="unreachable")


def problem_of(reply: httpx.Response) -> ApiError:
    """Read a problem; an answer that is none came from something else, such as a proxy."""
    wait = _seconds(reply.headers.get("Retry-After", ""))
    try:
        told = msgspec.json.decode(reply.content, type=_Problem)
    except msgspec.MsgspecError:
        sentence = f"{reply.url} answered {reply.status_code} {reply.reason_phrase}: is there a wafleet behind it?"
        return ApiError(sentence, status=reply.status_code, code="not_wafleet", retry_after_s=wait)
    return ApiError(
        told.detail,
        status=reply.status_code,
        code=told.code,
        field=told.field,
        errors=told.errors or (),
        request=told.instance,
        retry_after_s=wait,
    )


def _seconds(written: str) -> float | None:
    return float(written) if written.isdecimal() else None

"""What every request passes on its way in and out, as plain ASGI: cheap, and safe for streams.

Frame        gives the request an id, the answer its security headers, and turns a crash into a 500 that says nothing
Measured     times it, under its route's template
BodyLimit    refuses large bodies before they are read
HeadAsGet    answers HEAD wherever there is GET
"""

import os
import re
import time
from collections.abc import Mapping
from typing import Final

import structlog
from fastapi import HTTPException
from prometheus_client import Histogram
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from wafleet.api.problems import REQUEST_ID, problem
from wafleet.engine import observe

log = structlog.get_logger(__name__)

request_seconds = Histogram(
    "wafleet_http_request_seconds",
    "Time until an answer begins",
    ["method", "route", "status"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10),
)

GIVEN_ID: Final = re.compile(rb"[A-Za-z0-9._-]{8,64}")
METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
POLICY: Final = (
    "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'"
)
SECURITY_HEADERS: Final[Mapping[bytes, bytes]] = {
    b"content-security-policy": POLICY.encode(),
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"same-origin",
    b"permissions-policy": b"camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    b"cross-origin-opener-policy": b"same-origin",
    b"cross-origin-resource-policy": b"same-origin",
    b"x-frame-options": b"DENY",
}
HSTS: Final = (b"strict-transport-security", b"max-age=31536000")


def header(scope: Scope, name: bytes) -> bytes | None:
    """Return a request's header; `name` in lower case."""
    for key, value in scope["headers"]:
        if key == name:
            return bytes(value)
    return None


class Frame:
    """The outermost layer: a request's id, the security headers, and the last word when something breaks."""

    def __init__(self, app: ASGIApp, *, https: bool) -> None:
        self._app, self._https = app, https

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        id = _request_id(scope)
        scope[REQUEST_ID] = id
        begun = False

        async def framed(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                message["headers"] = self._with_ours(scope, message, id)
            await send(message)

        with observe.about(request_id=id):
            try:
                await self._app(scope, receive, framed)
            except ClientDisconnect:
                log.debug("caller_hung_up", path=scope["path"])
            except Exception as error:
                log.exception("request_failed", path=scope["path"], method=scope["method"], error=str(error))
                if begun:
                    raise
                sentence = f"Something broke inside wafleet; the logs say what, under request {id}"
                broken = problem(id, status=500, code="internal", detail=sentence)
                await broken(scope, receive, framed)

    def _with_ours(self, scope: Scope, message: Message, id: str) -> list[tuple[bytes, bytes]]:
        headers: list[tuple[bytes, bytes]] = list(message.get("headers", ()))
        names = {name.lower() for name, _ in headers}
        headers.extend(one for one in SECURITY_HEADERS.items() if one[0] not in names)
        headers.append((b"x-request-id", id.encode()))
        if self._https or scope.get("scheme") == "https":
            headers.append(HSTS)
        if b"cache-control" not in names and b"etag" not in names:
            headers.append((b"cache-control", b"no-store"))
        return headers


def _request_id(scope: Scope) -> str:
    given = header(scope, b"x-request-id")
    return given.decode() if given and GIVEN_ID.fullmatch(given) else os.urandom(12).hex()


class Measured:
    """Times every request until its answer begins: a stream's length says nothing."""

    def __init__(self, app: ASGIApp, *, prefix: str) -> None:
        self._app, self._prefix = app, prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        began, method = time.perf_counter(), scope["method"]

        async def timed(message: Message) -> None:
            if message["type"] == "http.response.start":
                name = method if method in METHODS else "other"
                labels = request_seconds.labels(name, self._template(scope), str(message["status"]))
                labels.observe(time.perf_counter() - began)
            await send(message)

        await self._app(scope, receive, timed)

    def _template(self, scope: Scope) -> str:
        """One series per route, never per address: ids and typing mistakes must not fill the memory."""
        template = getattr(scope.get("route"), "path", None)
        if not isinstance(template, str):
            return "none"
        inside = str(scope["path"]).startswith(f"{self._prefix}/") and not template.startswith(self._prefix)
        return self._prefix + template if inside else template


class BodyLimit:
    """Refuses a body over the limit: by its announced length before reading, else as soon as it has grown too long.

    uploads  paths whose bodies are streamed and may be larger, with their limits
    """

    def __init__(self, app: ASGIApp, *, most_bytes: int, uploads: Mapping[str, int] | None = None) -> None:
        self._app, self._usual, self._uploads = app, most_bytes, uploads or {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        most = self._uploads.get(scope["path"], self._usual)
        sentence = f"The body is over the limit of {most} bytes: send less at once"
        announced = header(scope, b"content-length") or b"0"
        if not announced.isdigit() or int(announced) > most:
            headers = {"Connection": "close"}  # the rest of the body is not worth reading
            refusal = problem(scope[REQUEST_ID], status=413, code="too_large", detail=sentence, headers=headers)
            return await refusal(scope, receive, send)
        read = 0

        async def counted() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > most:
                # FastAPI passes only its own kind of exception through while it reads a body.
                raise HTTPException(413, sentence, headers={"Connection": "close"})
            return message

        return await self._app(scope, counted, send)


class HeadAsGet:
    """Runs the GET behind a HEAD and keeps its body back; a stream is cut off once its headers are known."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "HEAD":
            return await self._app(scope, receive, send)
        scope["method"] = "GET"
        answered = False

        async def headers_only(message: Message) -> None:
            nonlocal answered
            if answered:
                raise OSError("a HEAD is answered with its headers")
            if message["type"] == "http.response.body":
                answered = True
                message = {"type": "http.response.body", "body": b""}
            await send(message)

        async def until_answered() -> Message:
            return {"type": "http.disconnect"} if answered else await receive()

        try:
            await self._app(scope, until_answered, headers_only)
        except (OSError, ClientDisconnect):
            if not answered:
                raise

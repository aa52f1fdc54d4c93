"""The HTTP side of calls: addresses, bodies of limited size, and answers, as plain ASGI."""

from collections.abc import Callable, Collection, Generator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from http import HTTPStatus
from typing import Final, NamedTuple
from uuid import UUID

import msgspec
import structlog
from starlette.types import Receive, Scope, Send

from wafleet.domain.errors import NotFound, TooLarge, Unavailable, WafleetError
from wafleet.domain.ids import AccountId
from wafleet.engine.db import DatabaseAway
from wafleet.inbox.webhooks.time_limit import Patience
from wafleet.transports.calls import Call, NotAllowed, TooSlow, WrongType

log = structlog.get_logger(__name__)
PREFIX: Final = "/hooks/"
MOST_BYTES: Final = 3_000_000
BODY_S: Final = 30.0  # a body must be here by then
TYPES: Final = frozenset({"application/x-www-form-urlencoded", "application/json"})
PROBLEM: Final = "application/problem+json"
PARTS: Final = range(2, 4)


class Gone(Exception):
    """The caller hung up."""


class Room:
    """Bytes of bodies that are in memory at a time. What a caller announces takes none: only what has come does."""

    def __init__(self, most: int) -> None:
        self.most, self.taken = most, 0

    @contextmanager
    def share(self) -> Generator[Callable[[int], None], None, None]:
        """Yield what takes room for one call, which is given back at its end. It raises Unavailable."""
        mine = 0

        def take(size: int) -> None:
            nonlocal mine
            if self.taken + size > self.most:
                raise Unavailable("Too much is under way: call again in a moment", code="busy")
            self.taken += size
            mine += size

        try:
            yield take
        finally:
            self.taken -= mine


class Place(NamedTuple):
    """What an address names."""

    transport: str
    account: AccountId
    message: str = ""


class Answer(NamedTuple):
    status: int
    body: bytes
    content_type: str


def placed(scope: Scope, transports: Collection[str]) -> Place:
    """Read an address: /hooks/{transport}/{account}, and the id of one of our messages behind it. Raises NotFound."""
    if scope["method"] not in {"POST", "GET"}:
        raise NotAllowed("Networks ask with GET and tell with POST")
    parts = str(scope["path"]).removeprefix(PREFIX).split("/")
    if len(parts) in PARTS and parts[0] in transports:
        try:
            return Place(parts[0], _account(parts[1]), str(UUID(parts[2])) if parts[2:] else "")
        except ValueError:
            pass
    raise NotFound("No network calls here: copy the address anew from the account's page")


@lru_cache(maxsize=4096)  # reading one takes as long as all else that is done with an address
def _account(text: str) -> AccountId:
    return AccountId(UUID(text))


def check_announced(scope: Scope) -> None:
    """Refuse by its headers what cannot be taken, before any of it is read. Raises TooLarge, WrongType."""
    if scope["method"] == "GET":
        return
    kind, length = b"", b""
    for name, value in scope["headers"]:
        if name == b"content-type":
            kind = value
        elif name == b"content-length":
            length = value
    if _type(kind) not in TYPES:
        raise WrongType("Send a form or JSON, with its content type")
    if length.isdigit() and int(length) > MOST_BYTES:
        raise TooLarge(f"The body is over the limit of {MOST_BYTES} bytes")


@lru_cache(maxsize=256)
def _type(kind: bytes) -> str:
    return kind.decode("latin-1").partition(";")[0].strip().lower()


async def body_of(scope: Scope, receive: Receive, patience: Patience, take: Callable[[int], None]) -> bytes:
    """Return a call's body, as it came. Raises TooLarge, TooSlow, Gone, and what `take` raises.

    take  hears of every part how large it is, as soon as it is there
    """
    if scope["method"] == "GET":
        return b""
    try:
        return await patience.wait(_read(receive, take))
    except TimeoutError:
        raise TooSlow(f"The body did not come within {BODY_S:g} s") from None


async def _read(receive: Receive, take: Callable[[int], None]) -> bytes:
    parts: list[bytes] = []
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Gone
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        take(len(parts[-1]))
        if size > MOST_BYTES:
            raise TooLarge(f"The body is over the limit of {MOST_BYTES} bytes")
        more = message.get("more_body", False)
    return b"".join(parts)


def call_of(scope: Scope, body: bytes, *, public_url: str, message: str) -> Call:
    """Return a request as the network made it: its address is the public one, whatever proxies made of it."""
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    path = (scope.get("raw_path") or scope["path"].encode()).decode("latin-1").partition("?")[0]
    query = scope["query_string"].decode("latin-1")
    base = public_url or f"{_scheme(scope, headers)}://{headers.get('host', '')}"
    url = f"{base}{path}?{query}" if query else base + path
    return Call(scope["method"], url, headers, body, message)


def _scheme(scope: Scope, headers: Mapping[str, str]) -> str:
    told = headers.get("x-forwarded-proto", "").partition(",")[0].strip().lower()
    return told if told in {"http", "https"} else str(scope.get("scheme", "http"))


def refusal(error: Exception) -> Answer:
    """Return the answer to a call that cannot be taken. What nobody foresaw is in the log, and not in the answer."""
    if isinstance(error, WafleetError):
        return _problem(error.status, error.code, error.sentence)
    if isinstance(error, DatabaseAway):
        return _problem(503, "database_away", "The database is away: call again in a moment")
    log.exception("call_failed", error=type(error).__name__)
    return _problem(500, "internal", "Something broke inside wafleet: call again later")


def _problem(status: int, code: str, detail: str) -> Answer:
    told = {
        "type": f"urn:wafleet:problem:{code}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "code": code,
    }
    return Answer(status, msgspec.json.encode(told), PROBLEM)


async def answer(send: Send, told: Answer) -> None:
    """Send an answer. A body that was refused unread ends the connection: the rest is not worth reading."""
    headers = [
        (b"content-type", told.content_type.encode()),
        (b"content-length", b"%d" % len(told.body)),
        (b"x-content-type-options", b"nosniff"),
    ]
    if told.status == 503:
        headers.append((b"retry-after", b"2"))
    if told.status in {404, 408, 413, 415}:
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": told.status, "headers": headers})
    await send({"type": "http.response.body", "body": told.body})

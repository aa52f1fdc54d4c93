"""Transports whose network calls us: a place that takes the calls, as wafleet's own does, and hands on what they say.

A call is answered well once the owner of an open session has heard what it says; else the network tries again.
"""

import asyncio
import dataclasses
import socket
import time
from collections.abc import AsyncGenerator, Callable, Generator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any, Protocol
from uuid import UUID

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from wafleet.domain.ids import AccountId, MessageId
from wafleet.domain.inbound import Inbound, Receipt
from wafleet.domain.message import media
from wafleet.simulator.standins.numbers import Numbers
from wafleet.simulator.standins.server import answering
from wafleet.simulator.wire import Refusal
from wafleet.transports.base import Capabilities, Doubt, Fetches, Found, Listener, Number, Outgoing, Session, Transport
from wafleet.transports.calls import Call, Calls, Forged, Of, Unreadable

ANSWER_S, HURRY_S = 5.0, 0.15  # how long a stand-in waits for the network, and how long where that is in vain


class Called(Transport, Calls, Fetches, Protocol):
    """A transport whose network calls us, and keeps customers' files for a while."""


Settings = Callable[[str], Mapping[str, object]]  # of the account that has this phone


class Hooked:
    """A transport together with the place that takes its network's calls."""

    def __init__(self, inner: Called, settings: Settings, *, behind: timedelta = timedelta()) -> None:
        """Take calls for a transport.

        behind  so long ago what is in doubt was sent: a network with a list need not be waited for
        """
        self.inner, self._settings, self.behind = inner, settings, behind
        self.files, self.url = dict[str, bytes](), ""  # what the network may fetch from us, and where
        self._accounts: dict[AccountId, _Account] = {}

    @property
    def capabilities(self) -> Capabilities:
        return self.inner.capabilities

    def impatient(self) -> None:
        """Wait for an answer only briefly, in the sessions that are opened from now on."""
        vars(self.inner)["_answer_s"] = HURRY_S

    def named(self, number: Number, credentials: bytes = b"") -> Number:
        """Return a number as the database has it."""
        return dataclasses.replace(number, settings=self._settings(number.phone), credentials=credentials)

    async def open(self, number: Number, credentials: bytes, listener: Listener) -> Session:
        number = self.named(number)
        account = self._accounts.setdefault(number.id, _Account(number))
        account.credentials = credentials or account.credentials
        ears: Any = _Ears(listener, account)
        session = await self.inner.open(number, credentials, ears)
        account.owner = (session, listener)
        return _Session(session, account, self)

    def linked(self, out: Outgoing) -> Outgoing:
        """Let the network fetch the file of a message, where it takes no bytes."""
        if not (out.media and self.capabilities.media_by_link):
            return out
        self.files[str(out.id)] = out.media
        return dataclasses.replace(out, media=b"", link=f"{self.url}/files/{out.id}")

    def file(self, request: Request) -> Response:
        """Give out a file, with the type that its message told. A link has no name of the file in it."""
        name = request.path_params["name"]
        sent = next(one.sent[id][0] for one in self._accounts.values() for id in one.sent if str(id) == name)
        kind = media(sent.content)
        return Response(self.files[name], media_type=kind.mime if kind else None)

    async def link(self, number: Number, shown: Any) -> bytes:
        linking: Any = self.inner
        return await linking.link(number, shown)

    async def unlink(self, number: Number, credentials: bytes) -> None:
        linking: Any = self.inner
        await linking.unlink(self.named(number), credentials)

    async def called(self, request: Request) -> Response:
        """Take one call of the network."""
        account = self._accounts.get(AccountId(UUID(request.path_params["account"])))
        if account is None or account.owner is None:
            return Response(status_code=503)
        call = Call(
            request.method,
            str(request.url),
            {name.lower(): value for name, value in request.headers.items()},
            await request.body(),
            request.path_params.get("message", ""),
        )
        try:
            self.inner.check(call, account.credentials, account.number.settings)
            news = self.inner.read(call, account.number.settings)
        except (Forged, Unreadable) as refused:
            return Response(str(refused), refused.status)
        session, listener = account.owner
        for one in news.said:
            if not await self._told(account, session, listener, one, call.message):
                return Response(status_code=500)
        return Response(news.answer, media_type=news.content_type)

    async def _told(self, account: "_Account", session: Session, listener: Listener, one: Of, message: str) -> bool:
        match one.what:
            case Inbound() as inbound:
                try:
                    listener.received(await self._whole(account, inbound))
                except RuntimeError:
                    return False
            case Receipt() as receipt:
                named = MessageId(UUID(message)) if message and receipt.message is None else receipt.message
                listener.receipt(msgspec.structs.replace(receipt, message=named))
            case sign if sign.reason:
                with suppress(ConnectionError):
                    await session.ping()
            case _:
                pass
        return True

    async def _whole(self, account: "_Account", inbound: Inbound) -> Inbound:
        """Fetch the file of a message, as is done in the background once the message is stored."""
        file = media(inbound.content)
        if file is None or not inbound.file:
            return inbound
        content = await self.inner.fetch(account.number, account.credentials, inbound.file)
        known = msgspec.structs.replace(file, id=sha256(content).hexdigest(), size=len(content))
        return msgspec.structs.replace(inbound, content=msgspec.structs.replace(inbound.content, media=known))


class _Account:
    def __init__(self, number: Number) -> None:
        self.number, self.credentials = number, b""
        self.owner: tuple[Session, Listener] | None = None
        self.sent: dict[MessageId, tuple[Outgoing, datetime]] = {}


class _Ears:
    """A listener whose session is no owner's any more once it has ended."""

    def __init__(self, listener: Listener, account: _Account) -> None:
        self._listener, self._account = listener, account

    def __getattr__(self, name: str) -> Any:
        return getattr(self._listener, name)

    def closed(self, reason: str, detail: str = "", until: datetime | None = None) -> None:
        self._account.owner = None
        self._listener.closed(reason, detail, until)


class _Session:
    """An account's session; what it sent is remembered, as the outbox does."""

    def __init__(self, inner: Session, account: _Account, hooked: Hooked) -> None:
        self._inner, self._account, self._hooked = inner, account, hooked

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def send(self, out: Outgoing) -> str:
        self._account.sent[out.id] = (out, datetime.now(UTC))
        return await self._inner.send(self._hooked.linked(out))

    async def find(self, messages: Sequence[Doubt]) -> Mapping[MessageId, Found | None]:
        return await self._inner.find([self._whole(one) for one in messages])

    async def ping(self) -> None:
        await self._inner.ping()

    def acknowledge(self, provider_ids: Sequence[str]) -> None:
        self._inner.acknowledge(provider_ids)

    async def close(self) -> None:
        if self._account.owner is not None and self._account.owner[0] is self._inner:
            self._account.owner = None
        await self._inner.close()

    def _whole(self, one: Doubt) -> Doubt:
        """Add what was sent, as the outbox does."""
        if one.id not in self._account.sent:
            return one
        out, since = self._account.sent[one.id]
        return Doubt(one.id, out.to, out.content, since - self._hooked.behind)


async def online(numbers: Numbers, phone: str, limit_s: float) -> None:
    """Return once a stand-in has its session with the network again."""
    deadline = time.monotonic() + limit_s
    while True:
        try:
            return await numbers.online(phone)
        except Refusal:
            if time.monotonic() > deadline:
                raise
        await asyncio.sleep(0.02)


@contextmanager
def nowhere() -> Generator[str]:
    """Yield a URL under which nothing listens while this lasts."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


@asynccontextmanager
async def place(called: Callable[[], Hooked]) -> AsyncGenerator[str]:
    """Take calls at `<url>/hooks/<transport>/<account>` and below while this lasts; yields the URL."""

    async def answer(request: Request) -> Response:
        return await called().called(request)

    async def file(request: Request) -> Response:
        return called().file(request)

    calls = ("/hooks/{transport}/{account}", "/hooks/{transport}/{account}/{message}")
    routes = [Route(path, answer, methods=["GET", "POST"]) for path in calls]
    async with answering(Starlette(routes=[*routes, Route("/files/{name}", file)])) as url:
        yield url

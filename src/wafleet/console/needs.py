"""What the console asks of the rest of wafleet, so that a page can be shown with anything that answers the same."""

from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from starlette.requests import HTTPConnection, Request
from starlette.responses import Response

from wafleet.console.cards import Card
from wafleet.tenants import Caller


class Door(Protocol):
    """Who may come in; `wafleet.tenants` has the real one."""

    def known(self) -> Callable[..., Coroutine[Any, Any, Caller]]:
        """Return a dependency: the caller of a request, who must have asked for a change from our own pages."""
        ...

    async def caller(self, connection: HTTPConnection) -> Caller:
        """Return who a connection is. Raises SignInNeeded."""
        ...

    def csrf(self, connection: HTTPConnection) -> str: ...

    async def sign_in(self, request: Request, response: Response, *, email: str, password: str) -> object: ...

    async def sign_out(self, request: Request, response: Response) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkStep:
    """Where linking a phone stands, for the person who holds it."""

    name: str
    phone: str
    stage: str  # starting | scan, then one of: linked | expired | cancelled | refused | passkey | failed
    sentence: str
    next_step: str
    qr: str = ""  # an SVG
    code: str = ""  # the pairing code
    expires_at: datetime | None = None  # of this code; a new one follows by itself


class Desk(Protocol):
    """The fleet, looked at and acted on as one caller may."""

    async def cards(self, caller: Caller) -> Sequence[Card]: ...

    async def place(self, caller: Caller) -> str:
        """Return the name of the tenant looked at, or nothing for the whole fleet."""
        ...

    async def link(self, caller: Caller, account: str) -> None: ...

    async def link_step(self, caller: Caller, account: str) -> LinkStep: ...

    async def cancel_link(self, caller: Caller, account: str) -> None: ...

    async def reconnect(self, caller: Caller, account: str) -> None: ...

    async def enable(self, caller: Caller, account: str) -> None: ...

    async def disable(self, caller: Caller, account: str) -> None: ...

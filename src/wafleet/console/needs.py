"""What the console asks of the rest of wafleet, so that a page can be shown with anything that answers the same."""

from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from starlette.requests import HTTPConnection, Request
from starlette.responses import Response

from wafleet.accounts import Fields, Moved
from wafleet.console.cards import Card
from wafleet.console.checks import Check
from wafleet.console.ways import Way
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
    stage: str  # starting | scan, then one of: linked | expired | cancelled | refused | passkey | wrong_phone | failed
    sentence: str
    next_step: str
    detail: str = ""  # what the network or the library said, where linking failed
    qr: str = ""  # an SVG
    code: str = ""  # the pairing code
    expires_at: datetime | None = None  # of this QR code; a new one follows by itself
    deadline_at: datetime | None = None  # when linking is given up


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


@dataclass(frozen=True, slots=True)
class Offer:
    """A way to WhatsApp that a number may take here."""

    way: Way
    why_not: str = ""  # why it cannot be taken now, with the remedy


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """How far a number is on its way to work, and what its provider must be told."""

    account: str
    name: str
    phone: str
    way: Way
    called: bool  # its provider calls us
    links: bool  # a phone must link it before it works
    keyed: bool  # its credentials may be entered anew
    acts: bool  # the caller may test and link it
    url: str = ""
    checks: Sequence[Check] = ()


class Registrar(Protocol):
    """Adds numbers and moves them from one transport to another."""

    @property
    def called(self) -> Sequence[str]:
        """The transports whose networks call us."""
        ...

    def offers(self, caller: Caller, *, but: str = "") -> Sequence[Offer]:
        """Return the transports there are, in the order people look for them; without the transport `but`."""
        ...

    async def tenants(self, caller: Caller) -> Sequence[str] | None:
        """Return the names to choose from; None: the caller has one tenant only."""
        ...

    async def add(self, caller: Caller, fields: Fields, *, tenant: str, new_tenant: str) -> str:
        """Add an account and return its id. Raises Invalid, NotFound, Conflict, Forbidden.

        tenant      who owns it, by name; empty for a caller with one tenant only, and where there is none yet
        new_tenant  looked at where `tenant` is empty: a tenant that is made with the account
        """
        ...

    async def setup(self, caller: Caller, account: str, *, guess: str) -> Setup:
        """Return how far a number is; `guess` is how this request reached us."""
        ...

    async def try_now(self, caller: Caller, account: str) -> None:
        """Let an account that waits to be tried again be tried at once."""
        ...

    async def rekey(self, caller: Caller, account: str, fields: Fields) -> None:
        """Replace an account's credentials. Raises Invalid."""
        ...

    async def weigh(self, caller: Caller, account: str, to: str) -> Moved:
        """Tell what moving an account would mean, and change nothing."""
        ...

    async def move(self, caller: Caller, account: str, fields: Fields) -> Moved:
        """Move an account to another transport. Raises Invalid, Conflict, Forbidden."""
        ...

"""A fleet and a door in memory, for the console's tests; the real ones have their own."""

import random
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import segno
from fastapi import FastAPI
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response

from wafleet.console import Card, LinkStep
from wafleet.console.needs import Offer
from wafleet.domain.account import State, explain
from wafleet.domain.errors import Conflict, Forbidden, NotFound, SignInNeeded, TooMany
from wafleet.domain.ids import TenantId, UserId, new_id
from wafleet.tenants import EVERYTHING, PERMITS, Caller, Role

BROKERS, GRILL = TenantId(UUID(int=1)), TenantId(UUID(int=2))
NAMES = {BROKERS: "Palm Coast Brokers", GRILL: "Zaytoun Grill"}
PASSWORD = "correct horse"
PEOPLE = {
    "ada@example.com": Caller(
        actor="user:ada@example.com", tenant=None, scopes=EVERYTHING, user=UserId(UUID(int=9)), platform=True
    ),
    "grill@example.com": Caller(
        actor="user:grill@example.com", tenant=GRILL, scopes=PERMITS[Role.VIEWER], user=UserId(UUID(int=8))
    ),
    "boss@example.com": Caller(
        actor="user:boss@example.com", tenant=GRILL, scopes=PERMITS[Role.ADMIN], user=UserId(UUID(int=7))
    ),
}


def now_ms() -> int:
    return int(datetime.now(UTC).timestamp() * 1000)


def card(name: str, *, state: State = State.ONLINE, reason: str = "", **given: Any) -> Card:
    """One account, well unless said otherwise."""
    why = explain(reason)
    made: dict[str, Any] = {
        "id": str(new_id()),
        "name": name,
        "phone": "+966500000001",
        "tenant": NAMES[BROKERS],
        "transport": "simulator",
        "role": "sales",
        "since": now_ms() - 60_000,
        "active": now_ms() - 5_000,
        "waiting": 0,
        "sent": 0,
        "received": 0,
        "spark": [0] * 24,
        **given,
    }
    made["shown"] = made.get("shown", made["phone"])
    said: dict[str, Any] = {"sentence": why.sentence, "next_step": why.next_step} if reason else {}
    all: dict[str, Any] = {"state": state.value, "reason": reason, "sentence": "", "next_step": "", **said, **made}
    return Card(**all)


@dataclass
class FakeDesk:
    """A fleet that changes when a test says so."""

    fleet: dict[str, Card] = field(default_factory=dict[str, Card])
    steps: dict[str, LinkStep] = field(default_factory=dict[str, LinkStep])
    looks: int = 0
    broken: bool = False
    asked: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])

    def put(self, *cards: Card) -> None:
        self.fleet |= {card.id: card for card in cards}

    def change(self, id: str, **fields: Any) -> None:
        self.fleet[id] = msgspec.structs.replace(self.fleet[id], **fields)

    def move(self, id: str, state: State, reason: str) -> None:
        why = explain(reason)
        self.change(id, state=state.value, reason=reason, sentence=why.sentence, next_step=why.next_step)

    async def cards(self, caller: Caller) -> Sequence[Card]:
        self.looks += 1
        if self.broken:
            raise ConnectionError("the database is away")
        return [c for c in self.fleet.values() if caller.tenant is None or c.tenant == NAMES[caller.tenant]]

    async def place(self, caller: Caller) -> str:
        return "" if caller.tenant is None else NAMES[caller.tenant]

    def _find(self, caller: Caller, account: str) -> Card:
        found = self.fleet.get(account)
        if found is None or (caller.tenant is not None and found.tenant != NAMES[caller.tenant]):
            raise NotFound("There is no such account")
        return found

    async def link(self, caller: Caller, account: str) -> None:
        found = self._find(caller, account)
        self.move(account, State.LINKING, "scan")
        self.steps[account] = self._scan(found)

    def _scan(self, found: Card) -> LinkStep:
        why = explain("scan")
        picture = segno.make("2@simulated" * 12, error="l").svg_inline(
            border=0, omitsize=True, svgclass=None, lineclass=None
        )
        until = datetime.now(UTC) + timedelta(seconds=20)
        return LinkStep(
            name=found.name,
            phone=found.shown,
            stage="scan",
            sentence=why.sentence,
            next_step=why.next_step,
            qr=picture,
            code="K7PM-2Q9D",
            expires_at=until,
            deadline_at=until + timedelta(seconds=140),
        )

    def end_link(self, account: str, stage: str, reason: str, state: State) -> None:
        why = explain(reason)
        words = {"sentence": why.sentence, "next_step": why.next_step}
        step = replace(self.steps[account], qr="", code="", expires_at=None, deadline_at=None)
        self.steps[account] = replace(step, stage=stage, **words)
        self.move(account, state, reason)

    async def link_step(self, caller: Caller, account: str) -> LinkStep:
        self._find(caller, account)
        return self.steps[account]

    async def cancel_link(self, caller: Caller, account: str) -> None:
        self._find(caller, account)
        self.end_link(account, "cancelled", "link_cancelled", State.NEW)

    async def reconnect(self, caller: Caller, account: str) -> None:
        if self._find(caller, account).state == State.NEW:
            raise Conflict("It was never linked: link it first")
        self.asked.append(("reconnect", account))

    async def enable(self, caller: Caller, account: str) -> None:
        self._find(caller, account)
        self.asked.append(("enable", account))
        self.move(account, State.CONNECTING, "starting")

    async def disable(self, caller: Caller, account: str) -> None:
        self._find(caller, account)
        self.asked.append(("disable", account))
        self.move(account, State.DISABLED, "stopped")


class FakeDoor:
    """Knows three people by the cookie `wafleet`, which holds their e-mail."""

    def __init__(self) -> None:
        self.tries = 0

    def known(self) -> Callable[..., Coroutine[Any, Any, Caller]]:
        async def checked(request: Request) -> Caller:
            caller = await self.caller(request)
            if request.method != "GET" and request.headers.get("x-csrf-token") != self.csrf(request):
                raise Forbidden("Reload the page and try again")
            return caller

        return checked

    async def caller(self, connection: HTTPConnection) -> Caller:
        known = PEOPLE.get(connection.cookies.get("wafleet", ""))
        if known is None:
            raise SignInNeeded("Sign in first")
        return known

    def csrf(self, connection: HTTPConnection) -> str:
        return f"csrf-of-{connection.cookies.get('wafleet', '')}"

    async def sign_in(self, request: Request, response: Response, *, email: str, password: str) -> object:
        self.tries += 1
        if self.tries > 3:
            raise TooMany("Too many tries from here.", retry_after_s=30)
        if password != PASSWORD or email not in PEOPLE:
            raise SignInNeeded("This address and password do not belong together.")
        self.tries = 0
        response.set_cookie("wafleet", email, httponly=True, samesite="lax")
        return email

    async def sign_out(self, request: Request, response: Response) -> None:
        form = await request.form()
        if form.get("csrf_token") != self.csrf(request):
            raise Forbidden("Reload the page and try again")
        response.delete_cookie("wafleet")


class _NoRegistrar:
    """Where numbers neither come nor move."""

    called = ("twilio",)

    def offers(self, caller: Caller, *, but: str = "") -> Sequence[Offer]:
        return ()

    def __getattr__(self, name: str) -> Any:
        raise NotFound("Numbers are not added here")


NO_REGISTRAR: Any = _NoRegistrar()


def app_of(desk: FakeDesk, door: FakeDoor, live: Any, registrar: Any = None) -> FastAPI:
    from wafleet import console

    app = FastAPI(openapi_url=None)
    app.include_router(console.router(door=door, desk=desk, registrar=registrar or NO_REGISTRAR, live=live))
    return app


def busy_fleet() -> list[Card]:
    """Twelve numbers of two tenants, some of them unwell: what the screenshots of the design show."""
    rng = random.Random(7)
    told = [
        ("Marina lettings", BROKERS, "primary", State.ONLINE, ""),
        ("Palm resale desk", BROKERS, "sales", State.ONLINE, ""),
        ("Off-plan launches", BROKERS, "sales", State.DEGRADED, "reach_out_lock"),
        ("Branch manager", BROKERS, "manager", State.ONLINE, ""),
        ("زيتون — الطلبات", GRILL, "primary", State.ONLINE, ""),
        ("زيتون — التوصيل", GRILL, "delivery", State.OFFLINE, "network"),
        ("Catering", GRILL, "sales", State.ONLINE, ""),
        ("Pool 01", BROKERS, "pool", State.ONLINE, ""),
        ("Pool 02", BROKERS, "pool", State.LOGGED_OUT, "logged_out"),
        ("Pool 03", BROKERS, "pool", State.RECOVERING, "deaf"),
        ("Pool 04", BROKERS, "pool", State.NEW, "created"),
        ("Pool 05", BROKERS, "pool", State.DISABLED, "stopped"),
    ]
    return [
        _busy(rng, number, name, tenant, role, state, reason)
        for number, (name, tenant, role, state, reason) in enumerate(told)
    ]


def thousand() -> list[Card]:
    rng = random.Random(11)
    states = [(State.ONLINE, "")] * 60 + [
        (State.OFFLINE, "network"),
        (State.DEGRADED, "throttled"),
        (State.RECOVERING, "silent"),
        (State.LOGGED_OUT, "logged_out"),
        (State.BLOCKED, "banned"),
        (State.CONNECTING, "starting"),
        (State.DISABLED, "stopped"),
    ]
    return [
        _busy(
            rng,
            n,
            f"Pool {n:04d}",
            rng.choice([BROKERS, GRILL]),
            rng.choice(["pool", "sales", "primary"]),
            *rng.choice(states),
        )
        for n in range(1000)
    ]


def _busy(rng: random.Random, n: int, name: str, tenant: TenantId, role: str, state: State, reason: str) -> Card:
    quiet = state in (State.NEW, State.DISABLED)
    level, local = rng.uniform(2, 24), f"{4121000 + n * 373:07d}"
    spark = [0 if quiet else max(0, round(rng.gauss(level, level / 2.2))) for _ in range(24)]
    if state in (State.OFFLINE, State.LOGGED_OUT, State.BLOCKED):
        spark[19:] = [0] * 5
    down = state in (State.OFFLINE, State.LOGGED_OUT, State.BLOCKED, State.DEGRADED)
    return card(
        name,
        state=state,
        reason=reason,
        tenant=NAMES[tenant],
        role=role,
        phone=f"+96650{local}",
        shown=f"+966 50 {local[:3]} {local[3:]}",
        active=None
        if state is State.NEW
        else now_ms() - (rng.randint(900, 4000) if down else rng.randint(1, 90)) * 1000,
        waiting=rng.randint(8, 190) if down else rng.choice([0, 0, 0, 1, 3]),
        sent=0 if quiet else sum(spark) * rng.randint(2, 4),
        received=0 if quiet else sum(spark) * rng.randint(1, 3),
        spark=spark,
    )

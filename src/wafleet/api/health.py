"""What monitors and load balancers ask: is it up, is it ready, how is the fleet; and metrics for Prometheus."""

import asyncio
import ipaddress
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

import structlog
from fastapi import APIRouter, Depends, Request, Response
from fastapi.security import HTTPBearer
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel

from wafleet.domain.errors import Forbidden, Unavailable
from wafleet.engine.clock import Clock
from wafleet.engine.db import Db
from wafleet.tenants import Auth, Scope

log = structlog.get_logger(__name__)

NOT_MEANT: Final = frozenset({"total", "new", "linking", "disabled"})  # nobody expects these to be online now
WELL_ENOUGH: Final = 0.9
REMEMBERED_S: Final = 1.0
PATIENCE_S: Final = 3.0
FORWARDED: Final = ("forwarded", "x-forwarded-for", "x-real-ip")


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthSources:
    """Where the answers come from.

    accounts    how many accounts are in each state, fleet-wide; `total` may be among them
    waiting     how many messages wait to be sent
    current     whether the database has exactly this program's migrations
    """

    db: Db
    clock: Clock
    node: str
    version: str
    accounts: Callable[[], Awaitable[Mapping[str, int]]]
    waiting: Callable[[], Awaitable[int]]
    current: Callable[[], Awaitable[bool]]


class DatabaseHealth(BaseModel):
    reachable: bool
    answer_ms: float | None


class Health(BaseModel):
    """How the fleet is: `degraded` when fewer than 9 in 10 accounts that should be online are; `down`: no database."""

    status: Literal["ok", "degraded", "down"]
    version: str
    node: str
    database: DatabaseHealth
    accounts: dict[str, int]
    waiting: int | None


class Alive(BaseModel):
    status: Literal["ok"] = "ok"


def router(sources: HealthSources, auth: Auth) -> APIRouter:
    """Return /health, /health/live, /health/ready and /metrics. Health needs no credentials and tells only counts."""
    routes = APIRouter(tags=["health"])
    _add_metrics(routes, auth)
    look = _Look(sources)

    @routes.get("/health", responses={503: {}})
    async def health(response: Response) -> Health:
        """Say how the fleet is: 200 while the database answers, with `status` telling ok from degraded."""
        found = await look.now()
        if found.status == "down":
            response.status_code = 503
        return found

    @routes.get("/health/live")
    async def live() -> Alive:
        """Say that the process is up; restart it when this does not answer."""
        return Alive()

    @routes.get("/health/ready")
    async def ready() -> Alive:
        """Say whether this node can serve: the database answers and has this program's schema."""
        if not (await look.now()).database.reachable:
            raise Unavailable("The database cannot be reached: check it and WAFLEET_DATABASE_URL", code="not_ready")
        if not await _current(sources):
            raise Unavailable("The database has another schema: run `wafleet migrate`", code="not_ready")
        return Alive()

    return routes


async def _current(sources: HealthSources) -> bool:
    """Tell whether the schema is this program's; one that cannot even be compared is not."""
    try:
        return await sources.current()
    except Exception as error:
        log.warning("schema_not_comparable", error=str(error))
        return False


def _add_metrics(routes: APIRouter, auth: Auth) -> None:
    @routes.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
    async def metrics(
        request: Request, _bearer: Annotated[object, Depends(HTTPBearer(auto_error=False))] = None
    ) -> Response:
        """Return this node's metrics for Prometheus.

        Open to programs on this machine that come without a proxy; others need the scope read over the whole fleet.
        """
        if not _on_this_machine(request):
            caller = await auth.caller(request)
            caller.require(Scope.READ)
            if caller.tenant is not None:
                raise Forbidden("Metrics cover the whole fleet: use a token for the whole fleet")
        return Response(await asyncio.to_thread(generate_latest), media_type=CONTENT_TYPE_LATEST)


class _Look:
    """Looks at most once a second: anybody may ask, and asking must cost nothing."""

    def __init__(self, sources: HealthSources) -> None:
        self._sources = sources
        self._lock = asyncio.Lock()
        self._last: tuple[float, Health] | None = None

    async def now(self) -> Health:
        async with self._lock:
            at = self._sources.clock.monotonic()
            if self._last is None or at - self._last[0] >= REMEMBERED_S:
                self._last = (at, await self._look())
            return self._last[1]

    async def _look(self) -> Health:
        sources = self._sources
        known: dict[str, Any] = {"version": sources.version, "node": sources.node}
        try:
            async with asyncio.timeout(PATIENCE_S):
                began = asyncio.get_running_loop().time()
                await sources.db.ping()
                answer_ms = (asyncio.get_running_loop().time() - began) * 1000
                accounts, waiting = dict(await sources.accounts()), await sources.waiting()
        except Exception:  # whatever it is, the fleet cannot be seen
            away = DatabaseHealth(reachable=False, answer_ms=None)
            return Health(status="down", database=away, accounts={}, waiting=None, **known)
        accounts.setdefault("total", sum(accounts.values()))
        accounts.setdefault("online", 0)
        database = DatabaseHealth(reachable=True, answer_ms=round(answer_ms, 1))
        return Health(status=_status(accounts), database=database, accounts=accounts, waiting=waiting, **known)


def _status(accounts: Mapping[str, int]) -> Literal["ok", "degraded"]:
    meant = sum(count for state, count in accounts.items() if state not in NOT_MEANT)
    return "ok" if accounts["online"] >= WELL_ENOUGH * meant else "degraded"


def _on_this_machine(request: Request) -> bool:
    if request.client is None or any(name in request.headers for name in FORWARDED):
        return False
    try:
        return ipaddress.ip_address(request.client.host).is_loopback
    except ValueError:
        return False

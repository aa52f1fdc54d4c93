"""The composition root: builds every object once, floor by floor, and closes them in reverse. Read this first."""

import asyncio
from collections.abc import AsyncGenerator, Coroutine, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import structlog
from fastapi import APIRouter, FastAPI

from wafleet import console
from wafleet.accounts import SESSIONS, Accounts, Fleet, FleetFiles, Live, LiveFleet, svg
from wafleet.accounts import routes as accounts_routes
from wafleet.api import HealthSources, HttpLimits, build_http
from wafleet.api import simulator as simulator_routes
from wafleet.config import Settings
from wafleet.domain.ids import AccountId
from wafleet.domain.inbound import Inbound, Receipt
from wafleet.engine import bus
from wafleet.engine.clock import Clock, SystemClock
from wafleet.engine.db import Db
from wafleet.engine.jobs import Jobs
from wafleet.engine.leases import Node
from wafleet.engine.loops import Loop, run_loops
from wafleet.engine.migrate import migrate, pending
from wafleet.engine.nodes import node_name
from wafleet.engine.postgres import open_postgres
from wafleet.engine.secrets import MasterKey, Secrets, load_or_create_key, open_secrets
from wafleet.engine.wakes import Wakes
from wafleet.flows import Flows
from wafleet.inbox import Inbox
from wafleet.inbox import routes as inbox_routes
from wafleet.outbox import OUTBOX, Lanes, Outbox
from wafleet.outbox import routes as outbox_routes
from wafleet.tenants import Auth, Tenants
from wafleet.tenants import routes as tenants_routes
from wafleet.transports.base import Transport
from wafleet.transports.simulated import Simulated

log = structlog.get_logger(__name__)
INBOX: Final = "inbox"  # woken when customers' messages were stored
VERSION: Final = version("wafleet")
DRAIN_S: Final = 2.0  # for what is on the wire when wafleet is stopped
LEAVE_S: Final = 4.0  # for handing the accounts over; others take them anyway once the leases run out


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """What is durable, and knows no WhatsApp."""

    dsn: str
    db: Db
    clock: Clock
    secrets: Secrets
    wakes: Wakes
    node: Node

    def told(self) -> None:
        """Say that the event log grew."""
        self.wakes.wake_here(bus.TOPIC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Slices:
    """The capabilities, each whole in its folder."""

    tenants: Tenants
    auth: Auth
    generated_password: str | None  # of the first administrator; shown this once
    accounts: Accounts
    fleet: Fleet
    fleet_files: FleetFiles
    live: LiveFleet
    lanes: Lanes
    outbox: Outbox
    inbox: Inbox
    flows: Flows


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """A running wafleet, for the program that serves it and for tests that look inside."""

    settings: Settings
    engine: Engine
    slices: Slices
    http: FastAPI
    stopping: asyncio.Event  # set it to end streams and duties; leaving sets it too


@asynccontextmanager
async def open_app(
    settings: Settings, *, clock: Clock | None = None, transports: Mapping[str, Transport] | None = None
) -> AsyncGenerator[App]:
    """Build everything and run its duties; leaving finishes what is on the wire and hands the accounts over.

    transports  in place of those the settings ask for: tests pass their own
    """
    async with AsyncExitStack() as stack:
        engine = await _engine(stack, settings, clock or SystemClock())
        reach = await _transports(stack, settings) if transports is None else transports
        slices = await _slices(engine, settings, reach)
        stopping = asyncio.Event()
        http = _faces(engine, slices, reach, settings, stopping)
        await engine.node.join()
        await stack.enter_async_context(_in_motion(engine, slices, settings, stopping))
        yield App(settings=settings, engine=engine, slices=slices, http=http, stopping=stopping)


async def _engine(stack: AsyncExitStack, settings: Settings, clock: Clock) -> Engine:
    dsn = settings.database_url or await stack.enter_async_context(open_postgres(settings.data_dir / "postgres"))
    await migrate(dsn)
    db = await stack.enter_async_context(Db.open(dsn, connections=settings.node.database_connections))
    async with db.fleet_tx() as tx:
        await bus.rebase(tx)
    name = stack.enter_context(node_name(settings.data_dir / "nodes", named=settings.node.name))
    return Engine(
        dsn=dsn,
        db=db,
        clock=clock,
        secrets=await open_secrets(db, _master_key(settings)),
        wakes=Wakes(dsn, node=name),
        node=Node(db, clock, name=name, version=VERSION, ttl=timedelta(seconds=settings.node.lease_s)),
    )


async def _transports(stack: AsyncExitStack, settings: Settings) -> Mapping[str, Transport]:
    if not settings.simulator.enabled:
        return {}
    simulated = Simulated.at(_simulator_folder(settings), answer_s=settings.outbox.answer_limit_s)
    stack.push_async_callback(simulated.close)
    return {"simulator": simulated}


async def _slices(engine: Engine, settings: Settings, transports: Mapping[str, Transport]) -> Slices:
    db, clock, wakes = engine.db, engine.clock, engine.wakes
    tenants = Tenants(db, clock)
    accounts = Accounts(db, secrets=engine.secrets, wakes=wakes, transports=transports)
    outbox = Outbox(db=db, clock=clock, wakes=wakes, transports=transports, settings=settings.outbox)
    inbox = Inbox(db, woken=lambda: wakes.wake(INBOX), most=settings.inbox.batch)
    lanes = Lanes(db=db, clock=clock, node=engine.node, settings=settings.outbox, told=engine.told)
    live = LiveFleet(
        db=db,
        clock=clock,
        node=engine.node,
        secrets=engine.secrets,
        transports=transports,
        traffic=_Traffic(inbox, lanes),
        sessions=settings.sessions,
        keep_alive=settings.keep_alive,
        told=engine.told,
    )
    password = settings.admin_password.get_secret_value() if settings.admin_password else None
    return Slices(
        tenants=tenants,
        auth=Auth(tenants, public_url=settings.public_url),
        generated_password=await tenants.ensure_admin(settings.admin_email, password),
        accounts=accounts,
        fleet=Fleet(db, clock),
        fleet_files=FleetFiles(db, accounts=accounts, secrets=engine.secrets),
        live=live,
        lanes=lanes,
        outbox=outbox,
        inbox=inbox,
        flows=Flows(db, outbox=outbox, node=engine.node.name),
    )


def _faces(
    engine: Engine,
    slices: Slices,
    transports: Mapping[str, Transport],
    settings: Settings,
    stopping: asyncio.Event,
) -> FastAPI:
    auth = slices.auth
    sources = HealthSources(
        db=engine.db,
        clock=engine.clock,
        node=engine.node.name,
        version=VERSION,
        accounts=slices.fleet.states,
        waiting=slices.fleet.waiting,
        current=lambda: _is_current(engine.dsn),
    )
    routers = [
        tenants_routes.router(slices.tenants, auth),
        accounts_routes.router(slices.accounts, slices.fleet, auth),
        accounts_routes.file_router(slices.fleet_files, auth),
        outbox_routes.router(slices.outbox, auth),
        inbox_routes.router(engine.db, auth),
    ]
    if settings.simulator.enabled:
        routers.append(simulator_routes.router(_simulator_folder(settings), auth))
    return build_http(
        auth=auth,
        health_sources=sources,
        routers=routers,
        pages=[_console(engine, slices, transports, stopping)] if settings.console.enabled else [],
        limits=HttpLimits(
            body_bytes=settings.api.body_limit_kb * 1024,
            requests_per_s=settings.api.per_token_per_second,
            burst=2 * settings.api.per_token_per_second,
        ),
        https=(settings.public_url or "").startswith("https"),
    )


def _console(engine: Engine, slices: Slices, transports: Mapping[str, Transport], stopping: asyncio.Event) -> APIRouter:
    desk = console.FleetDesk(
        accounts=slices.accounts,
        fleet=slices.fleet,
        tenants=slices.tenants,
        picture=svg,
        linkable={kind for kind, one in transports.items() if one.capabilities.linking},
    )
    live = console.Live(desk.cards, clock=engine.clock, stopping=stopping)
    return console.router(door=slices.auth, desk=desk, live=live)


def _upkeep(engine: Engine, slices: Slices, settings: Settings) -> Jobs:
    """Clean up every night what is kept for a time only, on whichever node comes first."""
    keep = settings.retention
    jobs = Jobs(engine.db, keep=timedelta(days=keep.jobs_days))

    @jobs.job("upkeep.outbox", every="10 3 * * *")
    async def outbox() -> None:
        await slices.outbox.forget(
            keys_older_than=timedelta(days=keep.idempotency_days),
            strays_older_than=timedelta(days=keep.stray_receipts_days),
        )

    @jobs.job("upkeep.tallies", every="20 3 * * *")
    async def tallies() -> None:
        await slices.live.fold_tallies(older_than=timedelta(days=keep.tallies_days))

    @jobs.job("upkeep.events", every="30 3 * * *")
    async def events() -> None:
        gone = True
        while gone:
            async with engine.db.fleet_tx() as tx:
                gone = await bus.trim(tx, older_than=timedelta(days=keep.events_days)) > 0

    return jobs


@asynccontextmanager
async def _in_motion(
    engine: Engine, slices: Slices, settings: Settings, stopping: asyncio.Event
) -> AsyncGenerator[None]:
    """Run every duty until left; then finish what is on the wire, hand the accounts over, and store the rest."""
    handle = Loop(name="flows", turn=slices.flows.turn, every=timedelta(seconds=2))
    engine.wakes.subscribe(SESSIONS, lambda _: slices.live.look())
    engine.wakes.subscribe(OUTBOX, lambda ids: slices.lanes.wake(None if ids is None else map(_account, ids)))
    engine.wakes.subscribe(INBOX, lambda _: handle.woken.set())
    roles = settings.node.roles
    loops: list[Loop] = [*slices.tenants.loops()]
    running: list[Coroutine[Any, Any, None]] = [slices.outbox.run(), slices.inbox.run(), engine.wakes.run()]
    if "lanes" in roles:
        loops += [*slices.live.loops(renew_s=settings.node.renew_s), *slices.lanes.loops()]
        running += [slices.lanes.run(), slices.live.run()]
    if "duties" in roles:
        loops += [handle, *slices.outbox.loops()]
        running.append(_upkeep(engine, slices, settings).run(stopping))
    running.append(run_loops(loops, clock=engine.clock, stopping=stopping))
    tasks = [asyncio.create_task(one, name=one.__qualname__) for one in running]
    for task in tasks:
        task.add_done_callback(lambda ended: _mourn(ended, stopping))
    try:
        yield
    finally:
        await slices.lanes.drain(DRAIN_S)
        await slices.live.leave(LEAVE_S)
        await asyncio.gather(slices.lanes.drain_settling(DRAIN_S), slices.inbox.drain(DRAIN_S))
        stopping.set()
        await asyncio.wait(tasks[-1:], timeout=DRAIN_S)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _mourn(task: "asyncio.Task[None]", stopping: asyncio.Event) -> None:
    """Stop when a part that must run for ever has died: a program that is half alive helps nobody."""
    if not task.cancelled() and not stopping.is_set() and (error := task.exception()) is not None:
        log.critical("part_died", part=task.get_name(), error=repr(error), exc_info=error)
        stopping.set()


class _Traffic:
    """Hands what sessions hear to the slices that store it."""

    def __init__(self, inbox: Inbox, lanes: Lanes) -> None:
        self._inbox, self._lanes = inbox, lanes

    def received(self, live: Live, inbound: Inbound) -> "asyncio.Future[bool]":
        return self._inbox.accept(live.tenant, live.account, inbound)

    def receipt(self, live: Live, receipt: Receipt) -> None:
        self._lanes.receipt(live, receipt)

    async def opened(self, live: Live) -> None:
        await self._lanes.opened(live)

    def closed(self, live: Live) -> None:
        self._lanes.closed(live)


def _simulator_folder(settings: Settings) -> Path:
    return settings.simulator.folder or settings.data_dir / "simulator"


def _master_key(settings: Settings) -> MasterKey:
    if settings.master_key is not None:
        return MasterKey.parse(settings.master_key.get_secret_value())
    return load_or_create_key(settings.data_dir)


async def _is_current(dsn: str) -> bool:
    return not await pending(dsn)


def _account(text: str) -> AccountId:
    return AccountId(UUID(text))

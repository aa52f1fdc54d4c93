"""The composition root: builds every object once, floor by floor, and closes them in reverse. Read this first."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta

from wafleet import clientlib
from wafleet.accounts import ANSWERED, Accounts, Asks, Callees, Fleet, FleetFiles, LiveFleet, Said, Signs, UnknownCodes
from wafleet.app.faces import VERSION, build_faces
from wafleet.app.motion import FILES, INBOX, in_motion
from wafleet.app.parts import App, Engine, Slices
from wafleet.app.transports import build_transports
from wafleet.config import Settings
from wafleet.engine import bus
from wafleet.engine.clock import Clock, SystemClock
from wafleet.engine.db import Db
from wafleet.engine.leases import Node
from wafleet.engine.migrate import migrate
from wafleet.engine.nodes import node_name
from wafleet.engine.postgres import open_postgres
from wafleet.engine.secrets import MasterKey, load_or_create_key, open_secrets
from wafleet.engine.wakes import Wakes
from wafleet.flows import Flows
from wafleet.inbox import Files, Gaps, Hooks, Inbox, SessionTraffic, takers
from wafleet.media import MediaStore, place
from wafleet.outbox import Lanes, Outbox
from wafleet.tenants import Auth, Tenants
from wafleet.transports.base import Transport
from wafleet.transports.calls import Calls

__all__ = ["App", "Engine", "Slices", "open_app"]


@asynccontextmanager
async def open_app(
    settings: Settings, *, clock: Clock | None = None, transports: Mapping[str, Transport] | None = None
) -> AsyncGenerator[App]:
    """Build everything and run its duties; leaving finishes what is on the wire and hands the accounts over.

    transports  in place of those the settings ask for: tests pass their own
    """
    async with AsyncExitStack() as stack:
        engine = await _engine(stack, settings, clock or SystemClock())
        media = _media(engine, settings)
        if transports is None:
            transports = build_transports(stack, settings, keep_media=media.keep)
        slices = await _slices(engine, settings, transports, media)
        stopping = asyncio.Event()
        http = build_faces(engine, slices, transports, settings, stopping)
        await engine.node.join()
        await stack.enter_async_context(in_motion(engine, slices, settings, stopping))
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


def _media(engine: Engine, settings: Settings) -> MediaStore:
    return MediaStore(
        engine.db,
        blobs=place(settings.media, settings.data_dir / "media"),
        clock=engine.clock,
        secrets=engine.secrets,
        settings=settings.media,
        public_url=settings.public_url,
    )


async def _slices(engine: Engine, settings: Settings, transports: Mapping[str, Transport], media: MediaStore) -> Slices:
    db, clock, wakes = engine.db, engine.clock, engine.wakes
    tenants = Tenants(db, clock)
    accounts = Accounts(db, secrets=engine.secrets, wakes=wakes, transports=transports, public_url=settings.public_url)
    outbox = Outbox(db=db, clock=clock, wakes=wakes, transports=transports, settings=settings.outbox)
    inbox = Inbox(db, woken=lambda: wakes.wake(INBOX), files=lambda: wakes.wake(FILES), most=settings.inbox.batch)
    lanes = _lanes(engine, settings, media)
    gaps, signs = Gaps(db, inbox=inbox, clock=clock), Signs(db, changed=accounts.wake)
    live = _live(engine, settings, transports, SessionTraffic(inbox, lanes, gaps), signs)
    callees = Callees(db, clock=clock, secrets=engine.secrets)
    password = settings.admin_password.get_secret_value() if settings.admin_password else None
    return Slices(
        tenants=tenants,
        auth=Auth(tenants, public_url=settings.public_url),
        generated_password=await tenants.ensure_admin(settings.admin_email, password),
        accounts=accounts,
        asks=Asks(db, clock, wakes=wakes, transports=transports),
        fleet=Fleet(db, clock),
        fleet_files=FleetFiles(db, accounts=accounts, secrets=engine.secrets),
        live=live,
        signs=signs,
        callees=callees,
        unknown_codes=UnknownCodes(db, told=engine.told),
        hooks=Hooks(
            calls={kind: one for kind, one in transports.items() if isinstance(one, Calls)},
            callees=callees,
            takers=takers(inbox, lanes, signs),
            public_url=settings.public_url,
        ),
        lanes=lanes,
        outbox=outbox,
        inbox=inbox,
        flows=Flows(db, outbox=outbox, node=engine.node.name),
        media=media,
        files=Files(db, transports=transports, callees=callees, keep=media.keep_announced, told=engine.told),
    )


def _lanes(engine: Engine, settings: Settings, media: MediaStore) -> Lanes:
    return Lanes(
        db=engine.db,
        clock=engine.clock,
        node=engine.node,
        settings=settings.outbox,
        told=engine.told,
        files=media.read,
        links=media.shared,
    )


def _live(
    engine: Engine, settings: Settings, transports: Mapping[str, Transport], traffic: SessionTraffic, signs: Signs
) -> LiveFleet:
    return LiveFleet(
        db=engine.db,
        clock=engine.clock,
        node=engine.node,
        secrets=engine.secrets,
        transports=transports,
        traffic=traffic,
        sessions=settings.sessions,
        keep_alive=settings.keep_alive,
        told=engine.told,
        clients={"device": clientlib.FULL_NAME},
        answered=lambda ask: engine.wakes.wake(ANSWERED, str(ask)),
        signed=lambda account, transport, sign: signs.batch.put(Said(account, transport, sign)),
    )


def _master_key(settings: Settings) -> MasterKey:
    if settings.master_key is not None:
        return MasterKey.parse(settings.master_key.get_secret_value())
    return load_or_create_key(settings.data_dir)

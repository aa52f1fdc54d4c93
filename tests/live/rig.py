"""A node on a world of its own: real database, real lanes and sessions, the network in this process."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeVar

from tests.outbox.lines import new_tenant

from wafleet.accounts import Accounts, Live, LiveFleet
from wafleet.config import KeepAliveSettings, OutboxSettings, SessionsSettings
from wafleet.domain.ids import AccountId, MessageId, TenantId, new_id
from wafleet.domain.inbound import Inbound, Receipt
from wafleet.domain.message import Text
from wafleet.engine.clock import SystemClock
from wafleet.engine.db import Db
from wafleet.engine.leases import Node
from wafleet.engine.loops import run_loops
from wafleet.engine.secrets import MasterKey, open_secrets
from wafleet.engine.wakes import Wakes
from wafleet.inbox import Inbox
from wafleet.outbox import Draft, Lanes
from wafleet.outbox.service import enqueue
from wafleet.simulator.orders import Say, StartFault
from wafleet.simulator.world import World
from wafleet.transports.device.driver import Device
from wafleet.transports.simulated import Simulated

T = TypeVar("T")
KEY = MasterKey(b"k" * 32)
BRISK = SessionsSettings(backoff_first_s=0.05, backoff_most_s=0.2, connect_limit_s=3)
WATCHFUL = KeepAliveSettings(every_s=0.2, limit_s=0.3, tries=2, canary_after_s=0.5, receipt_lag_s=0.5)


class _Traffic:
    def __init__(self, inbox: Inbox, lanes: Lanes) -> None:
        self.inbox, self.lanes = inbox, lanes

    def received(self, live: Live, inbound: Inbound) -> "asyncio.Future[bool]":
        return self.inbox.accept(live.tenant, live.account, inbound)

    def receipt(self, live: Live, receipt: Receipt) -> None:
        self.lanes.receipt(live, receipt)

    async def opened(self, live: Live) -> None:
        await self.lanes.opened(live)

    def closed(self, live: Live) -> None:
        self.lanes.closed(live)


@dataclass
class RunningNode:
    """A node in motion; `kill` stops it as a crash would: nothing is said to anybody."""

    node: Node
    live: LiveFleet
    lanes: Lanes
    transport: Simulated | Device
    tasks: list["asyncio.Task[Any]"]
    stopping: asyncio.Event
    inbox: Inbox

    async def kill(self) -> None:
        helds = self.live.holdings._held.values()  # pyright: ignore[reportPrivateUsage]
        works = [one for held in helds for one in (held.work, held.keeping) if one is not None]
        for task in (*self.tasks, *works):
            task.cancel()
        await asyncio.gather(*self.tasks, *works, return_exceptions=True)
        await self.transport.close()


@dataclass
class Rig:
    """One database, one world, and nodes that come and go."""

    db: Db
    world: World
    tenant: TenantId
    nodes: list[RunningNode] = field(default_factory=list[RunningNode])
    device: Device | None = None  # instead of the simulated network

    @property
    def kind(self) -> str:
        return "device" if self.device else "simulator"

    async def start(self, name: str = "n1", **settings: Any) -> RunningNode:
        clock = SystemClock()
        node = Node(self.db, clock, name=name, version="1", ttl=timedelta(seconds=settings.pop("lease_s", 6)))
        await node.join()
        transport = self.device or Simulated.within(self.world, answer_s=1, open_s=2)
        inbox = Inbox(self.db, woken=lambda: None)
        lanes = Lanes(
            db=self.db, clock=clock, node=node, settings=settings.pop("outbox", OutboxSettings()), told=lambda: None
        )
        live = LiveFleet(
            db=self.db,
            clock=clock,
            node=node,
            secrets=await open_secrets(self.db, KEY),
            transports={self.kind: transport},
            traffic=_Traffic(inbox, lanes),
            sessions=settings.pop("sessions", BRISK),
            keep_alive=settings.pop("keep_alive", WATCHFUL),
            told=lambda: None,
            clients=settings.pop("clients", None),
            probe_s=settings.pop("probe_s", 600),
        )
        stopping = asyncio.Event()
        loops = [*live.loops(renew_s=settings.pop("renew_s", 0.2)), *lanes.loops()]
        works = [live.run(), lanes.run(), inbox.run(), run_loops(loops, clock=clock, stopping=stopping)]
        running = RunningNode(
            node, live, lanes, transport, [asyncio.create_task(one) for one in works], stopping, inbox
        )
        self.nodes.append(running)
        return running

    async def account(self, phone: str, *, linked: bool = True, priority: int = 0) -> AccountId:
        """Add an account that waits to be run; its phone is linked already."""
        id = AccountId(new_id())
        secrets = await open_secrets(self.db, KEY)
        credentials = secrets.encrypt(self.world.link(phone), about=id.bytes) if linked else None
        async with self.db.fleet_tx() as tx:
            await tx.run(
                """
                insert into accounts (id, tenant_id, name, phone, transport, state, reason, credentials, priority)
                values (%(id)s, %(tenant)s, %(phone)s, %(phone)s, %(kind)s, %(state)s, 'starting', %(credentials)s,
                        %(priority)s)
                """,
                id=id,
                tenant=self.tenant,
                phone=phone,
                kind=self.kind,
                state="offline" if linked else "linking",
                credentials=credentials,
                priority=priority,
            )
        return id

    async def put(self, account: AccountId, *texts: str, to: str = "+447700900001") -> list[MessageId]:
        """Queue messages, and wake the lanes of every node."""
        drafts = [Draft(account=account, tenant=self.tenant, to=to, content=Text(one)) for one in texts]
        async with self.db.fleet_tx() as tx:
            queued = [one.id for one in await enqueue(tx, drafts) if one is not None]
        for one in self.nodes:
            one.lanes.wake([account])
        return queued

    def say(self, phone: str, text: str, *, customer: str = "+447700900001") -> str:
        return self.world.say(Say(customer=customer, account=phone, text=text))

    def fault(self, phone: str, kind: str, *, lasts: float | None = None) -> None:
        self.world.start_fault(StartFault(account=phone, kind=kind, lasts=lasts))

    async def state(self, account: AccountId) -> tuple[str, str]:
        async with self.db.fleet_tx() as tx:
            rows = await tx.tuples("select state, reason from accounts where id = %(id)s", id=account)
        return rows[0][0], rows[0][1]

    async def messages(self) -> dict[MessageId, str]:
        async with self.db.fleet_tx() as tx:
            return dict(await tx.tuples("select message_id, state from outbox order by seq"))

    async def stored(self) -> list[str]:
        async with self.db.fleet_tx() as tx:
            rows = await tx.tuples("select words from messages where direction = 'in' order by seq")
        return [row[0] for row in rows]


async def service(rig: Rig, dsn: str) -> Accounts:
    transports = {rig.kind: rig.device or Simulated.within(rig.world)}
    return Accounts(rig.db, secrets=await open_secrets(rig.db, KEY), wakes=Wakes(dsn), transports=transports)


async def until(look: Callable[[], Awaitable[T]], wanted: Callable[[T], bool], *, limit_s: float = 10) -> T:
    """Look again and again until it is as wanted; fail with what was seen last."""
    seen = await look()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(limit_s):
            while not wanted(seen):
                await asyncio.sleep(0.02)
                seen = await look()
    assert wanted(seen), f"still {seen!r} after {limit_s} s"
    return seen


@contextlib.asynccontextmanager
async def open_rig(db: Db, world: World) -> AsyncGenerator[Rig]:
    rig = Rig(db, world, await new_tenant(db))
    try:
        yield rig
    finally:
        for node in rig.nodes:
            await node.kill()

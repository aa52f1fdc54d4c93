"""One tenant with accounts under lease, and short ways to queue, claim and look."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from wafleet.domain.ids import AccountId, ConversationId, MessageId, TenantId, new_id
from wafleet.domain.message import Priority, Sending, Text
from wafleet.engine import leases
from wafleet.engine.db import Db
from wafleet.engine.leases import Lease
from wafleet.outbox.lanes import store as lanes
from wafleet.outbox.model import Claim, Draft, Outcome
from wafleet.outbox.service import enqueue

TTL = timedelta(minutes=1)
TO = "+447700900001"


@dataclass
class Line:
    """An account that a node holds."""

    db: Db
    tenant: TenantId
    account: AccountId
    lease: Lease
    node: str = "n1"

    async def put(
        self,
        *texts: str,
        to: str = TO,
        priority: Priority = Priority.REPLY,
        due_at: datetime | None = None,
    ) -> list[MessageId]:
        drafts = [
            Draft(account=self.account, tenant=self.tenant, to=to, content=Text(one), priority=priority, due_at=due_at)
            for one in texts
        ]
        async with self.db.fleet_tx() as tx:
            return [one.id for one in await enqueue(tx, drafts) if one is not None]

    async def claim(
        self, room: int = 16, lease: Lease | None = None, cooling: Sequence[ConversationId] = (), **more: Any
    ) -> list[Claim]:
        lease = lease or self.lease
        async with self.db.fleet_tx() as tx:
            return await lanes.claim(
                tx,
                node=self.node,
                turns=[lanes.Turn(self.account, lease.epoch, room, "simulator")],
                cooling=cooling,
                **more,
            )

    async def settle(self, claim: Claim, to: Sending, **more: Any) -> bool:
        outcome = Outcome(
            message=claim.id, account=claim.account, epoch=claim.epoch, claims=claim.claims, to=to, **more
        )
        async with self.db.fleet_tx() as tx:
            return (await lanes.settle(tx, [outcome]))[0]

    async def take(self, node: str) -> Lease:
        """Let a node take the account, as it would after the lease ran out."""
        async with self.db.fleet_tx() as tx:
            await tx.run("insert into nodes (name, version) values (%(n)s, '1') on conflict do nothing", n=node)
            await tx.run("update leases set expires_at = '-infinity'")
            (lease,) = await leases.take(tx, names=[f"account:{self.account}"], holder=node, ttl=TTL)
        self.lease, self.node = lease, node
        return lease

    async def talk(self, to: str = TO) -> ConversationId:
        async with self.db.fleet_tx() as tx:
            return await tx.value("select id from conversations where identity = %(to)s", to=to)

    async def heard(self, to: str = TO, *, ago: timedelta = timedelta()) -> None:
        """Let somebody have written some time ago."""
        async with self.db.fleet_tx() as tx:
            await tx.run(
                "update conversations set last_inbound_at = now() - %(ago)s where identity = %(to)s", ago=ago, to=to
            )

    async def state(self, message: MessageId) -> str:
        async with self.db.fleet_tx() as tx:
            return await tx.value("select state from outbox where message_id = %(id)s", id=message)

    async def states(self) -> list[str]:
        async with self.db.fleet_tx() as tx:
            return [row[0] for row in await tx.tuples("select state from outbox order by seq")]


async def new_tenant(db: Db, name: str = "Sharq") -> TenantId:
    tenant = TenantId(new_id())
    async with db.fleet_tx() as tx:
        await tx.run("insert into tenants (id, name) values (%(id)s, %(name)s)", id=tenant, name=name)
    return tenant


async def new_line(db: Db, tenant: TenantId, phone: str = "+971500000001") -> Line:
    account = AccountId(new_id())
    async with db.fleet_tx() as tx:
        await tx.run(
            """
            insert into accounts (id, tenant_id, name, phone, transport, state, reason)
            values (%(id)s, %(tenant)s, %(phone)s, %(phone)s, 'simulator', 'online', '')
            """,
            id=account,
            tenant=tenant,
            phone=phone,
        )
    line = Line(db, tenant, account, Lease("", 0))
    await line.take("n1")
    return line

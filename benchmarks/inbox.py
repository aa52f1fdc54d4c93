"""How fast messages of customers become durable, beside raw group-committed inserts of the same rows.

Each message is stored with its conversation, its event and its tallies, in transactions of at most 500; the raw figure
is the same messages alone, in transactions of 500, with every index of the table.
"""

import asyncio
import random
import time
from collections.abc import Sequence
from datetime import UTC, datetime

from benchmarks.figures import Figure
from benchmarks.place import open_database
from wafleet import outbox
from wafleet.domain.ids import AccountId, ConversationId, TenantId, new_id
from wafleet.domain.inbound import Inbound
from wafleet.domain.message import Text
from wafleet.engine.db import Db, Tx
from wafleet.inbox.accept import MOST, Inbox, arrival
from wafleet.inbox.store import Arrival

ACCOUNTS = 200
TALK = ["hello", "thanks", "price", "delivery", "tomorrow", "address", "مرحبا", "شكرا", "طلب", "توصيل", "السعر", "غدا"]


async def fleet(db: Db, accounts: int) -> tuple[TenantId, list[AccountId]]:
    tenant, ids = TenantId(new_id()), [AccountId(new_id()) for _ in range(accounts)]
    async with db.fleet_tx() as tx:
        await tx.run("insert into tenants (id, name) values (%(id)s, 'bench')", id=tenant)
        for nr, id in enumerate(ids):
            await tx.run(
                """
                insert into accounts (id, tenant_id, name, phone, transport)
                values (%(id)s, %(tenant)s, %(name)s, %(phone)s, 'simulator')
                """,
                id=id, tenant=tenant, name=f"n{nr}", phone=f"+9665{nr:08}",
            )  # fmt: skip
    return tenant, ids


def talk(chance: random.Random, start: int, messages: int) -> list[Inbound]:
    return [
        Inbound(
            provider_id=f"wamid.{start + nr:020}",
            identity=f"+44770{chance.randrange(20):07}",
            name="Customer",
            content=Text(text=" ".join(chance.choices(TALK, k=10))),
            at=datetime.now(UTC),
        )
        for nr in range(messages)
    ]


async def accepted_per_second(db: Db, tenant: TenantId, accounts: list[AccountId], inbounds: list[Inbound]) -> float:
    inbox = Inbox(db, woken=lambda: None)
    running = asyncio.create_task(inbox.run())
    began = time.perf_counter()
    answers = [inbox.accept(tenant, accounts[nr % len(accounts)], one) for nr, one in enumerate(inbounds)]
    assert all(await asyncio.gather(*answers))
    took = time.perf_counter() - began
    running.cancel()
    return len(inbounds) / took


async def raw_per_second(db: Db, tenant: TenantId, accounts: list[AccountId], inbounds: list[Inbound]) -> float:
    rows = [arrival(tenant, accounts[nr % len(accounts)], one) for nr, one in enumerate(inbounds)]
    async with db.fleet_tx() as tx:
        known = await outbox.conversations(tx, [(one.tenant, one.account, one.identity) for one in rows])
        conversations = [known[one.account, one.identity].id for one in rows]
    began = time.perf_counter()
    for start in range(0, len(rows), MOST):
        async with db.fleet_tx() as tx:
            await _insert(tx, rows[start : start + MOST], conversations[start : start + MOST])
    return len(inbounds) / (time.perf_counter() - began)


async def _insert(tx: Tx, rows: Sequence[Arrival], conversations: Sequence[ConversationId]) -> None:
    await tx.run(
        """
        insert into messages (id, tenant_id, account_id, conversation_id, direction, content, words, provider_id, at)
        select id, tenant_id, account_id, conversation_id, 'in', content::jsonb, words, provider_id, at
          from unnest(%(ids)b::uuid[], %(tenants)b::uuid[], %(accounts)b::uuid[], %(conversations)b::uuid[],
                      %(contents)b::text[], %(words)b::text[], %(provider_ids)b::text[], %(times)b::timestamptz[])
               as m (id, tenant_id, account_id, conversation_id, content, words, provider_id, at)
        """,
        ids=[one.id for one in rows],
        tenants=[one.tenant for one in rows],
        accounts=[one.account for one in rows],
        conversations=list(conversations),
        contents=[one.content for one in rows],
        words=[one.words for one in rows],
        provider_ids=[one.provider_id for one in rows],
        times=[one.at for one in rows],
    )


async def measure(*, quick: bool) -> list[Figure]:
    """Accept messages through the inbox, then insert the same rows."""
    messages, chance = 10_000 if quick else 40_000, random.Random(7)
    async with open_database() as db:
        tenant, ids = await fleet(db, ACCOUNTS)
        await accepted_per_second(db, tenant, ids, talk(chance, 0, 2000))  # warms connections and plans
        raw = await raw_per_second(db, tenant, ids, talk(chance, 10_000_000, messages))
        ours = await accepted_per_second(db, tenant, ids, talk(chance, 20_000_000, messages))
    return [
        Figure(
            name="customers' messages stored",
            value=ours,
            unit="msg/s",
            limit=raw,
            limit_is=f"raw inserts of the messages alone, with every index, {MOST} to a commit",
            least=True,
            notes=[f"{messages:,} messages to {ACCOUNTS} accounts, with conversation, event and tallies"],
        )
    ]

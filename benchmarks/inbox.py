"""How fast messages of customers become durable, beside raw group-committed inserts of the same rows.

    WAFLEET_TEST_DATABASE_URL=... python -m benchmarks.inbox [--messages 40000] [--accounts 200]

Each message is stored with its conversation, its event and its tallies, in transactions of at most 500; the raw figure
is the same messages alone, in transactions of 500, with every index of the table.
"""

import argparse
import asyncio
import os
import random
import time
import uuid
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import psycopg
from psycopg.conninfo import make_conninfo

from wafleet import outbox
from wafleet.domain.ids import AccountId, TenantId, new_id
from wafleet.domain.inbound import Inbound
from wafleet.domain.message import Text
from wafleet.engine.db import Db
from wafleet.inbox import store
from wafleet.inbox.accept import MOST, Inbox, arrival

MIGRATIONS = Path(__file__).parents[1] / "src/wafleet/engine/migrations"
TALK = ["hello", "thanks", "price", "delivery", "tomorrow", "address", "مرحبا", "شكرا", "طلب", "توصيل", "السعر", "غدا"]


@asynccontextmanager
async def database() -> AsyncGenerator[Db]:
    """A database of this run's own, migrated."""
    server, name = os.environ["WAFLEET_TEST_DATABASE_URL"], f"wafleet_bench_{uuid.uuid4().hex[:8]}"
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(f"create database {name}".encode())
        try:
            dsn = make_conninfo(server, dbname=name)
            with psycopg.connect(dsn) as conn:
                for file in sorted(MIGRATIONS.glob("*.sql")):
                    conn.execute(file.read_bytes())
            async with Db.open(dsn, connections=4) as db:
                yield db
        finally:
            admin.execute(f"drop database {name} with (force)".encode())


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
        conversations = [known[one.account, one.identity] for one in rows]
    began = time.perf_counter()
    for start in range(0, len(rows), MOST):
        async with db.fleet_tx() as tx:
            await store.add_messages(tx, rows[start : start + MOST], conversations[start : start + MOST])
    return len(inbounds) / (time.perf_counter() - began)


async def main(messages: int, accounts: int) -> None:
    chance = random.Random(7)
    async with database() as db:
        tenant, ids = await fleet(db, accounts)
        await accepted_per_second(db, tenant, ids, talk(chance, 0, 2000))  # warms connections and plans
        raw = await raw_per_second(db, tenant, ids, talk(chance, 10_000_000, messages))
        ours = await accepted_per_second(db, tenant, ids, talk(chance, 20_000_000, messages))
    print(f"accepted: {ours:,.0f} messages/s; raw inserts of the same rows: {raw:,.0f}/s; share: {ours / raw:.0%}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=40_000)
    parser.add_argument("--accounts", type=int, default=200)
    given = parser.parse_args()
    asyncio.run(main(given.messages, given.accounts))

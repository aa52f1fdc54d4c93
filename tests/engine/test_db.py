"""Transactions: hot paths keep their plans, whatever fails leaves nothing behind, and who is cancelled ends."""

import asyncio
import uuid

import pytest

from wafleet.engine.db import Db, Tx

TIMES = 12  # PostgreSQL plans a statement five times for its values before it keeps a plan


async def found(tx: Tx, ids: list[uuid.UUID]) -> int:
    return await tx.value(
        "select count(*) from unnest(%(ids)b::uuid[]) as w (id) join tenants t on t.id = w.id", ids=ids
    )


async def test_a_plan_made_for_an_empty_table_finds_rows_by_their_keys_when_it_is_full(db: Db) -> None:
    async with db.keyed_tx() as tx:
        for _ in range(TIMES):
            assert await found(tx, [uuid.uuid4()]) == 0
        ids = [uuid.uuid4() for _ in range(500)]
        await tx.run(
            "insert into tenants (id, name) select id, id::text from unnest(%(ids)b::uuid[]) as w (id)", ids=ids
        )
        read = "select coalesce(seq_scan, 0) from pg_stat_xact_user_tables where relname = 'tenants'"
        before = await tx.value(read)
        assert await found(tx, ids) == 500
        assert await tx.value(read) == before
        kept = await tx.value("select count(*) from pg_prepared_statements where statement like '%%w (id) join%%'")
    assert kept == 2  # and the question for it


async def test_what_fails_in_a_hot_path_leaves_nothing_behind(db: Db) -> None:
    try:
        async with db.keyed_tx() as tx:
            await tx.run("insert into tenants (id, name) values (%(id)s, 'one')", id=uuid.uuid4())
            raise ValueError("broken")
    except ValueError:
        pass
    async with db.keyed_tx() as tx:
        assert await tx.value("select count(*) from tenants") == 0


@pytest.mark.parametrize("turns", range(12))
async def test_who_is_cancelled_in_the_moment_it_gets_a_connection_ends(dsn: str, turns: int) -> None:
    async with Db.open(dsn, connections=2) as db:

        async def forever() -> None:
            async with db.fleet_tx() as tx:
                await tx.run("select 1")
            await asyncio.Event().wait()

        async with db.fleet_tx() as tx:  # the only connection
            await tx.run("select 1")
            waiting = asyncio.create_task(forever())
            await asyncio.sleep(0.02)
        for _ in range(turns):
            await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait([waiting], timeout=2)
        assert waiting.cancelled()

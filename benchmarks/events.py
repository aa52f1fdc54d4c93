"""How fast the event log is written and read, beside raw inserts of the same rows."""

import time
from collections.abc import Sequence

from benchmarks.figures import Figure
from benchmarks.place import open_database
from wafleet.domain.ids import new_id
from wafleet.engine import bus
from wafleet.engine.bus import Event, Logged
from wafleet.engine.consumer import Consumer
from wafleet.engine.db import Db, Tx

BATCH = 500


async def measure(*, quick: bool) -> list[Figure]:
    """Append, then have a consumer handle all of it."""
    total = 20_000 if quick else 100_000
    async with open_database() as db:
        await _appended(db, 5_000)
        limit = await _raw(db, total)
        appended = await _appended(db, total)
        consumed = await _consumed(db)
    return [
        Figure(
            name="events appended",
            value=appended,
            unit="events/s",
            limit=limit,
            limit_is=f"raw inserts of the same rows, {BATCH} to a commit",
            least=True,
        ),
        Figure(
            name="events consumed", value=consumed, unit="events/s", least=True, notes=["by a consumer that counts"]
        ),
    ]


async def _appended(db: Db, total: int) -> float:
    tenant, account, began = new_id(), new_id(), time.perf_counter()
    for _ in range(0, total, BATCH):
        events = [
            Event(kind="message.sent", tenant=tenant, account=account, data={"message": str(new_id())})
            for _ in range(BATCH)
        ]
        async with db.fleet_tx() as tx:
            await bus.append(tx, events)
    return total / (time.perf_counter() - began)


async def _raw(db: Db, total: int) -> float:
    began = time.perf_counter()
    for _ in range(0, total, BATCH):
        async with db.fleet_tx() as tx:
            await tx.run(
                """
                insert into events (tenant_id, account_id, kind, data)
                select gen_random_uuid(), gen_random_uuid(), 'message.sent', '{"message": "a"}'
                  from generate_series(1, %(n)s)
                """,
                n=BATCH,
            )
    return total / (time.perf_counter() - began)


async def _consumed(db: Db) -> float:
    async def count(tx: Tx, events: Sequence[Logged]) -> None: ...

    consumer, began = Consumer(db, "bench", count, start="beginning"), time.perf_counter()
    return await consumer.turn() / (time.perf_counter() - began)

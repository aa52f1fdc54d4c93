import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from uuid import uuid4

import psycopg
import pytest

from wafleet.engine import bus, observe
from wafleet.engine.bus import Event, Logged
from wafleet.engine.clock import SystemClock
from wafleet.engine.consumer import Consumer
from wafleet.engine.db import DatabaseAway, Db, Tx
from wafleet.engine.loops import run_loops
from wafleet.engine.wakes import Wakes

Until = Callable[[Callable[[], Awaitable[object]]], Awaitable[None]]


class Poison(Exception):
    pass


class Reader:
    """Writes down what it was handed, in the transaction it was handed it; refuses poisoned numbers."""

    def __init__(self, *poisoned: int) -> None:
        self.poisoned = set(poisoned)
        self.batches: list[int] = []

    async def handle(self, tx: Tx, events: Sequence[Logged]) -> None:
        self.batches.append(len(events))
        for one in events:
            await tx.run("insert into handled (n) values (%(n)s)", n=one.data["n"])
            if one.data["n"] in self.poisoned:
                raise Poison(f"words of a customer: {one.data['n']}")


@pytest.fixture(autouse=True)
async def notebook(db: Db) -> None:
    async with db.fleet_tx() as tx:
        await tx.run("create table handled (id bigint generated always as identity, n int)")


async def put(db: Db, *numbers: int) -> None:
    async with db.fleet_tx() as tx:
        await bus.append(tx, [Event(kind="test.number", tenant=uuid4(), data={"n": n}) for n in numbers])


async def handled(db: Db) -> list[int]:
    async with db.fleet_tx() as tx:
        return [row[0] for row in await tx.tuples("select n from handled order by id")]


def sees(db: Db, consumer: Consumer, *numbers: int) -> Callable[[], Awaitable[bool]]:
    async def seen() -> bool:
        await consumer.turn()
        return await handled(db) == list(numbers)

    return seen


async def test_a_consumer_handles_each_event_once_in_order_and_goes_on_where_it_was(db: Db, until: Until) -> None:
    await put(db, *range(25))
    reader = Reader()
    await until(sees(db, Consumer(db, "c", reader.handle, start="beginning", most=10), *range(25)))
    assert max(reader.batches) == 10
    await put(db, 25)
    await until(sees(db, Consumer(db, "c", reader.handle, start="beginning"), *range(26)))


async def test_a_new_consumer_may_begin_with_what_comes_next(db: Db, until: Until) -> None:
    await put(db, 1)
    old, new = Reader(), Reader()
    await until(sees(db, Consumer(db, "old", old.handle, start="beginning"), 1))
    consumer = Consumer(db, "new", new.handle, start="end")
    assert await consumer.turn() == 0
    await put(db, 2)
    await until(sees(db, consumer, 1, 2))
    assert sum(new.batches) == 1


async def test_a_failed_turn_moves_nothing_and_is_told(db: Db, until: Until) -> None:
    await put(db, 1, 2)
    reader = Reader(2)
    consumer = Consumer(db, "c", reader.handle, start="beginning")
    with pytest.raises(Poison):
        await until(consumer.turn)
    assert await handled(db) == []
    reader.poisoned.clear()
    await until(sees(db, consumer, 1, 2))


async def test_only_one_node_at_a_time_works_on_a_consumer(db: Db, until: Until) -> None:
    await put(db, 1)
    inside, leave = asyncio.Event(), asyncio.Event()

    async def slow(tx: Tx, events: Sequence[Logged]) -> None:
        inside.set()
        await leave.wait()

    first = Consumer(db, "c", slow, start="beginning")
    second = Consumer(db, "c", Reader().handle, start="beginning")

    async def until_handled() -> None:
        await until(first.turn)

    working = asyncio.create_task(until_handled())
    await inside.wait()
    assert await second.turn() == 0
    leave.set()
    await working
    assert await second.turn() == 0
    assert await handled(db) == []


@pytest.mark.parametrize("poisoned", [{0}, {49}, {7, 8, 30}])
async def test_an_event_that_cannot_be_handled_is_put_aside_after_five_failures_and_costs_no_other(
    db: Db, until: Until, poisoned: set[int]
) -> None:
    await put(db, *range(50))
    reader = Reader(*poisoned)
    consumer = Consumer(db, "c", reader.handle, start="beginning", most=20)
    before = observe.events_buried.labels("c")._value.get()
    failures = 0

    async def through() -> bool:
        nonlocal failures
        try:
            await consumer.turn()
        except Poison:
            failures += 1
        return len(await handled(db)) == 50 - len(poisoned)

    await until(through)
    await consumer.turn()
    assert await handled(db) == [n for n in range(50) if n not in poisoned]
    assert failures == 4 * len(poisoned)
    assert observe.events_buried.labels("c")._value.get() - before == len(poisoned)
    async with db.fleet_tx() as tx:
        dead = await tx.tuples("select data->'n', kind, error from dead_events order by xid, seq")
    assert [row[0] for row in dead] == sorted(poisoned)
    assert {row[1] for row in dead} == {"test.number"}


async def test_the_log_names_an_event_put_aside_but_not_its_words(
    db: Db, until: Until, caplog: pytest.LogCaptureFixture
) -> None:
    await put(db, 1)
    consumer = Consumer(db, "c", Reader(1).handle, start="beginning", tries=1)

    async def buried() -> bool:
        await consumer.turn()
        async with db.fleet_tx() as tx:
            return await tx.value("select count(*) from dead_events") == 1

    await until(buried)
    (told,) = [vars(one) for one in caplog.records if one.getMessage() == "event_put_aside"]
    assert "test.number" in repr(told)
    assert "words of a customer" not in repr(told)


async def test_events_put_aside_are_handled_once_the_consumer_is_mended(db: Db, until: Until) -> None:
    await put(db, 1, 2, 3)
    reader = Reader(1, 2)
    consumer = Consumer(db, "c", reader.handle, start="beginning", tries=1)
    await until(sees(db, consumer, 3))
    reader.poisoned.remove(2)
    assert await consumer.retry_dead() == 1
    reader.poisoned.clear()
    assert await consumer.retry_dead() == 1
    assert await consumer.retry_dead() == 0
    assert await handled(db) == [3, 2, 1]


async def test_a_database_that_goes_away_is_never_an_events_fault(db: Db, until: Until) -> None:
    await put(db, 1)

    async def cut(tx: Tx, events: Sequence[Logged]) -> None:
        async with await psycopg.AsyncConnection.connect(db.dsn, autocommit=True) as admin:
            await admin.execute("select pg_terminate_backend(%s)", (tx.conn.info.backend_pid,))
        await tx.run("select 1")

    consumer = Consumer(db, "c", cut, start="beginning", tries=1)
    failures = 0
    while failures < 4:
        try:
            await consumer.turn()
        except DatabaseAway:
            failures += 1
    async with db.fleet_tx() as tx:
        assert await tx.value("select count(*) from dead_events") == 0


async def test_looking_without_finding_anything_writes_nothing(db: Db) -> None:
    drawn: list[object] = []

    class Watched(Consumer):
        async def _locked_cursor(self, tx: Tx) -> bus.Position | None:
            cursor = await super()._locked_cursor(tx)
            drawn.append(await tx.value("select pg_current_xact_id_if_assigned()"))
            return cursor

    consumer = Watched(db, "c", Reader().handle)
    await consumer.turn()
    drawn.clear()
    for _ in range(3):
        assert await consumer.turn() == 0
    assert drawn == [None, None, None]


async def test_an_event_held_back_by_another_transaction_is_handled_soon_after_that_ends(db: Db) -> None:
    reader = Reader()
    consumer = Consumer(db, "c", reader.handle, start="beginning")
    async with db.fleet_tx() as older:
        await older.run("insert into handled (n) values (-1)")
        await put(db, 1)
        turning = asyncio.create_task(consumer.turn())
        await asyncio.wait([turning], timeout=0.02)
        assert reader.batches == []
    await turning
    while not reader.batches:  # it was slow to look
        await consumer.turn()
    assert await handled(db) == [-1, 1]


async def test_a_loop_runs_a_consumer_as_soon_as_events_are_written(db: Db, until: Until) -> None:
    wakes, stopping, reader = Wakes(db.dsn), asyncio.Event(), Reader()
    loop = Consumer(db, "c", reader.handle, start="beginning").loop(wakes, every=timedelta(hours=1))
    running = asyncio.create_task(run_loops([loop], clock=SystemClock(), stopping=stopping))
    await put(db, 1)

    async def is_handled() -> bool:
        wakes.wake(bus.TOPIC)
        return bool(reader.batches)

    await until(is_handled)
    stopping.set()
    await running
    assert await handled(db) == [1]


async def test_a_consumer_says_how_far_behind_it_is(db: Db, until: Until) -> None:
    await put(db, 1)
    await until(sees(db, Consumer(db, "lagging", Reader().handle, start="beginning"), 1))
    assert 0 <= observe.consumer_lag.labels("lagging")._value.get() < 60

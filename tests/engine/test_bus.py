import asyncio
import itertools
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import AsyncConnection, Rollback

from wafleet.engine import bus
from wafleet.engine.bus import Event, Logged, Position
from wafleet.engine.db import FLEET, Db, Tx
from wafleet.engine.wakes import Wakes

Until = Callable[[Callable[[], Awaitable[object]]], Awaitable[None]]
BEGINNING = Position(0, 0)


def numbered(*numbers: int, tenant: UUID | None = None) -> list[Event]:
    return [Event(kind="test.number", tenant=tenant, data={"n": n}) for n in numbers]


def numbers_of(events: list[Logged]) -> list[int]:
    return [one.data["n"] for one in events]


async def put(db: Db, *numbers: int, tenant: UUID | None = None) -> None:
    async with db.fleet_tx() as tx:
        await bus.append(tx, numbered(*numbers, tenant=tenant))


async def read(db: Db, after: Position, *, most: int = 1000) -> list[Logged]:
    async with db.fleet_tx() as tx:
        return await bus.read(tx, after, most=most)


async def test_events_come_back_in_order_with_all_they_hold(db: Db, until: Until) -> None:
    tenant, account = uuid4(), uuid4()
    first = Event(kind="a", tenant=tenant, account=account, data={"x": [1, {"y": "مرحبا"}], "z": None})
    async with db.fleet_tx() as tx:
        await bus.append(tx, [first, *numbered(*range(300)), Event(kind="z")])
        await bus.append(tx, [])

    async def all_there() -> bool:
        return len(await read(db, BEGINNING)) == 302

    await until(all_there)
    events = await read(db, BEGINNING)
    assert (events[0].kind, events[0].tenant, events[0].account) == ("a", tenant, account)
    assert events[0].data == first.data
    assert numbers_of(events[1:-1]) == list(range(300))
    assert (events[-1].kind, events[-1].tenant, events[-1].data) == ("z", None, {})
    assert numbers_of(await read(db, events[5].position, most=2)) == [5, 6]


async def test_an_older_transaction_that_commits_after_a_newer_one_is_not_skipped(db: Db, until: Until) -> None:
    async with db.fleet_tx() as older:
        await bus.append(older, numbered(1))
        await put(db, 2)
        assert await read(db, BEGINNING) == []  # 2 is committed, but 1 may still come before it

    async def both_there() -> bool:
        return len(await read(db, BEGINNING)) == 2

    await until(both_there)
    assert numbers_of(await read(db, BEGINNING)) == [1, 2]


@pytest.mark.parametrize("most", [1, 2, 100])
async def test_transactions_are_read_in_order_when_their_numbers_gain_a_digit(db: Db, most: int) -> None:
    async with db.fleet_tx() as tx:
        await tx.run(
            """
            insert into events (xid, kind, data)
            select n::text::xid8, 'test.number', jsonb_build_object('n', n) from unnest(array[8, 9, 10, 11, 99, 100]) n
            """
        )
    seen: list[Logged] = []
    while found := await read(db, seen[-1].position if seen else BEGINNING, most=most):
        seen += found
    assert numbers_of(seen) == [8, 9, 10, 11, 99, 100]


async def test_what_is_rolled_back_never_happened(db: Db, until: Until) -> None:
    async with db.fleet_tx() as tx:
        await bus.append(tx, numbered(1))
        raise Rollback()
    await put(db, 2)

    async def there() -> bool:
        return bool(await read(db, BEGINNING))

    await until(there)
    assert numbers_of(await read(db, BEGINNING)) == [2]


STEPS = st.lists(st.tuples(st.integers(0, 3), st.sampled_from(["append", "append", "commit", "rollback", "read"])))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
async def test_no_interleaving_of_transactions_makes_a_reader_miss_or_repeat_an_event(
    db: Db, until: Until, steps: list[tuple[int, str]]
) -> None:
    writers = [await AsyncConnection.connect(db.dsn, autocommit=True) for _ in range(4)]
    try:
        await interleave(db, until, writers, steps)
    finally:
        for conn in writers:
            await conn.close()


async def interleave(db: Db, until: Until, writers: list[AsyncConnection[Any]], steps: list[tuple[int, str]]) -> None:
    async with db.fleet_tx() as tx:
        place = await bus.end(tx)
    numbers, seen, committed = itertools.count(), list[int](), list[int]()
    open_: dict[int, list[int]] = {}

    async def look() -> None:
        nonlocal place
        events = await read(db, place)
        seen.extend(numbers_of(events))
        place = events[-1].position if events else place
        assert set(seen) <= set(committed)

    for writer, step in [*steps, *((n, "commit") for n in range(4))]:
        if step == "read":
            await look()
        elif step == "append":
            if writer not in open_:
                await writers[writer].execute("begin")
            n = next(numbers)
            await bus.append(Tx(writers[writer]), numbered(n))
            open_.setdefault(writer, []).append(n)
        elif writer in open_:
            await writers[writer].execute(step.encode())
            committed += open_.pop(writer) if step == "commit" else (open_.pop(writer) and [])

    async def all_seen() -> bool:
        await look()
        return len(seen) >= len(committed)

    await until(all_seen)
    assert sorted(seen) == sorted(committed)


def test_a_position_survives_being_text_and_nonsense_is_refused() -> None:
    assert Position.parse(str(Position(12, 3))) == Position(12, 3)
    for nonsense in ("", "12", "12-", "-1-3", "12-3-4", "١-٢", "1" * 30 + "-1", "1-1; drop table events"):
        with pytest.raises(ValueError, match="is no position"):
            Position.parse(nonsense)


async def test_a_tenants_follower_sees_its_own_events_resumes_and_is_woken(db: Db, tenants: tuple[UUID, UUID]) -> None:
    wakes = Wakes(db.dsn)
    mine, other = tenants
    await put(db, 1, 2, tenant=mine)
    await put(db, 3, tenant=other)
    seen: list[Logged] = []
    async with (
        asyncio.timeout(60),
        aclosing(bus.follow(db, after=BEGINNING, reach=mine, wakes=wakes, every_s=0.2)) as f,
    ):
        async for events in f:
            seen += events
            if len(seen) == 2:
                await put(db, 4, tenant=other)
                await put(db, 5, tenant=mine)
                wakes.wake(bus.TOPIC)
            if len(seen) == 3:
                break
    assert numbers_of(seen) == [1, 2, 5]
    async with asyncio.timeout(60), aclosing(bus.follow(db, after=seen[0].position, reach=FLEET, wakes=wakes)) as f:
        assert numbers_of(list(await anext(f))) == [2, 3, 4, 5]


async def test_a_follower_without_a_place_or_with_one_beyond_the_end_begins_at_the_end(db: Db, until: Until) -> None:
    await put(db, 1)

    async def all_readable() -> bool:
        async with db.fleet_tx() as tx:
            return len(await bus.read(tx, BEGINNING, most=1000)) == await tx.value("select count(*) from events")

    for n, after in enumerate((None, Position(10**15, 0))):
        await until(all_readable)
        follower = bus.follow(db, after=after, reach=FLEET, wakes=Wakes(db.dsn), every_s=0.05)
        async with asyncio.timeout(60), aclosing(follower) as f:
            first = asyncio.ensure_future(anext(f))
            while not first.done():  # it may take its place in the log before or after each of these
                await put(db, 100 * n + 2)
                await asyncio.wait([first], timeout=0.05)
            assert set(numbers_of(list(first.result()))) == {100 * n + 2}


@pytest.fixture
async def tenants(db: Db) -> tuple[UUID, UUID]:
    pair = (uuid4(), uuid4())
    async with db.fleet_tx() as tx:
        for n, one in enumerate(pair):
            await tx.run("insert into tenants (id, name) values (%(id)s, %(name)s)", id=one, name=f"t{n}")
    return pair


async def test_trimming_leaves_what_is_young_and_what_a_consumer_has_not_read(db: Db, until: Until) -> None:
    await put(db, 1, 2, 3)

    async def there() -> bool:
        return len(await read(db, BEGINNING)) == 3

    await until(there)
    events = await read(db, BEGINNING)
    async with db.fleet_tx() as tx:
        await tx.run("insert into consumers (name, xid, seq) values ('slow', %(x)s::xid8, %(s)s)",
                     x=str(events[1].position.xid), s=events[1].position.seq)  # fmt: skip
        assert await bus.trim(tx, older_than=timedelta(days=1)) == 0
    async with db.fleet_tx() as tx:
        assert await bus.trim(tx, older_than=-timedelta(seconds=1), most=1) == 1
        assert await bus.trim(tx, older_than=-timedelta(seconds=1)) == 1
        assert await bus.trim(tx, older_than=-timedelta(seconds=1)) == 0
    assert numbers_of(await read(db, BEGINNING)) == [3]
    async with db.fleet_tx() as tx:
        assert await bus.forget(tx, consumer="slow")
        assert not await bus.forget(tx, consumer="slow")
        assert await bus.trim(tx, older_than=-timedelta(seconds=1)) == 1


async def test_a_log_restored_from_another_servers_dump_is_read_in_its_old_order_and_goes_on(
    db: Db, until: Until
) -> None:
    ahead = 10**12  # that server had seen more transactions
    async with db.fleet_tx() as tx:
        for xid, seq, n in ((ahead, 900, 1), (ahead, 901, 2), (ahead + 5, 17, 3), (ahead + 9, 902, 4)):
            await tx.run(
                "insert into events (xid, seq, kind, data) overriding system value "
                "values (%(xid)s::xid8, %(seq)s, 'test.number', jsonb_build_object('n', %(n)s::int))",
                xid=str(xid), seq=seq, n=n)  # fmt: skip
        await tx.run("insert into consumers (name, xid, seq) values ('c', %(x)s::xid8, 901)", x=str(ahead))
        await tx.run("insert into consumers (name, xid, seq) values ('new', %(x)s::xid8, 0)", x=str(ahead + 50))
    assert await read(db, BEGINNING) == []
    async with db.fleet_tx() as tx:
        assert await bus.rebase(tx)
    async with db.fleet_tx() as tx:
        assert not await bus.rebase(tx)
        cursors = dict(await tx.tuples("select name, seq from consumers where xid = '0'"))
    await put(db, 5)

    async def there() -> bool:
        return len(await read(db, BEGINNING)) == 5

    await until(there)
    assert numbers_of(await read(db, BEGINNING)) == [1, 2, 3, 4, 5]
    assert numbers_of(await read(db, Position(0, cursors["c"]))) == [3, 4, 5]
    assert numbers_of(await read(db, Position(0, cursors["new"]))) == [5]

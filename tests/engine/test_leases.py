from datetime import timedelta

import pytest

from wafleet.engine import leases
from wafleet.engine.clock import ManualClock
from wafleet.engine.db import Db
from wafleet.engine.leases import Lease, Node

TTL = timedelta(seconds=6)


@pytest.fixture
async def nodes(db: Db, clock: ManualClock) -> tuple[Node, Node]:
    pair = (Node(db, clock, name="a", version="1", ttl=TTL), Node(db, clock, name="b", version="1", ttl=TTL))
    for node in pair:
        await node.join()
    return pair


async def take(db: Db, holder: str, *names: str, ttl: timedelta = TTL) -> list[Lease]:
    async with db.fleet_tx() as tx:
        return await leases.take(tx, names=names, holder=holder, ttl=ttl)


async def test_a_lease_has_one_holder_until_it_runs_out(db: Db, nodes: tuple[Node, Node]) -> None:
    assert await take(db, "a", "x", ttl=timedelta(0)) == [Lease("x", 1)]
    assert await take(db, "b", "x") == [Lease("x", 2)]
    assert await take(db, "a", "x") == []


async def test_what_a_node_held_when_it_died_is_free_once_it_starts_again(db: Db, nodes: tuple[Node, Node]) -> None:
    assert await take(db, "a", "x", "y") == [Lease("x", 1), Lease("y", 1)]
    assert await take(db, "b", "x", "y") == []
    await nodes[0].join()
    assert await nodes[0].renew() == frozenset()
    assert await take(db, "b", "x") == [Lease("x", 2)]
    assert await take(db, "a", "y") == [Lease("y", 2)]


async def test_renewing_tells_what_is_still_held(db: Db, nodes: tuple[Node, Node]) -> None:
    await take(db, "a", "x", "y", ttl=timedelta(0))
    await take(db, "b", "y")
    assert await nodes[0].renew() == {"x"}  # ran out, but nobody took it


async def test_a_node_is_sure_for_its_lease_time_counted_from_before_it_asked(
    clock: ManualClock, nodes: tuple[Node, Node]
) -> None:
    await clock.advance(5.5)
    assert nodes[0].sure_s == pytest.approx(0.5)
    await clock.advance(1)
    assert nodes[0].sure_s < 0
    await nodes[0].renew()
    assert nodes[0].sure_s == pytest.approx(6)


async def test_a_released_or_abandoned_lease_is_free_at_once(db: Db, nodes: tuple[Node, Node]) -> None:
    held = await take(db, "a", "x", "y")
    async with db.fleet_tx() as tx:
        assert await leases.release(tx, leases=[held[0], Lease("y", 99)], holder="a") == 1
    assert await take(db, "b", "x", "y") == [Lease("x", 2)]
    await nodes[0].leave()
    assert await take(db, "b", "y") == [Lease("y", 2)]
    assert await nodes[1].peers() == ["b"]


async def test_a_draining_node_gets_no_work(nodes: tuple[Node, Node]) -> None:
    await nodes[0].drain()
    assert await nodes[1].peers() == ["b"]

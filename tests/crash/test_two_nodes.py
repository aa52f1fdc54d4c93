"""Two nodes on one fleet: an account never has two sessions, and what one node leaves the other owns within seconds."""

import asyncio
import time
from collections import Counter

import psycopg
import pytest
from tests.crash.conftest import Stage
from tests.crash.programs import Program, until
from tests.crash.traffic import Writers, customers_write, fleet_of, prove

pytestmark = [pytest.mark.crash, pytest.mark.timeout(180)]
ACCOUNTS = 12
HOMES = [("here", "there"), ("shared", "shared")]


async def shares(dsn: str) -> Counter[str]:
    """How many accounts each node holds now, by the database's clock."""
    async with await psycopg.AsyncConnection.connect(dsn) as conn:
        held = "select holder, count(*) from leases where name like 'account:%' and expires_at > now() group by 1"
        rows = await (await conn.execute(held)).fetchall()
    return Counter({row[0]: row[1] for row in rows})


async def two_nodes(stage: Stage, dsn: str, homes: tuple[str, str]) -> tuple[Program, Program, Writers]:
    """Start two nodes that share the accounts evenly, and integrators who write to whichever answers."""
    first, second = (stage.program(home, DATABASE_URL=dsn) for home in homes)
    await first.start()
    accounts = await fleet_of(first, ACCOUNTS)
    await second.start()

    async def look() -> Counter[str]:
        return await shares(dsn)

    await until(look, lambda seen: len(seen) == 2 and min(seen.values()) >= ACCOUNTS // 2 - 1, limit_s=30)
    await until(first.online, lambda online: online == ACCOUNTS)
    return first, second, Writers([first, second], list(accounts.values()), 600, pause_s=0.05)


async def owner_of_all(dsn: str, *, limit_s: float) -> float:
    """Wait until one node holds every account, and return how long that took."""
    began = time.monotonic()

    async def look() -> Counter[str]:
        return await shares(dsn)

    await until(look, lambda seen: list(seen.values()) == [ACCOUNTS], limit_s=limit_s)
    return time.monotonic() - began


@pytest.mark.parametrize("homes", HOMES)
async def test_what_a_killed_node_ran_the_other_owns_within_ten_seconds(
    stage: Stage, dsn: str, homes: tuple[str, str]
) -> None:
    control = await stage.control()
    first, second, writers = await two_nodes(stage, dsn, homes)
    writing = stage.meanwhile(writers.run())
    await control.start_load(100, total=600, customers=5)
    await writers.reached(150)
    first.kill()
    await owner_of_all(dsn, limit_s=10)
    await writing
    await customers_write(control)
    await prove(second, control, dsn, set(writers.acknowledged.values()), written=600)


async def test_a_node_that_stops_in_good_order_hands_over_within_three_seconds(stage: Stage, dsn: str) -> None:
    control = await stage.control()
    first, second, writers = await two_nodes(stage, dsn, HOMES[0])
    writing = stage.meanwhile(writers.run())
    await control.start_load(100, total=300, customers=5)
    await writers.reached(150)
    ending = asyncio.create_task(first.stop())
    assert await owner_of_all(dsn, limit_s=10) < 3
    assert await ending == 0
    await writing
    await customers_write(control)
    await prove(second, control, dsn, set(writers.acknowledged.values()), written=300)


async def test_a_node_that_stood_still_for_fifteen_seconds_neither_sends_nor_settles_when_it_wakes(
    stage: Stage, dsn: str
) -> None:
    control = await stage.control()
    first, second, writers = await two_nodes(stage, dsn, HOMES[0])
    writers.programs, writers.pause_s = [second], 1.0
    writing = stage.meanwhile(writers.run())
    await control.start_load(30, total=500, customers=5)
    await writers.reached(150)
    first.pause()
    began = time.monotonic()
    await owner_of_all(dsn, limit_s=10)
    await asyncio.sleep(15 - (time.monotonic() - began))
    first.resume()
    await until(first.online, lambda online: online == ACCOUNTS)
    await writing
    await customers_write(control)
    acknowledged = set(writers.acknowledged.values())
    await prove(second, control, dsn, acknowledged, written=500, replaced=ACCOUNTS)  # those of the sleeper
    assert first.alive()

"""The database dies, stands still, or is away: the API says so, and afterwards nothing is missing and nothing twice."""

import asyncio
import os
import signal
import time
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from tests.crash.conftest import Stage
from tests.crash.programs import database_of, postmaster_of, until
from tests.crash.traffic import Writers, customers_write, fleet_of, prove
from tests.engine.postgres_programs import keepers_of

from wafleet.engine.postgres_keeper import workers_in

pytestmark = [pytest.mark.crash, pytest.mark.timeout(180)]
AWAY_S = 10.0


@contextmanager
def stopped(home: Path) -> Generator[None]:
    """The database is gone, and nobody starts it: its keeper is held still."""
    keepers = keepers_of(home)
    for keeper in keepers:
        keeper.suspend()
    os.kill(postmaster_of(home), signal.SIGKILL)
    try:
        yield
    finally:
        for keeper in keepers:
            keeper.resume()


@contextmanager
def paused(home: Path) -> Generator[None]:
    """The database stands still: it takes connections and questions, and answers none."""
    pids = workers_in(home / "postgres" / "data")
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


async def test_a_database_killed_thrice_under_load_loses_and_repeats_nothing(stage: Stage) -> None:
    program, control = stage.program(), await stage.control()
    await program.start()
    accounts = await fleet_of(program, 8)
    writers = Writers([program], list(accounts.values()), 1_500)
    writing = stage.meanwhile(writers.run())
    for kill in range(3):
        await control.start_load(300, total=400, customers=5)
        await writers.reached(200 + 450 * kill)
        os.kill(postmaster_of(program.home), signal.SIGKILL)
    await writing
    await customers_write(control)
    await prove(program, control, database_of(program.home), set(writers.acknowledged.values()), written=1_200)
    assert program.alive()
    assert await program.online() == 8


@pytest.mark.parametrize("gone", [stopped, paused])
async def test_a_database_away_for_ten_seconds_is_said_and_costs_nothing(
    stage: Stage, gone: Callable[[Path], AbstractContextManager[None]]
) -> None:
    program, control = stage.program(), await stage.control()
    await program.start()
    accounts = await fleet_of(program, 8)
    writers = Writers([program], list(accounts.values()), 1_000)
    writing = stage.meanwhile(writers.run())
    await control.start_load(80, total=800, customers=5)
    await writers.reached(300)

    async def refusals() -> int:
        return writers.answers[503]  # each was seen to be a problem+json

    async def health() -> tuple[int, object]:
        status, told = await program.health()
        return status, told["status"]

    began = time.monotonic()
    with gone(program.home):
        before = writers.answers[503]
        await until(refusals, lambda seen: seen > before, limit_s=AWAY_S)
        await until(health, lambda seen: seen == (503, "down"), limit_s=AWAY_S)
        async with program.api() as api:
            assert (await api.get("/health/live")).status_code == 200
        await asyncio.sleep(max(0.0, AWAY_S - (time.monotonic() - began)))
    await until(program.online, lambda online: online == 8, limit_s=10)
    await writing
    await customers_write(control)
    await prove(program, control, database_of(program.home), set(writers.acknowledged.values()), written=800)

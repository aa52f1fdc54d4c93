"""kill -9 of wafleet at any moment costs nothing: what the API promised crosses once, what came in is stored."""

import asyncio
from random import Random

import pytest
from tests.crash.conftest import Stage
from tests.crash.programs import database_of
from tests.crash.traffic import Writers, customers_write, fleet_of, prove

pytestmark = [pytest.mark.crash, pytest.mark.timeout(240)]
OUT, IN, KILLS = 5_000, 5_000, 10


async def test_ten_kills_during_ten_thousand_messages_lose_and_repeat_nothing(stage: Stage) -> None:
    random = Random(11)
    program, control = stage.program(), await stage.control()
    await program.start()
    accounts = await fleet_of(program, 8)
    writers = Writers([program], list(accounts.values()), OUT)
    writing = stage.meanwhile(writers.run())
    for kill in range(KILLS):
        await control.start_load(400, total=IN // KILLS, customers=5)  # so that each kill meets both directions
        await writers.reached(int(OUT * (kill + random.uniform(0.1, 0.9)) / KILLS))
        await asyncio.sleep(random.uniform(0, 0.1))
        await program.restart()
    await writing
    await customers_write(control)
    await prove(program, control, database_of(program.home), set(writers.acknowledged.values()), written=IN)
    assert len(set(writers.acknowledged.values())) == OUT
    assert writers.answers[0] > 0  # the kills were felt

"""The disk fills up under load: wafleet says so, loses nothing it acknowledged, and goes on once there is room."""

import asyncio
import os
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.crash.conftest import Stage
from tests.crash.programs import database_of, until
from tests.crash.traffic import Writers, customers_write, fleet_of, prove
from tests.engine.test_postgres_refusals import fill, small_disk

pytestmark = [
    pytest.mark.crash,
    pytest.mark.timeout(180),
    pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root"),
]


async def test_a_full_disk_refuses_messages_and_loses_none(folder: Path, stage: Stage) -> None:
    with ExitStack() as disks:
        disks.enter_context(small_disk(folder / "disk", 350))
        program, control = stage.program("disk/home"), await stage.control()
        disks.callback(program.kill)
        await program.start()
        accounts = await fleet_of(program, 4)
        writers = Writers([program], list(accounts.values()), 1_200)
        writing = stage.meanwhile(writers.run())
        await control.start_load(200, total=600, customers=5)
        await writers.reached(200)
        fill(folder / "disk")

        async def refusals() -> int:
            return writers.answers[503]

        await until(refusals, lambda seen: seen > 10, limit_s=60)
        (folder / "disk" / "filler").unlink()
        await writing
        await customers_write(control)
        await prove(program, control, database_of(program.home), set(writers.acknowledged.values()), written=600)
        assert await program.online() == 4


async def test_a_disk_without_room_is_one_sentence_at_the_start(folder: Path, stage: Stage) -> None:
    with small_disk(folder / "disk", 20):
        program = stage.program("disk/home")
        program.begin_up()
        assert program.running is not None
        assert await asyncio.to_thread(program.running.wait, 30) == 1
        said = program.said().strip()
        assert "Traceback" not in said
        assert "free some space" in said

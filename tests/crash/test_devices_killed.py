"""kill -9 of a linked device's worker, of wafleet and of the network: nothing is lost, and nothing goes twice."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from random import Random

import psutil
import pytest
from tests.crash.devices import (
    DeviceStage,
    begin_link,
    create,
    device_stage,
    left_on_disk,
    link,
    linked,
    online,
    prove,
    workers,
)
from tests.crash.programs import Program, until
from tests.crash.traffic import Writers, customers_write

pytestmark = [pytest.mark.crash, pytest.mark.timeout(240)]
KILLS = 10
EACH = 12  # messages in each direction between two kills
LASTS_S = {"worker": 0.4, "wafleet": 1.5, "network": 1.5}  # between two messages of a writer: as long as the kills take


@pytest.fixture
async def stage(folder: Path) -> AsyncIterator[DeviceStage]:
    async with device_stage(folder) as stage:
        yield stage


async def kill_a_worker(stage: DeviceStage, program: Program) -> None:
    running = await until(lambda: _workers(program), bool)
    Random(1).choice(running).kill()


async def kill_wafleet(stage: DeviceStage, program: Program) -> None:
    await program.restart()


async def kill_the_network(stage: DeviceStage, program: Program) -> None:
    stage.network.kill()
    await stage.network.start()


KILLED = {"worker": kill_a_worker, "wafleet": kill_wafleet, "network": kill_the_network}


async def _workers(program: Program) -> list[psutil.Process]:
    return workers(program)


@pytest.mark.parametrize("what", KILLED)
async def test_ten_kills_in_the_middle_of_sending_and_receiving_lose_and_repeat_nothing(
    stage: DeviceStage, dsn: str, what: str
) -> None:
    kill: Callable[[DeviceStage, Program], Awaitable[None]] = KILLED[what]
    random, program = Random(7), stage.program(DATABASE_URL=dsn)
    await program.start()
    control = await stage.control()
    accounts = await linked(program, control, 2)
    writers = Writers([program], list(accounts.values()), KILLS * EACH, each=4, pause_s=LASTS_S[what])
    writing = stage.meanwhile(writers.run())
    for _ in range(KILLS):
        control = await stage.control()
        await control.start_load(40, total=EACH, customers=4)
        await asyncio.sleep(random.uniform(0.05, 0.5))
        await kill(stage, program)
    await writing
    control = await stage.control()
    await customers_write(control)
    for id in accounts.values():
        await online(program, id)
    offered = sum(line.offered for line in await control.ledger())
    found = await prove(control, dsn, set(writers.acknowledged.values()), written=offered)
    assert offered > EACH
    assert found.placeholders <= KILLS


@pytest.mark.parametrize("what", KILLED)
async def test_after_ten_kills_in_the_middle_of_linking_it_links_and_leaves_one_worker_and_one_folder(
    stage: DeviceStage, dsn: str, what: str
) -> None:
    kill: Callable[[DeviceStage, Program], Awaitable[None]] = KILLED[what]
    random, program = Random(11), stage.program(DATABASE_URL=dsn)
    await program.start()
    ((phone, id),) = (await create(program, 1)).items()
    for turn in range(KILLS):
        shown = await begin_link(program, id, again=True)
        if turn % 2:  # the phone confirms; the kill comes somewhere on the way to being online
            await (await stage.control()).scan(phone, qr=shown)
        await asyncio.sleep(random.uniform(0, 0.3))
        await kill(stage, program)
    await link(program, await stage.control(), phone, id, again=True)
    await until(lambda: _workers(program), lambda running: len(running) == 1)
    assert left_on_disk(program) == {f"{id}", f"{id}.lock"}
    async with program.api() as api:
        (await api.delete(f"/api/v1/accounts/{id}")).raise_for_status()
    await until(lambda: _left(program), lambda left: not left)
    await until(lambda: _workers(program), lambda running: not running)  # one may just be removing an earlier device


async def _left(program: Program) -> set[str]:
    return left_on_disk(program)

"""Linked devices and several nodes: never two sockets, and no new QR code when another node takes over."""

import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import psutil
import pytest
from tests.crash.devices import DeviceStage, device_stage, linked, online, prove, state_of, workers
from tests.crash.programs import Program, until

pytestmark = [pytest.mark.crash, pytest.mark.timeout(180)]


@pytest.fixture
async def stage(folder: Path) -> AsyncIterator[DeviceStage]:
    async with device_stage(folder) as stage:
        yield stage


async def send(program: Program, id: UUID, text: str) -> UUID:
    async with program.api() as api:
        body = {"account": str(id), "to": "+971550000001", "text": text}
        reply = await api.post("/api/v1/messages", json=body)
        assert reply.status_code == 202, reply.text
        return UUID(reply.json()["id"])


async def test_what_a_killed_node_ran_another_resumes_without_a_qr_code(stage: DeviceStage, dsn: str) -> None:
    first = stage.program("here", DATABASE_URL=dsn)
    await first.start()
    control = await stage.control()
    accounts = await linked(first, control, 2)
    queued = {await send(first, id, "from here") for id in accounts.values()}
    second = stage.program("there", DATABASE_URL=dsn)
    await prove(control, dsn, queued, written=0)
    left = [worker.pid for worker in workers(first)]
    first.kill()
    for phone in accounts:
        await control.say("+971550000001", phone, "is anybody there?")
    await second.start()
    for id in accounts.values():
        await online(second, id)
    assert not [pid for pid in left if psutil.pid_exists(pid)]  # a worker dies with its wafleet
    queued |= {await send(second, id, "from there") for id in accounts.values()}
    await prove(control, dsn, queued, written=len(accounts))
    assert [line.replaced for line in await control.ledger()] == [0] * len(accounts)


async def test_two_nodes_never_have_two_sockets_of_one_account(stage: DeviceStage, dsn: str) -> None:
    first, second = (stage.program(home, DATABASE_URL=dsn) for home in ("here", "there"))
    await first.start()
    control = await stage.control()
    accounts = await linked(first, control, 4)
    await second.start()

    async def shared() -> list[int]:
        return sorted((len(workers(first)), len(workers(second))))

    await until(shared, lambda seen: seen == [2, 2])
    for id in accounts.values():
        await online(second, id)
    assert await first.stop() == 0
    await until(shared, lambda seen: seen == [0, 4])
    queued = {await send(second, id, "still here") for id in accounts.values()}
    await prove(control, dsn, queued, written=0)
    assert [line.replaced for line in await control.ledger()] == [0] * len(accounts)


async def test_a_worker_that_stands_still_is_ended_and_no_other_account_notices(stage: DeviceStage, dsn: str) -> None:
    program = stage.program(DATABASE_URL=dsn)
    await program.start()
    control = await stage.control()
    accounts = await linked(program, control, 2)
    still, *others = workers(program)
    os.kill(still.pid, signal.SIGSTOP)

    async def replaced() -> set[int]:
        return {worker.pid for worker in workers(program)}

    await until(replaced, lambda seen: still.pid not in seen and len(seen) == 2)
    for id in accounts.values():
        await online(program, id)
        assert (await state_of(program, id))[0] == "online"
    assert {worker.pid for worker in others} < await replaced()
    queued = {await send(program, id, "well again") for id in accounts.values()}
    await prove(control, dsn, queued, written=0)


async def test_a_node_that_stands_still_has_no_sockets_any_more_when_another_opens_its_accounts(
    stage: DeviceStage, dsn: str
) -> None:
    first, second = (stage.program(home, DATABASE_URL=dsn) for home in ("here", "there"))
    await first.start()
    control = await stage.control()
    accounts = await linked(first, control, 4)
    await second.start()

    async def shared() -> tuple[int, int]:
        here = [worker for worker in workers(first) if worker.status() != psutil.STATUS_ZOMBIE]
        return len(here), len(workers(second))

    await until(shared, lambda seen: seen == (2, 2))
    os.kill(first.pid, signal.SIGSTOP)
    try:
        await until(shared, lambda seen: seen[1] == 4, limit_s=60)
        assert (await shared())[0] == 0
        for id in accounts.values():
            await online(second, id)
        assert [line.replaced for line in await control.ledger()] == [0] * len(accounts)
    finally:
        os.kill(first.pid, signal.SIGCONT)
    queued = {await send(second, id, "still here") for id in accounts.values()}
    await prove(control, dsn, queued, written=0)

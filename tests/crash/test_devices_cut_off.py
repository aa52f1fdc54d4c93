"""A node that is cut off from the database: its linked devices are closed before another node opens them."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from tests.crash.devices import DeviceStage, device_stage, linked, online, prove, workers
from tests.crash.programs import Program, until
from tests.crash.test_devices_nodes import send

pytestmark = [pytest.mark.crash, pytest.mark.timeout(180)]


@pytest.fixture
async def stage(folder: Path) -> AsyncIterator[DeviceStage]:
    async with device_stage(folder) as stage:
        yield stage


@dataclass
class Way:
    """A node's way to the database. While it is cut, nothing passes, and nobody is told."""

    host: str
    port: int
    dsn: str = ""
    passable: asyncio.Event = field(default_factory=asyncio.Event)
    tasks: list["asyncio.Task[None]"] = field(default_factory=list["asyncio.Task[None]"])

    def take(self, near: asyncio.StreamReader, answers: asyncio.StreamWriter) -> None:
        self.tasks.append(asyncio.create_task(self._carry(near, answers)))

    async def _carry(self, near: asyncio.StreamReader, answers: asyncio.StreamWriter) -> None:
        if self.host.startswith("/"):
            far, asks = await asyncio.open_unix_connection(f"{self.host}/.s.PGSQL.{self.port}")
        else:
            far, asks = await asyncio.open_connection(self.host, self.port)
        await asyncio.gather(self._pass_on(near, asks), self._pass_on(far, answers))

    async def _pass_on(self, heard: asyncio.StreamReader, said: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError), contextlib.closing(said):
            while data := await heard.read(65_536):
                await self.passable.wait()
                said.write(data)
                await said.drain()


@asynccontextmanager
async def way_to(dsn: str) -> AsyncGenerator[Way]:
    given = conninfo_to_dict(dsn)
    way = Way(str(given["host"]), int(given.get("port") or 5432))
    way.passable.set()
    async with await asyncio.start_server(way.take, "127.0.0.1", 0) as relay:
        host, port = relay.sockets[0].getsockname()
        way.dsn = make_conninfo(dsn, host=host, port=port, sslmode="disable")
        yield way
        for task in way.tasks:
            task.cancel()
        await asyncio.gather(*way.tasks, return_exceptions=True)


async def running(program: Program) -> int:
    return len(workers(program))


async def test_a_node_that_is_cut_off_from_the_database_has_no_sockets_when_another_opens_its_accounts(
    stage: DeviceStage, dsn: str
) -> None:
    async with way_to(dsn) as way:
        first = stage.program("here", DATABASE_URL=way.dsn)
        second = stage.program("there", DATABASE_URL=dsn)
        await first.start()
        control = await stage.control()
        accounts = await linked(first, control, 2)
        await second.start()
        assert (await running(first), await running(second)) == (2, 0)
        way.passable.clear()
        await until(lambda: running(second), lambda seen: seen == 2)
        assert await running(first) == 0
        queued = {await send(second, id, "from there") for id in accounts.values()}
        for id in accounts.values():
            await online(second, id)
        await prove(control, dsn, queued, written=0)
        way.passable.set()
        await until(first.online, lambda seen: seen == 2)
        queued |= {await send(first, id, "back again") for id in accounts.values()}
        await prove(control, dsn, queued, written=0)
        assert (await running(first), await running(second)) == (0, 2)
        assert [line.replaced for line in await control.ledger()] == [0] * len(accounts)

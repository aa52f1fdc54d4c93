import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from tests.crash.programs import Network, Process, Program
from tests.engine.postgres_programs import enterable_folder

from wafleet.simulator.control import Control


class Stage:
    """Where one test plays: a network, and as many wafleets as it starts. All of it is gone afterwards."""

    def __init__(self, folder: Path, hands: AsyncExitStack) -> None:
        self.folder, self._hands = folder, hands
        self.network = Network(folder / "simulator")
        self.processes: list[Process] = [self.network]

    def program(self, name: str = "home", **settings: str) -> Program:
        made = Program(self.folder / name, self.network.folder, **settings)
        self.processes.append(made)
        return made

    async def control(self) -> Control:
        made = await self.network.control()
        self._hands.push_async_callback(made.close)
        return made

    def meanwhile(self, work: Coroutine[object, object, None]) -> asyncio.Task[None]:
        """Have something done at the same time; a test that fails before it is over stops it."""
        task = asyncio.create_task(work)

        async def stop() -> None:
            task.cancel()
            await asyncio.wait([task])

        self._hands.push_async_callback(stop)
        return task


@pytest.fixture
def folder() -> Iterator[Path]:
    with enterable_folder() as place:
        yield place


@pytest.fixture
async def stage(folder: Path) -> AsyncIterator[Stage]:
    async with AsyncExitStack() as hands:
        stage = Stage(folder, hands)
        try:
            await stage.network.start()
            yield stage
        finally:
            for one in reversed(stage.processes):
                one.kill()

"""Run a stand-in as a process of its own, beside a simulated network, or with one of its own where none runs."""

import asyncio
import os
import signal
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import TypeVar

import msgspec

from wafleet.simulator.client import connect_folder
from wafleet.simulator.local import Local
from wafleet.simulator.run import run as run_network
from wafleet.simulator.standins.numbers import Connect
from wafleet.simulator.wire import Wire
from wafleet.simulator.world import World

Open = Callable[[Connect], AbstractAsyncContextManager[object]]
Keys = TypeVar("Keys", bound=msgspec.Struct)


def run(folder: Path, open: Open) -> None:
    """Run a stand-in on the network of this folder until SIGTERM or SIGINT. Raises OSError when its port is taken.

    open  opens it, with what connects it to that network
    """
    if asyncio.run(_answers(folder)):
        asyncio.run(_beside(folder, open))
    else:
        run_network(folder, above=lambda world: _above(world, open))


def keep(folder: Path, name: str, fresh: Keys) -> Keys:
    """Return the keys of a stand-in: those of the last time, or else fresh ones, which are kept."""
    path = folder / f"{name}.json"
    try:
        return msgspec.json.decode(path.read_bytes(), type=type(fresh))
    except (OSError, msgspec.MsgspecError):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(msgspec.json.encode(fresh))
        return fresh


async def _answers(folder: Path) -> bool:
    try:
        await (await connect_folder(folder)).close()
    except (ConnectionError, TimeoutError):
        return False
    return True


async def _beside(folder: Path, open: Open) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with open(lambda: connect_folder(folder)):
        await stop.wait()


@asynccontextmanager
async def _above(world: World, open: Open) -> AsyncGenerator[None]:
    async def connect() -> Wire:
        return Local(world)

    async with open(connect):
        yield

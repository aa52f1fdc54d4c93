"""Run the simulator as a process of its own: one per folder, found by the address it publishes there."""

import asyncio
import fcntl
import gc
import logging
import os
import secrets
import signal
import sys
from collections.abc import Callable, Generator
from contextlib import AbstractAsyncContextManager, contextmanager, nullcontext
from pathlib import Path

from wafleet.simulator.address import Address, publish, withdraw
from wafleet.simulator.manners import Manners
from wafleet.simulator.scenario import Scenario, play
from wafleet.simulator.server import serve
from wafleet.simulator.world import World

if sys.platform != "win32":
    import uvloop

log = logging.getLogger(__name__)

_LAST_PORT = 65_535
Above = Callable[[World], AbstractAsyncContextManager[object]]


class FolderTaken(RuntimeError):
    """Another simulator runs in this folder."""

    def __init__(self, folder: Path) -> None:
        super().__init__(f"A simulator is already running in {folder}: use it, or stop it first")


def run(
    folder: Path,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    seed: int | None = None,
    scenario: Scenario | None = None,
    manners: Manners | None = None,
    ready: Callable[[Address], None] | None = None,
    above: Above | None = None,
) -> None:
    """Serve a network until SIGTERM or SIGINT. What it remembers lives in `folder` and is there again next time.

    above  what stands on the world while it runs, such as an emulator of linked devices

    Raises FolderTaken when one runs there already, OSError when the port is taken, ValueError when it is none.
    """
    if not 0 <= port <= _LAST_PORT:
        raise ValueError(f"{port} is not a port: they go from 1 to {_LAST_PORT}, and 0 is any free one")
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    loops = asyncio.new_event_loop if sys.platform == "win32" else uvloop.new_event_loop
    with _alone(folder), asyncio.Runner(loop_factory=loops) as runner:
        scenario = scenario or Scenario()
        world = World(
            seed=scenario.seed if seed is None else seed,
            manners=manners or scenario.manners,
            journal=folder / "ledger.journal",
        )
        gc.collect()
        gc.freeze()  # what was replayed stays; looking at it again and again would cost pauses
        try:
            runner.run(_run(world, folder, host, port, scenario, ready, above or _nothing))
        finally:
            world.close()


async def _run(
    world: World,
    folder: Path,
    host: str,
    port: int,
    scenario: Scenario,
    ready: Callable[[Address], None] | None,
    above: Above,
) -> None:
    token = secrets.token_urlsafe(24)
    server = await serve(world, host=host, port=port, token=token)
    address = Address(host, server.port, token, os.getpid())
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    try:
        async with above(world):
            play(world, scenario)
            publish(folder, address)
            try:
                if ready:
                    ready(address)
                await stop.wait()
            finally:
                withdraw(folder)
    finally:
        await server.close()


def _nothing(world: World) -> AbstractAsyncContextManager[object]:
    return nullcontext()


@contextmanager
def _alone(folder: Path) -> Generator[None, None, None]:
    """Hold the folder's lock; the system lets go of it when this process dies, however that happens."""
    with (folder / "simulator.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise FolderTaken(folder) from None
        yield

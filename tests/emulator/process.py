"""The emulator as a process of its own, to be killed and started again, and clients that know only its folder."""

import asyncio
import signal
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
from tests.emulator.rig import Client

from wafleet.emulator.endpoint import FILE, Endpoint
from wafleet.simulator.control import Control

_START_S = 30.0
_SCENARIO = "manners: {login_s: [0, 0.01], answer_s: [0, 0.01], delivered_s: [0, 0.02], read_share: 0}"


class Process:
    """One emulator's process. `kill` ends it as a crash would."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> Endpoint:
        """Start it, and wait until it says where it is."""
        scenario = self.folder.parent / "scenario.yaml"
        scenario.write_text(_SCENARIO)
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "wafleet.emulator", "--folder", str(self.folder), "--scenario", str(scenario)),
            stderr=asyncio.subprocess.DEVNULL,
        )
        async with asyncio.timeout(_START_S):
            while (endpoint := self._endpoint()) is None or not (self.folder / "simulator.json").exists():
                assert self._process.returncode is None, "the emulator's process ended"
                await asyncio.sleep(0.02)
        return endpoint

    async def control(self) -> Control:
        """Connect to the world in it."""
        async with asyncio.timeout(_START_S):
            while True:
                try:
                    return await Control.at(self.folder)
                except ConnectionError:
                    await asyncio.sleep(0.02)

    async def kill(self) -> None:
        """End it by SIGKILL."""
        await self.stop(signal.SIGKILL)

    async def stop(self, by: signal.Signals = signal.SIGTERM) -> int:
        """End it, and return its exit status."""
        process, self._process = self._process, None
        if process is None:
            return 0
        if process.returncode is None:
            process.send_signal(by)
        return await process.wait()

    def _endpoint(self) -> Endpoint | None:
        try:
            found = msgspec.json.decode((self.folder / FILE).read_bytes(), type=Endpoint)
        except (OSError, msgspec.MsgspecError):
            return None
        return found if self._process and found.pid == self._process.pid else None


@asynccontextmanager
async def process(folder: Path) -> AsyncGenerator[Process]:
    """An emulator's process, not yet started."""
    one = Process(folder)
    try:
        yield one
    finally:
        await one.stop(signal.SIGKILL)


@asynccontextmanager
async def knowing(endpoint: Endpoint, database: Path) -> AsyncGenerator[Client]:
    """The real library, connecting to wherever the file says."""
    one = Client(endpoint.plain, database, endpoint.tls.proxy)
    await one.open()
    try:
        await one.start()
        yield one
    finally:
        await one.close()

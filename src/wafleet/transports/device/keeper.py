"""Starts worker processes, watches them, and ends those that misbehave."""

import asyncio
import logging
from pathlib import Path
from typing import Final

from wafleet.config import DevicesSettings
from wafleet.transports.device.client import Client
from wafleet.transports.device.ears import ClientEars, Gone, NoAnswer, Unable, Why
from wafleet.transports.device.process import PLACE, Process

__all__ = ["Client", "ClientEars", "Gone", "Keeper", "NoAnswer", "Unable", "Why"]

log = logging.getLogger(__name__)

_LOOK_S: Final = 1.0
_BEATS: Final = 4  # of a worker within the time after which it counts as stuck
_WEIGHED: Final = 5  # looks between two looks at its memory
_START_S: Final = 20.0


class Keeper:
    """Keeps the worker processes of this node: one per account, or one for several where the settings say so.

    place  the folder with the package `worker`
    """

    def __init__(self, settings: DevicesSettings, *, place: Path = PLACE) -> None:
        self._settings, self._place = settings, place
        self._processes: set[Process] = set()
        self._starting = asyncio.Lock()
        self._watching: asyncio.Task[None] | None = None
        self._renewing: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> "Keeper":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def client(
        self, *, folder: Path, program: Path, ears: ClientEars, proxy: str | None = None, ca: Path | None = None
    ) -> Client:
        """Give an account a worker; workers are started one after another. Raises Gone where none starts.

        folder   the account's private store; must exist
        program  the library's program, or a patched copy of it
        proxy    URL; none: connect directly
        ca       file of certificates to trust instead of the system's

        A worker ends with the thread that started it: call this in one that lasts.
        """
        async with self._starting:
            process = self._with_room(program, ca) or await self._started(program, ca)
            return Client(process, folder=folder, proxy=proxy, ears=ears)

    async def close(self) -> None:
        """End all workers."""
        for task in (self._watching, *self._renewing):
            if task:
                task.cancel()
        for process in [*self._processes]:
            await process.kill(Why.CRASHED, "wafleet ends")

    def _with_room(self, program: Path, ca: Path | None) -> Process | None:
        for one in self._processes:
            room = len(one.clients) < self._settings.accounts_per_worker
            if room and not one.retiring and not one.closing and (one.program, one.ca) == (program, ca):
                return one
        return None

    async def _started(self, program: Path, ca: Path | None) -> Process:
        process = Process(place=self._place, program=program, ca=ca)
        await process.start(beat_s=min(self._settings.stuck_s / _BEATS, 5.0), limit_s=_START_S)
        self._processes.add(process)
        process.over.add_done_callback(lambda _: self._processes.discard(process))
        if self._watching is None:
            self._watching = asyncio.create_task(self._watch(), name="watch workers")
        return process

    async def _watch(self) -> None:
        """Look at every worker each second. A look counts, not the clock: a node that stood still accuses nobody."""
        looks = 0
        while True:
            await asyncio.sleep(_LOOK_S)
            looks += 1
            for process in [*self._processes]:
                self._look(process, weigh=looks % _WEIGHED == 0)

    def _look(self, process: Process, *, weigh: bool) -> None:
        settings = self._settings
        if process.silence() * _LOOK_S > settings.stuck_s:
            process.condemn(Why.STUCK, f"it was silent for {settings.stuck_s:g} s")
        elif process.retiring or process.closing:
            return
        elif asyncio.get_running_loop().time() - process.started_at > settings.lifetime_h * 3600:
            self._renew(process, Why.LIFETIME, f"it ran for {settings.lifetime_h:g} h")
        elif weigh and (memory := process.memory(settings.memory_mb)) > settings.memory_mb:
            self._renew(process, Why.MEMORY, f"it took {memory:.0f} MB, and may take {settings.memory_mb}")

    def _renew(self, process: Process, why: Why, detail: str) -> None:
        log.info("worker is renewed", extra={"pid": process.pid, "detail": detail})
        process.retiring = True
        for client in process.clients.values():
            task = asyncio.create_task(client.renew(why, detail), name="renew a worker")
            self._renewing.add(task)
            task.add_done_callback(self._renewing.discard)

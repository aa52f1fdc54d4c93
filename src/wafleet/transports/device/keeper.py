"""Starts worker processes, watches them, and ends those that misbehave."""

import asyncio
import logging
from pathlib import Path
from typing import Final

from wafleet.config import DevicesSettings
from wafleet.transports.device import alive
from wafleet.transports.device.alive import Alive
from wafleet.transports.device.client import Client
from wafleet.transports.device.ears import ClientEars, Gone, NoAnswer, Unable, Why
from wafleet.transports.device.process import PLACE, Process

__all__ = ["Client", "ClientEars", "Gone", "Keeper", "NoAnswer", "Unable", "Why"]

log = logging.getLogger(__name__)

_LOOK_S: Final = 1.0
_BEATS: Final = 4  # of a worker within the time after which it counts as stuck
_WEIGHED: Final = 5  # looks between two closer looks at its memory
_ONE_FILE_MB: Final = 512  # with a file of 60 MB under way a worker takes 310, with the second after it 410 (measured)
_START_S: Final = 20.0


class Keeper:
    """Keeps the worker processes of this node: one per account, or one for several where the settings say so.

    place       the folder with the package `worker`
    patience_s  when this process stands still for so long, its workers end
    """

    def __init__(self, settings: DevicesSettings, *, place: Path = PLACE, patience_s: float = alive.PATIENCE_S) -> None:
        self._settings, self._place, self._patience_s = settings, place, patience_s
        self._alive: Alive | None = None
        self._processes: set[Process] = set()
        self._starting = asyncio.Lock()
        self._watching: list[asyncio.Task[None]] = []
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
        for task in self._renewing:
            task.cancel()
        for process in [*self._processes]:
            await process.kill(Why.CRASHED, "wafleet ends")
        for task in self._watching:
            task.cancel()
        if self._alive is not None:
            self._alive.close()
            self._alive = None

    def _with_room(self, program: Path, ca: Path | None) -> Process | None:
        for one in self._processes:
            room = len(one.clients) < self._settings.accounts_per_worker
            if room and not one.retiring and not one.closing and (one.program, one.ca) == (program, ca):
                return one
        return None

    async def _started(self, program: Path, ca: Path | None) -> Process:
        process = Process(place=self._place, program=program, ca=ca, alive=self._watched().file)
        await process.start(beat_s=min(self._settings.stuck_s / _BEATS, 5.0), limit_s=_START_S)
        self._processes.add(process)
        process.over.add_done_callback(lambda _: self._processes.discard(process))
        return process

    def _watched(self) -> Alive:
        if self._alive is None:
            self._alive = Alive(self._patience_s)
            self._watching = [
                asyncio.create_task(self._alive.keep_beating(), name="let workers live"),
                asyncio.create_task(self._watch(), name="watch workers"),
            ]
            self._alive.beat()
        return self._alive

    async def _watch(self) -> None:
        """Look at every worker each second. A look counts, not the clock: a node that stood still accuses nobody."""
        looks = 0
        while True:
            await asyncio.sleep(_LOOK_S)
            looks += 1
            for process in [*self._processes]:
                self._look(process, closely=looks % _WEIGHED == 0)

    def _look(self, process: Process, *, closely: bool) -> None:
        """See whether a worker is well.

        Twice the memory it may take ends it at once, whatever it is about; once, after its calls. The first is looked
        for each time, and costs little: only where much is taken, what workers share is counted in shares.
        """
        settings = self._settings
        most = settings.memory_mb
        far_too_much = max(most * 2, _ONE_FILE_MB)
        if process.silence() * _LOOK_S > settings.stuck_s:
            process.condemn(Why.STUCK, f"it was silent for {settings.stuck_s:g} s")
        elif (memory := process.memory(far_too_much)) > far_too_much:
            process.condemn(Why.MEMORY, _took(memory, most))
        elif process.retiring or process.closing:
            return
        elif asyncio.get_running_loop().time() - process.started_at > settings.lifetime_h * 3600:
            self._renew(process, Why.LIFETIME, f"it ran for {settings.lifetime_h:g} h")
        elif closely and (memory := process.memory(most)) > most:
            self._renew(process, Why.MEMORY, _took(memory, most))

    def _renew(self, process: Process, why: Why, detail: str) -> None:
        log.info("worker is renewed", extra={"pid": process.pid, "detail": detail})
        process.retiring = True
        for client in process.clients.values():
            task = asyncio.create_task(client.renew(why, detail), name="renew a worker")
            self._renewing.add(task)
            task.add_done_callback(self._renewing.discard)


def _took(memory: float, most: int) -> str:
    return f"it took {memory:.0f} MB, and may take {most}"

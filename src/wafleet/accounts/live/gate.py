"""How many accounts connect at a time, and how far apart."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from wafleet.config import SessionsSettings
from wafleet.engine.clock import Clock


class Gate:
    """Lets a few through at a time. While others wait it stays shut for a moment after each; one alone never waits.

    at_once  how many may pass at the same time
    pause_s  for how long one's place stays empty before the next who waits gets it
    """

    def __init__(self, at_once: int, pause_s: float, *, clock: Clock) -> None:
        self._free, self._pause_s, self._clock = asyncio.Semaphore(at_once), pause_s, clock
        self._waiting = 0
        self._pauses: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def passing(self) -> AsyncGenerator[None]:
        """Wait for a place, and keep it for as long as this is open."""
        self._waiting += 1
        try:
            await self._free.acquire()
        finally:
            self._waiting -= 1
        try:
            yield
        finally:
            self._leave()

    def _leave(self) -> None:
        if not self._waiting or not self._pause_s:
            self._free.release()
            return
        pause = asyncio.create_task(self._pause(), name="pause between accounts")
        self._pauses.add(pause)  # a task that nobody keeps may vanish
        pause.add_done_callback(self._pauses.discard)

    async def _pause(self) -> None:
        try:
            await self._clock.sleep(self._pause_s)
        finally:
            self._free.release()


def gate_of(kind: str, settings: SessionsSettings, clock: Clock) -> Gate:
    """Return the gate for accounts of a transport: linked devices go through one of their own, and gently."""
    if kind == "device":
        return Gate(settings.device_concurrency, settings.device_gap_s, clock=clock)
    return Gate(settings.concurrency, settings.gap_ms / 1000, clock=clock)

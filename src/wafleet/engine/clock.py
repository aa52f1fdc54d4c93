"""Time as an argument, so that tests can move it."""

import asyncio
import heapq
import time
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """What time it is, and how to wait."""

    def now(self) -> datetime:
        """Return the wall clock's time, aware UTC: for what people see. It may jump."""
        ...

    def monotonic(self) -> float:
        """Return seconds that only grow: for measuring how long something takes."""
        ...

    async def sleep(self, seconds: float, *, until: asyncio.Event | None = None) -> None:
        """Return after `seconds`, or as soon as `until` is set."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float, *, until: asyncio.Event | None = None) -> None:
        if until is None:
            await asyncio.sleep(seconds)
            return
        try:
            async with asyncio.timeout(seconds):
                await until.wait()
        except TimeoutError:
            pass


class ManualClock:
    """A clock that stands still until a test moves it."""

    def __init__(self, now: datetime = datetime(2026, 1, 1, 12, tzinfo=UTC)) -> None:
        self._now, self._monotonic = now, 1000.0
        self._sleepers: list[tuple[float, int, asyncio.Event]] = []

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return self._monotonic

    async def sleep(self, seconds: float, *, until: asyncio.Event | None = None) -> None:
        due = asyncio.Event()
        heapq.heappush(self._sleepers, (self._monotonic + seconds, id(due), due))
        waits = [asyncio.ensure_future(due.wait())]
        if until is not None:
            waits.append(asyncio.ensure_future(until.wait()))
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    def jump(self, by: timedelta) -> None:
        """Set the wall clock, as an administrator or NTP would; sleepers do not notice."""
        self._now += by

    async def advance(self, seconds: float) -> None:
        """Let time pass, waking sleepers in order."""
        end = self._monotonic + seconds
        while self._sleepers and self._sleepers[0][0] <= end:
            at, _, due = heapq.heappop(self._sleepers)
            self._pass(at - self._monotonic)
            due.set()
            await asyncio.sleep(0)
        self._pass(end - self._monotonic)
        await asyncio.sleep(0)

    def _pass(self, seconds: float) -> None:
        self._monotonic += max(0.0, seconds)
        self._now += timedelta(seconds=max(0.0, seconds))

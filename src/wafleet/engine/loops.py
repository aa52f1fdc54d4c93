"""Background duties: written once here; slices only write `turn`."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

import structlog

from wafleet.engine import observe
from wafleet.engine.clock import Clock

log = structlog.get_logger(__name__)
LONGEST_BACKOFF_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Loop:
    """A duty that comes round. `turn` does one round, keeps no state and may be run at any time."""

    name: str
    turn: Callable[[], Awaitable[object]]
    every: timedelta
    jitter: float = 0.1  # share of `every`; keeps a fleet from ticking in step
    woken: asyncio.Event = field(default_factory=asyncio.Event)  # a wake-up sets it; the period is the safety net


async def run_loops(loops: Sequence[Loop], *, clock: Clock, stopping: asyncio.Event) -> None:
    """Run every loop until `stopping`. A failed turn is logged on change and comes round again, later each time."""
    async with asyncio.TaskGroup() as tasks:
        for loop in loops:
            tasks.create_task(_run(loop, clock, stopping), name=loop.name)
        await stopping.wait()
        for loop in loops:
            loop.woken.set()


async def _run(loop: Loop, clock: Clock, stopping: asyncio.Event) -> None:
    failures = 0
    while not stopping.is_set():
        loop.woken.clear()
        try:
            await loop.turn()
        except Exception as error:
            failures += 1
            observe.loop_failures.labels(loop.name).inc()
            if failures == 1:
                log.exception("turn_failed", loop=loop.name, error=str(error))
        else:
            if failures:
                log.info("turn_recovered", loop=loop.name, after=failures)
            failures = 0
        await _pause(loop, clock, failures)


async def _pause(loop: Loop, clock: Clock, failures: int) -> None:
    jitter = random.uniform(1 - loop.jitter, 1 + loop.jitter)
    if failures:
        await clock.sleep(min(0.25 * 2**failures, LONGEST_BACKOFF_S) * jitter)
    else:
        await clock.sleep(loop.every.total_seconds() * jitter, until=loop.woken)

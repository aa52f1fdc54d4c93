"""What runs while wafleet runs: this node's duties, the nightly upkeep, and an orderly end."""

import asyncio
from collections.abc import AsyncGenerator, Coroutine
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

import structlog

from wafleet.accounts import ASKED, SESSIONS
from wafleet.app.parts import Engine, Slices
from wafleet.config import Settings
from wafleet.domain.ids import AccountId
from wafleet.engine import bus
from wafleet.engine.jobs import Jobs
from wafleet.engine.loops import Loop, run_loops
from wafleet.outbox import OUTBOX

log = structlog.get_logger(__name__)
INBOX: Final = "inbox"  # woken when customers' messages were stored
FILES: Final = "files"  # ... and their files are still with the network
DRAIN_S: Final = 2.0  # for what is on the wire when wafleet is stopped
LEAVE_S: Final = 4.0  # for handing the accounts over; others take them anyway once the leases run out


@asynccontextmanager
async def in_motion(
    engine: Engine, slices: Slices, settings: Settings, stopping: asyncio.Event
) -> AsyncGenerator[None]:
    """Run every duty until left; then finish what is on the wire, hand the accounts over, and store the rest."""
    handle = Loop(name="flows", turn=slices.flows.turn, every=timedelta(seconds=2))
    engine.wakes.subscribe(SESSIONS, lambda _: slices.live.look())
    engine.wakes.subscribe(SESSIONS, lambda ids: slices.callees.forget(None if ids is None else map(_account, ids)))
    engine.wakes.subscribe(ASKED, lambda ids: slices.live.asked(None if ids is None else map(_account, ids)))
    engine.wakes.subscribe(OUTBOX, lambda ids: slices.lanes.wake(None if ids is None else map(_account, ids)))
    engine.wakes.subscribe(INBOX, lambda _: handle.woken.set())
    engine.wakes.subscribe(FILES, lambda _: slices.files.wake())
    roles = settings.node.roles
    loops: list[Loop] = [*slices.tenants.loops(), *slices.callees.loops(), *slices.unknown_codes.loops()]
    running: list[Coroutine[Any, Any, None]] = [slices.outbox.run(), slices.inbox.run(), engine.wakes.run()]
    running += [slices.signs.batch.run(), slices.callees.batch.run()]
    if "lanes" in roles:
        loops += [*slices.live.loops(renew_s=settings.node.renew_s), *slices.lanes.loops()]
        running += [slices.lanes.run(), slices.live.run()]
    else:
        running.append(slices.lanes.run_receipts())
    if "duties" in roles:
        loops += [handle, *slices.outbox.loops(), *slices.files.loops()]
        running.append(_upkeep(engine, slices, settings).run(stopping))
    running.append(run_loops(loops, clock=engine.clock, stopping=stopping))
    tasks = [asyncio.create_task(one, name=one.__qualname__) for one in running]
    for task in tasks:
        task.add_done_callback(lambda ended: _mourn(ended, stopping))
    try:
        yield
    finally:
        await slices.lanes.drain(DRAIN_S)
        await slices.live.leave(LEAVE_S)
        await asyncio.gather(slices.lanes.drain_settling(DRAIN_S), slices.inbox.drain(DRAIN_S))
        stopping.set()
        await asyncio.wait(tasks[-1:], timeout=DRAIN_S)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _mourn(task: "asyncio.Task[None]", stopping: asyncio.Event) -> None:
    """Stop when a part that must run for ever has died: a program that is half alive helps nobody."""
    if not task.cancelled() and not stopping.is_set() and (error := task.exception()) is not None:
        log.critical("part_died", part=task.get_name(), error=repr(error), exc_info=error)
        stopping.set()


def _upkeep(engine: Engine, slices: Slices, settings: Settings) -> Jobs:
    """Clean up every night what is kept for a time only, on whichever node comes first."""
    keep = settings.retention
    jobs = Jobs(engine.db, keep=timedelta(days=keep.jobs_days))

    @jobs.job("upkeep.outbox", every="10 3 * * *")
    async def outbox() -> None:
        await slices.outbox.forget(
            keys_older_than=timedelta(days=keep.idempotency_days),
            strays_older_than=timedelta(days=keep.stray_receipts_days),
        )

    @jobs.job("upkeep.media", every="40 3 * * *")
    async def media() -> None:
        await slices.media.clean()

    @jobs.job("upkeep.tallies", every="20 3 * * *")
    async def tallies() -> None:
        await slices.live.fold_tallies(older_than=timedelta(days=keep.tallies_days))

    @jobs.job("upkeep.asks", every="50 3 * * *")
    async def asks() -> None:
        await slices.asks.forget()

    @jobs.job("upkeep.phones", every="0 * * * *")
    async def phones() -> None:
        await slices.live.warn_of_phones()

    @jobs.job("upkeep.events", every="30 3 * * *")
    async def events() -> None:
        gone = True
        while gone:
            async with engine.db.fleet_tx() as tx:
                gone = await bus.trim(tx, older_than=timedelta(days=keep.events_days)) > 0

    return jobs


def _account(text: str) -> AccountId:
    return AccountId(UUID(text))

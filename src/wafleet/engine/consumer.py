"""A reader of the event log that remembers how far it came, together with what it did."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum, auto
from typing import Any, Final, Literal

import structlog
from psycopg.errors import DeadlockDetected, SerializationFailure
from psycopg.types.json import Jsonb

from wafleet.engine import bus, observe
from wafleet.engine.bus import Logged, Position
from wafleet.engine.clock import SystemClock
from wafleet.engine.db import DatabaseAway, Db, Tx
from wafleet.engine.loops import Loop
from wafleet.engine.wakes import Wakes

log = structlog.get_logger(__name__)


class CursorMoved(Exception):
    """Somebody else moved this consumer's cursor meanwhile; what was done is undone."""


PASSING: Final = (DatabaseAway, DeadlockDetected, SerializationFailure, CursorMoved)  # no event's fault

SOON_S: Final = 0.002
SOON_LOOKS: Final = 6  # 2 + 4 + ... + 64 ms; then the loop's own period

Handle = Callable[[Tx, Sequence[Logged]], Awaitable[None]]


class _Next(Enum):
    NOW = auto()  # there may be more
    SOON = auto()  # there is more, but a transaction that is still open holds it back
    LATER = auto()


@dataclass(frozen=True, slots=True)
class _Step:
    handled: int
    next: _Next


class Consumer:
    """Hands every event to `handle` once, in order, on one node at a time.

    handle  works in the transaction that also moves the cursor: its writes and the cursor land together or not at all;
            it finds its rows by keys (`Db.keyed_tx`)
    start   where a consumer begins that never ran: at the `beginning` of the log or at its `end`
    tries   failures in a row at one place before the event that causes them is looked for and put aside in dead_events
    """

    def __init__(
        self,
        db: Db,
        name: str,
        handle: Handle,
        *,
        start: Literal["beginning", "end"] = "end",
        most: int = 500,
        tries: int = 5,
    ) -> None:
        self._db, self.name, self._handle = db, name, handle
        self._start, self._most, self._tries = start, most, tries
        self._limit = most
        self._failures = 0
        self._suspect: Position | None = None  # the failing event is at or before this

    async def turn(self) -> int:
        """Handle what there is and return how many events that were; 0 also when another node is at it.

        Raises what `handle` raised, until it has failed `tries` times.
        """
        total, looks = 0, 0
        while True:
            step = await self._step(self._limit)
            total += step.handled
            looks = 0 if step.handled else looks + 1
            if step.next is _Next.LATER or (step.next is _Next.SOON and looks > SOON_LOOKS):
                return total
            if step.next is _Next.SOON:
                await asyncio.sleep(SOON_S * 2**looks)

    def loop(self, wakes: Wakes, *, every: timedelta = timedelta(seconds=1)) -> Loop:
        """Return the duty that runs this consumer whenever events are written, and at least `every` so often."""
        loop = Loop(name=f"consumer {self.name}", turn=self.turn, every=every)
        wakes.subscribe(bus.TOPIC, lambda _: loop.woken.set())
        return loop

    async def retry_dead(self, *, most: int = 100) -> int:
        """Hand the oldest events that were put aside to `handle` once more and return how many it took.

        Each in a transaction of its own and out of order: what came after them has been handled long since.
        """
        async with self._db.fleet_tx() as tx:
            rows = await tx.tuples(
                """
                select xid::text, seq, tenant_id, account_id, kind, at, data from dead_events
                 where consumer = %(name)s order by dead_events.xid, dead_events.seq limit %(most)s
                """,
                name=self.name,
                most=most,
            )
        return sum([await self._retried(bus.logged(row)) for row in rows])

    async def _retried(self, event: Logged) -> bool:
        try:
            async with self._db.fleet_tx() as tx:
                still_there = await tx.run(
                    "delete from dead_events where consumer = %(name)s and xid = %(xid)s::xid8 and seq = %(seq)s",
                    name=self.name,
                    xid=str(event.position.xid),
                    seq=event.position.seq,
                )
                if still_there:
                    await self._handle(tx, [event])
                return still_there == 1
        except PASSING:
            raise
        except Exception as error:
            log.warning("event_failed_again", consumer=self.name, kind=event.kind, error=type(error).__name__)
            return False

    async def _step(self, limit: int) -> "_Step":
        events: list[Logged] = []
        try:
            async with self._db.keyed_tx() as tx:
                cursor = await self._locked_cursor(tx)
                if cursor is None:
                    self._trust()
                    return _Step(0, _Next.LATER)
                events = await bus.read(tx, cursor, most=limit)
                held = len(events) < limit and await bus.held_back(tx)
                if events:
                    await self._handle(tx, events)
                    await self._move(tx, cursor, events[-1].position)
        except PASSING:
            raise
        except Exception as error:
            await self._failed(events, error)
            return _Step(0, _Next.NOW)
        self._succeeded(events)
        if len(events) == limit or self._suspect is not None:
            return _Step(len(events), _Next.NOW)
        return _Step(len(events), _Next.SOON if held else _Next.LATER)

    async def _locked_cursor(self, tx: Tx) -> Position | None:
        """None when another node is at it. An advisory lock, for locking the row would draw an xid at each look."""
        key = f"wafleet consumer {self.name}"
        if not await tx.value("select pg_try_advisory_xact_lock(hashtextextended(%(key)s, 0))", key=key):
            return None
        rows = await tx.tuples("select xid::text, seq from consumers where name = %(name)s", name=self.name)
        if rows:
            return Position(int(rows[0][0]), rows[0][1])
        first = await bus.end(tx) if self._start == "end" else Position(0, 0)
        await tx.run(
            "insert into consumers (name, xid, seq) values (%(name)s, %(xid)s::xid8, %(seq)s)",
            name=self.name,
            xid=str(first.xid),
            seq=first.seq,
        )
        return first

    async def _move(self, tx: Tx, before: Position, after: Position) -> None:
        moved = await tx.run(
            """
            update consumers set xid = %(xid)s::xid8, seq = %(seq)s, updated_at = now()
             where name = %(name)s and (xid, seq) = (%(old_xid)s::xid8, %(old_seq)s::bigint)
            """,
            name=self.name,
            xid=str(after.xid),
            seq=after.seq,
            old_xid=str(before.xid),
            old_seq=before.seq,
        )
        if not moved:
            raise CursorMoved(self.name)

    def _succeeded(self, events: Sequence[Logged]) -> None:
        if not events:
            return self._trust()
        observe.events_handled.labels(self.name).inc(len(events))
        age = (SystemClock().now() - events[-1].at).total_seconds()
        observe.consumer_lag.labels(self.name).set(max(0.0, age))
        if self._suspect is None or events[-1].position >= self._suspect:
            self._trust()
        return None

    def _trust(self) -> None:
        self._limit, self._failures, self._suspect = self._most, 0, None

    async def _failed(self, events: Sequence[Logged], error: Exception) -> None:
        """Raise, to be tried again later; after too many failures halve the batch until one event is left."""
        self._failures += 1
        if not events or self._failures < self._tries:
            raise error
        if len(events) == 1:
            await self._bury(events[0], error)
            self._trust()
            return
        self._suspect = events[-1].position
        self._limit = len(events) // 2

    async def _bury(self, event: Logged, error: Exception) -> None:
        async with self._db.fleet_tx() as tx:
            cursor = await self._locked_cursor(tx)
            if cursor is None or cursor >= event.position:
                return
            await self._move(tx, cursor, event.position)
            await tx.run(
                """
                insert into dead_events (consumer, xid, seq, tenant_id, account_id, kind, at, data, error)
                values (%(consumer)s, %(xid)s::xid8, %(seq)s, %(tenant)s, %(account)s, %(kind)s, %(at)s,
                        %(data)s, %(error)s)
                on conflict do nothing
                """,
                consumer=self.name,
                error=repr(error).replace("\0", "")[:2000],
                **_columns(event),
            )
        observe.events_buried.labels(self.name).inc()
        what = type(error).__name__  # its words may be a customer's: they are in the table
        log.error("event_put_aside", consumer=self.name, kind=event.kind, position=str(event.position), error=what)


def _columns(event: Logged) -> dict[str, Any]:
    return {
        "xid": str(event.position.xid),
        "seq": event.position.seq,
        "tenant": event.tenant,
        "account": event.account,
        "kind": event.kind,
        "at": event.at,
        "data": Jsonb(event.data),
    }

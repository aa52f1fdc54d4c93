"""The event log: what happened, kept in order, and read by consumers that each remember how far they came.

Sequence numbers are drawn before their transactions commit, so a reader that remembers the greatest one it saw may
skip a smaller one that commits later. The log's order is therefore the pair (xid, seq), and a reader looks only below
`pg_snapshot_xmin(pg_current_snapshot())`. Why nothing is skipped:

1. xmin is the oldest transaction still under way when the reader's statement took its snapshot. Every transaction
   below it has ended: its rows are in the snapshot if it committed, and never will be if it did not.
2. A transaction that starts later draws an xid above all drawn before, hence at or above xmin.
3. So the rows below xmin are final. The cursor stands on one of them, or at an xmin; whatever commits from now on is at
   or above xmin: after the cursor, still to be read. Within one xid all rows appear at once.

The price: a writing transaction anywhere on the server holds back every reader while it lasts, and nobody is woken
when it ends. A reader that sees committed events above the horizon (`held_back`) therefore looks again very soon.
"""

import re
from collections.abc import AsyncGenerator, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple, Self
from uuid import UUID

import msgspec

from wafleet.engine.db import Db, Reach, Tx
from wafleet.engine.wakes import Wakes

TOPIC: Final = "events"  # wake it after committing events; readers sleep on it
HELD_BACK_S: Final = 0.02
_POSITION: Final = re.compile(r"([0-9]{1,19})-([0-9]{1,18})")


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened."""

    kind: str
    tenant: UUID | None = None
    account: UUID | None = None
    data: dict[str, Any] = {}


class Position(NamedTuple):
    """A place in the log: everything at or before it has been read."""

    xid: int
    seq: int

    def __str__(self) -> str:
        return f"{self.xid}-{self.seq}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what `str` wrote, as a client sends it back. Raises ValueError."""
        found = _POSITION.fullmatch(text)
        if found is None:
            raise ValueError(f"{text[:50]!r} is no position in the event log: send back an id it gave you.")
        return cls(int(found[1]), int(found[2]))


class Logged(Event, frozen=True, kw_only=True):
    """An event with its place in the log and the time its transaction began."""

    position: Position
    at: datetime


async def append(tx: Tx, events: Sequence[Event]) -> None:
    """Add events to the log, in order; they exist if `tx` commits. Wake TOPIC afterwards."""
    if not events:
        return
    await tx.run(
        """
        insert into events (tenant_id, account_id, kind, data)
        select tenant, account, kind, data::jsonb
          from unnest(%(tenants)b::uuid[], %(accounts)b::uuid[], %(kinds)b::text[], %(data)b::text[])
               as e (tenant, account, kind, data)
        """,
        tenants=[one.tenant for one in events],
        accounts=[one.account for one in events],
        kinds=[str(one.kind) for one in events],
        data=[msgspec.json.encode(one.data).decode() for one in events],
    )


async def end(tx: Tx) -> Position:
    """Return the place behind everything that can be read now; what commits later comes after it."""
    return Position(int(await tx.value("select pg_snapshot_xmin(pg_current_snapshot())::text")), 0)


async def read(tx: Tx, after: Position, *, most: int) -> list[Logged]:
    """Return the next events in order, of the tenant that `tx` sees."""
    rows = await tx.tuples(
        """
        select xid::text, seq, tenant_id, account_id, kind, at, data from events
         where (xid, seq) > (%(xid)s::xid8, %(seq)s::bigint) and xid < pg_snapshot_xmin(pg_current_snapshot())
         order by events.xid, events.seq  -- a bare xid would be the text selected above: 1000 sorts before 999
         limit %(most)s
        """,
        xid=str(after.xid),
        seq=after.seq,
        most=most,
    )
    return [logged(row) for row in rows]


def logged(row: tuple[Any, ...]) -> Logged:
    """Make an event of the columns xid (as text), seq, tenant_id, account_id, kind, at, data."""
    xid, seq, tenant, account, kind, at, data = row
    return Logged(position=Position(int(xid), seq), tenant=tenant, account=account, kind=kind, at=at, data=data)


async def held_back(tx: Tx) -> bool:
    """True when there are committed events that cannot be read yet: look again soon, no wake-up will tell.

    Asks for the last event alone: whether any such event exists, PostgreSQL would answer by reading the whole log.
    """
    return await tx.value(
        """
        select coalesce((select xid from events order by xid desc, seq desc limit 1)
                        >= pg_snapshot_xmin(pg_current_snapshot()), false)
        """
    )


async def follow(
    db: Db, *, after: Position | None, reach: Reach, wakes: Wakes, most: int = 500, every_s: float = 5.0
) -> AsyncGenerator[Sequence[Logged]]:
    """Yield events as they come, of one tenant or the fleet's, for readers that keep their own place.

    after    None: from now on; a place beyond the end (of a database since restored) counts as the end
    every_s  how often it looks without being woken
    """
    with wakes.waiting(TOPIC) as woken:
        async with db.tx(reach) as tx:
            place = await end(tx)
        place = place if after is None else min(after, place)
        while True:
            woken.clear()
            async with db.tx(reach) as tx:
                events = await read(tx, place, most=most)
                held = len(events) < most and await held_back(tx)
            if events:
                place = events[-1].position
                yield events
            if len(events) < most:
                await woken.wait(HELD_BACK_S if held else every_s)


async def trim(tx: Tx, *, older_than: timedelta, most: int = 10_000) -> int:
    """Delete up to `most` of the oldest events that every consumer has read, and return how many; call until 0.

    Small steps, because a transaction that deletes holds back every reader for as long as it lasts.
    """
    return await tx.run(
        """
        delete from events where ctid in (
            select ctid from events
             where (xid, seq) <= all (select xid, seq from consumers)
               and at < now() - %(older_than)s
             order by xid, seq
             limit %(most)s)
        """,
        older_than=older_than,
        most=most,
    )


async def forget(tx: Tx, *, consumer: str) -> bool:
    """Remove a consumer that is no more, so that it keeps no events from being trimmed. True if there was one."""
    return await tx.run("delete from consumers where name = %(name)s", name=consumer) == 1


async def rebase(tx: Tx) -> bool:
    """Make a log that was restored from a dump of another server readable again; True if that was needed.

    Its rows carry the xids of the server they were written on; new events would sort before them. They become rows of
    xid 0, numbered anew in the same order, and cursors move with them. To be run at start, before anything else.
    """
    if not await _from_elsewhere(tx):
        return False
    await tx.run("lock table events, consumers in exclusive mode")
    if not await _from_elsewhere(tx):
        return False
    await tx.run(
        """
        update consumers c
           set xid = '0', seq = (select count(*) from events e where (e.xid, e.seq) <= (c.xid, c.seq))
        """
    )
    await tx.run(
        """
        with old as (delete from events returning *)
        insert into events (xid, seq, tenant_id, account_id, kind, at, data) overriding system value
        select '0', row_number() over (order by xid, seq), tenant_id, account_id, kind, at, data from old
        """
    )
    return True


async def _from_elsewhere(tx: Tx) -> bool:
    return await tx.value(
        """
        select exists (select from events where xid >= pg_snapshot_xmax(pg_current_snapshot()))
            or exists (select from consumers where xid > pg_snapshot_xmax(pg_current_snapshot()))
        """
    )

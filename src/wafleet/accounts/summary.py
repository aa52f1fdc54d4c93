"""The fleet at a glance: every account with its state, its queue and its traffic, fast enough to ask every second."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from wafleet.accounts import figures, store
from wafleet.accounts.changes import limit_of, there
from wafleet.accounts.figures import FleetRow
from wafleet.accounts.model import Statistics, wanted
from wafleet.accounts.store import Narrow
from wafleet.domain.account import State
from wafleet.domain.errors import Invalid
from wafleet.domain.ids import AccountId
from wafleet.engine.clock import Clock
from wafleet.engine.db import Db, Reach, Tx
from wafleet.tenants import Caller

BUCKET: Final = timedelta(minutes=5)
SPARK_BUCKETS: Final = 24  # two hours
OPEN_BUCKETS: Final = 2  # the one that fills now, and the one before, which late batches still reach
QUIET: Final = [0] * (SPARK_BUCKETS - OPEN_BUCKETS)
RELOADED_AFTER: Final = timedelta(hours=1)
MOST_REMEMBERED: Final = 1_000  # tenants whose past traffic is kept at hand
EARLIEST: Final = datetime(2000, 1, 1, tzinfo=UTC)
LATEST: Final = datetime(2200, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """Which accounts are wanted; None: no matter."""

    tenant: UUID | None = None
    states: Sequence[State] | None = None
    transport: str | None = None
    role: str | None = None
    q: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """Sums over accounts; `states` has every state, also those nobody is in."""

    total: int
    states: dict[State, int]
    waiting: int
    received_today: int  # since midnight UTC
    sent_today: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetView:
    """The accounts asked for, by name, and the totals of the same accounts in all states."""

    at: figures.Stamp
    totals: Totals
    accounts: list[FleetRow]


@dataclass(frozen=True, slots=True)
class _Past:
    """Traffic of buckets that no longer change, as one reach sees it."""

    day: datetime
    loaded: datetime
    until: datetime  # everything before this bucket is in here
    today: Mapping[AccountId, tuple[int, int]] = field(default_factory=dict[AccountId, tuple[int, int]])
    sparks: Mapping[AccountId, list[int]] = field(default_factory=dict[AccountId, list[int]])  # without open buckets


class Fleet:
    """Reads the fleet as a whole. What can no longer change is remembered, so that a look costs the same all day."""

    def __init__(self, db: Db, clock: Clock) -> None:
        self._db, self._clock = db, clock
        self._pasts: dict[Reach, _Past] = {}
        self._loading: defaultdict[Reach, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def view(self, caller: Caller, filters: Filters | None = None) -> FleetView:
        """Return the accounts in sight that match, with the totals of all states."""
        filters = filters or Filters()
        now = self._clock.now()
        last = _bucket(now)
        async with self._db.tx(caller.reach) as tx:
            past = await self._past(tx, caller.reach, now)
            rows = await figures.fleet_rows(
                tx, narrow=_narrow(caller, filters), open_from=past.until, last_from=last, today_from=past.day
            )
        for row in rows:
            _add_past(row, past)
        wanted = rows if filters.states is None else [row for row in rows if row.state in filters.states]
        return FleetView(at=now, totals=_totals(rows), accounts=wanted)

    async def totals(self, caller: Caller) -> Totals:
        """Return the sums over every account in sight."""
        return (await self.view(caller)).totals

    async def states(self) -> Mapping[str, int]:
        """Return how many accounts of all tenants are in each state, and `total`."""
        async with self._db.fleet_tx() as tx:
            counts = await figures.states(tx)
        return {state.value: counts.get(state.value, 0) for state in State} | {"total": sum(counts.values())}

    async def outdated_clients(self) -> Mapping[str, datetime]:
        """Return which clients WhatsApp refuses as too old, and since when."""
        async with self._db.fleet_tx() as tx:
            return await figures.outdated_clients(tx)

    async def waiting(self) -> int:
        """Return how many messages of all tenants wait to be sent."""
        async with self._db.fleet_tx() as tx:
            return await figures.waiting(tx)

    async def statistics(
        self, caller: Caller, account: UUID, *, since: datetime | None = None, until: datetime | None = None
    ) -> Statistics:
        """Return what one account did in a period; the last 24 hours when none is given. Raises NotFound, Invalid."""
        until = until or self._clock.now()
        since = since or until - timedelta(days=1)
        if not EARLIEST <= since < until <= LATEST:
            raise Invalid("since", "The period must begin before it ends, after the year 2000 and before 2200")
        async with self._db.tx(caller.reach) as tx:
            found = there(await store.account(tx, id=account, only=limit_of(caller)))
            n = await figures.counted(tx, account=account, since=_bucket(since), until=until)
            response_s, delivery_s = await figures.response_times(tx, account=account, since=since, until=until)
            return Statistics(
                account=found.id,
                since=since,
                until=until,
                sent=n.get("sent", 0),
                received=n.get("received", 0),
                delivered=n.get("delivered", 0),
                read=n.get("read", 0),
                failed=n.get("failed", 0),
                unknown=n.get("unknown", 0),
                waiting=found.waiting,
                uptime_percent=await figures.uptime_percent(tx, account=account),
                response_s=response_s,
                delivery_s=delivery_s,
            )

    async def _past(self, tx: Tx, reach: Reach, now: datetime) -> _Past:
        day, until = now.replace(hour=0, minute=0, second=0, microsecond=0), _bucket(now) - BUCKET * (OPEN_BUCKETS - 1)
        async with self._loading[reach]:
            past = self._pasts.get(reach)
            if past is None or past.day != day or abs(now - past.loaded) > RELOADED_AFTER:
                past = _Past(day, now, min(day, until - BUCKET * len(QUIET)))
            if past.until < until:
                past = await _loaded(tx, past, until)
            if len(self._pasts) >= MOST_REMEMBERED:
                self._pasts.clear()
            self._pasts[reach] = past
        return past


async def _loaded(tx: Tx, past: _Past, until: datetime) -> _Past:
    """Take in the buckets that have closed since."""
    today = dict(past.today)
    if until > past.day:
        for account, (received, sent) in (
            await figures.totals(tx, since=max(past.until, past.day), until=until)
        ).items():
            before = today.get(account, (0, 0))
            today[account] = (before[0] + received, before[1] + sent)
    new = min((until - past.until) // BUCKET, len(QUIET))
    sparks = defaultdict(lambda: list(QUIET), {id: old[new:] + [0] * new for id, old in past.sparks.items()})
    for account, bucket, n in await figures.traffic(tx, since=until - BUCKET * new, until=until):
        sparks[account][(bucket - until) // BUCKET] = n
    return replace(past, until=until, today=today, sparks=dict(sparks))


def _add_past(row: FleetRow, past: _Past) -> None:
    received, sent = past.today.get(row.id, (0, 0))
    row.received_today += received
    row.sent_today += sent
    row.spark = past.sparks.get(row.id, QUIET) + row.spark


def _totals(rows: Sequence[FleetRow]) -> Totals:
    counts = Counter(row.state for row in rows)
    return Totals(
        total=len(rows),
        states={state: counts[state] for state in State},
        waiting=sum(row.waiting for row in rows),
        received_today=sum(row.received_today for row in rows),
        sent_today=sum(row.sent_today for row in rows),
    )


def _narrow(caller: Caller, filters: Filters) -> Narrow:
    return Narrow(
        only=limit_of(caller),
        tenant=filters.tenant,
        transport=wanted(filters.transport),
        role=wanted(filters.role),
        q=wanted(filters.q),
    )


def _bucket(at: datetime) -> datetime:
    return at - (at - EARLIEST) % BUCKET

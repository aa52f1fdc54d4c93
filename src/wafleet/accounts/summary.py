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
from wafleet.accounts.model import Statistics, searchable
from wafleet.accounts.store import Narrow
from wafleet.domain.account import State
from wafleet.domain.errors import Invalid
from wafleet.domain.ids import AccountId
from wafleet.engine.clock import Clock
from wafleet.engine.db import Db, Reach, Tx
from wafleet.tenants.model import Caller

BUCKET: Final = timedelta(minutes=5)
SPARK_BUCKETS: Final = 24  # two hours
OPEN_BUCKETS: Final = 2  # the one that fills now, and the one before, which late batches still reach
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


@dataclass(slots=True)
class _Past:
    """Traffic of buckets that no longer change, as one reach sees it."""

    day: datetime
    loaded: datetime
    until: datetime  # everything before this bucket is in here
    today: dict[AccountId, tuple[int, int]] = field(default_factory=dict[AccountId, tuple[int, int]])
    sparks: dict[datetime, dict[AccountId, int]] = field(default_factory=dict[datetime, dict[AccountId, int]])
    loading: asyncio.Lock = field(default_factory=asyncio.Lock)


class Fleet:
    """Reads the fleet as a whole. What can no longer change is remembered, so that a look costs the same all day."""

    def __init__(self, db: Db, clock: Clock) -> None:
        self._db, self._clock = db, clock
        self._pasts: dict[Reach, _Past] = {}

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
        rows = [_with_past(row, past, last) for row in rows]
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
        past = self._pasts.get(reach)
        if past is None or past.day != day or past.until > until or now - past.loaded > RELOADED_AFTER:
            if len(self._pasts) >= MOST_REMEMBERED:
                self._pasts.clear()
            past = self._pasts[reach] = _Past(day, now, min(day, until - BUCKET * SPARK_BUCKETS))
        if past.until < until:
            async with past.loading:
                await _load(tx, past, until)
        return past


async def _load(tx: Tx, past: _Past, until: datetime) -> None:
    """Take in the buckets that have closed since; somebody else may have done so meanwhile."""
    since = past.until
    if since >= until:
        return
    spark_from = max(since, until - BUCKET * SPARK_BUCKETS)
    today = await figures.totals(tx, since=max(since, past.day), until=until) if until > past.day else {}
    sparks: defaultdict[datetime, dict[AccountId, int]] = defaultdict(dict)
    for account, bucket, received, sent in await figures.traffic(tx, since=spark_from, until=until):
        sparks[bucket][account] = received + sent
    for account, (received, sent) in today.items():
        before = past.today.get(account, (0, 0))
        past.today[account] = (before[0] + received, before[1] + sent)
    kept = {bucket: some for bucket, some in past.sparks.items() if bucket >= until - BUCKET * SPARK_BUCKETS}
    past.sparks = kept | sparks
    past.until = until


def _with_past(row: FleetRow, past: _Past, last: datetime) -> FleetRow:
    received, sent = past.today.get(row.id, (0, 0))
    closed = [last - BUCKET * n for n in range(SPARK_BUCKETS - 1, OPEN_BUCKETS - 1, -1)]
    spark = [past.sparks.get(bucket, {}).get(row.id, 0) for bucket in closed]
    return replace(
        row, received_today=row.received_today + received, sent_today=row.sent_today + sent, spark=spark + row.spark
    )


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
        transport=filters.transport,
        role=filters.role,
        q=searchable(filters.q.strip()) if filters.q else None,
    )


def _bucket(at: datetime) -> datetime:
    return at - (at - EARLIEST) % BUCKET

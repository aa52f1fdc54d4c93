"""Which accounts this node runs: takes leases, renews them, shares with its peers, lets go."""

import asyncio
import heapq
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from itertools import count

import structlog

from wafleet.accounts.live import store
from wafleet.accounts.live.held import Held
from wafleet.accounts.live.sessions import Sessions
from wafleet.accounts.live.store import Row, lease_name
from wafleet.domain.ids import AccountId
from wafleet.engine import leases, observe
from wafleet.engine.clock import Clock
from wafleet.engine.db import Db
from wafleet.engine.leases import Lease, Node

log = structlog.get_logger(__name__)
OVERLAP = timedelta(seconds=2)  # transactions that began before the last look and committed after it
TOLERANCE = 0.1  # share by which a node may hold more than its part before it hands accounts over


class Holdings:
    """The accounts whose leases this node holds, and the duties that keep this true.

    look    every second: what people changed, what nobody runs, what is due for another try
    renew   every few seconds: one statement for all leases; what did not come back is dropped at once
    watch   several times a second, in memory alone: a node that cannot renew any more ends what others may begin
    """

    def __init__(self, *, db: Db, clock: Clock, node: Node, sessions: Sessions, held: dict[AccountId, Held]) -> None:
        self._db, self._clock, self._node, self._sessions, self._held = db, clock, node, sessions, held
        self._seen = datetime(2000, 1, 1, tzinfo=UTC)
        self._retries: list[tuple[float, int, AccountId]] = []
        self._order = count()
        self._stopping = False
        self.freed: Callable[[], object] = lambda: None  # called when an account may be taken again
        sessions.answer_to(retry_later=self._retry_later, release=self._release)

    def __len__(self) -> int:
        return len(self._held)

    async def renew(self) -> None:
        """Renew every lease; drop the accounts that another node took."""
        before = list(self._held.values())
        observe.leases_held.labels("account").set(len(before))
        kept = await self._node.renew()
        for held in before:
            if lease_name(held.row.id) not in kept and not held.dropped:
                log.warning("lease_lost", account=str(held.row.id))
                self._held.pop(held.row.id, None)
                self._sessions.drop(held)

    async def watch(self) -> None:
        """Close the sessions that no two nodes may have while another one may take their leases any moment."""
        if self._sessions.lapsing():
            for held in list(self._held.values()):
                self._sessions.lapse(held)

    async def look(self) -> None:
        """Take note of what people changed, take what nobody runs, and try again what is due."""
        if self._stopping or self._sessions.lapsing():
            return
        await self._reload()
        await self._share()
        self._retry()

    async def leave(self) -> None:
        """Close every session in good order and give the leases back, so that others can take them at once."""
        self._stopping = True
        await self._node.drain()
        await asyncio.gather(*(self._sessions.hand_over(held) for held in list(self._held.values())))
        self._held.clear()
        await self._node.leave()

    async def _reload(self) -> None:
        before = {account: held.writes for account, held in self._held.items()}
        async with self._db.fleet_tx() as tx:
            now, changed = await store.changed_since(tx, since=self._seen - OVERLAP)
            stale = [account for account, one in self._held.items() if one.stale]
            held = [one for one in {*changed, *stale} if one in before]
            rows = await store.load(tx, accounts=held, now=self._clock.now())
        self._seen = now
        for row in rows:
            held = self._held.get(row.id)
            if held is not None and held.writes == before[row.id]:
                _take_over(held.row, row)
                self._go_on(held) if held.stale else self._sessions.converge(held)

    async def _share(self) -> None:
        async with self._db.fleet_tx() as tx:
            runnable = await store.count_runnable(tx)
        part = -(-runnable // max(1, len(await self._node.peers())))
        if len(self._held) > part + max(1, int(part * TOLERANCE)):
            await self._hand_over(len(self._held) - part)
        elif len(self._held) < part and self._node.sure_s > 0:
            await self._take(part - len(self._held))

    async def _take(self, most: int) -> None:
        async with self._db.fleet_tx() as tx:
            free = [one for one in await store.unowned(tx, most=most) if one not in self._held]
            taken = await leases.take(
                tx, names=[lease_name(one) for one in free], holder=self._node.name, ttl=self._node.ttl
            )
            rows = await store.load(tx, accounts=free, now=self._clock.now())
        self._hold(rows, {lease.name: lease for lease in taken})

    def _hold(self, rows: Iterable[Row], taken: dict[str, Lease]) -> None:
        for row in sorted(rows, key=lambda row: -row.priority):
            if (lease := taken.get(lease_name(row.id))) is None:
                continue
            if row.reason == "library_missing":  # whoever starts anew may have it by now
                row.retry_at = None
            held = self._held[row.id] = Held(row=row, lease=lease, failures=row.failures)
            self._go_on(held)

    def _go_on(self, held: Held) -> None:
        """Bring an account to what its row asks for, now or when that is due."""
        held.stale = held.lapsed = False
        self._sessions.converge(held)
        if held.row.retry_at is not None and not held.busy():
            self._retry_later(held, (held.row.retry_at - self._clock.now()).total_seconds())

    async def _hand_over(self, excess: int) -> None:
        least = sorted(self._held.values(), key=lambda held: held.row.priority)[:excess]
        for held in least:
            await self._sessions.hand_over(held)
            await self._release(held)
        log.info("accounts_handed_over", count=len(least))

    async def _release(self, held: Held) -> None:
        self._held.pop(held.row.id, None)
        held.dropped = True
        async with self._db.fleet_tx() as tx:
            await leases.release(tx, leases=[held.lease], holder=self._node.name)
        self.freed()

    def _retry_later(self, held: Held, seconds: float) -> None:
        due = self._clock.monotonic() + max(0.0, seconds)
        heapq.heappush(self._retries, (due, next(self._order), held.row.id))

    def _retry(self) -> None:
        now = self._clock.monotonic()
        while self._retries and self._retries[0][0] <= now:
            _, _, account = heapq.heappop(self._retries)
            if (held := self._held.get(account)) is not None and held.live is None:
                held.row.retry_at, held.rest_until = None, 0.0
                self._sessions.converge(held)


def _take_over(mine: Row, stored: Row) -> None:
    """Learn what others may have changed; `mine` is shared by whoever works with the account."""
    for name in Row.__slots__:
        setattr(mine, name, getattr(stored, name))

"""When each account last moved: seen by its session, stored once a second for those that did."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from wafleet.accounts.live import store
from wafleet.accounts.live.held import Held
from wafleet.accounts.live.live import Live
from wafleet.accounts.live.store import Moved
from wafleet.domain.ids import AccountId
from wafleet.engine.clock import Clock
from wafleet.engine.db import Db


class Activity:
    """Carries last activities from memory to the database; a crash costs at most the last second of them."""

    def __init__(self, *, db: Db, clock: Clock, held: Mapping[AccountId, Held]) -> None:
        self._db, self._clock, self._held = db, clock, held
        self._until = clock.monotonic()

    async def turn(self) -> None:
        """Store the activities since the last turn."""
        since, self._until = self._until, self._clock.monotonic()
        moved = [new for one in self._held.values() if one.live is not None and (new := self._moved(one.live, since))]
        if moved:
            async with self._db.fleet_tx() as tx:
                await store.note_activity(tx, moved)

    def _moved(self, live: Live, since: float) -> Moved | None:
        seen = live.pulse
        phone_seen, live.phone_seen = live.phone_seen, None
        if phone_seen is None and max(seen.inbound, seen.receipt, seen.last_sent) < since:
            return None
        return Moved(
            account=live.account,
            tenant=live.tenant,
            inbound_at=self._at(seen.inbound, since),
            sent_at=self._at(seen.last_sent, since),
            receipt_at=self._at(seen.receipt, since),
            phone_seen_at=phone_seen,
        )

    def _at(self, moment: float, since: float) -> datetime | None:
        if moment < since:
            return None
        return self._clock.now() - timedelta(seconds=self._clock.monotonic() - moment)

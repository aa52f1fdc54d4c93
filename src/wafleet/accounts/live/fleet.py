"""The accounts that live on this node, as one part: built from its pieces here, run by `app.py`."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta

from wafleet.accounts.live import store
from wafleet.accounts.live.activity import Activity
from wafleet.accounts.live.held import Held
from wafleet.accounts.live.holdings import Holdings
from wafleet.accounts.live.keepalive import KeepAlive
from wafleet.accounts.live.linker import Linker
from wafleet.accounts.live.live import Traffic
from wafleet.accounts.live.sessions import Sessions
from wafleet.accounts.live.states import States
from wafleet.config import KeepAliveSettings, SessionsSettings
from wafleet.domain.ids import AccountId
from wafleet.engine.clock import Clock
from wafleet.engine.db import DatabaseAway, Db
from wafleet.engine.leases import Node
from wafleet.engine.loops import Loop
from wafleet.engine.secrets import Secrets
from wafleet.transports.base import Transport


class LiveFleet:
    """Takes accounts under lease, keeps their sessions alive, and hands them over when this node stops.

    told  called after state changes were committed, so that readers of the event log start at once
    """

    def __init__(
        self,
        *,
        db: Db,
        clock: Clock,
        node: Node,
        secrets: Secrets,
        transports: Mapping[str, Transport],
        traffic: Traffic,
        sessions: SessionsSettings,
        keep_alive: KeepAliveSettings,
        told: Callable[[], None],
    ) -> None:
        held: dict[AccountId, Held] = {}
        self._db, self._node = db, node
        self._states = States(db, told=told)
        opener = Sessions(
            clock=clock,
            node=node,
            states=self._states,
            secrets=secrets,
            linker=Linker(db=db, states=self._states, secrets=secrets),
            transports=transports,
            traffic=traffic,
            settings=sessions,
            held=held,
        )
        self.holdings = Holdings(db=db, clock=clock, node=node, sessions=opener, held=held)
        self._keep_alive = KeepAlive(clock=clock, settings=keep_alive, held=held)
        self._activity = Activity(db=db, clock=clock, held=held)
        self._look = Loop(name="sessions.look", turn=self.holdings.look, every=timedelta(seconds=1))

    def look(self) -> None:
        """Look at once at what people changed."""
        self._look.woken.set()

    def loops(self, *, renew_s: float) -> Sequence[Loop]:
        """Return the duties that come round."""
        return (
            self._look,
            Loop(name="sessions.renew", turn=self.holdings.renew, every=timedelta(seconds=renew_s)),
            Loop(name="sessions.expire", turn=self._expire, every=timedelta(seconds=5)),
            Loop(name="keep_alive", turn=self._keep_alive.turn, every=timedelta(seconds=1)),
            Loop(name="activity", turn=self._activity.turn, every=timedelta(seconds=1)),
        )

    async def run(self) -> None:
        """Write state changes until cancelled."""
        await self._states.batch.run()

    async def leave(self, limit_s: float) -> None:
        """Close every session in good order and give the leases back, as far as that is done within the limit."""
        with suppress(TimeoutError, DatabaseAway):
            async with asyncio.timeout(limit_s):
                await self.holdings.leave()

    async def fold_tallies(self, *, older_than: timedelta) -> None:
        """Fold old counts of five minutes into days."""
        async with self._db.fleet_tx() as tx:
            await store.fold_tallies(tx, older_than=older_than)

    async def _expire(self) -> None:
        async with self._db.fleet_tx() as tx:
            moved = await store.expire(tx)
        if moved:
            self.look()

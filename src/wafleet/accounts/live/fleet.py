"""The accounts that live on this node, as one part: built from its pieces here, run by `app`."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from uuid import UUID

from wafleet.accounts.live import store
from wafleet.accounts.live.activity import Activity
from wafleet.accounts.live.asking import Asking
from wafleet.accounts.live.held import Held
from wafleet.accounts.live.holdings import Holdings
from wafleet.accounts.live.keepalive import KeepAlive
from wafleet.accounts.live.keyring import Keyring
from wafleet.accounts.live.linker import Linker
from wafleet.accounts.live.live import Traffic
from wafleet.accounts.live.outdated import PROBE_S, Outdated
from wafleet.accounts.live.sessions import Sessions
from wafleet.accounts.live.states import States
from wafleet.accounts.live.tidying import Tidying
from wafleet.config import KeepAliveSettings, SessionsSettings
from wafleet.domain.absence import DROPPED_AFTER, WARNED_AFTER
from wafleet.domain.ids import AccountId
from wafleet.engine.clock import Clock
from wafleet.engine.db import DatabaseAway, Db
from wafleet.engine.leases import Node
from wafleet.engine.loops import Loop
from wafleet.engine.secrets import Secrets
from wafleet.transports.base import Transport
from wafleet.transports.calls import Sign


class LiveFleet:
    """Takes accounts under lease, keeps their sessions alive, and hands them over when this node stops.

    told     called after state changes were committed, so that readers of the event log start at once
    clients  by transport: name and version of the program that speaks for its accounts
    answered  called with the id of a question to WhatsApp once its answer is stored
    signed   called with what networks say of accounts themselves, and by which transport they said it
    probe_s  of a client that WhatsApp refuses as too old, one account tries this often
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
        clients: Mapping[str, str] | None = None,
        probe_s: float = PROBE_S,
        answered: Callable[[UUID], None] = lambda id: None,
        signed: Callable[[AccountId, str, Sign], object] = lambda account, transport, sign: None,
    ) -> None:
        held, self._db, self._node, self._told = dict[AccountId, Held](), db, node, told
        self._states, self._keyring = States(db, told=told), Keyring(db, secrets)
        outdated = Outdated(db=db, clock=clock, clients=clients or {}, told=told, probe_s=probe_s)
        linker = Linker(db=db, clock=clock, states=self._states, keyring=self._keyring, outdated=outdated)
        opener = Sessions(
            clock=clock,
            node=node,
            states=self._states,
            keyring=self._keyring,
            linker=linker,
            outdated=outdated,
            transports=transports,
            traffic=traffic,
            settings=sessions,
            held=held,
            signed=signed,
        )
        self.holdings = Holdings(db=db, clock=clock, node=node, sessions=opener, held=held)
        self._keep_alive = KeepAlive(clock=clock, settings=keep_alive, held=held)
        self._tidying = Tidying(db, node=node.name, keyring=self._keyring, transports=transports, held=held)
        self._activity, self._asking = Activity(db=db, clock=clock, held=held), Asking(db, held=held, answered=answered)
        self._look = Loop(name="sessions.look", turn=self.holdings.look, every=timedelta(seconds=1))
        self.holdings.freed = self._look.woken.set

    def look(self) -> None:
        """Look at once at what people changed."""
        self._look.woken.set()

    def asked(self, accounts: Iterable[AccountId] | None) -> None:
        """Carry out what was asked of accounts whose sessions are here; None: of any."""
        self._asking.asked(accounts)

    def loops(self, *, renew_s: float) -> Sequence[Loop]:
        """Return the duties that come round."""
        return (
            self._look,
            Loop(name="sessions.renew", turn=self.holdings.renew, every=timedelta(seconds=renew_s)),
            Loop(name="leases.watch", turn=self.holdings.watch, every=timedelta(seconds=0.25)),
            Loop(name="sessions.expire", turn=self._expire, every=timedelta(seconds=5)),
            Loop(name="keep_alive", turn=self._keep_alive.turn, every=timedelta(seconds=1)),
            Loop(name="sessions.tidy", turn=self._tidying.turn, every=timedelta(minutes=5)),
            Loop(name="activity", turn=self._activity.turn, every=timedelta(seconds=1)),
        )

    async def run(self) -> None:
        """Write state changes and read keys until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._states.batch.run(), name="account states")
            tasks.create_task(self._keyring.batch.run(), name="account keys")

    async def leave(self, limit_s: float) -> None:
        """Close every session in good order and give the leases back, as far as that is done within the limit."""
        with suppress(TimeoutError, DatabaseAway):
            async with asyncio.timeout(limit_s):
                await self.holdings.leave()

    async def fold_tallies(self, *, older_than: timedelta) -> None:
        """Fold old counts of five minutes into days."""
        async with self._db.fleet_tx() as tx:
            await store.fold_tallies(tx, older_than=older_than)

    async def warn_of_phones(self) -> None:
        """Tell of linked devices whose phones were away for so long that WhatsApp will unlink them soon."""
        async with self._db.fleet_tx() as tx:
            warned = await store.warn_of_phones(tx, away=WARNED_AFTER, dropped_after=DROPPED_AFTER)
        if warned:
            self._told()

    async def _expire(self) -> None:
        async with self._db.fleet_tx() as tx:
            moved = await store.expire(tx)
        if moved:
            self.look()

"""A client that WhatsApp refuses as too old: one fact of the fleet, told once, and tried by one account at a time."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Final, TypeVar

import structlog

from wafleet.accounts.live import store
from wafleet.engine.clock import Clock
from wafleet.engine.db import DatabaseAway, Db, Tx

T = TypeVar("T")
log = structlog.get_logger(__name__)
# Between two tries of a client that was refused. No setting: what ends the refusal is an update, after which wafleet is
# started anew and tries at once; tries in quick succession with a client that is known as old only draw attention.
PROBE_S: Final = 600.0
AGAIN_S: Final = 0.5  # between tries while the database is away


class Outdated:
    """Holds accounts back whose client was refused, so that a fleet does not hammer on a closed door.

    clients  by transport: the name and version of the program that speaks for its accounts; others are never held back
    told     called after the event was committed
    """

    def __init__(
        self, *, db: Db, clock: Clock, clients: Mapping[str, str], told: Callable[[], None], probe_s: float = PROBE_S
    ) -> None:
        self._db, self._clock, self._clients, self._told, self._probe_s = db, clock, clients, told, probe_s
        self._next: dict[str, float] = {}  # by transport that is held back: when one account may try
        self._accepted, self._said = set[str](), set[str]()  # what the database knows already

    def wait_s(self, kind: str) -> float:
        """Return how long an account of this transport must wait; 0 lets it through, alone until the next probe."""
        if kind not in self._next:
            return 0.0
        left = self.left_s(kind)
        if left <= 0:
            self._next[kind] = self._clock.monotonic() + self._probe_s
        return max(0.0, left)

    def left_s(self, kind: str) -> float:
        """Return how long it is until one account may try; 0 where nothing is held back."""
        return max(0.0, self._next.get(kind, 0.0) - self._clock.monotonic())

    async def refused(self, kind: str) -> bool:
        """Take note that WhatsApp refused this transport's client; told once per version. True: it is held back."""
        if kind not in self._clients:
            return False
        self._next[kind] = self._clock.monotonic() + self._probe_s
        self._accepted.discard(kind)
        if kind not in self._said:
            await self._say(kind)
        return True

    async def _say(self, kind: str) -> None:
        client = self._clients[kind]
        if await self._written(lambda tx: store.client_refused(tx, client=client)):
            log.error("client_outdated", client=client)
            self._told()
        self._said.add(kind)

    async def _written(self, write: Callable[[Tx], Awaitable[T]]) -> T:
        while True:
            try:
                async with self._db.fleet_tx() as tx:
                    return await write(tx)
            except DatabaseAway:
                await self._clock.sleep(AGAIN_S)

    async def accepted(self, kind: str) -> bool:
        """Take note that it was let in. True: those who wait may all try now."""
        if kind not in self._clients or kind in self._accepted:
            return False
        name = self._clients[kind].split(" ")[0]
        await self._written(lambda tx: store.client_accepted(tx, name=name))
        self._accepted.add(kind)
        self._said.discard(kind)
        return self._next.pop(kind, None) is not None

"""Which messages crossed the network, by the sender's name for them: the ledger's memory, bounded."""

from collections.abc import Iterator

import msgspec

from wafleet.simulator.frames import SENT
from wafleet.simulator.journal import Letter


class Crossing(msgspec.Struct, gc=False):
    """What became of one message of an account."""

    account: str
    id: str
    at: float
    times: int = 1
    state: int = SENT
    hidden: bool = False
    canary: bool = False
    letter: Letter | None = None  # until it is delivered


class Memory:
    """The newest messages in each direction; older ones are forgotten, their counts are not.

    Two generations: when the young one is full it becomes the old one, and the old one is forgotten. So between
    `limit` and twice as many of the newest are remembered.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._young: dict[bytes, Crossing] = {}
        self._old: dict[bytes, Crossing] = {}
        self._young_offers: dict[str, str] = {}  # id -> account
        self._old_offers: dict[str, str] = {}
        self.horizon = b""  # the greatest name forgotten; names that grow with time are certain above it

    def get(self, ref: bytes) -> Crossing | None:
        return self._young.get(ref) or self._old.get(ref)

    def put(self, ref: bytes, crossing: Crossing) -> None:
        self._young[ref] = crossing
        if len(self._young) >= self._limit:
            self.horizon = max(self.horizon, max(self._old, default=b""))
            self._old, self._young = self._young, {}

    def offered(self, id: str, account: str) -> None:
        self._young_offers[id] = account
        if len(self._young_offers) >= self._limit:
            self._old_offers, self._young_offers = self._young_offers, {}

    def has_offered(self, id: str) -> bool:
        """Tell whether a message with this id was offered to an account lately."""
        return id in self._young_offers or id in self._old_offers

    def is_certain_of(self, ref: bytes) -> bool:
        """Tell whether a name that is not here was never here."""
        return ref > self.horizon

    def crossings(self) -> Iterator[tuple[bytes, Crossing]]:
        """Every remembered message of an account, oldest first."""
        yield from self._old.items()
        yield from self._young.items()

    def offers(self) -> Iterator[tuple[str, str]]:
        """Every remembered message of a customer as (id, account), oldest first."""
        yield from self._old_offers.items()
        yield from self._young_offers.items()

"""What the network remembers of an account, its session, and a message that waits for it."""

import re
from collections import deque
from collections.abc import Callable
from typing import Any, Final

import msgspec

from wafleet.simulator.frames import Message, Receipt
from wafleet.simulator.orders import LedgerLine

PHONE: Final = re.compile(r"\+[1-9][0-9]{6,14}")  # E.164

Emit = Callable[[Message], None]


class Impossible(ValueError):
    """What a controller asked for cannot be done; the sentence says why."""


class Offer(msgspec.Struct, gc=False):
    """One message of a customer that its account has not acknowledged."""

    number: int
    id: str
    sender: str
    name: str
    text: str
    body: dict[str, Any] | None
    at: float
    pushes: int = 0


class Account:
    """One number. Costs little while nothing happens: there may be thousands."""

    __slots__ = (
        "counts",
        "credentials",
        "former",
        "knows",
        "late",
        "numbered",
        "phone",
        "provided",
        "session",
        "waiting",
    )

    def __init__(self, phone: str) -> None:
        self.phone = phone
        self.provided = False  # a provider holds it, so that it has a provider's troubles
        self.credentials: bytes | None = None
        self.former: bytes | None = None  # still good until the newer ones are used
        self.session: Session | None = None
        self.counts = LedgerLine(account=phone)
        self.waiting: dict[str, Offer] = {}  # in the order in which customers wrote
        self.late: deque[Receipt] | None = None  # receipts that found no session
        self.knows: set[str] | None = None  # customers who wrote
        self.numbered: dict[str, int] | None = None  # the last #number sent to each customer


class Session:
    """One login of an account. It ends when it is left, closed, or replaced by the next."""

    __slots__ = (
        "account",
        "backlog",
        "checking",
        "deaf",
        "emit",
        "ended",
        "live",
        "mute",
        "number",
        "opening",
        "pushed",
        "silent",
    )

    def __init__(self, account: Account, number: int, emit: Emit) -> None:
        self.account, self.number, self.emit = account, number, emit
        self.opening: int | None = None  # the login request that waits for its answer
        self.live = False  # the login was answered, and nothing has ended it
        self.ended = ""  # why it ended
        self.deaf = self.mute = self.silent = False
        self.backlog: deque[Offer] = deque()  # not yet pushed in this session
        self.pushed: dict[str, float] = {}  # pushed and not acknowledged: when
        self.checking = False  # a look for unacknowledged messages is on the agenda

    @property
    def hears(self) -> bool:
        return self.live and not self.deaf and not self.silent

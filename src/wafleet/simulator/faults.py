"""What can go wrong in the network, by name, and what is going wrong now."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from random import Random
from typing import Final

import msgspec

from wafleet.simulator.clock import Now

EVERYONE: Final = "*"


class Reach(Enum):
    """How a fault takes hold."""

    MESSAGES = auto()  # on every message while it lasts
    SESSION = auto()  # on the session that is open when it starts; a new session is well
    MOMENT = auto()  # ends sessions at once; with a length, it also keeps new ones from opening
    LINK = auto()  # ends the link itself; only linking again helps


@dataclass(frozen=True, slots=True)
class Kind:
    """One fault there is."""

    sentence: str
    reach: Reach
    seconds: float = 0.0  # what `Fault.seconds` is unless told otherwise
    lasts: float | None = None  # how long it lasts unless told otherwise; None: until ended, or a moment


_MESSAGES, _SESSION, _MOMENT = Reach.MESSAGES, Reach.SESSION, Reach.MOMENT
FAULTS: Final[Mapping[str, Kind]] = {
    "latency": Kind("Answers and receipts take longer (by 1 s).", _MESSAGES, 1.0),
    "slow_answers": Kind("Sends are answered late (after 8 s): most callers have given up by then.", _MESSAGES, 8.0),
    "receipts_late": Kind("Receipts come late (by 5 s).", _MESSAGES, 5.0),
    "receipts_repeated": Kind("Every receipt comes twice.", _MESSAGES),
    "receipts_shuffled": Kind("Receipts come out of order, even before the answer to the send.", _MESSAGES, 1.0),
    "duplicates": Kind("Every message of a customer is delivered twice.", _MESSAGES),
    "lost_answers": Kind("Sends go out, but no answer comes back. Receipts do, and `find` knows.", _MESSAGES),
    "hidden": Kind(
        "No answer, no receipt, and `find` cannot tell. About half of these messages went out: see the ledger.",
        _MESSAGES,
    ),
    "throttled": Kind("Sends are refused: try again later (after 2 s).", _MESSAGES, 2.0),
    "reach_out_lock": Kind("First messages to customers who never wrote are refused (error 463).", _MESSAGES),
    "deaf": Kind("The session looks well, but no message and no receipt arrives. A new session is well.", _SESSION),
    "mute": Kind("Sends are answered but go nowhere; `find` says so. A new session is well.", _SESSION),
    "silent": Kind("The socket stays open but passes nothing in either direction. A new session is well.", _SESSION),
    "disconnect": Kind("The connection breaks; with a length, it cannot be opened again until that is over.", _MOMENT),
    "replaced": Kind("Another program takes the session; with a length, it takes every new one too.", _MOMENT),
    "banned": Kind("The number is banned (for 10 minutes); `detail` is WhatsApp's reason code.", _MOMENT, lasts=600.0),
    "outdated": Kind("This version of the client is no longer accepted.", _MOMENT, lasts=60.0),
    "refuse_start": Kind("New sessions are refused: too many at once. Open ones stay.", _MESSAGES, 5.0),
    "slow_start": Kind("New sessions open slowly (after 10 s).", _MESSAGES, 10.0),
    "logged_out": Kind("The phone removed this device: it must be linked again.", Reach.LINK),
    "restart": Kind("The whole network drops every session and is away (for 3 s).", _MOMENT, lasts=3.0),
}

# Source of the codes: whatsmeow, types/events, TempBanReason.
BAN_REASONS: Final[Mapping[str, str]] = {
    "101": "sent too many messages to people who do not have this number in their address book",
    "102": "too many people blocked this number",
    "103": "created too many groups with people who do not have this number in their address book",
    "104": "sent the same message too many times",
    "106": "sent too many messages to a broadcast list",
}


class Fault(msgspec.Struct, kw_only=True):
    """One fault under way."""

    kind: str
    account: str  # a phone, or * for all
    since: float
    until: float | None = None  # None: until it is ended
    seconds: float = 0.0  # how much later, or how long to wait: see the kind's sentence
    share: float = 1.0  # the chance that it hits one message
    detail: str = ""


class Board:
    """The faults under way, at most one of a kind for each account and one for all."""

    def __init__(self, now: Now, random: Random) -> None:
        self._now, self._random = now, random
        self._by_account: dict[str, dict[str, Fault]] = {}
        self.any = False  # lets the usual case pass with one look

    def put(self, fault: Fault) -> None:
        """Start a fault; one of its kind on the same account is replaced."""
        self._by_account.setdefault(fault.account, {})[fault.kind] = fault
        self.any = True

    def remove(self, account: str, kind: str) -> Fault | None:
        """End a fault; None if it was not under way."""
        here = self._by_account.get(account, {})
        fault = here.pop(kind, None)
        if not here:
            self._by_account.pop(account, None)
            self.any = bool(self._by_account)
        return fault

    def on(self, phone: str, kind: str) -> Fault | None:
        """Return the fault of this kind that holds for an account now: its own first, then everyone's."""
        if not self.any:
            return None
        for account in (phone, EVERYONE):
            fault = self._by_account.get(account, {}).get(kind)
            if fault and (fault.until is None or fault.until > self._now()):
                return fault
        return None

    def hits(self, phone: str, kind: str) -> Fault | None:
        """Return the fault if it holds and strikes this once."""
        fault = self.on(phone, kind)
        return fault if fault and (fault.share >= 1 or self._random.random() < fault.share) else None

    def __iter__(self) -> Iterator[Fault]:
        for kinds in list(self._by_account.values()):
            yield from list(kinds.values())

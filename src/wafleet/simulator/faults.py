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
    LINKING = auto()  # on phones that are being linked while it lasts; they need not be known yet


@dataclass(frozen=True, slots=True)
class Kind:
    """One fault there is."""

    sentence: str
    reach: Reach
    seconds: float = 0.0  # what `Fault.seconds` is unless told otherwise
    lasts: float | None = None  # how long it lasts unless told otherwise; None: until ended, or a moment
    detail: str = ""  # what `Fault.detail` is unless told otherwise
    devices: bool = False  # only linked devices can feel it
    providers: bool = False  # only numbers at a provider can feel it


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
    "ack_error": Kind("Sends are refused with the error code in `detail` (479).", _MESSAGES, detail="479"),
    "pings_muted": Kind("Keep-alives are not answered; all else works.", _MESSAGES),
    "undecryptable": Kind(
        "Linked devices cannot decrypt what customers write, until it is sent again; `detail` twice: not even then.",
        _MESSAGES,
        devices=True,
    ),
    "phone_away": Kind(
        "The phone itself is out of touch: its linked devices see no sign of it.", _MESSAGES, devices=True
    ),
    "provider_error": Kind(
        "A provider refuses sends with its own error code, given in `detail` (500): at once or later, as it would; "
        "`63016 now` makes it at once.",
        _MESSAGES,
        detail="500",
        providers=True,
    ),
    "ill_answers": Kind(
        "Sends go out, but a provider answers them ill: `detail` is 500, nonsense, empty, half, drip or never (500).",
        _MESSAGES,
        detail="500",
        providers=True,
    ),
    "qr_expiry": Kind(
        "Linking is over soon (after 2 s). A linked device says its number only when it is scanned: give * for those.",
        Reach.LINKING,
        2.0,
    ),
    "deaf": Kind("The session looks well, but no message and no receipt arrives. A new session is well.", _SESSION),
    "mute": Kind("Sends are answered but go nowhere; `find` says so. A new session is well.", _SESSION),
    "silent": Kind("The socket stays open but passes nothing in either direction. A new session is well.", _SESSION),
    "disconnect": Kind("The connection breaks; with a length, it cannot be opened again until that is over.", _MOMENT),
    "replaced": Kind("Another program takes the session; with a length, it takes every new one too.", _MOMENT),
    "abort": Kind("The connection is torn down without a word; with a length, it cannot be opened again.", _MOMENT),
    "stream_error": Kind(
        "The session ends with a stream error; `detail` is its code (503). `599 open` leaves a linked device's "
        "connection open.",
        _MOMENT,
        detail="503",
    ),
    "banned": Kind(
        "The number is banned (for 10 minutes); `detail` is WhatsApp's reason code.",
        _MOMENT,
        lasts=600.0,
        detail="101",
    ),
    "locked": Kind("The account is locked (for 10 minutes) until its owner opens WhatsApp.", _MOMENT, lasts=600.0),
    "login_failure": Kind(
        "The session ends, and new ones are refused (for a minute) with the code in `detail`: 400, 401, 403, 405, 406, "
        "409, 500 or 503 (503).",
        _MOMENT,
        lasts=60.0,
        detail="503",
    ),
    "outdated": Kind("This version of the client is no longer accepted.", _MOMENT, lasts=60.0),
    "refuse_start": Kind("New sessions are refused: too many at once. Open ones stay.", _MESSAGES, 5.0),
    "slow_start": Kind("New sessions open slowly (after 10 s).", _MESSAGES, 10.0),
    "logged_out": Kind("The phone removed this device: it must be linked again.", Reach.LINK),
    "restart": Kind("The whole network drops every session and is away (for 3 s).", _MOMENT, lasts=3.0),
}

# What a refused login means, by its code; any other is trouble of the network. Source: whatsmeow, ConnectFailureReason.
LOGIN_FAILURES: Final[Mapping[str, str]] = {
    "400": "refused_client",
    "401": "logged_out",
    "403": "locked",
    "405": "outdated",
    "406": "banned",
    "409": "refused_client",
    "500": "network",
    "503": "network",
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

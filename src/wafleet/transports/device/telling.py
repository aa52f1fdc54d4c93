"""What linked devices report, in wafleet's words: why a session ended, and why a message did not go out.

Sources: the library's events as they were seen against a local server (the table in docs/guides/linked-devices.md), and
for the numbers WhatsApp's own failures as the library names them: 400 generic, 401 logged out, 402 banned for a time,
403 the phone's account is gone or locked, 405 client too old, 406 banned, 409 client refused, 500 and 503 trouble of
WhatsApp's own.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from google.protobuf.message import DecodeError

from wafleet.clientlib.protos import told
from wafleet.transports.base import (
    MaybeSent,
    NotSent,
    Refused,
    RefusedAccount,
    RefusedContent,
    RefusedRecipient,
    SendError,
    Throttled,
)
from wafleet.transports.device.ears import Why
from wafleet.transports.device.worker.reading import stanza

PAIRED, CONNECTED, SILENT, HEARD_AGAIN = 2, 3, 4, 5  # the library's event codes
LOGGED_OUT, REPLACED, BANNED, FAILED, OUTDATED, STREAM_ERROR, DISCONNECTED = 6, 7, 8, 9, 10, 11, 12
MESSAGE, RECEIPT, UNDECRYPTABLE = 17, 18, 44

_MOST_DETAIL: Final = 500


@dataclass(frozen=True, slots=True)
class Ending:
    """Why a session ended.

    lost   the library threw the session away: it can never be resumed from its store
    """

    reason: str  # a code of `wafleet.domain.account.REASONS`
    detail: str = ""
    until: datetime | None = None
    lost: bool = False


FAILURES: Final[Mapping[str, tuple[str, bool]]] = {  # WhatsApp's number: our reason, and whether the session is lost
    "400": ("refused_client", False),
    "401": ("logged_out", True),
    "402": ("banned", False),
    "403": ("locked", True),
    "405": ("outdated", False),
    "406": ("banned_for_good", True),
    "409": ("refused_client", False),
    "500": ("network", False),
    "501": ("network", False),
    "503": ("network", False),
}
BANS: Final[Mapping[str, str]] = {
    "101": "it sent messages to too many people who do not have it in their contacts",
    "102": "too many people blocked it",
    "103": "it created too many groups with people who do not have it in their contacts",
    "104": "it sent the same message to too many people",
    "105": "WhatsApp gave no cause it explains",
    "106": "it sent too many messages to a broadcast list",
}
_BY_ENUM: Final = {  # where the stanza itself was not seen
    told.ConnectFailureReason.GENERIC: "400",
    told.ConnectFailureReason.LOGGED_OUT: "401",
    told.ConnectFailureReason.TEMP_BANNED: "402",
    told.ConnectFailureReason.MAIN_DEVICE_GONE: "403",
    told.ConnectFailureReason.UNKNOWN_LOGOUT: "406",
    told.ConnectFailureReason.CLIENT_OUTDATED: "405",
    told.ConnectFailureReason.BAD_USER_AGENT: "409",
    told.ConnectFailureReason.INTERNAL_SERVER_ERROR: "500",
    told.ConnectFailureReason.EXPERIMENTAL: "501",
    told.ConnectFailureReason.SERVICE_UNAVAILABLE: "503",
}
_BY_BAN: Final = {
    told.TemporaryBan.SEND_TO_TOO_MANY_PEOPLE: "101",
    told.TemporaryBan.BLOCKED_BY_USERS: "102",
    told.TemporaryBan.CREATED_TOO_MANY_GROUPS: "103",
    told.TemporaryBan.SENT_TOO_MANY_SAME_MESSAGE: "104",
    told.TemporaryBan.BROADCAST_LIST: "106",
}
WORKERS: Final[Mapping[Why, str]] = {
    Why.CRASHED: "worker_crashed",
    Why.GARBLED: "worker_crashed",
    Why.DISK: "unready",
    Why.STUCK: "worker_stuck",
    Why.MEMORY: "worker_memory",
    Why.LIFETIME: "worker_lifetime",
}


class Noticed:
    """The failure that WhatsApp sent last: the library's events leave out half of what it says."""

    def __init__(self) -> None:
        self.failure: Mapping[str, str] = {}
        self.passkey = False
        self.words = ""

    def take(self, xml: str) -> None:
        tag, attributes = stanza(xml)
        if tag == "failure":
            self.failure, self.words = attributes, xml[:_MOST_DETAIL]
        elif tag == "stream:error":
            self.words = xml[:_MOST_DETAIL]
        elif tag == "notification" and "passkey" in xml:
            self.passkey = True


def ending(code: int, data: bytes, noticed: Noticed, *, now: datetime) -> Ending | None:
    """Read an event that ends a session for good; None for any other."""
    reader = _ENDINGS.get(code)
    if reader is None:
        return None
    try:
        return reader(data, noticed, now)
    except DecodeError:
        return Ending("stream_error", f"event {code} could not be read")


def refusal(noticed: Noticed, *, now: datetime) -> Ending | None:
    """Read a failure that the library may tell nobody about. None where it connects again by itself."""
    found = _failure(noticed.failure, now) if noticed.failure else None
    return found if found is not None and found.reason != "network" else None


def worker_ended(why: Why, detail: str, *, now: datetime) -> Ending:
    """Say why an account's worker is gone; an old one is replaced at once, one that went wrong later each time."""
    until = now if why is Why.LIFETIME else None
    return Ending(WORKERS.get(why, "worker_crashed"), detail, until)


_PASSWORD: Final = re.compile(r"(://[^\s\"'/@:]*):[^\s\"']*@")


def without_password(text: str) -> str:
    """Return what the library says without the password of a proxy, whose address it may repeat."""
    return _PASSWORD.sub(r"\1:***@", text)


def returned(error: str) -> Ending:
    """Read why the library's main call ended by itself."""
    return Ending("network", error[:_MOST_DETAIL] or "the library ended its connection")


def is_damaged(error: str) -> bool:
    """Tell whether the library's main call ended because it cannot read its store. The words are SQLite's."""
    return any(words in error for words in ("not a database", "malformed"))


def _logged_out(data: bytes, noticed: Noticed, now: datetime) -> Ending:
    event = told.LoggedOut.FromString(data)
    if not event.OnConnect:  # while connected: the phone removed the device
        return Ending("logged_out", "the phone removed this device", None, lost=True)
    found = _failure(noticed.failure or {"reason": _BY_ENUM.get(event.Reason, "401")}, now)
    return Ending(found.reason, found.detail, found.until, lost=True)


def _replaced(data: bytes, noticed: Noticed, now: datetime) -> Ending:
    return Ending("replaced", "another connection of this device was opened")


def _banned(data: bytes, noticed: Noticed, now: datetime) -> Ending:
    event = told.TemporaryBan.FromString(data)
    code = noticed.failure.get("code") or (_BY_BAN.get(event.Code, "") if event.HasField("Code") else "")
    seconds = event.Expire or _number(noticed.failure.get("expire", ""))
    return Ending("banned", f"{_ban(code)} (402)", _after(seconds, now))


def _ban(code: str) -> str:
    return f"{BANS.get(code, 'WhatsApp gave a code that is not known yet')} (code {code or 'missing'})"


def _failed(data: bytes, noticed: Noticed, now: datetime) -> Ending:
    event = told.ConnectFailure.FromString(data)
    return _failure(noticed.failure or {"reason": _BY_ENUM.get(event.Reason, "400"), "message": event.Message}, now)


def _outdated(data: bytes, noticed: Noticed, now: datetime) -> Ending:
    return Ending("outdated", "405: client outdated")


def _stream_error(data: bytes, noticed: Noticed, now: datetime) -> Ending:
    event = told.StreamError.FromString(data)
    return Ending("stream_error", f"stream error {event.Code or 'without a code'}: {noticed.words}"[:_MOST_DETAIL])


_Reader = Callable[[bytes, Noticed, datetime], Ending]
_ENDINGS: Final[Mapping[int, _Reader]] = {
    LOGGED_OUT: _logged_out,
    REPLACED: _replaced,
    BANNED: _banned,
    FAILED: _failed,
    OUTDATED: _outdated,
    STREAM_ERROR: _stream_error,
}


def _failure(failure: Mapping[str, str], now: datetime) -> Ending:
    number = failure.get("reason", "")
    reason, lost = FAILURES.get(number, ("refused_client", False))
    ban = f"{_ban(failure.get('code', ''))}," if number == "402" else ""
    words = " ".join(filter(None, (ban, failure.get("message", ""), failure.get("location", ""))))
    until = _after(_number(failure.get("expire", "")), now)
    return Ending(reason, f"WhatsApp answered {number or 'without a number'} {words}".strip(), until, lost)


def _after(seconds: int, now: datetime) -> datetime | None:
    return now + timedelta(seconds=min(seconds, 10 * 365 * 86400)) if seconds > 0 else None


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdecimal() else 0


# --- sending ----------------------------------------------------------------------------------------------------------

THROTTLED_S: Final = 60.0  # WhatsApp gives no time with error 429
_CODE: Final = re.compile(r"server returned error (\d+)")

# What the server's number means for a message, and the source of that meaning
SEND_CODES: Final[Mapping[str, tuple[type[SendError], str]]] = {
    "400": (RefusedContent, "content"),  # malformed, says the number itself
    "401": (NotSent, "not_linked"),  # this device may not send any more: its session is about to end
    "403": (RefusedRecipient, "recipient_refuses"),  # blocked, or a chat this number may not write to
    "404": (RefusedRecipient, "not_on_whatsapp"),
    "406": (RefusedContent, "content"),
    "463": (RefusedRecipient, "reach_out_lock"),  # whatsmeow #1074: new chats are refused, old ones are not
    "475": (RefusedAccount, "reach_out_lock"),  # seen beside 463 in reports: the account is restricted
    "479": (RefusedContent, "content"),  # reported for malformed addressing; sending it again changes nothing
}

# The library's own words, for what never left; matched in this order
_UNSENT: Final[tuple[tuple[str, type[SendError], str], ...]] = (
    ("no lid found", RefusedRecipient, "not_on_whatsapp"),
    ("not on whatsapp", RefusedRecipient, "not_on_whatsapp"),
    ("no devices", RefusedRecipient, "not_on_whatsapp"),
    ("not logged in", NotSent, "not_linked"),
    ("unknown server", RefusedRecipient, "not_on_whatsapp"),
)


def send_error(words: str, *, named: str) -> SendError:
    """Name the error of a send by its remedy.

    words  what the library says
    named  the network's name of the message; empty: it never left, so that it may be tried again
    """
    found = _CODE.search(words)
    if found is not None:
        return _refused(found[1], words)
    lower = words.lower()
    if not named:
        for part, kind, reason in _UNSENT:
            if part in lower:
                return kind(reason, words)
        return NotSent("network", words)
    return MaybeSent("no_answer" if "timed out" in lower else "network", words)


def _refused(code: str, words: str) -> SendError:
    if code == "429":
        return Throttled("throttled", words, retry_after=timedelta(seconds=THROTTLED_S))
    if code in {"500", "503"}:  # the server took it and cannot say what became of it
        return MaybeSent("no_answer", words)
    kind, reason = SEND_CODES.get(code, (Refused, "refused"))
    return kind(reason, words)

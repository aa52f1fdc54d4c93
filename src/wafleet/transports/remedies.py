"""One vocabulary for what goes wrong at providers: their codes on one side, what a lane may do next on the other.

Each provider's `errors.py` is a table from its code to a `Remedy`. Everything else is the same for all of them and
stands here: what was never written is safe to try again, what has no readable answer may have been sent, and a code
nobody knows is refused for good, keeps its number, and is told.
"""

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Final

import httpx

from wafleet.transports import unknown
from wafleet.transports.base import (
    MaybeSent,
    NotSent,
    OpenError,
    Refused,
    RefusedAccount,
    RefusedContent,
    SendError,
    Throttled,
)
from wafleet.transports.unknown import Code
from wafleet.transports.web import now

LONGEST_DETAIL: Final = 500  # characters of a provider's words that are kept
LONGEST_WAIT: Final = timedelta(hours=1)  # whatever a provider asks for: it is tried again by then
FIRST_WAIT: Final = timedelta(seconds=1)
LONGEST_GROWN: Final = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Remedy:
    """What one code of a provider means for us."""

    error: type[SendError]
    reason: str  # code of `wafleet.domain.failures.FAILURES`
    account: str = ""  # code of `wafleet.domain.account.REASONS`, where it says that no message can go out any more
    wait: timedelta | None = None  # of a Throttled, where the provider's documents say how long but its answers do not


@dataclass(frozen=True, slots=True)
class Told:
    """What a provider said about an error, as it said it."""

    code: str  # empty: it named none
    words: str = ""


Table = Mapping[str, Remedy]
Read = Callable[[httpx.Response], Told]  # finds the provider's code in an answer that is an error

UNKNOWN: Final = Remedy(Refused, "provider_code")


def detail(provider: str, told: Told) -> str:
    """Write a provider's code and words for people: "twilio 63016 outside the allowed window"."""
    return " ".join(filter(None, (provider, told.code, told.words)))[:LONGEST_DETAIL]


def remedy(provider: str, told: Told, table: Table) -> Remedy:
    """Look a code up. One that nobody knows is refused for good, and told so that somebody hears of it."""
    found = table.get(told.code)
    if found is None:
        unknown.CODES.met(Code(provider, told.code, told.words[:LONGEST_DETAIL]))
    return found or UNKNOWN


def named(
    provider: str, code: str, words: str = "", *, table: Table, retry_after: timedelta | None = None
) -> SendError:
    """Return the error to raise for a provider's code.

    retry_after  how long the provider asks to wait, where it does; without it, as long as the table says, or a second
    """
    told = Told(code, words)
    found = remedy(provider, told, table)
    if issubclass(found.error, Throttled):
        return found.error(found.reason, detail(provider, told), retry_after=retry_after or found.wait or FIRST_WAIT)
    return found.error(found.reason, detail(provider, told))


class Patience:
    """How long one session waits after it was throttled without being told how long: longer each time, until calm."""

    __slots__ = ("_wait",)

    def __init__(self) -> None:
        self._wait = timedelta()

    def next(self) -> timedelta:
        """Return how long to wait this time."""
        self._wait = min(max(self._wait * 2, FIRST_WAIT), LONGEST_GROWN)
        return self._wait

    def calm(self) -> None:
        """Begin anew: something was accepted."""
        self._wait = timedelta()


def retry_after(headers: httpx.Headers, *, at: datetime) -> timedelta | None:
    """Read how long a provider asks to wait: seconds, or a date. None: it does not say, or nothing readable."""
    said = headers.get("Retry-After", "").strip()
    if said.isascii() and said.isdecimal():
        return min(timedelta(seconds=min(int(said), 10**6)), LONGEST_WAIT)
    try:
        until = parsedate_to_datetime(said)
    except ValueError:
        return None
    return min(max(until.replace(tzinfo=until.tzinfo or UTC) - at, timedelta()), LONGEST_WAIT)


@contextmanager
def http_errors(
    provider: str,
    *,
    table: Table,
    read: Read,
    patience: Patience | None = None,
    account: Callable[[str, str], None] | None = None,
) -> Generator[None, None, None]:
    """Name by its remedy whatever goes wrong between a request and its answer. Raises SendError only.

    Inside: the request, `raise_for_status`, and the reading of the answer; what an answer lacks raises LookupError,
    TypeError or ValueError there, and then nobody knows whether the message went out.

    read      finds the provider's code in an error answer; it may raise the same
    patience  of the session: how long to wait after 429 where the provider does not say
    account   hears a code of REASONS and the detail, when no message can go out any more: the provider cannot be
              reached, or its code says so (`Remedy.account`). A session ends then, and is opened again when it may be
    """
    try:
        yield
    except httpx.HTTPStatusError as e:
        told = _told(e.response, read)
        if account is not None and (found := table.get(told.code)) is not None and found.account:
            account(found.account, detail(provider, told))
        raise _refused(provider, e.response, told, table, patience) from e
    except (httpx.HTTPError, httpx.InvalidURL, LookupError, TypeError, ValueError) as e:
        error = _unanswered(provider, e)
        if account is not None and type(error) is NotSent:
            account(error.reason, error.detail)
        raise error from e
    if patience is not None:
        patience.calm()


@contextmanager
def open_errors(provider: str, *, table: Table, read: Read) -> Generator[None, None, None]:
    """Name what goes wrong while a session is opened by the codes of REASONS. Raises OpenError only."""
    trouble = ""

    def hear(reason: str, _: str) -> None:
        nonlocal trouble
        trouble = reason

    try:
        with http_errors(provider, table=table, read=read, account=hear):
            yield
    except SendError as e:
        raise (OpenError(trouble, e.detail) if trouble else _open_error(e)) from e


@contextmanager
def file_errors(provider: str, *, table: Table, read: Read) -> Generator[None, None, None]:
    """Name what goes wrong while a customer's file is fetched: RefusedContent is final, NotSent and MaybeSent are not.

    What the provider holds against the account, or says in a code that nobody knows, may be over later.
    """
    try:
        with http_errors(provider, table=table, read=read):
            yield
    except RefusedContent:
        raise
    except (Refused, OpenError) as e:
        raise NotSent(e.reason, e.detail) from e


@contextmanager
def ping_errors(
    provider: str, *, table: Table, read: Read, account: Callable[[str, str], None] | None = None
) -> Generator[None, None, None]:
    """Name what goes wrong with a ping. Raises ConnectionError only; an error the provider names is an answer too."""
    try:
        with http_errors(provider, table=table, read=read, account=account):
            yield
    except (Throttled, Refused):
        return
    except SendError as e:
        raise ConnectionError(e.detail or e.reason) from e


def _unanswered(provider: str, error: Exception) -> SendError:
    match error:
        case httpx.PoolTimeout():
            return Throttled("busy", _words(error), retry_after=FIRST_WAIT)
        case httpx.ConnectError() | httpx.ConnectTimeout() | httpx.ProxyError() | httpx.UnsupportedProtocol():
            return NotSent("network", _words(error))
        case httpx.TimeoutException():
            return MaybeSent("no_answer", _words(error))
        case _:
            return MaybeSent("no_answer", f"{provider} gave no answer that can be read: {_words(error)}")


def _told(reply: httpx.Response, read: Read) -> Told:
    try:
        return read(reply)
    except (LookupError, TypeError, ValueError, AttributeError):
        return Told("", "")


def _refused(provider: str, reply: httpx.Response, told: Told, table: Table, patience: Patience | None) -> SendError:
    status, words = reply.status_code, detail(provider, told if told.code else Told(f"HTTP {reply.status_code}"))
    known = table.get(told.code)
    if status == 429 or (known is not None and issubclass(known.error, Throttled)):
        wait = retry_after(reply.headers, at=now())
        if wait is None:
            wait = (known and known.wait) or (patience.next() if patience is not None else FIRST_WAIT)
        return Throttled(known.reason if known is not None else "throttled", words, retry_after=wait)
    if known is None and status >= 500:
        return MaybeSent("no_answer", words)
    if known is None and not told.code:
        return _by_status(provider, status, words)
    return named(provider, told.code, told.words, table=table)


def _by_status(provider: str, status: int, words: str) -> SendError:
    """An error without a code comes from whatever stands before the provider: a proxy, a firewall, a wrong address.

    So a 401 says nothing of the account's credentials: it is tried again, and nobody has to enter them anew.
    """
    if status in {401, 403}:
        return RefusedAccount("permission", words)
    if status == 408:
        return MaybeSent("no_answer", words)
    unknown.CODES.met(Code(provider, f"HTTP {status}", words))
    return Refused("provider_code", words)


def _open_error(error: SendError) -> OpenError:
    match error:
        case Throttled():
            return OpenError("throttled", error.detail, now() + error.retry_after)
        case NotSent():
            return OpenError("network", error.detail)
        case MaybeSent():
            return OpenError("connect_timeout" if error.reason == "no_answer" else "network", error.detail)
        case RefusedAccount():
            return OpenError(error.reason, error.detail)
        case _:
            return OpenError("provider_refused", error.detail)


def _words(error: Exception) -> str:
    return f"{type(error).__name__} {error}".strip()[:LONGEST_DETAIL]

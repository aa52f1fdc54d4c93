"""The one interface every way to reach WhatsApp implements, and its errors named by remedy.

A *transport* is one per kind and node; it opens a *session* per account. A session hands what arrives to its
`Listener`: plain calls on the event loop that return at once. Nothing here knows a database.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol, runtime_checkable

from wafleet.domain.errors import WafleetError
from wafleet.domain.ids import AccountId, MessageId
from wafleet.domain.inbound import Inbound, Receipt
from wafleet.domain.message import Content, Sending
from wafleet.transports.calls import Sign


@dataclass(frozen=True, slots=True)
class Limits:
    """How fast the network lets one account send. Lanes keep below it, so that it need not refuse."""

    per_second: float | None = None
    pair_s: float | None = None  # between two messages to one person, on average
    pair_burst: int = 1  # so many may go to one person at once, to be paid back by waiting


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What accounts of a transport can do; asking for the rest is refused before sending."""

    contents: frozenset[str]  # tags of `Content` that can be sent
    linking: frozenset[str] = frozenset()  # "qr", "code"; empty where credentials are entered instead
    keyed: bool = False  # linking needs credentials that were entered before: `Number.credentials`
    finds_messages: bool = False  # `Session.find` can tell what became of a message
    finds_by_content: bool = False  # ... by its recipient, words and time, since the network does not know our ids
    window: int = 1  # sends of one account that may be under way at once (never two of one conversation)
    asks: frozenset[str] = frozenset()  # "typing", "read", "lookup": which of `Asks` its sessions can do
    canary: bool = True  # a message of an account to its own number comes back to its session
    exclusive: bool = False  # an account has one session in the world: a second one, of whichever node, ends the first
    media_by_link: bool = False  # the network fetches files from `Outgoing.link`, instead of taking their bytes
    free_for: timedelta | None = None  # after a customer's last message anything may be sent for this long
    always: frozenset[str] = frozenset()  # contents that may be sent later as well
    limits: Limits = Limits()
    longest_text: int | None = None  # characters of a text, with the answers that are written below it; None: any
    largest_file: int | None = None  # bytes; None: any


@dataclass(frozen=True, slots=True)
class Number:
    """What a transport must know of an account to speak for it."""

    id: AccountId
    phone: str  # E.164
    settings: Mapping[str, object] = field(default_factory=dict[str, object])
    credentials: bytes = field(default=b"", repr=False)  # stored so far: linking needs or replaces them


@dataclass(frozen=True, slots=True)
class Outgoing:
    id: MessageId  # ours; every transport hands it to the network where it can, so that a receipt can name it back
    to: str  # E.164, or the network's id of the customer
    content: Content
    about: "About | None" = None  # the message that `content` answers, changes or takes back
    media: bytes = b""  # the file that `content` carries
    link: str = ""  # where the network can fetch that file for a short while


@dataclass(frozen=True, slots=True)
class About:
    """An earlier message, as the network knows it."""

    provider_id: str
    ours: bool  # the account sent it, not the customer
    content: Content


@dataclass(frozen=True, slots=True)
class Doubt:
    """A message whose send returned no answer, with what a network without our ids can know it by."""

    id: MessageId
    to: str = ""
    content: Content | None = None
    since: datetime | None = None  # when it was put on the wire
    provider_id: str = ""  # the network's name for it, where it was answered
    others: frozenset[str] = frozenset()  # names of the last other messages to this person: it is none of them


@dataclass(frozen=True, slots=True)
class Found:
    """What the network knows of a message whose send returned no answer."""

    provider_id: str
    state: Sending = Sending.SENT
    reason: str = ""  # code, where `state` is FAILED
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Pairing:
    """What a person must do now to link a phone. A new one replaces it when it expires."""

    qr: str = ""  # the text inside the QR code
    code: str = ""  # the pairing code to type on the phone
    expires_at: datetime | None = None


class Listener(Protocol):
    """Hears what happens on one session. Called on the event loop, in order; must return at once."""

    def received(self, inbound: Inbound) -> None:
        """Take one message of a customer; it counts as taken once `Session.acknowledge` names it."""
        ...

    def receipt(self, receipt: Receipt) -> None: ...

    def phone_seen(self, at: datetime) -> None:
        """Learn that the phone itself was in touch with the network: a linked device lives only as long as it is."""
        ...

    def sign(self, sign: Sign) -> None:
        """Learn what the network says of the account itself: its quality, its limits, how it stands."""
        ...

    def credentials(self, secret: bytes) -> None:
        """Keep these instead of the former ones: the network changed what logs this account in."""
        ...

    def closed(self, reason: str, detail: str = "", until: datetime | None = None) -> None:
        """Learn that the session ended by itself; `reason` is a code of `wafleet.domain.account.REASONS`.

        Called once, and not after `Session.close`. `until`: when trying again makes sense, where the network said so.
        """
        ...


class Session(Protocol):
    """One account's live connection."""

    async def send(self, out: Outgoing) -> str:
        """Hand one message to the network; return the network's name for it. Raises SendError only."""
        ...

    async def find(self, messages: Sequence[Doubt]) -> Mapping[MessageId, Found | None]:
        """Ask the network what became of messages whose send returned no answer.

        Found: it has it. None: it never had it, and never will (nothing of an earlier session is still under way).
        A message that is not in the answer: the network cannot tell. Raises SendError when it cannot be asked.
        """
        ...

    async def ping(self) -> None:
        """Return when the network answers. Raises ConnectionError; the caller sets the time limit."""
        ...

    def acknowledge(self, provider_ids: Sequence[str]) -> None:
        """Tell the network that these messages are stored, so that it need not deliver them again."""
        ...

    async def close(self) -> None:
        """End the session in good order; the account stays linked."""
        ...


class Asks(Protocol):
    """What a session can do besides messages, where `Capabilities.asks` names it. Each raises SendError."""

    async def typing(self, to: str, on: bool, *, newest: str = "") -> None:
        """Show a customer that somebody is writing, or no longer.

        newest  the network's name of the last message that this customer wrote; empty: none is known
        """
        ...

    async def read(self, identity: str, provider_ids: Sequence[str]) -> None:
        """Show a customer that these messages were read."""
        ...

    async def lookup(self, phones: Sequence[str]) -> Mapping[str, bool]:
        """Tell which phones (E.164) are on WhatsApp. A phone that is not in the answer: the network cannot tell."""
        ...


@runtime_checkable
class Recalls(Protocol):
    """A session whose network lists what customers wrote, also what nobody here could be told."""

    async def since(self, at: datetime) -> list[Inbound]:
        """List customers' messages since then, oldest first; a network may not go back so far. Raises SendError."""
        ...


class KeepsMedia(Protocol):
    """Where a transport puts files that customers sent."""

    async def __call__(self, content: bytes) -> str:
        """Store a file, durable on return; return its name in the media store. Raises OSError or ValueError."""
        ...


@runtime_checkable
class Fetches(Protocol):
    """A transport whose network keeps customers' files for a while, instead of sending them along."""

    async def fetch(self, number: Number, credentials: bytes, reference: str) -> bytes:
        """Fetch a customer's file once, by the `Inbound.file` its message came with.

        Raises RefusedContent when it is gone, too large or not what was announced, which trying again cannot change;
        NotSent, Throttled or MaybeSent when it may be had later. Nothing else.
        """
        ...


class Transport(Protocol):
    """One way to reach WhatsApp, for all its accounts on this node."""

    @property
    def capabilities(self) -> Capabilities: ...

    async def open(self, number: Number, credentials: bytes, listener: Listener) -> Session:
        """Open the account's session. Raises OpenError only.

        After this returns, no earlier session of the account can send anything any more.
        """
        ...


class Linking(Protocol):
    """A transport whose accounts are linked with a phone."""

    async def link(self, number: Number, shown: "LinkListener") -> bytes:
        """Link a phone: show each QR code through `shown`, return the credentials once the phone confirmed.

        Cancelling the call ends the attempt. Raises OpenError.
        """
        ...

    async def unlink(self, number: Number, credentials: bytes) -> None:
        """Remove this device from the phone's list. Raises OpenError."""
        ...


class LinkListener(Protocol):
    def pairing(self, pairing: Pairing) -> None: ...


class OpenError(WafleetError):
    """Why a session could not be opened; `reason` is a code of `wafleet.domain.account.REASONS`."""

    status = 502
    code = "session_refused"

    def __init__(self, reason: str, detail: str = "", until: datetime | None = None) -> None:
        super().__init__(detail or reason)
        self.reason, self.detail, self.until = reason, detail, until


class SendError(WafleetError):
    """Why a send did not end well, named by what the lane may do next.

    SendError
      NotSent             the network never had it: safe to try again
        Throttled         ... after `retry_after`
      MaybeSent           no answer came back: never try again blindly; ask the network, else it is unknown
      Refused             the network said no and will again: the message has failed
        RefusedRecipient  ... for this recipient
        RefusedAccount    ... for this account: its other messages will be refused too, so the lane waits
        RefusedContent    ... for this content
        OutsideWindow     ... because the customer has not written for too long
    """

    status = 502
    code = "not_sent"

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(detail or reason)
        self.reason = reason  # our code; the provider's raw code and words are in `detail`
        self.detail = detail


class NotSent(SendError): ...


class Throttled(NotSent):
    def __init__(self, reason: str, detail: str = "", *, retry_after: timedelta) -> None:
        super().__init__(reason, detail)
        self.retry_after = retry_after


class MaybeSent(SendError): ...


class Refused(SendError): ...


class RefusedRecipient(Refused): ...


class RefusedAccount(Refused): ...


class RefusedContent(Refused): ...


class OutsideWindow(Refused): ...

"""What is handed to the outbox, and what it says of a message."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from wafleet.domain.ids import AccountId, ConversationId, MessageId, TenantId
from wafleet.domain.message import Content, Priority, Sending
from wafleet.transports.base import About


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A message to be queued."""

    account: AccountId
    tenant: TenantId
    to: str  # E.164, or the network's id of the customer
    content: Content
    priority: Priority = Priority.REPLY
    due_at: datetime | None = None  # None: now
    key: str | None = None  # the same key again names the same message
    fingerprint: bytes = b""  # of the request; the same key with another one is refused


@dataclass(frozen=True, slots=True)
class Queued:
    """The outbox's answer: the message is durable. `repeated`: it was there before, under the same key."""

    id: MessageId
    account: AccountId
    state: Sending
    repeated: bool = False
    clash: bool = False  # the key was used for another message: nothing was queued


@dataclass(frozen=True, slots=True)
class Claim:
    """A message that this node put on the wire and must settle."""

    id: MessageId
    account: AccountId
    conversation: ConversationId
    epoch: int
    claims: int  # how often it was claimed: with the epoch, the fence of its settling
    attempts: int  # this try included
    to: str
    more: bool  # others of its conversation wait behind it
    content: Content
    heard_at: datetime | None = None  # when the customer last wrote
    since: datetime | None = None  # when it was put on the wire
    about: About | None = None  # with an empty provider id while the network does not have it yet


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a claim ended. It is written only while its epoch is the account's."""

    message: MessageId
    account: AccountId
    epoch: int
    claims: int
    to: Sending
    provider_id: str | None = None
    reason: str = ""
    detail: str = ""
    retry_in: timedelta | None = None
    counted: bool = True  # False: this try does not count, the message never left the house


@dataclass(frozen=True, slots=True)
class Stranded:
    """A message an earlier session left under way."""

    id: MessageId
    account: AccountId
    epoch: int
    claims: int
    state: Sending  # SENDING, or SENT when only its receipts may be missing
    provider_id: str | None
    transport: str | None  # on which it went; None: from before that was noted

    def __post_init__(self) -> None:
        object.__setattr__(self, "state", Sending(self.state))


@dataclass(frozen=True, slots=True)
class Learnt:
    """All that receipts of one batch say of one message."""

    message: MessageId
    account: AccountId
    state: Sending
    at: datetime
    provider_id: str | None
    reason: str = ""
    detail: str = ""
    raw: dict[str, Any] | None = None  # what else the network said

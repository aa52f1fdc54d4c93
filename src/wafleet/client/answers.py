"""What wafleet answers, as frozen types. Fields a newer wafleet adds are ignored; times are aware, in UTC."""

from datetime import date, datetime
from typing import Any, Generic, TypeVar
from uuid import UUID

import msgspec

T = TypeVar("T")


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """The base of all answers."""


class Page(Answer, Generic[T], frozen=True, kw_only=True):
    """One page of a list; `next` asks for the following one and is None on the last."""

    items: list[T]
    next: str | None = None


class Tenant(Answer, frozen=True, kw_only=True):
    """Whoever owns numbers."""

    id: UUID
    name: str
    created_at: datetime


class Membership(Answer, frozen=True, kw_only=True):
    """What a person is in one tenant."""

    tenant: UUID
    name: str
    role: str


class User(Answer, frozen=True, kw_only=True):
    """A person who can sign in."""

    id: UUID
    email: str
    name: str
    platform_admin: bool
    disabled: bool
    created_at: datetime
    memberships: list[Membership]


class UserMade(Answer, frozen=True, kw_only=True):
    """A user, and the password that was made for them: it is shown this once."""

    user: User
    password: str | None = None


class Token(Answer, frozen=True, kw_only=True):
    """A program's key, without its secret."""

    id: UUID
    tenant: UUID | None
    name: str
    hint: str
    scopes: list[str]
    accounts: list[UUID] | None = None
    created_by: str
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    last_used_at: datetime | None = None


class TokenMade(Answer, frozen=True, kw_only=True):
    """A new token; `token` is its secret and is shown this once."""

    token: str
    id: UUID
    tenant: UUID | None
    name: str
    hint: str
    scopes: list[str]
    accounts: list[UUID] | None = None
    expires_at: datetime | None = None


class AuditEntry(Answer, frozen=True, kw_only=True):
    """Who changed what, and when."""

    id: int
    tenant: UUID | None
    at: datetime
    actor: str
    action: str
    subject: str
    detail: dict[str, Any]


class SignedIn(Answer, frozen=True, kw_only=True):
    """A sign-in that has begun."""

    user: UUID
    tenant: UUID | None
    expires_at: datetime


class Me(Answer, frozen=True, kw_only=True):
    """Who this client is, and what it may do."""

    actor: str
    user: UUID | None = None
    email: str | None = None
    name: str | None = None
    tenant: Tenant | None = None  # None: the whole fleet
    platform: bool
    role: str | None = None
    scopes: list[str]
    accounts: list[UUID] | None = None  # None: every account within reach
    memberships: list[Membership]
    csrf_token: str = ""


class Queued(Answer, frozen=True, kw_only=True):
    """A message that is durable: follow its state."""

    id: UUID
    state: str
    account: UUID
    why: str


class Cancelled(Answer, frozen=True, kw_only=True):
    """What a message is after it was cancelled."""

    state: str


class Put(Answer, frozen=True, kw_only=True):
    """A reaction that one side put on a message."""

    emoji: str
    direction: str  # in: the customer, out: the account
    at: datetime


class Edited(Answer, frozen=True, kw_only=True):
    """The words that took the place of a message's own."""

    text: str
    at: datetime


class Message(Answer, frozen=True, kw_only=True):
    """One message, incoming or outgoing, with all that is known of its way."""

    id: UUID
    direction: str
    account: UUID
    conversation: UUID
    from_: str = msgspec.field(name="from")
    to: str
    content: dict[str, Any]
    reactions: list[Put] = []
    edited: Edited | None = None
    deleted_at: datetime | None = None
    state: str
    why: str = ""
    reason: str = ""
    detail: str = ""
    said: dict[str, Any] | None = None
    provider_id: str | None = None
    at: datetime
    created_at: datetime
    due_at: datetime | None = None
    retry_at: datetime | None = None
    sending_at: datetime | None = None
    sent_at: datetime | None = None
    delivered_at: datetime | None = None
    read_at: datetime | None = None
    ended_at: datetime | None = None


class File(Answer, frozen=True, kw_only=True):
    """A file that is stored."""

    id: str
    mime: str
    size: int
    name: str = ""


class FileLink(Answer, frozen=True, kw_only=True):
    """An address for browsers, good for a while."""

    url: str
    expires_at: datetime


class Conversation(Answer, frozen=True, kw_only=True):
    """One customer identity with one account."""

    id: UUID
    tenant: UUID
    account: UUID
    identity: str
    name: str
    state: str
    assigned_to: UUID | None = None
    note: str = ""
    unread: int
    last_words: str
    last_direction: str
    last_message_at: datetime
    last_inbound_at: datetime | None = None
    window: str = "always"  # open, closed: only templates may be sent
    window_until: datetime | None = None
    created_at: datetime


class ConversationStatistics(Answer, frozen=True, kw_only=True):
    """How much is open, and who waits."""

    conversations: int
    open: int
    closed: int
    unread: int
    unread_messages: int
    unassigned: int
    unanswered: int
    unanswered_since: datetime | None = None


class Sums(Answer, frozen=True, kw_only=True):
    """What was counted on the way, and what is stored."""

    received: int
    repeated: int
    stored: int
    handled: int
    queued: int
    sent: int
    failed: int
    cancelled: int
    unknown: int
    waiting: int
    unhandled: int
    balanced: bool


class Line(Sums, frozen=True, kw_only=True):
    """One account on one day (UTC)."""

    account: UUID
    phone: str
    name: str
    day: date


class Ledger(Answer, frozen=True, kw_only=True):
    """Every account's days, their totals, and whether all of it adds up."""

    first: date
    last: date
    balanced: bool
    sentence: str
    totals: Sums
    lines: list[Line]

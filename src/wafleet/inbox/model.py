"""Conversations and messages as people and programs read them."""

from datetime import datetime
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

from pydantic import BaseModel, Field, computed_field

from wafleet import outbox
from wafleet.domain.account import State
from wafleet.domain.message import Direction, Sending
from wafleet.engine.web import Stamp

RECEIVED: Final = "received"


class Standing(StrEnum):
    """Where a conversation stands."""

    OPEN = "open"
    CLOSED = "closed"


class Window(StrEnum):
    """Whether anything may be written to a customer now, or only what the provider approved beforehand."""

    ALWAYS = "always"
    OPEN = "open"
    CLOSED = "closed"


class Where(StrEnum):
    """Where a message stands: a customer's is received, ours climbs from queued to read."""

    RECEIVED = RECEIVED
    QUEUED = Sending.QUEUED.value
    SENDING = Sending.SENDING.value
    SENT = Sending.SENT.value
    DELIVERED = Sending.DELIVERED.value
    READ = Sending.READ.value
    FAILED = Sending.FAILED.value
    UNKNOWN = Sending.UNKNOWN.value
    CANCELLED = Sending.CANCELLED.value


class Conversation(BaseModel, frozen=True):
    """One customer identity with one account."""

    id: UUID
    tenant: UUID
    account: UUID
    identity: str = Field(description="who it is with: E.164, or the network's id where it hides the phone")
    name: str = Field(description="what the customer calls themselves")
    state: Standing
    assigned_to: UUID | None = Field(description="the user who looks after it")
    note: str
    unread: int
    last_words: str = Field(description="the first 200 characters of the newest message")
    last_direction: Direction
    last_message_at: Stamp
    last_inbound_at: Stamp | None = Field(description="when the customer last wrote, by their own network")
    window: Window = Field(description="open, or closed: only templates may be sent; always: the transport has none")
    window_until: Stamp | None = Field(description="when the window closes or closed; null where there is none")
    created_at: Stamp


class Put(BaseModel, frozen=True):
    """A reaction that one side put on a message."""

    emoji: str
    direction: Direction = Field(description="in: the customer put it there; out: this account")
    at: Stamp


class Edited(BaseModel, frozen=True):
    """The words that took the place of a message's own."""

    text: str
    at: Stamp


class Message(BaseModel, frozen=True):
    """One message, incoming or outgoing, with all that is known of its way."""

    id: UUID
    seq: int = Field(exclude=True)
    direction: Direction
    account: UUID
    conversation: UUID
    from_: str = Field(alias="from")
    to: str
    content: dict[str, Any]
    reactions: list[Put] = Field([], description="at most one of each side, the newest")
    edited: Edited | None = Field(None, description="its author gave it new words; `content` keeps the first")
    deleted_at: Stamp | None = Field(None, description="its author took it back, for everyone")
    state: Where
    reason: str = Field(description="the same as a code")
    detail: str = Field(description="what the provider said")
    said: dict[str, Any] | None = Field(
        description="what else its network said of it, as it came: Meta's `pricing`, and whatever wafleet does not know"
    )
    provider_id: str | None = Field(description="the network's name for it")
    at: Stamp = Field(description="when the network, or the sender, says it was written")
    created_at: Stamp = Field(description="when it was stored here")
    due_at: Stamp | None
    retry_at: Stamp | None
    sending_at: Stamp | None
    sent_at: Stamp | None
    delivered_at: Stamp | None
    read_at: Stamp | None
    ended_at: Stamp | None = Field(description="when it failed, was cancelled or became unknown")
    account_state: State = Field(exclude=True)
    account_reason: str = Field(exclude=True)
    account_since: datetime = Field(exclude=True)
    lane_why: str = Field(exclude=True)
    lane_until: datetime | None = Field(exclude=True)
    now: datetime = Field(exclude=True)

    @computed_field(description="why it is where it is, in one sentence; empty for a customer's message")
    @property
    def why(self) -> str:
        """Say why an outgoing message is where it is."""
        if self.state == RECEIVED:
            return ""
        return outbox.why(
            state=Sending(self.state.value),
            reason=self.reason,
            due_at=self.due_at,
            retry_at=self.retry_at,
            account_state=self.account_state,
            account_reason=self.account_reason,
            account_since=self.account_since,
            lane_why=self.lane_why,
            lane_until=self.lane_until,
            now=self.now,
        )


class Statistics(BaseModel, frozen=True):
    """How much is open, and who waits."""

    conversations: int
    open: int
    closed: int
    unread: int = Field(description="conversations with messages nobody has read")
    unread_messages: int
    unassigned: int = Field(description="open ones that nobody looks after")
    unanswered: int = Field(description="open ones whose last word is the customer's")
    unanswered_since: Stamp | None = Field(description="since when the longest of them waits")

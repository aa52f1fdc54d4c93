"""A message: what it says, and where an outgoing one stands."""

from collections.abc import Mapping
from enum import IntEnum, StrEnum
from typing import Any, Final

import msgspec


class Direction(StrEnum):
    IN = "in"
    OUT = "out"


class Priority(IntEnum):
    """Which of an account's two queues a message waits in; the lower number goes first."""

    REPLY = 0
    BROADCAST = 1


class Sending(StrEnum):
    """Where one outgoing message stands; `MOVES` is the whole truth about what may follow."""

    QUEUED = "queued"
    SENDING = "sending"  # claimed by a lane: the network may or may not have it
    SENT = "sent"  # the network named it
    DELIVERED = "delivered"
    READ = "read"
    FAILED = "failed"
    UNKNOWN = "unknown"  # nobody can say whether it went out; a receipt or a person decides, never a retry
    CANCELLED = "cancelled"


MOVES: Final[Mapping[Sending, frozenset[Sending]]] = {
    Sending.QUEUED: frozenset({Sending.SENDING, Sending.FAILED, Sending.CANCELLED}),
    Sending.SENDING: frozenset(
        {Sending.QUEUED, Sending.SENT, Sending.DELIVERED, Sending.READ, Sending.FAILED, Sending.UNKNOWN}
    ),
    Sending.SENT: frozenset({Sending.DELIVERED, Sending.READ, Sending.FAILED}),
    Sending.DELIVERED: frozenset({Sending.READ}),
    Sending.READ: frozenset(),
    Sending.FAILED: frozenset(),
    Sending.UNKNOWN: frozenset({Sending.SENT, Sending.DELIVERED, Sending.READ, Sending.FAILED}),
    Sending.CANCELLED: frozenset(),
}


def after_receipt(now: Sending, receipt: Sending) -> Sending:
    """Apply a receipt that may be late, early or repeated: one that teaches nothing changes nothing."""
    return receipt if receipt in MOVES[now] else now


class Text(msgspec.Struct, frozen=True, tag_field="type", tag="text", forbid_unknown_fields=True):
    """Words, at most 4,096 characters."""

    text: str


class Location(msgspec.Struct, frozen=True, tag_field="type", tag="location", forbid_unknown_fields=True):
    """A place on the map, in degrees."""

    latitude: float
    longitude: float
    name: str = ""
    address: str = ""


class ContactCard(msgspec.Struct, frozen=True, tag_field="type", tag="contact", forbid_unknown_fields=True):
    """Somebody's name and number."""

    name: str
    phone: str


class Unsupported(msgspec.Struct, frozen=True, tag_field="type", tag="unsupported"):
    """Something a customer sent that wafleet cannot show yet; `raw` keeps it whole."""

    raw: dict[str, Any]


Content = Text | Location | ContactCard | Unsupported


def words(content: Content) -> str:
    """Return what a person would read of this content: for lists, search and commands."""
    match content:
        case Text():
            return content.text
        case Location():
            return " ".join(filter(None, (content.name, content.address)))
        case ContactCard():
            return f"{content.name} {content.phone}"
        case Unsupported():
            return ""

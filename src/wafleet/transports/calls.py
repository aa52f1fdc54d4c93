"""Requests of the network to us: what one says, and how its sender is proved.

A network without a lasting connection calls wafleet: customers' messages, receipts and news of the account come as HTTP
requests. Checking and reading one are pure; whoever receives it stores what it says, and only then answers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import msgspec

from wafleet.domain.errors import WafleetError
from wafleet.domain.inbound import Inbound, Receipt


class Call(msgspec.Struct, frozen=True):
    """One request of the network."""

    method: str
    url: str  # as the network wrote it: the public one, with its query
    headers: Mapping[str, str]  # names in lower case
    body: bytes  # as it came: signatures are over these bytes
    message: str = ""  # our id of the message it is about, where the URL we gave names it


@dataclass(frozen=True, slots=True)
class Sign:
    """News of an account itself."""

    kind: str  # "quality", "limit", "status", "template", "identity"
    value: str  # the network's own word: "GREEN", "TIER_10K", "OFFLINE"
    reason: str = ""  # code of `wafleet.domain.account.REASONS` where it means that the account does not work
    detail: str = ""


class Of(msgspec.Struct, frozen=True):
    """One thing a call said, and the number it is about."""

    what: Inbound | Receipt | Sign
    number: str = ""  # the network's name for the number; empty: the account whose URL was called


class News(msgspec.Struct, frozen=True):
    """All that one call said, in its order, and what the network wants to hear once it is stored."""

    said: Sequence[Of] = ()
    answer: bytes = b""
    content_type: str = "text/plain"
    left: Mapping[str, int] = {}  # what is of no use here, counted by kind


class Forged(WafleetError):
    """The request does not prove that the network sent it."""

    status = 403
    code = "signature_refused"


class Unreadable(WafleetError):
    """The network sent it, but it is not what its documents describe."""

    status = 400
    code = "call_unreadable"


class NotAllowed(WafleetError):
    """Networks ask with GET and tell with POST."""

    status = 405
    code = "method_not_allowed"


class WrongType(WafleetError):
    """The body is neither a form nor JSON."""

    status = 415
    code = "unsupported_media_type"


class TooSlow(WafleetError):
    """The body did not come."""

    status = 408
    code = "body_too_slow"


@runtime_checkable
class Calls(Protocol):
    """A transport whose network calls us."""

    def check(self, call: Call, credentials: bytes, settings: Mapping[str, object]) -> None:
        """Return when the network certainly sent this. Raises Forged."""
        ...

    def read(self, call: Call, settings: Mapping[str, object]) -> News:
        """Read what a checked call says. What is not understood is kept raw. Raises Unreadable."""
        ...

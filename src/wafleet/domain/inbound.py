"""What comes from the network: messages of customers, and receipts for ours."""

from datetime import datetime
from typing import Any

import msgspec

from wafleet.domain.ids import MessageId
from wafleet.domain.message import Content, Sending


class Inbound(msgspec.Struct, frozen=True, kw_only=True):
    """One message of a customer, as the transport read it."""

    provider_id: str  # the network's name for it; a repeated delivery has the same
    identity: str  # who wrote: E.164, or an id of the network where it hides the phone
    name: str = ""  # what the customer calls themselves
    content: Content
    at: datetime  # when the network says it was written, aware UTC
    about: str = ""  # the network's name for the message that this one answers, changes or takes back
    file: str = ""  # where the network keeps the file of `content`, as `Fetches.fetch` wants it; empty: it came along
    notice: bool = False  # the network says it of the customer, who wrote nothing
    raw: dict[str, Any] | None = None  # what the transport could not express otherwise


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """The network's word on one of our messages. It may come late, twice, out of order, or before the send returned."""

    state: Sending
    at: datetime
    provider_id: str | None = None
    message: MessageId | None = None  # ours, where the transport echoes it
    reason: str = ""  # code, where state is FAILED
    detail: str = ""
    raw: dict[str, Any] | None = None  # what else the network said: its price, and whatever nobody knows yet

"""What waits to be sent, and how it goes out: once, in order, at the account's pace."""

from wafleet.outbox.lanes import Lanes
from wafleet.outbox.model import Draft, Queued
from wafleet.outbox.service import OUTBOX, Answer, Outbox
from wafleet.outbox.store import Talk, conversations
from wafleet.outbox.why import why

__all__ = [
    "OUTBOX",
    "Answer",
    "Draft",
    "Lanes",
    "Outbox",
    "Queued",
    "Talk",
    "conversations",
    "why",
]

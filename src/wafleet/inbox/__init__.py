"""What came in: messages of customers, their conversations, search, and the ledger that proves nothing is missing."""

from wafleet.inbox.accept import Inbox
from wafleet.inbox.conversations import Change, Conversations, Narrow
from wafleet.inbox.ledger import Ledger, Ledgers, Line, Sums
from wafleet.inbox.model import Conversation, Message, Standing, Statistics, Where
from wafleet.inbox.search import Messages, Wanted

__all__ = [
    "Change",
    "Conversation",
    "Conversations",
    "Inbox",
    "Ledger",
    "Ledgers",
    "Line",
    "Message",
    "Messages",
    "Narrow",
    "Standing",
    "Statistics",
    "Sums",
    "Wanted",
    "Where",
]

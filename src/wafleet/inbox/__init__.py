"""What came in: messages of customers, their conversations, search, and the ledger that proves nothing is missing."""

from wafleet.inbox.accept import Inbox
from wafleet.inbox.conversations import Change, Conversations, Narrow
from wafleet.inbox.files import Files
from wafleet.inbox.gaps import Gaps
from wafleet.inbox.ledger import Ledger, Ledgers, Line, Sums
from wafleet.inbox.model import Conversation, Message, Standing, Statistics, Where
from wafleet.inbox.search import Messages, Wanted
from wafleet.inbox.traffic import SessionTraffic, takers
from wafleet.inbox.webhooks.service import PREFIX as HOOKS
from wafleet.inbox.webhooks.service import Hooks, Takers

__all__ = [
    "HOOKS",
    "Change",
    "Conversation",
    "Conversations",
    "Files",
    "Gaps",
    "Hooks",
    "Inbox",
    "Ledger",
    "Ledgers",
    "Line",
    "Message",
    "Messages",
    "Narrow",
    "SessionTraffic",
    "Standing",
    "Statistics",
    "Sums",
    "Takers",
    "Wanted",
    "Where",
    "takers",
]

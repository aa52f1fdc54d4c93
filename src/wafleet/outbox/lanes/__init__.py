"""The senders: one lane per account, all lanes of a node run by one task."""

from wafleet.outbox.lanes.lanes import Lanes

__all__ = ["Lanes"]

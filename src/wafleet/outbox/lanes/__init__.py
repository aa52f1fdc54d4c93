"""The senders: one lane per account, all lanes of a node run by one task."""

from wafleet.outbox.lanes.lanes import Lanes
from wafleet.outbox.lanes.reconcile import Reconcile
from wafleet.outbox.lanes.settling import Settling

__all__ = ["Lanes", "Reconcile", "Settling"]

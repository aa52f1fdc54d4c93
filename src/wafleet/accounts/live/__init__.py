"""The live side of the fleet: this node's sessions, their leases, and the proof that they are alive."""

from wafleet.accounts.live.fleet import LiveFleet
from wafleet.accounts.live.live import Live, Traffic
from wafleet.accounts.live.rules import leads_to

__all__ = ["Live", "LiveFleet", "Traffic", "leads_to"]

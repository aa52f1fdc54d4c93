"""The live side of the fleet: this node's sessions, their leases, and the proof that they are alive."""

from wafleet.accounts.live.holdings import Holdings
from wafleet.accounts.live.keepalive import KeepAlive
from wafleet.accounts.live.linker import Linker
from wafleet.accounts.live.live import Live, Traffic
from wafleet.accounts.live.sessions import Sessions
from wafleet.accounts.live.states import States

__all__ = ["Holdings", "KeepAlive", "Linker", "Live", "Sessions", "States", "Traffic"]

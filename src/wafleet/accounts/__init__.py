"""The fleet: which numbers there are, what is wanted of them, and how they are."""

from wafleet.accounts.live import Live, LiveFleet, Traffic
from wafleet.accounts.model import Account, Fields, PairingView, Statistics, about
from wafleet.accounts.service import SESSIONS, Accounts
from wafleet.accounts.settings import AccountSettings, Pace, Quiet, read_settings

__all__ = [
    "SESSIONS",
    "Account",
    "AccountSettings",
    "Accounts",
    "Fields",
    "Live",
    "LiveFleet",
    "Pace",
    "PairingView",
    "Quiet",
    "Statistics",
    "Traffic",
    "about",
    "read_settings",
]

"""The fleet: which numbers there are, what is wanted of them, and how they are."""

from wafleet.accounts.live import Live, LiveFleet, Traffic
from wafleet.accounts.model import Account, Fields, PairingView, Statistics, about
from wafleet.accounts.pictures import blocks, png, svg, svg_on_paper
from wafleet.accounts.service import SESSIONS, Accounts
from wafleet.accounts.settings import AccountSettings, Pace, Quiet, read_settings
from wafleet.accounts.summary import Filters, Fleet, FleetView, Totals

__all__ = [
    "SESSIONS",
    "Account",
    "AccountSettings",
    "Accounts",
    "Fields",
    "Filters",
    "Fleet",
    "FleetView",
    "Live",
    "LiveFleet",
    "Pace",
    "PairingView",
    "Quiet",
    "Statistics",
    "Totals",
    "Traffic",
    "about",
    "blocks",
    "png",
    "read_settings",
    "svg",
    "svg_on_paper",
]

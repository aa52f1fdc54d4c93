"""The fleet: which numbers there are, what is wanted of them, and how they are."""

from wafleet.accounts.bots_config import Imported, Note
from wafleet.accounts.bots_config import read as read_bots_config
from wafleet.accounts.fleet_file import Action, Change, FieldChange, FleetFile, plan
from wafleet.accounts.fleet_file import from_data as fleet_file_from_data
from wafleet.accounts.fleet_file import read as read_fleet_file
from wafleet.accounts.fleet_files import FleetFiles
from wafleet.accounts.live import Live, LiveFleet, Traffic
from wafleet.accounts.model import Account, Fields, PairingView, Statistics, about
from wafleet.accounts.pictures import png, svg, svg_on_paper
from wafleet.accounts.service import SESSIONS, Accounts
from wafleet.accounts.settings import AccountSettings, Pace, Quiet, read_settings
from wafleet.accounts.summary import Filters, Fleet, FleetView, Totals

__all__ = [
    "SESSIONS",
    "Account",
    "AccountSettings",
    "Accounts",
    "Action",
    "Change",
    "FieldChange",
    "Fields",
    "Filters",
    "Fleet",
    "FleetFile",
    "FleetFiles",
    "FleetView",
    "Imported",
    "Live",
    "LiveFleet",
    "Note",
    "Pace",
    "PairingView",
    "Quiet",
    "Statistics",
    "Totals",
    "Traffic",
    "about",
    "fleet_file_from_data",
    "plan",
    "png",
    "read_bots_config",
    "read_fleet_file",
    "read_settings",
    "svg",
    "svg_on_paper",
]

"""The fleet: which numbers there are, what is wanted of them, and how they are."""

from wafleet.accounts.asks.service import ANSWERED, ASKED, Asks
from wafleet.accounts.callees.service import OF_BUSINESS, Callee, Callees
from wafleet.accounts.figures import FleetRow
from wafleet.accounts.fleet_file.bots_config import Imported, Note
from wafleet.accounts.fleet_file.bots_config import read as read_bots_config
from wafleet.accounts.fleet_file.plan import Action, Change, FieldChange, FleetFile, plan
from wafleet.accounts.fleet_file.plan import from_data as fleet_file_from_data
from wafleet.accounts.fleet_file.plan import read as read_fleet_file
from wafleet.accounts.fleet_file.service import FleetFiles
from wafleet.accounts.live import Live, LiveFleet, Traffic
from wafleet.accounts.model import LONGEST_NAME, LONGEST_ROLE, Account, Fields, PairingView, Statistics, about
from wafleet.accounts.moves.service import Moved
from wafleet.accounts.older_form import SenderForm
from wafleet.accounts.older_form import fields_of as sender_fields
from wafleet.accounts.older_form import form_of as sender_form
from wafleet.accounts.pictures import png, svg, svg_on_paper
from wafleet.accounts.service import SESSIONS, Accounts
from wafleet.accounts.settings import AccountSettings, Pace, Quiet, read_settings
from wafleet.accounts.signs.service import Said, Signs
from wafleet.accounts.summary import Filters, Fleet, FleetView, Totals
from wafleet.accounts.unknown_codes import UnknownCodes
from wafleet.accounts.webhook import WebhookView, webhook_url, webhook_view

__all__ = [
    "ANSWERED",
    "ASKED",
    "LONGEST_NAME",
    "LONGEST_ROLE",
    "OF_BUSINESS",
    "SESSIONS",
    "Account",
    "AccountSettings",
    "Accounts",
    "Action",
    "Asks",
    "Callee",
    "Callees",
    "Change",
    "FieldChange",
    "Fields",
    "Filters",
    "Fleet",
    "FleetFile",
    "FleetFiles",
    "FleetRow",
    "FleetView",
    "Imported",
    "Live",
    "LiveFleet",
    "Moved",
    "Note",
    "Pace",
    "PairingView",
    "Quiet",
    "Said",
    "SenderForm",
    "Signs",
    "Statistics",
    "Totals",
    "Traffic",
    "UnknownCodes",
    "WebhookView",
    "about",
    "fleet_file_from_data",
    "plan",
    "png",
    "read_bots_config",
    "read_fleet_file",
    "read_settings",
    "sender_fields",
    "sender_form",
    "svg",
    "svg_on_paper",
    "webhook_url",
    "webhook_view",
]

"""What is answered without a person: chat commands."""

from wafleet.flows.commands import COMMANDS, Asked, FleetNow, command
from wafleet.flows.service import Flows

__all__ = ["COMMANDS", "Asked", "FleetNow", "Flows", "command"]

"""WhatsApp senders at Twilio."""

from wafleet.transports.twilio.errors import TABLE
from wafleet.transports.twilio.transport import Twilio

__all__ = ["TABLE", "Twilio"]

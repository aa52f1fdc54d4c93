"""Twilio's error codes as its API and its callbacks tell them.

Source: twilio.com/docs/api/errors. The numbers are Twilio's; the sentences are for people who read them here.
"""

from collections.abc import Mapping
from typing import Final

from starlette.responses import JSONResponse

from wafleet.simulator.wire import Refusal

THROTTLED: Final = frozenset({"20429", "63017", "63018", "30001"})
_STATUSES: Final = {20003: 401, 20403: 403, 20404: 404, 20409: 409, 20429: 429, 20500: 500, 20503: 503}
_SENTENCES: Final[Mapping[int, str]] = {
    20001: "Unknown parameters",
    20003: "Authenticate",
    20404: "The requested resource was not found",
    20422: "Invalid Parameter",
    20429: "Too Many Requests",
    20500: "Internal Server Error",
    20503: "Service unavailable",
    21211: "Invalid 'To' Phone Number",
    21603: "A 'From' or 'MessagingServiceSid' parameter is required to send a message",
    21604: "A 'To' phone number is required",
    21609: "Invalid 'StatusCallback'",
    21610: "Attempt to send to unsubscribed recipient",
    21617: "The concatenated message body exceeds the 1600 character limit",
    21619: "A text message body, media urls or content sid must be specified",
    21620: "Invalid media URL(s)",
    21623: "Number of media files exceeds allowed limit",
    21655: "The ContentSid is Invalid",
    21656: "The ContentVariables Parameter is invalid",
    30409: "This message cannot be canceled",
    63003: "Channel could not find To address",
    63005: "Channel did not accept given content",
    63007: "Twilio could not find a Channel with the specified From address",
    63012: "Channel provider returned an internal service error",
    63016: "Failed to send freeform message because you are outside the allowed window. Please use a Message Template",
    63018: "Rate limit exceeded for Channel",
    63019: "Media failed to download",
    63024: "Invalid message recipient",
    63027: "Template does not exist for a language and locale",
    63031: "Channels message cannot have same 'From' and 'To'",
    63032: "We cannot send this message to this user because of a WhatsApp limitation",
    63038: "Account exceeded the daily messages limit",
    63051: "WhatsApp Business Account is Locked",
    63112: "The Meta and/or WhatsApp Business Accounts connected to this Sender were disabled by Meta",
}

# What the world's refusals are at Twilio, told later by a callback: the API has accepted the message by then.
LATER: Final[Mapping[str, int]] = {
    "not_on_whatsapp": 63024,
    "reach_out_lock": 63032,
    "refused": 63005,
    "banned": 63112,
    "locked": 63051,
}
_NOW: Final[Mapping[str, int]] = {
    "throttled": 20429,
    "too_long": 21617,
    "logged_out": 20003,
    "refused_client": 20003,
}


class Wrong(Exception):
    """A request that is refused with one of Twilio's codes."""

    def __init__(self, code: int, *, status: int = 0, wait: float = 0.0) -> None:
        super().__init__(sentence(code))
        self.code, self.wait = code, wait
        self.status = status or _STATUSES.get(code, 400)

    def answer(self) -> JSONResponse:
        """Write the answer that Twilio gives."""
        told = {
            "code": self.code,
            "message": str(self),
            "more_info": f"https://www.twilio.com/docs/errors/{self.code}",
            "status": self.status,
        }
        waits = {"Retry-After": str(max(1, round(self.wait)))} if self.wait else {}
        return JSONResponse(told, self.status, waits)


def sentence(code: int) -> str:
    """Say a code in words."""
    return _SENTENCES.get(code, f"Error {code}")


def now(refusal: Refusal) -> Wrong:
    """Return what the API answers at once to a message that the world refused."""
    return Wrong(_NOW.get(refusal.reason, 20503), wait=refusal.wait if refusal.reason == "throttled" else 0.0)


def on_demand(detail: str) -> tuple[int, bool]:
    """Read the code that somebody wants to see, and whether the API tells it at once."""
    words = detail.split()
    code = int(words[0]) if words and words[0].isdecimal() else 20500
    code = {500: 20500, 503: 20503, 429: 20429, 401: 20003}.get(code, code)
    return code, "now" in words or not 30_000 <= code < 70_000

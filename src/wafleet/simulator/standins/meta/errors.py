"""Error codes of Meta's Cloud API as its answers and its statuses tell them.

Source: developers.facebook.com/documentation/business-messaging/whatsapp/support/error-codes. The numbers are Meta's;
the sentences are for people who read them here. A program decides on the code, never on the HTTP status.
"""

import os
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from typing import Any, Final

from starlette.responses import JSONResponse

from wafleet.simulator.wire import Refusal

THROTTLED: Final = frozenset({"4", "80007", "130429", "131048", "131056"})
_STATUSES: Final[Mapping[int, int]] = {
    0: 401,
    2: 503,
    4: 429,
    10: 403,
    33: 404,
    190: 401,
    200: 403,
    368: 403,
    80007: 429,
    131000: 500,
    131005: 403,
    131016: 503,
    131031: 403,
    131042: 400,
    132001: 404,
}
_SENTENCES: Final[Mapping[int, str]] = {
    1: "API Unknown",
    2: "API Service",
    4: "Application request limit reached",
    10: "Application does not have permission for this action",
    33: "Unsupported request: the object does not exist",
    100: "Invalid parameter",
    190: "Error validating access token",
    368: "Temporarily blocked for policies violations",
    80007: "Rate limit issues",
    130429: "Rate limit hit",
    130472: "User's number is part of an experiment",
    131000: "Something went wrong",
    131005: "Access denied",
    131008: "Required parameter is missing",
    131009: "Parameter value is not valid",
    131016: "Service unavailable",
    131021: "Recipient cannot be sender",
    131026: "Message undeliverable",
    131031: "Account has been locked",
    131042: "Business eligibility payment issue",
    131047: "Re-engagement message",
    131048: "Spam rate limit hit",
    131049: "This message was not delivered to maintain healthy ecosystem engagement",
    131051: "Message type unknown",
    131052: "Media download error",
    131053: "Media upload error",
    131056: "(Business Account, Consumer Account) pair rate limit hit",
    132000: "Number of parameters does not match the expected number of params",
    132001: "Template name does not exist in the translation",
}
_LATER: Final = frozenset({130472, 131026, 131037, 131047, 131049, 131050, 131051, 131052, 131053})
DETAILS: Final[Mapping[int, str]] = {
    131047: "Message failed to send because more than 24 hours have passed since the customer last replied.",
    131026: "Message Undeliverable.",
    130429: "Cloud API message throughput has been reached.",
    131056: "Too many messages sent from the sender to the same recipient in a short period of time.",
}

# What the world's refusals are at Meta, told later by a status: the API has accepted the message by then.
LATER: Final[Mapping[str, int]] = {"not_on_whatsapp": 131026, "reach_out_lock": 131049, "refused": 131000}
_NOW: Final[Mapping[str, int]] = {
    "throttled": 80007,
    "too_long": 100,
    "logged_out": 190,
    "refused_client": 190,
    "banned": 131031,
    "locked": 368,
}


class Wrong(Exception):
    """A request that is refused with one of Meta's codes."""

    def __init__(self, code: int, details: str = "", *, wait: float = 0.0) -> None:
        super().__init__(f"(#{code}) {sentence(code)}")
        self.code, self.wait = code, wait
        self.details = details or DETAILS.get(code, "")

    def answer(self) -> JSONResponse:
        """Write the answer that Meta gives."""
        error: dict[str, Any] = {"message": str(self), "type": "OAuthException", "code": self.code}
        if self.details:
            error["error_data"] = {"messaging_product": "whatsapp", "details": self.details}
        error["fbtrace_id"] = "A" + urlsafe_b64encode(os.urandom(16)).decode().rstrip("=")
        waits = {"Retry-After": str(max(1, round(self.wait)))} if self.wait else {}
        return JSONResponse({"error": error}, _STATUSES.get(self.code, 400), waits)


def sentence(code: int) -> str:
    """Say a code in words."""
    return _SENTENCES.get(code, "Something went wrong")


def now(refusal: Refusal) -> Wrong:
    """Return what the API answers at once to a message that the world refused."""
    wait = refusal.wait if refusal.reason == "throttled" else 0.0
    return Wrong(_NOW.get(refusal.reason, 131016), refusal.detail, wait=wait)


def on_demand(detail: str) -> tuple[int, bool]:
    """Read the code that somebody wants to see, and whether the API tells it at once."""
    words = detail.split()
    code = int(words[0]) if words and words[0].isdecimal() else 131000
    code = {500: 131000, 503: 131016, 429: 130429, 401: 190}.get(code, code)
    return code, "now" in words or code not in _LATER

"""What each error code of the Cloud API means for us. Only the code decides: status and words change without notice.

Source: https://developers.facebook.com/documentation/business-messaging/whatsapp/support/error-codes
Codes of registering numbers, making templates, groups, flows and calls are left out: wafleet never asks for those.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final, cast

import httpx

from wafleet.transports.base import (
    MaybeSent,
    OutsideWindow,
    RefusedAccount,
    RefusedContent,
    RefusedRecipient,
    Throttled,
)
from wafleet.transports.remedies import Remedy, Told
from wafleet.transports.web import obj

PROVIDER: Final = "meta"
_CREDENTIALS: Final = Remedy(RefusedAccount, "credentials", "credentials")
_LOCKED: Final = Remedy(RefusedAccount, "restricted", "restricted")
_RESTRICTED: Final = Remedy(RefusedAccount, "restricted")
_PERMISSION: Final = Remedy(RefusedAccount, "permission")
_BILLING: Final = Remedy(RefusedAccount, "billing")
_NO_SENDER: Final = Remedy(RefusedAccount, "sender_missing")
_SLOWER: Final = Remedy(Throttled, "throttled")
_AWAY: Final = Remedy(MaybeSent, "provider_away")  # "try again", says Meta; not that nothing of it went out
_CONTENT: Final = Remedy(RefusedContent, "content")
_FILE: Final = Remedy(RefusedContent, "media_refused")
_BLANKS: Final = Remedy(RefusedContent, "template_blanks")
_PAUSED: Final = Remedy(RefusedContent, "template_paused")

ERRORS: Final[Mapping[str, Remedy]] = {
    # --- the token and its rights
    "0": _CREDENTIALS,
    "102": _CREDENTIALS,
    "104": _CREDENTIALS,
    "190": _CREDENTIALS,
    "3": _PERMISSION,
    "10": _PERMISSION,
    **{str(code): _PERMISSION for code in range(200, 300)},
    "131005": _PERMISSION,
    # --- the number and its business account
    "33": _NO_SENDER,
    "100/33": _NO_SENDER,  # of a number that does not exist, or that the token may not see any more
    "803": _NO_SENDER,
    "131045": _NO_SENDER,
    "133010": _NO_SENDER,
    "368": _LOCKED,
    "131031": _LOCKED,
    "131037": _RESTRICTED,
    "131042": _BILLING,
    "131044": _BILLING,
    # --- too much at once
    "4": _SLOWER,
    "17": _SLOWER,
    "32": _SLOWER,
    "613": _SLOWER,
    "80007": _SLOWER,
    "130429": _SLOWER,
    "131048": Remedy(Throttled, "tier"),
    "131064": Remedy(Throttled, "tier"),
    "131056": Remedy(Throttled, "pair_rate"),  # lanes keep below it, so that this is rare
    "131057": Remedy(Throttled, "throttled", wait=timedelta(minutes=1)),  # while it is moved to a higher throughput
    # --- Meta itself
    "1": _AWAY,
    "2": _AWAY,
    "131000": _AWAY,
    "131016": _AWAY,
    # --- this person
    "130497": Remedy(RefusedRecipient, "country"),
    "130472": Remedy(RefusedRecipient, "held_back"),  # an experiment of Meta's: some people get no advertising
    "131021": Remedy(RefusedRecipient, "recipient"),
    "131026": Remedy(RefusedRecipient, "recipient_unreachable"),
    "131030": Remedy(RefusedRecipient, "recipient_not_allowed"),
    "131049": Remedy(RefusedRecipient, "held_back"),
    "131050": Remedy(RefusedRecipient, "recipient_refuses"),
    "131062": Remedy(RefusedRecipient, "recipient"),
    "137000": Remedy(RefusedRecipient, "recipient"),
    "131047": Remedy(OutsideWindow, "outside_window"),
    # --- this content
    "100": _CONTENT,
    "131008": _CONTENT,
    "131009": _CONTENT,
    "135000": _CONTENT,
    "131051": Remedy(RefusedContent, "unsupported"),
    "131052": _FILE,
    "131053": _FILE,
    "131063": _PAUSED,
    "132000": _BLANKS,
    "132001": Remedy(RefusedContent, "template_missing"),
    "132005": Remedy(RefusedContent, "too_long"),
    "132007": Remedy(RefusedContent, "policy"),
    "132008": _BLANKS,
    "132012": _BLANKS,
    "132015": _PAUSED,
    "132016": _PAUSED,
}


def told(reply: httpx.Response) -> Told:
    """Find the code and the words in an answer that is an error. Raises LookupError, TypeError or ValueError.

    Meta repeats a token that it cannot read: it is taken out of the words.
    """
    error = error_of(obj(obj(reply.json())["error"]))
    token = reply.request.headers.get("Authorization", "").removeprefix("Bearer ").strip()
    return Told(error.code, error.words.replace(token, "***") if token else error.words)


def error_of(error: Mapping[str, Any]) -> Told:
    """Read one error, as an answer or a failed status carries it: the details say more than the message."""
    data = error.get("error_data")
    details: object = cast("dict[str, Any]", data).get("details") if isinstance(data, dict) else ""
    words = details or error.get("error_user_msg") or error.get("message") or error.get("title") or ""
    code = error.get("code")
    if (code, error.get("error_subcode")) == (100, 33):  # a bad parameter in name only: no content is at fault
        code = "100/33"
    return Told("" if code is None else str(code), str(words))

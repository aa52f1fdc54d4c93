"""A gateway's errors, by what a lane may do next.

Gateways have no error codes of their own. What there is: the HTTP status; the session's status where that is the
trouble (422); and the number WhatsApp gave, which the engines write into their message. These are the codes here.
Source: https://waha.devlike.pro/docs/how-to/sessions/ and the answers of version 2025.9; WhatsApp's numbers as in
`transports/device/telling.py`.
"""

import re
from collections.abc import Mapping
from typing import Any, Final, cast

import httpx

from wafleet.transports.base import NotSent, Refused, RefusedAccount, RefusedContent, RefusedRecipient, Throttled
from wafleet.transports.gateway.states import REASONS
from wafleet.transports.remedies import Remedy, Told
from wafleet.transports.web import obj

PROVIDER: Final = "gateway"
SESSION: Final = "session:"  # before the status of a session that does not work
MISSING: Final = "404"
_OTHER_NUMBER: Final = "whatsapp"
_NO_ROUTE: Final = "route"

TABLE: Final[Mapping[str, Remedy]] = {
    "400": Remedy(RefusedContent, "content"),
    "401": Remedy(RefusedAccount, "credentials", "credentials"),
    "403": Remedy(RefusedAccount, "permission", "permission"),
    MISSING: Remedy(RefusedAccount, "sender_missing", "sender_missing"),
    "413": Remedy(RefusedContent, "media_refused"),
    "501": Remedy(RefusedContent, "unsupported"),
    _NO_ROUTE: Remedy(RefusedContent, "unsupported"),
    "whatsapp:429": Remedy(Throttled, "throttled"),
    "whatsapp:463": Remedy(RefusedRecipient, "reach_out_lock"),
    _OTHER_NUMBER: Remedy(Refused, "refused"),
    **{SESSION + status: Remedy(NotSent, "not_linked", reason) for status, reason in REASONS.items()},
    SESSION + "STARTING": Remedy(NotSent, "network"),
}

_NUMBER: Final = re.compile(r"server returned error (\d{3})")


def told(reply: httpx.Response) -> Told:
    """Find out what an error answer says. Raises ValueError when its body is no JSON object."""
    body = obj(reply.json())
    words = _words(body)
    if reply.status_code == 422 and isinstance(status := body.get("status"), str):
        return Told(SESSION + status, words)
    if reply.status_code == 404 and words.startswith("Cannot "):  # the framework's words for a path it does not have
        return Told(_NO_ROUTE, words)
    if number := _NUMBER.search(words):
        known = f"whatsapp:{number[1]}"
        return Told(known if known in TABLE else _OTHER_NUMBER, words)
    code = str(reply.status_code)
    return Told(code if code in TABLE else "" if reply.status_code >= 500 else f"http {code}", words)


def _words(body: dict[str, Any]) -> str:
    inside: object = body.get("exception")
    if isinstance(inside, dict):
        return _words(cast("dict[str, Any]", inside))
    for name in ("message", "error", "details"):
        if isinstance(said := body.get(name), str):
            return said
        if isinstance(said, list):
            return "; ".join(str(one) for one in cast("list[object]", said))
    return ""

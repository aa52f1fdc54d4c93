"""Customers as Meta names them: by phone, or by an id of its own where a customer hides the phone.

A business-scoped user id (BSUID) is a country and up to 128 letters and digits: "US.13491208655302741918". Here it is
an identity with a prefix: "bsuid:US.13491208655302741918".
Source: https://developers.facebook.com/documentation/business-messaging/whatsapp/business-scoped-user-ids
"""

import re
from collections.abc import Mapping
from typing import Any, Final

HIDDEN: Final = "bsuid:"
_DIGITS: Final = re.compile(r"\+?([1-9][0-9]{5,19})")
_BSUID: Final = re.compile(r"[A-Z]{2}\.(?:ENT\.)?[A-Za-z0-9]{1,128}")


def identity(*names: object) -> str:
    """Return the best identity among what Meta calls a customer: a phone before an id; empty when none is either."""
    written = [str(name) for name in names if name]
    for name in written:
        if found := _DIGITS.fullmatch(name):
            return f"+{found[1]}"
    for name in written:
        if _BSUID.fullmatch(name):
            return f"{HIDDEN}{name}"
    return ""


def addressed(to: str) -> Mapping[str, Any]:
    """Write whom a message is for. Raises ValueError for what is neither phone nor id."""
    if to.startswith(HIDDEN) and _BSUID.fullmatch(to.removeprefix(HIDDEN)):
        return {"recipient": to.removeprefix(HIDDEN)}
    if _DIGITS.fullmatch(to):
        return {"to": to}
    raise ValueError(f"{to!r} is neither a phone nor an id that Meta gives")

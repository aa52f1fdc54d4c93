"""The window in which anything may be said to a customer: some providers open it for a day whenever one writes."""

from datetime import datetime, timedelta

from wafleet.domain.errors import Invalid
from wafleet.domain.message import Content
from wafleet.transports.base import Capabilities, OutsideWindow

CODE = "outside_window"
_REMEDY = "send a template, or wait until they write"


def bound(capabilities: Capabilities, content: Content) -> timedelta | None:
    """Return how long after a customer's message a content may be sent; None: at any time."""
    return None if content.__struct_config__.tag in capabilities.always else capabilities.free_for


def is_open(free_for: timedelta, *, heard_at: datetime | None, at: datetime) -> bool:
    """Tell whether the window is open at a time. `heard_at`: when the customer last wrote, None: never."""
    return heard_at is not None and at < heard_at + free_for


def require_open(
    capabilities: Capabilities, content: Content, *, heard_at: datetime | None, at: datetime, now: datetime
) -> None:
    """Refuse what the provider would refuse. Raises Invalid with the remedy.

    at  when it is to be sent; a window that closes before is as good as closed
    """
    free_for = bound(capabilities, content)
    if free_for is None or is_open(free_for, heard_at=heard_at, at=at):
        return
    kind, hours = content.__struct_config__.tag, f"{free_for / timedelta(hours=1):g} hours"
    if heard_at is None:
        words = f"They never wrote to this number, so that {kind} may not be sent: {_REMEDY}"
    elif is_open(free_for, heard_at=heard_at, at=now):
        closes = f"{heard_at + free_for:%Y-%m-%d %H:%M} UTC"
        words = f"{kind} may be sent until {closes}, {hours} after they last wrote: send it before, or a template"
    else:
        words = f"They last wrote more than {hours} ago, so that {kind} may not be sent: {_REMEDY}"
    raise Invalid("content", words[0].upper() + words[1:], code=CODE)


def require_still_open(
    capabilities: Capabilities, content: Content, *, heard_at: datetime | None, now: datetime
) -> None:
    """Refuse a message that waited until its window closed. Raises OutsideWindow."""
    free_for = bound(capabilities, content)
    if free_for is not None and not is_open(free_for, heard_at=heard_at, at=now):
        raise OutsideWindow(CODE, f"the window closed {_closed(heard_at, free_for)}")


def _closed(heard_at: datetime | None, free_for: timedelta) -> str:
    return f"at {heard_at + free_for:%Y-%m-%d %H:%M} UTC" if heard_at else "before anybody wrote"

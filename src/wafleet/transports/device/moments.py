"""The time of day, as linked devices need it: for what is due, and to read the network's times."""

from datetime import UTC, datetime
from typing import Final

_MILLIS: Final = 10**11  # a number of seconds this large lies in the year 5138: it is milliseconds


def now() -> datetime:
    return datetime.now(UTC)


def moment(number: float) -> datetime:
    """Read a time of the network; seconds mostly, and milliseconds in places. A missing one is now."""
    if number <= 0:
        return now()
    try:
        return datetime.fromtimestamp(number / 1000 if number > _MILLIS else number, UTC)
    except (OverflowError, OSError, ValueError):
        return now()

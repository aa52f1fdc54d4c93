"""How long a linked device lives while its phone is away."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

DROPPED_AFTER: Final = timedelta(days=14)
"""WhatsApp unlinks devices whose phone was away for so long. Source: its Help Center, "About linked devices"."""
WARNED_AFTER: Final = timedelta(days=9)


@dataclass(frozen=True, slots=True)
class Absence:
    """A phone that was not seen for at least a day."""

    days: int
    left: int  # days until WhatsApp unlinks the device; 0: any moment

    @property
    def sentence(self) -> str:
        return f"Its phone was not seen for {_days(self.days)}; WhatsApp unlinks this device after 14."

    @property
    def next_step(self) -> str:
        """Say what a person should do; empty while it is early."""
        if self.days < WARNED_AFTER.days:
            return ""
        when = f"within {_days(self.left)}" if self.left else "now"
        return f"Open WhatsApp on the phone {when}."


def absence(seen: datetime | None, *, now: datetime) -> Absence | None:
    """Return how long the phone was away; None: it was seen today, or its transport cannot tell."""
    if seen is None or (days := (now - seen).days) < 1:
        return None
    return Absence(days, max(0, DROPPED_AFTER.days - days))


def _days(n: int) -> str:
    return f"{n} day" if n == 1 else f"{n} days"

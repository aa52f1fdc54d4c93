"""How many people an account may begin to talk to within a day, where the network sets a limit."""

import re
from collections import deque
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

DAY: Final = timedelta(hours=24)
_TIER: Final = re.compile(r"(\d+)\s*(K|M)?\b", re.IGNORECASE)
_TIMES: Final = {"": 1, "K": 1_000, "M": 1_000_000}


class Reach:
    """People written to outside their window within the last 24 hours, counted by the minute.

    Source: Meta, WhatsApp Business Platform, messaging limits: unique people in a moving day.
    """

    def __init__(self, most: int, begun: Iterable[tuple[datetime, int]]) -> None:
        self.most = most
        self._begun = deque(sorted(begun))

    def left(self, now: datetime) -> int:
        """Return how many more there may be now."""
        while self._begun and self._begun[0][0] <= now - DAY:
            self._begun.popleft()
        return self.most - sum(n for _, n in self._begun)

    def add(self, n: int, now: datetime) -> None:
        """Count people who were written to."""
        minute = now.replace(second=0, microsecond=0)
        if self._begun and self._begun[-1][0] == minute:
            minute, before = self._begun.pop()
            n += before
        self._begun.append((minute, n))

    def free_at(self, now: datetime) -> datetime:
        """Return when the oldest of them counts no longer."""
        return self._begun[0][0] + DAY if self._begun else now + DAY


def tier(word: str) -> int | None:
    """Read a network's own word for a limit, such as TIER_10K or "1K Customers/24hr"; None: no limit is known."""
    found = _TIER.search(word.replace("_", " "))
    return int(found[1]) * _TIMES[(found[2] or "").upper()] if found else None

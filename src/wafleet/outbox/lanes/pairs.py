"""How often an account may write to one person: the network's rule and the account's own."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from wafleet.domain.ids import ConversationId


@dataclass(slots=True)
class Pairs:
    """One message to each person in `gap`; up to `burst` may go within one, paid back by waiting for as many gaps.

    So a burst of 20 where the gap is 6 s is followed by silence until 120 s after its first.
    Source: Meta, WhatsApp Cloud API, pair rate limits.
    """

    gap: timedelta
    burst: int = 1
    why: str = "pair_rate"
    spent: dict[ConversationId, tuple[datetime, int]] = field(
        default_factory=dict[ConversationId, tuple[datetime, int]]
    )  # since when, and how many since

    def spend(self, one: ConversationId, now: datetime) -> None:
        """Count a message to somebody."""
        since, n = self.spent.get(one, (now, 0))
        if now >= since + n * self.gap:
            since, n = now, 0
        self.spent[one] = since, n + 1

    def waiting(self, now: datetime) -> dict[ConversationId, datetime]:
        """Return who must wait, and until when; forget who has nothing left to pay back."""
        for one in [one for one, (since, n) in self.spent.items() if now >= since + n * self.gap]:
            del self.spent[one]
        return {
            one: since + n * self.gap
            for one, (since, n) in self.spent.items()
            if n >= self.burst or now >= since + self.gap
        }

    def clock_set(self, by: timedelta) -> None:
        """Follow a wall clock that somebody set."""
        self.spent = {one: (since + by, n) for one, (since, n) in self.spent.items()}


def waiting(rules: Iterable[Pairs], now: datetime) -> dict[ConversationId, datetime]:
    """Return who must wait by any of the rules, and until when."""
    latest: dict[ConversationId, datetime] = {}
    for rule in rules:
        for one, until in rule.waiting(now).items():
            latest[one] = max(until, latest.get(one, until))
    return latest

"""How often an account may write to one person: the network's rule and the account's own."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from wafleet.domain.ids import ConversationId

WHY: Final = "pair_rate"  # the network's own rule; it is also the reason of a send that it refused by it


class Wait(NamedTuple):
    """Until when somebody may not be written to, and by which rule."""

    until: datetime
    why: str


@dataclass(slots=True)
class Pairs:
    """One message to each person in `gap`; up to `burst` may go within one, paid back by waiting for as many gaps.

    So a burst of 20 where the gap is 6 s is followed by silence until 120 s after its first.
    Source: Meta, WhatsApp Cloud API, pair rate limits.
    """

    gap: timedelta
    burst: int = 1
    why: str = WHY
    spent: dict[ConversationId, tuple[datetime, int]] = field(
        default_factory=dict[ConversationId, tuple[datetime, int]]
    )  # since when, and how many since

    def spend(self, one: ConversationId, now: datetime) -> None:
        """Count a message to somebody."""
        since, n = self.spent.get(one, (now, 0))
        if now >= since + n * self.gap:
            since, n = now, 0
        self.spent[one] = since, n + 1

    def fill(self, one: ConversationId, until: datetime) -> None:
        """Let somebody wait until then: the network says that they got their share."""
        self.spent[one] = until - self.burst * self.gap, self.burst

    @property
    def memory(self) -> timedelta:
        """How long what was sent to somebody may count."""
        return self.burst * self.gap

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


def fill(rules: Iterable[Pairs], one: ConversationId, until: datetime) -> None:
    """Let somebody wait until then, since the network says that they got their share."""
    for rule in rules:
        if rule.why == WHY:
            rule.fill(one, until)


def waiting(rules: Iterable[Pairs], now: datetime) -> dict[ConversationId, Wait]:
    """Return who must wait by any of the rules, until when, and by the rule that holds longest."""
    latest: dict[ConversationId, Wait] = {}
    for rule in rules:
        for one, until in rule.waiting(now).items():
            if one not in latest or until > latest[one].until:
                latest[one] = Wait(until, rule.why)
    return latest

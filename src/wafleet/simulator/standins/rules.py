"""Rules that providers enforce: how fast, how often to one person, how many people a day, and the customer's window."""

from collections import Counter
from collections.abc import Hashable
from typing import Final

from wafleet.simulator.clock import Now

_MOST: Final = 100_000  # remembered of each kind; what is full or over is forgotten first
DAY_S: Final = 86_400.0
_ON_THE_WAY_S: Final = 0.2  # by so much two requests may come nearer together than they were sent


class Bucket:
    """So many at once, then so many a second; for any number of keys.

    burst     how many may go at once after a pause
    per_s     how many come free each second
    """

    def __init__(self, now: Now, *, burst: float, per_s: float) -> None:
        self._now, self._burst, self._per_s = now, burst, per_s
        self._left: dict[Hashable, tuple[float, float]] = {}  # what is left, and as of when

    def take(self, key: Hashable) -> float:
        """Take one; return 0, or the seconds until there will be one."""
        now = self._now()
        left, at = self._left.get(key, (self._burst, now))
        left = min(self._burst, left + (now - at) * self._per_s)
        if left < 1:
            return (1 - left) / self._per_s
        self._left[key] = (left - 1, now)
        if len(self._left) > _MOST:
            self._forget(now)
        return 0.0

    def _forget(self, now: float) -> None:
        full = (self._burst - 1) / self._per_s
        self._left = {k: (left, at) for k, (left, at) in self._left.items() if now - at < full}


class Pairs:
    """One message in `gap_s` to each person; up to `burst` may go within one gap, each paid back by a gap of silence.

    So 20 at once are followed by silence until 120 s after the first of them, where the gap is 6 s.
    Source: Meta, WhatsApp Cloud API, pair rate limits.
    """

    def __init__(self, now: Now, *, gap_s: float, burst: int) -> None:
        self._now, self._gap_s, self._burst = now, gap_s, burst
        self._sent: dict[Hashable, tuple[float, int]] = {}  # since when, and how many since

    def take(self, key: Hashable) -> float:
        """Count one; return 0, or the seconds until the next may go."""
        now = self._now()
        since, n = self._sent.get(key, (now, 0))
        left = since + n * self._gap_s - now
        if left <= _ON_THE_WAY_S:
            since, n = now, 0
        elif n >= self._burst or now >= since + self._gap_s + _ON_THE_WAY_S:
            return left
        self._sent[key] = since, n + 1
        if len(self._sent) > _MOST:
            self._sent = {key: (at, n) for key, (at, n) in self._sent.items() if at + n * self._gap_s > now}
        return 0.0


class Windows:
    """The time after a customer's message in which a business may write freely.

    hours  how long it stays open; 0: always
    """

    def __init__(self, now: Now, *, hours: float = 24.0) -> None:
        self._now, self._seconds = now, hours * 3600
        self._wrote: dict[tuple[str, str], float] = {}

    def wrote(self, phone: str, customer: str, at: float) -> None:
        """Open the window of a customer."""
        self._wrote[phone, customer] = max(at, self._wrote.get((phone, customer), 0.0))
        if len(self._wrote) > _MOST:
            self._wrote = {k: at for k, at in self._wrote.items() if self._now() - at < self._seconds}

    def are_open(self, phone: str, customer: str) -> bool:
        """Tell whether a business may write freely to a customer now."""
        return not self._seconds or self._now() - self._wrote.get((phone, customer), -self._seconds) < self._seconds


class Reach:
    """How many different people a number may begin to write to within 24 hours; None: any number of them."""

    def __init__(self, now: Now, most: int | None) -> None:
        self._now, self.most = now, most
        self._people: dict[str, dict[str, float]] = {}

    def take(self, phone: str, customer: str) -> bool:
        """Count a customer; False when that would be one too many."""
        if self.most is None:
            return True
        since = self._now() - DAY_S
        people = self._people[phone] = {c: at for c, at in self._people.get(phone, {}).items() if at > since}
        if customer not in people and len(people) >= self.most:
            return False
        people.setdefault(customer, self._now())
        return True


class Tally:
    """What a stand-in has answered: for benchmarks, and for whoever looks."""

    def __init__(self) -> None:
        self.accepted = 0
        self.errors: Counter[str] = Counter()  # by the provider's code
        self.failed: Counter[str] = Counter()  # told later, by the provider's code
        self.throttled = 0  # of the errors: those that mean "slower"
        self.ill = 0  # answers that tell nothing

    def shown(self) -> dict[str, object]:
        """Return it as JSON has it."""
        return {
            "accepted": self.accepted,
            "throttled": self.throttled,
            "ill": self.ill,
            "errors": dict(self.errors),
            "failed": dict(self.failed),
        }

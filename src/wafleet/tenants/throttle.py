"""Slows down whoever guesses passwords, without letting them lock out the one they guess about."""

from collections import OrderedDict
from typing import Final

from wafleet.domain.errors import TooMany
from wafleet.engine.clock import Clock

PERIOD_S: Final = 900.0
PER_PERSON: Final = 8  # wrong tries for one user from one address
PER_ADDRESS: Final = 50  # wrong tries for anybody from one address
MOST_REMEMBERED: Final = 20_000


class Throttle:
    """Counts attempts per key over a quarter of an hour, in memory: each node counts its own."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._tries: OrderedDict[str, list[float]] = OrderedDict()

    def begin(self, email: str, address: str) -> None:
        """Count an attempt before it is checked, so that many at once do not slip through. Raises TooMany."""
        person, place = _keys(email, address)
        for key, most in ((person, PER_PERSON), (place, PER_ADDRESS)):
            tries = self._recent(key)
            if len(tries) >= most:
                wait = tries[-most] + PERIOD_S - self._clock.monotonic()
                raise TooMany(
                    f"Too many wrong passwords: try again in {_spoken(wait)}",
                    retry_after_s=wait,
                    code="too_many_sign_ins",
                )
        for key in (person, place):
            self._tries.setdefault(key, []).append(self._clock.monotonic())
            self._tries.move_to_end(key)
        while len(self._tries) > MOST_REMEMBERED:
            self._tries.popitem(last=False)

    def succeeded(self, email: str, address: str) -> None:
        """Forget the person's wrong tries, and take the right one off the address."""
        person, place = _keys(email, address)
        self._tries.pop(person, None)
        tries = self._tries.get(place)
        if tries:
            tries.pop()

    def _recent(self, key: str) -> list[float]:
        oldest = self._clock.monotonic() - PERIOD_S
        tries = [at for at in self._tries.get(key, ()) if at > oldest]
        if tries:
            self._tries[key] = tries
        else:
            self._tries.pop(key, None)
        return tries


def _keys(email: str, address: str) -> tuple[str, str]:
    return f"{email.casefold()}\n{address}", f"\n{address}"


def _spoken(seconds: float) -> str:
    return f"{round(seconds)} s" if seconds < 90 else f"{round(seconds / 60)} minutes"

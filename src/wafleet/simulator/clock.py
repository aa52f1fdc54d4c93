"""The simulator's time: wall seconds that never jump, or a clock that only moves when told."""

import time
from collections.abc import Callable

Now = Callable[[], float]


def steady() -> Now:
    """Make a clock of wall seconds that grows evenly even when somebody sets the host's clock."""
    offset = time.time() - time.monotonic()
    return lambda: offset + time.monotonic()


def from_now(seconds: float) -> float:
    """Return the wall time, in seconds, at which these seconds will have passed."""
    return time.time() + seconds


class ManualClock:
    """Stand still until told; for tests. Call it to read it."""

    def __init__(self, start: float = 1_700_000_000.0) -> None:
        self._now = start

    def __call__(self) -> float:
        return self._now

    def set(self, now: float) -> None:
        """Move to this time; never backwards."""
        self._now = max(self._now, now)

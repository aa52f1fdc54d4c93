"""What is going to happen: a heap of due happenings, run in the order of their times."""

import logging
from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count

from wafleet.simulator.clock import Now

log = logging.getLogger(__name__)

Act = Callable[..., None]


def _nothing() -> None: ...


class Agenda:
    """Run happenings when they are due. Two due at one time run in the order in which they were put down."""

    def __init__(self, now: Now) -> None:
        self._now = now
        self._heap: list[tuple[float, int, Act, tuple[object, ...]]] = []
        self._order = count()
        self.sooner: Callable[[], None] = _nothing  # told when the next happening is due earlier than before

    def after(self, delay: float, act: Act, *with_: object) -> None:
        """Have `act` happen in `delay` seconds."""
        self.at(self._now() + delay, act, *with_)

    def at(self, due: float, act: Act, *with_: object) -> None:
        heappush(self._heap, (due, next(self._order), act, with_))
        if self._heap[0][0] == due:
            self.sooner()

    @property
    def next_due(self) -> float | None:
        return self._heap[0][0] if self._heap else None

    def run_due(self) -> None:
        """Run all that is due; one that fails is logged and does not stop the others."""
        now, heap = self._now(), self._heap
        while heap and heap[0][0] <= now:
            _, _, act, with_ = heappop(heap)
            try:
                act(*with_)
            except Exception:
                log.exception("a happening failed", extra={"act": getattr(act, "__qualname__", repr(act))})

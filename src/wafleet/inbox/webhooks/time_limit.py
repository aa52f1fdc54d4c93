"""Time limits for thousands of short waits: one timer looks after them all."""

import asyncio
from collections.abc import Awaitable
from typing import Final, TypeVar

T = TypeVar("T")
LOOK_S: Final = 1.0


class Patience:
    """Ends waits that take longer than `limit_s`, at most a second late.

    A timer for each wait would cost as much as reading what a call says.
    """

    def __init__(self, limit_s: float, *, look_s: float = LOOK_S) -> None:
        self._limit_s, self._look_s = limit_s, look_s
        self._ends: dict[asyncio.Task[object], float] = {}  # in the order of their ends, since all last as long
        self._late: set[asyncio.Task[object]] = set()
        self._timer: asyncio.TimerHandle | None = None

    async def wait(self, what: Awaitable[T]) -> T:
        """Return what it gives. Raises TimeoutError when that takes too long; it is cancelled then."""
        task = asyncio.current_task()
        assert task is not None
        loop = task.get_loop()
        self._ends[task] = loop.time() + self._limit_s
        if self._timer is None:
            self._timer = loop.call_later(self._look_s, self._look, loop)
        try:
            return await what
        except asyncio.CancelledError:
            if task not in self._late or task.uncancel() > 0:
                raise
            raise TimeoutError from None
        finally:
            del self._ends[task]
            self._late.discard(task)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        for task, end in self._ends.items():
            if end > now:
                break
            if task not in self._late:
                self._late.add(task)
                task.cancel()
        self._timer = loop.call_later(self._look_s, self._look, loop) if self._ends else None

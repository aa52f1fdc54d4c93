"""A memory of two seconds: spares the database a look-up per request, and is short enough for revocations."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final, Generic, TypeVar

from wafleet.engine.clock import Clock

Value = TypeVar("Value")
REMEMBERED_S: Final = 2.0
MOST_REMEMBERED: Final = 10_000


class Recent(Generic[Value]):
    """Answers by key, each used for at most two seconds after its look-up *began*. Failures are not remembered."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._known: dict[bytes, tuple[float, asyncio.Task[Value]]] = {}

    async def get(self, key: bytes, find: Callable[[], Coroutine[Any, Any, Value]]) -> Value:
        """Return what `find` found less than two seconds ago, else find it; callers who come meanwhile share it."""
        known = self._known.get(key)
        if known is None or self._clock.monotonic() - known[0] >= REMEMBERED_S:
            known = self._begin(key, find)
        return await asyncio.shield(known[1])  # a caller who hangs up must not take the answer from the others

    def forget(self, key: bytes) -> None:
        """Find it again next time."""
        self._known.pop(key, None)

    def forget_all(self) -> None:
        self._known.clear()

    def _begin(self, key: bytes, find: Callable[[], Coroutine[Any, Any, Value]]) -> tuple[float, asyncio.Task[Value]]:
        if len(self._known) >= MOST_REMEMBERED:
            self._known.clear()
        begun = (self._clock.monotonic(), asyncio.create_task(find()))
        self._known[key] = begun
        begun[1].add_done_callback(lambda task: self._drop_failure(key, task))
        return begun

    def _drop_failure(self, key: bytes, task: asyncio.Task[Value]) -> None:
        if task.cancelled() or task.exception() is not None:
            known = self._known.get(key)
            if known is not None and known[1] is task:
                del self._known[key]

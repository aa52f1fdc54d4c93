"""Group commit: many callers, one statement, and each gets its own answer."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Generic, TypeVar

import psycopg
import structlog

from wafleet.engine import observe
from wafleet.engine.db import DatabaseAway

log = structlog.get_logger(__name__)
In = TypeVar("In")
Out = TypeVar("Out")

RETRY_PAUSE_S: Final = 0.2
BUSY: Final = 4  # items in one statement: more will come


class Batch(Generic[In, Out]):
    """Collects items while the last statement runs and writes them together in the next.

    write      gets items in the order they were put; returns one answer per item; owns its transaction
    most       items per statement
    patient    True: while the database is away items wait, in order; False: they fail with DatabaseAway at once
    breath_s   how long to collect after a busy statement: fewer and larger ones cost less; a lone item never waits
    """

    def __init__(
        self,
        name: str,
        write: Callable[[Sequence[In]], Awaitable[Sequence[Out]]],
        *,
        most: int,
        patient: bool,
        breath_s: float = 0.0,
    ) -> None:
        self._name, self._write, self._most, self._patient = name, write, most, patient
        self._breath_s = breath_s
        self._waiting: deque[tuple[In, asyncio.Future[Out]]] = deque()
        self._filled = asyncio.Event()

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, item: In) -> asyncio.Future[Out]:
        """Add an item; the future holds its answer once it is committed."""
        answer: asyncio.Future[Out] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, answer))
        self._filled.set()
        return answer

    async def run(self) -> None:
        """Write batches until cancelled; what still waits then fails with DatabaseAway."""
        try:
            while True:
                await self._filled.wait()
                if await self._turn() >= BUSY and self._breath_s and len(self._waiting) < self._most:
                    await asyncio.sleep(self._breath_s)
        finally:
            self._fail_waiting()

    async def drain(self) -> None:
        """Return once nothing waits."""
        while self._waiting:
            await asyncio.wait([self._waiting[-1][1]])

    async def _turn(self) -> int:
        taken = [self._waiting.popleft() for _ in range(min(self._most, len(self._waiting)))]
        if not self._waiting:
            self._filled.clear()
        try:
            await self._write_or_wait(taken)
        except asyncio.CancelledError:
            _fail(taken, DatabaseAway("wafleet is stopping"))
            raise
        return len(taken)

    async def _write_or_wait(self, taken: list[tuple[In, asyncio.Future[Out]]]) -> None:
        while not await self._written(taken):
            pass

    async def _written(self, taken: list[tuple[In, asyncio.Future[Out]]]) -> bool:
        """Write once; False: nothing of it counts, so it is to be written again."""
        try:
            with observe.batch_seconds.labels(self._name).time():
                answers = await self._write([item for item, _ in taken])
        except (psycopg.errors.DeadlockDetected, psycopg.errors.SerializationFailure):
            return False  # another node wrote the same rows in another order
        except DatabaseAway as error:
            if self._patient:
                await asyncio.sleep(RETRY_PAUSE_S)
                return False
            _fail(taken, error)
        except Exception as error:
            await self._one_by_one(taken, error)
        else:
            observe.batch_items.labels(self._name).observe(len(taken))
            for (_, answer), value in zip(taken, answers, strict=True):
                if not answer.done():
                    answer.set_result(value)
        return True

    async def _one_by_one(self, taken: list[tuple[In, asyncio.Future[Out]]], error: Exception) -> None:
        """One bad item must not cost its neighbours theirs."""
        if len(taken) == 1:
            log.error("batch_item_failed", batch=self._name, error=str(error), exc_info=error)
            return _fail(taken, error)
        for one in taken:
            await self._write_or_wait([one])
        return None

    def _fail_waiting(self) -> None:
        _fail(list(self._waiting), DatabaseAway("wafleet is stopping"))
        self._waiting.clear()


def _fail(taken: Sequence[tuple[object, asyncio.Future[Out]]], error: Exception) -> None:
    for _, answer in taken:
        if not answer.done():
            answer.set_exception(error)

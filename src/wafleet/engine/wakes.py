"""Wake-ups: tell whoever waits, here and on other nodes, that there is something to do. Nothing depends on them.

    wake() ── at once ──▶ subscribers of this process
       └── every 10 ms, what came together ──▶ NOTIFY on a connection of its own ──▶ other nodes' LISTEN

Never part of a message's transaction: PostgreSQL lets one notifying transaction commit at a time.
"""

import asyncio
import uuid
from collections import defaultdict
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import msgspec
import psycopg
import structlog
from psycopg import AsyncConnection

log = structlog.get_logger(__name__)

CHANNEL: Final = "wafleet"
TOGETHER_S: Final = 0.010
MOST_IDS: Final = 50  # more are sent as "something of this topic"
MOST_BYTES: Final = 7900  # PostgreSQL refuses payloads of 8000 bytes
LONGEST_BACKOFF_S: Final = 5.0
CONNECTION: Final[dict[str, Any]] = {  # notices within half a minute that the other side is gone
    "connect_timeout": 5,
    "keepalives_idle": 15,
    "keepalives_interval": 5,
    "keepalives_count": 3,
}

Callback = Callable[[frozenset[str] | None], object]


class _Payload(msgspec.Struct):
    node: str
    topics: dict[str, list[str] | None]


class Waiting:
    """Somebody who waits for a topic."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def clear(self) -> None:
        """Count only wake-ups from now on; call it before looking, so that none falls between looking and waiting."""
        self._event.clear()

    async def wait(self, limit_s: float) -> bool:
        """Return True when woken, False after `limit_s`."""
        try:
            async with asyncio.timeout(limit_s):
                return await self._event.wait()
        except TimeoutError:
            return False

    def wake(self, ids: frozenset[str] | None) -> None:
        self._event.set()


class Wakes:
    """One per process. Callbacks must be quick and are called in the event loop; without `run` only this process's."""

    def __init__(self, dsn: str, *, node: str | None = None) -> None:
        self._dsn = dsn
        self._node = f"{node or ''}#{uuid.uuid4().hex[:12]}"  # ours come back to us and are ignored
        self._subscribers: defaultdict[str, list[Callback]] = defaultdict(list)
        self._pending: dict[str, set[str] | None] = {}
        self._filled = asyncio.Event()

    def wake(self, topic: str, *ids: str) -> None:
        """Wake everybody who subscribed to the topic; call it after committing. Without ids: anything of the topic."""
        self._call(topic, frozenset(ids) if ids else None)
        known = self._pending.get(topic, set[str]())
        if not ids or known is None or len(known) + len(ids) > MOST_IDS:
            self._pending[topic] = None
        else:
            self._pending[topic] = known | set(ids)
        self._filled.set()

    def wake_here(self, topic: str) -> None:
        """Wake the subscribers of this process only; other nodes find it when they look round."""
        self._call(topic, None)

    def subscribe(self, topic: str, callback: Callback) -> Callable[[], None]:
        """Call back with the ids that were named, or None when it may be any; returns how to unsubscribe."""
        self._subscribers[topic].append(callback)
        return lambda: self._subscribers[topic].remove(callback)

    @contextmanager
    def waiting(self, topic: str) -> Generator[Waiting]:
        """Wait for a topic as often as needed inside the block."""
        waiting = Waiting()
        unsubscribe = self.subscribe(topic, waiting.wake)
        try:
            yield waiting
        finally:
            unsubscribe()

    async def run(self) -> None:
        """Exchange wake-ups with other nodes until cancelled; while the database is away there are none."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._patiently("notify", self._notify), name="wakes notify")
            tasks.create_task(self._patiently("listen", self._listen), name="wakes listen")

    async def _patiently(self, part: str, work: Callable[[AsyncConnection[Any]], Any]) -> None:
        backoff_s, trouble = 0.05, False
        while True:
            try:
                async with await AsyncConnection.connect(
                    self._dsn, autocommit=True, application_name=f"wafleet {part}", **CONNECTION
                ) as conn:
                    if trouble:
                        log.info("wakes_again", part=part)
                    backoff_s, trouble = 0.05, False
                    await work(conn)
            except psycopg.Error as error:
                if not trouble:
                    log.warning("wakes_away", part=part, error=str(error))
                trouble = True
            await asyncio.sleep(backoff_s)
            backoff_s = min(backoff_s * 2, LONGEST_BACKOFF_S)

    async def _notify(self, conn: AsyncConnection[Any]) -> None:
        await conn.execute("set synchronous_commit = off")
        while True:
            await self._filled.wait()
            await asyncio.sleep(TOGETHER_S)
            self._filled.clear()
            pending, self._pending = self._pending, {}
            try:
                for payload in self._payloads(pending):
                    await conn.execute("select pg_notify(%s, %s)", (CHANNEL, payload))
            except psycopg.Error:
                self._pending |= dict.fromkeys(pending)  # told by the next connection
                self._filled.set()
                raise

    def _payloads(self, pending: Mapping[str, set[str] | None]) -> list[str]:
        whole = self._payload(pending)
        if len(whole.encode()) <= MOST_BYTES:
            return [whole]
        if len(pending) == 1:
            return [self._payload(dict.fromkeys(pending))]
        topics = list(pending)
        halves = (topics[: len(topics) // 2], topics[len(topics) // 2 :])
        return [payload for half in halves for payload in self._payloads({topic: pending[topic] for topic in half})]

    def _payload(self, topics: Mapping[str, set[str] | None]) -> str:
        lists = {topic: None if ids is None else sorted(ids) for topic, ids in topics.items()}
        return msgspec.json.encode(_Payload(self._node, lists)).decode()

    async def _listen(self, conn: AsyncConnection[Any]) -> None:
        await conn.execute(f"listen {CHANNEL}".encode())
        for topic in list(self._subscribers):
            self._call(topic, None)  # whatever was said while nobody listened
        async for notice in conn.notifies():
            self._hear(notice.payload)

    def _hear(self, text: str) -> None:
        try:
            payload = msgspec.json.decode(text, type=_Payload)
        except msgspec.DecodeError:
            return  # somebody else's
        if payload.node != self._node:
            for topic, ids in payload.topics.items():
                self._call(topic, None if ids is None else frozenset(ids))

    def _call(self, topic: str, ids: frozenset[str] | None) -> None:
        for callback in tuple(self._subscribers.get(topic, ())):
            try:
                callback(ids)
            except Exception as error:
                log.exception("wake_failed", topic=topic, error=str(error))

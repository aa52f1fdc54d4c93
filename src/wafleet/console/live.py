"""The Overview as it changes: one look at the fleet per second and reach, shared by all who watch it.

viewer -> follow() -> _Channel (one per distinct reach, alive while it has viewers) -> look(caller) once a second
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Sequence
from contextlib import contextmanager
from datetime import datetime

import msgspec
import structlog

from wafleet.console.cards import Card, Full, difference
from wafleet.domain.ids import new_id
from wafleet.engine.clock import Clock
from wafleet.tenants import Caller

log = structlog.get_logger(__name__)

EVERY_S = 1.0
BEAT_S = 10.0  # a page that hears nothing for longer knows that the line is dead
STAY_S = 300.0  # then the page connects again, so that a sign-in that ended is noticed
BACKLOG = 8  # frames a slow viewer may lag behind before it is given a fresh full view instead

BEAT = b"event: beat\ndata: {}\n\n"
STALE = b"event: stale\ndata: {}\n\n"
END = b""

Look = Callable[[Caller], Awaitable[Sequence[Card]]]


def milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


class _Viewer:
    def __init__(self) -> None:
        self.frames: asyncio.Queue[bytes] = asyncio.Queue(BACKLOG)
        self.behind = False

    def push(self, frame: bytes) -> None:
        if self.frames.full():
            self.behind = True
            while not self.frames.empty():
                self.frames.get_nowait()
        self.frames.put_nowait(frame)


class _Channel:
    """One reach's view of the fleet, looked at while somebody watches."""

    def __init__(self, caller: Caller, look: Look, clock: Clock, stopping: asyncio.Event, every_s: float) -> None:
        self._caller, self._look, self._clock, self._stopping = caller, look, clock, stopping
        self._every_s = every_s
        self._boot, self._number = new_id().hex[-8:], 0
        self._cards: dict[str, Card] | None = None
        self._stale, self._quiet_since = False, clock.monotonic()
        self.viewers: set[_Viewer] = set()
        self.task: asyncio.Task[None] | None = None

    @property
    def mark(self) -> str:
        return f"{self._boot}-{self._number}"

    @property
    def view(self) -> Full | None:
        """What it saw a moment ago; None before the first look and while looking fails."""
        if self._cards is None or self._stale:
            return None
        return Full(now=milliseconds(self._clock.now()), accounts=list(self._cards.values()))

    def full(self) -> bytes:
        cards = list((self._cards or {}).values())
        return self._frame("full", Full(now=milliseconds(self._clock.now()), accounts=cards))

    def join(self, viewer: _Viewer, *, seen: str) -> None:
        self.viewers.add(viewer)
        if self._cards is not None:
            viewer.push(BEAT if seen == self.mark else self.full())
        if self.task is None:
            self.task = asyncio.create_task(self._run(), name="console live")

    async def _run(self) -> None:
        while self.viewers and not self._stopping.is_set():
            try:
                self._tell(await self._look(self._caller))
            except Exception as error:
                self._trouble(error)
            await self._clock.sleep(self._every_s, until=self._stopping)
        self._push(END)
        self.task = None

    def _tell(self, cards: Sequence[Card]) -> None:
        first, before = self._cards is None, self._cards or {}
        patch = difference(before, cards, now=milliseconds(self._clock.now()))
        self._cards = {card.id: card for card in cards}
        if first or patch:
            self._number += 1
        if first:
            self._push(self.full())
        elif patch:
            self._push(self._frame("patch", patch))
        elif self._stale or self._clock.monotonic() - self._quiet_since >= BEAT_S:
            self._push(BEAT)
        self._stale = False

    def _trouble(self, error: Exception) -> None:
        if not self._stale:
            log.warning("console_view_failed", error=repr(error))
        self._stale = True
        self._push(STALE)

    def _push(self, frame: bytes) -> None:
        self._quiet_since = self._clock.monotonic()
        for viewer in self.viewers:
            viewer.push(frame)

    def _frame(self, event: str, data: msgspec.Struct) -> bytes:
        return b"id: %s\nevent: %s\ndata: %s\n\n" % (self.mark.encode(), event.encode(), msgspec.json.encode(data))


class Live:
    """Streams the fleet to every open console; costs nothing while nobody watches."""

    def __init__(self, look: Look, *, clock: Clock, stopping: asyncio.Event, every_s: float = EVERY_S) -> None:
        self._look, self._clock, self._stopping, self._every_s = look, clock, stopping, every_s
        self._channels: dict[object, _Channel] = {}

    @property
    def watched(self) -> int:
        """How many views of the fleet are being refreshed."""
        return len(self._channels)

    async def view(self, caller: Caller) -> tuple[Full, str]:
        """Return the fleet as it is, and the mark to `follow` it from; shares what other viewers see anyway."""
        channel = self._channels.get(_reach(caller))
        if channel is not None and (seen := channel.view) is not None:
            return seen, channel.mark
        cards = await self._look(caller)
        return Full(now=milliseconds(self._clock.now()), accounts=cards), ""

    async def follow(self, caller: Caller, *, seen: str = "") -> AsyncGenerator[bytes]:
        """Yield server-sent events: a full view first (unless `seen` names the newest), then what changes.

        Ends by itself after some minutes and when wafleet stops; the page then connects again.
        """
        until = self._clock.monotonic() + STAY_S
        with self._joined(caller, seen) as (channel, viewer):
            while self._clock.monotonic() < until and not self._stopping.is_set():
                frame = await viewer.frames.get()
                if frame == END:
                    return
                if viewer.behind:
                    viewer.behind, frame = False, channel.full()
                yield frame

    @contextmanager
    def _joined(self, caller: Caller, seen: str) -> Generator[tuple[_Channel, _Viewer]]:
        key = _reach(caller)
        channel = self._channels.get(key)
        if channel is None:
            channel = self._channels[key] = _Channel(caller, self._look, self._clock, self._stopping, self._every_s)
        viewer = _Viewer()
        channel.join(viewer, seen=seen)
        try:
            yield channel, viewer
        finally:
            channel.viewers.discard(viewer)
            if not channel.viewers:
                del self._channels[key]
                if channel.task is not None:
                    channel.task.cancel()


def _reach(caller: Caller) -> object:
    return caller.tenant, caller.accounts

"""The client's side of the protocol, whatever carries it: requests with answers, and sessions that hear."""

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from itertools import count
from typing import Any, Final, Protocol

from wafleet.simulator import frames
from wafleet.simulator.frames import Message
from wafleet.simulator.orders import Order

log = logging.getLogger(__name__)

_SWEEP_S: Final = 0.25  # how exact time limits are


class Gone(ConnectionError):
    """The session or the connection ended before the answer came."""

    def __init__(self, *, written: bool) -> None:
        super().__init__("the session ended")
        self.written = written  # whether the network may have had the request


class NoAnswer(TimeoutError):
    """The network did not answer in time."""


class Refusal(Exception):
    """The network said no."""

    def __init__(self, reason: str, detail: str, wait: float) -> None:
        super().__init__(detail or reason)
        self.reason, self.detail, self.wait = reason, detail, wait


class Hears(Protocol):
    """Who is told what happens on a session. Called on the event loop, in order; must return at once."""

    def said(self, said: frames.Said) -> None: ...
    def receipt(self, receipt: frames.Receipt) -> None: ...
    def secret(self, credentials: bytes) -> None: ...
    def closed(self, reason: str, detail: str, wait: float) -> None: ...


class _Asked:
    """A request that waits for its answer."""

    __slots__ = ("answer", "channel", "due", "message", "shown")

    def __init__(self, answer: "asyncio.Future[Any]", message: Message, due: float) -> None:
        self.answer, self.message, self.due = answer, message, due
        self.channel: Channel | None = None
        self.shown: Callable[[frames.Shown], None] | None = None


class Channel:
    """One session, as its owner holds it."""

    __slots__ = ("_early", "_wire", "asked", "hears", "number", "open")

    def __init__(self, wire: "Wire", number: int, hears: Hears) -> None:
        self._wire, self.number, self.hears = wire, number, hears
        self.open = True
        self.asked: dict[int, _Asked] = {}
        self._early: list[Callable[[], None]] | None = []  # heard before the owner had this channel

    async def send(self, ref: bytes, to: str, text: str, body: dict[str, Any] | None, limit: float) -> str:
        """Send one message; return the network's id for it. Raises Gone, NoAnswer, Refusal."""
        n = self._wire.next_n()
        return await self._wire.ask(frames.Send(n, self.number, ref, to, text, body), n, limit, self)

    async def find(self, refs: list[bytes], limit: float) -> frames.Found:
        """Ask what became of messages. Raises Gone, NoAnswer, Refusal."""
        n = self._wire.next_n()
        return await self._wire.ask(frames.Find(n, self.number, refs), n, limit, self)

    async def ping(self, limit: float) -> None:
        """Return when the network answers. Raises Gone, NoAnswer, Refusal."""
        n = self._wire.next_n()
        await self._wire.ask(frames.Ping(n, self.number), n, limit, self)

    def acknowledge(self, ids: Sequence[str]) -> None:
        if self.open:
            self._wire.tell(frames.Acknowledge(self.number, list(ids)))

    def leave(self) -> None:
        """End the session; what it was waiting for stays unanswered."""
        if self.open:
            self._wire.tell(frames.Leave(self.number))
            self._wire.forget(self)

    def start(self) -> None:
        """Let the owner hear: first what came before it was ready."""
        early, self._early = self._early, None
        for call in early or ():
            self.hear(call)

    def hear(self, call: Callable[..., None], *with_: object) -> None:
        """Tell the owner something, now or as soon as it is ready."""
        if self._early is not None:
            self._early.append(lambda: call(*with_))
            return
        try:
            call(*with_)
        except Exception:  # one owner's trouble must not keep the others from hearing
            log.exception("an owner of a session failed to hear")


class Wire(ABC):
    """Requests and sessions of one connection. A subclass says how messages get across."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._numbers = count(1)
        self.next_n = self._numbers.__next__
        self._asked: dict[int, _Asked] = {}
        self._channels: dict[int, Channel] = {}
        self._out: list[Message] = []
        self._sweeping = False
        self.alive = True
        self._duties: Mapping[type[Message], Callable[[Any], None]] = {
            frames.Taken: lambda m: self._answer(m.n, m.id),
            frames.Done: lambda m: self._answer(m.n, None),
            frames.Found: lambda m: self._answer(m.n, m),
            frames.Linked: lambda m: self._answer(m.n, m.credentials),
            frames.Result: lambda m: self._answer(m.n, m.value),
            frames.Refused: self._refused,
            frames.Said: self._said,
            frames.Receipt: self._receipt,
            frames.Secret: self._secret,
            frames.Closed: self._closed,
            frames.Shown: self._shown,
            frames.Welcome: lambda _: None,
        }

    @abstractmethod
    def _carry(self, messages: Sequence[Message]) -> None:
        """Put messages on their way."""

    async def close(self) -> None:
        """Close the connection; all its sessions end."""
        self._lose()

    async def login(self, phone: str, credentials: bytes, hears: Hears, limit: float) -> Channel:
        """Open a session. Its owner hears nothing before this has returned. Raises Gone, NoAnswer, Refusal."""
        n = self.next_n()
        channel = self._channels[n] = Channel(self, n, hears)
        try:
            await self.ask(frames.Login(n, n, phone, credentials), n, limit, channel)
        except BaseException:
            channel.leave()
            raise
        self._loop.call_soon(channel.start)
        return channel

    async def link(self, phone: str, shown: Callable[[frames.Shown], None], limit: float) -> bytes:
        """Link a phone; `shown` gets each code. Returns the credentials. Raises Gone, NoAnswer, Refusal."""
        n = self.next_n()
        answer = self.ask(frames.Link(n, phone), n, limit)
        if asked := self._asked.get(n):
            asked.shown = shown
        try:
            return await answer
        except BaseException:
            self.tell(frames.Cancel(n))
            raise

    async def unlink(self, phone: str, credentials: bytes, limit: float) -> None:
        """Remove the device that has these credentials. Raises Gone, NoAnswer, Refusal."""
        n = self.next_n()
        await self.ask(frames.Unlink(n, phone, credentials), n, limit)

    async def command(self, order: Order, limit: float) -> Any:
        """Have an order carried out. Raises Gone, NoAnswer, Refusal."""
        n = self.next_n()
        return await self.ask(frames.Command(n, order), n, limit)

    def ask(self, message: Message, n: int, limit: float, channel: Channel | None = None) -> "asyncio.Future[Any]":
        """Send a request; return the future of its answer, which always comes to an end."""
        answer: asyncio.Future[Any] = self._loop.create_future()
        if not self.alive or (channel is not None and not channel.open):
            answer.set_exception(Gone(written=False))
            return answer
        asked = self._asked[n] = _Asked(answer, message, self._loop.time() + limit)
        if channel is not None:
            asked.channel = channel
            channel.asked[n] = asked
        self.tell(message)
        if not self._sweeping:
            self._sweeping = True
            self._loop.call_later(_SWEEP_S, self._sweep)
        return answer

    def tell(self, message: Message) -> None:
        """Send something that has no answer."""
        if self.alive:
            if not self._out:
                self._loop.call_soon(self._flush)
            self._out.append(message)

    def forget(self, channel: Channel) -> None:
        """End a session on this side; its requests end with Gone."""
        channel.open = False
        self._channels.pop(channel.number, None)
        if channel.asked:
            mine = {id(asked.message) for asked in channel.asked.values()}
            unwritten = {id(m) for m in self._out if id(m) in mine}
            self._out = [m for m in self._out if id(m) not in unwritten]  # they never leave, as their senders are told
            for n in list(channel.asked):
                self._fail(n, unwritten)

    def _fail(self, n: int, unwritten: set[int]) -> None:
        asked = self._drop(n)
        if asked and not asked.answer.done():
            asked.answer.set_exception(Gone(written=id(asked.message) not in unwritten))

    def _flush(self) -> None:
        if self._out and self.alive:
            out, self._out = self._out, []
            self._carry(out)

    def _take(self, messages: Sequence[Message]) -> None:
        duties = self._duties
        for message in messages:
            duties[type(message)](message)

    def _lose(self) -> None:
        """End everything: the connection is gone."""
        if not self.alive:
            return
        self.alive = False
        unwritten = {id(m) for m in self._out}
        for n in list(self._asked):
            self._fail(n, unwritten)
        self._out.clear()
        channels, self._channels = list(self._channels.values()), {}
        for channel in channels:
            channel.open = False
            channel.hear(channel.hears.closed, "network", "the connection to the simulator is lost", 0.0)

    def _sweep(self) -> None:
        now = self._loop.time()
        for n in [n for n, asked in self._asked.items() if asked.due <= now]:
            asked = self._drop(n)
            if asked and not asked.answer.done():
                asked.answer.set_exception(NoAnswer("the network did not answer in time"))
        self._sweeping = bool(self._asked)
        if self._sweeping:
            self._loop.call_later(_SWEEP_S, self._sweep)

    def _drop(self, n: int) -> _Asked | None:
        asked = self._asked.pop(n, None)
        if asked is not None and asked.channel is not None:
            asked.channel.asked.pop(n, None)
        return asked

    def _answer(self, n: int, value: Any) -> None:
        asked = self._drop(n)
        if asked is not None and not asked.answer.done():
            asked.answer.set_result(value)

    def _refused(self, refused: frames.Refused) -> None:
        asked = self._drop(refused.n)
        if asked is not None and not asked.answer.done():
            asked.answer.set_exception(Refusal(refused.reason, refused.detail, refused.wait))

    def _shown(self, shown: frames.Shown) -> None:
        asked = self._asked.get(shown.n)
        if asked is not None and asked.shown is not None:
            asked.shown(shown)

    def _said(self, said: frames.Said) -> None:
        channel = self._channels.get(said.session)
        if channel is not None:
            channel.hear(channel.hears.said, said)

    def _receipt(self, receipt: frames.Receipt) -> None:
        channel = self._channels.get(receipt.session)
        if channel is not None:
            channel.hear(channel.hears.receipt, receipt)

    def _secret(self, secret: frames.Secret) -> None:
        channel = self._channels.get(secret.session)
        if channel is not None:
            channel.hear(channel.hears.secret, secret.credentials)

    def _closed(self, closed: frames.Closed) -> None:
        channel = self._channels.get(closed.session)
        if channel is not None:
            channel.leave()
            channel.hear(channel.hears.closed, closed.reason, closed.detail, closed.wait)

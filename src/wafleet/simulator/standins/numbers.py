"""What every stand-in of a provider is built on: the provider's numbers on the world, each with a session of its own.

standin_server.py answers a provider's API over HTTP; standin_hooks.py calls the webhooks of its customers.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Protocol, Self

from wafleet.simulator.client import connect_folder
from wafleet.simulator.frames import Receipt, Said
from wafleet.simulator.local import Local
from wafleet.simulator.orders import Adopt
from wafleet.simulator.wire import Channel, Gone, NoAnswer, Refusal, Wire
from wafleet.simulator.world import World

log = logging.getLogger(__name__)

Connect = Callable[[], Awaitable[Wire]]

_OPEN_S: Final = 15.0
_ANSWER_S: Final = 60.0  # a caller has given up long before
_PAUSES_S: Final = (0.1, 5.0)  # before a session that ended is opened again: at first, and at most


class Hears(Protocol):
    """Who is told what happens to the numbers. Called on the event loop, in order; must return at once."""

    def said(self, phone: str, said: Said) -> None:
        """A customer wrote. It comes again now and then until it is acknowledged."""
        ...

    def receipt(self, phone: str, receipt: Receipt) -> None: ...

    def changed(self, phone: str) -> None:
        """A number went online, or off: see `Numbers.trouble`."""
        ...


class Numbers:
    """Hold numbers on the world as a provider does. Use as a context manager; sessions end with it.

    connect  opens a connection to the world; called again after one is lost
    """

    def __init__(self, connect: Connect, hears: Hears, *, answer_s: float = _ANSWER_S) -> None:
        self._connect, self._hears, self.answer_s = connect, hears, answer_s
        self._numbers: dict[str, _Number] = {}
        self._wire: Wire | None = None
        self._connecting = asyncio.Lock()

    @classmethod
    def at(cls, folder: Path, hears: Hears, *, answer_s: float = _ANSWER_S) -> Self:
        """Use the simulator's process whose folder this is, wherever it listens by then."""
        return cls(lambda: connect_folder(folder), hears, answer_s=answer_s)

    @classmethod
    def within(cls, world: World, hears: Hears, *, answer_s: float = _ANSWER_S) -> Self:
        """Use a world in this process."""

        async def connect() -> Wire:
            return Local(world)

        return cls(connect, hears, answer_s=answer_s)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for number in self._numbers.values():
            number.stop()
        await asyncio.gather(*(n.opening for n in self._numbers.values() if n.opening), return_exceptions=True)
        if self._wire is not None:
            await self._wire.close()

    async def wire(self) -> Wire:
        """Return the connection to the world. Raises ConnectionError or TimeoutError."""
        async with self._connecting:
            if self._wire is None or not self._wire.alive:
                self._wire = await self._connect()
            return self._wire

    def add(self, phone: str) -> None:
        """Hold a number from now on: it needs no QR code. One that is held already stays as it is."""
        if phone not in self._numbers:
            self._numbers[phone] = _Number(phone, self, self._hears)
            self._numbers[phone].open_soon(0.0)

    def hold(self, phone: str, credentials: bytes) -> None:
        """Hold a number that was linked by QR or pairing code, with the credentials it got."""
        self.drop(phone)
        self._numbers[phone] = _Number(phone, self, self._hears, credentials)
        self._numbers[phone].open_soon(0.0)

    def drop(self, phone: str) -> None:
        """Hold a number no longer; its session ends."""
        if number := self._numbers.pop(phone, None):
            number.stop()

    def __contains__(self, phone: object) -> bool:
        return phone in self._numbers

    @property
    def phones(self) -> list[str]:
        return list(self._numbers)

    def trouble(self, phone: str) -> Refusal | None:
        """Tell why a number has no session; None: it has one, or nobody knows yet."""
        return self._numbers[phone].trouble

    async def online(self, phone: str) -> None:
        """Return once a number has its session. Raises Refusal, with reason `network` where the world is away."""
        await self._numbers[phone].channel()

    async def send(self, phone: str, ref: bytes, to: str, text: str, body: dict[str, Any] | None = None) -> str:
        """Let one message cross; return the world's id for it.

        ref  the provider's own name for it, best 16 bytes that grow with time

        Raises Refusal with the world's reason, or NoAnswer when the world keeps silent: it may have crossed.
        """
        channel = await self._numbers[phone].channel()
        try:
            return await channel.send(ref, to, text, body, self.answer_s)
        except Gone as e:
            raise self.trouble(phone) or Refusal("network", str(e), 0.0) from e

    def acknowledge(self, phone: str, ids: list[str]) -> None:
        """Tell the world that these messages have reached the number's owner: the ledger counts them as received."""
        if number := self._numbers.get(phone):
            number.acknowledge(ids)


class _Number:
    """One number. Its session is opened when it is added, and again whenever it has ended."""

    def __init__(self, phone: str, numbers: Numbers, hears: Hears, credentials: bytes = b"") -> None:
        self.phone, self._numbers, self._hears, self._credentials = phone, numbers, hears, credentials
        self._channel: Channel | None = None
        self.opening: asyncio.Task[Channel] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._pause_s, self._stopped = _PAUSES_S[0], False
        self.trouble: Refusal | None = None

    async def channel(self) -> Channel:
        """Return the session, opened now where there is none. Raises Refusal."""
        if self._channel is not None and self._channel.open:
            return self._channel
        if self.trouble is not None and _is_final(self.trouble):
            raise self.trouble
        if self.opening is None:
            self.opening = asyncio.create_task(self._open(), name=f"number {self.phone}")
            self.opening.add_done_callback(self._opened)
        return await asyncio.shield(self.opening)

    def open_soon(self, pause_s: float) -> None:
        if not self._stopped:
            self._timer = asyncio.get_running_loop().call_later(pause_s, self._open_now)

    def stop(self) -> None:
        self._stopped = True
        if self._timer:
            self._timer.cancel()
        if self.opening:
            self.opening.cancel()
        if self._channel:
            self._channel.leave()

    def acknowledge(self, ids: list[str]) -> None:
        if self._channel is not None:
            self._channel.acknowledge(ids)

    def said(self, said: Said) -> None:
        self._hears.said(self.phone, said)

    def receipt(self, receipt: Receipt) -> None:
        self._hears.receipt(self.phone, receipt)

    def secret(self, credentials: bytes) -> None:
        self._credentials = credentials

    def closed(self, reason: str, detail: str, wait: float) -> None:
        self._channel = None
        self._fail(Refusal(reason, detail, wait))

    def _open_now(self) -> None:
        opening = asyncio.ensure_future(self.channel())
        opening.add_done_callback(lambda done: done.cancelled() or done.exception())

    async def _open(self) -> Channel:
        try:
            wire = await self._numbers.wire()
            credentials = self._credentials or await wire.command(Adopt(self.phone), _OPEN_S)
            self._channel = await wire.login(self.phone, credentials, self, _OPEN_S)
        except (OSError, TimeoutError, Gone, NoAnswer) as e:
            raise Refusal("network", str(e), 0.0) from e
        self.trouble, self._pause_s = None, _PAUSES_S[0]
        self._hears.changed(self.phone)
        return self._channel

    def _opened(self, opening: "asyncio.Task[Channel]") -> None:
        self.opening = None
        if not opening.cancelled() and isinstance(failure := opening.exception(), Refusal):
            self._fail(failure)

    def _fail(self, trouble: Refusal) -> None:
        self.trouble = trouble
        with suppress(Exception):  # whoever hears it cannot keep the session from coming back
            self._hears.changed(self.phone)
        if not _is_final(trouble):
            self.open_soon(self._pause_s)
            self._pause_s = min(self._pause_s * 2, _PAUSES_S[1])


def _is_final(trouble: Refusal) -> bool:
    """Tell whether nothing but adding the number again helps."""
    return trouble.reason == "logged_out" and trouble.wait <= 0

"""One linked account inside a worker process, as our side speaks with it."""

import asyncio
import contextlib
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from wafleet.transports.device.ears import ClientEars, Gone, NoAnswer, Unable, Why
from wafleet.transports.device.process import Process
from wafleet.transports.device.worker.line import Kind
from wafleet.transports.device.worker.store import journal

_VERDICT_S: Final = 2.0  # for the worker to say whether a late message is still here
_DRAIN_S: Final = 10.0  # for calls under way when a client is renewed
_STOP_S: Final = 5.0


class _Call:
    """One call that waits for its answer."""

    __slots__ = ("answer", "named", "ref", "settled")

    def __init__(self, ref: str) -> None:
        self.answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self.settled = asyncio.Event()  # named, cancelled or answered: where the message is can be said
        self.ref, self.named = ref, ""
        self.answer.add_done_callback(lambda _: self.settled.set())


class Client:
    """One account in a worker. Made by `Keeper.client`.

    folder  its private store; the journal in it tells what left when the worker can no longer
    """

    def __init__(self, process: Process, *, folder: Path, proxy: str | None, ears: ClientEars) -> None:
        self._process, self._folder, self._ears = process, folder, ears
        self._calls: dict[int, _Call] = {}
        self._last = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._stopped: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._refusing = self._left = False
        self.heard_at = 0.0  # when a frame last came from WhatsApp, by the monotonic clock; lags a little; 0: never
        self._number = process.admit(self)
        process.tell(self._number, Kind.OPEN, str(folder), proxy or "")

    @property
    def pid(self) -> int:
        return self._process.pid

    def connect(self, *, props: bytes, jid: bytes = b"") -> None:
        """Start the library on `folder/session.db`; what follows is heard. Raises Gone.

        props  DeviceProps, serialized
        jid    JID of the device in the store, serialized; empty: the first there is, or a new one
        """
        self._tell(Kind.CONNECT, props, jid)

    async def call(self, name: str, *args: bytes | int | str | bool, limit_s: float, ref: str = "") -> bytes:
        """Call one of the library's functions; return its answer, serialized (`worker.library.FUNCTIONS`).

        Lengths and the client's own id are added by the worker. A truth is b"\\x01" or b"\\x00".
        `SendMessage` of one client run one after another, 50 ms apart. ref: our id of the message, for the journal.
        Raises Gone, NoAnswer, Unable.
        """
        self._last += 1
        number, call = self._last, _Call(ref)
        self._tell(Kind.CALL, number, ref, name, *(int(one) if isinstance(one, bool) else one for one in args))
        self._calls[number] = call
        self._idle.clear()
        try:
            async with asyncio.timeout(limit_s):
                return await asyncio.shield(call.answer)
        except TimeoutError:
            return await self._late(number, call, f"{name} was not answered within {limit_s:g} s")
        finally:
            self._calls.pop(number)
            if not self._calls:
                self._idle.set()

    def stored(self, ids: Sequence[str]) -> None:
        """Let the acknowledgements of these messages go, and drop them from the spool."""
        self._process.tell(self._number, Kind.STORED, *ids)

    async def stop(self, grace_s: float) -> None:
        """End it in good order, and by force after `grace_s`; returns when it is gone.

        What the library cannot end (a phone that is still to be linked) takes its process with it.
        """
        self._left = self._refusing = True
        if not self._process.over.done():
            self._process.tell(self._number, Kind.STOP)
            try:
                async with asyncio.timeout(grace_s):
                    await asyncio.wait([self._stopped, self._process.over], return_when=asyncio.FIRST_COMPLETED)
                await self._process.leave(self._number)
            except TimeoutError:
                await self._process.kill(Why.CRASHED, "it could not be stopped in good order")
        self._fail("The session was ended")

    async def kill(self) -> None:
        """End it at once, with its process; returns when it is gone."""
        self._left = self._refusing = True
        await self._process.kill(Why.CRASHED, "an account that shared it was ended by force")

    async def renew(self, why: Why, detail: str) -> None:
        """End it in good order once its calls are answered, and say why.

        A message with a file takes two calls, one right after the other: the second is let through, or a file that
        makes each worker too large would never be sent.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_DRAIN_S):
                while self._calls:
                    await self._idle.wait()
        self._refusing = True
        told = self._left
        await self.stop(_STOP_S)
        if not told:
            self._ears.gone(why, detail)

    # What the process says

    def frame(self, kind: Kind, fields: list[bytes]) -> None:
        if kind is Kind.EVENT:
            self.heard_at = time.monotonic()
            self._ears.event(int(fields[0]), fields[2], int(fields[1]))
        elif kind is Kind.BEAT:
            self.heard_at = max(self.heard_at, float(fields[0]))
        elif kind in {Kind.ANSWER, Kind.UNABLE, Kind.CANCELLED, Kind.NAMED}:
            self._settle(kind, fields)
        elif kind is Kind.STOPPED and not self._stopped.done():
            self._stopped.set_result(None)
        else:
            self._told(kind, [field.decode() for field in fields])

    def ended(self, why: Why, detail: str) -> None:
        self._refusing = True
        self._fail(f"The worker is gone: {detail}", crashed=not self._left and why is not Why.DISK)
        if not self._left:
            self._left = True
            self._ears.gone(why, detail)

    def _told(self, kind: Kind, words: list[str]) -> None:
        if kind is Kind.QR:
            self._ears.qr(words[0])
        elif kind is Kind.SWALLOWED:
            self._ears.swallowed(words[0], words[1])
        elif kind is Kind.NOTICED:
            self._ears.noticed(words[0])
        elif kind is Kind.RETURNED:
            self._ears.returned(words[0])

    def _settle(self, kind: Kind, fields: list[bytes]) -> None:
        if kind is Kind.NAMED:
            self._ears.named(fields[1].decode(), fields[2].decode())
        call = self._calls.get(int(fields[0]))
        if call is None or call.answer.done():
            return
        if kind is Kind.ANSWER:
            call.answer.set_result(fields[1])
        elif kind is Kind.UNABLE:
            call.answer.set_exception(Unable(fields[1].decode()))
        elif kind is Kind.NAMED:
            call.named = fields[2].decode()
        call.settled.set()

    def _tell(self, kind: Kind, *fields: bytes | str | int) -> None:
        if self._refusing or self._process.closing:
            raise Gone("The worker is gone")
        self._process.tell(self._number, kind, *fields)

    async def _late(self, number: int, call: _Call, words: str) -> bytes:
        """Find out where a message is whose call takes too long. One that has not left is kept from leaving."""
        if not call.ref:
            raise NoAnswer(words)
        self._process.tell(self._number, Kind.CANCEL, number)
        try:
            async with asyncio.timeout(_VERDICT_S):
                await call.settled.wait()
        except TimeoutError:
            await self._process.kill(Why.STUCK, "it could not say whether a message had left")
        if call.answer.done():
            return call.answer.result()
        raise NoAnswer(words, call.named)

    def _fail(self, words: str, *, crashed: bool = False) -> None:
        """Answer the calls that wait. The journal knows what left, even when the worker could not say it any more."""
        waiting = [call for call in self._calls.values() if not call.answer.done()]
        names = {}
        if any(call.ref for call in waiting):
            names = {ref: id for mark, ref, id in journal(self._folder) if mark == ">"}
        for call in waiting:
            call.answer.set_exception(Gone(words, call.named or names.get(call.ref, ""), crashed=crashed))
            call.answer.exception()

"""One linked account in its worker, from the first QR code or the login to its end: what is heard, and by whom."""

import asyncio
import contextlib
import dataclasses
import logging
from collections.abc import Callable
from typing import Final, Protocol

from google.protobuf.message import DecodeError

from wafleet.clientlib.protos import told
from wafleet.transports.device import telling
from wafleet.transports.device.client import Client
from wafleet.transports.device.ears import Gone, Why
from wafleet.transports.device.files import Store
from wafleet.transports.device.identity import identity
from wafleet.transports.device.moments import now
from wafleet.transports.device.telling import Ending, Noticed
from wafleet.transports.device.worker.store import journal

log = logging.getLogger(__name__)

AWAY_S: Final = 20.0  # the library connects again by itself; after this long we say that it could not
GRACE_S: Final = 1.0  # for an orderly end; the network forgets a device that is just gone as quickly
SAYS_MORE_S: Final = 2.0
_REMEMBERED: Final = 5_000  # names of our messages, to tell receipts for those whose send had no answer
_SPOKEN: Final = frozenset({telling.MESSAGE, telling.RECEIPT, telling.UNDECRYPTABLE})


class Hearer(Protocol):
    """Who an account's messages are for."""

    def spoke(self, code: int, data: bytes) -> None:
        """Take a message, a receipt, or that something could not be decrypted: an event of the library."""
        ...

    def swallowed(self, id: str, sender: str) -> None:
        """Learn that a message came and the library made nothing of it."""
        ...

    def ended(self, ending: Ending) -> None:
        """Learn that the account's session ended by itself."""
        ...


class Linked:
    """The ears of one client. What comes before somebody hears it waits; WhatsApp is not told of it meanwhile."""

    def __init__(self, store: Store, *, on_qr: Callable[[str], None] | None = None) -> None:
        self.store = store
        self.client: Client | None = None
        self.connected = asyncio.Event()
        self.shown = asyncio.Event()  # a QR code: no phone is linked
        self.paired = asyncio.Event()  # a phone confirmed
        self.refused = asyncio.Event()  # pairing failed, or asks for a passkey
        self.over = asyncio.Event()
        self.ending: Ending | None = None
        self.last = Noticed()
        self.online = self.silent = False
        self.phone = ""  # of the device, as the pairing told it
        self.pairing_error = ""
        self.damaged = False  # the library cannot read its store
        self.removed = False  # from the phone's list, by us
        self.unanswered: dict[str, str] = {}  # messages that left without an answer yet: our id, the network's
        self.names: dict[str, str] = {}  # of the network for messages of ours
        self._on_qr, self._hearer = on_qr, None
        self._kept: list[Callable[[Hearer], None]] = []
        self._leaving = False
        self._away: asyncio.TimerHandle | None = None

    # what is asked of it

    def hear(self, hearer: Hearer) -> None:
        """Hand over what came so far, and everything from now on."""
        self._hearer, kept, self._kept = hearer, self._kept, []
        for tell in kept:
            tell(hearer)

    def recall(self) -> None:
        """Learn from the journal which messages left, so that receipts can be told apart after a restart."""
        for mark, ref, value in journal(self.store.folder):
            if mark == ">":
                self._name(ref, value)
            else:
                self.unanswered.pop(ref, None)

    def leave(self) -> None:
        """Tell nobody of an end that comes from now on: it is wanted."""
        self._leaving = True
        self._stop_waiting()

    async def stop(self, grace_s: float = GRACE_S) -> None:
        """End it; returns when the worker is gone."""
        self.leave()
        if self.client is not None:
            await self.client.stop(grace_s)

    async def kill(self) -> None:
        self.leave()
        if self.client is not None:
            await self.client.kill()

    # what the worker says

    def event(self, code: int, data: bytes, seq: int) -> None:
        if code in _SPOKEN:
            self._tell(lambda hearer: hearer.spoke(code, data))
        elif code == telling.CONNECTED:
            self._connected()
        elif code == telling.DISCONNECTED:
            self._disconnected()
        elif code in {telling.SILENT, telling.HEARD_AGAIN}:
            self.silent = code == telling.SILENT
        elif code == telling.PAIRED:
            self._paired(data)
        elif (ending := telling.ending(code, data, self.last, now=now())) is not None:
            self._end(ending)

    def qr(self, text: str) -> None:
        self.shown.set()
        if self._on_qr is not None:
            self._on_qr(text)

    def named(self, ref: str, id: str) -> None:
        self._name(ref, id)

    def swallowed(self, id: str, sender: str) -> None:
        self._tell(lambda hearer: hearer.swallowed(id, sender))

    def noticed(self, xml: str) -> None:
        self.last.take(xml)
        if self.last.passkey:
            self.refused.set()
        if (ending := telling.refusal(self.last, now=now())) is not None:
            self._end_soon(ending)

    def returned(self, error: str) -> None:
        ending = telling.returned(error)
        self.damaged = telling.is_damaged(error)
        if error:  # it breaks down over some refusals, such as a ban whose code it does not know
            self._end(telling.refusal(self.last, now=now()) or ending)
        else:  # the event that says why is on another of its threads
            self._end_soon(ending)

    def gone(self, why: Why, detail: str) -> None:
        self._end(telling.worker_ended(why, detail, now=now()))

    def _tell(self, tell: Callable[[Hearer], None]) -> None:
        if self._hearer is None:
            self._kept.append(tell)
            return
        try:
            tell(self._hearer)
        except Exception:  # one owner's trouble must not end the worker
            log.exception("the owner of a session failed to hear")

    def _connected(self) -> None:
        self.online, self.silent = True, False
        self._stop_waiting()
        self.connected.set()

    def _disconnected(self) -> None:
        self.online = False
        if self._away is None and not self._leaving and self.connected.is_set():
            self._away = asyncio.get_running_loop().call_later(AWAY_S, self._stayed_away)

    def _stayed_away(self) -> None:
        self._end(Ending("network", f"no connection for {AWAY_S:g} s"))

    def _stop_waiting(self) -> None:
        if self._away is not None:
            self._away.cancel()
            self._away = None

    def _paired(self, data: bytes) -> None:
        with contextlib.suppress(DecodeError):
            status = told.PairStatus.FromString(data)
            self.phone = identity(status.ID)
            if status.Status == told.PairStatus.ERROR or status.Error:
                self.pairing_error = status.Error or "pairing failed"
                self.refused.set()
            self.paired.set()

    def _name(self, ref: str, id: str) -> None:
        self.unanswered[ref] = id
        self.names[id] = ref
        if len(self.names) > _REMEMBERED:
            self.names.pop(next(iter(self.names)))

    def _end_soon(self, ending: Ending) -> None:
        """End, unless the library itself says more within a moment."""
        asyncio.get_running_loop().call_later(SAYS_MORE_S, self._end, ending)

    def _end(self, ending: Ending) -> None:
        if self.ending is not None or self._leaving:
            return
        ending = dataclasses.replace(ending, detail=telling.without_password(ending.detail))
        self.online, self.ending = False, ending
        self._stop_waiting()
        self.over.set()
        self._tell(lambda hearer: hearer.ended(ending))


async def first(*events: asyncio.Event) -> None:
    """Return when one of these has happened."""
    waiting = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for one in waiting:
            one.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


def live(linked: Linked) -> Client:
    """Return the client of an account that is connected. Raises Gone."""
    if linked.client is None or linked.ending is not None:
        raise Gone("the session has ended")
    return linked.client

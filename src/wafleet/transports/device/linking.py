"""Linking a phone: QR codes and a pairing code are shown until the phone confirms, or it is clear that it will not."""

import asyncio
import contextlib
import logging
from datetime import timedelta
from typing import Final

from wafleet.clientlib.protos import told
from wafleet.transports.base import LinkListener, OpenError, Pairing
from wafleet.transports.device.ears import Gone, NoAnswer, Unable
from wafleet.transports.device.linked import Linked, first, live
from wafleet.transports.device.moments import now
from wafleet.transports.device.telling import without_password

log = logging.getLogger(__name__)

LINK_S: Final = 160.0  # WhatsApp hands out six codes: the first holds for 60 s, the others for 20 s each
FIRST_S: Final = 60.0
NEXT_S: Final = 20.0
CODE_S: Final = 20.0  # to be given a pairing code
_LOOK_S: Final = 2.0  # between two looks at the connection: the library says nothing when WhatsApp ends it here
_CHROME: Final = 1
_SHOWN_AS: Final = "Chrome (Linux)"  # WhatsApp accepts names of this form alone with a pairing code


class Attempt:
    """One attempt to link a phone."""

    def __init__(self, phone: str, shown: LinkListener) -> None:
        self._phone, self._shown = phone, shown
        self._qr = self._code = ""
        self._codes = 0
        self._until = now()
        self._asking: asyncio.Task[None] | None = None
        self._cut = asyncio.Event()
        self.linked: Linked | None = None  # set before the library is started

    def qr(self, text: str) -> None:
        """Show a QR code; the first one is the moment when a pairing code can be asked for."""
        self._qr, self._codes = text, self._codes + 1
        self._until = now() + timedelta(seconds=FIRST_S if self._codes == 1 else NEXT_S)
        if self._asking is None:
            self._asking = asyncio.create_task(self._ask_for_code(), name="pairing code")
        self._show()

    async def run(self) -> None:
        """Return when this account's own phone is linked and its first session is up. Raises OpenError."""
        linked = self._line()
        looking = asyncio.create_task(self._look(linked), name="look at a link")
        try:
            async with asyncio.timeout(LINK_S):
                await first(linked.connected, linked.refused, linked.over, self._cut)
        except TimeoutError:
            raise OpenError("link_expired") from None
        finally:
            await _cancelled(looking, self._asking)
        self._check(linked)
        if linked.phone != self._phone:
            await unlink(linked)
            raise OpenError("link_wrong_phone", f"{linked.phone or 'another number'} scanned it, not {self._phone}")

    async def _look(self, linked: Linked) -> None:
        """Notice that WhatsApp hung up: the codes that are shown lead nowhere then."""
        away = 0
        while not linked.phone and away < 2:
            await asyncio.sleep(_LOOK_S)
            with contextlib.suppress(Gone, NoAnswer, Unable):
                away = 0 if await live(linked).call("IsConnected", limit_s=CODE_S) == b"\x01" else away + 1
        if not linked.phone:
            self._cut.set()

    def _check(self, linked: Linked) -> None:
        if linked.last.passkey:
            raise OpenError("passkey", "WhatsApp asks for a passkey, which this library cannot answer")
        if linked.pairing_error:
            raise OpenError("link_refused", linked.pairing_error)
        if linked.ending is not None:
            raise OpenError(linked.ending.reason, linked.ending.detail, linked.ending.until)
        if self._cut.is_set() and not linked.phone:
            raise OpenError("link_expired", "WhatsApp ended the connection before a phone was linked")

    async def _ask_for_code(self) -> None:
        """Ask once for a code to type on the phone. Linking works without it, so that failing is no failure."""
        wanted = told.PairPhoneParams(
            phone=self._phone.removeprefix("+"),
            showPushNotification=False,
            clientType=_CHROME,
            clientDisplayName=_SHOWN_AS,
        )
        try:
            answer = await live(self._line()).call("PairPhone", wanted.SerializeToString(), limit_s=CODE_S)
        except (Gone, NoAnswer, Unable) as error:
            log.info("no pairing code", extra={"phone": self._phone, "why": str(error)})
            return
        found = told.PairPhoneReturnFunction.FromString(answer)
        if found.Error:
            log.info("no pairing code", extra={"phone": self._phone, "why": without_password(found.Error)})
        elif found.Code:
            self._code = found.Code
            self._show()

    def _show(self) -> None:
        self._shown.pairing(Pairing(self._qr, self._code, self._until))

    def _line(self) -> Linked:
        if self.linked is None:
            raise OpenError("unready", "linking was not started")
        return self.linked


async def unlink(linked: Linked) -> None:
    """Remove this device from its phone's list. Raises OpenError."""
    linked.leave()
    try:
        answer = await live(linked).call("Logout", limit_s=10)
    except (Gone, NoAnswer, Unable) as error:
        raise OpenError("network", str(error)) from error
    if answer:
        raise OpenError("network", without_password(answer.decode("utf-8", "replace")))
    linked.removed = True


async def _cancelled(*tasks: "asyncio.Task[None] | None") -> None:
    there = [task for task in tasks if task is not None]
    for task in there:
        task.cancel()
    await asyncio.gather(*there, return_exceptions=True)

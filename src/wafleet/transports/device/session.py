"""One linked account's live session: sends, asks, and hands on what comes.

Before a message leaves, its name of WhatsApp is in the journal of the private store, under our id of it. So after a
crash the journal says what never left, and a receipt that comes later says what arrived.

A message of a customer is acknowledged to WhatsApp once `acknowledge` names it. One window remains that nobody outside
the library can close: it keeps what it decrypted in its own store a few milliseconds before we hear of it. A worker
killed between the two gets the message again and cannot read it a second time; a placeholder stands in its place.
"""

import asyncio
import contextlib
import logging
import re
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final, TypeVar
from uuid import UUID

from google.protobuf.message import DecodeError, Message

from wafleet.clientlib.protos import told
from wafleet.domain.ids import MessageId
from wafleet.domain.inbound import Inbound, Receipt
from wafleet.domain.message import Sending, WithMedia
from wafleet.transports.base import (
    Doubt,
    Found,
    KeepsMedia,
    Listener,
    MaybeSent,
    NotSent,
    Number,
    Outgoing,
    RefusedContent,
    RefusedRecipient,
)
from wafleet.transports.device import telling
from wafleet.transports.device.appearing import Appearing
from wafleet.transports.device.ears import Gone, NoAnswer, Unable
from wafleet.transports.device.files import Unreadable
from wafleet.transports.device.identity import jid
from wafleet.transports.device.incoming import PLACEHOLDER, Incoming
from wafleet.transports.device.linked import Linked, live
from wafleet.transports.device.moments import moment, now
from wafleet.transports.device.reading import referred
from wafleet.transports.device.telling import Ending
from wafleet.transports.device.worker.line import LARGEST_FILE
from wafleet.transports.device.worker.store import journal
from wafleet.transports.device.writing import Letter, uploaded_as, write

log = logging.getLogger(__name__)

SEND_S: Final = 15.0  # the library itself would wait 75
ASK_S: Final = 15.0
FILE_S: Final = 120.0
HEARD_S: Final = 35.0  # the library asks WhatsApp every 20 to 30 s, and WhatsApp answers at once
AGAIN_S: Final = 1.0  # between two tries to fetch a file while its message waits
READ: Final = b"read"
_TAKEN: Final = 5_000  # ids
_UNREADABLE: Final = "the library's answer cannot be read"
_OFFLINE: Final = "not connected to WhatsApp"
_GONE: Final = re.compile(r"\b(?:404|410)\b")  # the media host does not have a file any more
_Answer = TypeVar("_Answer", bound=Message)
_RECEIPTS: Final = {
    told.Receipt.DELIVERED: Sending.DELIVERED,
    told.Receipt.INACTIVE: Sending.DELIVERED,  # on another device of the customer than the one in use
    told.Receipt.READ: Sending.READ,
    told.Receipt.PLAYED: Sending.READ,
}


class DeviceSession:
    """A linked account that is online. Made by `Device.open`."""

    def __init__(
        self, number: Number, linked: Linked, listener: Listener, *, keep_media: KeepsMedia, checkpoint_s: float
    ) -> None:
        self._number, self._linked, self._listener, self._keep_media = number, linked, listener, keep_media
        self._own, self._checkpoint_s = jid(number.phone), checkpoint_s
        self._checkpoints: asyncio.Task[None] | None = None
        self._ended: asyncio.Task[None] | None = None
        self._closing = asyncio.Event()
        self._appearing = Appearing(self._say)
        self.taken: dict[str, None] = {}  # messages that were stored of late: the spool may still hold them
        self._incoming = Incoming(
            received=self._received,
            dropped=self.acknowledge,
            seen=lambda at: listener.phone_seen(moment(at)),
            fetch=self._fetch,
            ask=self._phone_behind,
        )

    # life

    def begin(self, *, phone_seen: bool) -> None:
        """Start copying the session whenever it changed; the first copy is made at once.

        phone_seen  the phone linked it just now
        """
        if phone_seen:
            self._listener.phone_seen(now())
        self._checkpoints = asyncio.create_task(self._copy_now_and_then(), name="checkpoints")

    def give_up(self) -> None:
        """Hear nothing more of what was replayed: this session did not come to be."""
        self._incoming.close()

    async def close(self) -> None:
        """End the session in good order; the account stays linked."""
        if self._ended is None:
            self._linked.leave()
            self._ended = asyncio.create_task(self._end(lost=False), name="end of a session")
        await asyncio.shield(self._ended)

    async def over(self) -> None:
        """Return when nothing of this session is left."""
        if self._ended is not None:
            await asyncio.wait([self._ended])

    @property
    def linked(self) -> Linked:
        return self._linked

    @property
    def is_over(self) -> bool:
        return self._ended is not None and self._ended.done()

    async def _end(self, *, lost: bool) -> None:
        self._closing.set()
        self._appearing.end()
        self._incoming.close()
        await self._linked.stop()
        if self._checkpoints is not None:  # two copies at once would not know which is the newer
            await asyncio.wait([self._checkpoints])
        try:
            if lost:
                await self._linked.store.forget()
            else:
                await self._copy()
        finally:
            self._linked.store.let_go()

    async def _copy_now_and_then(self) -> None:
        await self._copy()
        while not self._closing.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._checkpoint_s):
                    await self._closing.wait()
            if self._linked.store.changed() and not self._closing.is_set():
                await self._copy()

    async def _copy(self) -> None:
        try:
            self._listener.credentials(await self._linked.store.copy(self._linked.unanswered))
        except (Unreadable, OSError) as error:
            log.warning("a session was not copied", extra={"folder": str(self._linked.store.folder), "why": str(error)})

    # messages of ours

    async def send(self, out: Outgoing) -> str:
        """Hand one message to the network; return the network's name for it. Raises SendError only."""
        chat = _person(out.to)
        uploaded = await self._upload(out)
        message = write(Letter(out.content, chat, self._own, out.about, uploaded))
        ref = str(out.id)
        said = (chat.SerializeToString(), message.SerializeToString())
        answer = await self._call("SendMessage", *said, limit_s=SEND_S, ref=ref)
        return self._sent(ref, _read(told.SendMessageReturnFunction, answer))

    def _sent(self, ref: str, answer: told.SendMessageReturnFunction | None) -> str:
        named = self._linked.unanswered.get(ref, "")
        if answer is None or not (answer.Error or answer.SendResponse.ID):
            raise (MaybeSent if named else NotSent)("no_answer", f"{_UNREADABLE}: it names no message and no error")
        if answer.Error:
            error = telling.send_error(answer.Error, named=named)
            if not isinstance(error, MaybeSent):
                self._linked.unanswered.pop(ref, None)
            raise error
        self._linked.unanswered.pop(ref, None)
        return answer.SendResponse.ID

    async def _upload(self, out: Outgoing) -> told.UploadResponse | None:
        if not isinstance(out.content, WithMedia) or not out.media:
            return None
        if len(out.media) > LARGEST_FILE:
            raise RefusedContent("media_refused", _too_large(len(out.media)))
        data = await self._call("Upload", out.media, uploaded_as(out.content), limit_s=FILE_S)
        if (answer := _read(told.UploadReturnFunction, data)) is None:
            raise NotSent("no_answer", _UNREADABLE)
        if answer.Error:
            raise NotSent("media_away", answer.Error)
        return answer.UploadResponse

    async def find(self, messages: Sequence[Doubt]) -> Mapping[MessageId, Found | None]:
        """Tell what became of messages: from the journal, since the network cannot be asked. Raises SendError."""
        last = await asyncio.to_thread(self._last_words)
        found: dict[MessageId, Found | None] = {}
        for one in messages:
            mark, value = last.get(str(one.id), ("", ""))
            if mark == "<":
                found[one.id] = Found(value)
            elif one.provider_id or (mark == "!" and isinstance(telling.send_error(value, named="?"), MaybeSent)):
                continue  # the journal proves nothing against a name that the network gave
            elif mark == "!" or (not mark and self._linked.store.continues):
                found[one.id] = None
        return found

    def _last_words(self) -> dict[str, tuple[str, str]]:
        return {ref: (mark, value) for mark, ref, value in journal(self._linked.store.folder)}

    # what the network is asked

    async def ping(self) -> None:
        """Return when the network was heard from in time. Raises ConnectionError."""
        linked = self._linked
        client = linked.client
        if client is None or not linked.online or linked.silent:
            raise ConnectionError("WhatsApp does not answer keep-alives" if linked.silent else "not connected")
        if client.heard_at and time.monotonic() - client.heard_at > HEARD_S:
            raise ConnectionError(f"nothing came from WhatsApp for {HEARD_S:g} s")
        try:
            if await client.call("IsLoggedIn", limit_s=ASK_S) != b"\x01":
                raise ConnectionError("connected, but not logged in")
        except (Gone, NoAnswer, Unable) as error:
            raise ConnectionError(str(error)) from error

    async def typing(self, to: str, on: bool, *, newest: str = "") -> None:
        """Show a customer that somebody is writing, or no longer. Raises SendError."""
        await self._appearing.typing(_person(to).SerializeToString(), on)

    async def read(self, identity: str, provider_ids: Sequence[str]) -> None:
        """Show a customer that these messages were read. Raises SendError."""
        chat = _person(identity).SerializeToString()
        ids = " ".join(id for id in provider_ids if not id.endswith(PLACEHOLDER))
        if ids:
            await self._say("MarkRead", ids.encode(), int(now().timestamp()), chat, chat, READ)

    async def lookup(self, phones: Sequence[str]) -> Mapping[str, bool]:
        """Tell which phones are on WhatsApp; one it did not answer for is left out. Raises SendError."""
        if not phones:
            return {}
        data = await self._call("IsOnWhatsApp", " ".join(phones).encode(), limit_s=ASK_S)
        if (answer := _read(told.IsOnWhatsAppReturnFunction, data)) is None or answer.Error:
            raise NotSent("network", answer.Error if answer is not None else _UNREADABLE)
        found = {f"+{one.Query.lstrip('+')}": one.IsIn for one in answer.IsOnWhatsAppResponse}
        return {phone: found[phone] for phone in phones if phone in found}

    async def _say(self, name: str, *args: bytes | int) -> None:
        error = (await self._call(name, *args, limit_s=ASK_S)).decode("utf-8", "replace")
        if error:
            raise telling.send_error(error, named="")

    async def _call(self, name: str, *args: bytes | int, limit_s: float, ref: str = "") -> bytes:
        if not self._linked.online:
            raise NotSent("network", _OFFLINE)
        try:
            return await live(self._linked).call(name, *args, limit_s=limit_s, ref=ref)
        except Unable as error:
            raise NotSent("network", str(error)) from error
        except NoAnswer as error:
            raise (MaybeSent("no_answer", str(error)) if error.named else NotSent("network", str(error))) from error
        except Gone as error:  # a worker that died over this very message counts as a try: it may die each time
            reason = "worker_crashed" if error.crashed else "network"
            raise (MaybeSent if error.named else NotSent)(reason, str(error)) from error

    # what comes in

    def spoke(self, code: int, data: bytes) -> None:
        try:
            if code == telling.MESSAGE:
                self._incoming.message(data)
            elif code == telling.UNDECRYPTABLE:
                self._incoming.undecryptable(data)
            elif code == telling.RECEIPT:
                self._receipt(told.Receipt.FromString(data))
        except DecodeError:
            log.warning("an event cannot be read", extra={"code": code, "bytes": len(data)})

    def swallowed(self, id: str, sender: str) -> None:
        self._incoming.swallowed(id, sender)

    def ended(self, ending: Ending) -> None:
        if self._ended is None:
            self._ended = asyncio.create_task(self._end(lost=ending.lost), name="end of a session")
            self._listener.closed(ending.reason, ending.detail, ending.until)

    def acknowledge(self, provider_ids: Sequence[str]) -> None:
        """Tell the network that these messages are stored."""
        ids = [id.removesuffix(PLACEHOLDER) for id in provider_ids]
        self.taken.update(dict.fromkeys(id for id in provider_ids if not id.endswith(PLACEHOLDER)))
        while len(self.taken) > _TAKEN:
            self.taken.pop(next(iter(self.taken)))
        with contextlib.suppress(Gone, OSError):
            live(self._linked).stored(ids)

    def _received(self, inbound: Inbound) -> None:
        if self._ended is not None:
            return
        if inbound.identity == self._number.phone:  # its own phone's word to its devices: no customer's message
            self.acknowledge([inbound.provider_id])
            return
        try:
            self._listener.received(inbound)
        except Exception:  # it was not stored, so it comes again; the account goes on meanwhile
            log.exception("the owner of a session failed to hear a message")

    def _receipt(self, receipt: told.Receipt) -> None:
        source = receipt.MessageSource
        at = moment(receipt.Timestamp)
        if source.IsFromMe:
            if not source.Sender.Device:
                self._listener.phone_seen(at)
            return
        state = _RECEIPTS.get(receipt.Type)
        if state is not None and not source.IsGroup:
            for id in receipt.MessageIDs:
                self._confirmed(id, state, at)

    def _confirmed(self, id: str, state: Sending, at: datetime) -> None:
        ref = self._linked.names.get(id, "")
        self._linked.unanswered.pop(ref, None)
        self._listener.receipt(Receipt(state=state, at=at, provider_id=id, message=_message(ref)))

    async def fetch(self, reference: str) -> bytes:
        """Fetch a customer's file that could not be had when its message came. Raises SendError."""
        message, size = referred(reference)
        try:
            return await self._download(message, size)
        except ValueError as error:
            raise RefusedContent("media_refused", str(error)) from error
        except OSError as error:
            gone = _GONE.search(str(error)) is not None
            raise (RefusedContent("media_gone", str(error)) if gone else NotSent("network", str(error))) from error

    async def _fetch(self, message: bytes, size: int) -> str:
        """Fetch a customer's file and put it into the media store. Raises OSError or ValueError.

        Tried once more after a moment. What does not come is fetched later, and so is what waited in the spool, before
        the session was open: the file may be what ended the worker.
        """
        if not self._linked.online:
            raise OSError(_OFFLINE)
        try:
            content = await self._download(message, size)
        except OSError:
            await asyncio.sleep(AGAIN_S)
            content = await self._download(message, size)
        return await self._keep_media(content)

    async def _download(self, message: bytes, size: int) -> bytes:
        if size > LARGEST_FILE:
            raise ValueError(_too_large(size))
        if not self._linked.online:
            raise OSError(_OFFLINE)
        try:
            answer = await live(self._linked).call("DownloadAny", message, limit_s=FILE_S)
        except (Gone, NoAnswer, Unable) as error:
            raise OSError(str(error)) from error
        file = _read(told.DownloadReturnFunction, answer)
        if file is None or file.Error or not file.Binary:
            raise OSError(_UNREADABLE if file is None else file.Error or "the file is empty")
        return file.Binary

    async def _phone_behind(self, hidden: told.JID) -> told.JID | None:
        await self._linked.connected.wait()
        try:
            answer = await live(self._linked).call("GetPNFromLID", hidden.SerializeToString(), limit_s=ASK_S)
        except (Gone, NoAnswer, Unable):
            return None
        found = _read(told.GetJIDFromStoreReturnFunction, answer)
        return None if found is None or found.Error else found.Jid


def _read(kind: type[_Answer], data: bytes) -> _Answer | None:
    """Decode what the library answered; None where it cannot be."""
    try:
        return kind.FromString(data)
    except DecodeError:
        log.warning("an answer cannot be read", extra={"kind": kind.DESCRIPTOR.name, "bytes": len(data)})
        return None


def _too_large(size: int) -> str:
    return f"a file of {size / 2**20:.0f} MB is too large: linked devices take at most {LARGEST_FILE // 2**20} MB"


def _person(identity: str) -> told.JID:
    try:
        return jid(identity)
    except ValueError as error:
        raise RefusedRecipient("recipient_invalid", str(error)) from error


def _message(ref: str) -> MessageId | None:
    try:
        return MessageId(UUID(ref)) if ref else None
    except ValueError:
        return None

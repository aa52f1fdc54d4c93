"""What customers send, on its way to the listener: in order per customer, with its files, and nothing in silence.

Four kinds of message need more than reading:
- with a file: it is fetched first; where that fails, the message arrives without its file, and says how the file can be
  fetched later;
- of a customer whose phone is hidden: the library is asked for the number, which it often knows;
- that cannot be decrypted: WhatsApp's clients ask the sender to send it again, which takes a moment; where nothing
  comes, a placeholder arrives in its place;
- that the library made nothing of: likewise, at once.

Until the listener acknowledges a message it is in the worker's spool, and WhatsApp does not know that it arrived.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from wafleet.clientlib.protos import told
from wafleet.domain.inbound import Inbound
from wafleet.domain.message import Content, Unsupported, WithMedia, media
from wafleet.transports.device.identity import HIDDEN, PHONES, identity, read
from wafleet.transports.device.moments import moment
from wafleet.transports.device.reading import Read, decoded, reference
from wafleet.transports.device.reading import read as read_message
from wafleet.transports.device.worker.reading import message_id

log = logging.getLogger(__name__)

RESENT_S: Final = 15.0  # a phone that is online sends again within two
PLACEHOLDER: Final = "?"  # behind its id, so that the message itself is welcome if it comes after all
_AT_ONCE: Final = 2  # files

Fetch = Callable[[bytes, int], Awaitable[str]]  # message, size: the file's name in the media store. Raises OSError
Ask = Callable[[told.JID], Awaitable[told.JID | None]]  # the phone behind a hidden name, where it is known


@dataclass(frozen=True, slots=True)
class _Item:
    inbound: Inbound
    person: told.JID
    read: Read | None = None


class Incoming:
    """Reads one account's messages and hands them on.

    received  takes a message, on the event loop
    dropped   takes the id of a message that is for nobody here; WhatsApp may forget it
    seen      is told when the account's own phone was active
    """

    def __init__(
        self,
        *,
        received: Callable[[Inbound], None],
        dropped: Callable[[Sequence[str]], None],
        seen: Callable[[float], None],
        fetch: Fetch,
        ask: Ask,
    ) -> None:
        self._received, self._dropped, self._seen, self._fetch, self._ask = received, dropped, seen, fetch, ask
        self._waiting: dict[str, deque[_Item]] = {}  # by customer: what must wait for an earlier one
        self._tasks: set[asyncio.Task[None]] = set()
        self._undecrypted: dict[str, asyncio.TimerHandle] = {}
        self._files = asyncio.Semaphore(_AT_ONCE)
        self._known: dict[str, str] = {}  # phones by hidden names
        self.passed_over = 0  # messages of groups, channels and the like

    def message(self, data: bytes) -> None:
        """Take event 17."""
        event = decoded(data)
        id = message_id(data) if event is None else event.Info.ID
        self._expected_no_more(id)
        if event is None:
            log.warning("an event cannot be read", extra={"id": id, "bytes": len(data)})
            self._dropped([id])
            return
        if self._is_ours_or_nobodys(event.Info) or (found := read_message(event.Message)) is None:
            self._dropped([id])
        else:
            self._queue(_item(event, found))

    def undecryptable(self, data: bytes) -> None:
        """Take event 44: show a placeholder, unless the message itself follows."""
        event = told.UndecryptableMessage.FromString(data)
        info, id = event.Info, event.Info.ID
        hidden = event.DecryptFailMode == told.UndecryptableMessage.DECRYPT_FAIL_HIDE
        if self._is_ours_or_nobodys(info) or (hidden and event.HasField("DecryptFailMode")):
            self._dropped([id])
        elif id not in self._undecrypted:
            who = _person(info.MessageSource)
            about = {"undecryptable": True, "unavailable": event.IsUnavailable}
            inbound = _placeholder(id + PLACEHOLDER, identity(*_names(info.MessageSource)), about, info)
            wait = 0.0 if event.IsUnavailable else RESENT_S
            later = asyncio.get_running_loop().call_later(wait, self._give_up, id, _Item(inbound, who))
            self._undecrypted[id] = later

    def swallowed(self, id: str, sender: str) -> None:
        """Show a placeholder for a message the library made nothing of. One that is a repetition is known by its id."""
        who = read(sender)
        if who.Server not in {PHONES, HIDDEN}:
            self._dropped([id])
            return
        self._queue(_Item(_placeholder(id, identity(who), {"swallowed": True}), who))

    def close(self) -> None:
        """Stop; what was not handed on comes again from the spool."""
        for later in self._undecrypted.values():
            later.cancel()
        for task in self._tasks:
            task.cancel()

    def _is_ours_or_nobodys(self, info: told.MessageInfo) -> bool:
        source = info.MessageSource
        if source.IsFromMe:
            if not source.Sender.Device:
                self._seen(info.Timestamp)
            return True
        if source.IsGroup or source.Chat.Server not in {PHONES, HIDDEN}:
            self.passed_over += 1
            return True
        return False

    def _give_up(self, id: str, item: _Item) -> None:
        self._undecrypted.pop(id, None)
        self._queue(item)

    def _expected_no_more(self, id: str) -> None:
        if (later := self._undecrypted.pop(id, None)) is not None:
            later.cancel()

    # in order per customer

    def _queue(self, item: _Item) -> None:
        who = item.person.User
        if not item.inbound.identity:
            self._dropped([item.inbound.provider_id])
        elif who in self._waiting:
            self._waiting[who].append(item)
        elif self._needs_waiting(item):
            self._waiting[who] = deque([item])
            task = asyncio.create_task(self._work(who), name="incoming messages")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        else:
            self._received(self._named(item.inbound))

    def _needs_waiting(self, item: _Item) -> bool:
        wants_file = item.read is not None and bool(item.read.download)
        return wants_file or self._named(item.inbound).identity.startswith(HIDDEN)

    async def _work(self, who: str) -> None:
        queue = self._waiting[who]
        while queue:
            item = queue[0]
            inbound = self._named(item.inbound)
            try:
                inbound = await self._whose(inbound)
                if item.read is not None and item.read.download:
                    inbound = await self._with_file(inbound, item.read)
            except Exception:
                log.exception("a message could not be completed", extra={"id": inbound.provider_id})
            self._received(inbound)
            queue.popleft()
        del self._waiting[who]

    async def _whose(self, inbound: Inbound) -> Inbound:
        hidden = inbound.identity
        if not hidden.startswith(HIDDEN):
            return inbound
        found = await self._ask(read(f"{hidden.partition(':')[2]}@{HIDDEN}"))
        phone = identity(found) if found is not None else ""
        if phone.startswith("+"):
            self._known[hidden] = phone
        return self._named(inbound)

    def _named(self, inbound: Inbound) -> Inbound:
        phone = self._known.get(inbound.identity)
        return inbound if phone is None else msgspec.structs.replace(inbound, identity=phone)

    async def _with_file(self, inbound: Inbound, read: Read) -> Inbound:
        try:
            async with self._files:
                name = await self._fetch(read.download, read.size)
        except (OSError, ValueError) as error:
            log.info("a file was not fetched", extra={"id": inbound.provider_id, "why": str(error)})
            return msgspec.structs.replace(inbound, file=reference(read.download))
        return msgspec.structs.replace(inbound, content=_holding(inbound.content, name))


def _item(event: told.Message, found: Read) -> _Item:
    info = event.Info
    names = _names(info.MessageSource)
    inbound = Inbound(
        provider_id=info.ID,
        identity=identity(*names),
        name=info.Pushname,
        content=found.content,
        at=moment(info.Timestamp),
        about=found.about,
        raw=found.raw,
    )
    return _Item(inbound, _person(info.MessageSource), found)


def _names(source: told.MessageSource) -> tuple[told.JID, told.JID, told.JID]:
    return source.SenderAlt, source.Sender, source.Chat


def _person(source: told.MessageSource) -> told.JID:
    return source.Chat if source.Chat.User else source.Sender


def _placeholder(id: str, who: str, about: dict[str, Any], info: told.MessageInfo | None = None) -> Inbound:
    at = moment(info.Timestamp if info is not None else 0)
    name = info.Pushname if info is not None else ""
    return Inbound(provider_id=id, identity=who, name=name, content=Unsupported(about), at=at, raw=about)


def _holding(content: Content, name: str) -> Content:
    file = media(content)
    if file is None or not isinstance(content, WithMedia):
        return content
    return msgspec.structs.replace(content, media=msgspec.structs.replace(file, id=name))

"""A stand-in of Twilio: its API over HTTP and its webhooks, on the numbers of a simulated network.

twilio_api.py reads requests; twilio_sending.py reads what is to be sent; here is what Twilio does with it.
Sources: twilio.com/docs/messaging/api/message-resource, .../whatsapp/api, .../content.
"""

import asyncio
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Self

import httpx
import msgspec

from wafleet.simulator.clock import Now, steady
from wafleet.simulator.frames import DELIVERED, READ, Receipt, Said
from wafleet.simulator.standins.files import Files, kind_of
from wafleet.simulator.standins.hooks import Webhooks, authorities
from wafleet.simulator.standins.numbers import Connect, Numbers
from wafleet.simulator.standins.rules import Bucket, Reach, Tally, Windows
from wafleet.simulator.standins.server import Ill
from wafleet.simulator.standins.twilio.content import APPROVED, Contents
from wafleet.simulator.standins.twilio.errors import LATER, THROTTLED, Wrong, now, on_demand, sentence
from wafleet.simulator.standins.twilio.hooks import call, inbound, status
from wafleet.simulator.standins.twilio.model import RANK, Book, File, Message, Sender, new_sid, phone_of, sid_of
from wafleet.simulator.standins.twilio.sending import Draft, as_content
from wafleet.simulator.wire import NoAnswer, Refusal

log = logging.getLogger(__name__)

_STATES: Final = {DELIVERED: "delivered", READ: "read"}
_FETCH_S: Final = 15.0
_LARGEST: Final = 16 * 1024 * 1024  # bytes of a file. Source: twilio.com/docs/whatsapp/guidance-whatsapp-media-messages
_TWICE_S: Final = 2.0  # the network says things twice within this time only when it is told to
_SILENT: Final = frozenset({"reaction", "edit", "deletion"})  # Twilio tells nobody
_OFFLINE: Final = {"banned": 63112, "locked": 63051, "logged_out": 63111, "outdated": 63022}


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """What Twilio enforces."""

    per_s: float = 80.0  # messages a second for each sender
    window_hours: float = 24.0  # 0: none
    people_a_day: int | None = None  # begun with outside the window, for each sender


class Twilio:
    """One account at Twilio with its senders. Use as a context manager.

    connect      opens a connection to the world
    webhook_url  called for what customers write; a sender may have its own
    memory       a file that keeps its messages beyond its end; None: it forgets them
    base         the URL under which the API is reached: it stands in links
    """

    def __init__(
        self,
        connect: Connect,
        *,
        account_sid: str,
        auth_token: str,
        webhook_url: str = "",
        rules: Rules | None = None,
        files: Files | None = None,
        memory: Path | None = None,
        clock: Now | None = None,
        answer_s: float = 60.0,
    ) -> None:
        rules = rules or Rules()
        self.account_sid, self.auth_token, self.webhook_url = account_sid, auth_token, webhook_url
        self.base, self.clock, self.files = "", clock or steady(), files or Files()
        self.numbers = Numbers(connect, self, answer_s=answer_s)
        self.hooks, self.book, self.contents = Webhooks(), Book(memory), Contents(account_sid)
        self.tally, self.senders = Tally(), dict[str, Sender]()
        self._pace = Bucket(self.clock, burst=max(rules.per_s, 1.0), per_s=rules.per_s)
        self.windows = Windows(self.clock, hours=rules.window_hours)
        for known in self.book:
            if known.direction == "inbound":
                self.windows.wrote(phone_of(known.to), phone_of(known.from_), known.at)
        self._reach = Reach(self.clock, rules.people_a_day)
        self._http = httpx.AsyncClient(timeout=_FETCH_S, follow_redirects=True, trust_env=False, verify=authorities())
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        await self.numbers.__aenter__()
        await self.hooks.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.numbers.__aexit__()
        await self.hooks.__aexit__()
        await self._http.aclose()
        self.book.diary.close()

    def add(self, phone: str, *, webhook: Mapping[str, Any] | None = None) -> Sender:
        """Register a number as a WhatsApp sender; one that is there stays as it is."""
        sender = self.senders.get(phone)
        if sender is None:
            sender = self.senders[phone] = Sender(sid=sid_of("XE", phone), phone=phone, webhook=dict(webhook or {}))
            self.numbers.add(phone)
        return sender

    def remove(self, phone: str) -> None:
        """Remove a sender."""
        self.senders.pop(phone, None)
        self.numbers.drop(phone)

    async def create(self, draft: Draft) -> Message:
        """Take a message. Raises Wrong where the API refuses it at once, Ill where nobody shall know."""
        if wait := self._pace.take(draft.phone):
            raise Wrong(20429, wait=wait)
        at = self.clock()
        sid, raw = new_sid("MM" if draft.media else "SM", at)
        message = Message(
            sid=sid,
            account_sid=self.account_sid,
            direction="outbound-api",
            from_=f"whatsapp:{draft.phone}",
            to=f"whatsapp:{draft.to}",
            body=draft.text,
            status="queued",
            at=at,
            service=draft.service,
            callback=draft.callback,
            offered=draft.offered,
        )
        self.book.add(message)
        if code := self._too_late(draft):
            self._soon(self._fail_soon(message, code))
        elif draft.media:
            self._soon(self._carry_file(message, draft, raw))
        else:
            await self._carry(message, draft, raw, draft.text, draft.body)
        self.tally.accepted += 1
        return message

    def said(self, phone: str, said: Said) -> None:
        """Tell the webhook what a customer wrote."""
        kind = str((said.body or {}).get("type", "text"))
        self.windows.wrote(phone, said.sender, said.at)
        if kind in _SILENT:
            self.numbers.acknowledge(phone, [said.id])
            return
        message = self._received(phone, said)
        sender = self.senders.get(phone)
        url = str((sender.webhook.get("callback_url") if sender else "") or self.webhook_url)
        if message is None or not url:
            return

        def ended(accepted: bool) -> None:
            if accepted:
                self.numbers.acknowledge(phone, [said.id])

        about = self.book.by_world(str((said.body or {}).get("reply_to", "")))
        form = inbound(message, said, self.base, about)
        self.hooks.post(call(self.auth_token, url, form, key=f"{phone} {said.sender}", ended=ended))

    def receipt(self, phone: str, receipt: Receipt) -> None:
        """Tell the callback what became of a message."""
        digits = receipt.ref.hex()
        message = self.book.get(f"SM{digits}") or self.book.get(f"MM{digits}")
        state = _STATES.get(receipt.state)
        if message is not None and state is not None:
            self.book.called(message, receipt.id)
            self.tell(message, state)

    def changed(self, phone: str) -> None:
        """Let the sender show whether it works."""
        sender, trouble = self.senders.get(phone), self.numbers.trouble(phone)
        if sender is None:
            return
        code = _OFFLINE.get(trouble.reason) if trouble else None
        if code:
            more = f"https://www.twilio.com/docs/errors/{code}"
            sender.status = "OFFLINE"
            sender.offline = [{"code": str(code), "message": sentence(code), "more_info": more}]
        elif trouble is None:
            sender.status, sender.offline = "ONLINE", []

    def tell(self, message: Message, state: str) -> None:
        """Note what became of a message, and tell its callback. What comes late changes nothing, but is told."""
        if RANK[state] > RANK[message.status]:
            message.status, message.updated = state, self.clock()
            self.book.noted(message)
        sender = self.senders.get(message.from_.removeprefix("whatsapp:"))
        url = message.callback or str((sender.webhook.get("status_callback_url") if sender else "") or "")
        if url:
            self.hooks.post(call(self.auth_token, url, status(message, state), key=message.sid, ended=None))

    def _too_late(self, draft: Draft) -> int:
        """Return the code with which WhatsApp refuses what is outside the window; 0: it does not."""
        if self.windows.are_open(draft.phone, draft.to):
            return 0
        if draft.content is None or draft.content.status != APPROVED:
            return 63016
        return 0 if self._reach.take(draft.phone, draft.to) else 63038

    async def _carry(self, message: Message, draft: Draft, raw: bytes, text: str, body: dict[str, Any] | None) -> None:
        """Let a message cross the network. Raises Wrong and Ill."""
        try:
            world = await self.numbers.send(draft.phone, raw, draft.to, text, body)
        except NoAnswer:
            self.tally.ill += 1
            raise Ill("500") from None
        except Refusal as refusal:
            self._refused(message, refusal)
        else:
            self.book.called(message, world)
            self.tell(message, "sent")

    def _refused(self, message: Message, refusal: Refusal) -> None:
        """Tell why a message did not cross: later where Twilio does so, else now, by raising Wrong. Raises Ill."""
        if refusal.reason == "ill_answer":
            self.tally.ill += 1
            self.tell(message, "sent")
            raise Ill(refusal.detail)
        code, at_once = LATER.get(refusal.reason, 0), refusal.reason not in LATER
        if refusal.reason == "provider_error":
            code, at_once = on_demand(refusal.detail)
        if not at_once:
            self._soon(self._fail_soon(message, code))
            return
        self.book.remove(message.sid)
        raise Wrong(code) if code else now(refusal)

    async def _carry_file(self, message: Message, draft: Draft, raw: bytes) -> None:
        """Fetch the file of a message, which is accepted by then, and let both cross."""
        try:
            content, mime = await self._fetch(draft.media)
        except (httpx.HTTPError, httpx.InvalidURL, ValueError):
            self._fail(message, 63019)
            return
        name = self.files.put(content)
        message.files = [File(sid_of("ME", message.sid), mime, name)]
        media = {"id": name, "mime": mime, "size": len(content)}
        try:
            await self._carry(message, draft, raw, "", as_content(kind_of(mime), media, draft.text))
        except Wrong as wrong:
            self.book.add(message)
            self._fail(message, wrong.code)
        except Ill:
            pass  # nobody waits for an answer any more

    async def _fetch(self, url: str) -> tuple[bytes, str]:
        reply = (await self._http.get(url)).raise_for_status()
        if len(reply.content) > _LARGEST:
            raise ValueError("too large")
        return reply.content, reply.headers.get("Content-Type", "application/octet-stream").partition(";")[0]

    async def _fail_soon(self, message: Message, code: int) -> None:
        await asyncio.sleep(0.02)  # after the answer that accepted it
        self._fail(message, code)

    def _fail(self, message: Message, code: int) -> None:
        message.error, message.error_words = code, sentence(code)
        self.tally.failed[str(code)] += 1
        if str(code) in THROTTLED:
            self.tally.throttled += 1
        self.tell(message, "failed")

    def _received(self, phone: str, said: Said) -> Message | None:
        """Note a customer's message; None when it was told before: Twilio does not tell anything again later."""
        body = said.body or {}
        carries = "media" in body or body.get("type") == "contact"
        sid = sid_of("MM" if carries else "SM", said.id)
        if (known := self.book.get(sid)) is not None:
            return known if self.clock() - known.updated < _TWICE_S else None
        message = Message(
            sid=sid,
            account_sid=self.account_sid,
            direction="inbound",
            from_=f"whatsapp:{said.sender}",
            to=f"whatsapp:{phone}",
            body=said.text or str(body.get("caption") or body.get("title") or body.get("text") or ""),
            status="received",
            at=said.at,
            updated=self.clock(),
            files=[self._file(sid, body)] if carries else [],
        )
        self.book.add(message)
        self.book.called(message, said.id)
        return message

    def _file(self, sid: str, body: Mapping[str, Any]) -> File:
        if body.get("type") == "contact":
            card = f"BEGIN:VCARD\nVERSION:3.0\nFN:{body.get('name')}\nTEL:{body.get('phone')}\nEND:VCARD\n"
            return File(sid_of("ME", sid), "text/vcard", self.files.put(card.encode()))
        mime = str(body["media"].get("mime") or "application/octet-stream")
        return File(sid_of("ME", sid), mime, self.files.put(self.files.of(body)))

    def _soon(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

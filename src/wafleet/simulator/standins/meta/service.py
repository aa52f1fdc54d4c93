"""A stand-in of Meta's Cloud API: its API over HTTP and its webhooks, on the numbers of a simulated network.

meta_api.py reads requests; meta_reading.py reads what is to be sent; here is what Meta does with it.
Sources: developers.facebook.com/documentation/business-messaging/whatsapp (messages, throughput, pair rate, limits).
"""

import asyncio
from collections.abc import Coroutine, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, Self

import httpx
import msgspec

from wafleet.simulator.clock import Now, steady
from wafleet.simulator.frames import DELIVERED, READ, Receipt, Said
from wafleet.simulator.standins.files import Files
from wafleet.simulator.standins.hooks import Webhooks, authorities
from wafleet.simulator.standins.meta.errors import LATER, THROTTLED, Wrong, now, on_demand
from wafleet.simulator.standins.meta.hooks import Changes, verified, verified_in_the_end
from wafleet.simulator.standins.meta.model import Book, Got, Number, Sent, Templates, new_ref, number_id, wamid
from wafleet.simulator.standins.meta.reading import Draft, Reader
from wafleet.simulator.standins.meta.telling import Around, message, status
from wafleet.simulator.standins.numbers import Connect, Numbers
from wafleet.simulator.standins.rules import Bucket, Pairs, Reach, Tally, Windows
from wafleet.simulator.standins.server import Ill
from wafleet.simulator.wire import NoAnswer, Refusal

_STATES: Final = {DELIVERED: "delivered", READ: "read"}
_FETCH_S: Final = 15.0
_LARGEST: Final = 100 * 1024 * 1024
_TWICE_S: Final = 2.0  # the network says things twice within this time only when it is told to


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """What Meta enforces."""

    per_s: float = 80.0  # messages a second for each number
    pair_burst: int = 45  # messages at once to one person, borrowed from later
    pair_s: float = 6.0  # then one in so many seconds
    window_hours: float = 24.0  # 0: none
    people_a_day: int | None = None  # begun with outside the window, for each number
    hidden: bool = False  # customers hide their phones: only Meta's own ids are told


class Upload(msgspec.Struct):
    """A file at Meta."""

    id: str
    mime: str
    name: str  # in the stand-in's files
    size: int


class Meta:
    """One business account at Meta with its numbers. Use as a context manager.

    connect      opens a connection to the world
    webhook_url  called for everything, once it has answered the challenge; a number may have its own
    memory       a folder that keeps its messages beyond its end; None: it forgets them
    base         the URL under which the API is reached: it stands in links
    """

    def __init__(
        self,
        connect: Connect,
        *,
        access_token: str,
        app_secret: str,
        verify_token: str,
        waba_id: str = "102290129340398",
        webhook_url: str = "",
        rules: Rules | None = None,
        files: Files | None = None,
        memory: Path | None = None,
        clock: Now | None = None,
        answer_s: float = 60.0,
    ) -> None:
        rules = rules or Rules()
        self.access_token, self.verify_token, self.waba_id = access_token, verify_token, waba_id
        self.base, self.webhook_url, self.asked_url = "", "", webhook_url
        self.clock, self.files = clock or steady(), files or Files()
        self.numbers, self.hooks = Numbers(connect, self, answer_s=answer_s), Webhooks()
        self.changes = Changes(self.hooks, waba_id=waba_id, app_secret=app_secret, url=self._url)
        self.book, self.templates, self.tally = Book(memory), Templates(), Tally()
        self.reader = Reader(self.templates, self.book)
        self.phones: dict[str, Number] = {}  # by Meta's id
        self.uploads: dict[str, Upload] = {}
        self._pace = Bucket(self.clock, burst=max(rules.per_s, 1.0), per_s=rules.per_s)
        self._pair = Pairs(self.clock, gap_s=rules.pair_s, burst=rules.pair_burst)
        self.windows = Windows(self.clock, hours=rules.window_hours)
        for known in self.book.received:
            self.windows.wrote(known.phone, known.customer, known.at)
        self._reach, self._hidden = Reach(self.clock, rules.people_a_day), rules.hidden
        self.http = httpx.AsyncClient(timeout=_FETCH_S, follow_redirects=True, trust_env=False, verify=authorities())
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        await self.numbers.__aenter__()
        await self.hooks.__aenter__()
        if self.asked_url:
            self._soon(self._subscribe_soon(self.asked_url))
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.numbers.__aexit__()
        await self.hooks.__aexit__()
        await self.http.aclose()
        self.book.close()

    def add(self, phone: str, name: str = "A business") -> Number:
        """Register a number; one that is there stays as it is."""
        id = number_id(phone)
        if id not in self.phones:
            self.phones[id] = Number(id=id, phone=phone, name=name)
            self.numbers.add(phone)
        return self.phones[id]

    async def subscribe(self, url: str, token: str, number: Number | None = None) -> bool:
        """Use a webhook from now on, for one number or for all, if it answers the challenge; False: it does not."""
        if not await verified(self.http, url, token):
            return False
        if number is None:
            self.webhook_url = url
        else:
            number.webhook = url
        return True

    async def create(self, number: Number, draft: Draft) -> str:
        """Take a message; return Meta's name for it. Raises Wrong where the API refuses it at once, Ill."""
        self._limit(number, draft)
        ref = new_ref(self.clock())
        name = wamid(draft.to, ref.hex().upper(), inbound=False)
        sent = Sent(wamid=name, phone=number.phone, to=draft.to, data=draft.data, offered=draft.offered)
        self.book.send(sent, ref)
        if not draft.template and not self.windows.are_open(number.phone, draft.to):
            self._soon(self._fail_soon(number, sent, 131047))
        elif draft.link:
            self._soon(self._carry_link(number, draft, sent, ref))
        else:
            await self._carry(number, draft, sent, ref)
        self.tally.accepted += 1
        return name

    def upload(self, content: bytes, mime: str) -> Upload:
        """Keep a file of a business or a customer for a while."""
        id = str(int.from_bytes(new_ref(self.clock())[:7]))
        self.uploads[id] = Upload(id, mime, self.files.put(content), len(content))
        return self.uploads[id]

    def said(self, phone: str, said: Said) -> None:
        """Tell the webhook what a customer wrote."""
        self.windows.wrote(phone, said.sender, said.at)
        number, name = self.phones.get(number_id(phone)), wamid(said.sender, said.id, inbound=True)
        known = self.book.got(name)
        if number is None or not self._url(number) or (known and self.clock() - known.at > _TWICE_S):
            return  # nobody to tell, or it is being told already: it comes again until it is acknowledged
        if known is None:
            got = Got(wamid=name, phone=phone, customer=said.sender, world=said.id, at=self.clock())
            self.book.receive(got)
        body = said.body or {}
        file = self.upload(self.files.of(body), str(body["media"].get("mime", ""))).id if "media" in body else ""
        about = self.book.sent(self.book.wamid_of(str(body.get("reply_to", ""))))
        self.book.met(said.sender)
        around = Around(
            name=self.book.wamid_of,
            offered=about.offered if about else "",
            files=self.files,
            file_id=file,
            hidden=self._hidden,
        )
        value = message(number, said, name, around)

        def ended(accepted: bool) -> None:
            if accepted:
                self.numbers.acknowledge(phone, [said.id])

        self.changes.tell(number, "messages", value, ended)

    def receipt(self, phone: str, receipt: Receipt) -> None:
        """Tell the webhook what became of a message."""
        number = self.phones.get(number_id(phone))
        sent, state = self.book.by_ref(receipt.ref), _STATES.get(receipt.state)
        if sent is not None and state is not None and number is not None:
            self.book.called(sent, receipt.id)
            self._tell_status(number, sent, state, receipt.at)

    def changed(self, phone: str) -> None:
        """Tell the webhook when the account is banned, and when it is no longer."""
        number, trouble = self.phones.get(number_id(phone)), self.numbers.trouble(phone)
        if number is None:
            return
        banned = trouble is not None and trouble.reason == "banned"
        if banned == (number.status == "BANNED") or (trouble is not None and not banned):
            return
        number.status = "BANNED" if banned else "CONNECTED"
        ban = {"waba_ban_state": "DISABLE" if banned else "REINSTATE", "waba_ban_date": "today"}
        self.changes.tell(number, "account_update", {"event": "DISABLED_UPDATE", "ban_info": ban})

    def tell(self, number: Number, field: str, value: Mapping[str, Any]) -> None:
        """Tell a webhook whatever somebody wants it to hear."""
        self.changes.tell(number, field, dict(value))

    def _url(self, number: Number) -> str:
        return number.webhook or self.webhook_url

    def _limit(self, number: Number, draft: Draft) -> None:
        """Refuse what is too fast, too often, or to too many people. Raises Wrong."""
        if draft.to == number.phone:
            raise Wrong(131021)
        if self._pace.take(number.phone):
            raise Wrong(130429)
        if self._pair.take((number.phone, draft.to)):
            raise Wrong(131056)
        outside = draft.template and not self.windows.are_open(number.phone, draft.to)
        if outside and not self._reach.take(number.phone, draft.to):
            raise Wrong(131048)

    async def _carry(self, number: Number, draft: Draft, sent: Sent, ref: bytes) -> None:
        """Let a message cross the network. Raises Wrong and Ill."""
        body = draft.body
        if draft.media:
            upload = self.uploads.get(draft.media)
            if upload is None:
                raise Wrong(131009, f"Media {draft.media} does not exist")
            media = {"id": upload.name, "mime": upload.mime, "size": upload.size}
            body = (body or {}) | {"media": media | (body or {}).get("media", {})}
        try:
            world = await self.numbers.send(number.phone, ref, draft.to, "" if draft.body else draft.text, body)
        except NoAnswer:
            self.tally.ill += 1
            raise Ill("500") from None
        except Refusal as refusal:
            self._refused(number, sent, refusal)
        else:
            self.book.called(sent, world)
            self._tell_status(number, sent, "sent", self.clock())

    def _refused(self, number: Number, sent: Sent, refusal: Refusal) -> None:
        """Tell why a message did not cross: later where Meta does so, else now, by raising Wrong. Raises Ill."""
        if refusal.reason == "ill_answer":
            self.tally.ill += 1
            self._tell_status(number, sent, "sent", self.clock())
            raise Ill(refusal.detail)
        code, at_once = LATER.get(refusal.reason, 0), refusal.reason not in LATER
        if refusal.reason == "provider_error":
            code, at_once = on_demand(refusal.detail)
        if at_once:
            raise Wrong(code) if code else now(refusal)
        self._soon(self._fail_soon(number, sent, code))

    async def _carry_link(self, number: Number, draft: Draft, sent: Sent, ref: bytes) -> None:
        """Fetch the file of a message, which is accepted by then, and let both cross."""
        try:
            reply = (await self.http.get(draft.link)).raise_for_status()
            if len(reply.content) > _LARGEST:
                raise ValueError("too large")
            mime = reply.headers.get("Content-Type", "application/octet-stream").partition(";")[0]
            upload = self.upload(reply.content, mime)
            await self._carry(number, replace(draft, media=upload.id), sent, ref)
        except (httpx.HTTPError, httpx.InvalidURL, ValueError):
            self._fail(number, sent, 131053)
        except Wrong as wrong:
            self._fail(number, sent, wrong.code)
        except Ill:
            pass  # nobody waits for an answer any more

    async def _fail_soon(self, number: Number, sent: Sent, code: int) -> None:
        await asyncio.sleep(0.02)  # after the answer that accepted it
        self._fail(number, sent, code)

    def _fail(self, number: Number, sent: Sent, code: int) -> None:
        self.tally.failed[str(code)] += 1
        if str(code) in THROTTLED:
            self.tally.throttled += 1
        self._tell_status(number, sent, "failed", self.clock(), code)

    def _tell_status(self, number: Number, sent: Sent, state: str, at: float, error: int = 0) -> None:
        self.changes.tell(number, "messages", status(number, sent, state, at, error=error, hidden=self._hidden))

    async def _subscribe_soon(self, url: str) -> None:
        await verified_in_the_end(self.http, url, self.verify_token)
        self.webhook_url = url

    def _soon(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

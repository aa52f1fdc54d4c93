"""A network that calls, by a little contract of its own, and a wafleet that takes its calls."""

import asyncio
import hashlib
import hmac
import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import httpx
from tests.inbox.shops import AT, Shop

from wafleet.accounts import Callees, Said, Signs
from wafleet.domain.ids import AccountId, MessageId
from wafleet.domain.inbound import Inbound, Receipt
from wafleet.domain.message import Sending, Text
from wafleet.engine.clock import ManualClock
from wafleet.engine.db import Db
from wafleet.inbox import Hooks, Inbox, Takers
from wafleet.transports.calls import Call, Forged, News, Of, Sign, Unreadable

KIND = "meta"  # numbers are named by a setting; the contract itself is none of Meta's
PUBLIC = "https://fleet.example.com"
KEY = b"a key of forty characters, more or less."


class Network:
    """A JSON list of things, signed over address and body. GET asks for a word."""

    def check(self, call: Call, credentials: bytes, settings: Mapping[str, object]) -> None:
        if not hmac.compare_digest(call.headers.get("x-signature", ""), signature(credentials, call.url, call.body)):
            raise Forged("The signature is wrong")

    def read(self, call: Call, settings: Mapping[str, object]) -> News:
        if call.method == "GET":
            return News(answer=b"hello")
        try:
            things: list[dict[str, Any]] = json.loads(call.body)
            said = [_of(one, call.message) for one in things if one["kind"] != "price"]
        except (LookupError, TypeError, ValueError) as error:
            raise Unreadable(f"This is no list of things: {type(error).__name__}") from None
        return News(said, left={"price": len(things) - len(said)})


def _of(one: dict[str, Any], message: str) -> Of:
    number = one.get("number", "")
    if one["kind"] == "text":
        inbound = Inbound(provider_id=one["id"], identity="+447700900001", content=Text(text=one["text"]), at=AT)
        return Of(inbound, number)
    if one["kind"] == "receipt":
        ours = MessageId(UUID(message)) if message else None
        return Of(Receipt(state=Sending(one["state"]), at=AT, provider_id=one.get("id"), message=ours), number)
    return Of(Sign(one["kind"], one["value"], one.get("reason", "")), number)


def signature(key: bytes, url: str, body: bytes) -> str:
    return hmac.new(key, url.encode() + body, hashlib.sha256).hexdigest()


class PlainSealer:
    """Encrypts so badly that tests can do it in SQL."""

    def encrypt(self, plain: bytes, *, about: bytes) -> bytes:
        return about + plain

    def decrypt(self, stored: bytes, *, about: bytes) -> bytes:
        assert stored.startswith(about)
        return stored.removeprefix(about)


async def give(
    db: Db, account: AccountId, *, key: bytes = KEY, number: str = "", business: str = "", kind: str = KIND
) -> None:
    """Put an account on the network, with its key and the network's name for its number."""
    async with db.fleet_tx() as tx:
        await tx.run(
            """
            update accounts set transport = %(kind)s, credentials = %(key)s, state = 'offline', reason = 'starting',
                   settings = jsonb_build_object(%(kind)s::text,
                                                 jsonb_build_object('phone_number_id', %(number)s::text,
                                                                    'waba_id', %(business)s::text))
             where id = %(id)s
            """,
            id=account,
            kind=kind,
            key=PlainSealer().encrypt(key, about=account.bytes),
            number=number,
            business=business,
        )


@dataclass
class Taking:
    """A wafleet that takes calls; receipts are only looked at."""

    db: Db
    hooks: Hooks
    callees: Callees
    clock: ManualClock
    receipts: list[tuple[AccountId, Receipt]] = field(default_factory=list[tuple[AccountId, Receipt]])
    changed: list[AccountId] = field(default_factory=list[AccountId])

    def browser(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=httpx.ASGITransport(self.hooks), base_url="http://10.0.0.7:8420")

    async def call(self, path: str, things: object, *, key: bytes = KEY, method: str = "POST") -> httpx.Response:
        body = b"" if method == "GET" else json.dumps(things).encode()
        headers = {"X-Signature": signature(key, PUBLIC + path, body), "Content-Type": "application/json"}
        async with self.browser() as browser:
            return await browser.request(method, path, content=body, headers=headers)

    async def texts(self, shop: Shop) -> list[str]:
        async with self.db.fleet_tx() as tx:
            rows = await tx.tuples(
                "select content ->> 'text' from messages where account_id = %(id)s order by seq", id=shop.account
            )
        return [row[0] for row in rows]

    async def account(self, shop: Shop) -> dict[str, Any]:
        async with self.db.fleet_tx() as tx:
            rows = await tx.tuples(
                "select provider, state, reason, last_call_at, call_refused from accounts a "
                "left join activity v on v.account_id = a.id where id = %(id)s",
                id=shop.account,
            )
        return dict(zip(("provider", "state", "reason", "called", "refused"), rows[0], strict=True))


@asynccontextmanager
async def taking(db: Db, *, calls: Mapping[str, Any] | None = None) -> AsyncGenerator[Taking]:
    """Run one."""
    clock = ManualClock()
    callees = Callees(db, clock=clock, secrets=PlainSealer())
    inbox = Inbox(db, woken=lambda: None)
    taken: list[tuple[AccountId, Receipt]] = []
    changed: list[AccountId] = []
    signs = Signs(db, changed=changed.extend)

    def receipt(account: AccountId, one: Receipt) -> "asyncio.Future[bool]":
        taken.append((account, one))
        done: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        done.set_result(True)
        return done

    def sign(account: AccountId, transport: str, one: Sign) -> "asyncio.Future[bool]":
        return signs.batch.put(Said(account, transport, one))

    takers = Takers(inbox.accept, receipt, sign, inbox.__len__)
    hooks = Hooks(calls=calls or {KIND: Network()}, callees=callees, takers=takers, public_url=PUBLIC)
    running: Sequence[asyncio.Task[None]] = [
        asyncio.create_task(one) for one in (inbox.run(), signs.batch.run(), callees.batch.run())
    ]
    yield Taking(db, hooks, callees, clock, taken, changed)
    for task in running:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

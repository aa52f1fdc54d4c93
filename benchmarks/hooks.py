"""How many webhooks of providers one node takes, each signed, read, committed and answered; and how long each takes.

Half are Twilio's forms and half are posts of Meta with one message each. The caller is a bare client with connections
that stay open, on this machine as well.
"""

import asyncio
import base64
import hashlib
import hmac
import json
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from itertools import cycle
from typing import Final, NamedTuple, cast
from urllib.parse import urlencode

from benchmarks import inbox
from benchmarks.figures import Figure, percentile
from benchmarks.place import Place, bare, cpu, open_place, until
from wafleet.domain.ids import AccountId, TenantId, new_id
from wafleet.engine.secrets import load_or_create_key, open_secrets

ACCOUNTS, AT_ONCE = 100, 128
PUBLIC: Final = "https://fleet.example.com"
TOKEN: Final = "an auth token of a benchmark"
TARGET, P99_MS = 3000, 50
WORDS: Final = "Is the flat in Al Olaya still available on Tuesday at five?"


class Account(NamedTuple):
    id: AccountId
    transport: str
    phone: str


class Run(NamedTuple):
    """What calling came to."""

    took: float
    waits: list[float]  # seconds, from when a call was due until its answer


async def measure(*, quick: bool) -> list[Figure]:
    """Measure as fast as it goes, then at half the target, then the least that could do the work."""
    total = 6_000 if quick else 24_000
    async with open_place() as place:
        accounts = await _seed(place)
        place.settings["WAFLEET_PUBLIC_URL"] = PUBLIC
        async with place.node() as node:
            await _call(node.url, _calls(accounts, 0, 2_000))  # warms connections and plans
            before = cpu(node.process), place.postgres_cpu()
            fast = await _call(node.url, _calls(accounts, 2_000, total))
            spent = cpu(node.process) - before[0], place.postgres_cpu() - before[1]
            paced = await _call(node.url, _calls(accounts, 2_000 + total, total // 2), per_s=TARGET / 2)
            stored = await until(_counter(place), lambda n: n >= 2_000 + total + total // 2)
        async with bare("echo", place.dsn) as (_, port):
            limit = await _call(f"http://127.0.0.1:{port}", _calls(accounts, 0, total), path="/keep")
        raw = await _raw(place, total)
    assert stored == 2_000 + total + total // 2, stored
    notes = [
        f"{total:,} calls, {AT_ONCE} at a time, {ACCOUNTS} accounts",
        f"raw inserts of the messages alone, {inbox.MOST} to a commit: {raw:,.0f}/s",
        f"CPU per call: wafleet {spent[0] / total * 1e6:.0f} us, PostgreSQL {spent[1] / total * 1e6:.0f} us",
        f"{stored:,} called, {stored:,} stored",
    ]
    return [
        Figure(
            name="webhooks taken",
            value=total / fast.took,
            unit="calls/s",
            limit=total / limit.took,
            limit_is="a bare HTTP server reads the same calls and answers, nothing stored",
            target=TARGET,
            least=True,
            notes=notes,
        ),
        Figure(
            name=f"webhooks at {TARGET / 2:,.0f}/s, p99",
            value=percentile(paced.waits, 0.99) * 1000,
            unit="ms",
            target=P99_MS,
            notes=[f"p50 {percentile(paced.waits, 0.5) * 1000:.1f} ms"],
        ),
    ]


def _counter(place: Place) -> Callable[[], Awaitable[int]]:
    async def stored() -> int:
        return await place.count("select count(*) from messages where direction = 'in'")

    return stored


async def _seed(place: Place) -> list[Account]:
    """Add accounts that are called, and open no sessions."""
    accounts = [
        Account(AccountId(new_id()), "meta" if nr % 2 else "twilio", f"+9665{nr:08d}") for nr in range(ACCOUNTS)
    ]
    secrets = await open_secrets(place.db, load_or_create_key(place.folder))
    keys = {
        "twilio": json.dumps({"accountSid": "AC" + "0" * 32, "authToken": TOKEN}).encode(),
        "meta": json.dumps({"accessToken": TOKEN, "appSecret": TOKEN, "verifyToken": TOKEN}).encode(),
    }
    async with place.db.fleet_tx() as tx:
        for one in accounts:
            await tx.run(
                """
                insert into accounts (id, tenant_id, name, phone, transport, desired, state, reason, credentials,
                                      settings)
                values (%(id)s, %(tenant)s, %(phone)s, %(phone)s, %(kind)s, 'stopped', 'disabled', '', %(keys)s,
                        jsonb_build_object(%(kind)s::text, %(own)s::jsonb))
                """,
                id=one.id,
                tenant=place.tenant,
                phone=one.phone,
                kind=one.transport,
                keys=secrets.encrypt(keys[one.transport], about=one.id.bytes),
                own=json.dumps({"phone_number_id": one.phone[1:]} if one.transport == "meta" else {}),
            )
    return accounts


def _calls(accounts: Sequence[Account], first: int, total: int) -> list[bytes]:
    """Write calls as they go over the wire, {path} standing for the beginning of their address."""
    return [_write(account, nr) for account, nr in zip(cycle(accounts), range(first, first + total), strict=False)]


def _write(account: Account, nr: int) -> bytes:
    path = f"/hooks/{account.transport}/{account.id}"
    if account.transport == "meta":
        body = _post(account, nr)
        name, kind = "X-Hub-Signature-256", "application/json"
        proof = "sha256=" + hmac.new(TOKEN.encode(), body, hashlib.sha256).hexdigest()
    else:
        form = _form(account, nr)
        body, kind = urlencode(form).encode(), "application/x-www-form-urlencoded"
        text = PUBLIC + path + "".join(key + form[key] for key in sorted(form))
        name = "X-Twilio-Signature"
        proof = base64.b64encode(hmac.new(TOKEN.encode(), text.encode(), hashlib.sha1).digest()).decode()
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\n{name}: {proof}\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def _form(account: Account, nr: int) -> dict[str, str]:
    sid, customer = f"SM{nr:032x}", f"44770{nr % 4000:07d}"
    return {
        "SmsMessageSid": sid, "NumMedia": "0", "ProfileName": "Customer", "MessageType": "text", "SmsSid": sid,
        "WaId": customer, "SmsStatus": "received", "Body": WORDS, "To": f"whatsapp:{account.phone}",
        "NumSegments": "1", "ReferralNumMedia": "0", "MessageSid": sid, "AccountSid": "AC" + "0" * 32,
        "From": f"whatsapp:+{customer}", "ApiVersion": "2010-04-01",
    }  # fmt: skip


def _post(account: Account, nr: int) -> bytes:
    customer = f"44770{nr % 4000:07d}"
    message = {
        "from": customer, "id": f"wamid.{nr:040x}", "timestamp": str(int(time.time())), "type": "text",
        "text": {"body": WORDS},
    }  # fmt: skip
    value = {
        "messaging_product": "whatsapp",
        "metadata": {"display_phone_number": account.phone[1:], "phone_number_id": account.phone[1:]},
        "contacts": [{"profile": {"name": "Customer"}, "wa_id": customer}],
        "messages": [message],
    }
    change = {"id": "102290129340398", "changes": [{"value": value, "field": "messages"}]}
    return json.dumps({"object": "whatsapp_business_account", "entry": [change]}).encode()


class _Line(asyncio.Protocol):
    """One connection; an answer is done once all it announced is here."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._got, self._done = b"", asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    async def ask(self, call: bytes) -> None:
        """Send a call and wait for its answer. Raises AssertionError unless that is 200."""
        assert self._transport is not None
        self._got, self._done = b"", asyncio.get_running_loop().create_future()
        self._transport.write(call)
        answer = await self._done
        assert answer.startswith(b"HTTP/1.1 200"), answer

    def data_received(self, data: bytes) -> None:
        self._got += data
        head, end, body = self._got.partition(b"\r\n\r\n")
        length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
        whole = body.endswith(b"0\r\n\r\n") if b"chunked" in head else len(body) >= int(length or b"0")
        if end and whole and not self._done.done():
            self._done.set_result(self._got)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._done.done():
            self._done.set_exception(exc or ConnectionError("the server hung up"))
            self._done.exception()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()


async def _call(url: str, calls: list[bytes], *, per_s: float | None = None, path: str = "") -> Run:
    """Make calls, as fast as they are answered or at an even rate; each counts from when it was due."""
    loop, (host, _, port) = asyncio.get_running_loop(), url.rpartition("//")[2].partition(":")
    lines = [(await loop.create_connection(_Line, host, int(port)))[1] for _ in range(AT_ONCE)]
    if path:
        calls = [b"POST " + path.encode() + call[call.index(b" HTTP/1.1") :] for call in calls]
    left, waits, began = iter(enumerate(calls)), list[float](), time.perf_counter()

    async def some(line: _Line) -> None:
        for nr, call in left:
            due = began + nr / per_s if per_s else time.perf_counter()
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            await line.ask(call)
            waits.append(time.perf_counter() - due)

    async with asyncio.TaskGroup() as tasks:
        for line in lines:
            tasks.create_task(some(line))
    took = time.perf_counter() - began
    for line in lines:
        line.close()
    return Run(took, waits)


async def _raw(place: Place, total: int) -> float:
    ids = [AccountId(new_id()) for _ in range(ACCOUNTS)]
    tenant = TenantId(new_id())
    async with place.db.fleet_tx() as tx:
        await tx.run("insert into tenants (id, name) values (%(id)s, 'raw')", id=tenant)
        await tx.run(
            """
            insert into accounts (id, tenant_id, name, phone, transport)
            select id, %(tenant)s, 'r' || nr, '+97155' || nr + 1000000, 'simulator'
              from unnest(%(ids)s::uuid[]) with ordinality as a (id, nr)
            """,
            tenant=tenant,
            ids=ids,
        )
    return await inbox.raw_per_second(place.db, tenant, ids, inbox.talk(random.Random(7), 10_000_000, total))

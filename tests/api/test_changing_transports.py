"""Numbers in gateways and on linked devices, over HTTP: linked, unlinked, and moved to where a provider holds them."""

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.emulator.rig import CUSTOMER, PHONE
from tests.tenants.houses import ADMIN
from tests.transports.device.parts import on_an_emulator
from tests.transports.heard import QUICK

from wafleet.app import App, open_app
from wafleet.clientlib import Unusable, find
from wafleet.config import Settings
from wafleet.simulator.local import Local
from wafleet.simulator.orders import Say
from wafleet.simulator.standins.gateway.api import listening
from wafleet.simulator.standins.gateway.hooks import signature
from wafleet.simulator.standins.gateway.service import Gateway as Standin
from wafleet.simulator.wire import Wire
from wafleet.simulator.world import World
from wafleet.tenants import Scope
from wafleet.transports.base import Transport
from wafleet.transports.device import files
from wafleet.transports.gateway import Gateway
from wafleet.transports.twilio import Twilio

API_KEY, HMAC_KEY, TOKEN = (
    "gateway-key-nobody-may-see-0001",
    "hmac-key-nobody-may-see-0002",
    "token-nobody-may-see-0003",
)
KEYS = {"apiKey": API_KEY, "hmacKey": HMAC_KEY}
AT_TWILIO = {"transport": "twilio", "credentials": {"accountSid": "AC" + "1" * 32, "authToken": TOKEN}}
try:
    find()
except Unusable as missing:
    lacking = str(missing)
else:
    lacking = ""


@dataclass
class Office:
    """A wafleet, and somebody of one tenant who asks it."""

    app: App
    http: httpx.AsyncClient

    async def added(self, transport: str, **more: Any) -> str:
        body = {"name": "Desk", "phone": PHONE, "transport": transport, **more}
        answer = await self.http.post("/accounts", json=body)
        assert answer.status_code == 201, answer.text
        return f"/accounts/{answer.json()['id']}"

    async def asked(self, path: str, **body: Any) -> dict[str, Any]:
        answer = await self.http.post(path, json=body)
        assert answer.is_success, answer.text
        return answer.json()

    async def until(self, path: str, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        async with asyncio.timeout(60):
            while True:
                seen = (await self.http.get(path)).json()
                if wanted(seen):
                    return seen
                await asyncio.sleep(0.05)

    async def in_state(self, account: str, state: str, reason: str = "") -> dict[str, Any]:
        return await self.until(account, lambda seen: (seen["state"], seen["reason"]) == (state, reason))


@asynccontextmanager
async def serving(dsn: str, folder: Path, **transports: Transport) -> AsyncGenerator[Office]:
    async with open_app(Settings(data_dir=folder, database_url=dsn), transports=transports) as app:
        tenant = await app.slices.tenants.create(ADMIN, "Office")
        made = await app.slices.tenants.tokens.make(ADMIN, name="t", tenant=tenant.id, scopes=[*Scope])
        headers = {"Authorization": f"Bearer {made.secret}"}
        transport = httpx.ASGITransport(app.http)
        async with httpx.AsyncClient(transport=transport, base_url="http://wafleet/api/v1", headers=headers) as http:
            yield Office(app, http)


def provider(request: httpx.Request) -> httpx.Response:
    return httpx.Response(200, json={"sid": "AC" + "1" * 32, "status": "active"})


def twilio() -> Twilio:
    return Twilio(http=httpx.AsyncClient(transport=httpx.MockTransport(provider)))


# --- in a gateway


@pytest.fixture
def world() -> World:
    return World(seed=1, manners=QUICK)


@pytest.fixture
async def office(dsn: str, tmp_path: Path, world: World) -> AsyncIterator[Office]:
    async def connect() -> Wire:
        return Local(world)

    async with (
        listening(Standin(connect, api_key=API_KEY, answer_s=2.0)) as base,
        Gateway(base, answer_s=5, open_s=5, look_s=0.02) as gateway,
        twilio() as elsewhere,
        serving(dsn, tmp_path, gateway=gateway, twilio=elsewhere) as office,
    ):
        yield office


async def linked(office: Office, world: World, account: str) -> None:
    """Scan the code that is shown, as the account's phone would."""
    shown = await office.until(f"{account}/link", lambda seen: bool(seen.get("qr") and seen.get("code")))
    world.linking.scan(PHONE, qr=shown["qr"])
    await office.in_state(account, "online")


async def test_unlinking_logs_the_phone_out_at_the_gateway_and_keeps_the_key_that_was_entered(
    office: Office, world: World
) -> None:
    account = await office.added("gateway", credentials=KEYS, settings={"gateway": {"session": "desk"}})
    await office.asked(f"{account}/link", again=True)
    await linked(office, world, account)
    gone = await office.asked(f"{account}/unlink")
    assert (gone["state"], gone["reason"], gone["linked"]) == ("logged_out", "unlinked", False)
    assert gone["credentials_hint"]
    await office.until(account, lambda seen: seen["detail"] == "")
    assert world.account(PHONE).credentials is None
    assert (await office.http.post(f"{account}/unlink")).json()["code"] == "not_linked"
    await office.asked(f"{account}/link")  # without the key, which is still there
    await linked(office, world, account)


async def test_a_passkey_that_the_phone_asks_for_is_said_with_what_to_do(office: Office, world: World) -> None:
    world.linking.passkey = True
    account = await office.added("gateway", credentials=KEYS, settings={"gateway": {"session": "desk"}})
    await office.asked(f"{account}/link", again=True)
    shown = await office.until(f"{account}/link", lambda seen: bool(seen.get("qr")))
    world.linking.scan(PHONE, qr=shown["qr"])
    ended = await office.in_state(account, "logged_out", "passkey")
    assert "the gateway's own dashboard" in ended["detail"]


async def test_a_gateway_that_a_number_has_left_says_nothing_of_it_any_more(office: Office, world: World) -> None:
    account = await office.added("gateway", credentials=KEYS, settings={"gateway": {"session": "desk"}})
    await office.asked(f"{account}/link", again=True)
    await linked(office, world, account)
    await office.asked(f"{account}/move", **AT_TWILIO)
    before = await office.in_state(account, "online")
    said = {"event": "session.status", "session": "desk", "payload": {"status": "SCAN_QR_CODE"}}
    body = json.dumps(said).encode()
    headers = {"content-type": "application/json", "X-Webhook-Hmac": signature(HMAC_KEY, body)}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(office.app.http), base_url="http://wafleet") as http:
        path = f"/hooks/gateway/{account.rpartition('/')[2]}"
        assert (await http.post(path, content=body, headers=headers)).status_code == 200
    after = (await office.http.get(account)).json()
    assert (after["state"], after["reason"], after["provider"]) == ("online", "", before["provider"])
    async with office.app.engine.db.fleet_tx() as tx:
        assert not await tx.tuples("select data from events where kind = 'account.status'")


async def test_secrets_of_a_number_that_moves_are_in_no_answer_event_log_line_or_audit_entry(
    office: Office, world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    account = await office.added("gateway", credentials=KEYS, settings={"gateway": {"session": "desk"}})
    await office.asked(f"{account}/link", again=True)
    await linked(office, world, account)
    wrong = await office.http.post(f"{account}/move", json=AT_TWILIO | {"credentials": {"authToken": f"{TOKEN}\n"}})
    seen = [wrong.text, json.dumps(await office.asked(f"{account}/move", **AT_TWILIO))]
    await office.in_state(account, "online")
    for path in (account, "/accounts", f"{account}/webhook", "/audit"):
        seen.append((await office.http.get(path)).text)
    async with office.app.engine.db.fleet_tx() as tx:
        for table in ("events", "audit", "accounts", "activity", "retired_credentials"):
            rows = await tx.tuples(f"select to_jsonb(t)::text from {table} t")  # type: ignore[arg-type]
            seen += [row[0] for row in rows]
    whole = json.dumps(seen) + caplog.text
    assert "account.moved" in whole
    for secret in (API_KEY, HMAC_KEY, TOKEN):
        assert secret not in whole
        assert secret.encode().hex() not in whole


# --- on a linked device


@pytest.mark.skipif(bool(lacking), reason=lacking)
async def test_a_linked_device_that_moves_keeps_its_talks_and_leaves_no_keys_on_the_disk(
    dsn: str, tmp_path: Path
) -> None:
    async with (
        on_an_emulator(tmp_path) as (emulator, device),
        twilio() as elsewhere,
        serving(dsn, tmp_path / "home", device=device, twilio=elsewhere) as office,
    ):
        account = await office.added("device")
        await office.asked(f"{account}/link")
        shown = await office.until(f"{account}/link", lambda seen: bool(seen.get("qr")))
        emulator.phones.scan(PHONE, shown["qr"])
        await office.in_state(account, "online")
        emulator.world.say(Say(customer=CUSTOMER, account=PHONE, text="hello"))
        talks = f"/messages?account={account.rpartition('/')[2]}"
        before = await office.until(talks, lambda seen: bool(seen["items"]))
        assert device.left()

        moved = await office.asked(f"{account}/move", **AT_TWILIO)
        assert any("Linked devices" in note for note in moved["notes"])
        await office.in_state(account, "online")
        assert (await office.http.get(talks)).json()["items"] == before["items"]
        await office.until(account, lambda _: not (tmp_path / "devices" / account.rpartition("/")[2]).exists())
        await _kept_encrypted(office)


async def _kept_encrypted(office: Office) -> None:
    async with office.app.engine.db.fleet_tx() as tx:
        ((id, stored, why, was),) = await tx.tuples(
            "select account_id, credentials, reason, transport from retired_credentials"
        )
        actions = [row[0] for row in await tx.tuples("select action from audit order by id")]
    assert (why, was) == ("moved", "device")
    assert not stored.startswith(b"wafleet")
    assert files.header(office.app.engine.secrets.decrypt(stored, about=id.bytes))
    assert "account.moved" in actions

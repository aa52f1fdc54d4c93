"""Queueing messages over HTTP, in a whole wafleet on the simulated network."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from wafleet.accounts import Account, Fields
from wafleet.app import App, open_app
from wafleet.config import Settings
from wafleet.simulator.manners import INSTANT
from wafleet.simulator.orders import Say
from wafleet.simulator.world import World
from wafleet.tenants import EVERYTHING, Caller, Scope
from wafleet.transports.simulated import Simulated

PHONE, OTHER, CUSTOMER = "+971501110001", "+971501110002", "+971550000001"
LOCAL = Caller.local("test")


@dataclass
class Office:
    """A wafleet with two numbers of one tenant and one of another."""

    app: App
    world: World
    first: Account
    second: Account
    foreign: Account
    http: httpx.AsyncClient

    async def send(self, body: dict[str, Any], **headers: str) -> httpx.Response:
        return await self.http.post("/messages", json={"to": CUSTOMER} | body, headers=headers)

    async def message(self, id: str) -> dict[str, Any]:
        return (await self.http.get(f"/messages/{id}")).json()


@pytest.fixture
async def office(dsn: str, tmp_path: Path) -> AsyncIterator[Office]:
    world = World(seed=1, manners=INSTANT)
    settings = Settings(data_dir=tmp_path, database_url=dsn)
    async with open_app(settings, transports={"simulator": Simulated.within(world)}) as app:
        first = await _account(app, "Sharq", "Sales", PHONE, "sales")
        second = await _account(app, "Sharq", "Reception", OTHER, "primary")
        foreign = await _account(app, "Grill", "Grill", "+966551110001", "primary")
        async with await _client(app, "Sharq") as http:
            yield Office(app, world, first, second, foreign, http)


async def _account(app: App, tenant: str, name: str, phone: str, role: str) -> Account:
    owner = await app.slices.tenants.ensure(LOCAL, tenant)
    return await app.slices.accounts.create(
        LOCAL, Fields(name=name, phone=phone, transport="simulator", role=role), tenant=owner.id
    )


async def _client(app: App, tenant: str, scopes: list[Scope] | None = None) -> httpx.AsyncClient:
    owner = await app.slices.tenants.ensure(LOCAL, tenant)
    made = await app.slices.tenants.tokens.make(LOCAL, name="t", tenant=owner.id, scopes=scopes or sorted(EVERYTHING))
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(app.http),
        base_url="http://wafleet/api/v1",
        headers={"Authorization": f"Bearer {made.secret}"},
    )


async def test_a_queued_message_says_who_speaks_and_why_it_waits(office: Office) -> None:
    answer = await office.send({"text": "hello"})
    assert answer.status_code == 202
    told = answer.json()
    assert (told["state"], told["account"]) == ("queued", str(office.second.id))
    assert "Reception speaks: this is the tenant's primary account." in told["why"]
    assert "the account is new" in told["why"]
    assert (await office.message(told["id"]))["why"].startswith("Waiting: the account is new since")


async def test_a_named_account_speaks_and_then_the_one_of_the_last_conversation(office: Office) -> None:
    named = (await office.send({"text": "hello", "account": str(office.first.id)})).json()
    assert "Sales speaks: this account was asked for." in named["why"]
    again = (await office.send({"text": "and again"})).json()
    assert again["account"] == str(office.first.id)
    assert "their last conversation was with this account" in again["why"]


async def test_the_same_key_names_the_same_message_even_when_many_ask_at_once(office: Office) -> None:
    key = {"Idempotency-Key": "order-4711"}
    answers = await asyncio.gather(*(office.send({"text": "once"}, **key) for _ in range(8)))
    assert {one.status_code for one in answers} == {202}
    assert len({one.json()["id"] for one in answers}) == 1
    clash = await office.send({"text": "something else"}, **key)
    assert (clash.status_code, clash.json()["code"]) == (409, "key_reused")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"text": "x", "to": "nobody"}, "to"),
        ({"text": "   "}, "text"),
        ({"text": "x" * 4097}, "text"),
        ({}, "text"),
        ({"text": "x", "content": {"type": "text", "text": "x"}}, "text"),
        ({"content": {"type": "telepathy"}}, "content"),
        ({"content": {"type": "unsupported", "raw": {}}}, "content"),
        ({"text": "x", "priority": "urgent"}, "priority"),
        ({"text": "x", "due_at": "tomorrow"}, "due_at"),
        ({"text": "x", "colour": "red"}, "colour"),
        ({"text": 5}, "text"),
    ],
)
async def test_bad_input_names_its_field_and_queues_nothing(office: Office, body: dict[str, Any], field: str) -> None:
    answer = await office.send(body)
    assert answer.status_code == 422
    assert field in answer.text
    assert (await office.http.get("/messages")).json()["items"] == []


async def test_a_foreign_or_unknown_account_does_not_exist(office: Office) -> None:
    for id in (office.foreign.id, uuid4()):
        answer = await office.send({"text": "x", "account": str(id)})
        assert (answer.status_code, answer.json()["code"]) == (404, "account_not_found")
        assert (
            await office.http.post(f"/accounts/{id}/messages", json={"to": CUSTOMER, "text": "x"})
        ).status_code == 404


async def test_reading_alone_does_not_permit_sending(office: Office) -> None:
    async with await _client(office.app, "Sharq", [Scope.READ]) as reader:
        assert (await reader.post("/messages", json={"to": CUSTOMER, "text": "x"})).status_code == 403


async def test_a_scheduled_message_waits_can_be_cancelled_and_cancelling_again_changes_nothing(office: Office) -> None:
    due = (datetime.now(UTC) + timedelta(hours=2)).isoformat()
    told = (await office.send({"text": "later", "due_at": due})).json()
    assert told["why"].startswith("Scheduled for ")
    cancel = f"/messages/{told['id']}/cancel"
    for _ in range(2):
        assert (await office.http.post(cancel)).json() == {"state": "cancelled"}
    assert (await office.http.post(f"/messages/{uuid4()}/cancel")).status_code == 404
    async with await _client(office.app, "Grill") as stranger:
        assert (await stranger.post(cancel)).status_code == 404


async def test_texts_that_look_like_code_go_out_and_come_back_as_text(office: Office) -> None:
    text = "'); drop table messages;-- <script>alert(1)</script> \u202e\U0001f600 سلام"
    told = (await office.send({"text": text})).json()
    assert (await office.message(told["id"]))["content"] == {"type": "text", "text": text}


async def test_linked_over_http_a_number_sends_and_is_answered(office: Office) -> None:
    """The whole way: link by QR, send, be delivered, be written to, be read."""
    link = f"/accounts/{office.second.id}/link"
    assert (await office.http.post(link)).status_code in {200, 202}
    await _until(office, link, _shows_a_code)
    office.world.linking.scan(OTHER)
    await _until(office, f"/accounts/{office.second.id}", lambda seen: seen["state"] == "online")
    told = (await office.send({"text": "is it open?"})).json()
    await _until(office, f"/messages/{told['id']}", lambda seen: seen["state"] in {"delivered", "read"})
    office.world.say(Say(customer=CUSTOMER, account=OTHER, text="yes, until six"))
    await _until(office, "/messages?direction=in", lambda seen: len(seen["items"]) == 1)
    ledger = await _until(office, "/ledger", lambda seen: seen["balanced"] and seen["totals"]["handled"] == 1)
    assert ledger["totals"]["sent"] == 1


def _shows_a_code(seen: dict[str, Any]) -> bool:
    return bool(seen.get("qr"))


async def _until(office: Office, path: str, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    seen: dict[str, Any] = {}
    async with asyncio.timeout(10):
        while not (seen and wanted(seen)):
            await asyncio.sleep(0.05)
            seen = (await office.http.get(path)).json()
    return seen

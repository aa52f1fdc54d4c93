"""Queueing messages over HTTP, in a whole wafleet on the simulated network."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from tests.outbox.offices import CUSTOMER, OTHER, Office, new_client

from wafleet.simulator.orders import Say
from wafleet.tenants import Scope


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
    async with await new_client(office.app, "Sharq", [Scope.READ]) as reader:
        assert (await reader.post("/messages", json={"to": CUSTOMER, "text": "x"})).status_code == 403


async def test_a_scheduled_message_waits_can_be_cancelled_and_cancelling_again_changes_nothing(office: Office) -> None:
    due = (datetime.now(UTC) + timedelta(hours=2)).isoformat()
    told = (await office.send({"text": "later", "due_at": due})).json()
    assert told["why"].startswith("Scheduled for ")
    cancel = f"/messages/{told['id']}/cancel"
    for _ in range(2):
        assert (await office.http.post(cancel)).json() == {"state": "cancelled"}
    assert (await office.http.post(f"/messages/{uuid4()}/cancel")).status_code == 404
    async with await new_client(office.app, "Grill") as stranger:
        assert (await stranger.post(cancel)).status_code == 404


async def test_texts_that_look_like_code_go_out_and_come_back_as_text(office: Office) -> None:
    text = "'); drop table messages;-- <script>alert(1)</script> \u202e\U0001f600 سلام"
    told = (await office.send({"text": text})).json()
    assert (await office.message(told["id"]))["content"] == {"type": "text", "text": text}


async def test_linked_over_http_a_number_sends_and_is_answered(office: Office) -> None:
    """The whole way: link by QR, send, be delivered, be written to, be read."""
    link = f"/accounts/{office.second.id}/link"
    assert (await office.http.post(link)).status_code in {200, 202}
    await office.until(link, _shows_a_code)
    office.world.linking.scan(OTHER)
    await office.until(f"/accounts/{office.second.id}", lambda seen: seen["state"] == "online")
    told = (await office.send({"text": "is it open?"})).json()
    await office.until(f"/messages/{told['id']}", lambda seen: seen["state"] in {"delivered", "read"})
    office.world.say(Say(customer=CUSTOMER, account=OTHER, text="yes, until six"))
    await office.until("/messages?direction=in", lambda seen: len(seen["items"]) == 1)
    ledger = await office.until("/ledger", lambda seen: seen["balanced"] and seen["totals"]["handled"] == 1)
    assert ledger["totals"]["sent"] == 1


def _shows_a_code(seen: dict[str, Any]) -> bool:
    return bool(seen.get("qr"))

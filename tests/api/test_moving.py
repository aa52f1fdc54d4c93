"""Numbers that move while they are at work: what was under way, what waits, and what comes late."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from tests.api.test_providers import FORM, TOKEN, Place, opened, registered

from wafleet.domain.ids import new_id

PHONE, CUSTOMER = "+14155238886", "+447700900001"
AT_TWILIO = {
    "transport": "twilio",
    "settings": {"twilio": {"sender_sid": FORM["senderSid"]}},
    "credentials": {"accountSid": FORM["accountSid"], "authToken": TOKEN},
}


@pytest.fixture
async def place(dsn: str, tmp_path: Path) -> AsyncIterator[Place]:
    async with opened(dsn, tmp_path) as place:
        yield place


async def moved(place: Place, id: str, **body: Any) -> dict[str, Any]:
    answer = await place.http.post(f"/api/v1/accounts/{id}/move", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def linked(place: Place, id: str) -> None:
    await place.http.post(f"/api/v1/accounts/{id}/link")
    await place.until(id, "linking")
    async with asyncio.timeout(20):
        while True:
            shown = (await place.http.get(f"/api/v1/accounts/{id}/link")).json()
            if shown.get("qr"):
                break
            await asyncio.sleep(0.05)
    place.world.linking.scan(PHONE, qr=shown["qr"])
    await place.until(id, "online")


async def test_what_was_on_the_wire_when_its_account_moved_is_not_sent_on_the_new_network(place: Place) -> None:
    id = await registered(place)
    await place.until(id, "online")
    await place.called(id, TOKEN, Body="are you open?")
    message = await place.said(id, "we are")  # Twilio gives no answer to it
    await place.message(message, "sending")
    await moved(place, id, transport="simulator")
    await linked(place, id)
    seen = await place.message(message, "unknown")
    assert seen["reason"] == "no_answer"
    assert place.world.ledger(PHONE)[0].sent == 0
    receipt = {"MessageStatus": "delivered", "MessageSid": "SM7"}  # the former network's, late
    assert (await place.called(id, TOKEN, about=f"/{message}", **receipt)).status_code == 200
    assert (await place.message(message, "delivered"))["provider_id"] == "SM7"


async def test_the_new_network_is_not_asked_about_what_the_former_one_took(place: Place) -> None:
    id = await registered(place)
    await place.until(id, "online")
    await place.called(id, TOKEN, Body="hi")
    at = format_datetime(datetime.now(UTC) + timedelta(seconds=1))
    place.twilio.listed = [{"sid": "SM7", "to": f"whatsapp:{CUSTOMER}", "body": "dinner?", "date_created": at}]
    message = await place.said(id, "dinner?")
    await place.message(message, "sent")
    await moved(place, id, transport="simulator")
    await linked(place, id)
    assert (await place.http.get(f"/api/v1/messages/{message}")).json()["state"] == "sent"


async def test_a_move_says_beforehand_what_it_means_for_people_and_for_what_waits(place: Place) -> None:
    made = {"name": "Desk", "phone": PHONE, "transport": "simulator"}
    id = (await place.http.post("/api/v1/accounts", json=made)).json()["id"]
    late = (datetime.now(UTC) + timedelta(days=2)).isoformat()
    card = {"type": "contact", "name": "Ada", "phone": "+447700900009"}
    template = {"type": "template", "name": "HX" + "0" * 32}
    for to, more in (
        (CUSTOMER, {"text": "wrote lately"}),
        (CUSTOMER, {"text": "due too late", "due_at": late}),
        ("+447700900002", {"text": "never wrote"}),
        ("+447700900002", {"content": template}),
        (CUSTOMER, {"content": card}),
    ):
        answer = await place.http.post(f"/api/v1/accounts/{id}/messages", json={"to": to} | more)
        assert answer.status_code == 202, answer.text
    async with place.app.engine.db.fleet_tx() as tx:
        await tx.run("update conversations set last_inbound_at = now() where identity = %(to)s", to=CUSTOMER)
        await tx.run(
            """
            insert into conversations (id, tenant_id, account_id, identity)
            select %(id)s, tenant_id, id, 'lid:77' from accounts
            """,
            id=new_id(),
        )
    for told in (await moved(place, id, transport="twilio", dry_run=True), await moved(place, id, **AT_TWILIO)):
        assert (told["unknown_people"], told["some_unknown"]) == (1, ["lid:77"])
        assert told["unsendable"] == 3
        assert "1 conversation is with people whose phone is hidden" in told["notes"][0]
        assert "cannot send 1 of kind contact" in told["notes"][1]
        assert "2 will fail" in told["notes"][2]

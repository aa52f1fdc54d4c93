"""Numbers that move while they are at work: what was under way, what waits, and what comes late."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from tests.api.test_providers import FORM, TOKEN, Place, opened, registered

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

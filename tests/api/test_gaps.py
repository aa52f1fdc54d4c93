"""What customers wrote while a provider's calls did not get through."""

import asyncio
from pathlib import Path
from typing import Any

from tests.api.test_changing_transports import Office, serving
from tests.media.files import PNG
from tests.transports.heard import QUICK

from wafleet.accounts import Fields
from wafleet.simulator.local import Local
from wafleet.simulator.orders import Say
from wafleet.simulator.standins.twilio.api import listening
from wafleet.simulator.standins.twilio.service import Twilio as Standin
from wafleet.simulator.wire import Wire
from wafleet.simulator.world import World
from wafleet.tenants import Caller
from wafleet.transports.twilio import Twilio

SID, TOKEN = "AC" + "1" * 32, "a token that is only for tests"
PHONE, CUSTOMER = "+14155238886", "+447700900001"
NOWHERE = {"callback_url": "http://127.0.0.1:9/hooks"}


async def test_what_a_provider_could_not_tell_is_in_the_inbox_after_the_session_opens_again(
    dsn: str, tmp_path: Path
) -> None:
    world = World(seed=1, manners=QUICK)

    async def connect() -> Wire:
        return Local(world)

    standin = Standin(connect, account_sid=SID, auth_token=TOKEN)
    async with listening(standin) as base, Twilio() as twilio, serving(dsn, tmp_path, twilio=twilio) as office:
        standin.add(PHONE, webhook=NOWHERE)
        await standin.numbers.online(PHONE)
        account = await _added(office, base)
        picture = {"id": standin.files.put(PNG), "mime": "image/png", "size": len(PNG)}
        world.say(Say(customer=CUSTOMER, account=PHONE, text="are you open?"))
        world.say(
            Say(
                customer=CUSTOMER,
                account=PHONE,
                text="",
                body={"type": "image", "media": picture, "caption": "this one"},
            )
        )
        await _taken(standin, 2)
        messages = f"/messages?account={account.rpartition('/')[2]}"
        assert (await office.http.get(messages)).json()["items"] == []

        await _reopened(office, account)
        seen = await office.until(messages, lambda seen: len(seen["items"]) == 2 and _whole(seen["items"][0]))
        assert [one["content"]["type"] for one in seen["items"]] == ["image", "text"]
        assert (seen["items"][0]["content"]["caption"], seen["items"][1]["content"]["text"]) == (
            "this one",
            "are you open?",
        )

        world.say(Say(customer=CUSTOMER, account=PHONE, text="hello?"))
        await _taken(standin, 3)
        await _reopened(office, account)
        await office.until(messages, lambda seen: seen["items"][0]["content"].get("text") == "hello?")
        assert len((await office.http.get(messages)).json()["items"]) == 3
        async with office.app.engine.db.fleet_tx() as tx:
            tallies = dict(await tx.tuples("select counter, sum(n)::int from tallies group by 1"))
        assert (tallies["received"], tallies.get("repeated")) == (3, None)


async def _added(office: Office, base: str) -> str:
    fields = Fields(
        name="Desk",
        phone=PHONE,
        transport="twilio",
        settings={"twilio": {"url": base}},
        credentials=f'{{"accountSid": "{SID}", "authToken": "{TOKEN}"}}',
    )
    caller = Caller.local("test")
    tenant = await office.app.slices.tenants.ensure(caller, "Office")
    made = await office.app.slices.accounts.create(caller, fields, tenant=tenant.id)
    await office.in_state(f"/accounts/{made.id}", "online")
    return f"/accounts/{made.id}"


async def _taken(standin: Standin, n: int) -> None:
    """Wait until the provider has so many messages of customers."""
    async with asyncio.timeout(20):
        while True:
            if len(list(standin.book.newest({"To": f"whatsapp:{PHONE}"}))) == n:
                return
            await asyncio.sleep(0.02)


async def _reopened(office: Office, account: str) -> None:
    before = (await office.http.get(account)).json()["state_since"]
    await office.asked(f"{account}/reconnect")
    await office.until(account, lambda seen: seen["state"] == "online" and seen["state_since"] != before)


def _whole(message: dict[str, Any]) -> bool:
    return bool(message["content"].get("media", {}).get("id"))

"""Who is online and who types: shown to those who watch, and to nobody later."""

from pathlib import Path

from tests.emulator import talking
from tests.emulator.rig import CUSTOMER, PHONE, Client, linked, until

from wafleet.clientlib.protos import told
from wafleet.emulator.model import Account
from wafleet.emulator.server import Emulator
from wafleet.simulator.behaviour import Persona


async def _show(client: Client) -> None:
    """Show the client as online, as soon as the phone has told it the account's name."""

    async def shown() -> str:
        return await client.call("SendPresence", b"available")

    while await shown():
        assert client.ended is None


async def test_a_device_learns_its_name_from_the_phone_and_shows_itself(emulator: Emulator, tmp_path: Path) -> None:
    emulator.account(PHONE).name = "Blue Door"
    async with linked(emulator, tmp_path) as client:
        await _show(client)
        presence = talking.parts(emulator).presence
        await until(lambda: PHONE in presence.available)
        assert emulator.account(PHONE).name == "Blue Door"
    await until(lambda: PHONE not in presence.available)


async def test_a_device_sees_whom_it_watches_come_and_go(emulator: Emulator, tmp_path: Path) -> None:
    async with linked(emulator, tmp_path) as client:
        await _show(client)
        await client.say(CUSTOMER, "hello")
        customer, presence = emulator.account(CUSTOMER), talking.parts(emulator).presence
        whom = talking.lid(emulator)
        assert not await client.call("SubscribePresence", whom, len(whom))
        assert (await client.event("Presence")).Unavailable
        presence.show(customer, True)
        await client.event("Presence", lambda shown: not shown.Unavailable)


async def test_typing_is_shown_both_ways(emulator: Emulator, tmp_path: Path) -> None:
    seen: list[tuple[str, str, bool]] = []

    def note(writer: Account, to: Account, on: bool) -> None:
        seen.append((writer.phone, to.phone, on))

    async with linked(emulator, tmp_path) as client:
        presence = talking.parts(emulator).presence
        presence.typing.append(note)
        await client.say(CUSTOMER, "hello")
        whom = talking.lid(emulator)
        assert not await client.call("SendChatPresence", whom, len(whom), 0, 0)
        assert not await client.call("SendChatPresence", whom, len(whom), 1, 0)
        await until(lambda: seen == [(PHONE, CUSTOMER, True), (PHONE, CUSTOMER, False)])
        emulator.world.add(Persona(phone=CUSTOMER, accounts=[PHONE], replies=1.0, reply_after_s=(0.1, 0.1)))
        await client.say(CUSTOMER, "shall I come?")
        shown = await client.event("ChatPresence")
        assert shown.MessageSource.Sender.User == emulator.account(CUSTOMER).hidden_user


async def test_a_device_asks_who_is_on_whatsapp(emulator: Emulator, tmp_path: Path) -> None:
    async with linked(emulator, tmp_path) as client:
        numbers = f"{CUSTOMER} +999001234567".encode()
        found = told.IsOnWhatsAppReturnFunction.FromString(await client.call("IsOnWhatsApp", numbers, len(numbers)))
        assert {one.Query: one.IsIn for one in found.IsOnWhatsAppResponse} == {CUSTOMER: True, "+999001234567": False}
        assert CUSTOMER not in talking.parts(emulator).people.phones  # to be looked up takes no phone


async def test_a_name_that_one_device_sets_is_kept_and_told_to_the_other(emulator: Emulator, tmp_path: Path) -> None:
    async with linked(emulator, tmp_path) as one, linked(emulator, tmp_path, name="two") as two:
        await _show(one)
        await _show(two)
        states = talking.parts(emulator).appstates
        changes = states.of(emulator.account(PHONE)).collections["critical_block"]
        assert len(changes) == 1
        assert not await one.call("SetPushName", b"Green Door")
        await until(lambda: len(changes) == 2)
        await until(lambda: not emulator.account(PHONE).devices[2].queue)  # it was told, and has confirmed it
        assert not await two.call("SetPushName", b"Red Door")
        await until(lambda: len(changes) == 3)

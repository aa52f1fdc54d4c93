"""The world's faults and its ledger, as the real library feels them."""

import asyncio
from pathlib import Path

from tests.emulator import talking
from tests.emulator.rig import CUSTOMER, PHONE, client, emulating, linked, until

from wafleet.clientlib.protos import e2e
from wafleet.emulator.model import PreKey
from wafleet.emulator.server import Emulator
from wafleet.simulator.manners import Manners
from wafleet.simulator.orders import StartFault

DELIVERED, READ = 1, 4


async def test_a_message_delivered_twice_is_told_twice_under_one_id(emulator: Emulator, tmp_path: Path) -> None:
    async with linked(emulator, tmp_path) as one:
        emulator.world.start_fault(StartFault(account=PHONE, kind="duplicates"))
        id = talking.write(emulator, "twice")
        await until(lambda: talking.times_heard(one, id) == 2)
        await talking.acknowledged(emulator, id)
        assert talking.ledger(emulator).received == 1


async def test_a_lost_answer_leaves_the_library_waiting_while_the_message_is_delivered(
    emulator: Emulator, tmp_path: Path
) -> None:
    async with linked(emulator, tmp_path) as one:
        emulator.world.start_fault(StartFault(account=PHONE, kind="lost_answers"))
        sending = asyncio.create_task(one.send(CUSTOMER, e2e.Message(conversation="answer me")))
        receipt = await one.event("Receipt", lambda r: r.Type == DELIVERED)
        assert talking.sent(emulator) == {receipt.MessageIDs[0]: 1}
        assert not sending.done()
        sending.cancel()


async def test_a_mute_session_answers_and_delivers_nothing(emulator: Emulator, tmp_path: Path) -> None:
    async with linked(emulator, tmp_path) as one:
        emulator.world.start_fault(StartFault(account=PHONE, kind="mute"))
        await one.say(CUSTOMER, "into the void")
        assert talking.sent(emulator) == {}
        assert talking.ledger(emulator).muted == 1


async def test_a_deaf_session_hears_nothing_and_the_next_one_everything(emulator: Emulator, tmp_path: Path) -> None:
    async with linked(emulator, tmp_path) as one:
        emulator.world.start_fault(StartFault(account=PHONE, kind="deaf"))
        id = talking.write(emulator, "can you hear me?")
        await one.say(CUSTOMER, "hello")
        assert talking.times_heard(one, id) == 0
    await until(lambda: emulator.world.account(PHONE).session is None)
    async with client(emulator, tmp_path) as again:
        await talking.heard(again, id)
        await talking.acknowledged(emulator, id)


async def test_a_text_that_is_too_long_is_refused(emulator: Emulator, tmp_path: Path) -> None:
    async with linked(emulator, tmp_path) as one:
        answer = await one.send(CUSTOMER, e2e.Message(conversation="x" * 5_000))
        assert "error 479" in answer.Error
        assert talking.sent(emulator) == {}


async def test_a_message_to_the_own_number_is_confirmed_by_the_own_phone(emulator: Emulator, tmp_path: Path) -> None:
    async with linked(emulator, tmp_path) as one:
        id = await one.say(PHONE, "am I there?")
        receipt = await talking.receipt(one, id, DELIVERED)
        assert receipt.MessageSource.IsFromMe
        assert talking.ledger(emulator).canaries == 1
        assert talking.ledger(emulator).sent == 0


async def test_a_device_that_runs_out_of_keys_brings_new_ones(emulator: Emulator, tmp_path: Path) -> None:
    async with linked(emulator, tmp_path) as one:
        device = emulator.account(PHONE).devices[1]
        await until(lambda: len(device.pre_keys) > 40)
        device.pre_keys = type(device.pre_keys)(list(device.pre_keys)[:3])
        last: PreKey = device.pre_keys[-1]
        await talking.heard(one, talking.write(emulator, "hello"))
        await until(lambda: len(device.pre_keys) > 40)
        assert device.pre_keys[-1].number > last.number


async def test_what_the_library_cannot_name_still_arrives(emulator: Emulator, tmp_path: Path) -> None:
    async with linked(emulator, tmp_path) as one:
        world = emulator.world
        id = world.say(talking.Say(customer=CUSTOMER, account=PHONE, text="", body={"type": "poll", "name": "Lunch?"}))
        assert (await talking.heard(one, id)).Message.pollCreationMessage.name == "Lunch?"
        await talking.acknowledged(emulator, id)


async def test_receipts_after_a_restart_still_come_from_the_customer(tmp_path: Path) -> None:
    folder, journal = tmp_path / "emulator", tmp_path / "journal"
    slow = Manners(login_s=(0.0, 0.0), answer_s=(0.0, 0.0), delivered_s=(600.0, 600.0), read_share=0.0)
    async with emulating(folder, manners=slow, journal=journal) as emulator, linked(emulator, tmp_path) as one:
        id = await one.say(CUSTOMER, "delivered later")
    quick = Manners(login_s=(0.0, 0.0), answer_s=(0.0, 0.0), delivered_s=(0.0, 0.0), read_share=0.0)
    async with emulating(folder, manners=quick, journal=journal) as emulator, client(emulator, tmp_path) as one:
        receipt = await talking.receipt(one, id, DELIVERED)
        assert receipt.MessageSource.Sender.User == emulator.account(CUSTOMER).hidden_user
        assert talking.sent(emulator) == {id: 1}

"""What the emulator still knows after it was started again, as the real library sees it."""

from pathlib import Path

import pytest
from tests.emulator.rig import CUSTOMER, PHONE, Client, client, emulating, linked, until
from tests.emulator.talking import acknowledged, heard, receipt, sent, write

from wafleet.emulator.people import Phone
from wafleet.emulator.store import Rows
from wafleet.simulator.orders import StartFault

DELIVERED = 1


def troubles(one: Client) -> list[str]:
    return [name for name, _ in one.events if name in ("UndecryptableMessage", "LoggedOut", "IdentityChange")]


async def test_a_device_stays_linked_and_goes_on_talking_where_it_stopped(tmp_path: Path) -> None:
    folder, journal = tmp_path / "emulator", tmp_path / "ledger.journal"
    async with emulating(folder, journal=journal) as emulator, linked(emulator, tmp_path) as one:
        await heard(one, write(emulator, "hello"))
        first = await one.say(CUSTOMER, "good morning")
        lid, identity = emulator.accounts[CUSTOMER].hidden_user, emulator.accounts[CUSTOMER].key.public
        keys = len(emulator.accounts[PHONE].linked[0].pre_keys)

    async with emulating(folder, journal=journal) as emulator:
        customer = emulator.accounts[CUSTOMER]
        assert (customer.hidden_user, customer.key.public) == (lid, identity)
        assert len(emulator.accounts[PHONE].linked[0].pre_keys) == keys
        async with client(emulator, tmp_path) as one:
            await one.event("Connected")
            await heard(one, write(emulator, "still there?"))
            second = await one.say(CUSTOMER, "of course")
            await receipt(one, second, DELIVERED)
            assert sent(emulator) == {first: 1, second: 1}
            assert troubles(one) == []


async def test_what_waits_for_a_device_that_is_away_still_waits(tmp_path: Path) -> None:
    folder, journal = tmp_path / "emulator", tmp_path / "ledger.journal"
    async with emulating(folder, journal=journal) as emulator:
        async with linked(emulator, tmp_path) as one:
            await heard(one, write(emulator, "hello"))
        device = emulator.accounts[PHONE].linked[0]
        await until(lambda: not device.online)
        ids = [write(emulator, f"number {n}") for n in range(3)]

    async with emulating(folder, journal=journal) as emulator, client(emulator, tmp_path) as one:
        for id in ids:
            await heard(one, id)
        await acknowledged(emulator, *ids)
        told = [message.Info.ID for name, message in one.events if name == "Message"]
        assert [id for id in told if id in ids] == ids
        assert troubles(one) == []


async def test_a_device_that_was_removed_is_not_let_in_again(tmp_path: Path) -> None:
    folder, journal = tmp_path / "emulator", tmp_path / "ledger.journal"
    async with emulating(folder, journal=journal) as emulator:
        async with linked(emulator, tmp_path):
            pass
        emulator.world.start_fault(StartFault(PHONE, "logged_out"))
    async with emulating(folder, journal=journal) as emulator:
        async with client(emulator, tmp_path) as one:
            await one.event("LoggedOut")
        async with linked(emulator, tmp_path, name="anew"):
            assert [device.number for device in emulator.accounts[PHONE].linked] == [2]


def test_rows_keep_what_was_put_and_lists_keep_their_order(tmp_path: Path) -> None:
    rows = Rows(tmp_path / "rows.db")
    rows.put("account", "one", b"1")
    rows.put("account", "one", b"2")
    for number in (1, 2, 3, 4):
        rows.append("queue", "one", number, bytes((number,)))
    rows.take("queue", "one", 3)
    rows.shorten("queue", "one", 2)
    rows.commit()
    again = Rows(tmp_path / "rows.db")
    assert list(again.all("account")) == [("one", b"2")]
    assert list(again.list("queue", "one")) == [(2, b"\x02"), (4, b"\x04")]
    assert list(again.list("queue", "two")) == []
    rows.close()
    again.close()


async def test_receipts_come_from_whom_a_message_was_for_also_when_it_was_killed_before_that_was_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed_before(*_: object) -> None:
        """Note nothing."""

    folder, journal = tmp_path / "emulator", tmp_path / "ledger.journal"
    with monkeypatch.context() as patch:
        patch.setattr(Phone, "note_read", killed_before)
        async with emulating(folder, journal=journal) as emulator, linked(emulator, tmp_path) as one:
            id = await one.say(CUSTOMER, "good morning")

    async with emulating(folder, journal=journal) as emulator, client(emulator, tmp_path) as one:
        told = await receipt(one, id, DELIVERED)
        assert told.MessageSource.Sender.User == emulator.accounts[CUSTOMER].hidden_user

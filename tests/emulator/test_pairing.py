"""Linking a device, by QR and by code, with the real library."""

from pathlib import Path

import pytest
from tests.emulator.rig import PHONE, client, emulating, linked, until

from wafleet.emulator.pairing import Times
from wafleet.emulator.server import Emulator
from wafleet.simulator.model import Impossible


@pytest.mark.parametrize("way", ["plain", "tls"])
async def test_a_phone_that_scans_the_code_links_the_device(emulator: Emulator, tmp_path: Path, way: str) -> None:
    async with linked(emulator, tmp_path, way=way) as one:
        account = emulator.accounts[PHONE]
        assert [device.number for device in account.linked] == [1]
        assert account.linked[0].online
        assert emulator.world.account(PHONE).session is not None
        pair = await one.event("PairStatus")
        assert pair.ID.User == PHONE.removeprefix("+")
        await until(lambda: len(account.linked[0].pre_keys) > 0)


async def test_a_code_that_is_typed_into_the_phone_links_the_device(emulator: Emulator, tmp_path: Path) -> None:
    async with client(emulator, tmp_path) as one:
        await one.qr()
        emulator.phones.enter(PHONE, await one.pair_code(PHONE))
        await one.event("Connected")
        assert len(emulator.accounts[PHONE].linked) == 1


async def test_a_code_links_once(emulator: Emulator, tmp_path: Path) -> None:
    async with client(emulator, tmp_path) as one:
        qr = await one.qr()
        code = await one.pair_code(PHONE)
        emulator.phones.enter(PHONE, code)
        await one.event("Connected")
        with pytest.raises(Impossible, match="No device waits for a code"):
            emulator.phones.enter(PHONE, code)
        with pytest.raises(Impossible, match="not shown any more"):
            emulator.phones.scan(PHONE, qr)
        assert [device.number for device in emulator.accounts[PHONE].linked] == [1]


async def test_after_a_wrong_code_nothing_is_linked_and_the_right_one_still_works(
    emulator: Emulator, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with client(emulator, tmp_path) as one:
        await one.qr()
        code = await one.pair_code(PHONE)
        emulator.phones.enter(PHONE, "ABCD-1234" if code != "ABCD-1234" else "ABCD-1235")
        await until(lambda: "a wrong code was typed" in caplog.text)
        assert emulator.accounts[PHONE].linked == []
        emulator.phones.enter(PHONE, code)
        await one.event("Connected")


async def test_codes_that_nobody_shows_any_more_are_refused_with_a_sentence(tmp_path: Path) -> None:
    times = Times(first=0.0, next=30.0, typed=0.0)
    async with emulating(tmp_path / "emulator", times=times) as emulator, client(emulator, tmp_path) as one:
        qr = await one.qr()
        with pytest.raises(Impossible, match="not shown any more"):
            emulator.phones.scan(PHONE, qr)
        code = await one.pair_code(PHONE)
        with pytest.raises(Impossible, match="No device waits for a code"):
            emulator.phones.enter(PHONE, code)


async def test_what_is_no_code_of_a_linked_device_is_refused_with_a_sentence(
    emulator: Emulator, tmp_path: Path
) -> None:
    async with client(emulator, tmp_path) as one, client(emulator, tmp_path, "two") as two:
        ref, *keys = (await one.qr()).split(",")
        other = (await two.qr()).split(",")
        for qr, reason in (
            ("https://example.com", "not the QR code"),
            (",".join([other[0], *keys]), "of another connection"),
            (",".join([ref, "no base64!", *keys[1:]]), "cannot be read"),
            (",".join(["2@nobody", *keys]), "not shown any more"),
        ):
            with pytest.raises(Impossible, match=reason):
                emulator.phones.scan(PHONE, qr)
        with pytest.raises(Impossible, match="is not a phone number"):
            emulator.phones.scan("12", ",".join([ref, *keys]))
        with pytest.raises(Impossible, match="No device waits for a code"):
            emulator.phones.enter(PHONE, "ABCD1234")


async def test_a_client_killed_while_it_is_being_linked_leaves_nothing_that_hinders(
    emulator: Emulator, tmp_path: Path
) -> None:
    async with client(emulator, tmp_path) as one:
        qr = await one.qr()
        await one.kill()
    await until(lambda: not emulator.connections)
    with pytest.raises(Impossible):
        emulator.phones.scan(PHONE, qr)
    async with linked(emulator, tmp_path):
        assert len(emulator.accounts[PHONE].linked) == 1


async def test_a_client_that_nobody_links_is_let_go_in_the_end(tmp_path: Path) -> None:
    times = Times(first=0.5, next=0.0, typed=0.0)
    async with emulating(tmp_path / "emulator", times=times) as emulator, client(emulator, tmp_path) as one:
        await one.qr()
        (connection,) = emulator.connections
        await until(lambda: connection not in emulator.connections)

"""Logins of the real library: back again without a code, twice at once, refused, and removed."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from tests.emulator.rig import PHONE, client, linked, until

from wafleet.emulator.login import failure
from wafleet.emulator.server import Emulator
from wafleet.simulator.orders import StartFault
from wafleet.simulator.trouble import FOR_GOOD


def strike(emulator: Emulator, kind: str, *, lasts: float | None = None, detail: str = "") -> None:
    emulator.world.start_fault(StartFault(PHONE, kind, lasts=lasts, detail=detail))


@pytest.mark.parametrize(
    ("reason", "detail", "wait", "attrs"),
    [
        ("logged_out", "", 0.0, {"reason": "401"}),
        ("banned", "104 sent the same message too many times", 59.6, {"reason": "402", "code": "104", "expire": "60"}),
        ("banned", "no code", 0.0, {"reason": "402", "code": "101", "expire": "1"}),
        ("banned", FOR_GOOD, 0.0, {"reason": "406"}),
        ("locked", "", 0.0, {"reason": "403"}),
        ("outdated", "", 60.0, {"reason": "405"}),
        ("throttled", "", 5.0, {"reason": "503"}),
        ("something new", "", 0.0, {"reason": "500"}),
    ],
)
def test_each_reason_of_the_world_has_its_code(reason: str, detail: str, wait: float, attrs: dict[str, str]) -> None:
    answer = failure(reason, detail, wait)
    assert answer is not None
    assert answer.tag == "failure"
    assert {**answer.attrs} == {**attrs, "location": "emu"}


def test_a_network_that_is_away_says_nothing() -> None:
    assert failure("network", "", 0.0) is None


@pytest.mark.parametrize("way", ["plain", "tls"])
async def test_a_linked_device_comes_back_without_a_code(emulator: Emulator, tmp_path: Path, way: str) -> None:
    async with linked(emulator, tmp_path, way=way):
        pass
    device = emulator.accounts[PHONE].linked[0]
    await until(lambda: not device.online)
    await until(lambda: emulator.world.account(PHONE).session is None, "the world still believes in the session")

    async with client(emulator, tmp_path, way=way) as again:
        await again.event("Connected")
        assert again.codes == []
        assert device.online


async def test_a_device_whose_process_was_killed_comes_back_without_a_code(emulator: Emulator, tmp_path: Path) -> None:
    async with linked(emulator, tmp_path) as one:
        await one.kill()
    async with client(emulator, tmp_path) as again:
        await again.event("Connected")
        assert again.codes == []


async def test_an_account_has_several_devices_which_share_its_session(emulator: Emulator, tmp_path: Path) -> None:
    async with linked(emulator, tmp_path, name="first") as first, linked(emulator, tmp_path, name="second") as second:
        account = emulator.accounts[PHONE]
        assert [(device.number, device.online) for device in account.linked] == [(1, True), (2, True)]
        assert "Disconnected" not in [name for name, _ in first.events]

        await second.close()
        await until(lambda: not account.devices[2].online)
        assert account.channel is not None
        assert account.channel.open

        await first.close()
        await until(lambda: account.channel is None)


async def test_a_device_that_logs_in_twice_replaces_itself(emulator: Emulator, tmp_path: Path) -> None:
    async with linked(emulator, tmp_path) as one, linked(emulator, tmp_path, name="other") as other:
        before = emulator.world.account(PHONE).counts.replaced
        async with client(emulator, tmp_path) as twin:
            await twin.event("Connected")
            await one.event("StreamReplaced")
            assert emulator.world.account(PHONE).counts.replaced == before + 1
            account = emulator.accounts[PHONE]
            await until(lambda: all(device.online for device in account.linked))
            assert account.channel is not None
            assert "StreamReplaced" not in [name for name, _ in other.events]


async def test_of_two_programs_that_log_in_at_the_same_moment_one_remains(emulator: Emulator, tmp_path: Path) -> None:
    async with linked(emulator, tmp_path):
        pass
    copied = tmp_path / "twin.db"
    with closing(sqlite3.connect(tmp_path / "one.db")) as session, closing(sqlite3.connect(copied)) as twin:
        session.backup(twin)
    async with client(emulator, tmp_path) as one, client(emulator, tmp_path, "twin") as other:
        await until(lambda: any(name == "StreamReplaced" for name, _ in one.events + other.events))
        await until(lambda: len(emulator.connections) == 1)
        (remaining,) = emulator.connections
        assert emulator.accounts[PHONE].linked[0].connection is remaining
        loser = one if any(name == "StreamReplaced" for name, _ in one.events) else other
        assert loser.codes == []


async def test_another_program_that_takes_the_session_is_told_to_the_device(emulator: Emulator, tmp_path: Path) -> None:
    async with linked(emulator, tmp_path) as one:
        strike(emulator, "replaced")
        await one.event("StreamReplaced")


@pytest.mark.parametrize(
    ("kind", "detail", "event", "says"),
    [
        ("outdated", "", "ClientOutdated", ""),
        ("banned", "102", "TemporaryBan", "Code: BLOCKED_BY_USERS"),
        ("banned", "for_good", "LoggedOut", ""),
    ],
)
async def test_a_login_that_is_refused_says_why(
    emulator: Emulator, tmp_path: Path, kind: str, detail: str, event: str, says: str
) -> None:
    async with linked(emulator, tmp_path) as one:
        strike(emulator, kind, lasts=3600, detail=detail)
        told = await one.event(event)
        assert says in str(told)


async def test_a_ban_says_how_long_it_lasts(emulator: Emulator, tmp_path: Path) -> None:
    async with linked(emulator, tmp_path) as one:
        strike(emulator, "banned", lasts=3600, detail="106")
        ban = await one.event("TemporaryBan")
        assert 3590 <= ban.Expire <= 3600


async def test_a_device_comes_back_when_the_network_lets_it(emulator: Emulator, tmp_path: Path) -> None:
    async with linked(emulator, tmp_path) as one:
        mark = one.mark()
        strike(emulator, "disconnect", lasts=0.3)
        await one.event("Disconnected", since=mark)
        await one.event("Connected", since=mark)


async def test_a_device_the_phone_removes_is_told_and_must_be_linked_anew(emulator: Emulator, tmp_path: Path) -> None:
    async with linked(emulator, tmp_path) as one:
        strike(emulator, "logged_out")
        await one.event("LoggedOut")
        assert emulator.accounts[PHONE].linked == []
    async with linked(emulator, tmp_path, name="anew"):
        assert [device.number for device in emulator.accounts[PHONE].linked] == [2]


async def test_a_device_removed_while_it_was_away_is_told_at_its_login(emulator: Emulator, tmp_path: Path) -> None:
    async with linked(emulator, tmp_path):
        pass
    strike(emulator, "logged_out")
    async with client(emulator, tmp_path) as again:
        told = await again.event("LoggedOut")
        assert told.OnConnect


async def test_a_device_that_logs_out_is_forgotten_by_the_world_as_well(emulator: Emulator, tmp_path: Path) -> None:
    async with linked(emulator, tmp_path) as one:
        assert await one.call("Logout") == ""
        await until(lambda: emulator.accounts[PHONE].linked == [])
        await until(lambda: emulator.world.account(PHONE).credentials is None)


async def test_a_phone_that_the_world_linked_elsewhere_meanwhile_can_be_linked_here_again(
    emulator: Emulator, tmp_path: Path
) -> None:
    async with linked(emulator, tmp_path):
        pass
    emulator.world.link(PHONE)
    async with linked(emulator, tmp_path, name="again"):
        assert emulator.world.account(PHONE).credentials == emulator.accounts[PHONE].credentials

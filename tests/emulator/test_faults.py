"""Every fault that linked devices feel, and what the real library reports of it."""

import asyncio
from pathlib import Path

import pytest
from tests.emulator.hurried import hurry
from tests.emulator.rig import CUSTOMER, PHONE, Client, client, linked, until
from tests.emulator.talking import acknowledged, heard, ledger, sent, times_heard, write

from wafleet.clientlib.protos import e2e
from wafleet.emulator.server import Emulator
from wafleet.simulator.faults import BAN_REASONS
from wafleet.simulator.model import Impossible
from wafleet.simulator.orders import Scan, StartFault


def strike(emulator: Emulator, kind: str, detail: str = "", *, whom: str = PHONE, **how: float) -> None:
    emulator.world.start_fault(StartFault(whom, kind, detail=detail, **how))  # pyright: ignore[reportArgumentType]


def end(emulator: Emulator, kind: str, *, whom: str = PHONE) -> None:
    emulator.world.trouble.end(whom, kind)


def names(one: Client, since: int = 0) -> list[str]:
    return [name for name, _ in one.events[since:]]


@pytest.mark.parametrize(("kind", "detail"), [("abort", ""), ("disconnect", ""), ("stream_error", "503")])
async def test_a_connection_that_ends_is_opened_again(
    emulator: Emulator, tmp_path: Path, kind: str, detail: str
) -> None:
    async with linked(emulator, tmp_path) as one:
        mark = one.mark()
        strike(emulator, kind, detail)
        await one.event("Disconnected", since=mark)
        await one.event("Connected", since=mark)
        id = write(emulator, "all the same?")
        await heard(one, id)


async def test_abort_for_a_while_keeps_the_device_out_until_it_is_over(emulator: Emulator, tmp_path: Path) -> None:
    async with linked(emulator, tmp_path) as one:
        mark = one.mark()
        strike(emulator, "abort", lasts=0.5)
        await one.event("Disconnected", since=mark)
        await one.event("Connected", since=mark)
        assert not emulator.world.trouble.active()


async def test_an_unknown_stream_error_is_told_with_its_code(emulator: Emulator, tmp_path: Path) -> None:
    async with linked(emulator, tmp_path) as one:
        strike(emulator, "stream_error", "599 open")
        error = await one.event("StreamError")
        assert error.Code == "599"
        assert await one.call("IsConnected") is True
        assert await one.call("IsLoggedIn") is False


async def test_an_unknown_stream_error_that_closes_is_told_and_the_device_comes_back(
    emulator: Emulator, tmp_path: Path
) -> None:
    async with linked(emulator, tmp_path) as one:
        mark = one.mark()
        strike(emulator, "stream_error", "599")
        assert (await one.event("StreamError", since=mark)).Code == "599"
        await one.event("Connected", since=mark)


@pytest.mark.parametrize(
    ("kind", "code", "event", "reason"),
    [
        ("login_failure", "400", "ConnectFailure", "GENERIC"),
        ("login_failure", "401", "LoggedOut", "LOGGED_OUT"),
        ("login_failure", "403", "LoggedOut", "MAIN_DEVICE_GONE"),
        ("login_failure", "405", "ClientOutdated", ""),
        ("login_failure", "406", "LoggedOut", "UNKNOWN_LOGOUT"),
        ("login_failure", "409", "ConnectFailure", "BAD_USER_AGENT"),
        ("locked", "", "LoggedOut", "MAIN_DEVICE_GONE"),
    ],
)
async def test_a_login_that_fails_names_its_code(
    emulator: Emulator, tmp_path: Path, kind: str, code: str, event: str, reason: str
) -> None:
    async with linked(emulator, tmp_path) as one:
        strike(emulator, kind, code)
        assert reason in str(await one.event(event))


async def test_a_device_that_is_told_401_is_linked_no_longer_and_the_phone_can_link_another(
    emulator: Emulator, tmp_path: Path
) -> None:
    async with linked(emulator, tmp_path) as one:
        strike(emulator, "login_failure", "401")
        await one.event("LoggedOut")
        await until(lambda: not emulator.accounts[PHONE].linked, "the phone still lists it")
        await until(lambda: emulator.world.account(PHONE).credentials is None, "the world still lists it")
    end(emulator, "login_failure")
    async with linked(emulator, tmp_path, name="anew"):
        assert [device.number for device in emulator.accounts[PHONE].linked] == [2]


@pytest.mark.parametrize("code", ["500", "503"])
async def test_a_login_that_fails_for_a_while_is_tried_until_it_succeeds(
    emulator: Emulator, tmp_path: Path, code: str
) -> None:
    async with linked(emulator, tmp_path) as one:
        mark = one.mark()
        strike(emulator, "login_failure", code, lasts=0.5)
        await one.event("Connected", since=mark)
        assert "LoggedOut" not in names(one)


async def test_every_temporary_ban_has_its_code_and_its_end(emulator: Emulator, tmp_path: Path) -> None:
    async with linked(emulator, tmp_path):
        pass
    codes = list[int]()
    for code in BAN_REASONS:
        strike(emulator, "banned", code, lasts=3600)
        async with client(emulator, tmp_path) as again:
            ban = await again.event("TemporaryBan")
        codes.append(ban.Code)
        assert 3500 < ban.Expire <= 3600
    assert len(set(codes)) == len(BAN_REASONS)
    end(emulator, "banned")
    async with client(emulator, tmp_path) as again:
        await again.event("Connected")


async def test_a_ban_whose_code_the_library_does_not_know_ends_its_call(emulator: Emulator, tmp_path: Path) -> None:
    async with linked(emulator, tmp_path):
        pass
    strike(emulator, "banned", "105", lasts=3600)
    async with client(emulator, tmp_path) as again:
        await until(lambda: again.ended, "it goes on")
        assert names(again) == []
    end(emulator, "banned")
    async with client(emulator, tmp_path) as again:
        await again.event("Connected")


async def test_too_many_starts_at_once_are_put_off(emulator: Emulator, tmp_path: Path) -> None:
    async with linked(emulator, tmp_path):
        pass
    strike(emulator, "refuse_start", lasts=1)
    async with client(emulator, tmp_path) as again:
        await again.event("Connected")
        assert not emulator.world.trouble.active()


@pytest.mark.parametrize(("kind", "code"), [("ack_error", "479"), ("ack_error", "463"), ("reach_out_lock", "463")])
async def test_a_message_that_is_refused_names_the_code(
    emulator: Emulator, tmp_path: Path, kind: str, code: str
) -> None:
    async with linked(emulator, tmp_path) as one:
        strike(emulator, kind, code)
        answer = await one.send(CUSTOMER, e2e.Message(conversation="hello"))
        assert f"server returned error {code}" in answer.Error
        assert (ledger(emulator).sent, ledger(emulator).refused) == (0, 1)
        end(emulator, kind)
        await one.say(CUSTOMER, "hello again")
        assert ledger(emulator).sent == 1


async def test_a_throttled_message_names_429(emulator: Emulator, tmp_path: Path) -> None:
    async with linked(emulator, tmp_path) as one:
        strike(emulator, "throttled")
        answer = await one.send(CUSTOMER, e2e.Message(conversation="hello"))
        assert "server returned error 429" in answer.Error
        assert ledger(emulator).throttled == 1


@pytest.mark.parametrize("by", ["qr", "code"])
async def test_a_phone_that_wants_a_passkey_is_not_linked(emulator: Emulator, tmp_path: Path, by: str) -> None:
    emulator.world.linking.passkey = True
    async with client(emulator, tmp_path, logs=True) as one:
        qr = await one.qr()
        order = Scan(PHONE, qr=qr) if by == "qr" else Scan(PHONE, code=await one.pair_code(PHONE))
        emulator.world.scan(order)
        await until(lambda: any("passkey_prologue_request" in str(log) for log in one.logs), "it was not asked")
        assert not {"PairStatus", "Connected"} & set(names(one))
    assert emulator.accounts[PHONE].linked == []


async def test_a_qr_code_may_run_out_before_anybody_scans_it(emulator: Emulator, tmp_path: Path) -> None:
    strike(emulator, "qr_expiry", whom="*", seconds=0.5)
    async with client(emulator, tmp_path) as one:
        qr = await one.qr()
        await until(lambda: not emulator.connections, "the server does not hang up")
        with pytest.raises(Impossible):
            emulator.world.scan(Scan(PHONE, qr=qr))
        assert one.codes == [qr]


async def test_a_phone_may_come_too_late_for_its_code(emulator: Emulator, tmp_path: Path) -> None:
    strike(emulator, "qr_expiry")
    async with client(emulator, tmp_path) as one:
        with pytest.raises(Impossible, match="has expired"):
            emulator.world.scan(Scan(PHONE, qr=await one.qr()))
        end(emulator, "qr_expiry")
        emulator.world.scan(Scan(PHONE, qr=await one.qr()))
        await one.event("Connected")


async def test_a_message_that_cannot_be_read_is_asked_for_again_and_read(emulator: Emulator, tmp_path: Path) -> None:
    async with linked(emulator, tmp_path) as one:
        strike(emulator, "undecryptable")
        id = write(emulator, "read me")
        await one.event("UndecryptableMessage", lambda m: id == m.Info.ID)
        await heard(one, id)
        await acknowledged(emulator, id)
        assert times_heard(one, id) == 1


async def test_a_message_that_can_never_be_read_is_told_as_such(emulator: Emulator, tmp_path: Path) -> None:
    async with linked(emulator, tmp_path) as one:
        strike(emulator, "undecryptable", "twice")
        id = write(emulator, "read me")
        await one.event("UndecryptableMessage", lambda m: id == m.Info.ID)
        end(emulator, "undecryptable")
        other = write(emulator, "and me")
        await heard(one, other)


async def test_late_answers_are_awaited(emulator: Emulator, tmp_path: Path) -> None:
    async with linked(emulator, tmp_path) as one:
        strike(emulator, "latency", seconds=0.5)
        began = asyncio.get_running_loop().time()
        await one.say(CUSTOMER, "slowly")
        assert asyncio.get_running_loop().time() - began >= 0.5


async def test_pings_without_an_answer_are_reported_whether_all_is_silent_or_only_they(
    emulator: Emulator, tmp_path: Path
) -> None:
    hurry(emulator)
    other = "+491701110009"
    async with linked(emulator, tmp_path) as muted, linked(emulator, tmp_path, other, name="other") as silent:
        strike(emulator, "pings_muted")
        strike(emulator, "silent", whom=other)
        await muted.say(CUSTOMER, "all else works")
        unheard = write(emulator, "nobody hears this", to=other)
        for one in (muted, silent):
            await until(lambda: "KeepAliveTimeout" in names(one), "no keep-alive failed")  # noqa: B023
        assert times_heard(silent, unheard) == 0
        assert await silent.call("IsConnected") is True


async def test_what_a_silent_line_swallowed_comes_once_it_passes_again(emulator: Emulator, tmp_path: Path) -> None:
    async with linked(emulator, tmp_path) as one:
        strike(emulator, "silent", lasts=0.5)
        sending = asyncio.create_task(one.say(CUSTOMER, "can you hear me?"))
        id = write(emulator, "hello?")
        await heard(one, id)
        own = await sending
        assert sent(emulator) == {own: 1}
        await acknowledged(emulator, id)


async def test_nobody_is_linked_while_the_whole_network_is_away(emulator: Emulator, tmp_path: Path) -> None:
    async with client(emulator, tmp_path) as one, client(emulator, tmp_path, "two") as two:
        qr, _, code = await one.qr(), await two.qr(), await two.pair_code(PHONE)
        strike(emulator, "restart", whom="*")
        for order in (Scan(PHONE, qr=qr), Scan(PHONE, code=code)):
            with pytest.raises(Impossible):
                emulator.world.scan(order)
        async with client(emulator, tmp_path, "three") as three:
            await until(lambda: not emulator.connections, "somebody is still being linked")
            assert three.codes == []
    end(emulator, "restart", whom="*")
    async with linked(emulator, tmp_path, name="four"):
        assert len(emulator.accounts[PHONE].linked) == 1


async def test_what_only_devices_feel_is_refused_where_there_are_none(emulator: Emulator, tmp_path: Path) -> None:
    emulator.world.link(PHONE)
    with pytest.raises(Impossible, match="Only linked devices feel"):
        strike(emulator, "undecryptable")

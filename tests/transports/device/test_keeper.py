"""A worker that misbehaves is the incident of its own account: it is ended, its reason is told, the others go on."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest
from tests.transports.device.workers import Heard, running, script, scripted, until

from wafleet.config import DevicesSettings
from wafleet.transports.device.keeper import Client, Gone, Keeper, NoAnswer, Unable, Why

READY = "tell(0, Kind.READY, '0')\n"
OPENED = READY + "next(asked())\n"
LISTENS = READY + "for client, kind, fields in asked():\n    "

CRASHES = {
    "ends by itself": (READY + "os._exit(3)", "ended with status 3"),
    "prints rubbish, then ends": (READY + "print('rubbish\\n' * 100_000, flush=True)\nos._exit(4)", "status 4"),
    "is aborted by its runtime": (
        READY + "sys.stderr.write('\\nfatal error: concurrent map writes\\n'); sys.stderr.flush(); os.abort()",
        "killed by SIGABRT: fatal error: concurrent map writes",
    ),
    "cannot write": (
        READY + "os.write(2, b'fatal error: OSError: [Errno 28] No space left on device'); os._exit(74)",
        "ended with status 74: fatal error: OSError: [Errno 28] No space left on device",
    ),
    "is killed": (READY + "os.kill(os.getpid(), 9)", "killed by SIGKILL"),
    "closes its line and lives on": (READY + "line.close()\ntime.sleep(60)", "killed by SIGKILL"),
}
GARBLED = {
    "writes no frames": "line.sendall(b'hello, is anybody there? ' * 100)\nlive()",
    "writes frames of an unknown kind": "line.sendall(bytes([0, 0, 0, 0, 0, 0, 0, 1, 99]))\nlive()",
    "announces a frame larger than any": "line.sendall(bytes([255, 255, 255, 255, 0, 0, 0, 1, 34]))\nlive()",
    "leaves fields out": "tell(1, Kind.EVENT, 17)\nlive()",
    "says a word where a number belongs": "tell(1, Kind.EVENT, 'x', 'y', 'z')\nlive()",
    "floods": "while True: tell(1, Kind.QR, 'x' * 100)",
}


@pytest.fixture
async def keeper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Keeper]:
    """A keeper that weighs its workers at each look, not at each fifth."""
    monkeypatch.setattr("wafleet.transports.device.keeper._WEIGHED", 1)
    settings = DevicesSettings(stuck_s=3, memory_mb=64)
    async with Keeper(settings, place=scripted(tmp_path)) as keeper:
        yield keeper


async def client(keeper: Keeper, folder: Path, lines: str, ears: Heard | None = None) -> Client:
    return await keeper.client(folder=folder, program=script(folder, lines), ears=ears or Heard())


@pytest.mark.parametrize("case", CRASHES)
async def test_a_worker_that_ends_is_seen_at_once_and_alone(keeper: Keeper, tmp_path: Path, case: str) -> None:
    lines, words = CRASHES[case]
    well, ill = Heard(), Heard()
    neighbour = await client(keeper, tmp_path, READY + "live()", well)
    pid = (await client(keeper, tmp_path, lines, ill)).pid
    await until(lambda: ill.ends)
    assert ill.ends[0][0] == (Why.DISK if case == "cannot write" else Why.CRASHED)
    assert words in ill.ends[0][1]
    assert not running(pid)
    assert running(neighbour.pid)
    assert not well.ends


@pytest.mark.parametrize("case", GARBLED)
async def test_a_worker_that_says_what_none_says_is_killed(keeper: Keeper, tmp_path: Path, case: str) -> None:
    ears = Heard()
    pid = (await client(keeper, tmp_path, OPENED + GARBLED[case], ears)).pid
    await until(lambda: ears.ends)
    assert ears.ends[0][0] == Why.GARBLED
    assert not running(pid)


async def test_what_a_worker_prints_is_nobodys_business(keeper: Keeper, tmp_path: Path) -> None:
    ears = Heard()
    await client(
        keeper,
        tmp_path,
        OPENED + "print('x' * 10**6)\nsys.stderr.write('y' * 10**6)\ntell(1, Kind.QR, 'z')\nlive()",
        ears,
    )
    await until(lambda: ears.qrs == ["z"])
    assert not ears.ends


async def test_a_worker_that_stands_still_is_killed(keeper: Keeper, tmp_path: Path) -> None:
    ears = Heard()
    pid = (await client(keeper, tmp_path, READY + "time.sleep(60)", ears)).pid
    await until(lambda: ears.ends)
    assert ears.ends == [(Why.STUCK, "it was silent for 3 s")]
    assert not running(pid)


async def test_a_worker_that_eats_memory_is_ended(keeper: Keeper, tmp_path: Path) -> None:
    ears = Heard()
    await client(keeper, tmp_path, READY + "eaten = b'x' * 150_000_000\nlive()", ears)
    await until(lambda: ears.ends)
    assert ears.ends[0][0] == Why.MEMORY
    assert "and may take 64" in ears.ends[0][1]


async def test_a_worker_that_takes_far_too_much_is_killed_at_once_even_one_that_is_about_to_end(
    keeper: Keeper, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wafleet.transports.device.keeper._ONE_FILE_MB", 128)
    ears = Heard()
    lines = READY + "eaten = []\nwhile True: tell(0, Kind.BEAT); eaten.append(b'x' * 5_000_000); time.sleep(0.1)"
    greedy = await client(keeper, tmp_path, lines, ears)
    call = asyncio.create_task(greedy.call("SendMessage", b"", b"", limit_s=30, ref="ours"))
    with pytest.raises(Gone) as e:
        await call  # it is renewed once the call is answered, or after ten seconds: neither comes
    assert e.value.crashed
    assert ears.ends[0][0] == Why.MEMORY
    assert 128 < float(ears.ends[0][1].split()[2]) < 250
    assert not running(greedy.pid)


async def test_a_worker_does_not_grow_old(tmp_path: Path) -> None:
    ears = Heard()
    async with Keeper(DevicesSettings(lifetime_h=0.0001), place=scripted(tmp_path)) as keeper:
        lines = LISTENS + "tell(client, Kind.STOPPED) if kind is Kind.STOP else None"
        old = await client(keeper, tmp_path, lines, ears)
        await until(lambda: ears.ends)
        assert ears.ends[0][0] == Why.LIFETIME
        assert not running(old.pid)
        with pytest.raises(Gone):
            old.connect(props=b"")


async def test_a_worker_that_does_not_start_says_why(keeper: Keeper, tmp_path: Path) -> None:
    with pytest.raises(Gone, match="ModuleNotFoundError: No module named 'nowhere'"):
        await client(keeper, tmp_path, "import nowhere")


async def test_an_account_that_was_ended_hears_nothing_of_its_end(keeper: Keeper, tmp_path: Path) -> None:
    ears = Heard()
    killed = await client(keeper, tmp_path, READY + "live()", ears)
    await killed.kill()
    assert not running(killed.pid)
    stubborn = await client(keeper, tmp_path, READY + "live()", ears)
    await stubborn.stop(0.1)
    assert not running(stubborn.pid)
    assert not ears.ends


async def test_accounts_that_share_a_worker_share_its_end(tmp_path: Path) -> None:
    first, second = Heard(), Heard()
    async with Keeper(DevicesSettings(accounts_per_worker=2), place=scripted(tmp_path)) as keeper:
        program = script(tmp_path, LISTENS + "tell(client, Kind.QR, f'for {client}')")
        one = await keeper.client(folder=tmp_path, program=program, ears=first)
        two = await keeper.client(folder=tmp_path, program=program, ears=second)
        three = await keeper.client(folder=tmp_path, program=program, ears=Heard())
        assert one.pid == two.pid != three.pid
        await until(lambda: first.qrs == ["for 1"] and second.qrs == ["for 2"])
        os.kill(one.pid, 9)
        await until(lambda: first.ends and second.ends)
        assert running(three.pid)


async def test_an_answer_finds_the_call_it_belongs_to(keeper: Keeper, tmp_path: Path) -> None:
    lines = LISTENS + "tell(client, Kind.ANSWER, fields[0], fields[2] + fields[3]) if kind is Kind.CALL else None"
    one = await client(keeper, tmp_path, lines)
    assert await one.call("IsConnected", b"\0\1", limit_s=5) == b"IsConnected\0\1"
    assert await one.call("Upload", 7, limit_s=5) == b"Upload7"


async def test_a_call_the_worker_cannot_make_is_refused(keeper: Keeper, tmp_path: Path) -> None:
    lines = LISTENS + "tell(client, Kind.UNABLE, fields[0], 'no such thing') if kind is Kind.CALL else None"
    one = await client(keeper, tmp_path, lines)
    with pytest.raises(Unable, match="no such thing"):
        await one.call("Dance", limit_s=5)


async def test_a_late_message_that_has_not_left_is_kept_from_leaving(keeper: Keeper, tmp_path: Path) -> None:
    lines = LISTENS + "tell(client, Kind.CANCELLED, fields[0]) if kind is Kind.CANCEL else None"
    one = await client(keeper, tmp_path, lines)
    with pytest.raises(NoAnswer) as e:
        await one.call("SendMessage", b"", b"", limit_s=0.1, ref="ours")
    assert not e.value.named


async def test_a_late_message_that_has_left_is_named(keeper: Keeper, tmp_path: Path) -> None:
    ears = Heard()
    lines = LISTENS + "tell(client, Kind.NAMED, fields[0], fields[1], 'ID') if kind is Kind.CALL else None"
    one = await client(keeper, tmp_path, lines, ears)
    with pytest.raises(NoAnswer) as e:
        await one.call("SendMessage", b"", b"", limit_s=0.1, ref="ours")
    assert e.value.named == "ID"
    assert ears.names == {"ours": "ID"}


async def test_a_worker_that_cannot_say_where_a_message_is_is_ended_so_that_it_cannot_leave_later(
    keeper: Keeper, tmp_path: Path
) -> None:
    ears = Heard()
    one = await client(keeper, tmp_path, READY + "live()", ears)
    with pytest.raises((Gone, NoAnswer)) as e:
        await one.call("SendMessage", b"", b"", limit_s=0.1, ref="ours")
    assert not getattr(e.value, "named", "?")
    assert not running(one.pid)
    assert ears.ends[0][0] == Why.STUCK


@pytest.mark.parametrize(("line", "named"), [("> ours ID\n", "ID"), ("> others ID\n", ""), ("> ours I", "")])
async def test_the_journal_says_what_left_where_the_worker_cannot_any_more(
    keeper: Keeper, tmp_path: Path, line: str, named: str
) -> None:
    dies = f"open(r'{tmp_path}/sent.journal', 'w').write({line!r}) and os.kill(os.getpid(), 9)"
    lines = LISTENS + f"{dies} if kind is Kind.CALL else None"
    one = await client(keeper, tmp_path, lines)
    with pytest.raises(Gone) as e:
        await one.call("SendMessage", b"", b"", limit_s=5, ref="ours")
    assert e.value.named == named


async def test_nothing_is_left_open_when_workers_come_and_go(keeper: Keeper, tmp_path: Path) -> None:
    async def come_and_go() -> None:
        one = await client(keeper, tmp_path, LISTENS + "tell(client, Kind.STOPPED) if kind is Kind.STOP else None")
        await one.stop(5)

    await come_and_go()
    first = psutil.Process().num_fds()
    for _ in range(10):
        await come_and_go()
    await until(lambda: psutil.Process().num_fds() <= first)

"""The real library in a real worker: nothing leaves unwritten, nothing is acknowledged that is not stored."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import psutil
import pytest

from wafleet.clientlib import Unusable, find

try:
    find()
except Unusable as missing:
    pytest.skip(str(missing), allow_module_level=True)

from tests.emulator.rig import PHONE, emulating
from tests.emulator.talking import acknowledged, ledger, sent, write
from tests.transports.device.linked import PROPS, Device, device, linked
from tests.transports.device.workers import running, until

from wafleet.config import DevicesSettings
from wafleet.emulator.connection import Connection
from wafleet.emulator.server import Emulator
from wafleet.emulator.wire import Node
from wafleet.simulator.orders import StartFault
from wafleet.transports.device.keeper import Gone, Keeper, NoAnswer, Unable, Why
from wafleet.transports.device.process import PLACE
from wafleet.transports.device.worker.store import SPOOL, journal

OTHER = "+491701110005"


@pytest.fixture
async def emulator(tmp_path: Path) -> AsyncIterator[Emulator]:
    async with emulating(tmp_path / "emulator") as emulator:
        yield emulator


@pytest.fixture
async def keeper() -> AsyncIterator[Keeper]:
    async with Keeper(DevicesSettings()) as keeper:
        yield keeper


@pytest.fixture
async def one(keeper: Keeper, emulator: Emulator, tmp_path: Path) -> AsyncIterator[Device]:
    async with linked(keeper, emulator, tmp_path / "one") as one:
        yield one


def left(folder: Path) -> dict[str, str]:
    """What the journal says has left: our reference, the network's name."""
    return {ref: id for mark, ref, id in journal(folder) if mark == ">"}


# Linking, resuming, ending


@pytest.mark.parametrize("way", ["plain", "tls"])
async def test_a_device_is_linked_ended_and_resumed(
    keeper: Keeper, emulator: Emulator, tmp_path: Path, way: str
) -> None:
    async with linked(keeper, emulator, tmp_path / "one", way=way) as one:
        assert one.client.heard_at > 0
        await one.client.stop(5)
        assert one.heard.returns == [""]
        assert not one.heard.ends
        assert not running(one.client.pid)
    again = await device(keeper, emulator, tmp_path / "one", way=way)
    await again.connected()
    assert not again.heard.qrs
    assert await again.client.call("IsLoggedIn", limit_s=5) == b"\x01"


async def test_a_worker_that_is_asked_to_end_disconnects_first(one: Device, emulator: Emulator) -> None:
    os.kill(one.client.pid, signal.SIGTERM)
    await until(lambda: one.heard.ends)
    assert one.heard.ends == [(Why.CRASHED, "ended with status 0")]
    assert one.heard.returns == [""]


async def test_without_a_server_the_library_says_so_and_nothing_else_happens(
    keeper: Keeper, emulator: Emulator, tmp_path: Path
) -> None:
    one = await device(keeper, emulator, tmp_path / "one", connect=False)
    with pytest.raises(Unable):
        await one.client.call("IsConnected", limit_s=5)
    await emulator.ports.close()
    one.client.connect(props=PROPS)
    await until(lambda: one.heard.returns)
    assert "dial" in one.heard.returns[0]
    assert not one.heard.ends


async def test_a_device_that_is_not_linked_yet_can_be_ended(keeper: Keeper, emulator: Emulator, tmp_path: Path) -> None:
    one = await device(keeper, emulator, tmp_path / "one")
    await until(lambda: one.heard.qrs)
    await one.client.stop(0.3)
    assert not running(one.client.pid)


async def test_stanzas_that_the_library_keeps_to_itself_are_heard_and_odd_calls_refused(one: Device) -> None:
    assert any("offline" in xml for xml in one.heard.notices)
    with pytest.raises(Unable):
        await one.client.call("IsLoggedIn", b"too much", limit_s=5)
    with pytest.raises(Unable):
        await one.client.call("NoSuchFunction", limit_s=5)


# Messages of customers


async def test_a_message_is_acknowledged_only_when_it_is_stored(one: Device, emulator: Emulator) -> None:
    one.keeps = False
    id = write(emulator, "hello")
    await until(lambda: one.got == [id])
    await asyncio.sleep(0.3)
    assert ledger(emulator).waiting == 1
    assert one.on_disk == [id]
    one.client.stored([id])
    await acknowledged(emulator, id)
    await until(lambda: not one.on_disk)


async def test_what_came_before_a_crash_and_was_not_stored_is_on_disk_and_still_not_acknowledged(
    one: Device, keeper: Keeper, emulator: Emulator
) -> None:
    one.keeps = False
    ids = [write(emulator, f"before {n}") for n in range(3)]
    await until(lambda: sorted(one.got) == sorted(ids))
    os.kill(one.client.pid, signal.SIGKILL)
    await until(lambda: one.heard.ends)
    assert one.on_disk == one.got

    again = await device(keeper, emulator, one.folder, keeps=False)
    await again.connected()
    await asyncio.sleep(0.3)
    assert ledger(emulator).waiting == 3
    again.client.stored(again.on_disk)
    await acknowledged(emulator, *ids)
    assert not again.on_disk
    assert not again.heard.swallows
    await again.client.kill()


async def test_what_the_library_has_decrypted_and_can_never_hand_over_again_is_told(
    one: Device, keeper: Keeper, emulator: Emulator
) -> None:
    one.keeps = False
    id = write(emulator, "hello")
    await until(lambda: one.got == [id])
    os.kill(one.client.pid, signal.SIGKILL)
    await until(lambda: one.heard.ends)
    (one.folder / SPOOL).unlink()  # as if the worker had died a moment earlier

    again = await device(keeper, emulator, one.folder, keeps=False)
    await until(lambda: id in dict(again.heard.swallows))
    assert dict(again.heard.swallows)[id].endswith("@lid")
    assert ledger(emulator).waiting == 1
    again.client.stored([id])
    await acknowledged(emulator, id)
    await again.client.kill()


@pytest.mark.crash
async def test_after_ten_kills_in_the_middle_of_receiving_no_message_is_lost_in_silence(
    one: Device, keeper: Keeper, emulator: Emulator
) -> None:
    ids: list[str] = []
    have: set[str] = set()
    swallowed: set[str] = set()
    for _ in range(10):
        seen = len(one.got)
        ids += [write(emulator, f"hello {n}") for n in range(40)]
        await until(lambda one=one, seen=seen: len(one.got) > seen + 5)
        os.kill(one.client.pid, signal.SIGKILL)
        await until(lambda one=one: one.heard.ends)
        have |= {*one.got, *one.on_disk}
        swallowed |= dict(one.heard.swallows).keys()
        one = await device(keeper, emulator, one.folder)
        one.client.stored(one.on_disk)
    await acknowledged(emulator, *ids)
    have |= {*one.got}
    swallowed |= dict(one.heard.swallows).keys()
    assert have | swallowed >= set(ids)
    assert len(swallowed - have) <= 10  # one each
    await one.client.kill()


async def test_with_many_messages_unstored_the_library_stops_reading_and_nothing_is_lost(
    one: Device, emulator: Emulator
) -> None:
    one.keeps = False
    ids = [write(emulator, f"flood {n}") for n in range(150)]
    await until(lambda: len(one.got) >= 65)
    await asyncio.sleep(2.5)  # longer than it takes for something to count as swallowed
    assert len(one.got) == 65
    assert not one.heard.swallows
    assert psutil.Process(one.client.pid).num_threads() < 200
    one.keeps = True
    one.client.stored(one.got)
    await acknowledged(emulator, *ids)
    assert sorted(one.got) == sorted(ids)
    assert not one.heard.swallows
    assert ledger(emulator).repeated == 0


async def test_many_messages_that_wait_do_not_keep_a_device_from_connecting(
    one: Device, keeper: Keeper, emulator: Emulator
) -> None:
    one.keeps = False
    ids = [write(emulator, f"unstored {n}") for n in range(65)]
    await until(lambda: len(one.got) == 65)
    os.kill(one.client.pid, signal.SIGKILL)
    await until(lambda: one.heard.ends)
    ids += [write(emulator, f"waiting {n}") for n in range(100)]

    again = await device(keeper, emulator, one.folder, keeps=False)
    await again.connected()
    again.keeps = True
    again.client.stored([*again.on_disk, *again.got])
    await acknowledged(emulator, *ids)
    assert sorted({*one.got, *again.got}) == sorted(ids)
    assert not again.heard.swallows
    await again.client.kill()


# Messages of ours


async def test_a_message_is_named_in_the_journal_before_it_leaves(one: Device, emulator: Emulator) -> None:
    ids = {f"ref-{n}": await one.send(f"hello {n}", ref=f"ref-{n}") for n in range(5)}
    assert one.heard.names == left(one.folder) == ids
    assert sent(emulator) == dict.fromkeys(ids.values(), 1)
    assert [mark for mark, _, _ in journal(one.folder)] == [">", "<"] * 5


async def test_a_refused_message_keeps_its_error_in_the_journal(one: Device, emulator: Emulator) -> None:
    emulator.world.start_fault(StartFault(account=PHONE, kind="ack_error", detail="463"))
    with pytest.raises(ValueError, match="463"):
        await one.send("hello", ref="ours")
    assert [(mark, ref) for mark, ref, _ in journal(one.folder)] == [(">", "ours"), ("!", "ours")]


@pytest.mark.crash
async def test_after_a_kill_at_any_moment_of_sending_the_journal_knows_all_that_left(
    one: Device, keeper: Keeper, emulator: Emulator
) -> None:
    async def sending(device: Device, start: int) -> None:
        for n in range(start, start + 50):
            await device.send(f"hello {n}", ref=f"ref-{n}")

    for turn in range(10):
        task = asyncio.create_task(sending(one, turn * 50))
        await (one.names_one_more() if turn % 2 else asyncio.sleep(0.05 + 0.017 * turn))
        os.kill(one.client.pid, signal.SIGKILL)
        with pytest.raises(Gone) as e:
            await task
        known = left(one.folder)
        assert e.value.named in {"", *known.values()}
        assert set(sent(emulator)) <= set(known.values())
        one = await device(keeper, emulator, one.folder)
        await one.connected()
    assert set(sent(emulator).values()) == {1}
    await one.client.kill()


async def test_a_message_that_could_not_leave_in_time_never_leaves(one: Device, emulator: Emulator) -> None:
    late: list[tuple[Connection, Node]] = []

    def hold(connection: Connection, node: Node) -> Node | None:
        """The network answers late which devices a customer has."""
        if node.tag == "iq" and any(part.tag == "usync" for part in node.children):
            late.append((connection, node))
            return None
        return node

    emulator.filters.append(hold)
    with pytest.raises(NoAnswer) as e:
        await one.send("hello", ref="ours", limit_s=0.5)
    assert not e.value.named
    emulator.filters.remove(hold)
    for connection, node in late:
        connection.send(node)
    await until(lambda: one.heard.ends)
    assert "a cancelled message was about to leave" in one.heard.ends[0][1]
    assert not sent(emulator)
    assert not left(one.folder)


async def test_a_worker_that_stands_still_takes_no_message_with_it(one: Device, emulator: Emulator) -> None:
    os.kill(one.client.pid, signal.SIGSTOP)
    with pytest.raises((Gone, NoAnswer)) as e:
        await one.send("hello", ref="ours", limit_s=0.2)
    assert isinstance(e.value, Gone | NoAnswer)
    assert not e.value.named
    assert not running(one.client.pid)
    assert not sent(emulator)


# The process


async def test_one_account_crashes_and_the_other_goes_on(
    one: Device, keeper: Keeper, emulator: Emulator, tmp_path: Path
) -> None:
    async with linked(keeper, emulator, tmp_path / "two", phone=OTHER) as two:
        os.kill(one.client.pid, signal.SIGKILL)
        await until(lambda: one.heard.ends)
        assert await two.send("still here", ref="ours")
        assert not two.heard.ends


async def test_accounts_may_share_a_worker(emulator: Emulator, tmp_path: Path) -> None:
    async with (
        Keeper(DevicesSettings(accounts_per_worker=2)) as keeper,
        linked(keeper, emulator, tmp_path / "one") as one,
        linked(keeper, emulator, tmp_path / "two", phone=OTHER) as two,
    ):
        assert one.client.pid == two.client.pid
        await asyncio.gather(one.send("one", ref="1"), two.send("two", ref="2"))
        assert len(sent(emulator)) == len(sent(emulator, OTHER)) == 1
        id = write(emulator, "for two", to=OTHER)
        await until(lambda: two.got == [id])
        await one.client.stop(5)
        assert await two.send("alone now", ref="3")


@asynccontextmanager
async def node_with_a_worker(folder: Path) -> AsyncGenerator[tuple[asyncio.subprocess.Process, int]]:
    """A process that starts a worker; it and the worker's process id."""
    program = f"""
import asyncio
from pathlib import Path
from tests.transports.device.workers import Heard
from wafleet.clientlib import find
from wafleet.config import DevicesSettings
from wafleet.transports.device.keeper import Keeper

async def main():
    keeper = Keeper(DevicesSettings(), patience_s=1)
    one = await keeper.client(folder=Path({str(folder)!r}), program=find().program, ears=Heard())
    print(one.pid, flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""
    root = Path(__file__).parents[3]
    node = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", program), cwd=root, env=os.environ | {"PYTHONPATH": "src:."}, stdout=subprocess.PIPE
    )
    assert node.stdout
    try:
        yield node, int(await node.stdout.readline())
    finally:
        with suppress(ProcessLookupError):
            node.kill()
        await node.wait()


async def test_a_worker_dies_with_the_process_that_started_it(tmp_path: Path) -> None:
    async with node_with_a_worker(tmp_path) as (node, pid):
        assert running(pid)
        node.kill()
        await node.wait()
        await until(lambda: not running(pid), 1)


async def test_a_worker_ends_when_the_process_that_started_it_stands_still(tmp_path: Path) -> None:
    async with node_with_a_worker(tmp_path) as (node, pid):
        await asyncio.sleep(1.5)  # longer than it waits for a word, and it had many
        assert running(pid)
        node.send_signal(signal.SIGSTOP)
        await until(lambda: not running(pid), 1.5)


async def test_nothing_is_left_open_when_an_account_comes_and_goes(
    one: Device, keeper: Keeper, emulator: Emulator
) -> None:
    async def come_and_go() -> None:
        again = await device(keeper, emulator, one.folder)
        await again.connected()
        await again.client.stop(5)
        await until(lambda: not emulator.connections)

    await one.client.stop(5)
    others = psutil.Process().children()
    await come_and_go()
    first = psutil.Process().num_fds()
    for _ in range(10):
        await come_and_go()
    await until(
        lambda: psutil.Process().num_fds() <= first
    )  # the emulator's side of the last one closes a little later
    assert psutil.Process().children() == others


def test_a_worker_imports_the_standard_library_alone_and_little_of_it() -> None:
    heavy = {"asyncio", "concurrent", "dataclasses", "email", "google", "http", "inspect", "json", "logging", "neonize"}
    heavy |= {"sqlite3", "ssl", "subprocess", "typing_extensions", "wafleet", "xml"}
    program = f"import sys; sys.path.append({str(PLACE)!r}); import worker.main; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-I", "-S", "-c", program], capture_output=True, text=True, check=True)
    assert not heavy & {name.partition(".")[0] for name in run.stdout.split()}

"""The emulator as a process: started, stopped, killed with `kill -9` in the middle of things, started again."""

import asyncio
import json
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from tests.emulator.process import knowing, process
from tests.emulator.rig import CUSTOMER, PHONE, Client, until

from wafleet.emulator.endpoint import FILE
from wafleet.emulator.run import run
from wafleet.simulator.control import Control, NotDone

pytestmark = pytest.mark.crash

MANY = 60


async def scanned(control: Control, one: Client, at: int = 0) -> None:
    await control.scan(PHONE, qr=await one.qr(at))
    await one.event("Connected")


def read(one: Client) -> list[str]:
    """Return what customers wrote; the own phone's words to its device are not theirs."""
    told = (message.Info for name, message in one.events if name == "Message")
    return [info.ID for info in told if not info.MessageSource.IsFromMe]


async def test_it_stops_in_good_order_and_comes_back_on_the_same_ports(tmp_path: Path) -> None:
    async with process(tmp_path / "emulator") as emulator:
        before = await emulator.start()
        assert await emulator.stop() == 0
        assert not (emulator.folder / FILE).exists()
        after = await emulator.start()
        assert (after.plain, after.tls) == (before.plain, before.tls)


async def test_a_second_one_in_its_folder_is_refused_in_one_sentence(tmp_path: Path) -> None:
    async with process(tmp_path / "emulator") as emulator:
        endpoint = await emulator.start()
        command = [sys.executable, "-m", "wafleet.emulator", "--folder", str(emulator.folder)]
        second = await asyncio.create_subprocess_exec(*command, stderr=subprocess.PIPE)
        _, complaint = await second.communicate()
        assert second.returncode == 1
        assert complaint.count(b"\n") == 1
        assert b"already running" in complaint
        async with knowing(endpoint, tmp_path / "one.db") as one:
            await one.qr()


@pytest.mark.parametrize(
    ("port", "device_port", "sentence"),
    [
        (0, 8080, "room for 10000 to 65535 only"),
        (0, 70000, "room for 10000 to 65535 only"),
        (0, -5, "room for 10000 to 65535 only"),
        (70000, 0, "70000 is not a port"),
        (-5, 0, "-5 is not a port"),
    ],
)
def test_a_port_that_cannot_be_is_refused(tmp_path: Path, port: int, device_port: int, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        run(tmp_path, port=port, device_port=device_port)


def test_a_port_that_was_asked_for_and_is_taken_is_refused(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match=f"Port {port} is taken"):
            run(tmp_path, device_port=port)
    assert not (tmp_path / FILE).exists()
    for way in ("plain", "tls"):
        shutil.rmtree(tmp_path / way)


async def test_the_command_line_starts_it_and_says_where_it_is(tmp_path: Path) -> None:
    words = ["-c", "from wafleet.cli import main; main()", "sim", "device", "--json", "--data-dir", str(tmp_path)]
    command = await asyncio.create_subprocess_exec(sys.executable, *words, stdout=subprocess.PIPE)
    assert command.stdout
    async with asyncio.timeout(30):
        said = json.loads(await command.stdout.readline())
    assert said["folder"] == str(tmp_path / "simulator")
    assert said["pid"] == command.pid
    control = await Control.at(tmp_path / "simulator")
    assert (await control.status()).pid == command.pid
    await control.close()
    command.terminate()
    assert await command.wait() == 0


@pytest.mark.parametrize("words", [["wafleet.emulator", "--folder"], ["wafleet.cli", "sim", "device", "--data-dir"]])
def test_without_the_library_one_sentence_says_what_to_install(tmp_path: Path, words: list[str]) -> None:
    run = "runpy.run_module('wafleet.emulator', run_name='__main__')" if len(words) == 2 else "wafleet.cli.main()"
    program = (
        "import sys, importlib.metadata as m, runpy, wafleet.cli\n"
        "def gone(name): raise m.PackageNotFoundError(name)\n"
        "m.distribution = gone\n"
        f"sys.argv = {[*words, str(tmp_path)]!r}\n"
        f"{run}\n"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=False)
    assert found.returncode == 1
    assert found.stderr.count("\n") == 1
    assert "pip install 'wafleet[device]'" in found.stderr


@pytest.mark.parametrize("pause", [0.02, 0.3])
async def test_killed_in_the_middle_of_linking_it_links_or_links_anew(tmp_path: Path, pause: float) -> None:
    async with process(tmp_path / "emulator") as emulator:
        endpoint, control = await emulator.start(), await emulator.control()
        async with knowing(endpoint, tmp_path / "one.db") as one:
            scanning = asyncio.create_task(control.scan(PHONE, qr=await one.qr()))
            await asyncio.sleep(pause)
            await emulator.kill()
            await asyncio.gather(scanning, return_exceptions=True)
            await control.close()
        endpoint, control = await emulator.start(), await emulator.control()
        try:
            async with knowing(endpoint, tmp_path / "one.db") as again:
                await until(lambda: again.codes or any(name in ("Connected", "LoggedOut") for name, _ in again.events))
                if again.codes:
                    await scanned(control, again)
                elif "LoggedOut" in [name for name, _ in again.events]:
                    async with knowing(endpoint, tmp_path / "anew.db") as anew:
                        await scanned(control, anew)
            assert [(line.account, line.linked) for line in (await control.status()).accounts] == [(PHONE, True)]
        finally:
            await control.close()


async def test_killed_while_a_device_sends_it_knows_all_that_it_confirmed(tmp_path: Path) -> None:
    async with process(tmp_path / "emulator") as emulator:
        endpoint, control = await emulator.start(), await emulator.control()
        async with knowing(endpoint, tmp_path / "one.db") as one:
            await scanned(control, one)
            sending = [asyncio.create_task(one.say(CUSTOMER, f"number {n}")) for n in range(MANY)]
            await until(lambda: sum(task.done() for task in sending) >= MANY // 3)
            mark = one.mark()
            await emulator.kill()
            await control.close()
            await emulator.start()
            results = await asyncio.gather(*sending, return_exceptions=True)
            await one.event("Connected", since=mark)
            control = await emulator.control()
            after = {await one.say(CUSTOMER, "and on")}
            confirmed = {id for id in results if isinstance(id, str)}
            assert len(confirmed) >= MANY // 3
            crossed = {line.ref.decode(): line.times for line in await control.refs(PHONE)}
            assert confirmed | after <= crossed.keys()
            assert set(crossed.values()) == {1}
            await control.close()


async def test_killed_while_a_device_receives_it_loses_nothing(tmp_path: Path) -> None:
    async with process(tmp_path / "emulator") as emulator:
        endpoint, control = await emulator.start(), await emulator.control()
        async with knowing(endpoint, tmp_path / "one.db") as one:
            await scanned(control, one)
            before, mark = len(set(read(one))), one.mark()
            await control.start_load(400, accounts=[PHONE], total=MANY)
            await until(lambda: len(set(read(one))) >= before + MANY // 3)
            await emulator.kill()
            await control.close()
            await emulator.start()
            control = await emulator.control()
            await one.event("Connected", since=mark)
            await all_acknowledged(control)
            offered = [line.id for line in await control.offers(PHONE)]
            assert set(read(one)) == set(offered)
            assert "UndecryptableMessage" not in [name for name, _ in one.events]
            await control.close()


async def all_acknowledged(control: Control) -> None:
    for _ in range(400):
        if not (await control.ledger(PHONE))[0].waiting:
            return
        await asyncio.sleep(0.05)
    raise AssertionError("messages still wait")


async def test_what_cannot_be_scanned_is_said_in_a_sentence(tmp_path: Path) -> None:
    async with process(tmp_path / "emulator") as emulator:
        await emulator.start()
        control = await emulator.control()
        for how, sentence in (
            ({"qr": "hello"}, "not the QR code"),
            ({"qr": "https://wa.me/settings/linked_devices#2@a,b,c,d,1"}, "not shown any more"),
            ({"code": "ABCD-1234"}, "No device waits for a code"),
            ({}, "start linking it"),
        ):
            with pytest.raises(NotDone, match=sentence):
                await control.scan(PHONE, **how)
        await control.close()

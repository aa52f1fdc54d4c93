"""The simulator as a process of its own: started, stopped, killed, started again."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from uuid import UUID

import pytest
from tests.simulator.peer import LAYLA, ONE

from wafleet.domain.ids import AccountId, MessageId, new_id
from wafleet.domain.message import Text
from wafleet.simulator.address import FILE, NotRunning, read_address
from wafleet.simulator.control import Control
from wafleet.transports.base import Doubt, MaybeSent, NotSent, Number, OpenError, Outgoing, Session
from wafleet.transports.simulated import Simulated

Start = Callable[..., "subprocess.Popen[bytes]"]


class Quiet:
    """A listener that only counts."""

    def __init__(self) -> None:
        self.ids: list[str] = []
        self.ends: list[str] = []
        self.many, self.ended = asyncio.Event(), asyncio.Event()

    def received(self, inbound: object) -> None:
        self.ids.append(str(getattr(inbound, "provider_id", "")))
        if len(self.ids) >= 20:
            self.many.set()

    def receipt(self, receipt: object) -> None: ...
    def phone_seen(self, at: datetime) -> None: ...
    def sign(self, sign: object) -> None: ...
    def credentials(self, secret: bytes) -> None: ...
    def pairing(self, pairing: object) -> None: ...

    def closed(self, reason: str, detail: str = "", until: object = None) -> None:
        self.ends.append(reason)
        self.ended.set()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "simulator"


@pytest.fixture
def start(folder: Path) -> Iterator[Start]:
    """Start the simulator and wait until it can be reached."""
    started: list[subprocess.Popen[bytes]] = []

    def start(*options: str) -> "subprocess.Popen[bytes]":
        (folder / FILE).unlink(missing_ok=True)
        scenario = folder.parent / "scenario.yaml"
        scenario.write_text("manners: {auto_scan_s: 0, answer_s: [0, 0.01], delivered_s: [0, 0.02]}")
        command = [sys.executable, "-m", "wafleet.simulator", "--folder", str(folder), "--scenario", str(scenario)]
        process = subprocess.Popen([*command, *options], stderr=subprocess.PIPE)
        started.append(process)
        deadline = time.monotonic() + 10
        while not (folder / FILE).exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate(timeout=10)


@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGINT])
def test_it_stops_cleanly_and_withdraws_its_address(folder: Path, start: Start, by: signal.Signals) -> None:
    process = start()
    assert (folder / FILE).stat().st_mode & 0o777 == 0o600
    assert read_address(folder).pid == process.pid
    process.send_signal(by)
    assert process.wait(5) == 0
    with pytest.raises(NotRunning, match="wafleet sim serve"):
        read_address(folder)


def test_a_second_one_on_the_same_folder_is_refused(folder: Path, start: Start) -> None:
    first = start()
    second = subprocess.Popen(
        [sys.executable, "-m", "wafleet.simulator", "--folder", str(folder)], stderr=subprocess.PIPE
    )
    _, complaint = second.communicate(timeout=10)
    assert second.returncode == 1
    assert b"already running" in complaint
    assert b"Traceback" not in complaint
    assert read_address(folder).pid == first.pid


@pytest.mark.crash
async def test_kill_9_of_the_network_loses_and_repeats_nothing(folder: Path, start: Start) -> None:
    process = start()
    transport, heard, account = Simulated.at(folder, answer_s=2), Quiet(), Number(AccountId(new_id()), ONE)
    secret = await transport.link(account, heard)
    session = await transport.open(account, secret, heard)
    control = await Control.at(folder)
    await control.start_load(2000, accounts=[ONE], total=300)

    async def send() -> tuple[MessageId, str | Exception]:
        out = Outgoing(MessageId(new_id()), LAYLA, Text("hello"))
        try:
            return out.id, await session.send(out)
        except (MaybeSent, NotSent) as e:
            return out.id, e

    await heard.many.wait()
    session.acknowledge(heard.ids[:20])
    sending = [asyncio.create_task(send()) for _ in range(300)]
    await asyncio.wait(sending, return_when=asyncio.FIRST_COMPLETED)
    os.kill(process.pid, signal.SIGKILL)
    results = await asyncio.gather(*sending)
    await heard.ended.wait()
    assert heard.ends == ["network"]
    await control.close()

    process.communicate(timeout=10)
    start()
    session = await opened(transport, account, secret, heard)
    control = await Control.at(folder)
    found = await session.find([Doubt(id) for id, _ in results])
    crossed = {MessageId(UUID(bytes=r.ref)) for r in await control.refs(ONE)}
    assert {id for id, what in found.items() if what} == crossed
    assert {id for id, result in results if isinstance(result, str)} <= crossed
    assert not {id for id, result in results if isinstance(result, NotSent)} & crossed
    line = (await control.ledger(ONE))[0]
    assert (line.sent, line.sent_twice) == (len(crossed), 0)
    assert {o.id for o in await control.offers(ONE)} >= set(heard.ids)
    assert line.offered == line.received + line.waiting
    await transport.close()
    await control.close()


async def opened(transport: Simulated, account: Number, secret: bytes, heard: Quiet) -> Session:
    """Open the session as soon as the network is there again."""
    async with asyncio.timeout(10):
        while True:
            try:
                return await transport.open(account, secret, heard)
            except OpenError:
                await asyncio.sleep(0.02)

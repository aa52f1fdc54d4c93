"""What the simulator itself can carry: its process and a client's, over the local protocol, with delivered receipts.

The product's benchmark runs wafleet, PostgreSQL and the simulator on one machine; this shows the simulator's share.
"""

import argparse
import asyncio
import resource
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from itertools import count
from pathlib import Path

import psutil
import uvloop

from wafleet.domain.ids import AccountId, MessageId, new_id
from wafleet.domain.inbound import Inbound, Receipt
from wafleet.domain.message import Text
from wafleet.simulator.address import NotRunning, read_address
from wafleet.simulator.control import Control
from wafleet.transports.base import Number, Outgoing, Pairing, Session
from wafleet.transports.calls import Sign
from wafleet.transports.simulated import Simulated


class Tally:
    """What all accounts together have heard."""

    def __init__(self) -> None:
        self.receipts = self.inbound = 0
        self._wanted, self._reached = (0, 0), asyncio.Event()

    def look(self) -> None:
        if self.receipts >= self._wanted[0] and self.inbound >= self._wanted[1]:
            self._reached.set()

    async def reach(self, *, receipts: int = 0, inbound: int = 0) -> None:
        self._wanted = (receipts, inbound)
        self._reached.clear()
        self.look()
        async with asyncio.timeout(10):
            await self._reached.wait()


class Account:
    """A listener that counts, and acknowledges at once."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self.session: Session | None = None

    def received(self, inbound: Inbound) -> None:
        self._tally.inbound += 1
        self._tally.look()
        if self.session:
            self.session.acknowledge([inbound.provider_id])

    def receipt(self, receipt: Receipt) -> None:
        self._tally.receipts += 1
        self._tally.look()

    def phone_seen(self, at: datetime) -> None: ...
    def sign(self, sign: Sign) -> None: ...
    def credentials(self, secret: bytes) -> None: ...

    def closed(self, reason: str, detail: str = "", until: object = None) -> None: ...

    def pairing(self, pairing: Pairing) -> None: ...


def cpu_here() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def cpu_of(process: psutil.Process) -> float:
    used = process.cpu_times()
    return used.user + used.system


async def started(folder: Path) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            read_address(folder)
        except NotRunning:
            await asyncio.sleep(0.02)
        else:
            return
    raise TimeoutError("the simulator did not start")


async def lane(session: Session, numbers: "count[int]", total: int, customer: str) -> None:
    while next(numbers) < total:
        await session.send(Outgoing(MessageId(new_id()), customer, Text("Your order is on its way")))


async def outbound(sessions: list[Session], total: int, window: int) -> None:
    numbers = count()
    async with asyncio.TaskGroup() as tasks:
        for s, session in enumerate(sessions):
            for w in range(window):
                tasks.create_task(lane(session, numbers, total, f"+97155{s:04d}{w:03d}"))


async def paced(sessions: list[Session], rate: int, seconds: float) -> int:
    """Send evenly, as a product under a steady load does: less fits into one write."""
    total, begin = int(rate * seconds), time.perf_counter()
    async with asyncio.TaskGroup() as tasks:
        for i in range(total):
            session = sessions[i % len(sessions)]
            out = Outgoing(MessageId(new_id()), f"+97155{i % 1000:07d}", Text("Your order is on its way"))
            tasks.create_task(session.send(out))
            await asyncio.sleep(max(0.0, begin + (i + 1) / rate - time.perf_counter()))
    return total


async def measure(folder: Path, server: psutil.Process, accounts: int, total: int) -> None:
    await started(folder)
    transport, control = Simulated.at(folder), await Control.at(folder)
    numbers = [Number(AccountId(new_id()), f"+9665{i:08d}") for i in range(accounts)]
    tally = Tally()
    listeners = [Account(tally) for _ in numbers]
    secrets = await asyncio.gather(*(transport.link(n, c) for n, c in zip(numbers, listeners, strict=True)))
    begin = time.perf_counter()
    opening = (transport.open(n, s, c) for n, s, c in zip(numbers, secrets, listeners, strict=True))
    sessions = await asyncio.gather(*opening)
    print(f"{accounts} sessions opened in {time.perf_counter() - begin:.2f} s")
    for listener, session in zip(listeners, sessions, strict=True):
        listener.session = session

    begin, here, there = time.perf_counter(), cpu_here(), cpu_of(server)
    await outbound(sessions, total, 4)
    await tally.reach(receipts=total)
    report("sent, with delivered receipt", total, begin, here, there, server)

    begin, here, there = time.perf_counter(), cpu_here(), cpu_of(server)
    steady = await paced(sessions, 1500, 3)
    await tally.reach(receipts=total + steady)
    report("sent evenly at 1,500 msg/s", steady, begin, here, there, server)

    begin, here, there = time.perf_counter(), cpu_here(), cpu_of(server)
    await control.start_load(1e6, total=total)
    await tally.reach(inbound=total)
    report("received and acknowledged", total, begin, here, there, server)
    await asyncio.gather(*(s.ping() for s in sessions))  # so that the acknowledgements have arrived
    lines = await control.ledger()
    print(f"ledger: sent {sum(x.sent for x in lines)}, received {sum(x.received for x in lines)}")
    await transport.close()
    await control.close()


def report(what: str, total: int, begin: float, here: float, there: float, server: psutil.Process) -> None:
    took = time.perf_counter() - begin
    print(
        f"{what:30} {total / took:8.0f} msg/s   simulator {(cpu_of(server) - there) / total * 1e6:5.0f} us CPU/message"
        f"   client {(cpu_here() - here) / total * 1e6:5.0f} us CPU/message"
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--accounts", type=int, default=200)
    parser.add_argument("--messages", type=int, default=15_000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder, scenario = Path(name) / "simulator", Path(name) / "scenario.yaml"
        scenario.write_text("manners: {auto_scan_s: 0, read_share: 0, answer_s: [0, 0.01], delivered_s: [0, 0.05]}\n")
        command = [sys.executable, "-m", "wafleet.simulator", "--folder", str(folder), "--scenario", str(scenario)]
        server = subprocess.Popen(command)
        try:
            uvloop.run(measure(folder, psutil.Process(server.pid), given.accounts, given.messages))
        finally:
            server.terminate()
            server.wait(10)


if __name__ == "__main__":
    main()

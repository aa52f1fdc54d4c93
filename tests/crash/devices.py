"""Linked devices on the emulator, as programs to be killed, and the proof of what crossed."""

import asyncio
import sys
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import psutil
import psycopg
from tests.crash.conftest import Stage
from tests.crash.programs import Network, Program, until
from tests.crash.traffic import SENT

from wafleet.simulator import address as network_address
from wafleet.simulator.control import Control

ENDPOINT = "endpoint.json"


class DeviceStage(Stage):
    """Where one test plays: an emulator instead of the simulated network."""

    def __init__(self, folder: Path, hands: AsyncExitStack) -> None:
        super().__init__(folder, hands)
        self.network = Phones(folder / "network")
        self.processes = [self.network]

    def program(self, name: str = "home", **settings: str) -> Program:
        return super().program(name, **on_emulator(self.network.folder), **settings)


@asynccontextmanager
async def device_stage(folder: Path) -> AsyncGenerator[DeviceStage]:
    """Make a stage; all of it is gone afterwards, the workers too."""
    async with AsyncExitStack() as hands:
        stage = DeviceStage(folder, hands)
        try:
            await stage.network.start()
            yield stage
        finally:
            for one in reversed(stage.processes):
                one.kill()


class Phones(Network):
    """WhatsApp with linked devices: an emulator on its folder."""

    async def start(self) -> None:
        (self.folder / network_address.FILE).unlink(missing_ok=True)
        command = [sys.executable, "-m", "wafleet.emulator", "--folder", str(self.folder)]
        self.begin([*command, "--scenario", str(self._script)], log=self.folder / "said.log")
        await until(self._published, bool, limit_s=30)

    async def _published(self) -> bool:
        endpoint = self.folder / ENDPOINT
        if not await super()._published() or not endpoint.exists():
            return False
        return msgspec.json.decode(endpoint.read_bytes())["pid"] == self.pid


def on_emulator(folder: Path) -> dict[str, str]:
    """The settings of a wafleet whose devices link to this emulator."""
    return {"DEVICES__EMULATOR": str(folder), "DEVICES__CHECKPOINT_S": "1", "DEVICES__STUCK_S": "2"}


async def create(program: Program, count: int, *, first: int = 1) -> dict[str, UUID]:
    """Create accounts that are linked devices, not linked yet; return their phones and ids."""
    made: dict[str, UUID] = {}
    async with program.api() as api:
        if first == 1:
            (await api.post("/api/v1/tenants", json={"name": "Crash"})).raise_for_status()
        for number in range(first, first + count):
            phone = f"+97153{number:07d}"
            body = {"name": f"Device {number}", "phone": phone, "transport": "device", "tenant": "Crash"}
            reply = await api.post("/api/v1/accounts", json=body)
            assert reply.status_code == 201, reply.text
            made[phone] = UUID(reply.json()["id"])
    return made


async def begin_link(program: Program, id: UUID, *, again: bool = False) -> str:
    """Begin linking; return the QR code's text."""
    async with program.api() as api:
        reply = await api.post(f"/api/v1/accounts/{id}/link", json={"again": again})
        assert reply.status_code in {202, 409}, reply.text

    async def shown() -> str:
        return str((await program.get(f"/accounts/{id}/link"))["qr"])

    try:
        return await until(shown, bool)
    except AssertionError as error:
        state = await state_of(program, id)
        raise AssertionError(f"no QR code: the account is {state}\n{program.said()[-5000:]}") from error


async def state_of(program: Program, id: UUID) -> tuple[str, str]:
    told = await program.get(f"/accounts/{id}")
    return str(told["state"]), str(told["reason"])


async def online(program: Program, id: UUID, *, limit_s: float = 30) -> None:
    async def look() -> tuple[str, str]:
        return await state_of(program, id)

    await until(look, lambda seen: seen[0] == "online", limit_s=limit_s)


async def link(program: Program, control: Control, phone: str, id: UUID, *, again: bool = False) -> None:
    """Link an account by its QR code, and wait until it is online."""
    await control.scan(phone, qr=await begin_link(program, id, again=again))
    await online(program, id)


async def linked(program: Program, control: Control, count: int) -> dict[str, UUID]:
    """Create and link devices; return their phones and ids once all are online."""
    made = await create(program, count)
    await asyncio.gather(*(link(program, control, phone, id) for phone, id in made.items()))
    return made


def left_on_disk(program: Program) -> set[str]:
    """The names of what wafleet keeps for its linked devices."""
    return {one.name for one in (program.home / "devices").glob("*")}


def workers(program: Program) -> list[psutil.Process]:
    """The worker processes of a wafleet; none when it has ended."""
    try:
        here = psutil.Process(program.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []
    return [one for one in here if _is_worker(one)]


def _is_worker(process: psutil.Process) -> bool:
    try:
        return any("worker.main" in part for part in process.cmdline())
    except psutil.NoSuchProcess:
        return False


@dataclass(frozen=True)
class Known:
    """What the database knows of messages."""

    states: dict[UUID, str]
    sent: Counter[str]  # the network's ids of what went out
    received: Counter[str]
    placeholders: int  # messages that could not be read


async def known(dsn: str) -> Known:
    async with await psycopg.AsyncConnection.connect(dsn) as conn:
        out = await (await conn.execute("select message_id, state, provider_id from outbox")).fetchall()
        said = await (
            await conn.execute("select provider_id, content->>'type' from messages where direction = 'in'")
        ).fetchall()
    return Known(
        states={row[0]: row[1] for row in out},
        sent=Counter(row[2] for row in out if row[1] in SENT),
        received=Counter(row[0] for row in said),
        placeholders=sum(row[1] == "unsupported" for row in said),
    )


async def _open_ends(control: Control, dsn: str) -> dict[str, Any]:
    states = (await known(dsn)).states.values()
    lines = await control.ledger()
    return {
        "to send": sum(state in {"queued", "sending"} for state in states),
        "to take in": sum(one.waiting for one in lines),
    }


async def prove(control: Control, dsn: str, acknowledged: set[UUID], *, written: int, limit_s: float = 60) -> Known:
    """Wait until nothing is open, then compare what crossed the network with what is stored, by sets of ids.

    written  messages that customers wrote
    A message that nobody can tell anything of (`unknown`) must not have crossed: its account never sends it again.
    """
    await until(lambda: _open_ends(control, dsn), lambda left: left == {"to send": 0, "to take in": 0}, limit_s=limit_s)
    lines = await control.ledger()
    refs = [ref for one in lines for ref in await control.refs(one.account)]
    crossed = Counter({ref.ref.decode(): ref.times for ref in refs})
    offers = [offer for one in lines for offer in await control.offers(one.account)]
    offered = Counter(offer.id for offer in offers)
    found = await known(dsn)
    assert set(found.states) == acknowledged
    assert crossed == found.sent, (crossed - found.sent, found.sent - crossed, Counter(found.states.values()))
    assert len(offered) == written
    assert found.received == offered, (found.received - offered, offered - found.received)
    assert [one for one in lines if one.sent_twice or one.waiting] == []
    return found

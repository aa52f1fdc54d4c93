"""A place to measure in: a temporary folder with its own PostgreSQL, simulated network and wafleet, each a process."""

import asyncio
import json
import os
import sys
import tempfile
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Self, TypeVar

import psutil

from wafleet.domain.ids import AccountId, TenantId, new_id
from wafleet.domain.inbound import Inbound, Receipt
from wafleet.engine.db import Db
from wafleet.engine.migrate import migrate
from wafleet.engine.postgres import open_postgres
from wafleet.engine.secrets import load_or_create_key, open_secrets
from wafleet.simulator.address import NotRunning, read_address
from wafleet.simulator.control import Control
from wafleet.transports.base import Number, Pairing, Session
from wafleet.transports.calls import Sign
from wafleet.transports.simulated import Simulated

T = TypeVar("T")
ROOT = Path(__file__).parents[1]
NETWORK = "manners: {auto_scan_s: 0, read_share: 0, answer_s: [0, 0.01], delivered_s: [0, 0.05]}\n"
NETWORK_IS = "the network answers within 0-10 ms and delivers within 0-50 ms"
START_S = 60.0


@dataclass(frozen=True, slots=True)
class Seeded:
    """An account of the place, linked on its network."""

    id: AccountId
    phone: str
    credentials: bytes


@dataclass(slots=True)
class Place:
    """Where one figure is measured."""

    folder: Path
    dsn: str
    db: Db
    control: Control
    simulator: psutil.Process
    server: psutil.Process
    tenant: TenantId
    settings: dict[str, str] = field(default_factory=dict[str, str])  # of its nodes, besides those of every node

    async def seed(self, accounts: int, *, start: int = 0) -> list[Seeded]:
        """Add accounts that are linked and wait to be run."""
        transport = Simulated.at(self.folder / "simulator")
        numbers = [Number(AccountId(new_id()), f"+9665{start + nr:08d}") for nr in range(accounts)]
        linked: list[bytes] = []
        for some in _parts(numbers, 200):
            linked += await asyncio.gather(*(transport.link(one, Hearing()) for one in some))
        await transport.close()
        seeded = [Seeded(one.id, one.phone, secret) for one, secret in zip(numbers, linked, strict=True)]
        await self._store(seeded)
        return seeded

    async def _store(self, seeded: Sequence[Seeded]) -> None:
        secrets = await open_secrets(self.db, load_or_create_key(self.folder))
        async with self.db.fleet_tx() as tx:
            await tx.run(
                """
                insert into accounts (id, tenant_id, name, phone, transport, state, reason, credentials, settings)
                select id, %(tenant)s, phone, phone, 'simulator', 'offline', 'starting', credentials,
                       '{"commands": ["+447700900001"]}'
                  from unnest(%(ids)s::uuid[], %(phones)s::text[], %(credentials)s::bytea[])
                       as a (id, phone, credentials)
                """,
                tenant=self.tenant,
                ids=[one.id for one in seeded],
                phones=[one.phone for one in seeded],
                credentials=[secrets.encrypt(one.credentials, about=one.id.bytes) for one in seeded],
            )

    async def count(self, sql: Any, **args: object) -> int:
        """Return the one number a statement answers."""
        async with self.db.fleet_tx() as tx:
            return int(await tx.value(sql, **args))

    async def online(self) -> int:
        """Return how many accounts are online."""
        return await self.count("select count(*) from accounts where state = 'online'")

    def postgres_cpu(self) -> float:
        """Return the CPU seconds the database server has used, with those of its processes that have ended."""
        ended = self.server.cpu_times()
        running = sum(cpu(one) for one in (self.server, *self.server.children()))
        return running + ended.children_user + ended.children_system

    @asynccontextmanager
    async def node(self) -> "AsyncGenerator[Node]":
        """Run wafleet in a process of its own."""
        node = await Node.start(self)
        try:
            yield node
        finally:
            await node.stop()


class Node:
    """A wafleet that does what it is told: see `node.py`."""

    def __init__(self, child: Process, began: float) -> None:
        self._child, self.began = child, began
        self.process = psutil.Process(child.pid)
        self.url = self.token = ""
        self.answered = 0.0  # when it began to answer over HTTP

    @classmethod
    async def start(cls, place: Place) -> Self:
        """Start one, and return when it answers."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("WAFLEET_")}
        environment |= {"WAFLEET_DATA_DIR": str(place.folder), "WAFLEET_PORT": "0", "WAFLEET_SIMULATOR__ENABLED": "1"}
        environment |= {"WAFLEET_DATABASE_URL": place.dsn, "WAFLEET_LOG_LEVEL": "warning"}
        environment |= {"WAFLEET_API__PER_TOKEN_PER_SECOND": "100000", **place.settings}
        command = [sys.executable, "-m", "benchmarks.node"]
        began = time.time()
        child = await asyncio.create_subprocess_exec(*command, cwd=ROOT, env=environment, stdin=PIPE, stdout=PIPE)
        node = cls(child, began)
        ready = await node._answer()
        node.url, node.token, node.answered = ready["url"], ready["token"], time.time()
        return node

    async def do(self, order: str, **what: object) -> dict[str, Any]:
        """Have it do something, and return what it says of it."""
        assert self._child.stdin is not None
        self._child.stdin.write(json.dumps({"do": order, **what}).encode() + b"\n")
        return await self._answer()

    async def stop(self) -> None:
        """End it in good order."""
        if self._child.returncode is None:
            self._child.terminate()
        await asyncio.wait_for(self._child.wait(), 30)

    async def _answer(self) -> dict[str, Any]:
        assert self._child.stdout is not None
        line = await asyncio.wait_for(self._child.stdout.readline(), 180)
        if not line:
            raise RuntimeError("wafleet ended")
        return json.loads(line)


@asynccontextmanager
async def open_place(network: str = NETWORK, program: str = "wafleet.simulator") -> AsyncGenerator[Place]:
    """Make a place, and remove all of it afterwards. `program` is the network's."""
    with tempfile.TemporaryDirectory(prefix="wafleet-bench-") as name:
        folder = Path(name)
        async with (
            open_postgres(folder / "postgres") as dsn,
            _network(folder / "simulator", network, program) as simulator,
        ):
            await migrate(dsn)
            async with Db.open(dsn, connections=3) as db:
                tenant = TenantId(new_id())
                async with db.fleet_tx() as tx:
                    await tx.run("insert into tenants (id, name) values (%(id)s, 'bench')", id=tenant)
                    backend = psutil.Process(await tx.value("select pg_backend_pid()"))
                control = await Control.at(folder / "simulator")
                server = backend.parent()
                assert server is not None
                yield Place(folder, dsn, db, control, psutil.Process(simulator.pid), server, tenant)
                await control.close()


@asynccontextmanager
async def open_database() -> AsyncGenerator[Db]:
    """Make a database alone, as durable as the product's, and remove it afterwards."""
    with tempfile.TemporaryDirectory(prefix="wafleet-bench-") as name:
        async with open_postgres(Path(name) / "postgres") as dsn:
            await migrate(dsn)
            async with Db.open(dsn, connections=4) as db:
                yield db


@asynccontextmanager
async def _network(folder: Path, network: str, program: str) -> AsyncGenerator[Process]:
    command = ["-m", program, "--folder", str(folder), "--scenario", _scenario(folder, network)]
    child = await asyncio.create_subprocess_exec(sys.executable, *command)
    try:
        await until(lambda: _listens(folder), lambda up: up)
        yield child
    finally:
        child.terminate()
        await asyncio.wait_for(child.wait(), 30)


def _scenario(folder: Path, network: str) -> str:
    folder.mkdir()
    file = folder / "scenario.yaml"
    file.write_text(network)
    return str(file)


async def _listens(folder: Path) -> bool:
    try:
        read_address(folder)
    except NotRunning:
        return False
    return True


async def until(look: Callable[[], Awaitable[Any]], wanted: Callable[[Any], bool], *, limit_s: float = START_S) -> Any:
    """Look again and again until it is as wanted."""
    async with asyncio.timeout(limit_s):
        seen = await look()
        while not wanted(seen):
            await asyncio.sleep(0.02)
            seen = await look()
        return seen


def cpu(process: psutil.Process) -> float:
    """Return the CPU seconds a process has used."""
    used = process.cpu_times()
    return used.user + used.system


def memory_mb(process: psutil.Process) -> float:
    """Return what a process alone costs in memory: its own pages, and its part of shared ones."""
    return process.memory_full_info().pss / 2**20


def _parts(items: Sequence[T], size: int) -> list[Sequence[T]]:
    return [items[start : start + size] for start in range(0, len(items), size)]


class Hearing:
    """Hears a session, and does nothing."""

    def __init__(self) -> None:
        self.session: Session | None = None

    def received(self, inbound: Inbound) -> None: ...

    def receipt(self, receipt: Receipt) -> None: ...

    def phone_seen(self, at: datetime) -> None: ...
    def sign(self, sign: Sign) -> None: ...
    def credentials(self, secret: bytes) -> None: ...

    def closed(self, reason: str, detail: str = "", until: object = None) -> None: ...

    def pairing(self, pairing: Pairing) -> None: ...


async def connect(
    folder: Path, seeded: Sequence[Seeded], listener: Callable[[], Hearing]
) -> tuple[Simulated, list[Session]]:
    """Open a bare session for each account: the network's own client, and nothing above it."""
    transport = Simulated.at(folder)
    opened: list[Session] = []
    for some in _parts(seeded, 500):
        ears = [listener() for _ in some]
        opening = (transport.open(Number(a.id, a.phone), a.credentials, e) for a, e in zip(some, ears, strict=True))
        for ear, session in zip(ears, await asyncio.gather(*opening), strict=True):
            ear.session = session
            opened.append(session)
    return transport, opened


@asynccontextmanager
async def bare(*arguments: str, say: str = "") -> AsyncGenerator[tuple[Process, str]]:
    """Run a program of `bare.py`; yield it with the first line it says."""
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.bare", *arguments, cwd=ROOT, stdin=PIPE, stdout=PIPE, limit=2**24
    )
    assert child.stdin is not None
    assert child.stdout is not None
    try:
        child.stdin.write(say.encode() + b"\n")
        yield child, (await asyncio.wait_for(child.stdout.readline(), START_S)).decode().strip()
    finally:
        child.terminate()
        await asyncio.wait_for(child.wait(), 30)


def told(seeded: Sequence[Seeded]) -> str:
    """Write accounts down for `bare.py sessions`."""
    return json.dumps([(str(one.id), one.phone, one.credentials.hex()) for one in seeded])

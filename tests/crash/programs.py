"""Real programs to be killed: the simulated network, wafleet, and the database, each a process of its own."""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from random import SystemRandom
from typing import TypeVar

import httpx
import msgspec
from psycopg.conninfo import make_conninfo

from wafleet.cli.serving import Address, read_address
from wafleet.engine.postgres_home import prepare
from wafleet.simulator import address as network_address
from wafleet.simulator.control import Control

T = TypeVar("T")
MASTER_KEY = "a2" * 32  # nodes of one fleet share it
MANNERS = {"auto_scan_s": 0, "answer_s": [0.001, 0.01], "delivered_s": [0.01, 0.05], "read_s": [0.01, 0.1]}
_RANDOM = SystemRandom()
CLEAN = {name: value for name, value in os.environ.items() if not name.startswith("WAFLEET_")}


async def until(look: Callable[[], Awaitable[T]], wanted: Callable[[T], bool], *, limit_s: float = 30) -> T:
    """Look again and again until it is as wanted; fail with what was seen last."""
    deadline = time.monotonic() + limit_s
    while not wanted(seen := await look()):
        assert time.monotonic() < deadline, f"still {seen!r} after {limit_s} s"
        await asyncio.sleep(0.05)
    return seen


def free_port() -> int:
    """Find a port that nobody uses, below those that the system gives out: nobody gets it while ours is away."""
    while True:
        port = _RANDOM.randrange(20_000, 32_000)
        with socket.socket() as one, contextlib.suppress(OSError):
            one.bind(("127.0.0.1", port))
            return port


class Process:
    """One process of ours: started, paused, killed, ended; and gone at the end of its test."""

    python = sys.executable

    def __init__(self) -> None:
        self.running: subprocess.Popen[bytes] | None = None

    def begin(self, command: list[str], *, log: Path, env: Mapping[str, str] = CLEAN) -> None:
        with log.open("ab") as said:
            self.running = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=said, stderr=said, env=dict(env))

    @property
    def pid(self) -> int:
        assert self.running is not None
        return self.running.pid

    def kill(self) -> None:
        """kill -9, and see it gone."""
        if self.running is not None:
            self.running.kill()
            self.running.wait(10)

    def pause(self) -> None:
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    async def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Ask it to end, and return its exit status."""
        assert self.running is not None
        self.running.send_signal(how)
        return await asyncio.to_thread(self.running.wait, 15)

    def alive(self) -> bool:
        return self.running is not None and self.running.poll() is None


class Network(Process):
    """WhatsApp: a simulator on its folder."""

    def __init__(self, folder: Path, manners: Mapping[str, object] | None = None) -> None:
        super().__init__()
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._script = folder / "scenario.yaml"
        self._script.write_bytes(msgspec.yaml.encode({"seed": 5, "manners": {**MANNERS, **(manners or {})}}))

    async def start(self) -> None:
        (self.folder / network_address.FILE).unlink(missing_ok=True)
        command = [sys.executable, "-m", "wafleet.simulator", "--folder", str(self.folder)]
        self.begin([*command, "--scenario", str(self._script)], log=self.folder / "said.log")
        await until(self._published, bool, limit_s=15)

    async def control(self) -> Control:
        return await Control.at(self.folder)

    async def _published(self) -> bool:
        assert self.alive(), (self.folder / "said.log").read_text()
        return (self.folder / network_address.FILE).exists()


class Program(Process):
    """wafleet, on its data folder. `token` and `url` are those of its last start."""

    def __init__(self, home: Path, network: Path, **settings: str) -> None:
        super().__init__()
        self.home, self.url, self.token = home, "", ""
        home.mkdir(parents=True, exist_ok=True, mode=0o711)
        given = {
            "DATA_DIR": str(home),
            "PORT": str(free_port()),
            "ADMIN_PASSWORD": "only-for-tests",
            "MASTER_KEY": MASTER_KEY,
            "SIMULATOR__ENABLED": "true",
            "SIMULATOR__FOLDER": str(network),
            "SESSIONS__BACKOFF_MOST_S": "2",
            **settings,
        }
        self.env = {**CLEAN, **{f"WAFLEET_{name}": value for name, value in given.items()}}
        self._log = home / f"said-{id(self)}.log"

    async def start(self, *, limit_s: float = 60) -> float:
        """Start it, wait until it answers, and return how many seconds that took."""
        began = time.monotonic()
        self.begin_up()
        address = await until(self._published, lambda found: found is not None, limit_s=limit_s)
        assert address is not None
        self.url, self.token = address.url, address.token
        return time.monotonic() - began

    def begin_up(self) -> None:
        """Start it, and wait for nothing."""
        self.begin([sys.executable, "-m", "wafleet", "up"], log=self._log, env=self.env)

    async def restart(self) -> float:
        self.kill()
        return await self.start()

    def api(self) -> httpx.AsyncClient:
        headers = {"Authorization": f"Bearer {self.token}"}
        return httpx.AsyncClient(base_url=self.url, headers=headers, timeout=20, trust_env=False, verify=False)

    def said(self) -> str:
        return self._log.read_text()

    async def get(self, path: str, **query: str) -> dict[str, object]:
        async with self.api() as api:
            reply = await api.get(f"/api/v1{path}", params=query)
            return reply.raise_for_status().json()

    async def health(self) -> tuple[int, dict[str, object]]:
        async with self.api() as api:
            reply = await api.get("/health")
            return reply.status_code, reply.json()

    async def online(self) -> int:
        """How many accounts of the fleet are online; -1 while nobody can say."""
        with contextlib.suppress(httpx.TransportError):
            _, told = await self.health()
            accounts = told["accounts"]
            assert isinstance(accounts, dict)
            return int(accounts.get("online", -1))
        return -1

    async def _published(self) -> Address | None:
        assert self.alive(), self.said()
        found = read_address(self.home)
        return found if found is not None and found.pid == self.pid else None


def database_of(home: Path) -> str:
    """Say how to connect to the database inside a data folder."""
    place = prepare(home / "postgres", durable=True)
    return make_conninfo("", host=str(place.socket_folder), port=5432, user="postgres", dbname="postgres")


def postmaster_of(home: Path) -> int:
    return int((home / "postgres" / "data" / "postmaster.pid").read_text().split("\n", 1)[0])

"""How wafleet ends: at once when asked to, and with one sentence when it cannot start."""

import asyncio
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import psycopg
import pytest
from tests.crash.programs import CLEAN, MASTER_KEY, Process, until
from tests.engine.postgres_programs import enterable_folder, keepers_of

from wafleet.cli.serving import Address, read_address
from wafleet.engine.postgres_keeper import workers_in
from wafleet.simulator.address import read_address as read_network

pytestmark = [pytest.mark.crash, pytest.mark.timeout(120)]

Reason = Callable[[Path, str, int], dict[str, str]]  # (folder, database, a port that is taken): the settings


@pytest.fixture
def folder() -> Iterator[Path]:
    with enterable_folder() as place:
        yield place


@pytest.fixture
def process() -> Iterator[Process]:
    process = Process()
    yield process
    process.kill()


def wafleet(process: Process, folder: Path, *words: str, **settings: str) -> Path:
    """Start a command of wafleet, and return where it writes what it says."""
    env = {**CLEAN, "WAFLEET_MASTER_KEY": MASTER_KEY, **{f"WAFLEET_{name}": value for name, value in settings.items()}}
    process.begin([process.python, "-m", "wafleet", *words], log=folder / "said.log", env=env)
    return folder / "said.log"


async def test_ctrl_c_ends_the_demo_in_five_seconds_and_leaves_no_process(folder: Path, process: Process) -> None:
    home = folder / "demo"
    said = wafleet(process, folder, "demo", "--accounts", "12", "--port", "0", "--data-dir", str(home))

    async def address() -> Address | None:
        assert process.alive(), said.read_text()
        return read_address(home)

    async def busy() -> bool:
        return "Fleet: " in said.read_text()

    await until(address, lambda found: found is not None, limit_s=60)
    await until(busy, bool, limit_s=30)
    everybody = [read_network(home / "simulator").pid, *workers_in(home / "postgres" / "data")]
    everybody += [one.pid for one in keepers_of(home)]
    everybody += [one.pid for one in psutil.Process(process.pid).children(recursive=True)]
    assert len(set(everybody)) > 5
    began = time.monotonic()
    assert await process.stop(signal.SIGINT) == 0, said.read_text()
    assert time.monotonic() - began < 5
    assert "Traceback" not in said.read_text()

    async def left() -> list[int]:
        return [pid for pid in everybody if psutil.pid_exists(pid)]

    await until(left, lambda pids: pids == [], limit_s=5)


def a_busy_port(folder: Path, dsn: str, taken: int) -> dict[str, str]:
    return {"PORT": str(taken), "DATABASE_URL": dsn}


def a_wrong_address(folder: Path, dsn: str, taken: int) -> dict[str, str]:
    return {"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/nothing"}


def a_newer_schema(folder: Path, dsn: str, taken: int) -> dict[str, str]:
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute("insert into migrations (version, name, checksum) values (9999, '9999_from_the_future', '')")
    return {"DATABASE_URL": dsn}


def a_folder_that_is_a_file(folder: Path, dsn: str, taken: int) -> dict[str, str]:
    (folder / "home").write_text("not a folder")
    return {}


def an_unknown_setting(folder: Path, dsn: str, taken: int) -> dict[str, str]:
    return {"DATABSE_URL": dsn}


REASONS: dict[Reason, str] = {
    a_busy_port: "choose another with WAFLEET_PORT",
    a_wrong_address: "WAFLEET_DATABASE_URL",
    a_newer_schema: "newer",
    a_folder_that_is_a_file: "set WAFLEET_DATA_DIR",
    an_unknown_setting: "did you mean WAFLEET_DATABASE_URL?",
}


@pytest.mark.parametrize("reason", REASONS)
async def test_what_keeps_wafleet_from_starting_is_one_sentence(
    folder: Path, process: Process, dsn: str, reason: Reason
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        settings = {"PORT": "0", "DATA_DIR": str(folder / "home")}
        settings |= reason(folder, dsn, other.getsockname()[1])
        said = wafleet(process, folder, "up", **settings)
        assert process.running is not None
        assert await asyncio.to_thread(process.running.wait, 60) in {1, 4}
    sentence = said.read_text().strip()
    assert sentence.startswith("wafleet: ")
    assert "\n" not in sentence
    assert "Traceback" not in sentence
    assert REASONS[reason] in sentence

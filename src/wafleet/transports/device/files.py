"""The private store of one linked account, and the credentials made of it.

The library keeps a device's keys and sessions in an SQLite file that changes with every message. It lives in the
account's *private store*, a folder only we can read; our database gets a consistent copy of it now and then, packed and
encrypted, as the account's credentials.

Which of the two is newer is told by their *lineage*. A store keeps its tag for as long as it goes on from itself, and
counts its copies. A store that was written out of credentials gets a new tag and remembers what it came from. So the
folder goes on where its tag is that of the credentials, or where it came from exactly these; in every other case
another node has run the account since, and the credentials win. A folder may therefore stay behind without harm.
"""

import asyncio
import fcntl
import os
import shutil
import sqlite3
import struct
import zlib
from collections.abc import Mapping
from contextlib import closing, suppress
from pathlib import Path
from typing import Final, Self
from uuid import UUID, uuid4

import msgspec

from wafleet.domain.ids import AccountId
from wafleet.transports.device.session_store import is_whole
from wafleet.transports.device.worker import store as kept

SESSION: Final = "session.db"
LINEAGE: Final = "lineage"
MOST_BYTES: Final = 256 * 1024 * 1024  # what credentials may unpack to; a store of years is a tenth of that

_MAGIC: Final = b"WFD1"
_SIZE: Final = struct.Struct("!I")
_SQLITE: Final = b"SQLite format 3\0"
_TOLD: Final = 200  # messages without an answer that travel with the credentials


class Unreadable(Exception):
    """These are not the credentials of a linked device, or they are damaged."""


class InUse(Exception):
    """Another process of this machine runs the account."""


class Lineage(msgspec.Struct, frozen=True):
    """What a private store, or a copy of it, goes on from."""

    tag: str
    count: int = 0  # copies made under this tag
    parent: str = ""  # the copy it was written out of: its tag, a slash, its count

    @property
    def name(self) -> str:
        return f"{self.tag}/{self.count}"

    def follows(self, copy: "Lineage") -> bool:
        """Tell whether a store goes on where `copy` ends, so that it is as new or newer."""
        return (self.tag == copy.tag and self.count >= copy.count) or self.parent == copy.name

    def written_out(self) -> "Lineage":
        return Lineage(uuid4().hex, 0, self.name)

    def copied(self) -> "Lineage":
        return Lineage(self.tag, self.count + 1, self.parent)


class Header(msgspec.Struct, frozen=True):
    """What the credentials say of themselves, before the library's file."""

    lineage: Lineage
    open: tuple[tuple[str, str], ...] = ()  # messages that went out without an answer: our id, the network's


def pack(header: Header, database: bytes) -> bytes:
    """Make credentials: about a fifth of the file they hold."""
    about = msgspec.json.encode(header)
    return _MAGIC + _SIZE.pack(len(about)) + about + zlib.compress(database, 6)


def unpack(credentials: bytes) -> tuple[Header, bytes]:
    """Read credentials. Raises Unreadable."""
    header, at = _header(credentials)
    unpacking = zlib.decompressobj()
    try:
        database = unpacking.decompress(credentials[at:], MOST_BYTES)
    except zlib.error as error:
        raise Unreadable(f"the packed session is damaged: {error}") from error
    if not unpacking.eof or not database.startswith(_SQLITE):
        raise Unreadable("the packed session is cut short, too large, or no session at all")
    return header, database


def header(credentials: bytes) -> Header:
    """Read what credentials say of themselves. Raises Unreadable."""
    return _header(credentials)[0]


def _header(credentials: bytes) -> tuple[Header, int]:
    if not credentials.startswith(_MAGIC) or len(credentials) < len(_MAGIC) + _SIZE.size:
        raise Unreadable("these are not the credentials of a linked device")
    (size,) = _SIZE.unpack_from(credentials, len(_MAGIC))
    at = len(_MAGIC) + _SIZE.size
    try:
        return msgspec.json.decode(credentials[at : at + size], type=Header), at + size
    except msgspec.DecodeError as error:
        raise Unreadable(f"the credentials are damaged: {error}") from error


class Store:
    """The private store of one account on this machine. One `Store` at a time may hold it: see `take`."""

    def __init__(self, root: Path, account: AccountId) -> None:
        self.folder = root / str(account)
        self._lock_path = root / f"{account}.lock"
        self._lock: int | None = None
        self._lineage = Lineage("")
        self._copied_at: object = None
        self.continues = False  # everything sent since the credentials were made is in this folder's journal

    def take(self) -> Self:
        """Hold the store until `let_go`, or until this process ends. Raises InUse."""
        self._lock_path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = os.open(self._lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(lock)
            raise InUse(f"another process runs this account: {self._lock_path} is locked") from error
        self._lock = lock
        return self

    def let_go(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    @property
    def lineage(self) -> Lineage:
        return self._lineage

    async def restore(self, credentials: bytes) -> None:
        """Make the folder hold the newest session: its own where it goes on from these. Raises Unreadable, OSError."""
        await asyncio.to_thread(self._restore, credentials)

    async def fresh(self) -> None:
        """Make the folder hold no session yet, for a phone to be linked. Raises OSError."""
        await asyncio.to_thread(self._write_out, Lineage(uuid4().hex), b"")

    async def copy(self, unanswered: Mapping[str, str] | None = None) -> bytes:
        """Return a consistent copy of the session as it is now, as credentials. Raises Unreadable, OSError.

        unanswered  messages that went out without an answer: our id, the network's; the newest travel along
        """
        told = tuple((unanswered or {}).items())[-_TOLD:]
        return await asyncio.to_thread(self._copy, told)

    def changed(self) -> bool:
        """Tell whether the session was written to since the last copy."""
        return self._state() != self._copied_at

    def spooled(self) -> bool:
        """Tell whether messages wait here that are not stored yet."""
        return next(kept.spooled(self.folder), None) is not None

    async def forget(self) -> None:
        """Remove the session, which the network ended for good; what came in and is not stored yet stays."""
        await asyncio.to_thread(self._forget)

    async def remove(self) -> None:
        """Remove the folder and all that is in it."""
        await asyncio.to_thread(shutil.rmtree, self.folder, ignore_errors=True)

    async def forget_all(self) -> None:
        """Remove the folder and its lock, unless somebody holds it."""
        with suppress(InUse):
            self.take()
            try:
                await self.remove()
                self._lock_path.unlink(missing_ok=True)
            finally:
                self.let_go()

    async def remove_if(self, credentials: bytes) -> bool:
        """Remove the folder where nothing of it is wanted beside these stored credentials; tell whether it was.

        That is so where it holds just what they hold, or where another node has run the account since; and where no
        message waits in it. Raises Unreadable, and InUse where somebody holds it.
        """
        self.take()
        try:
            return await asyncio.to_thread(self._remove_if, credentials)
        finally:
            self.let_go()

    def _restore(self, credentials: bytes) -> None:
        told, database = unpack(credentials)
        here = self._here()
        if here is not None and here.follows(told.lineage) and self._sound():
            self._lineage, self.continues = here, True
            return
        self._write_out(told.lineage.written_out(), database)

    def _sound(self) -> bool:
        try:
            with closing(self._connect()) as session:
                return is_whole(session)
        except sqlite3.Error:
            return False

    def _write_out(self, lineage: Lineage, database: bytes) -> None:
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.folder.chmod(0o700)
        self._forget()
        _write(self.folder / SESSION, database)
        with closing(sqlite3.connect(self.folder / SESSION)) as session:  # readers do not stop the library's writing
            session.execute("pragma journal_mode=wal")
        self._keep(lineage)

    def _forget(self) -> None:
        self.continues = False
        for name in (LINEAGE, SESSION, f"{SESSION}-wal", f"{SESSION}-shm", f"{SESSION}-journal"):
            (self.folder / name).unlink(missing_ok=True)

    def _copy(self, unanswered: tuple[tuple[str, str], ...]) -> bytes:
        before = self._state()
        self._keep(self._lineage.copied())  # before the copy is handed out: the folder is never older than a copy
        try:
            with closing(self._connect()) as session, closing(sqlite3.connect(":memory:")) as copy:
                session.backup(copy)
                database = copy.serialize()
        except sqlite3.Error as error:
            raise Unreadable(f"the session cannot be read: {error}") from error
        self._copied_at = before
        return pack(Header(self._lineage, unanswered), database)

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(f"{(self.folder / SESSION).absolute().as_uri()}?mode=rw", uri=True, timeout=10)

    def _keep(self, lineage: Lineage) -> None:
        _write(self.folder / LINEAGE, msgspec.json.encode(lineage))
        self._lineage = lineage

    def _here(self) -> Lineage | None:
        try:
            return msgspec.json.decode((self.folder / LINEAGE).read_bytes(), type=Lineage)
        except (OSError, msgspec.DecodeError):
            return None

    def _state(self) -> object:
        """What differs after every write: SQLite appends each transaction to the file beside the session."""
        found: list[tuple[int, int]] = []
        for name in (SESSION, f"{SESSION}-wal"):
            with suppress(OSError):
                stat = (self.folder / name).stat()
                found.append((stat.st_mtime_ns, stat.st_size))
        return found

    def _remove_if(self, credentials: bytes) -> bool:
        here, stored = self._here(), header(credentials).lineage
        if here is None or (here != stored and here.follows(stored)) or self.spooled():
            return False
        shutil.rmtree(self.folder, ignore_errors=True)
        self._lock_path.unlink(missing_ok=True)
        return True


def left(root: Path) -> frozenset[AccountId]:
    """Return the accounts that have a store, or the lock of one, in this folder."""
    found: set[AccountId] = set()
    for path in root.iterdir() if root.is_dir() else ():
        with suppress(ValueError):
            found.add(AccountId(UUID(path.stem)))
    return frozenset(found)


def _write(path: Path, content: bytes) -> None:
    """Write a file as a whole, or not at all, even where the machine loses its power."""
    part = path.with_name(f"{path.name}.part")
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)

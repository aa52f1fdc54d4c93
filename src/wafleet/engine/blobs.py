"""Media and other large things, kept by their content: what is stored twice takes its place once."""

import asyncio
import contextlib
import errno
import hashlib
import os
import re
import tempfile
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, Protocol, cast

CHUNK_BYTES: Final = 256 * 1024
MOST_BYTES: Final = 100 * 1024 * 1024  # the largest document WhatsApp takes
STALE_S: Final = 24 * 3600.0
_ID: Final = re.compile(r"[0-9a-f]{64}")
FULL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class BlobError(Exception):
    """Something could not be stored or read; the sentence says why and what to do."""


class StoreFull(BlobError):
    """There is no room left."""


class StoreAway(BlobError, OSError):
    """The store cannot be reached, or refuses; later it may be there again."""


class TooLarge(BlobError):
    """It is larger than the limit."""


class NoBlob(BlobError):
    """Nothing is stored under this id."""


@dataclass(frozen=True, slots=True)
class Blob:
    id: str  # SHA-256 of the content, hexadecimal
    size: int  # bytes


class BlobStore(Protocol):
    """Where blobs are kept: a folder, or anything that follows this."""

    async def put(self, content: bytes | AsyncIterable[bytes], *, most_bytes: int = MOST_BYTES) -> Blob:
        """Store content, durable on return; the same content has the same id. Raises TooLarge, StoreFull."""
        ...

    def open(self, blob: str) -> contextlib.AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """Open a blob and read it in pieces. Raises NoBlob on entering."""
        ...

    async def exists(self, blob: str) -> bool: ...

    async def delete(self, blob: str, *, older_than_s: float = 0) -> bool:
        """Remove a blob unless it was put again since; True if it went. Whoever is reading it reads on to its end."""
        ...

    async def older_than(self, age_s: float) -> list[str]:
        """Return the blobs that were last put longer ago than this."""
        ...

    async def sweep(self) -> int:
        """Remove parts that a killed program left behind and return how many."""
        ...


class FolderStore:
    """Blobs as files in a folder: ab/cd/abcd... A killed program leaves no half blob, at most a stray part."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._parts = folder, folder / "parts"

    async def put(self, content: bytes | AsyncIterable[bytes], *, most_bytes: int = MOST_BYTES) -> Blob:
        part: _Part | None = None
        try:
            part = await asyncio.to_thread(_Part, self._parts)
            async for chunk in chunks(content):
                if part.size + len(chunk) > most_bytes:
                    raise TooLarge(f"It is larger than {most_bytes:,} bytes: send a smaller one.")
                await asyncio.to_thread(part.write, chunk)
            return await asyncio.to_thread(self._keep, part)
        except OSError as error:
            if error.errno not in FULL:
                raise
            raise full(self._folder) from error
        finally:
            if part is not None:
                part.discard()

    @asynccontextmanager
    async def open(self, blob: str) -> AsyncGenerator[AsyncIterator[bytes]]:
        try:
            file = await asyncio.to_thread(self._path(blob).open, "rb")
        except FileNotFoundError as error:
            raise NoBlob(f"There is no blob {blob}: it was deleted, or never stored.") from error
        try:
            yield _pieces(cast(BinaryIO, file))
        finally:
            file.close()

    async def exists(self, blob: str) -> bool:
        try:
            return await asyncio.to_thread(self._path(blob).is_file)
        except NoBlob:
            return False

    async def delete(self, blob: str, *, older_than_s: float = 0) -> bool:
        try:
            return await asyncio.to_thread(self._delete, self._path(blob), older_than_s)
        except (FileNotFoundError, NoBlob):
            return False

    async def older_than(self, age_s: float) -> list[str]:
        return await asyncio.to_thread(self._older_than, age_s)

    async def sweep(self, *, older_than_s: float = STALE_S) -> int:
        """Remove parts that a killed program left behind and return how many."""
        return await asyncio.to_thread(self._sweep, older_than_s)

    def _keep(self, part: "_Part") -> Blob:
        blob = Blob(part.digest.hexdigest(), part.size)
        path = self._path(blob.id)
        part.flush()
        for folder in (path.parent.parent, path.parent):
            if not folder.is_dir():
                folder.mkdir(parents=True, exist_ok=True)
                _flush_names(folder.parent)
        part.path.replace(path)  # atomic; if it was there already, with the same content
        _flush_names(path.parent)
        return blob

    def _path(self, blob: str) -> Path:
        if not _ID.fullmatch(blob):
            raise NoBlob("There is no such blob: an id has 64 hexadecimal digits.")
        return self._folder / blob[:2] / blob[2:4] / blob

    def _delete(self, path: Path, older_than_s: float) -> bool:
        """Taken aside first: what is then seen to be new was put a moment ago, and goes back to its place."""
        if not older_than_s:
            path.unlink()
            return True
        self._parts.mkdir(parents=True, exist_ok=True)
        now = _disk_time(self._parts)
        if now - path.stat().st_mtime <= older_than_s:
            return False
        aside = self._parts / f"{path.name}.part"
        path.rename(aside)
        if now - aside.stat().st_mtime <= older_than_s:
            aside.rename(path)
            return False
        aside.unlink()
        return True

    def _older_than(self, age_s: float) -> list[str]:
        if not self._folder.is_dir():
            return []
        self._parts.mkdir(parents=True, exist_ok=True)
        now, found = _disk_time(self._parts), list[str]()
        for path in self._folder.glob("[0-9a-f][0-9a-f]/[0-9a-f][0-9a-f]/*"):
            with contextlib.suppress(FileNotFoundError):
                if now - path.stat().st_mtime > age_s:
                    found.append(path.name)
        return found

    def _sweep(self, older_than_s: float) -> int:
        found = list(self._parts.glob("*.part"))
        now, swept = _disk_time(self._parts) if found else 0.0, 0
        for path in found:
            with contextlib.suppress(FileNotFoundError):
                if now - path.stat().st_mtime > older_than_s:
                    path.unlink()
                    swept += 1
        return swept


class _Part:
    """A blob that is being written."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(suffix=".part", dir=folder)
        self.path, self._file = Path(name), os.fdopen(handle, "wb", buffering=0)
        self.digest, self.size = hashlib.sha256(), 0

    def write(self, chunk: bytes) -> None:
        view = memoryview(chunk)
        while view:
            view = view[self._file.write(view) :]
        self.digest.update(chunk)
        self.size += len(chunk)

    def flush(self) -> None:
        os.fsync(self._file.fileno())
        self._file.close()

    def discard(self) -> None:
        self._file.close()
        self.path.unlink(missing_ok=True)


def full(folder: Path) -> StoreFull:
    """Name what to do about a disk that is full."""
    return StoreFull(f"The disk of {folder} is full: free some space, or move the folder to a larger disk.")


async def chunks(content: bytes | AsyncIterable[bytes]) -> AsyncGenerator[bytes]:
    """Return content piece by piece, however it was given."""
    if isinstance(content, bytes):
        yield content
        return
    async for chunk in content:
        yield chunk


async def _pieces(file: BinaryIO) -> AsyncGenerator[bytes]:
    while piece := await asyncio.to_thread(file.read, CHUNK_BYTES):
        yield piece


def _flush_names(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _disk_time(folder: Path) -> float:
    """The clock that stamped the files: of another machine, when the folder is shared."""
    handle, name = tempfile.mkstemp(dir=folder)
    try:
        return os.fstat(handle).st_mtime
    finally:
        os.close(handle)
        Path(name).unlink()

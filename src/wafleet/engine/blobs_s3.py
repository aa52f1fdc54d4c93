"""Blobs in a bucket of an S3-compatible store, shared by all nodes: ab/cd/abcd... as in a folder. Extra `s3`."""

import asyncio
import contextlib
import hashlib
import re
import tempfile
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Generator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store

from wafleet.engine.blobs import CHUNK_BYTES, FULL, MOST_BYTES, Blob, NoBlob, StoreAway, TooLarge, chunks, full

if TYPE_CHECKING:
    from obstore import GetResult, ObjectMeta
    from obstore.store import S3Config

IN_MEMORY: Final = 1024 * 1024  # a larger blob waits in a file until its name is known
LEAVING: Final = "leaving/"
LEAVING_S: Final = 60.0  # whoever deletes is done by then, or dead
AGAIN_S: Final = 0.2
_ID: Final = re.compile(r"[0-9a-f]{64}")


class BucketStore:
    """Blobs as objects of a bucket. What was put is there for every node at once.

    A name is known only once all of the content is, so content waits here before it goes out. Nothing in S3 deletes an
    object only if it is still old: whoever deletes leaves a note first, and whoever puts looks for it afterwards.

    bucket      must exist
    endpoint    None: Amazon's own
    access_key  None: what the machine's environment or its role gives, as for other programs
    """

    def __init__(
        self,
        bucket: str,
        *,
        endpoint: str | None = None,
        region: str = "us-east-1",
        prefix: str = "",
        access_key: str | None = None,
        secret_key: str | None = None,
        answer_s: float = 30.0,
    ) -> None:
        self._called = f"{bucket} at {endpoint or 'Amazon S3'}"
        with self._named():
            self._store = S3Store(
                bucket,
                prefix=prefix or None,
                config=_config(region, endpoint, access_key, secret_key),
                client_options={
                    "allow_http": (endpoint or "").startswith("http://"),
                    "connect_timeout": timedelta(seconds=5),
                    "read_timeout": timedelta(seconds=answer_s),
                    "timeout": timedelta(seconds=answer_s * 10),
                },
                retry_config={"max_retries": 3, "retry_timeout": timedelta(seconds=answer_s)},
            )

    async def put(self, content: bytes | AsyncIterable[bytes], *, most_bytes: int = MOST_BYTES) -> Blob:
        with tempfile.SpooledTemporaryFile(IN_MEMORY) as file:
            digest, size = hashlib.sha256(), 0
            async for chunk in chunks(content):
                size += len(chunk)
                if size > most_bytes:
                    raise TooLarge(f"It is larger than {most_bytes:,} bytes: send a smaller one.")
                digest.update(chunk)
                await asyncio.to_thread(_spool, file, chunk)
            blob = Blob(digest.hexdigest(), size)
            with self._named():
                await self._put(blob, file)
        return blob

    @asynccontextmanager
    async def open(self, blob: str) -> AsyncGenerator[AsyncIterator[bytes]]:
        with self._named():
            try:
                found = await obstore.get_async(self._store, _key(blob))
            except FileNotFoundError as error:
                raise NoBlob(f"There is no blob {blob}: it was deleted, or never stored.") from error
        yield self._pieces(found)

    async def exists(self, blob: str) -> bool:
        with self._named():
            return _ID.fullmatch(blob) is not None and await self._at(_key(blob)) is not None

    async def delete(self, blob: str, *, older_than_s: float = 0) -> bool:
        if not _ID.fullmatch(blob):
            return False
        with self._named():
            return await (self._delete_old(blob, older_than_s) if older_than_s else self._delete(blob))

    async def older_than(self, age_s: float) -> list[str]:
        before = await self._now() - timedelta(seconds=age_s)
        return [name for name, at in await self._listed("") if _ID.fullmatch(name) and at < before]

    async def sweep(self) -> int:
        """Remove the notes of deleters that died. Parts of uploads that broke off are the bucket's own to expire."""
        before = await self._now() - timedelta(seconds=LEAVING_S)
        old = [name for name, at in await self._listed(LEAVING) if at < before]
        with self._named():
            for name in old:
                await obstore.delete_async(self._store, LEAVING + name)
        return len(old)

    async def _put(self, blob: Blob, file: "tempfile.SpooledTemporaryFile[bytes]") -> None:
        """Put a blob until nobody who deletes can have meant what was there before."""
        while True:
            file.seek(0)
            body: IO[bytes] | bytes = file.read() if blob.size <= IN_MEMORY else file
            await obstore.put_async(self._store, _key(blob.id), body)
            if not await self._leaving(blob.id) and await self._at(_key(blob.id)) is not None:
                return
            await asyncio.sleep(AGAIN_S)

    async def _delete(self, blob: str) -> bool:
        there = await self._at(_key(blob)) is not None
        await obstore.delete_async(self._store, _key(blob))
        return there

    async def _delete_old(self, blob: str, older_than_s: float) -> bool:
        loop = asyncio.get_running_loop()
        until = loop.time() + LEAVING_S / 2
        now = await self._noted(blob)
        try:
            at = await self._at(_key(blob))
            if at is None or (now - at).total_seconds() <= older_than_s or loop.time() > until:
                return False
            await obstore.delete_async(self._store, _key(blob))
            return True
        finally:
            await obstore.delete_async(self._store, LEAVING + blob)

    async def _leaving(self, blob: str) -> bool:
        at = await self._at(LEAVING + blob)
        return at is not None and (await self._now() - at).total_seconds() < LEAVING_S

    async def _now(self) -> datetime:
        """Return the time by the clock that stamps objects."""
        with self._named():
            now = await self._noted("now")
            await obstore.delete_async(self._store, LEAVING + "now")
        return now

    async def _noted(self, name: str) -> datetime:
        """Leave a note and return when that was; a store need not take empty objects."""
        now = None
        while now is None:  # another node that asks for the time takes its note away
            await obstore.put_async(self._store, LEAVING + name, b"-")
            now = await self._at(LEAVING + name)
        return now

    async def _at(self, key: str) -> datetime | None:
        """Return when an object was last put; None: it is not there."""
        try:
            return (await obstore.head_async(self._store, key))["last_modified"]
        except FileNotFoundError:
            return None

    async def _listed(self, prefix: str) -> list[tuple[str, datetime]]:
        with self._named():
            listed = obstore.list(self._store, prefix=prefix or None)  # pyright: ignore[reportUnknownMemberType]
            found: Sequence[ObjectMeta] = await listed.collect_async()
        mine = [(one["path"], one["last_modified"]) for one in found]
        return [(path.rpartition("/")[2], at) for path, at in mine if path.startswith(LEAVING) == bool(prefix)]

    async def _pieces(self, found: "GetResult") -> AsyncGenerator[bytes]:
        """All but the last are as long as those of a folder."""
        rest = b""
        with self._named():
            async for piece in found.stream(min_chunk_size=CHUNK_BYTES):
                rest += bytes(piece)
                while len(rest) >= CHUNK_BYTES:
                    yield rest[:CHUNK_BYTES]
                    rest = rest[CHUNK_BYTES:]
        if rest:
            yield rest

    @contextlib.contextmanager
    def _named(self) -> Generator[None]:
        try:
            yield
        except (BaseError, OSError) as error:
            told = " ".join(str(error).split())[:300]
            raise StoreAway(f"The bucket {self._called} cannot be used now: {told}") from error


def _spool(file: IO[bytes], chunk: bytes) -> None:
    try:
        file.write(chunk)
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise full(Path(tempfile.gettempdir())) from error


def _config(region: str, endpoint: str | None, access_key: str | None, secret_key: str | None) -> "S3Config":
    config: S3Config = {"region": region}
    if endpoint:
        config["endpoint"] = endpoint
    if access_key:
        config["access_key_id"] = access_key
    if secret_key:
        config["secret_access_key"] = secret_key
    return config


def _key(blob: str) -> str:
    if not _ID.fullmatch(blob):
        raise NoBlob("There is no such blob: an id has 64 hexadecimal digits.")
    return f"{blob[:2]}/{blob[2:4]}/{blob}"

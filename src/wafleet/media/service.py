"""The media store as callers see it: bytes come in once, and go out to whoever may see them."""

from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from typing import Final

import structlog

from wafleet.config import MediaSettings
from wafleet.domain import errors
from wafleet.domain.errors import NotFound
from wafleet.domain.ids import TenantId
from wafleet.domain.message import Media
from wafleet.engine.blobs import BlobStore, NoBlob, StoreFull, TooLarge
from wafleet.engine.clock import Clock
from wafleet.engine.db import Db
from wafleet.engine.secrets import Secrets
from wafleet.media import store
from wafleet.media.links import pass_for, read_pass
from wafleet.media.model import HEAD, File, Link, mime_of, untrue
from wafleet.tenants import Caller

log = structlog.get_logger(__name__)
MB: Final = 1024 * 1024
GRACE: Final = timedelta(days=1)  # what a transport kept for a message that is not stored yet is left alone
AT_ONCE: Final = 500  # blobs that one look into the database is about
LONGEST_NAME: Final = 200
SHARED_S: Final = 3600.0  # networks queue messages, and fetch files when it is their turn


class Untrue(Exception):
    """A file is not what it was announced as, or larger than is taken; the sentence says so."""


class MediaStore:
    """Where files lie. The bytes are kept once for all tenants; a row says which tenant may see them.

    public_url  how browsers reach this wafleet; links begin with it
    """

    def __init__(
        self,
        db: Db,
        *,
        blobs: BlobStore,
        clock: Clock,
        secrets: Secrets,
        settings: MediaSettings,
        public_url: str | None = None,
    ) -> None:
        self._db, self._blobs, self._clock, self._secrets = db, blobs, clock, secrets
        self._settings, self._public = settings, public_url or ""

    @property
    def most_bytes(self) -> int:
        """The largest file there may be."""
        return self._settings.limit_mb * MB

    async def keep(self, content: bytes) -> str:
        """Store a customer's file for a transport, durable on return; return its name. Raises OSError, ValueError.

        It belongs to nobody until the message that carries it is stored; a transport keeps it before that.
        """
        try:
            return (await self._blobs.put(content, most_bytes=self.most_bytes)).id
        except StoreFull as error:
            raise OSError(str(error)) from error
        except TooLarge as error:
            raise ValueError(str(error)) from error

    async def keep_announced(self, announced: Media, content: bytes) -> Media:
        """Store a customer's file, durable on return; return how it is named here. Raises Untrue, OSError.

        announced  what the network said of it beforehand; one that is something else is not kept
        """
        if wrong := untrue(announced, content):
            raise Untrue(wrong)
        try:
            id = await self.keep(content)
        except ValueError as error:
            raise Untrue(str(error)) from error
        mime = mime_of(content[:HEAD], announced.mime)
        return Media(id=id, mime=mime, size=len(content), name=announced.name)

    def shared(self, tenant: TenantId, id: str) -> str:
        """Return an address at which a network may fetch a file for a short while; empty without a `public_url`."""
        if not self._public:
            return ""
        until = self._clock.now() + timedelta(seconds=max(self._settings.link_s, SHARED_S))
        return f"{self._public}/media/{pass_for(self._secrets, tenant, id, until)}"

    async def read(self, id: str) -> bytes:
        """Return the whole of a file, for a lane that sends it. Raises FileNotFoundError."""
        try:
            async with self._blobs.open(id) as pieces:
                return b"".join([piece async for piece in pieces])
        except NoBlob as error:
            raise FileNotFoundError(str(error)) from error

    async def upload(self, caller: Caller, content: AsyncIterable[bytes], *, mime: str = "", name: str = "") -> File:
        """Take a file in. The same content again is the same file. Raises TooLarge, Unavailable, Invalid, StoreAway.

        mime  what its sender calls it; its own first bytes win
        """
        tenant = caller.tenant_for(None)
        head = _Head(content)
        try:
            blob = await self._blobs.put(head, most_bytes=self.most_bytes)
        except TooLarge as error:
            raise errors.TooLarge(
                f"The file is larger than {self._settings.limit_mb} MB: send a smaller one"
            ) from error
        except StoreFull as error:
            raise errors.Unavailable(str(error), code="store_full") from error
        media = Media(id=blob.id, mime=mime_of(head.bytes, mime), size=blob.size, name=name[:LONGEST_NAME])
        async with self._db.tx(caller.reach) as tx:
            return await store.add(tx, tenant, media)

    async def about(self, caller: Caller, id: str) -> File:
        """Return what is known of a file. Raises NotFound, also for another tenant's, and StoreAway."""
        async with self._db.tx(caller.reach) as tx:
            found = await store.find(tx, id)
        if found is None or not await self._blobs.exists(id):
            raise NotFound("There is no such file", code="media_not_found")
        return found

    def open(self, file: File) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """Open a file that `about` or `linked` returned, to read it in pieces. Raises NoBlob on entering."""
        return self._blobs.open(file.id)

    async def link(self, caller: Caller, id: str) -> Link:
        """Make an address at which anybody may fetch this file for a while. Raises NotFound."""
        file = await self.about(caller, id)
        until = self._clock.now() + timedelta(seconds=self._settings.link_s)
        return Link(f"{self._public}/media/{pass_for(self._secrets, file.tenant, id, until)}", until)

    async def linked(self, written: str) -> File:
        """Return the file a link leads to. Raises NotFound when it has expired, or was never made here."""
        made = read_pass(self._secrets, written)
        if made is None or made.until <= self._clock.now():
            raise NotFound("This link has expired: ask for a new one", code="link_expired")
        async with self._db.tx(made.tenant) as tx:
            found = await store.find(tx, made.id)
        if found is None or not await self._blobs.exists(made.id):
            raise NotFound("There is no such file", code="media_not_found")
        return found

    async def clean(self) -> int:
        """Delete what no message carries and nobody wants to send any more. Returns how many files that were."""
        async with self._db.fleet_tx() as tx:
            await store.forget_unused(tx, older_than_s=self._settings.unused_days * 86_400)
        await self._blobs.sweep()
        old = await self._blobs.older_than(GRACE.total_seconds())
        gone = 0
        for first in range(0, len(old), AT_ONCE):
            some = old[first : first + AT_ONCE]
            async with self._db.fleet_tx() as tx:
                kept = await store.known(tx, some)
            for id in set(some) - kept:
                gone += await self._blobs.delete(id, older_than_s=GRACE.total_seconds())
        if gone:
            log.info("media_cleaned", files=gone)
        return gone


class _Head:
    """Passes a file's pieces on, and remembers how it began."""

    def __init__(self, pieces: AsyncIterable[bytes]) -> None:
        self._pieces, self.bytes = pieces, b""

    async def __aiter__(self) -> AsyncGenerator[bytes]:
        async for piece in self._pieces:
            if len(self.bytes) < HEAD:
                self.bytes = (self.bytes + piece)[:HEAD]
            yield piece

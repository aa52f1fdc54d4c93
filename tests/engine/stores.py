"""Blob stores of both kinds, and what tests may do behind their backs."""

import os
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol, cast

from moto.core.models import DEFAULT_ACCOUNT_ID  # pyright: ignore[reportMissingTypeStubs]
from moto.s3.models import s3_backends  # pyright: ignore[reportMissingTypeStubs]

from wafleet.engine.blobs import BlobStore, FolderStore
from wafleet.engine.blobs_s3 import BucketStore

REGION = "us-east-1"


class Kept(Protocol):
    """A store, and a look at what lies in it."""

    @property
    def store(self) -> BlobStore: ...

    def names(self) -> list[str]:
        """Return the names of all that is stored, whole or in part."""
        ...

    def age(self, name: str, seconds: float) -> None:
        """Let something stored be put so long ago."""
        ...


@dataclass(frozen=True)
class InFolder:
    folder: Path

    @property
    def store(self) -> BlobStore:
        return FolderStore(self.folder)

    def names(self) -> list[str]:
        return [path.name for path in self.folder.rglob("*") if path.is_file()]

    def age(self, name: str, seconds: float) -> None:
        then = time.time() - seconds
        for path in self.folder.rglob(name):
            os.utime(path, times=(then, then))


@dataclass(frozen=True)
class InBucket:
    url: str
    bucket: str
    store: BlobStore

    @classmethod
    def new(cls, url: str, bucket: str) -> "InBucket":
        backend().create_bucket(bucket, REGION)
        store = BucketStore(bucket, endpoint=url, prefix="media", access_key="test", secret_key="secret")
        return cls(url, bucket, store)

    def objects(self) -> dict[str, Any]:
        return cast("dict[str, Any]", dict(backend().buckets[self.bucket].keys.items()))

    def names(self) -> list[str]:
        return [key.rpartition("/")[2] for key in self.objects()]

    def leave(self, key: str) -> None:
        """Put something there that the store did not."""
        backend().put_object(self.bucket, key, b"-")

    def age(self, name: str, seconds: float) -> None:
        for key, one in self.objects().items():
            if key.endswith(name):
                one.last_modified = datetime.now(UTC).replace(tzinfo=None) - timedelta(seconds=seconds)


def backend() -> Any:
    return s3_backends[DEFAULT_ACCOUNT_ID]["aws"]


async def stream(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


async def content(store: BlobStore, blob: str) -> bytes:
    async with store.open(blob) as pieces:
        return b"".join([piece async for piece in pieces])

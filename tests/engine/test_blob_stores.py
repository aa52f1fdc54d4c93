"""What every store of blobs promises, a folder as well as a bucket."""

import asyncio
import errno
import hashlib
import io
import os
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from moto.server import ThreadedMotoServer  # pyright: ignore[reportMissingTypeStubs]
from tests.engine.stores import InBucket, InFolder, Kept, content, stream

from wafleet.engine.blobs import CHUNK_BYTES, Blob, NoBlob, StoreAway, StoreFull, TooLarge
from wafleet.engine.blobs_s3 import LEAVING, BucketStore


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    """A server that speaks S3."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(params=["folder", "bucket"])
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> Kept:
    if request.param == "folder":
        return InFolder(tmp_path / "blobs")
    return InBucket.new(request.getfixturevalue("s3"), f"b{uuid4().hex}")


@pytest.fixture
def bucket(s3: str) -> InBucket:
    return InBucket.new(s3, f"b{uuid4().hex}")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30, deadline=None)
@given(chunks=st.lists(st.binary(max_size=50), max_size=5))
async def test_what_is_stored_comes_back_under_the_name_of_its_content(kept: Kept, chunks: list[bytes]) -> None:
    whole = b"".join(chunks)
    blob = await kept.store.put(stream(*chunks))
    assert blob == Blob(hashlib.sha256(whole).hexdigest(), len(whole)) == await kept.store.put(whole)
    assert await content(kept.store, blob.id) == whole
    assert await kept.store.exists(blob.id)


async def test_a_blob_that_was_put_again_is_not_old_and_stays(kept: Kept) -> None:
    store, blob = kept.store, await kept.store.put(b"menu")
    kept.age(blob.id, 1000)
    assert await store.older_than(900) == [blob.id]
    await store.put(b"menu")
    assert await store.older_than(900) == []
    assert not await store.delete(blob.id, older_than_s=900)
    assert await content(store, blob.id) == b"menu"
    kept.age(blob.id, 1000)
    assert await store.delete(blob.id, older_than_s=900)
    assert kept.names() == []
    assert not await store.delete(blob.id, older_than_s=900)


async def test_a_large_blob_is_read_in_pieces(kept: Kept) -> None:
    blob = await kept.store.put(os.urandom(3 * CHUNK_BYTES + 5))
    async with kept.store.open(blob.id) as pieces:
        sizes = [len(piece) async for piece in pieces]
    assert sizes == [CHUNK_BYTES] * 3 + [5]


async def test_a_blob_of_many_megabytes_comes_back_whole(kept: Kept) -> None:
    whole = os.urandom(12_000_000)
    pieces = [whole[i : i + 1_000_003] for i in range(0, len(whole), 1_000_003)]
    blob = await kept.store.put(stream(*pieces))
    assert blob.id == hashlib.sha256(whole).hexdigest()
    assert await content(kept.store, blob.id) == whole


async def test_the_same_content_put_many_times_at_once_is_stored_once(kept: Kept) -> None:
    blobs = await asyncio.gather(*(kept.store.put(stream(b"same", b"thing")) for _ in range(10)))
    assert len(set(blobs)) == 1
    assert kept.names() == [blobs[0].id]


async def test_what_is_too_large_is_refused_as_soon_as_it_is_and_leaves_nothing(kept: Kept) -> None:
    read = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal read
        while True:
            read += 1
            yield b"x" * 1000

    with pytest.raises(TooLarge, match="larger than 5,000 bytes"):
        await kept.store.put(endless(), most_bytes=5000)
    assert read == 6
    assert kept.names() == []
    assert (await kept.store.put(b"x" * 5000, most_bytes=5000)).size == 5000


async def test_a_source_that_breaks_off_leaves_nothing(kept: Kept) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"half"
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await kept.store.put(broken())
    assert kept.names() == []


async def test_a_deleted_blob_is_gone_but_a_reader_reads_on(kept: Kept) -> None:
    store, blob = kept.store, await kept.store.put(b"x" * (CHUNK_BYTES + 1))
    async with store.open(blob.id) as pieces:
        await anext(pieces)
        assert await store.delete(blob.id)
        assert await anext(pieces) == b"x"
    assert not await store.delete(blob.id)
    assert not await store.exists(blob.id)
    with pytest.raises(NoBlob, match="deleted, or never stored"):
        await content(store, blob.id)


@pytest.mark.parametrize("name", ["", "../../etc/passwd", "a" * 63, "A" * 64, "a" * 64 + "\n", "/" + "a" * 63])
async def test_a_name_that_is_no_id_reaches_no_file(kept: Kept, name: str) -> None:
    assert not await kept.store.exists(name)
    assert not await kept.store.delete(name)
    with pytest.raises(NoBlob):
        await content(kept.store, name)


async def test_who_puts_what_another_node_deletes_finds_it_afterwards(kept: Kept) -> None:
    blob = await kept.store.put(b"menu")
    for _ in range(20):
        kept.age(blob.id, 1000)
        await asyncio.gather(kept.store.put(b"menu"), kept.store.delete(blob.id, older_than_s=900))
        assert await content(kept.store, blob.id) == b"menu"
    assert kept.names() == [blob.id]


async def test_the_note_of_a_deleter_that_died_holds_nobody_up_for_long(bucket: InBucket) -> None:
    blob = await bucket.store.put(b"menu")
    bucket.leave(f"media/{LEAVING}{blob.id}")
    bucket.age(f"{LEAVING}{blob.id}", 61)
    assert await bucket.store.older_than(-2) == [blob.id]
    assert await bucket.store.put(b"menu") == blob
    assert await bucket.store.sweep() == 1
    assert bucket.names() == [blob.id]


async def test_a_bucket_that_is_missing_or_away_is_one_sentence_without_a_key(s3: str) -> None:
    for store in (
        BucketStore("nobodys", endpoint=s3, access_key="hunter", secret_key="hunter2"),
        BucketStore("nobodys", endpoint="http://127.0.0.1:9", access_key="hunter", secret_key="hunter2", answer_s=0.5),
    ):
        with pytest.raises(StoreAway, match="The bucket nobodys at http") as told:
            await store.put(b"menu")
        assert "hunter" not in str(told.value)
        assert "\n" not in str(told.value)


async def test_a_disk_that_is_full_while_a_blob_waits_for_its_name_is_one_sentence(
    s3: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full(io.BytesIO):
        def write(self, _: Any, /) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    def full(_: int) -> Full:
        return Full()

    monkeypatch.setattr(tempfile, "SpooledTemporaryFile", full)
    with pytest.raises(StoreFull, match="is full: free some space"):
        await BucketStore("any", endpoint=s3, access_key="hunter", secret_key="hunter2").put(b"menu")

import asyncio
import errno
import hashlib
import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wafleet.engine.blobs import CHUNK_BYTES, Blob, BlobStore, FolderStore, NoBlob, StoreFull, TooLarge


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path / "blobs")


async def stream(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


async def content(store: BlobStore, blob: str) -> bytes:
    async with store.open(blob) as pieces:
        return b"".join([piece async for piece in pieces])


def files(store: FolderStore) -> list[Path]:
    return [path for path in store._folder.rglob("*") if path.is_file()]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30, deadline=None)
@given(chunks=st.lists(st.binary(max_size=50), max_size=5))
async def test_what_is_stored_comes_back_under_the_name_of_its_content(store: FolderStore, chunks: list[bytes]) -> None:
    whole = b"".join(chunks)
    blob = await store.put(stream(*chunks))
    assert blob == Blob(hashlib.sha256(whole).hexdigest(), len(whole)) == await store.put(whole)
    assert await content(store, blob.id) == whole
    assert await store.exists(blob.id)


async def test_a_large_blob_is_read_in_pieces(store: FolderStore) -> None:
    whole = os.urandom(3 * CHUNK_BYTES + 5)
    blob = await store.put(whole)
    async with store.open(blob.id) as pieces:
        sizes = [len(piece) async for piece in pieces]
    assert sizes == [CHUNK_BYTES] * 3 + [5]


async def test_the_same_content_put_many_times_at_once_is_stored_once(store: FolderStore) -> None:
    blobs = await asyncio.gather(*(store.put(stream(b"same", b"thing")) for _ in range(10)))
    assert len(set(blobs)) == 1
    assert len(files(store)) == 1


async def test_what_is_too_large_is_refused_as_soon_as_it_is_and_leaves_nothing(store: FolderStore) -> None:
    read = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal read
        while True:
            read += 1
            yield b"x" * 1000

    with pytest.raises(TooLarge, match="larger than 5,000 bytes"):
        await store.put(endless(), most_bytes=5000)
    assert read == 6
    assert files(store) == []
    assert (await store.put(b"x" * 5000, most_bytes=5000)).size == 5000


async def test_a_source_that_breaks_off_leaves_nothing(store: FolderStore) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"half"
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await store.put(broken())
    assert files(store) == []


async def test_a_deleted_blob_is_gone_but_a_reader_reads_on(store: FolderStore) -> None:
    blob = await store.put(b"x" * (CHUNK_BYTES + 1))
    async with store.open(blob.id) as pieces:
        await anext(pieces)
        assert await store.delete(blob.id)
        assert await anext(pieces) == b"x"
    assert not await store.delete(blob.id)
    assert not await store.exists(blob.id)
    with pytest.raises(NoBlob, match="deleted, or never stored"):
        await content(store, blob.id)


@pytest.mark.parametrize("name", ["", "../../etc/passwd", "a" * 63, "A" * 64, "a" * 64 + "\n", "/" + "a" * 63])
async def test_a_name_that_is_no_id_reaches_no_file(store: FolderStore, name: str) -> None:
    assert not await store.exists(name)
    assert not await store.delete(name)
    with pytest.raises(NoBlob):
        await content(store, name)


async def test_parts_left_by_a_killed_program_are_swept_once_they_are_old(store: FolderStore) -> None:
    await store.put(b"kept")
    old, young = store._parts / "old.part", store._parts / "young.part"
    for part in (old, young):
        part.touch()
    os.utime(old, (1, 1))
    assert await store.sweep() == 1
    assert young.exists()
    assert len(files(store)) == 2


async def test_other_troubles_of_the_disk_are_not_called_full(
    store: FolderStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_: int) -> None:
        raise OSError(errno.EIO, "broken disk")

    monkeypatch.setattr(os, "fsync", fails)
    with pytest.raises(OSError, match="broken disk"):
        await store.put(b"x")
    assert files(store) == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "small"
    folder.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", folder], capture_output=True, check=False
    )
    if made.returncode:
        pytest.skip("mounting a small disk needs root and a kernel that lets it")
    yield folder
    subprocess.run(["umount", folder], check=True)


async def test_a_full_disk_is_one_sentence_leaves_nothing_and_ends_with_it(small_disk: Path) -> None:
    store = FolderStore(small_disk)
    kept = await store.put(b"kept")
    with pytest.raises(StoreFull, match="is full: free some space"):
        await store.put(stream(*[os.urandom(50_000)] * 10))
    assert await content(store, kept.id) == b"kept"
    assert len(files(store)) == 1
    assert await store.free_bytes() > 100_000
    assert (await store.put(os.urandom(100_000))).size == 100_000


async def test_a_disk_that_says_it_is_full_is_one_sentence(store: FolderStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreFull, match="is full"):
        await store.put(b"x")
    assert files(store) == []

"""What only a folder of blobs has: parts, and a disk that fills up."""

import errno
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.engine.stores import content, stream

from wafleet.engine.blobs import FolderStore, StoreFull


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path / "blobs")


def files(store: FolderStore) -> list[Path]:
    return [path for path in store._folder.rglob("*") if path.is_file()]


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
    assert (await store.put(os.urandom(100_000))).size == 100_000


async def test_a_disk_that_says_it_is_full_is_one_sentence(store: FolderStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreFull, match="is full"):
        await store.put(b"x")
    assert files(store) == []

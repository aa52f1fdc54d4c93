"""When the embedded server cannot be had, a person reads one sentence that says what to do."""

import asyncio
import os
import shutil
import subprocess
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from tests.engine.postgres_programs import STAY, answers, do, enterable_folder, leave, python_for, said, started

from wafleet.engine import postgres, postgres_place
from wafleet.engine.postgres import PostgresError, PostgresSettings, open_postgres

QUICK = PostgresSettings(durable=False, shared_buffers="16MB")
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk and changing the user need root")


@pytest.fixture
def folder() -> Generator[Path]:
    with enterable_folder() as place:
        yield place / "database"


async def refusal(folder: Path) -> str:
    with pytest.raises(PostgresError) as caught:
        async with open_postgres(folder, settings=QUICK):
            raise AssertionError("it started")
    assert "\n" not in caught.value.sentence
    return caught.value.sentence


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Generator[None]:
    folder.mkdir(parents=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=711", "tmpfs", str(folder)]
    if subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("this machine does not let root mount a small disk")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(disk: Path) -> None:
    with suppress(OSError), (disk / "filler").open("wb", buffering=0) as filler:
        for _ in range(1000):
            filler.write(bytes(1_000_000))
    assert shutil.disk_usage(disk).free == 0


@pytest.mark.parametrize(("version", "remedy"), [("99", "update wafleet"), ("9", "pg_dump")])
async def test_data_of_another_major_version_is_left_alone(folder: Path, version: str, remedy: str) -> None:
    async with open_postgres(folder, settings=QUICK):
        pass
    (folder / "data" / "PG_VERSION").write_text(f"{version}\n")
    sentence = await refusal(folder)
    assert f"written by PostgreSQL {version}" in sentence
    assert remedy in sentence


async def test_something_else_named_data_is_left_alone(folder: Path) -> None:
    (folder / "data").mkdir(parents=True)
    assert "is not a database" in await refusal(folder)


async def test_a_file_where_the_folder_should_be_is_named(folder: Path) -> None:
    await asyncio.to_thread(folder.write_text, "")
    assert str(folder) in await refusal(folder)


async def test_a_server_that_does_not_come_up_is_quoted(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_postgres(folder, settings=QUICK):
        pass
    with (folder / "data" / "postgresql.conf").open("a") as file:
        file.write("no_such_setting = 1\n")
    monkeypatch.setattr(postgres, "START_S", 1.0)
    sentence = await refusal(folder)
    assert "did not come up" in sentence
    assert "configuration file" in sentence


@needs_root
async def test_a_disk_too_small_is_noticed_before_anything_is_created(folder: Path) -> None:
    with small_disk(folder, 64):
        assert "less than 200 MB free" in await refusal(folder)
        assert not (folder / "data").exists()


@needs_root
async def test_a_disk_that_has_filled_up_is_named_and_freeing_it_is_enough(folder: Path) -> None:
    with small_disk(folder, 256):
        async with open_postgres(folder, settings=QUICK) as dsn:
            do(dsn, "create table filled as select n from generate_series(1, 1000) as n")
        fill(folder)
        assert "is full" in await refusal(folder)
        (folder / "filler").unlink()
        async with open_postgres(folder, settings=QUICK) as dsn:
            assert answers(dsn)


@needs_root
async def test_an_ordinary_user_starts_it_too_and_learns_which_folder_he_cannot_write(folder: Path) -> None:
    nobody = postgres_place.server_user(Path("/"))
    assert nobody is not None
    home = folder.parent / "home"
    home.mkdir()
    os.chown(home, nobody.uid, nobody.gid)
    python, needs = python_for(nobody, folder.parent)
    for place, expected in ((home / "database", "host="), (folder.parent / "foreign", "refused: ")):
        command = [python, "-c", STAY, str(place), "5"]
        environment = {**needs, "HOME": str(home), "PATH": os.defpath}
        ids = {"user": nobody.uid, "group": nobody.gid, "extra_groups": []}
        with started(command, env=environment, cwd=home, **ids) as running:
            words = said(running)
            assert words.startswith(expected)
            if expected == "host=":
                leave(running)
            else:
                assert "cannot be written by the user nobody" in words

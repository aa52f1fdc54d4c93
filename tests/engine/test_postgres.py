"""What a program gets from the embedded server: a start, its data back, company, and an end."""

import asyncio
import os
import pwd
import shutil
from collections.abc import Generator
from pathlib import Path

import psutil
import pytest
from psycopg.conninfo import conninfo_to_dict
from tests.engine.postgres_programs import (
    answers,
    ask,
    do,
    enterable_folder,
    exists,
    is_private,
    keepers_of,
    leave,
    names_in,
    owner_of,
    program,
    running_in,
    said,
    server_pid,
    until,
)

from wafleet.engine import postgres_binaries, postgres_place
from wafleet.engine.postgres import PostgresSettings, open_postgres

QUICK = PostgresSettings(durable=False, shared_buffers="16MB")


@pytest.fixture
def folder() -> Generator[Path]:
    with enterable_folder() as place:
        yield place / "database"


async def test_a_fresh_folder_becomes_a_database_that_answers(folder: Path) -> None:
    async with open_postgres(folder, settings=QUICK) as dsn:
        assert ask(dsn, "select current_setting('timezone')") == "UTC"
        assert ask(dsn, "select pg_encoding_to_char(encoding) from pg_database where datname = 'postgres'") == "UTF8"
        assert ask(dsn, "select lower('ÉCOLE')") == "école"
        assert ask(dsn, "select to_tsvector('simple', 'متى؟')") == "'متى':1"


async def test_only_a_test_server_gives_up_durability(folder: Path) -> None:
    async with open_postgres(folder, settings=PostgresSettings(shared_buffers="16MB")) as dsn:
        assert ask(dsn, "select current_setting('fsync') || current_setting('synchronous_commit')") == "onon"


async def test_a_second_start_finds_the_data_of_the_first(folder: Path) -> None:
    async with open_postgres(folder, settings=QUICK) as dsn:
        do(dsn, "create table kept as select 42 as answer")
    async with open_postgres(folder, settings=QUICK) as dsn:
        assert ask(dsn, "select answer from kept") == 42


async def test_the_last_one_out_stops_the_server(folder: Path) -> None:
    async with open_postgres(folder, settings=QUICK):
        with program(folder) as other:
            said(other)
            leave(other)
        assert running_in(folder)
    await until(lambda: not running_in(folder))
    assert "database system is shut down" in (folder / "log" / "postgres.log").read_text()


async def test_a_program_that_fails_still_leaves_politely(folder: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        async with open_postgres(folder, settings=QUICK):
            raise ZeroDivisionError
    await until(lambda: not running_in(folder))


async def test_two_programs_that_start_at_the_same_moment_share_one_database(folder: Path) -> None:
    with program(folder) as one, program(folder) as two:
        first, second = await asyncio.gather(asyncio.to_thread(said, one), asyncio.to_thread(said, two))
        do(first, "create table shared as select 7 as answer")
        assert ask(second, "select answer from shared") == 7
        assert len(keepers_of(folder)) == 1
        leave(one)
        assert answers(second)
        leave(two)
    await until(lambda: not running_in(folder))


async def test_a_newcomer_that_meets_a_stopping_server_gets_a_running_one(folder: Path) -> None:
    for _ in range(5):
        with program(folder) as leaving:
            said(leaving)
            assert leaving.stdin is not None
            leaving.stdin.write("\n")
            leaving.stdin.flush()  # it leaves while the next one comes
            async with open_postgres(folder, settings=QUICK) as dsn:
                assert answers(dsn)
                await asyncio.to_thread(leaving.wait, 20)
                assert answers(dsn)
    await until(lambda: not running_in(folder))


async def test_other_users_cannot_reach_the_data_or_the_socket(folder: Path) -> None:
    async with open_postgres(folder, settings=QUICK):
        for private in ("data", "run", "log"):
            assert is_private(folder / private)
        server = psutil.Process(server_pid(folder)).uids().real
        assert server != 0
        assert os.geteuid() in (0, server)


async def test_the_processes_that_stay_behind_know_none_of_the_programs_secrets(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WAFLEET_MASTER_KEY", "do-not-tell")
    async with open_postgres(folder, settings=QUICK):
        for process in (psutil.Process(server_pid(folder)), keepers_of(folder)[0]):
            assert "do-not-tell" not in process.environ().values()
            assert "PATH" in process.environ()


async def test_a_path_too_long_for_a_socket_is_no_obstacle(folder: Path) -> None:
    deep = folder / ("a" * 60) / ("b,c" * 20)
    async with open_postgres(deep, settings=QUICK) as dsn:
        assert answers(dsn)
        socket_folder = Path(str(conninfo_to_dict(dsn)["host"]))
        assert is_private(socket_folder)
    assert not exists(socket_folder)


async def test_the_log_stays_bounded(folder: Path) -> None:
    (folder / "log").mkdir(parents=True)
    (folder / "log" / "postgres.log").write_bytes(b"old words\n" * 1_100_000)
    async with open_postgres(folder, settings=QUICK):
        await until(lambda: (folder / "log" / "postgres.log.1").exists())
        await until(lambda: (folder / "log" / "postgres.log").stat().st_size < 100_000)


async def test_a_deleted_folder_takes_its_server_along(folder: Path) -> None:
    async with open_postgres(folder, settings=QUICK):
        server = server_pid(folder)
        await asyncio.to_thread(_delete, folder)
        await until(lambda: not keepers_of(folder) and not psutil.pid_exists(server))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs the server as somebody else")
class TestAsRoot:
    async def test_a_folder_the_servers_user_cannot_enter_gets_its_cluster_elsewhere(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(postgres_place, "ROOTS_CLUSTERS", folder.with_name("var"))
        private = folder / "private"
        private.mkdir(parents=True)
        private.chmod(0o700)
        async with open_postgres(private / "database", settings=QUICK) as dsn:
            do(dsn, "create table kept as select 42 as answer")
            place = (private / "database" / "cluster").resolve()
            assert place.parent == folder.with_name("var")
        private.rename(folder / "moved")
        async with open_postgres(folder / "moved" / "database", settings=QUICK) as dsn:
            assert ask(dsn, "select answer from kept") == 42
        await until(lambda: not running_in(place))

    async def test_a_throwaway_cluster_elsewhere_goes_when_its_folder_has_gone_and_a_lasting_one_stays(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        elsewhere = folder.with_name("var")
        monkeypatch.setattr(postgres_place, "ROOTS_CLUSTERS", elsewhere)
        os.mkdir(folder, 0o700)  # noqa: PTH102
        for name, settings in (("thrown", QUICK), ("lasting", PostgresSettings(shared_buffers="16MB"))):
            async with open_postgres(folder / name, settings=settings):
                assert (folder / name / "cluster").is_symlink()
        lasting = (folder / "lasting" / "cluster").resolve()
        thrown = (folder / "thrown" / "cluster").resolve()
        shutil.rmtree(folder / "thrown")
        shutil.rmtree(folder / "lasting")
        async with open_postgres(folder / "third", settings=QUICK):
            assert lasting.name in names_in(elsewhere)
            assert thrown.name not in names_in(elsewhere)

    async def test_binaries_the_servers_user_cannot_reach_are_copied_once(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        package = postgres_binaries.installed_binaries().parent
        private = folder / "private"
        private.mkdir(parents=True)
        private.chmod(0o700)
        for name in (package.name, f"{package.name}.libs"):
            (private / name).symlink_to(package.with_name(name))
        hidden = private / package.name / postgres_binaries.installed_binaries().name
        monkeypatch.setattr(postgres_binaries, "installed_binaries", lambda: hidden)
        monkeypatch.setattr(postgres_binaries, "ROOTS_BINARIES", folder / "cache")
        async with open_postgres(folder, settings=QUICK) as dsn:
            assert answers(dsn)
            executable = folder / psutil.Process(server_pid(folder)).exe()
        assert executable.is_relative_to(folder / "cache")
        made = executable.stat().st_ctime_ns
        async with open_postgres(folder, settings=QUICK):
            assert executable.stat().st_ctime_ns == made

    async def test_in_somebodys_folder_the_server_runs_as_him_and_he_can_use_it_later(self, folder: Path) -> None:
        man = next(entry.pw_uid for entry in pwd.getpwall() if entry.pw_name not in ("root", "nobody"))
        (folder / "his").mkdir(parents=True)
        folder /= "his"
        os.chown(folder, man, -1)
        async with open_postgres(folder, settings=QUICK) as dsn:
            assert answers(dsn)
            assert psutil.Process(server_pid(folder)).uids().real == man
        assert {owner_of(entry) for entry in folder.rglob("*")} == {man}


def _delete(folder: Path) -> None:
    while folder.exists():  # the server may write while we delete
        shutil.rmtree(folder, ignore_errors=True)

"""Every process of the embedded server may be killed at any moment; what was committed stays, nothing is left over."""

import asyncio
import os
import signal
import threading
import time
from collections.abc import Generator
from pathlib import Path

import psutil
import psycopg
import pytest
from tests.engine.postgres_programs import (
    answers,
    ask,
    do,
    enterable_folder,
    keepers_of,
    names_in,
    program,
    running_in,
    said,
    server_pid,
    until,
)

from wafleet.engine.postgres import PostgresSettings, open_postgres

pytestmark = pytest.mark.crash
QUICK = PostgresSettings(durable=False, shared_buffers="16MB", idle_stop_s=0.5)


@pytest.fixture
def folder() -> Generator[Path]:
    with enterable_folder() as place:
        yield place / "database"


class Writer(threading.Thread):
    """Commits one row after the other, reconnecting when it must, and remembers those it was told are committed."""

    def __init__(self, dsn: str) -> None:
        super().__init__(daemon=True)
        self.dsn, self.told, self.ending, self.lost_connections = dsn, list[int](), threading.Event(), 0

    def run(self) -> None:
        while not self.ending.is_set():
            try:
                with psycopg.connect(self.dsn, autocommit=True) as connection:
                    while not self.ending.is_set():
                        number = len(self.told) + 1_000_000 * self.lost_connections
                        connection.execute("insert into written values (%s)", (number,))
                        self.told.append(number)
            except (psycopg.OperationalError, psycopg.InterfaceError):
                self.lost_connections += 1
                self.ending.wait(0.02)


async def test_a_server_killed_under_load_comes_back_with_every_committed_row(folder: Path) -> None:
    async with open_postgres(folder, settings=QUICK) as dsn:
        do(dsn, "create table written (number bigint primary key)")
        writer = Writer(dsn)
        writer.start()
        for _ in range(3):
            before = len(writer.told)
            await until(lambda before=before: len(writer.told) > before + 50)
            killed = server_pid(folder)
            os.kill(killed, signal.SIGKILL)
            await until(lambda killed=killed: answers(dsn) and server_pid(folder) != killed)
        writer.ending.set()
        await asyncio.to_thread(writer.join, 20)
        assert writer.lost_connections >= 3
        kept = ask(dsn, "select array_agg(number) from written")
        assert isinstance(kept, list)
        assert not set(writer.told) - set(kept)


async def test_a_backend_deep_in_a_computation_does_not_keep_the_next_server_away(folder: Path) -> None:
    async with open_postgres(folder, settings=QUICK) as dsn:
        busy = await psycopg.AsyncConnection.connect(dsn)
        computing = asyncio.create_task(busy.execute("select count(*) from generate_series(1, 1e9::bigint) as n"))
        await until(lambda: ask(dsn, "select count(*) from pg_stat_activity where query like '%series%n'") == 1)
        killed = server_pid(folder)
        os.kill(killed, signal.SIGKILL)
        await until(lambda: answers(dsn) and server_pid(folder) != killed)
        with pytest.raises(psycopg.OperationalError):
            await computing
        await busy.close()


async def test_a_killed_backend_costs_a_moment(folder: Path) -> None:
    async with open_postgres(folder, settings=QUICK) as dsn, await psycopg.AsyncConnection.connect(dsn) as connection:
        os.kill(connection.info.backend_pid, signal.SIGKILL)
        await until(lambda: answers(dsn))
        with pytest.raises(psycopg.OperationalError):
            await connection.execute("select 1")


async def test_a_killed_keeper_is_replaced_without_disturbing_the_server(folder: Path) -> None:
    async with open_postgres(folder, settings=QUICK) as dsn:
        server, killed = server_pid(folder), keepers_of(folder)[0]
        with psycopg.connect(dsn) as connection:
            killed.kill()
            await until(lambda: any(keeper.pid != killed.pid for keeper in keepers_of(folder)))
            assert connection.execute("select 1").fetchone() == (1,)
        assert server_pid(folder) == server
        os.kill(server, signal.SIGKILL)  # the new keeper watches over a server it did not start
        await until(lambda: answers(dsn) and server_pid(folder) != server)
    await until(lambda: not running_in(folder))


async def test_leaving_right_after_the_keeper_was_killed_leaves_nothing_behind(folder: Path) -> None:
    async with open_postgres(folder, settings=QUICK):
        keepers_of(folder)[0].kill()
    await until(lambda: not running_in(folder))


async def test_a_killed_program_leaves_a_server_that_the_next_one_joins_at_once(folder: Path) -> None:
    with program(folder, idle_s=10) as killed:
        dsn = said(killed)
        do(dsn, "create table kept as select 42 as answer")
        server = server_pid(folder)
        killed.kill()
    async with open_postgres(folder, settings=QUICK) as dsn:
        assert server_pid(folder) == server
        assert ask(dsn, "select answer from kept") == 42
    await until(lambda: not running_in(folder))


async def test_a_server_whose_programs_were_all_killed_stops_by_itself(folder: Path) -> None:
    with program(folder, idle_s=0.5) as killed:
        said(killed)
        killed.kill()
    await until(lambda: not running_in(folder))
    assert not (folder / "data" / "postmaster.pid").exists()


async def test_after_everything_was_killed_at_once_the_next_start_finds_the_data(folder: Path) -> None:
    with program(folder) as killed:
        do(said(killed), "create table kept as select 42 as answer")
        keepers_of(folder)[0].kill()
        os.kill(server_pid(folder), signal.SIGKILL)
        killed.kill()
    async with open_postgres(folder, settings=QUICK) as dsn:
        assert ask(dsn, "select answer from kept") == 42


async def test_a_keeper_told_to_end_stops_the_server_cleanly(folder: Path) -> None:
    with program(folder) as user:
        said(user)
        keepers_of(folder)[0].terminate()
        await until(lambda: "database system is shut down" in (folder / "log" / "postgres.log").read_text())


async def test_a_stale_pid_file_that_names_a_living_process_is_no_obstacle(folder: Path) -> None:
    async with open_postgres(folder, settings=QUICK) as dsn:
        user = psutil.Process(server_pid(folder)).uids().real
        stale = (folder / "data" / "postmaster.pid").read_text()
        assert answers(dsn)
    with psutil.Popen(["/bin/sleep", "60"], user=user) as bystander:  # restarted machines give numbers anew
        (folder / "data" / "postmaster.pid").write_text(f"{bystander.pid}\n" + stale.split("\n", 1)[1])
        async with open_postgres(folder, settings=QUICK) as dsn:
            assert answers(dsn)
        assert bystander.poll() is None
        bystander.kill()


async def test_a_creation_killed_half_way_is_begun_anew(folder: Path) -> None:
    with program(folder) as killed:
        await until(lambda: any(folder.glob("data.new-*/PG_VERSION")))
        killed.kill()
    assert not (folder / "data").exists()
    began = time.monotonic()
    async with open_postgres(folder, settings=QUICK) as dsn:
        assert answers(dsn)
    assert time.monotonic() - began < 30
    assert not [name for name in names_in(folder) if name.startswith("data.new")]

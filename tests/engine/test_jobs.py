import asyncio
import signal
import sys
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from wafleet.engine.db import Db
from wafleet.engine.jobs import MOST_DEATHS, Jobs
from wafleet.engine.migrate import migrate

Until = Callable[[Callable[[], Awaitable[object]]], Awaitable[None]]


@pytest.fixture
def dsn(server: str) -> Iterator[str]:
    name = f"wafleet_jobs_{uuid.uuid4().hex[:8]}"
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(f"create database {name} template template0".encode())
        yield make_conninfo(server, dbname=name)
        admin.execute(f"drop database {name} with (force)".encode())


@pytest.fixture
async def db(dsn: str) -> AsyncIterator[Db]:
    await migrate(dsn)
    async with Db.open(dsn, connections=4) as db:
        async with db.fleet_tx() as tx:
            await tx.run("create table done (id bigint generated always as identity, what text, pid int)")
        yield db


def new_jobs(db: Db) -> Jobs:
    return Jobs(db, heartbeat_s=0.2, stale_s=1, poll_s=0.1)


@asynccontextmanager
async def working(*all_: Jobs) -> AsyncGenerator[asyncio.Event]:
    stopping = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        for jobs in all_:
            tasks.create_task(jobs.run(stopping))
        try:
            yield stopping
        finally:
            stopping.set()


async def states(db: Db) -> list[tuple[str, int]]:
    async with db.fleet_tx() as tx:
        rows = await tx.tuples("select status::text, attempts from procrastinate.procrastinate_jobs order by id")
    return [(status, attempts) for status, attempts in rows]


async def done(db: Db) -> list[str]:
    async with db.fleet_tx() as tx:
        return [row[0] for row in await tx.tuples("select what from done order by id")]


async def note(db: Db, what: str) -> None:
    async with db.fleet_tx() as tx:
        await tx.run("insert into done (what) values (%(what)s)", what=what)


async def test_a_job_runs_if_and_only_if_its_transaction_commits(db: Db, until: Until) -> None:
    jobs = new_jobs(db)

    @jobs.job("greet")
    async def greet(name: str, times: int) -> None:
        await note(db, name * times)

    async with db.fleet_tx() as tx:
        assert await jobs.enqueue(tx, "greet", name="a", times=2)
        assert await jobs.enqueue(tx, "greet", name="never", times=1, not_before=datetime.now(UTC) + timedelta(days=1))
    async with db.fleet_tx() as tx:
        await jobs.enqueue(tx, "greet", name="rolled back", times=1)
        raise psycopg.Rollback()

    async def ran() -> bool:
        return (await states(db))[0] == ("succeeded", 1)

    async with working(jobs):
        await until(ran)
    assert await done(db) == ["aa"]
    assert len(await states(db)) == 2


async def test_a_tenants_request_may_enqueue_but_not_look_at_jobs(db: Db) -> None:
    jobs, tenant = new_jobs(db), uuid.uuid4()

    @jobs.job("report")
    async def report() -> None: ...

    async with db.tx(tenant) as tx:
        assert await jobs.enqueue(tx, "report")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        async with db.tx(tenant) as tx:
            await tx.run("select from procrastinate.procrastinate_jobs")


async def test_what_already_waits_is_not_enqueued_again_and_costs_the_caller_nothing(db: Db) -> None:
    jobs = new_jobs(db)

    @jobs.job("sync", key="sync {account}", once=True)
    async def sync(account: str) -> None: ...

    async with db.fleet_tx() as tx:
        assert await jobs.enqueue(tx, "sync", account="a")
        assert await jobs.enqueue(tx, "sync", account="a") is None
        assert await jobs.enqueue(tx, "sync", account="b")
    assert len(await states(db)) == 2


async def test_a_job_that_must_run_again_gets_along_with_one_that_waits_for_the_same_key(db: Db, until: Until) -> None:
    jobs, runs = new_jobs(db), 0

    @jobs.job("sync", key="sync {account}", once=True, retries=2)
    async def sync(account: str) -> None:
        nonlocal runs
        runs += 1
        if runs == 1:
            async with db.fleet_tx() as tx:
                assert await jobs.enqueue(tx, "sync", account="a")
            raise RuntimeError("again")

    async with db.fleet_tx() as tx:
        await jobs.enqueue(tx, "sync", account="a")

    async def both_ran() -> bool:
        return [state for state, _ in await states(db)] == ["succeeded", "succeeded"]

    async with working(jobs):
        await until(both_ran)
    assert runs == 3


async def test_jobs_of_one_key_never_run_at_once(db: Db, until: Until) -> None:
    jobs = new_jobs(db)
    inside, most = 0, 0

    @jobs.job("sync", key="{account}")
    async def sync(account: str) -> None:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        await asyncio.sleep(0.01)
        inside -= 1

    async with db.fleet_tx() as tx:
        for _ in range(6):
            await jobs.enqueue(tx, "sync", account="a")

    async def all_ran() -> bool:
        return {state for state, _ in await states(db)} == {"succeeded"}

    async with working(jobs):
        await until(all_ran)
    assert most == 1


async def test_a_job_that_fails_is_tried_again_and_then_given_up(db: Db, until: Until) -> None:
    jobs = new_jobs(db)

    @jobs.job("broken", retries=1)
    async def broken() -> None:
        await note(db, "tried")
        raise RuntimeError("no")

    async with db.fleet_tx() as tx:
        await jobs.enqueue(tx, "broken")

    async def given_up() -> bool:
        return (await states(db))[0][0] == "failed"

    async with working(jobs):
        await until(given_up)
    assert await done(db) == ["tried", "tried"]


async def test_a_node_that_stops_puts_back_what_it_could_not_finish(
    db: Db, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wafleet.engine.jobs.LEAVE_S", 0.05)
    jobs, slow = new_jobs(db), asyncio.Event()

    @jobs.job("slow", retries=0)
    async def work() -> None:
        await note(db, "started")
        await slow.wait()

    async with db.fleet_tx() as tx:
        await jobs.enqueue(tx, "slow")

    async def started() -> bool:
        return bool(await done(db))

    async with working(jobs):
        await until(started)
    assert [state for state, _ in await states(db)] == ["todo"]


WORKER = """
import asyncio, os, sys
from wafleet.engine.db import Db
from wafleet.engine.jobs import Jobs

async def main():
    async with Db.open(sys.argv[1], connections=3) as db:
        jobs = Jobs(db, heartbeat_s=0.2, stale_s=1, poll_s=0.1)

        @jobs.job("long")
        async def long():
            async with db.fleet_tx() as tx:
                await tx.run("insert into done (what, pid) values ('started', %(pid)s)", pid=os.getpid())
            await asyncio.sleep(600)

        await jobs.run(asyncio.Event())

asyncio.run(main())
"""


@pytest.mark.crash
async def test_a_job_whose_worker_was_killed_is_finished_by_another(db: Db, until: Until) -> None:
    jobs = new_jobs(db)

    @jobs.job("long")
    async def long() -> None:
        await note(db, "finished elsewhere")

    async with db.fleet_tx() as tx:
        await jobs.enqueue(tx, "long")
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", WORKER, db.dsn)

    async def started() -> bool:
        assert process.returncode is None
        return bool(await done(db))

    try:
        await until(started)
    finally:
        process.send_signal(signal.SIGKILL)
        await process.wait()

    async def finished() -> bool:
        return [state for state, _ in await states(db)] == ["succeeded"]

    async with working(jobs):
        await until(finished)
    assert await done(db) == ["started", "finished elsewhere"]


async def test_a_job_that_kills_every_node_is_given_up(db: Db) -> None:
    jobs = new_jobs(db)

    @jobs.job("deadly")
    async def deadly() -> None: ...

    async with db.fleet_tx() as tx:
        await jobs.enqueue(tx, "deadly")
        await tx.run(
            "update procrastinate.procrastinate_jobs set status = 'doing', attempts = %(n)s", n=MOST_DEATHS - 1
        )
    assert await jobs.revive() == 1
    assert await states(db) == [("todo", MOST_DEATHS)]
    async with db.fleet_tx() as tx:
        await tx.run("update procrastinate.procrastinate_jobs set status = 'doing'")
    assert await jobs.revive() == 1
    assert await jobs.revive() == 0
    assert [state for state, _ in await states(db)] == ["failed"]


async def test_a_job_that_comes_round_fires_once_per_time_across_nodes(db: Db, until: Until) -> None:
    pair = (new_jobs(db), new_jobs(db))
    for jobs in pair:

        @jobs.job("tick", every="* * * * * *")
        async def tick() -> None:
            await note(db, "tick")

    async def thrice() -> bool:
        return len(await done(db)) >= 3

    async with working(*pair):
        await until(thrice)
    async with db.fleet_tx() as tx:
        rows = await tx.tuples("select args->'timestamp' from procrastinate.procrastinate_jobs")
    assert len({row[0] for row in rows}) == len(rows) >= 3


async def test_work_goes_on_after_the_database_was_away(db: Db, until: Until) -> None:
    jobs = new_jobs(db)

    @jobs.job("greet")
    async def greet() -> None:
        await note(db, "hello")

    async with working(jobs):
        async with db.fleet_tx() as tx:
            await jobs.enqueue(tx, "greet")

        async def greeted() -> bool:
            return bool(await done(db))

        await until(greeted)
        async with await psycopg.AsyncConnection.connect(db.dsn, autocommit=True) as admin:
            await admin.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity "
                "where datname = current_database() and application_name = 'wafleet jobs'"
            )
        async with db.fleet_tx() as tx:
            await jobs.enqueue(tx, "greet")

        async def greeted_twice() -> bool:
            return len(await done(db)) == 2

        await until(greeted_twice)

import asyncio
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from procrastinate.schema import SchemaManager
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from wafleet.engine import job_schema, migrate, schema_dump
from wafleet.engine.migrate import Migrated, pending
from wafleet.engine.migrate import migrate as bring_up_to_date

SCHEMA = Path(migrate.__file__).with_name("schema.sql")
NEWEST = migrate.migrations()[-1].version


def database(server: str, *, options: str = "") -> Iterator[str]:
    name = f"wafleet_empty_{uuid.uuid4().hex[:8]}"
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(f"create database {name} template template0 {options}".encode())
        yield make_conninfo(server, dbname=name)
        admin.execute(f"drop database {name} with (force)".encode())


@pytest.fixture
def empty(server: str) -> Iterator[str]:
    yield from database(server)


@pytest.fixture
def another(server: str) -> Iterator[str]:
    yield from database(server)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two small migrations."""
    (tmp_path / "0001_shelf.sql").write_text("create table a ();")
    (tmp_path / "0002_book.sql").write_text("create table b (); create table c ();")
    return tmp_path


def tables(dsn: str, schema: str = "public") -> set[str]:
    with psycopg.connect(dsn) as conn:
        rows = conn.execute("select tablename from pg_tables where schemaname = %s", (schema,)).fetchall()
    return {row[0] for row in rows}


async def test_an_empty_database_gets_the_whole_schema_and_a_second_run_changes_nothing(empty: str) -> None:
    assert await pending(empty) == [one.name for one in migrate.migrations()] + await known_job_steps(empty)
    assert await bring_up_to_date(empty) == Migrated(0, NEWEST)
    assert {"events", "messages", "migrations", "dead_events"} <= tables(empty)
    assert await pending(empty) == []
    assert await bring_up_to_date(empty) == Migrated(NEWEST, NEWEST)


async def known_job_steps(dsn: str) -> list[str]:
    async with await psycopg.AsyncConnection.connect(dsn) as conn:
        return await job_schema.pending(conn)


async def test_many_programs_may_migrate_at_once(empty: str, another: str) -> None:
    done = await asyncio.gather(*(bring_up_to_date(dsn) for dsn in [empty, another] * 3))
    assert sorted(one.before for one in done) == [0, 0, NEWEST, NEWEST, NEWEST, NEWEST]
    assert tables(empty) == tables(another)


def test_migrations_are_numbered_without_a_gap() -> None:
    assert [one.version for one in migrate.migrations()] == list(range(1, NEWEST + 1))


async def test_a_migration_that_fails_leaves_those_before_it_and_nothing_of_itself(empty: str, folder: Path) -> None:
    (folder / "0002_book.sql").write_text("create table b (); select 1 / 0;")
    with pytest.raises(psycopg.errors.DivisionByZero):
        await bring_up_to_date(empty, folder=folder)
    assert tables(empty) == {"a", "migrations"}


async def test_only_what_is_missing_is_applied(empty: str, tmp_path: Path) -> None:
    folder = tmp_path / "some"
    shutil.copytree(migrate.FOLDER, folder)
    await bring_up_to_date(empty, folder=folder)
    (folder / f"{NEWEST + 1:04}_book.sql").write_text("create table book ();")
    assert await pending(empty, folder=folder) == [f"{NEWEST + 1:04}_book"]
    assert await bring_up_to_date(empty, folder=folder) == Migrated(NEWEST, NEWEST + 1)
    assert "book" in tables(empty)


async def test_a_database_of_a_newer_program_is_refused_and_left_alone(empty: str, tmp_path: Path) -> None:
    await bring_up_to_date(empty)
    with psycopg.connect(empty) as conn:
        conn.execute("insert into migrations values (%s, 'x', 'x')", (NEWEST + 5,))
    with pytest.raises(migrate.NewerSchema, match=f"has schema {NEWEST + 5}, this program knows {NEWEST}: start the"):
        await bring_up_to_date(empty)
    with pytest.raises(migrate.NewerSchema):
        await pending(empty)


async def test_a_migration_edited_after_it_was_applied_is_refused(empty: str, tmp_path: Path) -> None:
    folder = tmp_path / "edited"
    shutil.copytree(migrate.FOLDER, folder)
    await bring_up_to_date(empty, folder=folder)
    first = migrate.migrations(folder)[0]
    (folder / f"{first.name}.sql").write_text(first.text + "\n-- edited")
    with pytest.raises(migrate.ChangedMigration, match=f"Migration {first.name} is not the one"):
        await bring_up_to_date(empty, folder=folder)


async def test_a_server_that_is_not_there_or_an_address_nobody_understands_is_one_sentence() -> None:
    for dsn in ("host=127.0.0.1 port=1 user=nobody password=hush", "postgres//nonsense"):
        with pytest.raises(migrate.Unreachable, match="WAFLEET_DATABASE_URL") as error:
            await bring_up_to_date(dsn)
        assert "\n" not in str(error.value)
        assert "hush" not in str(error.value)


async def test_a_user_without_rights_is_told_what_an_administrator_must_run(server: str, empty: str) -> None:
    user = f"weak_{uuid.uuid4().hex[:8]}"
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(f"create role {user} login".encode())
        try:
            with pytest.raises(migrate.NotAllowed, match=f"alter database {empty_name(empty)} owner to {user};"):
                await bring_up_to_date(make_conninfo(empty, user=user))
            admin.execute(f"alter database {empty_name(empty)} owner to {user}".encode())
            with pytest.raises(migrate.NotAllowed, match=f"grant wafleet_tenant to {user} with admin option;"):
                await bring_up_to_date(make_conninfo(empty, user=user))
            admin.execute(f"grant wafleet_tenant to {user} with admin option".encode())
            assert await bring_up_to_date(make_conninfo(empty, user=user)) == Migrated(0, NEWEST)
        finally:
            admin.execute(f"drop database {empty_name(empty)} with (force)".encode())
            admin.execute(f"create database {empty_name(empty)}".encode())
            admin.execute(f"drop owned by {user}; drop role {user}".encode())


def empty_name(dsn: str) -> str:
    return str(conninfo_to_dict(dsn)["dbname"])


async def test_a_database_that_cannot_hold_every_script_is_refused(server: str) -> None:
    for dsn in database(server, options="encoding 'latin1' locale 'C'"):
        with pytest.raises(migrate.SchemaError, match="not stored as UTF-8"):
            await bring_up_to_date(dsn)


async def test_older_job_tables_are_upgraded_to_what_a_fresh_database_has(empty: str, another: str) -> None:
    await bring_up_to_date(empty)
    await bring_up_to_date(another)
    with psycopg.connect(empty) as conn:
        conn.execute("drop schema procrastinate cascade; create schema procrastinate")
        conn.execute("set search_path = procrastinate")
        steps = job_steps()
        until = next(n for n, step in enumerate(steps) if step.name.startswith("03.00"))
        for step in steps[:until]:
            conn.execute(step.read_bytes())
        conn.execute(f"comment on schema procrastinate is '{steps[until - 1].stem}'".encode())
    assert await pending(empty) == [step.stem for step in steps[until:]]
    await bring_up_to_date(empty)
    assert await pending(empty) == []
    assert job_functions(empty) == job_functions(another)


def job_steps() -> list[Path]:
    return sorted(Path(SchemaManager.get_migrations_path()).glob("*.sql"))


def job_functions(dsn: str) -> list[tuple[object, ...]]:
    with psycopg.connect(dsn) as conn:
        return conn.execute(
            "select proname, pg_get_function_identity_arguments(p.oid), proconfig, prosecdef from pg_proc p "
            "where pronamespace = 'procrastinate'::regnamespace order by 1, 2"
        ).fetchall()


async def test_job_tables_of_a_newer_library_are_refused(empty: str) -> None:
    await bring_up_to_date(empty)
    with psycopg.connect(empty) as conn:
        conn.execute("comment on schema procrastinate is '99.00.00_01_x'")
    with pytest.raises(migrate.NewerSchema, match="job tables are at 99"):
        await bring_up_to_date(empty)


async def test_the_schema_file_says_what_the_migrations_make(server: str) -> None:
    made = await migrate.schema_of_this_program(server)
    written = SCHEMA.read_text("utf-8")
    if made.splitlines()[0] != written.splitlines()[0]:
        pytest.skip("schema.sql is written by another PostgreSQL version's pg_dump than this server's")
    assert made == written, (
        'run: python -m wafleet.engine.migrate --schema "$WAFLEET_TEST_DATABASE_URL" > src/wafleet/engine/schema.sql'
    )


async def test_a_schema_that_cannot_be_written_is_one_sentence() -> None:
    with pytest.raises(schema_dump.NoDump, match="The schema cannot be written"):
        await schema_dump.dump("host=127.0.0.1 port=1 dbname=x")

"""Bring a database to the schema of this program: forward only, one program at a time.

    python -m wafleet.engine.migrate --schema DSN > src/wafleet/engine/schema.sql

writes the whole schema as one text to review; DSN is any server on which a scratch database may be created.
"""

import argparse
import asyncio
import hashlib
import re
import sys
import uuid
from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psycopg
import structlog
from psycopg import AsyncConnection, sql
from psycopg.conninfo import make_conninfo

from wafleet.engine import job_schema, observe, schema_dump

log = structlog.get_logger(__name__)

FOLDER: Final = Path(__file__).with_name("migrations")
OLDEST_SERVER: Final = 150000
LOCK: Final = 0x7761666C656574  # "wafleet"; advisory locks are per database
TRIES: Final = 20
SHARED_ROLE: Final = "wafleet_tenant"


class SchemaError(Exception):
    """The database cannot be brought to this program's schema; the sentence says why and what to do."""


class Unreachable(SchemaError):
    """There is no PostgreSQL where it should be."""


class OldServer(SchemaError):
    """PostgreSQL is older than 15."""


class NotAllowed(SchemaError):
    """The user of the connection may not do what a migration needs."""


class NewerSchema(SchemaError):
    """The database belongs to a newer program: this one would not understand it."""


class ChangedMigration(SchemaError):
    """A migration was edited after it had been applied: nobody can say what the database looks like."""


@dataclass(frozen=True, slots=True)
class Migrated:
    before: int  # the schema's version, 0 for an empty database
    after: int


@dataclass(frozen=True, slots=True)
class Migration:
    version: int
    name: str
    text: str

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class _Applied:
    name: str
    checksum: str


def migrations(folder: Path = FOLDER) -> list[Migration]:
    """Read the migrations this program brings, in order."""
    files = sorted(folder.glob("[0-9][0-9][0-9][0-9]_*.sql"))
    return [Migration(int(file.stem[:4]), file.stem, file.read_text("utf-8")) for file in files]


async def migrate(dsn: str, *, folder: Path = FOLDER) -> Migrated:
    """Apply what the database lacks and return its version before and after; safe when many programs do it at once.

    Each migration is a transaction of its own: when one fails, those before it stay. Raises SchemaError.
    """
    known = migrations(folder)
    async with _connected(dsn) as conn:
        await _lock(conn)
        applied = await _applied(conn)
        _check(known, applied)
        with _in_a_sentence(conn):
            for one in known:
                if one.version not in applied:
                    await _apply(conn, one)
            await job_schema.ensure(conn)
    return Migrated(before=max(applied, default=0), after=max((one.version for one in known), default=0))


async def pending(dsn: str, *, folder: Path = FOLDER) -> list[str]:
    """Name what `migrate` would apply; empty when the database is up to date. Changes nothing. Raises SchemaError."""
    known = migrations(folder)
    async with _connected(dsn) as conn:
        applied = await _applied(conn)
        _check(known, applied)
        with _in_a_sentence(conn):
            return [one.name for one in known if one.version not in applied] + await job_schema.pending(conn)


@asynccontextmanager
async def _connected(dsn: str) -> AsyncGenerator[AsyncConnection[Any]]:
    try:
        conn = await AsyncConnection.connect(dsn, autocommit=True, prepare_threshold=None, connect_timeout=10)
    except psycopg.Error as error:
        raise Unreachable(
            f"PostgreSQL cannot be reached: {_first_line(error)}. Check WAFLEET_DATABASE_URL and that the server runs."
        ) from error
    async with conn:
        _check_server(conn)
        yield conn


def _check_server(conn: AsyncConnection[Any]) -> None:
    if conn.info.server_version < OLDEST_SERVER:
        raise OldServer(
            f"This server runs PostgreSQL {conn.info.server_version // 10000}: wafleet needs 15 or newer. Upgrade it, "
            "or leave WAFLEET_DATABASE_URL unset to use the one that comes with wafleet."
        )
    if conn.info.parameter_status("server_encoding") != "UTF8":
        raise SchemaError(
            f"The database {conn.info.dbname} is not stored as UTF-8: create it anew with "
            f"createdb --encoding=UTF8 --template=template0 {conn.info.dbname}."
        )


async def _lock(conn: AsyncConnection[Any]) -> None:
    """Held by the session, so that a killed program leaves no lock behind."""
    cur = await conn.execute("select pg_try_advisory_lock(%s)", (LOCK,))
    if await cur.fetchone() != (True,):
        log.info("waiting_for_another_migration")
        await conn.execute("select pg_advisory_lock(%s)", (LOCK,))


async def _applied(conn: AsyncConnection[Any]) -> dict[int, _Applied]:
    cur = await conn.execute("select to_regclass('migrations') is not null")
    if await cur.fetchone() != (True,):
        return {}
    cur = await conn.execute("select version, name, checksum from migrations order by version")
    return {version: _Applied(name, checksum) for version, name, checksum in await cur.fetchall()}


def _check(known: Sequence[Migration], applied: dict[int, _Applied]) -> None:
    newest = max((one.version for one in known), default=0)
    if max(applied, default=0) > newest:
        raise NewerSchema(
            f"The database has schema {max(applied)}, this program knows {newest}: start the newer wafleet again, "
            "or restore a backup made before the upgrade."
        )
    for one in known:
        then = applied.get(one.version)
        if then is not None and then.checksum != one.checksum:
            raise ChangedMigration(
                f"Migration {one.name} is not the one this database was made with: install the wafleet it was "
                "made with, or start with an empty database."
            )


async def _apply(conn: AsyncConnection[Any], one: Migration) -> None:
    for left in reversed(range(TRIES)):
        try:
            async with conn.transaction():
                await _apply_once(conn, one)
        except psycopg.errors.InternalError_:  # another database of the server changes the shared role just now
            if not left:
                raise
        else:
            log.info("migrated", version=one.version, migration=one.name)
            return


async def _apply_once(conn: AsyncConnection[Any], one: Migration) -> None:
    await conn.execute(
        """
        create table if not exists migrations (
            version     int primary key,
            name        text not null,
            checksum    text not null,
            applied_at  timestamptz not null default now()
        )
        """
    )
    await conn.execute(one.text.encode())
    await conn.execute(
        "insert into migrations (version, name, checksum) values (%s, %s, %s)", (one.version, one.name, one.checksum)
    )


@contextmanager
def _in_a_sentence(conn: AsyncConnection[Any]) -> Generator[None]:
    try:
        yield
    except job_schema.NewerJobs as error:
        raise NewerSchema(str(error)) from error
    except psycopg.errors.InsufficientPrivilege as error:
        user, database = _quoted(conn.info.user), _quoted(conn.info.dbname)
        if "role" in str(error):
            remedy = f"create role {SHARED_ROLE}; "
            remedy += f"grant {SHARED_ROLE} to {user} with admin option;"
        else:
            remedy = f"alter database {database} owner to {user};"
        raise NotAllowed(
            f"The database user {conn.info.user} may not set up wafleet ({_first_line(error)}): let an administrator "
            f"of the server run: {remedy}"
        ) from error


def _quoted(name: str) -> str:
    return name if re.fullmatch(r"[a-z_][a-z0-9_]*", name) else '"' + name.replace('"', '""') + '"'


def _first_line(error: psycopg.Error) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")


async def schema_of_this_program(server: str, *, folder: Path = FOLDER) -> str:
    """Make a scratch database on `server` and return the schema the migrations give it."""
    name = f"wafleet_schema_{uuid.uuid4().hex[:8]}"
    async with _connected(server) as admin:
        await admin.execute(sql.SQL("create database {} template template0").format(sql.Identifier(name)))
        try:
            await migrate(make_conninfo(server, dbname=name), folder=folder)
            return await schema_dump.dump(make_conninfo(server, dbname=name))
        finally:
            await admin.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


def main() -> int:
    """Print the schema. Exit status 1, with one sentence, when it cannot be had."""
    parser = argparse.ArgumentParser(prog="python -m wafleet.engine.migrate")
    parser.add_argument("--schema", metavar="DSN", required=True, help="print the whole schema, made on this server")
    observe.start_logs(None, level="warning")
    try:
        sys.stdout.write(asyncio.run(schema_of_this_program(parser.parse_args().schema)))
    except (SchemaError, schema_dump.NoDump) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

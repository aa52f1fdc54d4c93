"""Databases for tests: copies of a migrated one, emptied and used again, since copying takes longer than most tests."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, LiteralString

import psycopg
from psycopg import Connection
from psycopg.conninfo import make_conninfo
from psycopg.sql import SQL, Identifier

_TABLES: Final[LiteralString] = """
    select c.oid::regclass::text from pg_class c
     where c.relkind in ('r', 'p') and c.relnamespace in ({namespaces})
"""
_OURS: Final[LiteralString] = """
    select oid from pg_namespace where nspname !~ '^pg_' and nspname <> 'information_schema'
"""
# what a test may have made, dropped or switched off
_SHAPE: Final[LiteralString] = """
    select md5(string_agg(one, ' ' order by one)) from (
        select concat_ws(' ', 'relation', oid, relname, relkind, relrowsecurity, relforcerowsecurity) from pg_class
         where relnamespace in ({namespaces})
        union all select concat_ws(' ', 'column', attrelid, attname, attnotnull, attisdropped) from pg_attribute
         where attrelid in (select oid from pg_class where relnamespace in ({namespaces}))
        union all select concat_ws(' ', 'constraint', oid, conname) from pg_constraint
        union all select concat_ws(' ', 'trigger', oid, tgname, tgenabled) from pg_trigger
        union all select concat_ws(' ', 'function', oid, md5(prosrc)) from pg_proc where pronamespace in ({namespaces})
        union all select concat_ws(' ', 'policy', oid, polname) from pg_policy
    ) as all_of_it (one)
"""
_NUMBERED_ANEW: Final[LiteralString] = """
    select setval(format('%I.%I', schemaname, sequencename)::regclass, start_value, false) from pg_sequences
     where last_value is not null
"""
_MOST_ROWS: Final = 5_000  # what is deleted stays on disk; a new copy costs less than carrying it along


def _over(text: LiteralString) -> SQL:
    return SQL(text.replace("{namespaces}", _OURS))


@dataclass
class Databases:
    """One database is out at a time; it comes back as the migrated template was, or not at all."""

    server: str
    template: str
    spare: str = ""
    first: Mapping[str, bytes] = field(default_factory=dict[str, bytes])  # rows a new database has, by table
    shape: str = ""

    def take(self) -> str:
        """Return the name of a migrated database."""
        name, self.spare = self.spare, ""
        return name or self._copy()

    def give_back(self, name: str) -> None:
        """End whoever is connected still, and make the database as it was."""
        with psycopg.connect(self.server, autocommit=True) as admin:
            admin.execute("select pg_terminate_backend(pid, 10000) from pg_stat_activity where datname = %s", [name])
        try:
            with psycopg.connect(make_conninfo(self.server, dbname=name)) as db:
                self.spare = name if self._emptied(db) else ""
        finally:
            if not self.spare:
                self.drop(name)

    def drop(self, name: str) -> None:
        """Delete a database, whoever is connected."""
        with psycopg.connect(self.server, autocommit=True) as admin:
            admin.execute(SQL("drop database {} with (force)").format(Identifier(name)))

    def _copy(self) -> str:
        name = f"wafleet_test_{uuid.uuid4().hex[:8]}"
        with psycopg.connect(self.server, autocommit=True) as admin:
            copy = SQL("create database {} template {} strategy file_copy")
            admin.execute(copy.format(Identifier(name), Identifier(self.template)))
        if not self.shape:
            with psycopg.connect(make_conninfo(self.server, dbname=name)) as db:
                self.shape = _shape(db)
                self.first = {table: _rows(db, table) for table in _filled(db)}
        return name

    def _emptied(self, db: Connection) -> bool:
        """Return whether the database is as it was: the same tables with the same rows, and nothing large left."""
        if _shape(db) != self.shape:
            return False
        db.execute("set session_replication_role = replica")  # no triggers, so the order does not matter
        gone = [db.execute(f"delete from {table}".encode()).rowcount for table in _filled(db)]
        for table, rows in self.first.items():
            with db.cursor().copy(f"copy {table} from stdin".encode()) as copy:
                copy.write(rows)
        db.execute(_NUMBERED_ANEW)
        return sum(gone) < _MOST_ROWS


def _shape(db: Connection) -> str:
    row = db.execute(_over(_SHAPE)).fetchone()
    return str(row and row[0])


def _filled(db: Connection) -> list[str]:
    tables = [str(name) for (name,) in db.execute(_over(_TABLES)).fetchall()]
    looks = " union all ".join(f"select '{table}' where exists (select from {table})" for table in tables)
    return [str(name) for (name,) in db.execute(looks.encode()).fetchall()]


def _rows(db: Connection, table: str) -> bytes:
    with db.cursor().copy(f"copy {table} to stdout".encode()) as copy:
        return b"".join(bytes(part) for part in copy)

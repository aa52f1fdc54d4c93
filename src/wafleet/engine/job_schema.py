"""The tables of the job library (procrastinate), in a schema of their own, brought up to date with the library."""

from importlib import resources
from typing import Any, Final

import structlog
from procrastinate.schema import SchemaManager
from psycopg import AsyncConnection

log = structlog.get_logger(__name__)

SCHEMA: Final = "procrastinate"


class NewerJobs(Exception):
    """The job tables belong to a newer version of the library; the sentence says what to do."""


async def ensure(conn: AsyncConnection[Any]) -> None:
    """Create or upgrade the job tables. The caller holds the migration lock. Raises NewerJobs."""
    steps = await pending(conn)
    if not steps:
        return
    async with conn.transaction():
        if await _recorded(conn) is None:
            await conn.execute("create schema procrastinate")
            await conn.execute("set local search_path = procrastinate")
            await conn.execute(SchemaManager.get_schema().encode())
        else:
            await conn.execute("set local search_path = procrastinate")
            for step in steps:
                await conn.execute(_text_of(step).encode())
        await _settle(conn)
        await conn.execute(f"comment on schema procrastinate is '{_steps()[-1]}'".encode())
    log.info("job_tables_ready", version=steps[-1])


async def pending(conn: AsyncConnection[Any]) -> list[str]:
    """Name the steps the job tables lack, in order; for a database without them, the newest."""
    known, recorded = _steps(), await _recorded(conn)
    if recorded is None:
        return known[-1:]
    if recorded > known[-1]:
        raise NewerJobs(
            f"The job tables are at {recorded}, this program knows {known[-1]}: start the newer wafleet again, "
            "or restore a backup made before the upgrade."
        )
    return [step for step in known if step > recorded]


async def _recorded(conn: AsyncConnection[Any]) -> str | None:
    """The newest step that was applied is the comment on the schema: a restored dump brings it along."""
    cur = await conn.execute(
        "select obj_description(oid, 'pg_namespace') from pg_namespace where nspname = %s", (SCHEMA,)
    )
    row = await cur.fetchone()
    return row[0] if row else None


async def _settle(conn: AsyncConnection[Any]) -> None:
    """Let the library's functions find their tables whatever the caller's search path, and tenants enqueue."""
    await conn.execute(
        """
        do $$
        declare one regprocedure;
        begin
            for one in select p.oid from pg_proc p join pg_namespace n on n.oid = p.pronamespace
                        where n.nspname = 'procrastinate' and p.prokind = 'f'
            loop
                execute format('alter function %s set search_path = procrastinate, pg_temp', one);
            end loop;
        end $$;
        alter function procrastinate.procrastinate_defer_jobs_v1 security definer;
        grant usage on schema procrastinate to wafleet_tenant;
        """
    )


def _steps() -> list[str]:
    """Their names begin with the version, padded with zeros: they sort as they were made."""
    files = resources.files("procrastinate.sql.migrations").iterdir()
    return sorted(file.name.removesuffix(".sql") for file in files if file.name.endswith(".sql"))


def _text_of(step: str) -> str:
    return (resources.files("procrastinate.sql.migrations") / f"{step}.sql").read_text("utf-8")

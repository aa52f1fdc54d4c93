"""The database of a data folder, for commands that work whether or not wafleet runs."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from wafleet.cli.tables import note
from wafleet.client import folders
from wafleet.config import Settings, load
from wafleet.engine.clock import Clock, SystemClock
from wafleet.engine.db import Db
from wafleet.engine.migrate import SchemaError, migrate, pending
from wafleet.engine.postgres import open_postgres
from wafleet.tenants import Caller, Tenants

CALLER = Caller.local("cli")


@dataclass(frozen=True, slots=True, kw_only=True)
class Office:
    """What commands on the database itself work with."""

    settings: Settings
    dsn: str
    db: Db
    clock: Clock
    tenants: Tenants


def settings_of(data_dir: Path | None) -> Settings:
    """Return the settings of the installation that commands mean: the named data folder, else the one that is used.

    Where only the demo was ever started, or only it runs, that is the demo's, and it is said so.
    """
    settings = load(data_dir=data_dir)
    chosen = folders(settings)[0]
    if chosen == settings.data_dir:
        return settings
    note(f"Using the demo's data folder, {chosen}")
    return load(data_dir=chosen)


@asynccontextmanager
async def opened(settings: Settings) -> AsyncGenerator[str]:
    """Yield how to connect to the database: a running one is joined, an embedded one is started when it is not."""
    if settings.database_url:
        yield settings.database_url
        return
    async with open_postgres(settings.data_dir / "postgres") as dsn:
        yield dsn


@asynccontextmanager
async def office(data_dir: Path | None) -> AsyncGenerator[Office]:
    """Open the installation. The embedded database is brought to this program's schema, as at every start.

    Another one is not: nodes of an earlier version may be using it. Raises SchemaError.
    """
    settings = settings_of(data_dir)
    async with opened(settings) as dsn:
        if settings.database_url is None:
            await migrate(dsn)
        elif await pending(dsn):
            raise SchemaError("The database has an older schema than this program: run `wafleet migrate` first.")
        async with Db.open(dsn, connections=3) as db:
            clock = SystemClock()
            yield Office(settings=settings, dsn=dsn, db=db, clock=clock, tenants=Tenants(db, clock))

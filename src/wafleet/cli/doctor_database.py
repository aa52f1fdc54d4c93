"""What `wafleet doctor` looks at in the database: reach, schema, keys, clock, accounts that need a person."""

from collections.abc import AsyncGenerator
from datetime import UTC
from typing import Final

import psycopg

from wafleet.cli.database import CALLER, opened
from wafleet.cli.findings import Finding
from wafleet.cli.ops_store import database_time, wrapped_by
from wafleet.config import Settings
from wafleet.domain.absence import absence
from wafleet.domain.account import Desired, State, explain
from wafleet.engine.clock import Clock, SystemClock
from wafleet.engine.db import DatabaseAway, Db
from wafleet.engine.migrate import SchemaError, pending
from wafleet.engine.postgres import PostgresError
from wafleet.engine.secrets import MasterKey, SecretError, load_or_create_key, open_secrets

WELL: Final = frozenset({State.ONLINE, State.DISABLED, State.CONNECTING, State.LINKING})
SLOW_S: Final = 2.0  # a clock that is off by more than this confuses people who compare logs
WRONG_S: Final = 30.0  # and by more than this, tokens and schedules
SHOWN: Final = 20


async def looks(settings: Settings) -> AsyncGenerator[Finding]:
    """Look from the outside in; what cannot be reached ends it. An embedded database is never made here."""
    if settings.database_url is None and not (settings.data_dir / "postgres").exists():
        yield Finding("database", "warn", "there is none yet", "`wafleet up` makes it.")
        return
    try:
        async with opened(settings) as dsn:
            lacking = await pending(dsn)
            yield _schema(settings, lacking)
            if lacking:
                return
            async with Db.open(dsn, connections=2) as db:
                clock = SystemClock()
                yield await _keys(db, settings)
                yield await _clock(db, clock)
                async for one in _clients(db, clock):
                    yield one
                async for one in _accounts(db, clock):
                    yield one
    except (PostgresError, SchemaError, DatabaseAway, psycopg.Error) as error:
        yield Finding("database", "bad", str(error), "Nothing in it can be looked at until then.")


def _schema(settings: Settings, lacking: list[str]) -> Finding:
    which = "the embedded PostgreSQL" if settings.database_url is None else "PostgreSQL"
    if not lacking:
        return Finding("database", "ok", f"{which} answers, and its schema is current")
    says = f"{which} answers; {len(lacking)} migrations are to be applied, from {lacking[0]}"
    return Finding("database", "warn", says, "`wafleet migrate` applies them, and so does the next `wafleet up`.")


async def _keys(db: Db, settings: Settings) -> Finding:
    given = settings.master_key
    async with db.fleet_tx() as tx:
        used = await wrapped_by(tx)
    if not used:
        return Finding("keys", "ok", "no secret was stored yet")
    if given is None and not (settings.data_dir / "master.key").exists():
        remedy = "Put the copy of master.key back, or set WAFLEET_MASTER_KEY."
        return Finding("keys", "bad", "the master key of the stored secrets is missing", remedy)
    try:
        master = MasterKey.parse(given.get_secret_value()) if given else load_or_create_key(settings.data_dir)
        await open_secrets(db, master)
    except SecretError as error:
        unfinished = (settings.data_dir / "master.key.next").exists()
        remedy = "`wafleet keys rotate` was interrupted: run it again." if unfinished else "Nothing can connect so."
        return Finding("keys", "bad", str(error), remedy)
    return Finding("keys", "ok", "stored secrets can be read")


async def _clock(db: Db, clock: Clock) -> Finding:
    async with db.fleet_tx() as tx:
        before = clock.now()
        theirs = await database_time(tx)
        after = clock.now()
    off = abs((theirs.astimezone(UTC) - (before + (after - before) / 2)).total_seconds())
    says = f"differs by {off:.1f} s from the database's"
    remedy = "Let NTP set the clocks of both machines."
    if off > WRONG_S:
        return Finding("clock", "bad", says, remedy)
    return Finding("clock", "warn", says, remedy) if off > SLOW_S else Finding("clock", "ok", says)


async def _clients(db: Db, clock: Clock) -> AsyncGenerator[Finding]:
    """One line for each client that WhatsApp refuses, however many numbers wait because of it."""
    from wafleet.accounts import Fleet

    for client, since in (await Fleet(db, clock).outdated_clients()).items():
        says = f"WhatsApp no longer accepts {client}, since {since:%Y-%m-%d %H:%M} UTC"
        yield Finding("linked devices", "bad", says, "Update wafleet; its numbers wait until then, nothing is lost.")


async def _accounts(db: Db, clock: Clock) -> AsyncGenerator[Finding]:
    """One line for each account that will not come back by itself, and one for all others."""
    from wafleet.accounts import Fleet

    rows = [row for row in (await Fleet(db, clock).view(CALLER)).accounts if row.desired == Desired.RUNNING]
    stuck = [row for row in rows if row.state not in WELL and not explain(row.reason).retried]
    online = sum(row.state == State.ONLINE for row in rows)
    yield Finding("accounts", "ok", f"{online} of {len(rows)} that should run are online")
    for row in stuck[:SHOWN]:
        yield Finding(f"{row.name} {row.phone}", "warn", f"{row.state}: {row.sentence}", row.next_step)
    for row in rows:
        away = absence(row.phone_seen_at, now=clock.now())
        if away is not None and away.next_step:
            yield Finding(f"{row.name} {row.phone}", "warn", away.sentence, away.next_step)
    if len(stuck) > SHOWN:
        yield Finding("accounts", "warn", f"{len(stuck) - SHOWN} more need a person", "See `wafleet accounts list`.")

"""The way to the database: a pool, and transactions that say whose rows they may see."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Final, LiteralString, Self, TypeVar
from uuid import UUID

import msgspec
import psycopg
from psycopg import AsyncConnection, AsyncCursor
from psycopg.rows import class_row, tuple_row
from psycopg.types.json import set_json_dumps, set_json_loads
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from wafleet.engine import observe

Row = TypeVar("Row")
HOT: Final = 3  # connections of the hot paths

set_json_dumps(lambda value: msgspec.json.encode(value))
set_json_loads(lambda text: msgspec.json.decode(text))


class DatabaseAway(Exception):
    """The database cannot be reached now. Nothing of the transaction counts, unless it was its COMMIT that got lost."""


class Fleet:
    """The reach of those who may see every tenant: duties of a node and platform administrators."""


FLEET: Final = Fleet()
Reach = UUID | Fleet


class Tx:
    """One open transaction. Whoever opened it commits it; whoever is handed it never does."""

    def __init__(self, conn: AsyncConnection[Any]) -> None:
        self.conn = conn

    async def one(self, row: type[Row], sql: LiteralString, **args: object) -> Row | None:
        """Return the first row as `row`, or None."""
        async with self.conn.cursor(row_factory=class_row(row)) as cur:
            await cur.execute(sql, args)
            return await cur.fetchone()

    async def all(self, row: type[Row], sql: LiteralString, **args: object) -> list[Row]:
        """Return every row as `row`."""
        async with self.conn.cursor(row_factory=class_row(row)) as cur:
            await cur.execute(sql, args)
            return await cur.fetchall()

    async def tuples(self, sql: LiteralString, **args: object) -> list[tuple[Any, ...]]:
        """Return every row as a tuple: for hot paths and single columns."""
        async with self.conn.cursor(row_factory=tuple_row) as cur:
            await cur.execute(sql, args)
            return await cur.fetchall()

    async def value(self, sql: LiteralString, **args: object) -> Any:
        """Return the first column of the first row, or None."""
        rows = await self.tuples(sql, **args)
        return rows[0][0] if rows else None

    async def run(self, sql: LiteralString, **args: object) -> int:
        """Return how many rows it touched."""
        cur: AsyncCursor[Any] = await self.conn.execute(sql, args)
        return cur.rowcount


Pool = AsyncConnectionPool[AsyncConnection[Any]]


class Db:
    """Opens transactions. There is no default reach: say whose rows, or say the fleet's."""

    def __init__(self, pool: Pool, keyed: Pool, dsn: str) -> None:
        self._pool, self._keyed, self.dsn = pool, keyed, dsn

    @classmethod
    @asynccontextmanager
    async def open(cls, dsn: str, *, connections: int = 12) -> AsyncGenerator[Self]:
        """Open the pool. It fills in the background, and again after the database was away.

        Statements are prepared in `keyed_tx` alone: a prepared one keeps its plan until statistics are gathered anew,
        and one that was made for an empty table may read the whole of it each time while a burst of messages fills it.
        Triggers keep their plans, which is why `plan_cache_mode` is left alone: planned anew for each row they cost as
        much again.
        """
        hot = min(HOT, connections - 1)
        async with (
            _pool(dsn, least=min(2, connections - hot), most=connections - hot, prepare=None) as pool,
            _pool(dsn, least=0, most=hot, prepare=0, configure=_by_keys) as keyed,
        ):
            with observe.watched_pool("main", pool.get_stats), observe.watched_pool("keyed", keyed.get_stats):
                yield cls(pool, keyed, dsn)

    @asynccontextmanager
    async def tx(self, reach: Reach) -> AsyncGenerator[Tx]:
        """Open a transaction in which other tenants' rows do not exist; `FLEET` sees them all.

        Raises DatabaseAway. Never await the network inside it.
        """
        async with _connection(self._pool) as conn, conn.transaction():
            if isinstance(reach, UUID):
                await conn.execute(
                    "select set_config('role', 'wafleet_tenant', true), set_config('wafleet.tenant', %s, true)",
                    (str(reach),),
                )
            yield Tx(conn)

    @asynccontextmanager
    async def fleet_tx(self) -> AsyncGenerator[Tx]:
        """Open a transaction that sees every tenant: for a node's duties, never for a tenant's request."""
        async with self.tx(FLEET) as tx:
            yield tx

    @asynccontextmanager
    async def keyed_tx(self) -> AsyncGenerator[Tx]:
        """Open a transaction of the fleet for a hot path whose every statement finds its rows by keys.

        Here statements are prepared, and never planned to read a whole table, however small it was at that time.
        """
        async with _connection(self._keyed) as conn, conn.transaction():
            yield Tx(conn)

    async def ping(self) -> None:
        """Return when the database answers. Raises DatabaseAway."""
        async with self.fleet_tx() as tx:
            await tx.run("select 1")


def _pool(
    dsn: str,
    *,
    least: int,
    most: int,
    prepare: int | None,
    configure: Callable[[AsyncConnection[Any]], Awaitable[None]] | None = None,
) -> Pool:
    return AsyncConnectionPool(
        dsn,
        min_size=least,
        max_size=most,
        kwargs={"autocommit": True, "prepare_threshold": prepare, "application_name": "wafleet"},
        timeout=5,
        max_idle=120,
        reconnect_timeout=float("inf"),
        open=False,
        check=None,
        configure=configure,
    )


async def _by_keys(conn: AsyncConnection[Any]) -> None:
    await conn.execute("set enable_seqscan = off")


@asynccontextmanager
async def _connection(pool: Pool) -> AsyncGenerator[AsyncConnection[Any]]:
    before = _cancellations()
    try:
        async with pool.connection() as conn:
            if _cancellations() > before:  # lost in the pool's `wait_for`, which Python 3.11 may do
                raise asyncio.CancelledError
            yield conn
    except PoolTimeout as error:
        raise DatabaseAway("no connection within 5 s") from error
    except psycopg.OperationalError as error:
        if isinstance(error, psycopg.errors.DeadlockDetected | psycopg.errors.SerializationFailure):
            raise
        raise DatabaseAway(str(error)) from error


def _cancellations() -> int:
    task = asyncio.current_task()
    return task.cancelling() if task is not None else 0

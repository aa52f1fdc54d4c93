"""Row-level security: a tenant reads, changes and adds nothing of another's, in any table there is."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg import sql
from tests.tenants.houses import House, client
from tests.tenants.strangers import ask_for_anothers, readable_routes

from wafleet.engine.db import Db, Tx
from wafleet.tenants import Scope

# What a tenant's transaction may read although it belongs to no tenant, and why.
SHARED = {
    "tenants": "its own row, by a policy of its own",
    "users": "those who belong to it, by a policy of its own",
    "moves": "which state may follow which: the same for everybody",
    "nodes": "names of nodes: no tenant's data",
    "leases": "which node holds which account",
}
# What holds a tenant's id but is never read as a tenant.
CLOSED = {"signins": "looked up by its secret's hash before the tenant is known"}

REFUSED = "row-level security|permission denied for table"


async def tables(db: Db, *, with_tenant: bool) -> list[str]:
    async with db.fleet_tx() as tx:
        rows = await tx.tuples(
            """
            select c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace
             where n.nspname = current_schema() and c.relkind in ('r', 'p') and not c.relispartition
               and c.relname not like 'procrastinate%%'
               and %(with_tenant)s = exists (select 1 from pg_attribute a
                                              where a.attrelid = c.oid and a.attname = 'tenant_id' and a.attnum > 0)
             order by 1
            """,
            with_tenant=with_tenant,
        )
    return [row[0] for row in rows]


async def plant(tx: Tx, table: str, **given: object) -> None:
    """Put one row into a table, whatever its columns and constraints are: only its tenant matters here."""
    columns = await tx.tuples(
        """
        select column_name, udt_name from information_schema.columns
         where table_schema = current_schema() and table_name = %(table)s
           and is_generated = 'NEVER' and is_identity = 'NO'
           and (column_default is null and is_nullable = 'NO' or column_name = 'tenant_id')
        """,
        table=table,
    )
    values = {name: given.get(name, _some(kind)) for name, kind in columns}
    statement = sql.SQL("insert into {} ({}) values ({})").format(
        sql.Identifier(table),
        sql.SQL(", ").join(map(sql.Identifier, values)),
        sql.SQL(", ").join(sql.Placeholder() * len(values)),
    )
    await tx.conn.execute(statement, list(values.values()))


def _some(kind: str) -> object:
    samples: dict[str, object] = {"uuid": uuid4(), "bytea": uuid4().bytes, "jsonb": "{}", "_text": ["read"]}
    samples |= {"timestamptz": "2026-01-01T00:00:00Z", "date": "2026-01-01", "bool": True, "xid8": "1"}
    samples |= dict.fromkeys(("int2", "int4", "int8", "float8", "numeric"), 1)
    return samples.get(kind, f"t{uuid4().hex[:8]}")


async def drop_constraints(tx: Tx) -> None:
    """Leave nothing but the policies in the way."""
    await tx.run("set session_replication_role = replica")  # no foreign keys, no triggers
    for table, name in await tx.tuples(
        """
        select conrelid::regclass::text, conname from pg_constraint
         where connamespace = current_schema()::regnamespace and contype = 'c'
        """
    ):
        drop = sql.SQL("alter table {} drop constraint {}").format(sql.SQL(table), sql.Identifier(name))
        await tx.conn.execute(drop)


async def touched(db: Db, tenant: UUID, statement: sql.Composed, *args: object) -> int:
    """Run a statement as a tenant; return how many rows it saw or changed, 0 where the table is closed to it."""
    try:
        async with db.tx(tenant) as tx:
            return (await tx.conn.execute(statement, args)).rowcount
    except psycopg.errors.InsufficientPrivilege:
        return 0


async def count(tx: Tx, table: str) -> int:
    cur = await tx.conn.execute(sql.SQL("select count(*) from {}").format(sql.Identifier(table)))
    row = await cur.fetchone()
    assert row is not None
    return row[0]


@pytest.fixture
async def planted(db: Db, house: House) -> tuple[UUID, UUID, Sequence[str]]:
    """Every table with a tenant's id holds one row of the kitchen's."""
    found = [name for name in await tables(db, with_tenant=True) if name not in CLOSED]
    async with db.fleet_tx() as tx:
        await drop_constraints(tx)
        for table in found:
            await plant(tx, table, tenant_id=house.kitchen)
        await tx.run("set session_replication_role = default")
    return house.office, house.kitchen, found


async def test_every_table_with_a_tenants_id_has_row_security_and_a_policy(db: Db) -> None:
    async with db.fleet_tx() as tx:
        guarded = await tx.tuples(
            """
            select c.relname from pg_class c
             where c.relrowsecurity
               and exists (select 1 from pg_policy p where p.polrelid = c.oid
                              and (select oid from pg_roles where rolname = 'wafleet_tenant') = any (p.polroles))
            """
        )
    names = {row[0] for row in guarded}
    assert set(await tables(db, with_tenant=True)) - names == set(CLOSED)
    assert {"accounts", "messages", "conversations", "outbox", "tokens", "audit"} <= names


async def test_the_role_of_tenants_bypasses_nothing_and_owns_nothing(db: Db) -> None:
    async with db.fleet_tx() as tx:
        rights = await tx.tuples(
            "select rolsuper, rolbypassrls, rolcanlogin, rolcreaterole from pg_roles where rolname = 'wafleet_tenant'"
        )
        owned = await tx.value("select count(*) from pg_class where relowner = 'wafleet_tenant'::regrole")
    assert rights == [(False, False, False, False)]
    assert owned == 0


async def test_a_tenant_reads_changes_and_deletes_nothing_of_another_in_any_table(
    db: Db, planted: tuple[UUID, UUID, Sequence[str]]
) -> None:
    office, kitchen, found = planted
    assert len(found) >= 10
    for table in found:
        name = sql.Identifier(table)
        async with db.tx(kitchen) as tx:
            assert await count(tx, table) >= 1, f"{table}: its own row is hidden from the tenant"
            theirs = await count(tx, table)
        strangers = sql.SQL("select 1 from {} where tenant_id is distinct from %s").format(name)
        assert await touched(db, office, strangers, office) == 0, f"{table}: another tenant's rows can be read"
        taking = sql.SQL("update {} set tenant_id = %s where tenant_id = %s").format(name)
        assert await touched(db, office, taking, office, kitchen) == 0, f"{table}: another's rows can be changed"
        deleting = sql.SQL("delete from {} where tenant_id = %s").format(name)
        assert await touched(db, office, deleting, kitchen) == 0, f"{table}: another's rows can be deleted"
        async with db.tx(kitchen) as tx:
            assert await count(tx, table) == theirs


async def test_a_tenant_adds_nothing_to_another_nor_gives_its_own_away(
    db: Db, planted: tuple[UUID, UUID, Sequence[str]]
) -> None:
    office, kitchen, found = planted
    for table in found:
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match=REFUSED):
            async with db.tx(office) as tx:
                await plant(tx, table, tenant_id=kitchen)
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match=REFUSED):
            async with db.tx(kitchen) as tx:
                await tx.conn.execute(
                    sql.SQL("update {} set tenant_id = %s where tenant_id = %s").format(sql.Identifier(table)),
                    [office, kitchen],
                )


async def test_without_a_tenant_there_is_nothing(db: Db, planted: tuple[UUID, UUID, Sequence[str]]) -> None:
    for table in [*planted[2], "tenants", "users"]:
        async with db.fleet_tx() as tx:
            await tx.run("set local role wafleet_tenant")
            assert await count(tx, table) == 0, table


async def test_the_tenant_of_a_transaction_does_not_outlive_it(dsn: str, house: House) -> None:
    async with Db.open(dsn, connections=2) as db:
        async with db.tx(house.office) as tx:
            assert await tx.value("select current_tenant()") == house.office
        async with db.fleet_tx() as tx:
            assert await tx.value("select current_tenant()") is None
            assert await tx.value("select current_user <> 'wafleet_tenant'")


async def test_what_belongs_to_no_tenant_is_closed_but_for_a_written_list(db: Db, house: House) -> None:
    readable: list[str] = []
    for table in [*await tables(db, with_tenant=False), *CLOSED]:
        async with db.tx(house.office) as tx:
            if await tx.value("select has_table_privilege('wafleet_tenant', %(table)s, 'select')", table=table):
                readable.append(table)
    assert set(readable) == set(SHARED)


async def test_a_tenant_writes_nothing_that_is_shared(db: Db, house: House) -> None:
    async with db.fleet_tx() as tx:
        for table in await tables(db, with_tenant=False):
            writable: Any = await tx.value(
                "select has_table_privilege('wafleet_tenant', %(table)s, 'insert, update, delete, truncate')",
                table=table,
            )
            assert not writable, table


async def test_no_route_shows_anything_of_another_tenant(house: House) -> None:
    cook = await house.tenants.people.create(
        await house.caller("root@example.com"), email="cook@example.com", tenant=house.kitchen
    )
    app = house.app()
    theirs = {"named": house.kitchen, "user": cook.user.id}
    assert {"/api/v1/tenants/{named}", "/api/v1/users/{user}"} <= set(readable_routes(app))
    async with client(app, await house.token(*Scope, tenant=house.office)) as http:
        asked = await ask_for_anothers(app, http, theirs)
    assert asked == len(readable_routes(app))

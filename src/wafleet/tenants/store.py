"""SQL of tenants, users and sign-ins."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from wafleet.domain.ids import TenantId, UserId
from wafleet.engine.db import Tx
from wafleet.tenants.model import Membership, Role, Tenant, User

# Tenants --------------------------------------------------------------------------------------------------------


async def insert_tenant(tx: Tx, *, id: TenantId, name: str) -> Tenant | None:
    """Add a tenant; None when the name is taken."""
    return await tx.one(
        Tenant,
        """
        insert into tenants (id, name) values (%(id)s, %(name)s)
        on conflict (lower(name)) do nothing
        returning id, name, created_at
        """,
        id=id,
        name=name,
    )


async def rename_tenant(tx: Tx, *, id: UUID, name: str) -> Tenant | None:
    """Give a tenant another name. Raises UniqueViolation when it is taken."""
    return await tx.one(
        Tenant,
        "update tenants set name = %(name)s where id = %(id)s returning id, name, created_at",
        id=id,
        name=name,
    )


async def tenant_by_id(tx: Tx, id: UUID) -> Tenant | None:
    return await tx.one(Tenant, "select id, name, created_at from tenants where id = %(id)s", id=id)


async def tenant_by_name(tx: Tx, name: str) -> Tenant | None:
    return await tx.one(
        Tenant, "select id, name, created_at from tenants where lower(name) = lower(%(name)s)", name=name
    )


async def tenants(tx: Tx, *, after: UUID | None, limit: int) -> list[Tenant]:
    """Return tenants in the order they were added."""
    return await tx.all(
        Tenant,
        """
        select id, name, created_at from tenants
         where %(after)s::uuid is null or id > %(after)s
         order by id limit %(limit)s
        """,
        after=after,
        limit=limit,
    )


# Users ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _UserRow:
    id: UserId
    email: str
    name: str
    platform_admin: bool
    disabled: bool
    created_at: datetime
    memberships: list[dict[str, Any]]


def _user(row: _UserRow) -> User:
    return User(
        id=row.id,
        email=row.email,
        name=row.name,
        platform_admin=row.platform_admin,
        disabled=row.disabled,
        created_at=row.created_at,
        memberships=msgspec.convert(row.memberships, list[Membership]),
    )


async def insert_user(tx: Tx, *, id: UserId, email: str, name: str, password_hash: str, platform_admin: bool) -> bool:
    """Add a user; False when the address has one."""
    return bool(
        await tx.run(
            """
            insert into users (id, email, name, password_hash, platform_admin)
            values (%(id)s, %(email)s, %(name)s, %(password_hash)s, %(platform_admin)s)
            on conflict (lower(email)) do nothing
            """,
            id=id,
            email=email,
            name=name,
            password_hash=password_hash,
            platform_admin=platform_admin,
        )
    )


async def users(
    tx: Tx, *, id: UUID | None = None, email: str | None = None, after: UUID | None = None, limit: int = 1
) -> list[User]:
    """Return users in the order they were added, each with the memberships this transaction may see."""
    rows = await tx.all(
        _UserRow,
        """
        select u.id, u.email, u.name, u.platform_admin, u.disabled_at is not null as disabled, u.created_at,
               coalesce((select jsonb_agg(jsonb_build_object('tenant', t.id, 'name', t.name, 'role', m.role)
                                          order by lower(t.name))
                           from memberships m join tenants t on t.id = m.tenant_id
                          where m.user_id = u.id), '[]') as memberships
          from users u
         where (%(id)s::uuid is null or u.id = %(id)s)
           and (%(email)s::text is null or lower(u.email) = lower(%(email)s))
           and (%(after)s::uuid is null or u.id > %(after)s)
         order by u.id limit %(limit)s
        """,
        id=id,
        email=email,
        after=after,
        limit=limit,
    )
    return [_user(row) for row in rows]


async def user_by_id(tx: Tx, id: UUID) -> User | None:
    found = await users(tx, id=id)
    return found[0] if found else None


async def update_user(
    tx: Tx, *, id: UUID, name: str | None = None, disabled: bool | None = None, password_hash: str | None = None
) -> None:
    """Change what is not None."""
    await tx.run(
        """
        update users
           set name = coalesce(%(name)s, name),
               password_hash = coalesce(%(password_hash)s, password_hash),
               disabled_at = case %(disabled)s::boolean when true then coalesce(disabled_at, now())
                                                        when false then null else disabled_at end
         where id = %(id)s
        """,
        id=id,
        name=name,
        disabled=disabled,
        password_hash=password_hash,
    )


async def put_membership(tx: Tx, *, tenant: UUID, user: UUID, role: Role) -> None:
    """Give a user a role in a tenant, in place of the one they had there."""
    await tx.run(
        """
        insert into memberships (tenant_id, user_id, role) values (%(tenant)s, %(user)s, %(role)s)
        on conflict (tenant_id, user_id) do update set role = excluded.role
        """,
        tenant=tenant,
        user=user,
        role=role,
    )


async def delete_membership(tx: Tx, *, tenant: UUID, user: UUID) -> bool:
    return bool(
        await tx.run(
            "delete from memberships where tenant_id = %(tenant)s and user_id = %(user)s", tenant=tenant, user=user
        )
    )


async def lock_tenant(tx: Tx, tenant: UUID) -> None:
    """Let one change of a tenant's people happen at a time, so that two cannot remove its last owners."""
    await tx.run("select 1 from tenants where id = %(tenant)s for update", tenant=tenant)


async def owners(tx: Tx, tenant: UUID) -> list[UUID]:
    """Return a tenant's owners who can sign in."""
    rows = await tx.tuples(
        """
        select m.user_id from memberships m join users u on u.id = m.user_id
         where m.tenant_id = %(tenant)s and m.role = 'owner' and u.disabled_at is null
        """,
        tenant=tenant,
    )
    return [row[0] for row in rows]


async def tenants_of(tx: Tx, user: UUID) -> list[TenantId]:
    """Return the tenants a user belongs to, by name."""
    rows = await tx.tuples(
        """
        select t.id from memberships m join tenants t on t.id = m.tenant_id
         where m.user_id = %(user)s order by lower(t.name)
        """,
        user=user,
    )
    return [row[0] for row in rows]


async def platform_admins(tx: Tx) -> list[UUID]:
    """Return the platform's administrators who can sign in; others who change them wait for this transaction."""
    await tx.run("select pg_advisory_xact_lock(hashtextextended('wafleet.platform_admins', 0))")
    rows = await tx.tuples("select id from users where platform_admin and disabled_at is null")
    return [row[0] for row in rows]


# Sign-ins -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """What a password is checked against."""

    id: UserId
    email: str
    password_hash: str
    platform_admin: bool
    disabled: bool


async def credentials(tx: Tx, email: str) -> Credentials | None:
    """Return what a sign-in with this address is checked against."""
    return await tx.one(
        Credentials,
        """
        select id, email, password_hash, platform_admin, disabled_at is not null as disabled
          from users where lower(email) = lower(%(email)s)
        """,
        email=email,
    )


async def insert_signin(
    tx: Tx, *, key: bytes, user: UUID, tenant: UUID | None, now: datetime, expires_at: datetime
) -> None:
    """Store a new sign-in by the hash of its secret."""
    await tx.run(
        """
        insert into signins (token_hash, user_id, tenant_id, created_at, expires_at)
        values (%(key)s, %(user)s, %(tenant)s, %(now)s, %(expires_at)s)
        """,
        key=key,
        user=user,
        tenant=tenant,
        now=now,
        expires_at=expires_at,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownSignin:
    """A sign-in and what its user may do where they look."""

    user: UserId
    email: str
    platform_admin: bool
    tenant: TenantId | None
    role: Role | None
    expires_at: datetime


async def signin_by_key(tx: Tx, key: bytes) -> KnownSignin | None:
    """Return a sign-in of a user who is not disabled."""
    return await tx.one(
        KnownSignin,
        """
        select u.id as user, u.email, u.platform_admin, s.tenant_id as tenant, m.role, s.expires_at
          from signins s
          join users u on u.id = s.user_id
          left join memberships m on m.user_id = u.id and m.tenant_id = s.tenant_id
         where s.token_hash = %(key)s and u.disabled_at is null
        """,
        key=key,
    )


async def move_signin(tx: Tx, *, key: bytes, tenant: UUID | None) -> None:
    await tx.run("update signins set tenant_id = %(tenant)s where token_hash = %(key)s", key=key, tenant=tenant)


async def delete_signin(tx: Tx, key: bytes) -> bool:
    return bool(await tx.run("delete from signins where token_hash = %(key)s", key=key))


async def delete_signins_of(tx: Tx, user: UUID, *, but: bytes | None = None) -> None:
    """End a user's sign-ins, except the one that asks."""
    await tx.run(
        "delete from signins where user_id = %(user)s and (%(but)s::bytea is null or token_hash <> %(but)s)",
        user=user,
        but=but,
    )


async def delete_expired_signins(tx: Tx, now: datetime) -> int:
    return await tx.run("delete from signins where expires_at <= %(now)s", now=now)

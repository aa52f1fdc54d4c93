"""Users: who may sign in, and what they are in which tenant."""

import re
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from wafleet.domain.errors import Conflict, Forbidden, Invalid, NotFound
from wafleet.domain.ids import TenantId, UserId, new_id
from wafleet.engine.db import Db, Tx
from wafleet.engine.web import Page, decode_cursor, page
from wafleet.tenants import store
from wafleet.tenants.audit import record
from wafleet.tenants.model import Caller, Role, User
from wafleet.tenants.passwords import Passwords, check_password, generated_password
from wafleet.tenants.signins import SignIns

ADDRESS: Final = re.compile(r"[^@\s\x00-\x1f\x7f]{1,100}@[^@\s\x00-\x1f\x7f]{1,150}")


def checked_email(email: str) -> str:
    """Return an e-mail address as it is stored. Raises Invalid."""
    email = email.strip()
    if not ADDRESS.fullmatch(email):
        raise Invalid("email", "Write an e-mail address, like ada@example.com")
    return email


@dataclass(frozen=True, slots=True, kw_only=True)
class NewUser:
    """A user just added or given a new password; `password` is set when it was made here, and shown this once."""

    user: User
    password: str | None


class People:
    """Adds, changes and removes users. A tenant's administrator reaches only those who belong to that tenant alone."""

    def __init__(self, db: Db, passwords: Passwords, signins: SignIns) -> None:
        self._db, self._passwords, self._signins = db, passwords, signins

    async def list(self, caller: Caller, *, cursor: str | None, limit: int) -> Page[User]:
        """Return users in the order they were added."""
        caller.require_admin()
        after = decode_cursor(cursor, tuple[UUID])[0] if cursor else None
        async with self._db.tx(caller.reach) as tx:
            rows = await store.users(tx, after=after, limit=limit + 1)
        return page(rows, limit=limit, place=lambda user: [user.id])

    async def get(self, caller: Caller, id: UUID) -> User:
        """Return a user. Raises NotFound, also for those of other tenants."""
        caller.require_admin()
        async with self._db.tx(caller.reach) as tx:
            return await _found(tx, id)

    async def self(self, caller: Caller) -> User | None:
        """Return the person who calls, with every tenant they belong to; None for a token or a program."""
        if caller.user is None:
            return None
        async with self._db.fleet_tx() as tx:
            return await store.user_by_id(tx, caller.user)

    async def create(
        self,
        caller: Caller,
        *,
        email: str,
        name: str = "",
        password: str | None = None,
        tenant: TenantId | None = None,
        role: Role = Role.VIEWER,
        platform_admin: bool = False,
    ) -> NewUser:
        """Add a user, with a role in a tenant or as an administrator of the platform.

        Without a password one is made and returned. Raises Conflict when the address has a user already.
        """
        email = checked_email(email)
        _may_grant(caller, tenant, role, platform_admin)
        if password is not None:
            check_password(password, email=email)
        made = password or generated_password()
        password_hash, id = await self._passwords.hash(made), UserId(new_id())
        async with self._db.fleet_tx() as tx:
            if not await store.insert_user(
                tx, id=id, email=email, name=name, password_hash=password_hash, platform_admin=platform_admin
            ):
                raise Conflict(
                    "This address already has a user: the platform's administrator can give it a role in this tenant",
                    code="email_taken",
                )
            if tenant is not None:
                await store.put_membership(tx, tenant=tenant, user=id, role=role)
            as_what = "platform_admin" if platform_admin else role
            await record(tx, caller, "user.created", id, tenant=tenant, email=email, role=as_what)
            user = await _found(tx, id)
        return NewUser(user=user, password=None if password else made)

    async def change(self, caller: Caller, id: UUID, *, name: str | None = None, disabled: bool | None = None) -> User:
        """Change a user's name, or keep them from signing in. What is None stays."""
        await self.get(caller, id)
        async with self._db.fleet_tx() as tx:
            if disabled:
                await self._keep_administrators(tx, caller, id)
            user = await _found(tx, id)
            _may_change(caller, user)
            await store.update_user(tx, id=id, name=name, disabled=disabled)
            if disabled:
                await store.delete_signins_of(tx, id)
            changed = {key: value for key, value in (("name", name), ("disabled", disabled)) if value is not None}
            await record(tx, caller, "user.changed", id, tenant=caller.tenant, **changed)
        self._signins.forget_all()
        return await self.get(caller, id)

    async def set_password(self, caller: Caller, id: UUID, password: str | None = None) -> NewUser:
        """Give a user another password, made here if None; all their sign-ins end."""
        user = await self.get(caller, id)
        if password is not None:
            check_password(password, email=user.email)
        made = password or generated_password()
        password_hash = await self._passwords.hash(made)
        async with self._db.fleet_tx() as tx:
            _may_change(caller, await _found(tx, id))
            await store.update_user(tx, id=id, password_hash=password_hash)
            await store.delete_signins_of(tx, id)
            await record(tx, caller, "user.password_set", id, tenant=caller.tenant)
        self._signins.forget_all()
        return NewUser(user=user, password=None if password else made)

    async def grant(self, caller: Caller, id: UUID, *, tenant: TenantId, role: Role) -> User:
        """Give a user a role in a tenant, in place of the one they have there."""
        _may_grant(caller, tenant, role, platform_admin=False)
        await self.get(caller, id)
        async with self._db.fleet_tx() as tx:
            await self._keep_owners(tx, caller, id, tenant, becomes=role)
            await store.put_membership(tx, tenant=tenant, user=id, role=role)
            await record(tx, caller, "membership.changed", id, tenant=tenant, role=role)
        self._signins.forget_all()
        return await self.get(caller, id)

    async def remove(self, caller: Caller, id: UUID, *, tenant: TenantId) -> None:
        """Take a user out of a tenant. Raises NotFound when they are not in it."""
        await self.get(caller, id)
        async with self._db.fleet_tx() as tx:
            await self._keep_owners(tx, caller, id, tenant, becomes=None)
            if not await store.delete_membership(tx, tenant=tenant, user=id):
                raise NotFound(f"User {id} does not belong to this tenant")
            await record(tx, caller, "membership.removed", id, tenant=tenant)
        self._signins.forget_all()

    async def _keep_owners(self, tx: Tx, caller: Caller, id: UUID, tenant: UUID, *, becomes: Role | None) -> None:
        await store.lock_tenant(tx, tenant)
        owners = await store.owners(tx, tenant)
        if id not in owners or becomes is Role.OWNER:
            return
        caller.require_owner("change what an owner is")
        if owners == [id] and not caller.platform:
            raise Conflict("A tenant keeps at least one owner: make somebody else an owner first", code="last_owner")

    async def _keep_administrators(self, tx: Tx, caller: Caller, id: UUID) -> None:
        if await store.platform_admins(tx) == [id]:
            raise Conflict("This is the platform's last administrator: add another first", code="last_administrator")
        if caller.tenant is not None:
            await self._keep_owners(tx, caller, id, caller.tenant, becomes=None)


async def _found(tx: Tx, id: UUID) -> User:
    user = await store.user_by_id(tx, id)
    if user is None:
        raise NotFound(f"There is no user {id}")
    return user


def _may_grant(caller: Caller, tenant: TenantId | None, role: Role, platform_admin: bool) -> None:
    caller.require_admin()
    if platform_admin:
        caller.require_platform()
        if tenant is not None:
            raise Invalid("tenant", "Leave it out: the platform's administrator reaches every tenant")
        return
    if tenant is None:
        raise Invalid("tenant", "Say in which tenant, or add an administrator of the platform")
    if caller.tenant is not None and caller.tenant != tenant:
        raise NotFound(f"There is no tenant {tenant}")
    if role is Role.OWNER:
        caller.require_owner("make another owner")


def _may_change(caller: Caller, user: User) -> None:
    """A person may belong to several tenants: none of them may take the person over for the others."""
    if caller.platform:
        return
    if user.platform_admin or any(membership.tenant != caller.tenant for membership in user.memberships):
        raise Forbidden("This person also belongs elsewhere: only the platform's administrator may change them")
    if Role.OWNER in [membership.role for membership in user.memberships]:
        caller.require_owner("change an owner")

"""Tenants, and everything about who may do what, in one place."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from psycopg.errors import UniqueViolation

from wafleet.domain.errors import Conflict, Invalid, NotFound
from wafleet.domain.ids import TenantId, UserId, new_id
from wafleet.engine.clock import Clock
from wafleet.engine.db import Db
from wafleet.engine.loops import Loop
from wafleet.engine.web import Page, decode_cursor, page
from wafleet.tenants import store
from wafleet.tenants.audit import Audit, record
from wafleet.tenants.model import Caller, Tenant
from wafleet.tenants.passwords import SHORTEST, Passwords, generated_password
from wafleet.tenants.people import People, checked_email
from wafleet.tenants.signins import SignIns
from wafleet.tenants.tokens import Tokens


class Tenants:
    """Tenants; their users (`people`), sign-ins, API tokens and audit log hang on it."""

    def __init__(self, db: Db, clock: Clock, *, passwords: Passwords | None = None) -> None:
        self._db, self._passwords = db, passwords or Passwords()
        self.tokens = Tokens(db, clock)
        self.signins = SignIns(db, clock, self._passwords)
        self.people = People(db, self._passwords, self.signins)
        self.audit = Audit(db)

    async def ensure_admin(self, email: str, password: str | None = None) -> str | None:
        """Make the platform's first administrator; return their password if it was made here, this once.

        Does nothing, and returns None, when there is an administrator. Two programs may call it at once.
        """
        email = checked_email(email)
        if password is not None and len(password) < SHORTEST:
            raise Invalid("password", f"The administrator's password needs at least {SHORTEST} characters")
        async with self._db.fleet_tx() as tx:
            if await store.platform_admins(tx):
                return None
        made = password or generated_password()
        password_hash, id = await self._passwords.hash(made), UserId(new_id())
        async with self._db.fleet_tx() as tx:
            if await store.platform_admins(tx):
                return None
            if not await store.insert_user(
                tx, id=id, email=email, name="", password_hash=password_hash, platform_admin=True
            ):
                raise Conflict(f"{email} is an ordinary user: choose another address for the administrator")
            await record(tx, Caller.local("start"), "user.created", id, email=email, role="platform_admin")
        return None if password else made

    async def create(self, caller: Caller, name: str) -> Tenant:
        """Add a tenant. Raises Conflict when the name is taken."""
        caller.require_platform()
        name = _checked_name(name)
        async with self._db.fleet_tx() as tx:
            tenant = await store.insert_tenant(tx, id=TenantId(new_id()), name=name)
            if tenant is None:
                raise Conflict(f"There is already a tenant called {name}: choose another name", code="name_taken")
            await record(tx, caller, "tenant.created", tenant.id, tenant=tenant.id, name=name)
        return tenant

    async def ensure(self, caller: Caller, name: str) -> Tenant:
        """Return the tenant of that name, added if it is not there: for fleet files and demos."""
        try:
            return await self.get(caller, name)
        except NotFound:
            pass
        try:
            return await self.create(caller, name)
        except Conflict:  # another program was faster
            return await self.get(caller, name)

    async def rename(self, caller: Caller, named: str, name: str) -> Tenant:
        """Give a tenant another name. Raises NotFound, Conflict."""
        caller.require_admin()
        name, before = _checked_name(name), await self.get(caller, named)
        try:
            async with self._db.fleet_tx() as tx:
                tenant = await store.rename_tenant(tx, id=before.id, name=name)
                await record(tx, caller, "tenant.renamed", before.id, tenant=before.id, before=before.name, name=name)
        except UniqueViolation as error:
            raise Conflict(
                f"There is already a tenant called {name}: choose another name", code="name_taken"
            ) from error
        return tenant or before

    async def list(self, caller: Caller, *, cursor: str | None, limit: int) -> Page[Tenant]:
        """Return the tenants within reach, in the order they were added."""
        after = decode_cursor(cursor, tuple[UUID])[0] if cursor else None
        async with self._db.tx(caller.reach) as tx:
            rows = await store.tenants(tx, after=after, limit=limit + 1)
        return page(rows, limit=limit, place=lambda tenant: [tenant.id])

    async def get(self, caller: Caller, named: str) -> Tenant:
        """Return a tenant by id or name. Raises NotFound, also for those beyond reach."""
        async with self._db.tx(caller.reach) as tx:
            id = _as_id(named)
            tenant = await store.tenant_by_id(tx, id) if id else await store.tenant_by_name(tx, named.strip())
        if tenant is None:
            raise NotFound(f"There is no tenant {named!r}")
        return tenant

    async def resolve(self, caller: Caller, named: str | None) -> TenantId:
        """Return the tenant to write to: the caller's own, or the one that a platform caller named by id or name.

        Raises Invalid when a platform caller named none, NotFound for one beyond reach.
        """
        if named is None:
            return caller.tenant_for(None)
        return (await self.get(caller, named)).id

    async def look_at(self, caller: Caller, secret: str, named: str | None) -> None:
        """Choose the tenant a signed-in person looks at; None: the whole fleet. Raises NotFound, Forbidden."""
        if named is None:
            return await self.signins.look_at(secret, None)
        person = await self.people.self(caller)
        own = {m.name.casefold(): m.tenant for m in person.memberships} if person else {}
        known = _as_id(named) or own.get(named.strip().casefold())
        if known is None and caller.platform:
            known = (await self.get(Caller.local(caller.actor), named)).id
        if known is None:
            raise NotFound(f"There is no tenant {named!r}")
        return await self.signins.look_at(secret, known)

    def loops(self) -> Sequence[Loop]:
        """Return this slice's duties."""
        return [
            Loop(name="note_token_use", turn=self.tokens.note_use, every=timedelta(minutes=1)),
            Loop(name="drop_expired_signins", turn=self.signins.drop_expired, every=timedelta(hours=1)),
        ]


def _as_id(named: str) -> UUID | None:
    try:
        return UUID(named)
    except ValueError:
        return None


def _checked_name(name: str) -> str:
    name = name.strip()
    if not 1 <= len(name) <= 100:
        raise Invalid("name", "Write a name of 1 to 100 characters")
    if _as_id(name):
        raise Invalid("name", "Choose a name that does not look like an id: tenants are found by either")
    return name

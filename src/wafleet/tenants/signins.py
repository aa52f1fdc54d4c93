"""Signing in with a password, and what a signed-in person may do."""

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from wafleet.domain.errors import Forbidden, Invalid, NotFound, SignInNeeded
from wafleet.domain.ids import TenantId, UserId
from wafleet.engine.clock import Clock
from wafleet.engine.db import Db
from wafleet.tenants import store
from wafleet.tenants.audit import record
from wafleet.tenants.model import EVERYTHING, PERMITS, Caller, Role
from wafleet.tenants.passwords import Passwords, check_password
from wafleet.tenants.recent import Recent
from wafleet.tenants.throttle import Throttle
from wafleet.tenants.tokens import hashed

LASTS: Final = timedelta(days=7)
EXPIRED: Final = "You are not signed in, or not any more: sign in again"


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedIn:
    """A new sign-in; `secret` goes into the browser's cookie and nowhere else."""

    secret: str
    user: UserId
    tenant: TenantId | None
    expires_at: datetime


class SignIns:
    """Opens, looks up and ends sign-ins. A change of rights counts within two seconds on every node."""

    def __init__(self, db: Db, clock: Clock, passwords: Passwords) -> None:
        self._db, self._clock, self._passwords = db, clock, passwords
        self._throttle = Throttle(clock)
        self._recent: Recent[store.KnownSignin] = Recent(clock)

    async def sign_in(self, email: str, password: str, *, address: str) -> SignedIn:
        """Open a sign-in. Raises SignInNeeded, the same for a wrong password and an unknown user, and TooMany."""
        self._throttle.begin(email, address)
        async with self._db.fleet_tx() as tx:
            known = await store.credentials(tx, email)
        right = await self._passwords.verify(known.password_hash if known else None, password)
        if not right or known is None or known.disabled:
            raise SignInNeeded("This address and password do not belong together", code="wrong_password")
        self._throttle.succeeded(email, address)
        return await self._open(known, password)

    async def caller_of(self, secret: str) -> Caller:
        """Return who a sign-in is. Raises SignInNeeded."""
        known = await self._known(secret)
        if known.tenant is None and not known.platform_admin:
            raise SignInNeeded(EXPIRED)
        if known.tenant is not None and known.role is None and not known.platform_admin:
            raise SignInNeeded("You no longer belong to this tenant: sign in again")
        return Caller(
            actor=f"user:{known.email}",
            tenant=known.tenant,
            scopes=PERMITS[known.role] if known.role and not known.platform_admin else EVERYTHING,
            user=known.user,
            platform=known.platform_admin,
            role=None if known.platform_admin or known.role is None else Role(known.role),
        )

    async def look_at(self, secret: str, tenant: UUID | None) -> None:
        """Choose the tenant a person looks at; None: the whole fleet. Raises NotFound, Forbidden."""
        known, key = await self._known(secret), hashed(secret)
        if tenant is None and not known.platform_admin:
            raise Forbidden("Only the platform's administrator may look at the whole fleet: choose a tenant")
        async with self._db.fleet_tx() as tx:
            mine = known.platform_admin or tenant in await store.tenants_of(tx, known.user)
            if tenant is not None and not (mine and await store.tenant_by_id(tx, tenant)):
                raise NotFound(f"There is no tenant {tenant}")
            await store.move_signin(tx, key=key, tenant=tenant)
        self._recent.forget(key)

    async def change_password(self, secret: str, *, current: str, new: str) -> None:
        """Give oneself another password; every other sign-in of this person ends."""
        known, caller = await self._known(secret), await self.caller_of(secret)
        self._throttle.begin(known.email, "changes")
        check_password(new, email=known.email, field="new")
        async with self._db.fleet_tx() as tx:
            stored = await store.credentials(tx, known.email)
        if stored is None or not await self._passwords.verify(stored.password_hash, current):
            raise Invalid("current", "This is not your present password")
        self._throttle.succeeded(known.email, "changes")
        new_hash = await self._passwords.hash(new)
        async with self._db.fleet_tx() as tx:
            await store.update_user(tx, id=known.user, password_hash=new_hash)
            await store.delete_signins_of(tx, known.user, but=hashed(secret))
            await record(tx, caller, "user.password_changed", known.user)
        self._recent.forget_all()

    async def sign_out(self, secret: str) -> None:
        """End a sign-in; ending it again changes nothing."""
        key = hashed(secret)
        self._recent.forget(key)
        async with self._db.fleet_tx() as tx:
            await store.delete_signin(tx, key)
        self._recent.forget(key)

    def forget_all(self) -> None:
        """Look every sign-in up again: somebody's rights changed."""
        self._recent.forget_all()

    async def drop_expired(self) -> None:
        """Delete what has expired; a loop calls this."""
        async with self._db.fleet_tx() as tx:
            await store.delete_expired_signins(tx, self._clock.now())

    async def _open(self, known: store.Credentials, password: str) -> SignedIn:
        secret, now = secrets.token_urlsafe(32), self._clock.now()
        outdated = self._passwords.outdated(known.password_hash)
        better = await self._passwords.hash(password) if outdated else None
        async with self._db.fleet_tx() as tx:
            tenant = None if known.platform_admin else next(iter(await store.tenants_of(tx, known.id)), None)
            if tenant is None and not known.platform_admin:
                raise Forbidden("You belong to no tenant: ask an administrator to add you to one")
            await store.insert_signin(
                tx, key=hashed(secret), user=known.id, tenant=tenant, now=now, expires_at=now + LASTS
            )
            await store.update_user(tx, id=known.id, password_hash=better)
            who = Caller(actor=f"user:{known.email}", tenant=tenant, scopes=frozenset(), user=known.id)
            await record(tx, who, "user.signed_in", known.id)
        return SignedIn(secret=secret, user=known.id, tenant=tenant, expires_at=now + LASTS)

    async def _known(self, secret: str) -> store.KnownSignin:
        key = hashed(secret)
        known = await self._recent.get(key, lambda: self._find(key))
        if known.expires_at <= self._clock.now():
            raise SignInNeeded(EXPIRED)
        return known

    async def _find(self, key: bytes) -> store.KnownSignin:
        async with self._db.fleet_tx() as tx:
            known = await store.signin_by_key(tx, key)
        if known is None:
            raise SignInNeeded(EXPIRED)
        return known

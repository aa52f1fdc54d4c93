"""API tokens: made once, stored only as a hash, looked up for every request of a program."""

import hashlib
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

from wafleet.domain.errors import Invalid, NotFound, SignInNeeded
from wafleet.domain.ids import AccountId, TenantId, TokenId, new_id
from wafleet.engine.clock import Clock
from wafleet.engine.db import FLEET, Db
from wafleet.engine.web import Page, decode_cursor, page
from wafleet.tenants import token_store as store
from wafleet.tenants.audit import record
from wafleet.tenants.model import Caller, Scope, Token
from wafleet.tenants.recent import Recent

SHAPE: Final = re.compile(r"wf_[A-Za-z0-9_-]{43}")


def hashed(secret: str) -> bytes:
    """Return what is stored of a random secret. It has 256 bits, so a fast hash is enough."""
    return hashlib.sha256(secret.encode()).digest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A new token; `secret` is shown this once."""

    secret: str
    token: Token


class _Known(NamedTuple):
    id: TokenId
    caller: Caller
    expires_at: datetime | None
    revoked_at: datetime | None


class Tokens:
    """Makes, finds and revokes tokens. A revocation counts within two seconds on every node."""

    def __init__(self, db: Db, clock: Clock) -> None:
        self._db, self._clock = db, clock
        self._recent: Recent[_Known] = Recent(clock)
        self._used: dict[TokenId, datetime] = {}

    async def caller_of(self, secret: str) -> Caller:
        """Return who a token is. Raises SignInNeeded with a sentence for each way it may not count."""
        if not SHAPE.fullmatch(secret):
            raise SignInNeeded("This is not a token of wafleet: they begin with wf_", code="token_malformed")
        key = hashed(secret)
        known = await self._recent.get(key, lambda: self._find(key))
        now = self._clock.now()
        if known.revoked_at is not None:
            raise SignInNeeded("This token was revoked: ask for another", code="token_revoked")
        if known.expires_at is not None and known.expires_at <= now:
            raise SignInNeeded("This token has expired: ask for another", code="token_expired")
        self._used[known.id] = now
        return known.caller

    async def make(
        self,
        caller: Caller,
        *,
        name: str,
        tenant: TenantId | None,
        scopes: Sequence[Scope],
        accounts: Sequence[UUID] | None = None,
        expires_at: datetime | None = None,
    ) -> Made:
        """Make a token; `tenant` None is for the whole fleet. Nobody can give more than they have."""
        self._check(caller, tenant=tenant, scopes=scopes, expires_at=expires_at)
        secret = f"wf_{secrets.token_urlsafe(32)}"
        async with self._db.tx(tenant or FLEET) as tx:
            missing = await store.missing_accounts(tx, accounts or [])
            if missing:
                raise Invalid(
                    "accounts", f"There is no account {missing[0]} in reach: take its id from /api/v1/accounts"
                )
            token = await store.insert(
                tx,
                id=TokenId(new_id()),
                tenant=tenant,
                name=name,
                key=hashed(secret),
                hint=secret[-4:],
                scopes=list(dict.fromkeys(scopes)),
                accounts=None if accounts is None else [AccountId(one) for one in accounts],
                created_by=caller.actor,
                created_at=self._clock.now(),
                expires_at=expires_at,
            )
            await record(tx, caller, "token.created", token.id, tenant=tenant, name=name, scopes=token.scopes)
        return Made(secret=secret, token=token)

    async def list(self, caller: Caller, *, cursor: str | None, limit: int) -> Page[Token]:
        """Return tokens, newest first, revoked ones too."""
        caller.require_admin()
        before = decode_cursor(cursor, tuple[UUID])[0] if cursor else None
        async with self._db.tx(caller.reach) as tx:
            rows = await store.listed(tx, before=before, limit=limit + 1)
        return page(rows, limit=limit, place=lambda token: [token.id])

    async def revoke(self, caller: Caller, id: UUID) -> Token:
        """End a token. Ending it again changes nothing. Raises NotFound."""
        caller.require_admin()
        async with self._db.tx(caller.reach) as tx:
            found = await store.one(tx, id)
            if found is None:
                raise NotFound(f"There is no token {id}")
            token, key = found
            now = self._clock.now()
            if await store.revoke(tx, id=id, now=now):
                await record(tx, caller, "token.revoked", id, tenant=token.tenant, name=token.name)
                token = replace(token, revoked_at=now)
        self._recent.forget(key)
        return token

    async def note_use(self) -> None:
        """Write when tokens were last used, all in one statement; a loop calls this once a minute."""
        used, self._used = self._used, {}
        if used:
            async with self._db.fleet_tx() as tx:
                await store.note_use(tx, ids=list(used), at=list(used.values()))

    async def _find(self, key: bytes) -> _Known:
        async with self._db.fleet_tx() as tx:
            row = await store.by_key(tx, key)
        if row is None:
            raise SignInNeeded("There is no such token: check that all of it was copied", code="token_unknown")
        caller = Caller(
            actor=f"token:{row.name}",
            tenant=row.tenant,
            platform=row.tenant is None and row.accounts is None and Scope.ADMIN in row.scopes,
            scopes=frozenset(Scope(scope) for scope in row.scopes),
            accounts=None if row.accounts is None else frozenset(row.accounts),
        )
        return _Known(row.id, caller, row.expires_at, row.revoked_at)

    def _check(
        self, caller: Caller, *, tenant: TenantId | None, scopes: Sequence[Scope], expires_at: datetime | None
    ) -> None:
        caller.require_admin()
        if tenant is None:
            caller.require_platform()
        elif caller.tenant is not None and caller.tenant != tenant:
            raise NotFound(f"There is no tenant {tenant}")
        if not scopes:
            raise Invalid("scopes", "Name at least one scope: read, send, control or admin")
        if expires_at is not None and expires_at <= self._clock.now():
            raise Invalid("expires_at", "Choose a time in the future, or leave it out for a token that does not expire")

"""SQL of API tokens."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from wafleet.domain.ids import AccountId, TenantId, TokenId
from wafleet.engine.db import Tx
from wafleet.tenants.model import Scope, Token


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownToken:
    """What a request's token may do."""

    id: TokenId
    tenant: TenantId | None
    name: str
    scopes: list[str]
    accounts: list[AccountId] | None
    expires_at: datetime | None
    revoked_at: datetime | None


def _typed(token: Token) -> Token:
    """The driver hands out plain text where the class says Scope."""
    return replace(token, scopes=[Scope(scope) for scope in token.scopes])


async def by_key(tx: Tx, key: bytes) -> KnownToken | None:
    """Return the token with this hash, expired and revoked ones too."""
    return await tx.one(
        KnownToken,
        """
        select id, tenant_id as tenant, name, scopes, accounts, expires_at, revoked_at
          from tokens where token_hash = %(key)s
        """,
        key=key,
    )


async def insert(
    tx: Tx,
    *,
    id: TokenId,
    tenant: TenantId | None,
    name: str,
    key: bytes,
    hint: str,
    scopes: Sequence[Scope],
    accounts: Sequence[AccountId] | None,
    created_by: str,
    created_at: datetime,
    expires_at: datetime | None,
) -> Token:
    """Store a new token by its hash."""
    await tx.run(
        """
        insert into tokens (id, tenant_id, name, token_hash, hint, scopes, accounts, created_by, created_at, expires_at)
        values (%(id)s, %(tenant)s, %(name)s, %(key)s, %(hint)s, %(scopes)s, %(accounts)s::uuid[], %(created_by)s,
                %(created_at)s, %(expires_at)s)
        """,
        id=id,
        tenant=tenant,
        name=name,
        key=key,
        hint=hint,
        scopes=[scope.value for scope in scopes],
        accounts=None if accounts is None else list(accounts),
        created_by=created_by,
        created_at=created_at,
        expires_at=expires_at,
    )
    return Token(
        id=id,
        tenant=tenant,
        name=name,
        hint=hint,
        scopes=list(scopes),
        accounts=None if accounts is None else list(accounts),
        created_by=created_by,
        created_at=created_at,
        expires_at=expires_at,
        revoked_at=None,
        last_used_at=None,
    )


async def listed(tx: Tx, *, before: UUID | None, limit: int) -> list[Token]:
    """Return tokens, newest first."""
    rows = await tx.all(
        Token,
        """
        select id, tenant_id as tenant, name, hint, scopes, accounts, created_by, created_at, expires_at, revoked_at,
               last_used_at
          from tokens
         where %(before)s::uuid is null or id < %(before)s
         order by id desc limit %(limit)s
        """,
        before=before,
        limit=limit,
    )
    return [_typed(token) for token in rows]


async def revoke(tx: Tx, *, id: UUID, now: datetime) -> bool:
    """Say whether this call ended it."""
    return bool(
        await tx.run("update tokens set revoked_at = %(now)s where id = %(id)s and revoked_at is null", id=id, now=now)
    )


async def one(tx: Tx, id: UUID) -> tuple[Token, bytes] | None:
    """Return a token and its stored hash, locked."""
    token = await tx.one(
        Token,
        """
        select id, tenant_id as tenant, name, hint, scopes, accounts, created_by, created_at, expires_at, revoked_at,
               last_used_at
          from tokens where id = %(id)s for update
        """,
        id=id,
    )
    if token is None:
        return None
    return _typed(token), await tx.value("select token_hash from tokens where id = %(id)s", id=id)


async def note_use(tx: Tx, *, ids: Sequence[TokenId], at: Sequence[datetime]) -> None:
    """Store when tokens were last used; older news changes nothing."""
    await tx.run(
        """
        update tokens t set last_used_at = u.at
          from unnest(%(ids)s::uuid[], %(at)s::timestamptz[]) as u (id, at)
         where t.id = u.id and (t.last_used_at is null or t.last_used_at < u.at)
        """,
        ids=list(ids),
        at=list(at),
    )


async def missing_accounts(tx: Tx, accounts: Sequence[UUID]) -> list[UUID]:
    """Return those ids that are no account this transaction sees."""
    rows = await tx.tuples(
        """
        select wanted.id from unnest(%(accounts)s::uuid[]) as wanted (id)
         where not exists (select 1 from accounts a where a.id = wanted.id and a.deleted_at is null)
        """,
        accounts=list(accounts),
    )
    return [row[0] for row in rows]

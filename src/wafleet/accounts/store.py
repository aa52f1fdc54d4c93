"""SQL of accounts: how they are read and written. State writes of live sessions are fenced elsewhere."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, LiteralString
from uuid import UUID

from psycopg.types.json import Jsonb

from wafleet.accounts.model import Account, Checked, PairingView
from wafleet.domain.account import DEADLINES, State
from wafleet.domain.ids import AccountId, TenantId
from wafleet.engine.db import Tx

_ACCOUNT: Final[LiteralString] = """
    select a.id, a.tenant_id, t.name as tenant, a.name, a.phone, a.transport, a.role, a.priority, a.metadata,
           a.settings, a.desired, a.state, a.reason, a.detail, a.state_since, a.retry_at, a.credentials_hint,
           a.credentials is not null and a.state <> 'logged_out' as linked, l.holder as node,
           v.last_inbound_at, v.last_sent_at, v.phone_seen_at, a.provider, v.last_call_at, v.call_refused_at,
           coalesce(v.call_refused, '') as call_refused,
           (select count(*) from outbox o where o.account_id = a.id and o.state = 'queued') as waiting,
           a.created_at, a.updated_at
      from accounts a
      join tenants t on t.id = a.tenant_id
      left join activity v on v.account_id = a.id
      left join leases l on l.name = 'account:' || a.id and l.expires_at > now()
     where a.deleted_at is null and (%(only)s::uuid[] is null or a.id = any(%(only)s))
"""


@dataclass(frozen=True, slots=True)
class Held:
    """What a change must know of an account, locked until the transaction ends."""

    id: AccountId
    tenant_id: TenantId
    name: str
    phone: str
    transport: str
    role: str
    priority: int
    metadata: dict[str, Any]
    settings: dict[str, Any]
    desired: str
    state: State
    reason: str
    linked: bool  # it has credentials
    private: bytes | None  # passwords of its settings, encrypted
    retired: bool  # it had credentials once that were put away
    pairing: dict[str, Any] | None

    def __post_init__(self) -> None:
        object.__setattr__(self, "state", State(self.state))


@dataclass(frozen=True, slots=True, kw_only=True)
class Narrow:
    """Which accounts of a list are wanted; None: no matter."""

    only: Sequence[AccountId] | None = None
    tenant: UUID | None = None
    states: Sequence[str] | None = None
    transport: str | None = None
    role: str | None = None
    q: str | None = None


async def account(tx: Tx, *, id: UUID, only: Sequence[AccountId] | None) -> Account | None:
    """Return one account within the caller's sight."""
    return await tx.one(Account, _ACCOUNT + " and a.id = %(id)s", id=id, only=only)


async def matching(
    tx: Tx, *, id: UUID | None, phone: str | None, text: str, only: Sequence[AccountId] | None
) -> list[tuple[int, Account]]:
    """Return accounts that `text` may mean with how well: 0 the id, 1 the phone, 2 the name, 3 the role."""
    sql = """
         and (a.id = %(id)s or a.phone = %(phone)s or lower(%(text)s) in (lower(a.name), lower(a.role)))
       order by lower(a.name), a.id
       limit 10
    """
    rows = await tx.all(Account, _ACCOUNT + sql, id=id, phone=phone, text=text, only=only)
    folded = text.casefold()

    def rank(one: Account) -> int:
        if one.id == id:
            return 0
        return 1 if one.phone == phone else 2 if one.name.casefold() == folded else 3

    return [(rank(one), one) for one in rows]


async def listed(tx: Tx, *, narrow: Narrow, after: tuple[str, UUID] | None, limit: int) -> list[Account]:
    """Return up to `limit` accounts by name, from the one after `after` on."""
    sql = """
         and (%(tenant)s::uuid is null or a.tenant_id = %(tenant)s)
         and (%(states)s::text[] is null or a.state = any(%(states)s))
         and (%(transport)s::text is null or a.transport = %(transport)s)
         and (%(role)s::text is null or lower(a.role) = lower(%(role)s))
         and (%(q)s::text is null or position(folded(%(q)s) in folded(a.name || ' ' || a.phone || ' ' || a.role)) > 0)
         and (%(name)s::text is null or (lower(a.name), a.id) > (lower(%(name)s), %(id)s::uuid))
       order by lower(a.name), a.id
       limit %(limit)s
    """
    name, id = after or (None, None)
    return await tx.all(
        Account,
        _ACCOUNT + sql,
        only=narrow.only,
        tenant=narrow.tenant,
        states=narrow.states,
        transport=narrow.transport,
        role=narrow.role,
        q=narrow.q,
        name=name,
        id=id,
        limit=limit,
    )


async def hold(tx: Tx, *, id: UUID, only: Sequence[AccountId] | None) -> Held | None:
    """Lock one account and return it as it stands."""
    return await tx.one(
        Held,
        """
        select a.id, a.tenant_id, a.name, a.phone, a.transport, a.role, a.priority, a.metadata, a.settings, a.desired,
               a.state, a.reason, a.credentials is not null as linked, a.private, a.pairing,
               exists (select 1 from retired_credentials r where r.account_id = a.id) as retired
          from accounts a
         where a.id = %(id)s and a.deleted_at is null and (%(only)s::uuid[] is null or a.id = any(%(only)s))
           for update of a
        """,
        id=id,
        only=only,
    )


async def insert(
    tx: Tx,
    *,
    id: AccountId,
    tenant: TenantId,
    new: Checked,
    desired: str,
    state: State,
    credentials: bytes | None,
    hint: str,
    private: bytes | None,
    reason: str,
) -> None:
    """Add an account. Raises UniqueViolation on accounts_phone or accounts_name."""
    await tx.run(
        """
        insert into accounts (id, tenant_id, name, phone, transport, role, priority, metadata, settings, desired, state,
                              reason, credentials, credentials_hint, private)
        values (%(id)s, %(tenant)s, %(name)s, %(phone)s, %(transport)s, %(role)s, %(priority)s, %(metadata)s,
                %(settings)s, %(desired)s, %(state)s, %(reason)s, %(credentials)s, %(hint)s, %(private)s)
        """,
        id=id,
        tenant=tenant,
        name=new.name,
        phone=new.phone,
        transport=new.transport,
        role=new.role or "",
        priority=new.priority or 0,
        metadata=Jsonb(new.metadata or {}),
        settings=Jsonb(new.settings or {}),
        desired=desired,
        state=state,
        reason=reason,
        private=private,
        credentials=credentials,
        hint=hint,
    )
    await tx.run(
        "insert into activity (account_id, tenant_id) values (%(id)s, %(tenant)s) on conflict do nothing",
        id=id,
        tenant=tenant,
    )


async def write(tx: Tx, *, id: AccountId, new: Checked) -> None:
    """Write the fields that were given. Raises UniqueViolation on accounts_phone or accounts_name."""
    await tx.run(
        """
        update accounts
           set name = coalesce(%(name)s::text, name), phone = coalesce(%(phone)s::text, phone),
               role = coalesce(%(role)s::text, role), priority = coalesce(%(priority)s::int, priority),
               metadata = coalesce(%(metadata)s::jsonb, metadata), settings = coalesce(%(settings)s::jsonb, settings),
               updated_at = now()
         where id = %(id)s
        """,
        id=id,
        name=new.name,
        phone=new.phone,
        role=new.role,
        priority=new.priority,
        metadata=None if new.metadata is None else Jsonb(new.metadata),
        settings=None if new.settings is None else Jsonb(new.settings),
    )


async def set_aside_names(tx: Tx, *, ids: Sequence[AccountId]) -> None:
    """Give accounts names nobody else has, so that several can be renamed to each other's in one transaction."""
    await tx.run("update accounts set name = id::text where id = any(%(ids)s)", ids=list(ids))


async def move(
    tx: Tx,
    *,
    id: AccountId,
    before: Sequence[State],
    to: State,
    reason: str,
    detail: str = "",
    retry_in: timedelta | None = None,
) -> bool:
    """Move an account that stands in one of `before`; retry and failures begin anew, its uptime is closed.

    A state that must not last gets its deadline, and an attempt to link that this ends its end. False when it stands
    elsewhere by now.
    """
    moved = await tx.run(
        """
        update accounts
           set state = %(to)s, reason = %(reason)s, detail = %(detail)s, deadline_at = now() + %(limit)s,
               retry_at = now() + %(retry_in)s, failures = 0, updated_at = now(),
               pairing = case when %(to)s = 'linking' then null
                              when state = 'linking' then jsonb_build_object('ended', %(reason)s::text)
                              else pairing end,
               state_since = case when state = %(to)s then state_since else now() end
         where id = %(id)s and state = any(%(before)s)
        """,
        id=id,
        before=[one.value for one in before],
        to=to.value,
        reason=reason,
        detail=detail,
        retry_in=retry_in,
        limit=DEADLINES[to][0] if to in DEADLINES else None,
    )
    if moved and to not in {State.ONLINE, State.DEGRADED}:
        await tx.run(
            """
            update activity
               set online_s = online_s + extract(epoch from now() - online_since), online_since = null
             where account_id = %(id)s and online_since is not null
            """,
            id=id,
        )
    return moved == 1


async def want(tx: Tx, *, id: AccountId, desired: str) -> None:
    """Write what the operator wants of an account."""
    sql = "update accounts set desired = %(desired)s, updated_at = now() where id = %(id)s"
    await tx.run(sql, id=id, desired=desired)


async def keep_credentials(tx: Tx, *, id: AccountId, credentials: bytes, hint: str) -> None:
    """Store an account's encrypted credentials; the former ones are put away before, by `retire_credentials`."""
    await tx.run(
        "update accounts set credentials = %(credentials)s, credentials_hint = %(hint)s, updated_at = now() "
        "where id = %(id)s",
        id=id,
        credentials=credentials,
        hint=hint,
    )


async def retire_credentials(tx: Tx, *, id: AccountId, reason: str, stay: bool = False) -> bool:
    """Put an account's credentials away, still encrypted: nothing is ever lost by unlinking. False: it had none.

    stay  they remain the account's own as well
    """
    kept = await tx.run(
        """
        insert into retired_credentials (tenant_id, account_id, credentials, reason)
        select tenant_id, id, credentials, %(reason)s from accounts where id = %(id)s and credentials is not null
        """,
        id=id,
        reason=reason,
    )
    if not stay:
        await tx.run(
            "update accounts set credentials = null, credentials_hint = '', updated_at = now() where id = %(id)s", id=id
        )
    return kept == 1


async def want_removal(tx: Tx, *, id: AccountId, within: timedelta, detail: str) -> None:
    """Ask whichever node comes first to remove the device from its phone's list; it is given up after `within`."""
    sql = """
        update accounts set remove_until = now() + %(within)s, detail = %(detail)s, updated_at = now() where id = %(id)s
    """
    await tx.run(sql, id=id, within=within, detail=detail)


async def keep_private(tx: Tx, *, id: AccountId, private: bytes | None) -> None:
    """Store the encrypted passwords of an account's settings."""
    await tx.run("update accounts set private = %(private)s where id = %(id)s", id=id, private=private)


async def bury(tx: Tx, *, id: AccountId) -> None:
    """Take an account out of the fleet; its rows stay for its history."""
    await tx.run(
        "update accounts set deleted_at = now(), desired = 'stopped', updated_at = now() where id = %(id)s", id=id
    )


async def pairing(tx: Tx, *, id: UUID, only: Sequence[AccountId] | None) -> PairingView | None:
    """Return what a person must do now to link an account, or how the last attempt ended."""
    return await tx.one(
        PairingView,
        """
        select state, reason, coalesce(pairing ->> 'qr', '') as qr, coalesce(pairing ->> 'code', '') as code,
               (pairing ->> 'expires_at')::timestamptz as expires_at, deadline_at,
               coalesce(pairing ->> 'ended', '') as ended, coalesce(pairing ->> 'detail', '') as detail
          from accounts
         where id = %(id)s and deleted_at is null and (%(only)s::uuid[] is null or id = any(%(only)s))
        """,
        id=id,
        only=only,
    )


@dataclass(frozen=True, slots=True)
class TenantRow:
    id: TenantId
    name: str


@dataclass(frozen=True, slots=True)
class StandingRow:
    """An account as a fleet file is compared with it."""

    id: AccountId
    tenant_id: TenantId
    tenant: str
    name: str
    phone: str
    transport: str
    role: str
    priority: int
    metadata: dict[str, Any]
    settings: dict[str, Any]
    desired: str
    credentials: bytes | None  # only where they were asked for
    private: bytes | None  # passwords of its settings, encrypted


async def one_file_at_a_time(tx: Tx) -> None:
    """Wait until no other transaction applies a fleet file."""
    await tx.value("select pg_advisory_xact_lock(hashtext('wafleet fleet file'))")


async def standing(tx: Tx, *, with_credentials: Sequence[str]) -> list[StandingRow]:
    """Return every account in reach, by tenant and name. Credentials are large: only those of these phones are read."""
    return await tx.all(
        StandingRow,
        """
        select a.id, a.tenant_id, t.name as tenant, a.name, a.phone, a.transport, a.role, a.priority, a.metadata,
               a.settings, a.desired, a.private,
               case when a.phone = any(%(phones)s) then a.credentials end as credentials
          from accounts a join tenants t on t.id = a.tenant_id
         where a.deleted_at is null
         order by lower(t.name), lower(a.name), a.id
        """,
        phones=list(with_credentials),
    )


async def tenants(tx: Tx) -> list[TenantRow]:
    """Return every tenant in reach."""
    return await tx.all(TenantRow, "select id, name from tenants order by lower(name)")


async def add_tenant(tx: Tx, *, id: TenantId, name: str) -> TenantId:
    """Add a tenant and return its id; the other's when somebody else added that name meanwhile."""
    sql = "insert into tenants (id, name) values (%(id)s, %(name)s) on conflict do nothing"
    if await tx.run(sql, id=id, name=name) == 1:
        return id
    return await tx.value("select id from tenants where lower(name) = lower(%(name)s)", name=name)


async def tenant_named(tx: Tx, *, text: str) -> TenantId | None:
    """Return the tenant whose id or name this is."""
    return await tx.value(
        "select id from tenants where id::text = lower(%(text)s) or lower(name) = lower(%(text)s) limit 1", text=text
    )

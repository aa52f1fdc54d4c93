"""SQL of accounts that their networks call."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from wafleet.domain.ids import AccountId, TenantId
from wafleet.engine.db import Tx


@dataclass(frozen=True, slots=True)
class Called:
    """An account with what proves a call of its network, encrypted."""

    id: AccountId
    tenant_id: TenantId
    phone: str
    transport: str
    settings: dict[str, Any]
    credentials: bytes


async def called(tx: Tx, wanted: Collection[tuple[AccountId, str]], *, moved_within: timedelta) -> list[Called]:
    """Return accounts by id and transport; one that was moved lately is still called by its former network."""
    return await tx.all(
        Called,
        """
        with w as (select * from unnest(%(ids)b::uuid[], %(transports)b::text[]) as w (id, transport))
        select a.id, a.tenant_id, a.phone, a.transport, a.settings, a.credentials
          from accounts a join w using (id, transport)
         where a.deleted_at is null and a.credentials is not null
        union all
        select a.id, a.tenant_id, a.phone, w.transport, r.settings, r.credentials
          from w join accounts a on a.id = w.id and a.transport <> w.transport and a.deleted_at is null
         cross join lateral (
            select r.settings, r.credentials from retired_credentials r
             where r.account_id = a.id and r.transport = w.transport and r.reason = 'moved'
               and r.retired_at > now() - %(within)s
             order by r.id desc limit 1) r
        """,
        ids=[account for account, _ in wanted],
        transports=[transport for _, transport in wanted],
        within=moved_within,
    )


async def named(tx: Tx, *, transport: str, key: str, number: str, most: int) -> list[Called]:
    """Return the accounts of a transport whose network calls their number so, in whichever tenant."""
    return await tx.all(
        Called,
        """
        select id, tenant_id, phone, transport, settings, credentials from accounts
         where transport = %(transport)s and deleted_at is null and credentials is not null
           and (phone = %(number)s or settings -> %(transport)s ->> %(key)s = %(number)s)
         order by created_at, id limit %(most)s
        """,
        transport=transport,
        key=key,
        number=number,
        most=most,
    )


@dataclass(slots=True)
class Heard:
    """When an account was called last by a network, and when a call was refused."""

    account: AccountId
    tenant: TenantId
    transport: str
    called_at: datetime | None = None
    inbound_at: datetime | None = None
    refused_at: datetime | None = None
    refused: str = ""


async def note(tx: Tx, heard: Sequence[Heard]) -> None:
    """Store when accounts were called; nothing is ever set back. Calls of a former network prove nothing any more."""
    await tx.run(
        """
        insert into activity as t (account_id, tenant_id, last_call_at, last_inbound_at, call_refused_at, call_refused)
        select h.id, h.tenant, h.called_at, h.inbound_at, h.refused_at, h.refused
          from unnest(%(accounts)s::uuid[], %(tenants)s::uuid[], %(transports)s::text[], %(called)s::timestamptz[],
                      %(inbound)s::timestamptz[], %(refused_at)s::timestamptz[], %(refused)s::text[])
                 as h (id, tenant, transport, called_at, inbound_at, refused_at, refused)
         where exists (select 1 from accounts a where a.id = h.id and a.transport = h.transport)
         order by h.id
        on conflict (account_id) do update
           set last_call_at = greatest(t.last_call_at, excluded.last_call_at),
               last_inbound_at = greatest(t.last_inbound_at, excluded.last_inbound_at),
               call_refused_at = greatest(t.call_refused_at, excluded.call_refused_at),
               call_refused = coalesce(nullif(excluded.call_refused, ''), t.call_refused)
        """,
        accounts=[one.account for one in heard],
        tenants=[one.tenant for one in heard],
        transports=[one.transport for one in heard],
        called=[one.called_at for one in heard],
        inbound=[one.inbound_at for one in heard],
        refused_at=[one.refused_at for one in heard],
        refused=[one.refused for one in heard],
    )

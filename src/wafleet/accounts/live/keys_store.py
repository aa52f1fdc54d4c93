"""SQL of what logs accounts in: read for a session, replaced as it changes, put away where it is needed no more."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, LiteralString

from wafleet.domain.ids import AccountId
from wafleet.engine.db import Tx


async def save_credentials(tx: Tx, *, account: AccountId, epoch: int, transport: str, credentials: bytes) -> bool:
    """Store the encrypted credentials of a phone that was linked just now, and keep a copy of those they replace.

    The same ones again change nothing: they may have landed although their COMMIT was never answered. False: the lease
    has changed hands, nothing was written.
    """
    await _turn(tx, account)
    sql = """
        with a as (
            select a.id, a.tenant_id, a.phone, a.transport, a.credentials
              from accounts a join leases l on l.name = 'account:' || a.id and l.epoch = %(epoch)s
             where a.id = %(account)s and a.transport = %(transport)s
        ), kept as (
            insert into retired_credentials (tenant_id, account_id, credentials, reason)
            select tenant_id, id, credentials, 'relinked' from a where credentials <> %(credentials)s
        ), told as (
            insert into events (tenant_id, account_id, kind, data)
            select tenant_id, id, 'account.linked', jsonb_build_object('phone', phone) from a
             where credentials is distinct from %(credentials)s
        ), seen as (
            insert into activity as v (account_id, tenant_id, phone_seen_at)
            select id, tenant_id, now() from a where transport = 'device'
            on conflict (account_id) do update set phone_seen_at = excluded.phone_seen_at
        )
        update accounts set credentials = %(credentials)s, remove_until = null, updated_at = now(),
                            pairing = jsonb_build_object('ended', 'linked')
          from a where accounts.id = a.id
    """
    return await tx.run(sql, account=account, epoch=epoch, transport=transport, credentials=credentials) == 1


async def renew_credentials(tx: Tx, *, account: AccountId, epoch: int, transport: str, credentials: bytes) -> bool:
    """Store credentials that changed with use, in place of the former ones, which resume nothing any more.

    `updated_at` stays: nobody needs to look at the account because of it. Where the account has moved to another
    transport meanwhile, they take the place of those that were put away. False: the lease has changed hands, or the
    account was unlinked.
    """
    await _turn(tx, account)
    sql = """
        update accounts a set credentials = %(credentials)s
          from leases l
         where a.id = %(account)s and a.credentials is not null and a.transport = %(transport)s
           and l.name = 'account:' || a.id and l.epoch = %(epoch)s
    """
    given = {"account": account, "epoch": epoch, "transport": transport, "credentials": credentials}
    return await tx.run(sql, **given) == 1 or await tx.run(_RENEW_PUT_AWAY, **given) == 1


async def _turn(tx: Tx, account: AccountId) -> None:
    """Wait for whoever changes the account: a statement that waits reads the lease as it was before it waited."""
    await tx.run("select from accounts where id = %(account)s for no key update", account=account)


_RENEW_PUT_AWAY: Final[LiteralString] = """
    update retired_credentials r set credentials = %(credentials)s
      from leases l
     where r.id = (select max(id) from retired_credentials where account_id = %(account)s)
       and r.reason = 'moved' and r.transport = %(transport)s
       and l.name = 'account:' || r.account_id and l.epoch = %(epoch)s
"""


@dataclass(frozen=True, slots=True)
class Keys:
    """What logs an account in, encrypted. It is large, so it is read when a session is opened, and not kept."""

    credentials: bytes | None
    private: bytes | None  # passwords of its settings
    transport: str = ""  # whom they are for


async def keys(tx: Tx, *, accounts: Sequence[AccountId]) -> dict[AccountId, Keys]:
    """Return what logs these accounts in."""
    rows = await tx.tuples(
        "select id, credentials, private, transport from accounts where id = any(%(accounts)s)", accounts=list(accounts)
    )
    return {AccountId(id): Keys(credentials, private, transport) for id, credentials, private, transport in rows}


async def unlinked_credentials(tx: Tx, *, account: AccountId) -> bytes | None:
    """Return the encrypted credentials that were put away when this account was unlinked or deleted last."""
    sql = """
        select credentials from retired_credentials
         where account_id = %(account)s and reason in ('unlinked', 'deleted') order by id desc limit 1
    """
    return await tx.value(sql, account=account)

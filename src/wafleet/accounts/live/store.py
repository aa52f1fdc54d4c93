"""SQL of the live side: who owns which account, and state writes that only the owner can make."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from psycopg.types.json import Jsonb

from wafleet.domain.account import DEADLINES, Desired, State
from wafleet.domain.ids import AccountId, TenantId
from wafleet.engine.db import Tx


@dataclass(slots=True)
class Row:
    """What a node must know of an account to run it."""

    id: AccountId
    tenant_id: TenantId
    phone: str
    transport: str
    priority: int
    settings: dict[str, object]
    provider: dict[str, str]  # what the network last said of it: quality, limit, status
    desired: Desired
    state: State
    reason: str
    retry_at: datetime | None
    failures: int
    linked: bool  # it has credentials
    created_at: datetime
    deleted: bool
    remove_until: datetime | None  # its device is to be removed from the phone's list; given up then
    deadline_at: datetime | None  # of the state, by the database's clock; each attempt to link has its own

    def __post_init__(self) -> None:
        self.desired, self.state = Desired(self.desired), State(self.state)


@dataclass(frozen=True, slots=True)
class Move:
    """One observed change of an account's state, made by the holder of its lease."""

    account: AccountId
    epoch: int
    to: State
    reason: str = ""
    detail: str = ""
    retry_in: timedelta | None = None
    failures: int = 0
    link_deadline: datetime | None = None  # of the attempt to link it that the node knows: a later one is not touched


def lease_name(account: AccountId) -> str:
    """Return the name under which `account` is leased."""
    return f"account:{account}"


async def unowned(tx: Tx, *, most: int) -> list[AccountId]:
    """Return accounts that somebody should run and nobody does, the most important first."""
    rows = await tx.tuples(
        """
        select a.id from accounts a left join leases l on l.name = 'account:' || a.id
         where ((a.deleted_at is null and a.desired = 'running' and a.credentials is not null
                 and a.state not in ('new', 'logged_out', 'disabled'))
                or (a.deleted_at is null and a.state = 'linking') or a.remove_until is not null)
           and (l.name is null or l.holder is null or l.expires_at < now())
         order by a.priority desc, a.id limit %(most)s
        """,
        most=most,
    )
    return [row[0] for row in rows]


async def count_runnable(tx: Tx) -> int:
    """Return how many accounts the fleet's nodes share."""
    return await tx.value(
        """
        select count(*) from accounts
         where (deleted_at is null and desired = 'running' and credentials is not null
                and state not in ('new', 'logged_out', 'disabled'))
            or (deleted_at is null and state = 'linking') or remove_until is not null
        """
    )


async def load(tx: Tx, *, accounts: Sequence[AccountId], now: datetime) -> list[Row]:
    """Return the rows of `accounts`, deleted ones included.

    now  the node's own time: `retry_at` is told by it, since its clock may differ from the database's
    """
    return await tx.all(
        Row,
        """
        select id, tenant_id, phone, transport, priority, settings, provider, desired, state, reason,
               %(now)s + (retry_at - now()) as retry_at, failures,
               credentials is not null as linked, created_at, deleted_at is not null as deleted,
               %(now)s + (remove_until - now()) as remove_until, deadline_at
          from accounts where id = any(%(accounts)s)
        """,
        accounts=list(accounts),
        now=now,
    )


async def changed_since(tx: Tx, *, since: datetime) -> tuple[datetime, list[AccountId]]:
    """Return the database's time and the accounts that anybody changed since `since`."""
    now: datetime = await tx.value("select now()")
    rows = await tx.tuples("select id from accounts where updated_at > %(since)s", since=since)
    return now, [row[0] for row in rows]


async def move(tx: Tx, moves: Sequence[Move]) -> frozenset[AccountId]:
    """Write state changes and their events; at most one per account. Returns the accounts whose move landed.

    A move does not land when the lease has changed hands, when `MOVES` does not allow it, or when a person stopped
    the account or began to link it anew meanwhile.
    """
    rows = await tx.tuples(
        """
        with m as (
            select * from unnest(%(ids)s::uuid[], %(epochs)s::bigint[], %(states)s::text[], %(reasons)s::text[],
                                 %(details)s::text[], %(retries)s::float8[], %(failures)s::int[], %(limits)s::float8[],
                                 %(deadlines)s::timestamptz[])
                       as m (id, epoch, state, reason, detail, retry_s, failures, limit_s, link_deadline)
        ), b as (
            select a.id, a.tenant_id, a.state, a.reason
              from accounts a join m using (id) join leases l on l.name = 'account:' || m.id and l.epoch = m.epoch
             where a.deleted_at is null
               and (a.state <> 'linking' or a.deadline_at is not distinct from m.link_deadline)
               and (a.state = m.state or exists (select 1 from moves v where v.machine = 'account'
                                                    and v.before = a.state and v.after = m.state))
               and (a.desired = 'running' or m.state not in ('connecting', 'online', 'degraded', 'recovering'))
             order by a.id for no key update of a
        ), moved as (
            update accounts a
               set state = m.state, reason = m.reason, detail = m.detail, failures = m.failures,
                   state_since = case when b.state = m.state then a.state_since else now() end,
                   retry_at = now() + m.retry_s * interval '1 s',
                   deadline_at = now() + m.limit_s * interval '1 s',
                   pairing = case when b.state <> 'linking' or m.state in ('linking', 'connecting', 'online')
                                  then a.pairing
                                  else jsonb_build_object('ended', m.reason, 'detail', m.detail) end,
                   updated_at = now()
              from m join b using (id)
             where a.id = m.id
            returning a.id
        ), told as (
            insert into events (tenant_id, account_id, kind, data)
            select b.tenant_id, b.id, 'account.state',
                   jsonb_build_object('from', b.state, 'to', m.state, 'reason', m.reason, 'detail', m.detail)
              from m join b using (id) where (b.state, b.reason) is distinct from (m.state, m.reason)
        ), clocked as (
            insert into activity as t (account_id, tenant_id, online_since)
            select b.id, b.tenant_id, case when m.state in ('online', 'degraded') then now() end
              from m join b using (id)
             where (b.state in ('online', 'degraded')) <> (m.state in ('online', 'degraded'))
             order by b.id
            on conflict (account_id) do update
               set online_since = excluded.online_since,
                   online_s = t.online_s + case when excluded.online_since is null
                                                then coalesce(extract(epoch from now() - t.online_since), 0) else 0 end
        )
        select id from moved
        """,
        ids=[one.account for one in moves],
        epochs=[one.epoch for one in moves],
        states=[one.to.value for one in moves],
        reasons=[one.reason for one in moves],
        details=[one.detail[:500] for one in moves],
        retries=[one.retry_in.total_seconds() if one.retry_in is not None else None for one in moves],
        failures=[one.failures for one in moves],
        limits=[DEADLINES[one.to][0].total_seconds() if one.to in DEADLINES else None for one in moves],
        deadlines=[one.link_deadline for one in moves],
    )
    return frozenset(row[0] for row in rows)


async def expire(tx: Tx) -> list[AccountId]:
    """Move every account that stayed too long in a state that must not last. Returns which."""
    moved: list[AccountId] = []
    for state, (_, to, reason) in DEADLINES.items():
        rows = await tx.tuples(
            """
            with late as (
                select id from accounts where deadline_at < now() and state = %(state)s
                 order by id for no key update skip locked
            ), moved as (
                update accounts a
                   set state = case when %(to)s = 'new' and credentials is not null then 'offline' else %(to)s end,
                       reason = %(reason)s, detail = '', state_since = now(), deadline_at = null, updated_at = now(),
                       pairing = case when %(state)s = 'linking' then jsonb_build_object('ended', %(reason)s::text)
                                      else a.pairing end
                  from late where a.id = late.id
                returning a.id, a.tenant_id, a.state
            ), told as (
                insert into events (tenant_id, account_id, kind, data)
                select tenant_id, id, 'account.state',
                       jsonb_build_object('from', %(state)s::text, 'to', state, 'reason', %(reason)s::text,
                                          'detail', '')
                  from moved
            )
            select id from moved
            """,
            state=state.value,
            to=to.value,
            reason=reason,
        )
        moved += [row[0] for row in rows]
    return moved


async def end_removal(tx: Tx, *, account: AccountId) -> None:
    """Say that nothing is left to remove from a phone's list, or that it is given up."""
    sql = "update accounts set remove_until = null, detail = '', updated_at = now() where id = %(account)s"
    await tx.run(sql, account=account)


async def without_a_session(tx: Tx, *, accounts: Sequence[AccountId], transport: str) -> list[AccountId]:
    """Return those of `accounts` that have no session on a transport, and are about to get or to lose none.

    Accounts that this database has never heard of are not among them: they may be those of another one.
    """
    sql = """
        select id from accounts
         where id = any(%(accounts)s) and remove_until is null
           and (deleted_at is not null or transport <> %(transport)s
                or (credentials is null and state <> 'linking'))
    """
    return [AccountId(row[0]) for row in await tx.tuples(sql, accounts=list(accounts), transport=transport)]


async def not_run_here(tx: Tx, *, accounts: Sequence[AccountId], transport: str, node: str) -> list[AccountId]:
    """Return those of `accounts` on this transport that another node runs, or nobody because they are stopped."""
    sql = """
        select a.id from accounts a left join leases l on l.name = 'account:' || a.id and l.expires_at > now()
         where a.id = any(%(accounts)s) and a.transport = %(transport)s and a.credentials is not null
           and (a.desired = 'stopped' or l.holder <> %(node)s)
    """
    rows = await tx.tuples(sql, accounts=list(accounts), transport=transport, node=node)
    return [AccountId(row[0]) for row in rows]


async def client_refused(tx: Tx, *, client: str) -> bool:
    """Note that WhatsApp refuses a client, with its event the first time. True: this was the first time."""
    sql = """
        with noted as (
            insert into outdated_clients (client) values (%(client)s)
            on conflict (client) do update set seen_at = now() returning client, xmax = 0 as first
        ), told as (
            insert into events (kind, data)
            select 'fleet.client_outdated', jsonb_build_object('client', client) from noted where first
        )
        select first from noted
    """
    return bool(await tx.value(sql, client=client))


async def client_accepted(tx: Tx, *, name: str) -> None:
    """Forget every refused version of a client: it is accepted again."""
    await tx.run("delete from outdated_clients where split_part(client, ' ', 1) = %(name)s", name=name)


async def show_pairing(
    tx: Tx, *, account: AccountId, epoch: int, deadline_at: datetime | None, pairing: dict[str, object]
) -> bool:
    """Store what a person must do now to link the phone, for every face that shows it.

    deadline_at  of the attempt: what an earlier one shows leads nowhere any more
    """
    sql = """
        update accounts set pairing = %(pairing)s
         where id = %(account)s and state = 'linking' and deadline_at is not distinct from %(deadline_at)s::timestamptz
           and %(epoch)s = (select epoch from leases where name = 'account:' || %(account)s::text)
    """
    return await tx.run(sql, account=account, epoch=epoch, deadline_at=deadline_at, pairing=Jsonb(pairing)) == 1


@dataclass(frozen=True, slots=True)
class Moved:
    """When an account last moved, as its node saw it."""

    account: AccountId
    tenant: TenantId
    inbound_at: datetime | None
    sent_at: datetime | None
    receipt_at: datetime | None
    phone_seen_at: datetime | None


async def note_activity(tx: Tx, moved: Sequence[Moved]) -> None:
    """Store last activities; older news than what is stored changes nothing."""
    await tx.run(
        """
        insert into activity as t
               (account_id, tenant_id, last_inbound_at, last_sent_at, last_receipt_at, phone_seen_at)
        select * from unnest(%(accounts)s::uuid[], %(tenants)s::uuid[], %(inbound)s::timestamptz[],
                             %(sent)s::timestamptz[], %(receipts)s::timestamptz[], %(phones)s::timestamptz[])
                      as s (id, tenant, i, o, r, p)
         where exists (select 1 from accounts a where a.id = s.id)
         order by id
        on conflict (account_id) do update
           set last_inbound_at = greatest(t.last_inbound_at, excluded.last_inbound_at),
               last_sent_at = greatest(t.last_sent_at, excluded.last_sent_at),
               last_receipt_at = greatest(t.last_receipt_at, excluded.last_receipt_at),
               phone_seen_at = greatest(t.phone_seen_at, excluded.phone_seen_at)
        """,
        accounts=[one.account for one in moved],
        tenants=[one.tenant for one in moved],
        inbound=[one.inbound_at for one in moved],
        sent=[one.sent_at for one in moved],
        receipts=[one.receipt_at for one in moved],
        phones=[one.phone_seen_at for one in moved],
    )


async def warn_of_phones(tx: Tx, *, away: timedelta, dropped_after: timedelta) -> int:
    """Tell of every linked account whose phone was away for so long, once per absence. Returns how many."""
    return await tx.run(
        """
        with late as (
            update activity v set phone_warned_at = now()
              from accounts a
             where a.id = v.account_id and a.deleted_at is null and a.credentials is not null
               and v.phone_seen_at < now() - %(away)s
               and (v.phone_warned_at is null or v.phone_warned_at < v.phone_seen_at + %(away)s)
            returning v.account_id, v.tenant_id, extract(epoch from now() - v.phone_seen_at) / 86400 as days
        )
        insert into events (tenant_id, account_id, kind, data)
        select tenant_id, account_id, 'account.phone_unseen',
               jsonb_build_object('days', floor(days)::int, 'left', greatest(0, %(limit)s - floor(days))::int)
          from late
        """,
        away=away,
        limit=dropped_after.days,
    )


async def fold_tallies(tx: Tx, *, older_than: timedelta) -> int:
    """Fold counts of five minutes into counts of days (UTC) once they are older. Returns how many rows went."""
    return await tx.run(
        """
        with old as (
            delete from tallies
             where bucket < now() - %(age)s and bucket <> date_trunc('day', bucket, 'UTC')
            returning account_id, tenant_id, date_trunc('day', bucket, 'UTC') as day, counter, n
        )
        insert into tallies as t (account_id, tenant_id, bucket, counter, n)
        select account_id, tenant_id, day, counter, sum(n) from old
         group by account_id, tenant_id, day, counter order by account_id, day, counter
        on conflict (account_id, bucket, counter) do update set n = t.n + excluded.n
        """,
        age=older_than,
    )

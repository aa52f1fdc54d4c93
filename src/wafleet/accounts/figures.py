"""SQL of what is counted: the fleet at a glance, and one account's figures in a period."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from uuid import UUID

from wafleet.accounts.store import Narrow
from wafleet.domain.account import State, explain
from wafleet.domain.ids import AccountId, TenantId
from wafleet.engine.db import Tx
from wafleet.engine.web import Stamp

LATEST: Final = 1_000  # messages that response times are taken from


@dataclass(slots=True, kw_only=True)
class FleetRow:
    """One account at a glance."""

    id: AccountId
    tenant_id: TenantId
    tenant: str
    name: str
    phone: str
    transport: str
    role: str
    desired: str
    state: State
    reason: str
    sentence: str = ""
    next_step: str = ""
    state_since: Stamp
    last_activity_at: Stamp | None
    phone_seen_at: Stamp | None  # of a linked device: when its phone was last in touch
    waiting: int
    received_today: int
    sent_today: int
    spark: list[int] = field(default_factory=list[int])  # messages per five minutes of the last two hours

    def __post_init__(self) -> None:
        why = explain(self.reason)
        self.state, self.sentence, self.next_step = State(self.state), why.sentence, why.next_step


async def fleet_rows(
    tx: Tx, *, narrow: Narrow, open_from: datetime, last_from: datetime, today_from: datetime
) -> list[FleetRow]:
    """Return every account in sight by name, with the traffic of the buckets since `open_from`.

    Its spark holds what fell before and since `last_from`, the beginning of the bucket that is filling now.
    """
    return await tx.all(
        FleetRow,
        """
        select a.id, a.tenant_id, t.name as tenant, a.name, a.phone, a.transport, a.role, a.desired, a.state, a.reason,
               a.state_since, greatest(v.last_inbound_at, v.last_sent_at) as last_activity_at, v.phone_seen_at,
               coalesce(w.n, 0) as waiting, coalesce(s.received, 0)::bigint as received_today,
               coalesce(s.sent, 0)::bigint as sent_today,
               array[coalesce(s.before, 0), coalesce(s.last, 0)]::bigint[] as spark
          from accounts a
          join tenants t on t.id = a.tenant_id
          left join activity v on v.account_id = a.id
          left join (select account_id, count(*) as n from outbox where state = 'queued' group by account_id) w
            on w.account_id = a.id
          left join (
               select account_id,
                      sum(n) filter (where counter = 'received' and bucket >= %(today_from)s) as received,
                      sum(n) filter (where counter = 'sent' and bucket >= %(today_from)s) as sent,
                      sum(n) filter (where bucket < %(last_from)s) as before,
                      sum(n) filter (where bucket >= %(last_from)s) as last
                 from tallies
                where bucket >= %(open_from)s and counter in ('received', 'sent')
                group by account_id) s on s.account_id = a.id
         where a.deleted_at is null and (%(only)s::uuid[] is null or a.id = any(%(only)s))
           and (%(tenant)s::uuid is null or a.tenant_id = %(tenant)s)
           and (%(transport)s::text is null or a.transport = %(transport)s)
           and (%(role)s::text is null or lower(a.role) = lower(%(role)s))
           and (%(q)s::text is null or position(folded(%(q)s) in folded(a.name || ' ' || a.phone || ' ' || a.role)) > 0)
         order by lower(a.name), a.id
        """,
        only=narrow.only,
        tenant=narrow.tenant,
        transport=narrow.transport,
        role=narrow.role,
        q=narrow.q,
        open_from=open_from,
        last_from=last_from,
        today_from=today_from,
    )


async def totals(tx: Tx, *, since: datetime, until: datetime) -> dict[AccountId, tuple[int, int]]:
    """Return how much each account received and sent from the bucket `since` to before the bucket `until`."""
    rows = await tx.tuples(
        """
        select account_id, coalesce(sum(n) filter (where counter = 'received'), 0)::bigint,
               coalesce(sum(n) filter (where counter = 'sent'), 0)::bigint
          from tallies
         where bucket >= %(since)s and bucket < %(until)s and counter in ('received', 'sent')
         group by account_id
        """,
        since=since,
        until=until,
    )
    return {AccountId(account): (received, sent) for account, received, sent in rows}


async def traffic(tx: Tx, *, since: datetime, until: datetime) -> list[tuple[AccountId, datetime, int]]:
    """Return how many messages each account received and sent, bucket by bucket, from `since` to before `until`."""
    return [
        (AccountId(account), bucket, n)
        for account, bucket, n in await tx.tuples(
            """
            select account_id, bucket, sum(n)::bigint from tallies
             where bucket >= %(since)s and bucket < %(until)s and counter in ('received', 'sent')
             group by account_id, bucket
            """,
            since=since,
            until=until,
        )
    ]


async def counted(tx: Tx, *, account: UUID, since: datetime, until: datetime) -> dict[str, int]:
    """Return one account's counters in the buckets that begin in the period."""
    rows = await tx.tuples(
        """
        select counter, sum(n)::bigint from tallies
         where account_id = %(account)s and bucket >= %(since)s and bucket < %(until)s group by counter
        """,
        account=account,
        since=since,
        until=until,
    )
    return dict(rows)


async def uptime_percent(tx: Tx, *, account: UUID) -> float | None:
    """Return which share of its life the account was online; None when it never was."""
    return await tx.value(
        """
        select case when v.online_since is null and v.online_s = 0 then null
                    else least(100, round((100 * (v.online_s
                           + coalesce(extract(epoch from now() - v.online_since), 0)::float8)
                           / greatest(extract(epoch from now() - a.created_at)::float8, 1))::numeric, 3))::float8 end
          from accounts a join activity v on v.account_id = a.id
         where a.id = %(account)s
        """,
        account=account,
    )


async def response_times(
    tx: Tx, *, account: UUID, since: datetime, until: datetime
) -> tuple[float | None, float | None]:
    """Return two medians in seconds: from a customer's message to our answer, and from sent to delivered.

    Taken from the account's latest messages of the period; None where there is nothing to measure.
    """
    rows = await tx.tuples(
        """
        with latest as (
            select id, conversation_id, direction, created_at, seq from messages
             where account_id = %(account)s and created_at >= %(since)s and created_at < %(until)s
             order by seq desc limit %(latest)s
        ), turns as (
            select direction, lag(direction) over w as before,
                   extract(epoch from created_at - lag(created_at) over w)::float8 as seconds
              from latest window w as (partition by conversation_id order by seq)
        )
        select (select percentile_cont(0.5) within group (order by seconds)
                  from turns where direction = 'out' and before = 'in'),
               (select percentile_cont(0.5) within group (order by extract(epoch from delivered_at - sent_at)::float8)
                  from latest join outbox on message_id = latest.id where delivered_at >= sent_at)
        """,
        account=account,
        since=since,
        until=until,
        latest=LATEST,
    )
    answered, delivered = rows[0]
    return answered, delivered


async def states(tx: Tx) -> dict[str, int]:
    """Return how many accounts are in each state that has any."""
    return dict(await tx.tuples("select state, count(*) from accounts where deleted_at is null group by state"))


async def waiting(tx: Tx) -> int:
    """Return how many messages wait to be sent."""
    return await tx.value("select count(*) from outbox where state = 'queued'")


async def outdated_clients(tx: Tx) -> dict[str, datetime]:
    """Return which clients are refused, and since when."""
    return dict(await tx.tuples("select client, since from outdated_clients order by client"))

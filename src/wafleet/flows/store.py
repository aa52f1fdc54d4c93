"""The statements behind chat commands."""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from wafleet.domain import phone
from wafleet.domain.ids import AccountId, MessageId, TenantId
from wafleet.engine.db import Tx
from wafleet.flows.commands import FleetNow, Unwell


@dataclass(frozen=True, slots=True)
class Question:
    """A message that may be a command, and whether its sender may give one."""

    id: MessageId
    tenant: TenantId
    account: AccountId
    account_name: str
    identity: str
    words: str
    commands: Collection[str]  # who may give some
    lag: timedelta

    @property
    def permitted(self) -> bool:
        return any(one in self.commands for one in phone.spellings(self.identity))


async def questions(tx: Tx, messages: Sequence[UUID]) -> list[Question]:
    """Return those messages that begin with an exclamation mark, in the order in which they arrived.

    Permitted is whoever stands in the account's setting `commands`; an account without that setting answers nobody.
    """
    return await tx.all(
        Question,
        r"""
        select m.id, m.tenant_id as tenant, m.account_id as account, a.name as account_name, c.identity, m.words,
               coalesce(a.settings -> 'commands', '[]') as commands,
               clock_timestamp() - m.created_at as lag
          from messages m
          join accounts a on a.id = m.account_id
          join conversations c on c.id = m.conversation_id
         where m.id = any(%(messages)b::uuid[]) and m.words ~ '^[\s\u200e\u200f\u202a-\u202e\u2066-\u2069]*!'
           and a.deleted_at is null
         order by m.seq
        """,
        messages=list(messages),
    )


async def fleets(tx: Tx, tenants: Collection[TenantId]) -> dict[TenantId, FleetNow]:
    """Return how the fleets of these tenants are now."""
    rows = await tx.tuples(
        """
        select a.tenant_id, a.state, count(*),
               (array_agg(a.name order by lower(a.name)) filter (where w.unwell))[:20],
               (array_agg(a.reason order by lower(a.name)) filter (where w.unwell))[:20]
          from accounts a
         cross join lateral (select a.desired = 'running' and a.state <> 'online' as unwell) w
         where a.tenant_id = any(%(tenants)b::uuid[]) and a.deleted_at is null
         group by a.tenant_id, a.state order by a.state
        """,
        tenants=list(tenants),
    )
    waiting = dict(
        await tx.tuples(
            """
            select a.tenant_id, count(*) from accounts a join outbox o on o.account_id = a.id and o.state = 'queued'
             where a.tenant_id = any(%(tenants)b::uuid[]) group by a.tenant_id
            """,
            tenants=list(tenants),
        )
    )
    return {
        tenant: FleetNow(
            states={state: n for one, state, n, _, _ in rows if one == tenant},
            waiting=waiting.get(tenant, 0),
            unwell=tuple(
                Unwell(name, state, reason)
                for one, state, _, names, reasons in rows
                if one == tenant
                for name, reason in zip(names or (), reasons or (), strict=True)
            ),
        )
        for tenant in tenants
    }


async def count_handled(tx: Tx, handled: Collection[tuple[TenantId, AccountId, datetime]]) -> None:
    """Add one to the tally `handled` for each (tenant, account, time it was stored), however often.

    It counts for the time at which the message was stored, so that the ledger's days agree at midnight.
    """
    sums = sorted(Counter(handled).items(), key=lambda item: item[0][1:])
    await tx.run(
        """
        insert into tallies as t (tenant_id, account_id, bucket, counter, n)
        select tenant_id, account_id, date_bin('5 minutes', at, '2000-01-01Z') as bucket, 'handled', sum(n)
          from unnest(%(tenants)b::uuid[], %(accounts)b::uuid[], %(times)b::timestamptz[], %(counts)b::bigint[])
               as h (tenant_id, account_id, at, n)
         group by tenant_id, account_id, bucket order by account_id, bucket
        on conflict (account_id, bucket, counter) do update set n = t.n + excluded.n
        """,
        tenants=[tenant for (tenant, _, _), _ in sums],
        accounts=[account for (_, account, _), _ in sums],
        times=[at for (_, _, at), _ in sums],
        counts=[n for _, n in sums],
    )

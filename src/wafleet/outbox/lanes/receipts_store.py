"""SQL of receipts: what networks say of messages that went out."""

from collections.abc import Sequence
from typing import Any, Final

from wafleet.domain.clean import clean, json_of
from wafleet.domain.ids import AccountId, MessageId
from wafleet.domain.inbound import Receipt
from wafleet.engine.db import Tx
from wafleet.outbox.lanes.store import LONGEST_DETAIL
from wafleet.outbox.model import Learnt

LONGEST_RAW: Final = 4000


async def learn(tx: Tx, news: Sequence[Learnt]) -> int:
    """Move messages forward by their receipts; at most one entry per message. Returns how many moved.

    A receipt that jumps (sent to read) tells and counts each step between. What else the network said is kept of
    receipts that move nothing, too.
    """
    return await tx.value(
        """
        with r as (
            select * from unnest(%(ids)b::uuid[], %(accounts)b::uuid[], %(states)b::text[], %(ats)b::timestamptz[],
                                 %(providers)s::text[], %(reasons)b::text[], %(details)b::text[], %(raws)s::text[])
                   with ordinality as r (id, account_id, state, at, provider_id, reason, detail, raw, n)
        ), known as (
            select o.message_id, o.tenant_id, o.state as before, r.*,
                   exists (select 1 from moves m
                            where m.machine = 'outbox' and m.before = o.state and m.after = r.state) as moves
              from r join outbox o on o.message_id = r.id and o.account_id = r.account_id
             where exists (select 1 from moves m
                            where m.machine = 'outbox' and m.before = o.state and m.after = r.state)
                or not coalesce(o.said @> r.raw::jsonb, r.raw is null)
             order by o.message_id for no key update of o
        ), b as (
            select * from known where moves
        ), kept as (
            update outbox o set said = coalesce(o.said, '{}') || k.raw::jsonb
              from known k where o.message_id = k.message_id and not k.moves
        ), moved as (
            update outbox o
               set state = b.state, provider_id = coalesce(o.provider_id, b.provider_id),
                   reason = b.reason, detail = b.detail,
                   said = case when b.raw is null then o.said else coalesce(o.said, '{}') || b.raw::jsonb end,
                   sent_at = case when b.state = 'failed' then o.sent_at else coalesce(o.sent_at, b.at) end,
                   delivered_at = case when b.state in ('delivered', 'read') then coalesce(o.delivered_at, b.at) end,
                   read_at = case when b.state = 'read' then b.at end,
                   ended_at = case when b.state = 'failed' then now() end
              from b where o.message_id = b.message_id
            returning o.message_id
        ), steps as (
            select b.tenant_id, b.account_id, b.message_id, b.n, s.step, s.rank
              from b join (values ('sent', 1), ('delivered', 2), ('read', 3)) as s (step, rank)
                on s.rank <= case b.state when 'sent' then 1 when 'delivered' then 2 when 'read' then 3 else 0 end
               and s.rank > case b.before when 'sent' then 1 when 'delivered' then 2 else 0 end
            union all
            select tenant_id, account_id, message_id, n, 'failed', 4 from b where state = 'failed'
        ), told as (
            insert into events (tenant_id, account_id, kind, data)
            select tenant_id, account_id, 'message.' || step, jsonb_build_object('message', message_id)
              from steps order by n, rank
        ), counted as (
            insert into tallies as t (account_id, tenant_id, bucket, counter, n)
            select account_id, tenant_id, date_bin('5 minutes', now(), '2000-01-01'), step, count(*)
              from steps group by account_id, tenant_id, step order by account_id, step
            on conflict (account_id, bucket, counter) do update set n = t.n + excluded.n
        )
        select count(*) from moved
        """,
        ids=[one.message for one in news],
        accounts=[one.account for one in news],
        states=[one.state.value for one in news],
        ats=[one.at for one in news],
        providers=[one.provider_id for one in news],
        reasons=[one.reason for one in news],
        details=[clean(one.detail[:LONGEST_DETAIL]) for one in news],
        raws=[_raw(one) for one in news],
    )


def _raw(news: Learnt) -> str | None:
    """Write what else the network said; more than anybody would read is left out, for it may come at any rate."""
    written = json_of(news.raw) if news.raw else None
    return written if written is not None and len(written) <= LONGEST_RAW else None


async def by_provider(tx: Tx, names: Sequence[tuple[AccountId, str]]) -> dict[tuple[AccountId, str], MessageId]:
    """Return our ids of messages that receipts named by the network's."""
    rows = await tx.tuples(
        """
        select o.account_id, o.provider_id, o.message_id
          from outbox o join unnest(%(accounts)b::uuid[], %(providers)b::text[]) as w (account_id, provider_id)
            using (account_id, provider_id)
        """,
        accounts=[account for account, _ in names],
        providers=[provider for _, provider in names],
    )
    return {(account, provider): message for account, provider, message in rows}


async def keep_strays(tx: Tx, strays: Sequence[tuple[AccountId, Receipt]]) -> None:
    """Keep receipts of messages whose network name is not stored yet."""
    await tx.run(
        """
        insert into stray_receipts (account_id, tenant_id, provider_id, state, at, reason, detail)
        select distinct on (s.account_id, s.provider_id, s.state)
               s.account_id, a.tenant_id, s.provider_id, s.state, s.at, s.reason, s.detail
          from unnest(%(accounts)s::uuid[], %(providers)s::text[], %(states)s::text[], %(ats)s::timestamptz[],
                      %(reasons)s::text[], %(details)s::text[])
                   as s (account_id, provider_id, state, at, reason, detail)
          join accounts a on a.id = s.account_id
        on conflict do nothing
        """,
        accounts=[account for account, _ in strays],
        providers=[one.provider_id or "" for _, one in strays],
        states=[one.state.value for _, one in strays],
        ats=[one.at for _, one in strays],
        reasons=[one.reason for _, one in strays],
        details=[clean(one.detail[:LONGEST_DETAIL]) for _, one in strays],
    )


async def named_meanwhile(tx: Tx, *, most: int) -> list[tuple[AccountId, str]]:
    """Return and lock messages for which receipts are kept although their network names are stored by now.

    A receipt and the name it waits for may be stored by two nodes at once, and neither sees the other. Only the newest
    strays are looked at: what came well before them was looked at when it was new.
    """
    rows = await tx.tuples(
        """
        with s as (
            select distinct account_id, provider_id from stray_receipts
             where received_at > (select max(received_at) from stray_receipts) - interval '10 minutes'
        )
        select account_id, provider_id from outbox o join s using (account_id, provider_id)
         order by o.message_id limit %(most)s for no key update of o
        """,
        most=most,
    )
    return [(account, provider) for account, provider in rows]


async def take_strays(tx: Tx, names: Sequence[tuple[AccountId, str]]) -> list[tuple[Any, ...]]:
    """Remove and return (account, provider id, state, at, reason, detail) kept for messages just named."""
    return await tx.tuples(
        """
        delete from stray_receipts s
         using unnest(%(accounts)b::uuid[], %(providers)b::text[]) as w (account_id, provider_id)
         where s.account_id = w.account_id and s.provider_id = w.provider_id
        returning s.account_id, s.provider_id, s.state, s.at, s.reason, s.detail
        """,
        accounts=[account for account, _ in names],
        providers=[provider for _, provider in names],
    )

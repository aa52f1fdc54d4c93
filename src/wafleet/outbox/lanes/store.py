"""SQL of the lanes: what goes on the wire, how it ended, what receipts say of it.

`state || ''` is the state where an index of all messages in that state must not be the way to the few that are meant.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import msgspec

from wafleet.domain.clean import clean
from wafleet.domain.ids import AccountId, MessageId, TenantId
from wafleet.domain.message import Content, Sending
from wafleet.engine.db import Tx
from wafleet.outbox.model import Claim, Learnt, Outcome, Stranded

SEEN_AHEAD: Final = 1000  # waiting messages of an account that one claim looks through
CATCH_UP: Final = 200  # messages per account whose receipts are asked for when a session opens
LONGEST_DETAIL: Final = 500
_content: Final[msgspec.json.Decoder[Content]] = msgspec.json.Decoder(Content)


async def claim(
    tx: Tx,
    *,
    node: str,
    accounts: Sequence[AccountId],
    epochs: Sequence[int],
    rooms: Sequence[int],
    cooling: Sequence[str],
) -> list[Claim]:
    """Put due messages on the wire, per account at most its room, replies first, in each conversation's order.

    Nothing for an account whose lease has changed hands or run out. One message per conversation is on the wire at a
    time (unique index outbox_one_on_the_wire); a later one waits while an earlier one, or a reply, is due.

    Both are asked message by message, in order and only until the room is full. Statistics of a queue that is empty
    when they are gathered say that any index of what is queued will do, so that reading all of it and sorting would
    look as cheap as the right one: without sorts, only an index that has the order is left.

    cooling  "account recipient" pairs that must wait for their next message
    """
    await tx.run("set local enable_sort = off")
    rows = await tx.tuples(
        """
        with w as (
            select w.account_id, w.epoch, w.room
              from unnest(%(accounts)b::uuid[], %(epochs)b::bigint[], %(rooms)b::int[]) as w (account_id, epoch, room)
              join leases l on l.name = 'account:' || w.account_id and l.epoch = w.epoch
                           and l.holder = %(node)s and l.expires_at > now()
        ), picked as (
            select p.message_id, w.epoch
              from w cross join lateral (
                select o.message_id
                  from (select * from outbox
                         where account_id = w.account_id and state = 'queued' and due_at <= now()
                         order by priority, due_at, seq limit %(ahead)s) o
                 where (o.retry_at is null or o.retry_at <= now())
                   and (select s.message_id from outbox s
                         where s.account_id = w.account_id and s.conversation_id = o.conversation_id
                           and s.state = 'sending' limit 1) is null
                   and (select e.message_id from outbox e
                         where e.account_id = w.account_id and e.conversation_id = o.conversation_id
                           and e.state = 'queued' and e.due_at <= now()
                         order by e.priority, e.due_at, e.seq limit 1) = o.message_id
                   and (%(cooling)s::text[] = '{}' or o.conversation_id not in (
                        select c.id from conversations c
                         where c.account_id = w.account_id
                           and c.account_id || ' ' || c.identity = any(%(cooling)s::text[])))
                 order by o.priority, o.due_at, o.seq limit w.room) p
        ), taken as (
            update outbox o
               set state = 'sending', epoch = p.epoch, claims = o.claims + 1, attempts = o.attempts + 1,
                   sending_at = now(), retry_at = null
              from picked p where o.message_id = p.message_id and o.state || '' = 'queued'
            returning o.message_id, o.account_id, o.conversation_id, o.epoch, o.claims, o.attempts, o.seq
        )
        select t.message_id, t.account_id, t.conversation_id, t.epoch, t.claims, t.attempts, c.identity,
               exists (select 1 from outbox q where q.conversation_id = t.conversation_id and q.state = 'queued'
                          and q.message_id <> t.message_id),
               m.content::text
          from taken t join messages m on m.id = t.message_id join conversations c on c.id = t.conversation_id
         order by t.seq
        """,
        accounts=list(accounts),
        epochs=list(epochs),
        rooms=list(rooms),
        node=node,
        cooling=list(cooling),
        ahead=SEEN_AHEAD,
    )
    return [Claim(*row[:8], content=_content.decode(row[8])) for row in rows]


async def settle(tx: Tx, outcomes: Sequence[Outcome]) -> list[bool]:
    """Write how claims ended. False: the message is no longer this claim's to write, or a receipt was faster."""
    rows = await tx.tuples(
        """
        with r as (
            select * from unnest(%(ids)b::uuid[], %(epochs)b::bigint[], %(claims)b::int[], %(states)b::text[],
                                 %(providers)s::text[], %(reasons)b::text[], %(details)b::text[], %(retries)b::float8[],
                                 %(counted)b::bool[])
                   with ordinality as r (id, epoch, claims, state, provider_id, reason, detail, retry_s, counted, n)
        ), done as (
            update outbox o
               set state = r.state, provider_id = coalesce(r.provider_id, o.provider_id), reason = r.reason,
                   detail = r.detail, retry_at = case when r.retry_s >= 0 then now() + r.retry_s * interval '1 s' end,
                   attempts = o.attempts - case when r.counted then 0 else 1 end,
                   sent_at = case when r.state = 'sent' then now() else o.sent_at end,
                   ended_at = case when r.state in ('failed', 'unknown') then now() end
              from r
             where o.message_id = r.id and o.epoch = r.epoch and o.claims = r.claims and o.state || '' = 'sending'
            returning o.message_id, o.tenant_id, o.account_id, o.state, o.provider_id, o.reason, r.n
        ), told as (
            insert into events (tenant_id, account_id, kind, data)
            select tenant_id, account_id, 'message.' || state,
                   jsonb_strip_nulls(jsonb_build_object('message', message_id, 'provider_id', provider_id,
                                                        'reason', nullif(reason, '')))
              from done where state <> 'queued' order by n
        ), counted as (
            insert into tallies as t (account_id, tenant_id, bucket, counter, n)
            select account_id, tenant_id, date_bin('5 minutes', now(), '2000-01-01'), state, count(*)
              from done where state <> 'queued' group by account_id, tenant_id, state order by account_id, state
            on conflict (account_id, bucket, counter) do update set n = t.n + excluded.n
        )
        select n from done
        """,
        ids=[one.message for one in outcomes],
        epochs=[one.epoch for one in outcomes],
        claims=[one.claims for one in outcomes],
        states=[one.to.value for one in outcomes],
        providers=[one.provider_id for one in outcomes],
        reasons=[one.reason for one in outcomes],
        details=[clean(one.detail[:LONGEST_DETAIL]) for one in outcomes],
        retries=[-1.0 if one.retry_in is None else one.retry_in.total_seconds() for one in outcomes],
        counted=[one.counted for one in outcomes],
    )
    landed = {row[0] for row in rows}
    return [n in landed for n in range(1, len(outcomes) + 1)]


async def learn(tx: Tx, news: Sequence[Learnt]) -> int:
    """Move messages forward by their receipts; at most one entry per message. Returns how many moved.

    A receipt that jumps (sent to read) tells and counts each step between.
    """
    return await tx.value(
        """
        with r as (
            select * from unnest(%(ids)b::uuid[], %(accounts)b::uuid[], %(states)b::text[], %(ats)b::timestamptz[],
                                 %(providers)s::text[], %(reasons)b::text[], %(details)b::text[])
                   with ordinality as r (id, account_id, state, at, provider_id, reason, detail, n)
        ), b as (
            select o.message_id, o.tenant_id, o.state as before, r.*
              from r join outbox o on o.message_id = r.id and o.account_id = r.account_id
             where exists (select 1 from moves m
                            where m.machine = 'outbox' and m.before = o.state and m.after = r.state)
             order by o.message_id for no key update of o
        ), moved as (
            update outbox o
               set state = b.state, provider_id = coalesce(o.provider_id, b.provider_id),
                   reason = b.reason, detail = b.detail,
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
    )


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


async def keep_strays(tx: Tx, strays: Sequence[tuple[AccountId, str, Sending, datetime, str]]) -> None:
    """Keep receipts of messages whose network name is not stored yet."""
    await tx.run(
        """
        insert into stray_receipts (account_id, tenant_id, provider_id, state, at, detail)
        select distinct on (s.account_id, s.provider_id, s.state)
               s.account_id, a.tenant_id, s.provider_id, s.state, s.at, s.detail
          from unnest(%(accounts)s::uuid[], %(providers)s::text[], %(states)s::text[], %(ats)s::timestamptz[],
                      %(details)s::text[]) as s (account_id, provider_id, state, at, detail)
          join accounts a on a.id = s.account_id
        on conflict do nothing
        """,
        accounts=[one[0] for one in strays],
        providers=[one[1] for one in strays],
        states=[one[2].value for one in strays],
        ats=[one[3] for one in strays],
        details=[clean(one[4][:LONGEST_DETAIL]) for one in strays],
    )


async def take_strays(tx: Tx, names: Sequence[tuple[AccountId, str]]) -> list[tuple[Any, ...]]:
    """Remove and return (account, provider id, state, at, detail) kept for messages just named."""
    return await tx.tuples(
        """
        delete from stray_receipts s
         using unnest(%(accounts)b::uuid[], %(providers)b::text[]) as w (account_id, provider_id)
         where s.account_id = w.account_id and s.provider_id = w.provider_id
        returning s.account_id, s.provider_id, s.state, s.at, s.detail
        """,
        accounts=[account for account, _ in names],
        providers=[provider for _, provider in names],
    )


async def adopt(tx: Tx, *, accounts: Sequence[AccountId], epochs: Sequence[int]) -> list[Stranded]:
    """Put what earlier sessions left on the wire under the accounts' present leases, and return it.

    With it come messages sent in the last hour that lack a receipt: it may have come while nobody listened.
    """
    return await tx.all(
        Stranded,
        """
        with w as (
            select w.* from unnest(%(accounts)s::uuid[], %(epochs)s::bigint[]) as w (account_id, epoch)
              join leases l on l.name = 'account:' || w.account_id and l.epoch = w.epoch
        ), adopted as (
            update outbox o set epoch = w.epoch from w
             where o.account_id = w.account_id and o.state = 'sending' and o.epoch <= w.epoch
            returning o.message_id as id, o.account_id as account, o.epoch, o.claims, o.state, o.provider_id
        )
        select * from adopted
        union all
        select s.* from w cross join lateral (
            select o.message_id, o.account_id, o.epoch, o.claims, o.state, o.provider_id from outbox o
             where o.account_id = w.account_id and o.state = 'sent' and o.sent_at > now() - interval '1 hour'
             order by o.sent_at desc limit %(most)s) s
        """,
        accounts=list(accounts),
        epochs=list(epochs),
        most=CATCH_UP,
    )


async def due(tx: Tx, *, accounts: Sequence[AccountId]) -> list[AccountId]:
    """Return which of `accounts` have a message that could go now: the safety net for lost wake-ups and for timers."""
    rows = await tx.tuples(
        """
        select account_id from unnest(%(accounts)b::uuid[]) as w (account_id)
         where exists (select 1 from outbox o
                        where o.account_id = w.account_id and o.state = 'queued' and o.due_at <= now()
                          and (o.retry_at is null or o.retry_at <= now()))
        """,
        accounts=list(accounts),
    )
    return [row[0] for row in rows]


async def sent_since(tx: Tx, *, account: AccountId, since: datetime) -> int:
    """Return how many messages the account sent since then."""
    return await tx.value(
        """
        select coalesce(sum(n), 0)::int from tallies
         where account_id = %(account)s and counter = 'sent' and bucket >= %(since)s
        """,
        account=account,
        since=since,
    )


async def note_waiting(tx: Tx, notes: Sequence[tuple[AccountId, TenantId, str, datetime | None]]) -> None:
    """Store why lanes wait and until when, for every face that shows it."""
    await tx.run(
        """
        insert into activity as t (account_id, tenant_id, lane_why, lane_until)
        select * from unnest(%(accounts)s::uuid[], %(tenants)s::uuid[], %(whys)s::text[], %(untils)s::timestamptz[])
               as n (id, tenant, why, until) order by id
        on conflict (account_id) do update set lane_why = excluded.lane_why, lane_until = excluded.lane_until
        """,
        accounts=[one[0] for one in notes],
        tenants=[one[1] for one in notes],
        whys=[one[2] for one in notes],
        untils=[one[3] for one in notes],
    )

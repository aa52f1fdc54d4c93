"""SQL of the lanes: what goes on the wire, and how it ended.

`state || ''` is the state where an index of all messages in that state must not be the way to the few that are meant.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final, NamedTuple
from uuid import UUID

import msgspec

from wafleet.domain.clean import clean
from wafleet.domain.ids import AccountId, ConversationId, MessageId, TenantId
from wafleet.domain.message import Content, about
from wafleet.engine.db import Tx
from wafleet.outbox.model import Claim, Outcome, Stranded
from wafleet.transports.base import About, Doubt

SEEN_AHEAD: Final = 1000  # waiting messages of an account that one claim looks through
CATCH_UP: Final = 200  # messages per account whose receipts are asked for when a session opens
RECALLED: Final = 2000  # messages per account that are looked through for whom it just wrote to
OTHERS: Final = 200  # messages of a conversation, both ways, among which one in doubt is told apart
LONGEST_DETAIL: Final = 500
NOBODY: Final[Mapping[AccountId, timedelta]] = {}
_content: Final[msgspec.json.Decoder[Content]] = msgspec.json.Decoder(Content)


class Turn(NamedTuple):
    """An account's turn to put messages on the wire."""

    account: AccountId
    epoch: int
    room: int  # how many it may put there
    transport: str  # of its session: noted with each message, since no other network can tell what became of it


async def claim(
    tx: Tx,
    *,
    node: str,
    turns: Sequence[Turn],
    cooling: Collection[ConversationId] = (),
    reached: Mapping[AccountId, timedelta] = NOBODY,
) -> list[Claim]:
    """Put due messages on the wire, per account at most its room, replies first, in each conversation's order.

    Nothing for an account whose lease has changed hands or run out. One message per conversation is on the wire at a
    time (unique index outbox_one_on_the_wire); a later one waits while an earlier one, or a reply, is due.

    turns    at most one per account
    cooling  conversations that wait as well
    reached  accounts that may begin no more today, and how long a customer's message opens
    """
    await _keep_to_ordered_indexes(tx)
    rows = await tx.tuples(
        """
        with w as (
            select w.* from unnest(%(accounts)b::uuid[], %(epochs)b::bigint[], %(rooms)b::int[], %(transports)b::text[],
                                   %(opens)b::float8[])
                   as w (account_id, epoch, room, transport, open_s)
              join leases l on l.name = 'account:' || w.account_id and l.epoch = w.epoch
                           and l.holder = %(node)s and l.expires_at > now()
        ), picked as (
            select p.message_id, w.epoch, w.transport from w cross join lateral (
                select o.message_id
                  from (select * from outbox
                         where account_id = w.account_id and state = 'queued' and due_at <= now()
                         order by priority, due_at, seq limit %(ahead)s) o
                 where (o.retry_at is null or o.retry_at <= now())
                   and (select s.message_id from outbox s
                         where s.account_id = w.account_id and s.conversation_id = o.conversation_id
                           and s.state = 'sending' limit 1) is null
                   and (select e.message_id from outbox e where e.account_id = w.account_id
                           and e.conversation_id = o.conversation_id and e.state = 'queued' and e.due_at <= now()
                         order by e.priority, e.due_at, e.seq limit 1) = o.message_id
                   and not o.conversation_id = any(%(cooling)s::uuid[])
                   and (w.open_s < 0 or exists (
                        select from conversations c where c.id = o.conversation_id
                           and (c.last_inbound_at > now() - w.open_s * interval '1 s'
                                or c.reached_at > now() - interval '24 hours')))
                 order by o.priority, o.due_at, o.seq limit w.room) p
        ), taken as (
            update outbox o set state = 'sending', epoch = p.epoch, claims = o.claims + 1, attempts = o.attempts + 1,
                   transport = p.transport, sending_at = now(), retry_at = null
              from picked p where o.message_id = p.message_id and o.state || '' = 'queued'
            returning o.message_id, o.account_id, o.conversation_id, o.epoch, o.claims, o.attempts, o.seq
        )
        select t.message_id, t.account_id, t.conversation_id, t.epoch, t.claims, t.attempts, c.identity,
               exists (select 1 from outbox q where q.conversation_id = t.conversation_id and q.state = 'queued'
                          and q.message_id <> t.message_id),
               m.content::text, c.last_inbound_at, now()
          from taken t join messages m on m.id = t.message_id join conversations c on c.id = t.conversation_id
         order by t.seq
        """,
        accounts=[one.account for one in turns],
        epochs=[one.epoch for one in turns],
        rooms=[one.room for one in turns],
        transports=[one.transport for one in turns],
        opens=[reached[one.account].total_seconds() if one.account in reached else -1.0 for one in turns],
        node=node,
        cooling=list(cooling),
        ahead=SEEN_AHEAD,
    )
    claims = [Claim(*row[:8], content=_content.decode(row[8]), heard_at=row[9], since=row[10]) for row in rows]
    return await _whole(tx, claims)


async def _keep_to_ordered_indexes(tx: Tx) -> None:
    """Plan this transaction without sorts, so that messages are looked at one by one until the room is full.

    Statistics of a queue that is empty when they are gathered say that any index of what is queued will do, so that
    reading all of it and sorting would look as cheap as the right one.
    """
    await tx.run("set local enable_sort = off")


async def _whole(tx: Tx, claims: list[Claim]) -> list[Claim]:
    """Add to each claim what it is about; most are about nothing, which costs nothing."""
    wanted = {one.id: UUID(about(one.content)) for one in claims if about(one.content)}
    if not wanted:
        return claims
    found = await abouts(tx, wanted)
    return [replace(one, about=found.get(one.id)) if one.id in wanted else one for one in claims]


async def abouts(tx: Tx, wanted: Mapping[MessageId, UUID]) -> dict[MessageId, About]:
    """Return what messages are about: earlier ones of the same conversation, which the network has or will have."""
    rows = await tx.tuples(
        """
        select w.id, coalesce(o.provider_id, m.provider_id, ''), m.direction = 'out', m.content::text
          from unnest(%(ids)b::uuid[], %(abouts)b::uuid[]) as w (id, about)
          join messages n on n.id = w.id
          join messages m on m.id = w.about and m.conversation_id = n.conversation_id
          left join outbox o on o.message_id = m.id
         where coalesce(o.provider_id, m.provider_id) is not null or o.state in ('queued', 'sending')
        """,
        ids=list(wanted),
        abouts=list(wanted.values()),
    )
    return {row[0]: About(row[1], row[2], _content.decode(row[3])) for row in rows}


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
            returning o.message_id as id, o.account_id as account, o.epoch, o.claims, o.state, o.provider_id,
                      o.transport
        )
        select * from adopted
        union all
        select s.* from w cross join lateral (
            select o.message_id, o.account_id, o.epoch, o.claims, o.state, o.provider_id, o.transport from outbox o
             where o.account_id = w.account_id and o.state = 'sent' and o.sent_at > now() - interval '1 hour'
             order by o.sent_at desc limit %(most)s) s
        """,
        accounts=list(accounts),
        epochs=list(epochs),
        most=CATCH_UP,
    )


async def doubts(tx: Tx, *, stranded: Sequence[Stranded]) -> list[Doubt]:
    """Return what a network that does not know our ids can know these messages by."""
    rows = await tx.tuples(
        """
        select o.message_id, c.identity, m.content::text, o.sending_at, coalesce(o.provider_id, ''),
               array(select q.provider_id
                       from (select p.id from messages p where p.conversation_id = o.conversation_id
                              order by p.seq desc limit %(others)s) n
                       join outbox q on q.message_id = n.id
                      where q.message_id <> o.message_id and q.provider_id is not null)
          from outbox o join messages m on m.id = o.message_id join conversations c on c.id = o.conversation_id
         where o.message_id = any(%(messages)s::uuid[])
        """,
        messages=[one.id for one in stranded],
        others=OTHERS,
    )
    return [
        Doubt(id, to, _content.decode(content), since, name, frozenset(others))
        for id, to, content, since, name, others in rows
    ]


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


async def waited_for(tx: Tx, *, conversations: Collection[ConversationId]) -> set[ConversationId]:
    """Return the conversations in which a message could go now, were they not held back."""
    rows = await tx.tuples(
        """
        select id from unnest(%(conversations)b::uuid[]) as c (id)
         where exists (select from outbox o
                        where o.conversation_id = c.id and o.state = 'queued' and o.due_at <= now()
                          and (o.retry_at is null or o.retry_at <= now()))
        """,
        conversations=list(conversations),
    )
    return {row[0] for row in rows}


async def begin(tx: Tx, conversations: Sequence[ConversationId]) -> list[AccountId]:
    """Note that accounts begin to talk to these people; return the account of each who was not written to for a day."""
    rows = await tx.tuples(
        """
        update conversations set reached_at = now()
         where id = any(%(ids)s::uuid[]) and (reached_at is null or reached_at <= now() - interval '24 hours')
        returning account_id
        """,
        ids=list(conversations),
    )
    return [row[0] for row in rows]


async def begun(tx: Tx, *, account: AccountId) -> list[tuple[datetime, int]]:
    """Return with how many people an account began to talk in the last 24 hours, by the minute."""
    rows = await tx.tuples(
        """
        select date_trunc('minute', reached_at), count(*)::int from conversations
         where account_id = %(account)s and reached_at > now() - interval '24 hours'
         group by 1 order by 1
        """,
        account=account,
    )
    return [(row[0], row[1]) for row in rows]


async def said_of(tx: Tx, *, accounts: Sequence[AccountId]) -> dict[AccountId, dict[str, str]]:
    """Return what the network last said of accounts: their limit among it."""
    sql = "select id, provider from accounts where id = any(%(accounts)s::uuid[])"
    return {row[0]: row[1] for row in await tx.tuples(sql, accounts=list(accounts))}


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


async def sent_to(tx: Tx, *, account: AccountId, since: datetime) -> list[tuple[ConversationId, datetime]]:
    """Return to whom an account sent messages since then, oldest first, looking through those queued last only."""
    rows = await tx.tuples(
        """
        select conversation_id, sending_at
          from (select conversation_id, sending_at, state from outbox
                 where account_id = %(account)s and queued_at > now() - interval '1 day'
                 order by queued_at desc limit %(most)s) o
         where state <> 'queued' and sending_at > %(since)s order by sending_at
        """,
        account=account,
        since=since,
        most=RECALLED,
    )
    return [(row[0], row[1]) for row in rows]


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

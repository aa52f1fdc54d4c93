"""The statements that take messages in.

Whoever writes messages takes its locks in this order, so that no two writers can wait for each other: conversations
(missing ones first, by account and identity; then all, by id), messages, tallies (by account and counter).
"""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import msgspec

from wafleet.domain.ids import AccountId, ConversationId, MessageId, TenantId
from wafleet.engine.db import Tx

NOTHING: Final = UUID(int=0)  # in arrays, where null alone would have no type
PREVIEW: Final = 200  # characters of a message that a list of conversations shows


class Arrival(msgspec.Struct, frozen=True):
    """One incoming message, ready to be stored: every text is one PostgreSQL can hold."""

    id: MessageId
    tenant: TenantId
    account: AccountId
    identity: str
    name: str
    provider_id: str
    content: str  # JSON
    words: str
    at: datetime
    shown: str = ""  # one line of it for lists
    about: UUID = NOTHING  # the message that this one answers, changes or takes back
    wrote: bool = True  # False: a notice of the network about the customer


async def add(tx: Tx, arrivals: Sequence[Arrival], conversations: Sequence[ConversationId]) -> set[MessageId]:
    """Store those arrivals whose account and provider id were not seen before, in order; return their ids.

    Each brings its conversation to its newest message: unread, preview, times, name; a closed one opens again. Lists
    are sorted by when a message arrived here, since that is when somebody can see it; `last_inbound_at` is the
    customer's own time, which decides how long they may be answered: a notice leaves it as it is. Events, and tallies
    of all that came, go along.
    """
    rows = await tx.tuples(
        """
        with a as (
            select * from unnest(%(ids)b::uuid[], %(tenants)b::uuid[], %(accounts)b::uuid[], %(conversations)b::uuid[],
                                 %(contents)b::text[], %(words)b::text[], %(shown)b::text[], %(names)b::text[],
                                 %(provider_ids)b::text[], %(times)b::timestamptz[], %(abouts)b::uuid[],
                                 %(wrotes)b::bool[])
                   with ordinality
                   as a (id, tenant_id, account_id, conversation_id, content, words, shown, name, provider_id, at,
                         about, wrote, nr)
        ), m as (
            insert into messages (id, tenant_id, account_id, conversation_id, direction, content, words, provider_id,
                                  at, about)
            select id, tenant_id, account_id, conversation_id, 'in', content::jsonb, words, provider_id, at,
                   nullif(about, %(nothing)s)
              from a order by nr
            on conflict (account_id, provider_id) where direction = 'in' do nothing
            returning id
        ), talked as (
            update conversations c
               set unread = c.unread + f.n, state = 'open', last_direction = 'in', last_words = f.shown,
                   last_message_at = greatest(c.last_message_at, now()),
                   last_inbound_at = greatest(c.last_inbound_at, f.at),
                   name = coalesce(f.name, c.name)
              from (select conversation_id, count(*) as n, max(least(at, now())) filter (where wrote) as at,
                           (array_agg(shown order by nr desc))[1] as shown,
                           (array_agg(name order by nr desc) filter (where name <> ''))[1] as name
                      from a join m using (id) group by conversation_id) f
             where c.id = f.conversation_id
        ), told as (
            insert into events (tenant_id, account_id, kind, data)
            select tenant_id, account_id, 'message.received',
                   jsonb_build_object('message', id, 'conversation', conversation_id)
              from a join m using (id) order by nr
        ), counted as (
            insert into tallies as t (tenant_id, account_id, bucket, counter, n)
            select tenant_id, account_id, date_bin('5 minutes', now(), '2000-01-01Z'),
                   case when m.id is null then 'repeated' else 'received' end as counter, count(*)
              from a left join m using (id)
             group by tenant_id, account_id, counter order by account_id, counter
            on conflict (account_id, bucket, counter) do update set n = t.n + excluded.n
        )
        select id from m
        """,
        ids=[one.id for one in arrivals],
        tenants=[one.tenant for one in arrivals],
        accounts=[one.account for one in arrivals],
        conversations=list(conversations),
        contents=[one.content for one in arrivals],
        words=[one.words for one in arrivals],
        shown=[one.shown for one in arrivals],
        names=[one.name for one in arrivals],
        provider_ids=[one.provider_id for one in arrivals],
        times=[one.at for one in arrivals],
        abouts=[one.about for one in arrivals],
        wrotes=[one.wrote for one in arrivals],
        nothing=NOTHING,
    )
    return {row[0] for row in rows}


async def named_by_network(tx: Tx, names: Collection[tuple[AccountId, str]]) -> dict[tuple[AccountId, str], MessageId]:
    """Return which of our messages, of either direction, the network calls by these names."""
    rows = await tx.tuples(
        """
        with w as (select * from unnest(%(accounts)b::uuid[], %(names)b::text[]) as w (account_id, provider_id))
        select w.account_id, w.provider_id, m.id from w join messages m using (account_id, provider_id)
         where m.direction = 'in'
        union all
        select w.account_id, w.provider_id, o.message_id from w join outbox o using (account_id, provider_id)
        """,
        accounts=[account for account, _ in names],
        names=[name for _, name in names],
    )
    return {(account, name): MessageId(id) for account, name, id in rows}


async def acts_on(tx: Tx, messages: Sequence[UUID]) -> list[tuple[Any, ...]]:
    """Return (message, direction, content, at) of the reactions, edits and deletions of these messages, in order.

    One of ours counts once the network has it.
    """
    return await tx.tuples(
        """
        select m.about, m.direction, m.content, m.at
          from messages m left join outbox o on o.message_id = m.id
         where m.about = any(%(messages)s::uuid[]) and m.content ->> 'type' in ('reaction', 'edit', 'deletion')
           and (m.direction = 'in' or o.state in ('sent', 'delivered', 'read'))
         order by m.seq
        """,
        messages=list(messages),
    )


async def questions(tx: Tx, messages: Sequence[MessageId], *, within: timedelta) -> list[tuple[MessageId, str, bool]]:
    """Return (message, content, over) of those questions that went out, not longer ago than that.

    The answer may be faster than the network's word that it took the question. One is over once something else was
    said after it: neither another question, nor what only changed a message or reacted to one.
    """
    rows = await tx.tuples(
        """
        select m.id, m.content::text, exists (
                   select from messages n join outbox s on s.message_id = n.id
                    where n.conversation_id = m.conversation_id and n.seq > m.seq
                      and s.state not in ('queued', 'failed', 'cancelled')
                      and n.content ->> 'type' not in ('buttons', 'choices', 'reaction', 'edit'))
          from messages m join outbox o on o.message_id = m.id
         where m.id = any(%(messages)s::uuid[]) and o.state not in ('queued', 'failed', 'cancelled')
           and coalesce(o.sent_at, o.sending_at) > now() - %(within)s::interval
        """,
        messages=list(messages),
        within=within,
    )
    return [(row[0], row[1], row[2]) for row in rows]

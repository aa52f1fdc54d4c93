"""The statements that take messages in.

Whoever writes messages takes its locks in this order, so that no two writers can wait for each other: conversations
(missing ones first, by account and identity; then all, by id), messages, events, tallies (by account and counter).
"""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from wafleet.domain.ids import AccountId, ConversationId, MessageId, TenantId
from wafleet.engine.db import Tx

PREVIEW: Final = 200  # characters of a message that a list of conversations shows


@dataclass(frozen=True, slots=True)
class Arrival:
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


async def add_messages(tx: Tx, arrivals: Sequence[Arrival], conversations: Sequence[ConversationId]) -> set[MessageId]:
    """Store those arrivals whose account and provider id were not seen before, in order; return their ids."""
    rows = await tx.tuples(
        """
        insert into messages (id, tenant_id, account_id, conversation_id, direction, content, words, provider_id, at)
        select id, tenant_id, account_id, conversation_id, 'in', content::jsonb, words, provider_id, at
          from unnest(%(ids)b::uuid[], %(tenants)b::uuid[], %(accounts)b::uuid[], %(conversations)b::uuid[],
                      %(contents)b::text[], %(words)b::text[], %(provider_ids)b::text[], %(times)b::timestamptz[])
               with ordinality
               as m (id, tenant_id, account_id, conversation_id, content, words, provider_id, at, nr)
         order by nr
        on conflict (account_id, provider_id) where direction = 'in' do nothing
        returning id
        """,
        ids=[one.id for one in arrivals],
        tenants=[one.tenant for one in arrivals],
        accounts=[one.account for one in arrivals],
        conversations=list(conversations),
        contents=[one.content for one in arrivals],
        words=[one.words for one in arrivals],
        provider_ids=[one.provider_id for one in arrivals],
        times=[one.at for one in arrivals],
    )
    return {row[0] for row in rows}


async def touch(tx: Tx, fresh: Sequence[tuple[Arrival, ConversationId]]) -> None:
    """Bring each conversation to its newest message: unread, preview, times, name; a closed one opens again.

    `fresh` is in the order of arrival. Lists are sorted by when a message arrived here, since that is when somebody
    can see it; `last_inbound_at` is the customer's own time, which decides how long they may be answered.
    """
    last = {conversation: one for one, conversation in fresh}
    names = {conversation: one.name for one, conversation in fresh if one.name}
    counts = Counter(conversation for _, conversation in fresh)
    times: dict[ConversationId, datetime] = {}
    for one, conversation in fresh:
        times[conversation] = max(one.at, times.get(conversation, one.at))
    await tx.run(
        """
        update conversations c
           set unread = c.unread + f.n, state = 'open', last_direction = 'in', last_words = f.words,
               last_message_at = greatest(c.last_message_at, now()),
               last_inbound_at = greatest(c.last_inbound_at, least(f.at, now())),
               name = coalesce(nullif(f.name, ''), c.name)
          from unnest(%(ids)b::uuid[], %(counts)b::int[], %(words)b::text[], %(names)b::text[],
                      %(times)b::timestamptz[]) as f (id, n, words, name, at)
         where c.id = f.id
        """,
        ids=list(last),
        counts=[counts[conversation] for conversation in last],
        words=[one.words[:PREVIEW] for one in last.values()],
        names=[names.get(conversation, "") for conversation in last],
        times=[times[conversation] for conversation in last],
    )


async def count(tx: Tx, counted: Collection[tuple[TenantId, UUID, str]]) -> None:
    """Add one to a tally of these five minutes for each (tenant, account, counter) given, however often."""
    sums = sorted(Counter(counted).items(), key=lambda item: item[0][1:])
    await tx.run(
        """
        insert into tallies as t (tenant_id, account_id, bucket, counter, n)
        select tenant_id, account_id, date_bin('5 minutes', now(), '2000-01-01Z'), counter, n
          from unnest(%(tenants)b::uuid[], %(accounts)b::uuid[], %(counters)b::text[], %(counts)b::bigint[])
               with ordinality as c (tenant_id, account_id, counter, n, nr)
         order by nr
        on conflict (account_id, bucket, counter) do update set n = t.n + excluded.n
        """,
        tenants=[tenant for (tenant, _, _), _ in sums],
        accounts=[account for (_, account, _), _ in sums],
        counters=[counter for (_, _, counter), _ in sums],
        counts=[n for _, n in sums],
    )

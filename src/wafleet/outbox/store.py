"""SQL of the way in. Locks are taken in one order everywhere: conversations, outbox, tallies; each by its keys."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, NamedTuple
from uuid import UUID

from wafleet.domain import phone
from wafleet.domain.clean import clean, json_of
from wafleet.domain.ids import AccountId, ConversationId, MessageId, TenantId, new_id
from wafleet.domain.message import Content, Sending, Text, about, summary, words
from wafleet.engine.db import Tx
from wafleet.outbox.model import Draft, Queued

NOTHING: Final = UUID(int=0)  # in arrays, which cannot be told apart from text where they hold nothing else than null
REMEMBERED: Final = 5  # questions of a conversation that an answer may be for
Person = tuple[AccountId, str]  # by whom they are known, and under which identity
NOW: Final = -1.0  # a due time that means: at once, by the database's clock


class Talk(NamedTuple):
    """A conversation that is locked until the end of the transaction."""

    id: ConversationId
    questions: tuple[MessageId, ...]  # the newest that offered answers, newest first


async def conversations(
    tx: Tx, wanted: Sequence[tuple[TenantId, AccountId, str]], *, begun: bool = False
) -> dict[Person, Talk]:
    """Find or begin the conversation of each (tenant, account, identity), and keep them locked until the end.

    Missing ones are inserted before any is locked, so that a writer who waits for another's insert holds no lock that
    the other could want; then all are locked in the order of their ids. Somebody whom networks know by two numbers has
    one conversation, under the first that was used.

    begun  the caller saw all of them before; one that was removed meanwhile begins again
    """
    tenants = {(account, identity): tenant for tenant, account, identity in wanted}
    meant = await _meant(tx, tenants)
    keys = sorted({meant.get(key, key): tenant for key, tenant in tenants.items()}.items())
    known = await _lock(tx, [key for key, _ in keys]) if begun else {}
    while len(known) < len(keys):
        await _begin(tx, keys)
        known = await _lock(tx, [key for key, _ in keys])
    return {key: known[meant.get(key, key)] for key in tenants} if meant else known


async def _meant(tx: Tx, people: Collection[Person]) -> dict[Person, Person]:
    """Say under which number the conversation is of each person who has two.

    Whoever may begin it waits for whoever does, so that there is one.
    """
    twice = {one: both for one in people if len(both := phone.spellings(one[1])) > 1}
    if not twice:
        return {}
    await tx.run(
        "select pg_advisory_xact_lock(hashtextextended(name, 0)) from unnest(%(names)s::text[]) as w (name)",
        names=sorted({f"{account} {min(both)}" for (account, _), both in twice.items()}),
    )
    rows = await tx.tuples(
        """
        select account_id, identity from conversations
          join unnest(%(accounts)b::uuid[], %(identities)b::text[]) as w (account_id, identity)
         using (account_id, identity)
        """,
        accounts=[account for (account, _), both in twice.items() for _ in both],
        identities=[one for both in twice.values() for one in both],
    )
    known, meant = {(row[0], row[1]) for row in rows}, dict[Person, Person]()
    for one, both in twice.items():
        meant[one] = next(((one[0], name) for name in both if (one[0], name) in known), one)
        known.add(meant[one])
    return meant


async def _begin(tx: Tx, keys: Sequence[tuple[Person, TenantId]]) -> None:
    await tx.run(
        """
        insert into conversations (id, tenant_id, account_id, identity)
        select k.id, k.tenant_id, k.account_id, k.identity
          from unnest(%(ids)b::uuid[], %(tenants)b::uuid[], %(accounts)b::uuid[], %(identities)b::text[])
               with ordinality as k (id, tenant_id, account_id, identity, n)
         where not exists (select from conversations c
                            where c.account_id = k.account_id and c.identity = k.identity)
         order by n
        on conflict (account_id, identity) do nothing
        """,
        ids=[new_id() for _ in keys],
        tenants=[tenant for _, tenant in keys],
        accounts=[account for (account, _), _ in keys],
        identities=[identity for (_, identity), _ in keys],
    )


async def _lock(tx: Tx, keys: Sequence[Person]) -> dict[Person, Talk]:
    rows = await tx.tuples(
        """
        select c.account_id, c.identity, c.id, c.questions
          from unnest(%(accounts)b::uuid[], %(identities)b::text[]) as k (account_id, identity)
          join conversations c using (account_id, identity)
         order by c.id
           for no key update of c
        """,
        accounts=[account for account, _ in keys],
        identities=[identity for _, identity in keys],
    )
    return {(row[0], row[1]): Talk(row[2], tuple(row[3])) for row in rows}


async def asked(tx: Tx, questions: Sequence[tuple[ConversationId, MessageId]]) -> None:
    """Remember in conversations what was asked there, of locked ones only; an answer may come for the newest few."""
    await tx.run(
        """
        update conversations c
           set questions = (q.ids || c.questions)[1:%(most)s]
          from (select talk, array_agg(id order by n desc) as ids
                  from unnest(%(talks)s::uuid[], %(ids)s::uuid[]) with ordinality as q (talk, id, n)
                 group by talk) q
         where c.id = q.talk
        """,
        talks=[talk for talk, _ in questions],
        ids=[id for _, id in questions],
        most=REMEMBERED,
    )


async def existing_accounts(tx: Tx, drafts: Sequence[Draft]) -> frozenset[tuple[TenantId, AccountId]]:
    """Return which (tenant, account) pairs of the drafts there are."""
    rows = await tx.tuples(
        "select tenant_id, id from accounts where id = any(%(accounts)b::uuid[]) and deleted_at is null",
        accounts=list({draft.account for draft in drafts}),
    )
    return frozenset((row[0], row[1]) for row in rows)


async def name_by_key(
    tx: Tx, drafts: Sequence[Draft], ids: Sequence[MessageId]
) -> dict[tuple[TenantId, str], MessageId]:
    """Give each key its message; a key that names one already keeps it. Returns the keys that are new."""
    rows = await tx.tuples(
        """
        insert into idempotency_keys (tenant_id, key, message_id, fingerprint)
        select * from unnest(%(tenants)b::uuid[], %(keys)b::text[], %(ids)b::uuid[], %(fingerprints)b::bytea[])
               as k (tenant, key, id, fingerprint) order by tenant, key
        on conflict do nothing returning tenant_id, key, message_id
        """,
        tenants=[draft.tenant for draft in drafts],
        keys=[draft.key for draft in drafts],
        ids=list(ids),
        fingerprints=[draft.fingerprint for draft in drafts],
    )
    return {(tenant, key): id for tenant, key, id in rows}


async def named_before(tx: Tx, drafts: Sequence[Draft]) -> dict[tuple[TenantId, str], tuple[Queued, bytes]]:
    """Return the messages that keys named before, with the fingerprint of their request."""
    rows = await tx.tuples(
        """
        select k.tenant_id, k.key, k.fingerprint, o.message_id, o.account_id, o.state
          from idempotency_keys k
          join unnest(%(tenants)b::uuid[], %(keys)b::text[]) as w (tenant_id, key) using (tenant_id, key)
          join outbox o using (message_id)
        """,
        tenants=[draft.tenant for draft in drafts],
        keys=[draft.key for draft in drafts],
    )
    return {
        (tenant, key): (Queued(id, account, Sending(state), repeated=True), fingerprint)
        for tenant, key, fingerprint, id, account, state in rows
    }


async def insert(tx: Tx, drafts: Sequence[Draft], ids: Sequence[MessageId], talks: Sequence[ConversationId]) -> None:
    """Store messages with their places in the outbox, in the order given; events and tallies with them."""
    await tx.run(
        """
        with d as (
            select * from unnest(%(ids)b::uuid[], %(tenants)b::uuid[], %(accounts)b::uuid[], %(talks)b::uuid[],
                                 %(contents)b::text[], %(words)b::text[], %(shown)b::text[], %(abouts)b::uuid[],
                                 %(priorities)b::int2[], %(dues)b::float8[])
                   with ordinality
                   as d (id, tenant_id, account_id, talk, content, words, shown, about, priority, due_s, n)
        ), m as (
            insert into messages (id, tenant_id, account_id, conversation_id, direction, content, words, about, at)
            select id, tenant_id, account_id, talk, 'out', content::jsonb, words, nullif(about, %(nothing)s), now()
              from d order by n
            returning id, seq
        ), o as (
            insert into outbox (message_id, seq, tenant_id, account_id, conversation_id, priority, due_at)
            select d.id, m.seq, d.tenant_id, d.account_id, d.talk, d.priority,
                   case when d.due_s < 0 then now() else to_timestamp(d.due_s) end
              from d join m using (id)
        ), talked as (
            update conversations c
               set last_words = l.words, last_direction = 'out', last_message_at = now()
              from (select distinct on (talk) talk, left(coalesce(nullif(words, ''), shown), 200) as words
                      from d order by talk, n desc) l
             where c.id = l.talk
        ), told as (
            insert into events (tenant_id, account_id, kind, data)
            select tenant_id, account_id, 'message.queued', jsonb_build_object('message', id, 'conversation', talk)
              from d order by n
        )
        insert into tallies as t (account_id, tenant_id, bucket, counter, n)
        select account_id, tenant_id, date_bin('5 minutes', now(), '2000-01-01'), 'queued', count(*)
          from d group by account_id, tenant_id order by account_id
        on conflict (account_id, bucket, counter) do update set n = t.n + excluded.n
        """,
        ids=list(ids),
        tenants=[draft.tenant for draft in drafts],
        accounts=[draft.account for draft in drafts],
        talks=list(talks),
        contents=[json_of(draft.content) for draft in drafts],
        words=[clean(words(draft.content)) for draft in drafts],
        shown=["" if type(draft.content) is Text else clean(summary(draft.content)) for draft in drafts],
        abouts=[_about(draft.content) for draft in drafts],
        nothing=NOTHING,
        priorities=[int(draft.priority) for draft in drafts],
        dues=[NOW if draft.due_at is None else draft.due_at.timestamp() for draft in drafts],
    )


def _about(content: Content) -> UUID:
    named = about(content)
    return UUID(named) if named else NOTHING


async def cancel(tx: Tx, *, message: MessageId) -> Sending | None:
    """Cancel a message that still waits. Returns the state it is in now; None where there is no such message."""
    state = await tx.value(
        """
        with done as (
            update outbox set state = 'cancelled', ended_at = now()
             where message_id = %(message)s and state = 'queued'
            returning message_id, tenant_id, account_id
        ), told as (
            insert into events (tenant_id, account_id, kind, data)
            select tenant_id, account_id, 'message.cancelled', jsonb_build_object('message', message_id) from done
        ), counted as (
            insert into tallies as t (account_id, tenant_id, bucket, counter, n)
            select account_id, tenant_id, date_bin('5 minutes', now(), '2000-01-01'), 'cancelled', 1 from done
            on conflict (account_id, bucket, counter) do update set n = t.n + excluded.n
        )
        select case when exists (select 1 from done) then 'cancelled'
                    else (select state from outbox where message_id = %(message)s) end
        """,
        message=message,
    )
    return None if state is None else Sending(state)


async def forget(tx: Tx, *, keys_older_than: timedelta, strays_older_than: timedelta) -> int:
    """Drop idempotency keys, and receipts nobody asked for, that are older. Returns how many rows went."""
    keys = await tx.run("delete from idempotency_keys where created_at < now() - %(age)s", age=keys_older_than)
    strays = await tx.run("delete from stray_receipts where received_at < now() - %(age)s", age=strays_older_than)
    return keys + strays


@dataclass(frozen=True, slots=True)
class Route:
    """An account a message may be sent from, and what decides whether and when it goes."""

    id: AccountId
    tenant_id: TenantId
    name: str
    transport: str
    state: str
    reason: str
    state_since: datetime
    lane_why: str
    lane_until: datetime | None
    rule: str  # why this one: "asked", "conversation", "primary", "only"


@dataclass(frozen=True, slots=True)
class Earlier:
    """A message that another one names."""

    direction: str
    kind: str  # tag of its content
    state: str | None  # of ours; None: a customer's
    priority: int | None
    due_at: datetime | None


async def earlier(tx: Tx, *, message: MessageId, account: AccountId, to: str) -> Earlier | None:
    """Return a message of the conversation between this account and this person; None where it is not in there."""
    return await tx.one(
        Earlier,
        """
        select m.direction, m.content ->> 'type' as kind, o.state, o.priority, o.due_at
          from messages m
          join conversations c on c.id = m.conversation_id
          left join outbox o on o.message_id = m.id
         where m.id = %(message)s and m.account_id = %(account)s and c.identity = any(%(to)s)
        """,
        message=message,
        account=account,
        to=list(phone.spellings(to)),
    )


async def heard(tx: Tx, *, account: AccountId, to: str, key: str | None) -> tuple[datetime | None, bool]:
    """Return when this person last wrote to this account, and whether the key names a message already."""
    rows = await tx.tuples(
        """
        select (select max(last_inbound_at) from conversations
                 where account_id = %(account)s and identity = any(%(to)s)),
               exists (select from idempotency_keys
                        where tenant_id = (select tenant_id from accounts where id = %(account)s)
                          and key = %(key)s::text)
        """,
        account=account,
        to=list(phone.spellings(to)),
        key=key,
    )
    return rows[0][0], rows[0][1]


async def speaker_of(tx: Tx, *, message: MessageId) -> AccountId | None:
    """Return the account in whose conversation a message stands."""
    return await tx.value("select account_id from messages where id = %(message)s", message=message)


async def cancel_of_deleted(tx: Tx) -> int:
    """Cancel what still waits for accounts that were deleted. Returns how many messages that were."""
    return await tx.value(
        """
        with done as (
            update outbox o set state = 'cancelled', reason = 'account_deleted', ended_at = now()
              from accounts a
             where a.id = o.account_id and a.deleted_at is not null and o.state = 'queued'
            returning o.message_id, o.tenant_id, o.account_id
        ), told as (
            insert into events (tenant_id, account_id, kind, data)
            select tenant_id, account_id, 'message.cancelled', jsonb_build_object('message', message_id) from done
        ), counted as (
            insert into tallies as t (account_id, tenant_id, bucket, counter, n)
            select account_id, tenant_id, date_bin('5 minutes', now(), '2000-01-01'), 'cancelled', count(*)
              from done group by account_id, tenant_id order by account_id
            on conflict (account_id, bucket, counter) do update set n = t.n + excluded.n
        )
        select count(*) from done
        """
    )


async def account_of(tx: Tx, *, message: MessageId) -> AccountId | None:
    """Return which account a message goes out from."""
    return await tx.value("select account_id from outbox where message_id = %(message)s", message=message)


async def routes_of(tx: Tx, accounts: Collection[AccountId]) -> dict[AccountId, Route]:
    """Return the accounts that were asked for, as far as they exist, of whatever tenant."""
    rows = await tx.all(
        Route,
        """
        select a.id, a.tenant_id, a.name, a.transport, a.state, a.reason, a.state_since,
               coalesce(t.lane_why, '') as lane_why, t.lane_until, 'asked' as rule
          from accounts a left join activity t on t.account_id = a.id
         where a.id = any(%(accounts)b::uuid[]) and a.deleted_at is null
        """,
        accounts=list(accounts),
    )
    return {one.id: one for one in rows}


async def best_route(tx: Tx, *, to: str, only: Sequence[AccountId] | None) -> Route | None:
    """Return the account that may best speak to this person: the one of the last conversation, `primary`, any other.

    only  the accounts the caller may use; None for all
    """
    return await tx.one(
        Route,
        """
        select a.id, a.tenant_id, a.name, a.transport, a.state, a.reason, a.state_since,
               coalesce(t.lane_why, '') as lane_why, t.lane_until,
               case when c.id is not null then 'conversation' when a.role = 'primary' then 'primary'
                    else 'only' end as rule
          from accounts a
          left join activity t on t.account_id = a.id
          left join conversations c on c.account_id = a.id and c.identity = any(%(to)s)
         where a.deleted_at is null and a.desired = 'running' and (%(only)s::uuid[] is null or a.id = any(%(only)s))
         order by c.last_message_at desc nulls last, (a.role = 'primary') desc, a.priority desc, a.id
         limit 1
        """,
        to=list(phone.spellings(to)),
        only=only,
    )

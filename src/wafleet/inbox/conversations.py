"""Conversations: read from the database, always, so that no restart loses one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, LiteralString, Protocol
from uuid import UUID

from wafleet.domain.clean import clean
from wafleet.domain.errors import Invalid, NotFound
from wafleet.domain.ids import AccountId
from wafleet.engine.db import Db, Tx
from wafleet.engine.web import Page, decode_cursor, page
from wafleet.inbox.model import Conversation, Standing, Statistics
from wafleet.tenants import Caller, record

_CONVERSATION: Final[LiteralString] = """
    select c.id, c.tenant_id as tenant, c.account_id as account, c.identity, c.name, c.state, c.assigned_to, c.note,
           c.unread, c.last_words, c.last_direction, c.last_message_at, c.last_inbound_at, c.created_at,
           c.last_inbound_at + w.free_for as window_until,
           case when w.free_for is null then 'always' when c.last_inbound_at + w.free_for > now() then 'open'
                else 'closed' end as "window"
      from conversations c
     cross join lateral (
        select (select t.free_for
                  from accounts a
                  join unnest(%(transports)s::text[], %(windows)s::interval[]) as t (name, free_for)
                    on t.name = a.transport
                 where a.id = c.account_id) as free_for) w
     where (%(only)s::uuid[] is null or c.account_id = any(%(only)s))
"""
NONE: Final[Mapping[str, timedelta]] = {}
NOT_FOUND: Final = "There is no such conversation"
MOST_SEEN: Final = 200  # messages that a customer is told of at a time


@dataclass(frozen=True, slots=True, kw_only=True)
class Narrow:
    """Which conversations of a list are wanted; None: no matter."""

    account: UUID | None = None
    state: Standing | None = None
    unread: bool | None = None
    assigned_to: UUID | None = None
    assigned: bool | None = None
    q: str | None = None  # part of the name, the phone or the newest words, folded


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What may be written of a conversation; None: stays as it is."""

    state: Standing | None = None
    assigned_to: UUID | None = None
    unassign: bool = False
    note: str | None = None


def limited(caller: Caller) -> list[AccountId] | None:
    """Return the accounts a token is limited to, None where it is not."""
    return None if caller.accounts is None else sorted(caller.accounts)


class Seen(Protocol):
    """Tells a customer that their messages were read, where the network has such a thing."""

    async def __call__(self, caller: Caller, account: UUID, *, identity: str, provider_ids: Sequence[str]) -> None: ...


class Conversations:
    """What customers and accounts said to each other, per customer.

    windows  how long after a customer's message anything may be sent, for transports that limit it
    """

    def __init__(self, db: Db, *, seen: Seen | None = None, windows: Mapping[str, timedelta] = NONE) -> None:
        self._db, self._seen = db, seen
        self._windows = {"transports": list(windows), "windows": list(windows.values())}

    async def list(self, caller: Caller, narrow: Narrow, *, cursor: str | None, limit: int) -> Page[Conversation]:
        """Return conversations, the one with the newest message first. Raises BadCursor.

        While pages are read, a conversation that gets a message moves to the front; none is shown twice.
        """
        at, id = decode_cursor(cursor, tuple[datetime, UUID]) if cursor else (None, None)
        async with self._db.tx(caller.reach) as tx:
            rows = await _listed(tx, narrow, at=at, id=id, limit=limit + 1, only=limited(caller), **self._windows)
        return page(rows, limit=limit, place=lambda one: [one.last_message_at, one.id])

    async def get(self, caller: Caller, id: UUID) -> Conversation:
        """Return one conversation. Raises NotFound."""
        async with self._db.tx(caller.reach) as tx:
            return await self._one(tx, caller, id)

    async def change(self, caller: Caller, id: UUID, change: Change) -> Conversation:
        """Close or open a conversation, give it to somebody, write a note. Raises NotFound, Invalid."""
        async with self._db.tx(caller.reach) as tx:
            before = await self._one(tx, caller, id)
            if change.assigned_to is not None:
                await _require_member(tx, before.tenant, change.assigned_to)
            await _write(tx, id, change)
            after = await self._one(tx, caller, id)
            names = ("state", "assigned_to", "note")
            changed = [name for name in names if getattr(before, name) != getattr(after, name)]
            if changed:
                await record(tx, caller, "conversation.changed", id, tenant=before.tenant, fields=changed)
        return after

    async def read(self, caller: Caller, id: UUID, *, up_to: UUID | None) -> Conversation:
        """Count a conversation's messages as read, all or up to one of them. Raises NotFound, Invalid."""
        async with self._db.tx(caller.reach) as tx:
            before = await self._one(tx, caller, id)
            unread = [] if self._seen is None else await _unread(tx, before, up_to)
            if not await _mark_read(tx, id, up_to):
                raise Invalid("up_to", "That message is not in this conversation: name one that is")
            after = await self._one(tx, caller, id)
        if self._seen is not None and unread:
            await self._seen(caller, before.account, identity=before.identity, provider_ids=unread)
        return after

    async def _one(self, tx: Tx, caller: Caller, id: UUID) -> Conversation:
        sql = _CONVERSATION + " and c.id = %(id)s"
        found = await tx.one(Conversation, sql, id=id, only=limited(caller), **self._windows)
        if found is None:
            raise NotFound(NOT_FOUND)
        return found

    async def statistics(self, caller: Caller, *, account: UUID | None) -> Statistics:
        """Count conversations by where they stand."""
        async with self._db.tx(caller.reach) as tx:
            found = await tx.one(
                Statistics,
                """
                select count(*) as conversations,
                       count(*) filter (where state = 'open') as open,
                       count(*) filter (where state = 'closed') as closed,
                       count(*) filter (where unread > 0) as unread,
                       coalesce(sum(unread), 0)::bigint as unread_messages,
                       count(*) filter (where state = 'open' and assigned_to is null) as unassigned,
                       count(*) filter (where state = 'open' and last_direction = 'in') as unanswered,
                       min(last_message_at) filter (where state = 'open' and last_direction = 'in') as unanswered_since
                  from conversations
                 where (%(only)s::uuid[] is null or account_id = any(%(only)s))
                   and (%(account)s::uuid is null or account_id = %(account)s)
                """,
                only=limited(caller),
                account=account,
            )
        if found is None:
            raise NotFound(NOT_FOUND)
        return found


async def _listed(tx: Tx, narrow: Narrow, *, at: datetime | None, id: UUID | None, **more: Any) -> list[Conversation]:
    sql = """
        and (%(account)s::uuid is null or c.account_id = %(account)s)
        and (%(state)s::text is null or c.state = %(state)s)
        and (%(unread)s::boolean is null or (c.unread > 0) = %(unread)s)
        and (%(assigned_to)s::uuid is null or c.assigned_to = %(assigned_to)s)
        and (%(assigned)s::boolean is null or (c.assigned_to is not null) = %(assigned)s)
        and (%(q)s::text is null
             or position(folded(%(q)s) in folded(c.name || ' ' || c.identity || ' ' || c.last_words)) > 0)
        and (%(at)s::timestamptz is null
             or c.last_message_at <= %(at)s and (c.last_message_at < %(at)s or c.id > %(id)s::uuid))
      order by c.last_message_at desc, c.id
      limit %(limit)s
    """
    return await tx.all(
        Conversation,
        _CONVERSATION + sql,
        account=narrow.account,
        state=narrow.state,
        unread=narrow.unread,
        assigned_to=narrow.assigned_to,
        assigned=narrow.assigned,
        q=None if narrow.q is None else clean(narrow.q),
        at=at,
        id=id,
        **more,
    )


async def _require_member(tx: Tx, tenant: UUID, user: UUID) -> None:
    found = await tx.value(
        "select exists (select from memberships where tenant_id = %(tenant)s and user_id = %(user)s)",
        tenant=tenant,
        user=user,
    )
    if not found:
        raise Invalid("assigned_to", "Nobody of this tenant has that id: take one from the list of users")


async def _write(tx: Tx, id: UUID, change: Change) -> None:
    await tx.run(
        """
        update conversations
           set state = coalesce(%(state)s::text, state), note = coalesce(%(note)s::text, note),
               assigned_to = case when %(unassign)s then null else coalesce(%(assigned_to)s::uuid, assigned_to) end
         where id = %(id)s
        """,
        id=id,
        state=change.state,
        note=change.note,
        unassign=change.unassign,
        assigned_to=change.assigned_to,
    )


async def _unread(tx: Tx, one: Conversation, up_to: UUID | None) -> list[str]:
    """Return the network's names of the messages that count as unread, the newest ones, up to one of them."""
    rows = await tx.tuples(
        """
        with latest as (
            select provider_id, seq from messages where conversation_id = %(id)s and direction = 'in'
             order by seq desc limit %(unread)s
        )
        select provider_id from latest
         where provider_id is not null
           and (%(up_to)s::uuid is null or seq <= (select seq from messages where id = %(up_to)s)) order by seq
        """,
        id=one.id,
        unread=min(one.unread, MOST_SEEN),
        up_to=up_to,
    )
    return [row[0] for row in rows]


async def _mark_read(tx: Tx, id: UUID, up_to: UUID | None) -> bool:
    """What arrived after `up_to` stays unread. False when that message is not in the conversation."""
    changed = await tx.run(
        """
        update conversations c
           set unread = case when %(up_to)s::uuid is null then 0 else least(c.unread, (
               select count(*) from messages m
                where m.conversation_id = c.id and m.direction = 'in'
                  and m.seq > (select seq from messages where id = %(up_to)s))) end
         where c.id = %(id)s
           and (%(up_to)s::uuid is null
                or exists (select from messages where id = %(up_to)s and conversation_id = c.id))
        """,
        id=id,
        up_to=up_to,
    )
    return changed == 1

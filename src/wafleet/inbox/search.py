"""Messages, found by account, conversation, time, state or words; newest first."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, LiteralString
from uuid import UUID

from wafleet.domain.clean import clean
from wafleet.domain.errors import NotFound
from wafleet.domain.message import Direction
from wafleet.engine.db import Db, Tx
from wafleet.engine.web import Page, decode_cursor, page
from wafleet.inbox import effects
from wafleet.inbox.conversations import NOT_FOUND, limited
from wafleet.inbox.model import RECEIVED, Message, Where
from wafleet.tenants import Caller

# %(only)s is the accounts a token may see, %(account)s the one asked for; `f` names the messages found, at most a page.
_READ: Final[LiteralString] = """
    select m.id, m.seq, m.direction, m.account_id as account, m.conversation_id as conversation,
           case m.direction when 'in' then c.identity else a.phone end as "from",
           case m.direction when 'in' then a.phone else c.identity end as "to",
           m.content, coalesce(o.state, 'received') as state, coalesce(o.reason, '') as reason,
           coalesce(o.detail, '') as detail, coalesce(o.provider_id, m.provider_id) as provider_id, m.at, m.created_at,
           a.state as account_state, a.reason as account_reason,
           a.state_since as account_since, coalesce(v.lane_why, '') as lane_why, v.lane_until, now() as now,
           o.said, o.due_at, o.retry_at, o.sending_at, o.sent_at, o.delivered_at, o.read_at, o.ended_at
      from found f
      join messages m on m.id = f.id
      join conversations c on c.id = m.conversation_id
      join accounts a on a.id = m.account_id
      left join outbox o on o.message_id = m.id
      left join activity v on v.account_id = m.account_id
     where (%(only)s::uuid[] is null or m.account_id = any(%(only)s))
"""
_BY_TIME: Final[LiteralString] = " order by m.created_at desc, m.seq desc limit %(limit)s"
_BY_ORDER: Final[LiteralString] = " order by m.seq desc limit %(limit)s"  # a conversation's own, whatever clocks say

# Each account's newest first, from its own index, then the newest of all: no index over all accounts is needed.
_BY_ACCOUNT: Final[LiteralString] = """
    with found as (
        select m.id from accounts n
         cross join lateral (
            select m.id, m.created_at, m.seq from messages m
             where m.account_id = n.id
               and m.created_at >= coalesce(%(since)s::timestamptz, '-infinity')
               and m.created_at < coalesce(%(until)s::timestamptz, 'infinity')
               and (%(direction)s::text is null or m.direction = %(direction)s)
               and (m.created_at, m.seq) < (coalesce(%(at)s::timestamptz, 'infinity'), %(seq)s)
             order by m.created_at desc, m.seq desc
             limit %(limit)s) m
         where (%(only)s::uuid[] is null or n.id = any(%(only)s)) and (%(account)s::uuid is null or n.id = %(account)s)
         order by m.created_at desc, m.seq desc
         limit %(limit)s)
"""

_BY_STATE: Final[LiteralString] = """
    with found as (
        select o.message_id as id from outbox o
         where o.state = %(state)s
           and (%(only)s::uuid[] is null or o.account_id = any(%(only)s))
           and (%(account)s::uuid is null or o.account_id = %(account)s)
           and (%(conversation)s::uuid is null or o.conversation_id = %(conversation)s)
           and o.queued_at >= coalesce(%(since)s::timestamptz, '-infinity')
           and o.queued_at < coalesce(%(until)s::timestamptz, 'infinity')
           and (o.queued_at, o.seq) < (coalesce(%(at)s::timestamptz, 'infinity'), %(seq)s)
         order by o.queued_at desc, o.seq desc
         limit %(limit)s)
"""

_BY_CONVERSATION: Final[LiteralString] = """
    with found as (
        select m.id from messages m
         where m.conversation_id = %(conversation)s
           and (%(account)s::uuid is null or m.account_id = %(account)s)
           and m.created_at >= coalesce(%(since)s::timestamptz, '-infinity')
           and m.created_at < coalesce(%(until)s::timestamptz, 'infinity')
           and (%(direction)s::text is null or m.direction = %(direction)s)
           and m.seq < %(seq)s
         order by m.seq desc
         limit %(limit)s)
"""

_BY_WORDS: Final[LiteralString] = """
    with found as (
        select s.id from matching_messages(
            %(q)s::text,
            case when %(account)s::uuid is null then %(only)s::uuid[] else array[%(account)s::uuid] end,
            %(conversation)s::uuid, %(direction)s::text, %(state)s::text,
            %(since)s::timestamptz, %(until)s::timestamptz, %(at)s::timestamptz, %(seq)s, %(limit)s) s)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which messages are wanted; None: no matter."""

    account: UUID | None = None
    conversation: UUID | None = None
    direction: Direction | None = None
    state: Where | None = None
    since: datetime | None = None  # stored at or after
    until: datetime | None = None  # stored before
    q: str | None = None  # words, as in a search engine: quotes for phrases, - for without, or


BEYOND: Final = 2**63 - 1


class Messages:
    """What was said, in both directions."""

    def __init__(self, db: Db) -> None:
        self._db = db

    async def list(self, caller: Caller, wanted: Wanted, *, cursor: str | None, limit: int) -> Page[Message]:
        """Return messages, newest first; messages that arrive meanwhile do not move the pages. Raises BadCursor.

        Search reads Arabic as people type it: without vowel signs, one form of alef, Western digits.
        """
        at, seq = decode_cursor(cursor, tuple[datetime, int]) if cursor else (None, BEYOND)
        if _nothing(wanted):
            return Page[Message](items=[])
        async with self._db.tx(caller.reach) as tx:
            rows = await _listed(tx, wanted, only=limited(caller), at=at, seq=seq, limit=limit + 1)
            rows = await effects.shown(tx, rows)
        return page(rows, limit=limit, place=lambda one: [one.created_at, one.seq])

    async def of(self, caller: Caller, conversation: UUID, *, cursor: str | None, limit: int) -> Page[Message]:
        """Return one conversation's messages, newest first. Raises NotFound, BadCursor."""
        async with self._db.tx(caller.reach) as tx:
            account = await tx.value("select account_id from conversations where id = %(id)s", id=conversation)
        if account is None or not caller.sees(account):
            raise NotFound(NOT_FOUND)
        return await self.list(caller, Wanted(conversation=conversation), cursor=cursor, limit=limit)

    async def get(self, caller: Caller, id: UUID) -> Message:
        """Return one message. Raises NotFound."""
        sql = "with found as (select %(id)s::uuid as id)"
        async with self._db.tx(caller.reach) as tx:
            found = await tx.all(Message, sql + _READ, id=id, only=limited(caller))
            found = await effects.shown(tx, found)
        if not found:
            raise NotFound("There is no such message")
        return found[0]


def _nothing(wanted: Wanted) -> bool:
    """Tell whether the filters exclude each other: only outgoing messages climb the ladder."""
    if wanted.state is None or wanted.direction is None:
        return False
    return (wanted.state == RECEIVED) is not (wanted.direction is Direction.IN)


async def _listed(tx: Tx, wanted: Wanted, **args: Any) -> list[Message]:
    state, direction = wanted.state, wanted.direction
    if state == RECEIVED:
        state, direction = None, Direction.IN
    return await tx.all(
        Message,
        _statement(wanted, state),
        account=wanted.account,
        conversation=wanted.conversation,
        direction=direction,
        state=state,
        since=wanted.since,
        until=wanted.until,
        q=None if wanted.q is None else clean(wanted.q),
        **args,
    )


def _statement(wanted: Wanted, state: Where | None) -> LiteralString:
    if wanted.q is not None:
        return _BY_WORDS + _READ + _BY_TIME
    if state is not None:
        return _BY_STATE + _READ + _BY_TIME
    if wanted.conversation is not None:
        return _BY_CONVERSATION + _READ + _BY_ORDER
    return _BY_ACCOUNT + _READ + _BY_TIME

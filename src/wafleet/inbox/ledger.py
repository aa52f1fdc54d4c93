"""The daily ledger: proof that what came in was stored and handled, and that what was queued went somewhere."""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Final, LiteralString
from uuid import UUID

from pydantic import BaseModel, Field, computed_field

from wafleet.domain.errors import Invalid
from wafleet.engine.db import Db
from wafleet.inbox.conversations import limited
from wafleet.tenants import Caller

LONGEST_DAYS: Final = 92

_LINES: Final[LiteralString] = """
    with span as (select %(first)s::date::timestamp at time zone 'UTC' as starts,
                         (%(last)s::date + 1)::timestamp at time zone 'UTC' as ends)
    select a.id as account, a.phone, a.name, x.day,
           coalesce(sum(x.n) filter (where what = 'received'), 0)::bigint as received,
           coalesce(sum(x.n) filter (where what = 'repeated'), 0)::bigint as repeated,
           coalesce(sum(x.n) filter (where what = 'row in'), 0)::bigint as stored,
           coalesce(sum(x.n) filter (where what = 'handled'), 0)::bigint as handled,
           coalesce(sum(x.n) filter (where what = 'queued'), 0)::bigint as queued,
           coalesce(sum(x.n) filter (where what in ('row sent', 'row delivered', 'row read')), 0)::bigint as sent,
           coalesce(sum(x.n) filter (where what = 'row failed'), 0)::bigint as failed,
           coalesce(sum(x.n) filter (where what = 'row cancelled'), 0)::bigint as cancelled,
           coalesce(sum(x.n) filter (where what = 'row unknown'), 0)::bigint as unknown,
           coalesce(sum(x.n) filter (where what in ('row queued', 'row sending')), 0)::bigint as waiting
      from accounts a cross join span
     cross join lateral (
        select (t.bucket at time zone 'UTC')::date as day, t.counter as what, sum(t.n) as n
          from tallies t
         where t.account_id = a.id and t.bucket >= span.starts and t.bucket < span.ends
           and t.counter in ('received', 'repeated', 'handled', 'queued')
         group by 1, 2
        union all
        select (m.created_at at time zone 'UTC')::date, 'row in', count(*)
          from messages m
         where m.account_id = a.id and m.created_at >= span.starts and m.created_at < span.ends and m.direction = 'in'
         group by 1
        union all
        select (o.queued_at at time zone 'UTC')::date, 'row ' || o.state, count(*)
          from outbox o
         where o.account_id = a.id and o.queued_at >= span.starts and o.queued_at < span.ends
         group by 1, 2) x
     where (%(only)s::uuid[] is null or a.id = any(%(only)s)) and (%(account)s::uuid is null or a.id = %(account)s)
     group by a.id, a.phone, a.name, x.day
     order by x.day, lower(a.name), a.id
"""


class Sums(BaseModel, frozen=True):
    """What was counted on the way, and what is stored."""

    received: int = Field(0, description="counted as each new message of a customer was committed")
    repeated: int = Field(0, description="deliveries of a message that was stored before")
    stored: int = Field(0, description="messages of customers in the database")
    handled: int = Field(0, description="counted as each was handled: commands answered")
    queued: int = Field(0, description="counted as each outgoing message was committed")
    sent: int = Field(0, description="taken by the network: sent, delivered or read")
    failed: int = 0
    cancelled: int = 0
    unknown: int = Field(0, description="nobody can say whether it went out")
    waiting: int = Field(0, description="queued, or on the wire now")

    @computed_field(description="stored, and not handled yet")
    @property
    def unhandled(self) -> int:
        return max(0, self.stored - self.handled)

    @computed_field(description="received = stored, handled <= stored, and all that was queued is accounted for")
    @property
    def balanced(self) -> bool:
        return not self.complaints()

    def complaints(self) -> list[str]:
        """Say in words what does not add up; empty where all does."""
        gone = self.sent + self.failed + self.cancelled + self.unknown + self.waiting
        found: list[str] = []
        if self.received != self.stored:
            found.append(f"{self.received} messages were received, but {self.stored} are stored")
        if self.handled > self.stored:
            found.append(f"{self.handled} messages were handled, but only {self.stored} are stored")
        if self.queued != gone:
            found.append(f"{self.queued} messages were queued, but {gone} are accounted for")
        return found


class Line(Sums, frozen=True):
    """One account on one day (UTC)."""

    account: UUID
    phone: str
    name: str
    day: date


class Ledger(BaseModel, frozen=True):
    """Every account's days, their totals, and whether all of it adds up."""

    first: date
    last: date
    balanced: bool = Field(description="every line is")
    sentence: str = Field(description="what is open or wrong, in words")
    totals: Sums
    lines: list[Line]


class Ledgers:
    """Draws the ledger up.

    `received`, `repeated`, `handled` and `queued` are tallies, written by other statements than the rows they are
    compared with; so where they agree, that is evidence and not arithmetic. All of it is read in one statement, hence
    in one snapshot. A line belongs to the day (UTC, by the database's clock) on which its messages were stored or
    queued: one queued yesterday and sent today counts for yesterday in both columns.
    """

    def __init__(self, db: Db) -> None:
        self._db = db

    async def draw(
        self, caller: Caller, *, first: date | None = None, last: date | None = None, account: UUID | None = None
    ) -> Ledger:
        """Return the ledger of these days, both included; None: today. Days without traffic have no line.

        Raises Invalid.
        """
        async with self._db.tx(caller.reach) as tx:
            today: date = await tx.value("select (now() at time zone 'UTC')::date")
            first, last = first or today, last or today
            _require_period(first, last)
            lines = await tx.all(Line, _LINES, first=first, last=last, account=account, only=limited(caller))
        totals = _total(lines)
        balanced = all(line.balanced for line in lines)
        sentence = explained(lines, totals)
        return Ledger(first=first, last=last, balanced=balanced, sentence=sentence, totals=totals, lines=lines)


def _require_period(first: date, last: date) -> None:
    if last < first:
        raise Invalid("to", "The last day comes before the first: exchange them")
    if last - first >= timedelta(days=LONGEST_DAYS):
        raise Invalid("to", f"Those are too many days: ask for at most {LONGEST_DAYS} at once")


def explained(lines: Sequence[Line], totals: Sums) -> str:
    """Say what is wrong with the ledger, else what is still open, else that all is well."""
    wrong = [f"{line.name} on {line.day}: {'; '.join(line.complaints())}" for line in lines if not line.balanced]
    if wrong:
        more = f" (and {len(wrong) - 3} more)" if len(wrong) > 3 else ""
        return f"Does not add up. {'. '.join(wrong[:3])}{more}."
    numbers = (
        (totals.unhandled, "not handled yet"),
        (totals.waiting, "waiting to be sent"),
        (totals.unknown, "of unknown outcome: look at them"),
    )
    still = [f"{n} {words}" for n, words in numbers if n]
    return f"Adds up. Still open: {', '.join(still)}." if still else "Adds up, and nothing is open."


def _total(lines: Sequence[Line]) -> Sums:
    return Sums(**{name: sum(getattr(line, name) for line in lines) for name in Sums.model_fields})

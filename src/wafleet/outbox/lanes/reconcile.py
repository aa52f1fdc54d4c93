"""After a crash or a lost answer: ask the network what became of each message before anything is sent again."""

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

from wafleet.accounts import Live
from wafleet.domain.ids import AccountId, MessageId
from wafleet.domain.inbound import Receipt
from wafleet.domain.message import Sending
from wafleet.engine.batch import Batch
from wafleet.engine.clock import Clock
from wafleet.engine.db import Db
from wafleet.outbox.contents import fitted
from wafleet.outbox.lanes import store
from wafleet.outbox.lanes.settling import Settling
from wafleet.outbox.model import Outcome, Stranded
from wafleet.transports.base import Doubt, Found

ASKED_AT_ONCE: Final = 100


class Reconcile:
    """Settles what earlier sessions of an account left under way, by the network's word.

    The session is new, so nothing of an earlier one can still go out (`Transport.open`): what the network does not
    have now, it never will, and may be sent again. What it cannot tell is unknown, and stays so: also what another
    network has, where the account moved meanwhile.
    """

    def __init__(self, *, db: Db, clock: Clock, settling: Settling) -> None:
        self._db, self._clock, self._settling = db, clock, settling
        self.batch: Batch[tuple[AccountId, int], list[Stranded]] = Batch(
            "adopting", self._adopt, most=500, patient=True
        )

    async def session(self, live: Live) -> None:
        """Settle everything an earlier session left. Raises SendError when the network cannot be asked."""
        stranded = await self.batch.put((live.account, live.lease.epoch))
        found = await self._ask(live, [one for one in stranded if one.transport in {None, live.transport}])
        answers = [self._settling.batch.put(one) for one in outcomes(stranded, found)]
        news = receipts(stranded, found, now=self._clock.now())
        answers += [self._settling.batch.put((live.account, receipt)) for receipt in news]
        if answers:
            await asyncio.wait(answers)

    async def _ask(self, live: Live, stranded: Sequence[Stranded]) -> dict[MessageId, Found | None]:
        found: dict[MessageId, Found | None] = {}
        if live.capabilities.finds_messages:
            for i in range(0, len(stranded), ASKED_AT_ONCE):
                found |= await live.session.find(await self._doubts(live, stranded[i : i + ASKED_AT_ONCE]))
        return found

    async def _doubts(self, live: Live, stranded: Sequence[Stranded]) -> list[Doubt]:
        if not live.capabilities.finds_by_content:
            return [Doubt(one.id, provider_id=one.provider_id or "") for one in stranded]
        async with self._db.fleet_tx() as tx:
            doubts = await store.doubts(tx, stranded=stranded)
        return [_as_it_went(one, live.capabilities.contents) for one in doubts]

    async def _adopt(self, asked: Sequence[tuple[AccountId, int]]) -> list[list[Stranded]]:
        async with self._db.fleet_tx() as tx:
            rows = await store.adopt(
                tx, accounts=[account for account, _ in asked], epochs=[epoch for _, epoch in asked]
            )
        return [[row for row in rows if row.account == account] for account, _ in asked]


def _as_it_went(doubt: Doubt, contents: Collection[str]) -> Doubt:
    """A question went out in words where there are no buttons, and is found by those."""
    return doubt if doubt.content is None else replace(doubt, content=fitted(doubt.content, contents))


def outcomes(stranded: Iterable[Stranded], found: Mapping[MessageId, Found | None]) -> list[Outcome]:
    """Name what follows for messages that the network does not have, or cannot tell of."""
    return [
        _outcome(one, one.id in found) for one in stranded if one.state is Sending.SENDING and not found.get(one.id)
    ]


def receipts(stranded: Iterable[Stranded], found: Mapping[MessageId, Found | None], *, now: datetime) -> list[Receipt]:
    """Say what the network's answers teach, as receipts.

    A message that it took from a mute session and does not have has failed: its ladder does not go back.
    """
    told = [_news(message, what, now) for message, what in found.items() if what is not None]
    lost = [one.id for one in stranded if one.state is Sending.SENT and found.get(one.id, one) is None]
    return told + [Receipt(message=one, state=Sending.FAILED, at=now, reason="never_crossed") for one in lost]


def _news(message: MessageId, what: Found, now: datetime) -> Receipt:
    reason = what.reason or "refused" if what.state is Sending.FAILED else ""
    return Receipt(
        message=message, provider_id=what.provider_id, state=what.state, at=now, reason=reason, detail=what.detail
    )


def _outcome(one: Stranded, told: bool) -> Outcome:
    to, reason = (Sending.QUEUED, "") if told else (Sending.UNKNOWN, "no_answer")
    detail = "" if told else "the connection ended before the answer came, and the network cannot tell"
    return Outcome(
        message=one.id,
        account=one.account,
        epoch=one.epoch,
        claims=one.claims,
        to=to,
        reason=reason,
        detail=detail,
        counted=not told,
    )

"""After a crash or a lost answer: ask the network what became of each message before anything is sent again."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final

from wafleet.accounts import Live
from wafleet.domain.ids import AccountId, MessageId
from wafleet.domain.inbound import Receipt
from wafleet.domain.message import Sending
from wafleet.engine.batch import Batch
from wafleet.engine.clock import Clock
from wafleet.engine.db import Db
from wafleet.outbox.lanes import store
from wafleet.outbox.lanes.settling import Settling
from wafleet.outbox.model import Outcome, Stranded
from wafleet.transports.base import Found

ASKED_AT_ONCE: Final = 100


class Reconcile:
    """Settles what earlier sessions of an account left under way, by the network's word.

    The session is new, so nothing of an earlier one can still go out (`Transport.open`): what the network does not
    have now, it never will, and may be sent again. What it cannot tell is unknown, and stays so.
    """

    def __init__(self, *, db: Db, clock: Clock, settling: Settling) -> None:
        self._db, self._clock, self._settling = db, clock, settling
        self.batch: Batch[tuple[AccountId, int], list[Stranded]] = Batch(
            "adopting", self._adopt, most=500, patient=True
        )

    async def session(self, live: Live) -> None:
        """Settle everything an earlier session left. Raises SendError when the network cannot be asked."""
        stranded = await self.batch.put((live.account, live.lease.epoch))
        found = await self._ask(live, stranded)
        answers = [self._settling.batch.put(one) for one in outcomes(stranded, found)]
        for message, what in found.items():
            if what is not None:
                receipt = Receipt(message=message, provider_id=what.provider_id, state=what.state, at=self._clock.now())
                answers.append(self._settling.batch.put((live.account, receipt)))
        if answers:
            await asyncio.wait(answers)

    async def _ask(self, live: Live, stranded: Sequence[Stranded]) -> dict[MessageId, Found | None]:
        found: dict[MessageId, Found | None] = {}
        if live.capabilities.finds_messages:
            ids = [one.id for one in stranded]
            for i in range(0, len(ids), ASKED_AT_ONCE):
                found |= await live.session.find(ids[i : i + ASKED_AT_ONCE])
        return found

    async def _adopt(self, asked: Sequence[tuple[AccountId, int]]) -> list[list[Stranded]]:
        async with self._db.fleet_tx() as tx:
            rows = await store.adopt(
                tx, accounts=[account for account, _ in asked], epochs=[epoch for _, epoch in asked]
            )
        return [[row for row in rows if row.account == account] for account, _ in asked]


def outcomes(stranded: Iterable[Stranded], found: Mapping[MessageId, Found | None]) -> list[Outcome]:
    """Name what follows for messages that the network does not have, or cannot tell of."""
    return [
        _outcome(one, one.id in found) for one in stranded if one.state is Sending.SENDING and not found.get(one.id)
    ]


def news(stranded: Iterable[Stranded], found: Mapping[MessageId, Found | None], *, now: datetime) -> list[Receipt]:
    """Say what the network's answers teach, as receipts.

    A message that it took from a mute session and does not have has failed: its ladder does not go back.
    """
    receipts: list[Receipt] = []
    for one in stranded:
        what = found.get(one.id)
        if what is not None:
            receipts.append(Receipt(message=one.id, provider_id=what.provider_id, state=what.state, at=now))
        elif one.state is Sending.SENT and one.id in found:
            receipts.append(Receipt(message=one.id, state=Sending.FAILED, at=now, reason="never_crossed"))
    return receipts


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

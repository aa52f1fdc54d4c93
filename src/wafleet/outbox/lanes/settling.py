"""Writes how sends ended and what receipts say: one writer per node, many messages per statement."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Final

import structlog

from wafleet.domain.ids import AccountId, MessageId
from wafleet.domain.inbound import Receipt
from wafleet.domain.message import Sending
from wafleet.engine.batch import Batch
from wafleet.engine.db import Db, Tx
from wafleet.outbox.lanes import receipts_store, store
from wafleet.outbox.model import Learnt, Outcome

log = structlog.get_logger(__name__)
RANK: Final = {Sending.SENT: 1, Sending.DELIVERED: 2, Sending.READ: 3, Sending.FAILED: 4}

Heard = tuple[AccountId, Receipt]


class Settling:
    """Settles claims and applies receipts, in the order they came. While the database is away they wait."""

    def __init__(self, db: Db, *, most: int, told: Callable[[], None]) -> None:
        self._db, self._most, self._told = db, most, told
        self.batch: Batch[Outcome | Heard, bool] = Batch("settling", self._write, most=most, patient=True)

    async def strays(self) -> None:
        """Apply receipts that were kept just while their message was named: the slow safety net of `_write`."""
        async with self._db.fleet_tx() as tx:
            named = await receipts_store.named_meanwhile(tx, most=self._most)
            heard = await self._taken(tx, named)
            if heard:
                await self._learn(tx, heard)
        if heard:
            self._told()

    async def _write(self, items: Sequence[Outcome | Heard]) -> list[bool]:
        outcomes = [one for one in items if isinstance(one, Outcome)]
        heard = [one for one in items if not isinstance(one, Outcome)]
        async with self._db.fleet_tx() as tx:
            landed = iter(await store.settle(tx, outcomes) if outcomes else [])
            heard += await self._strays_of(tx, outcomes)
            if heard:
                await self._learn(tx, heard)
        self._told()
        return [next(landed) if isinstance(one, Outcome) else True for one in items]

    async def _strays_of(self, tx: Tx, outcomes: Iterable[Outcome]) -> list[Heard]:
        return await self._taken(
            tx, [(one.account, one.provider_id) for one in outcomes if one.provider_id and one.to is Sending.SENT]
        )

    async def _taken(self, tx: Tx, named: Sequence[tuple[AccountId, str]]) -> list[Heard]:
        rows = await receipts_store.take_strays(tx, named) if named else []
        return [
            (account, Receipt(provider_id=provider, state=Sending(state), at=at, reason=reason, detail=detail))
            for account, provider, state, at, reason, detail in rows
        ]

    async def _learn(self, tx: Tx, heard: Sequence[Heard]) -> None:
        unnamed = [(account, one.provider_id) for account, one in heard if one.message is None and one.provider_id]
        named = await receipts_store.by_provider(tx, unnamed) if unnamed else {}
        news: dict[MessageId, Learnt] = {}
        strays: list[Heard] = []
        for account, one in heard:
            message = one.message or named.get((account, one.provider_id or ""))
            if message is None:
                strays.append((account, one))
            else:
                news[message] = furthest(news.get(message), learnt(message, account, one))
        if news:
            await receipts_store.learn(tx, list(news.values()))
        if strays:
            await receipts_store.keep_strays(tx, strays)


def learnt(message: MessageId, account: AccountId, receipt: Receipt) -> Learnt:
    """Say what one receipt teaches of one message."""
    return Learnt(
        message=message,
        account=account,
        state=receipt.state,
        at=receipt.at,
        provider_id=receipt.provider_id,
        reason=receipt.reason,
        detail=receipt.detail,
        raw=receipt.raw,
    )


def furthest(before: Learnt | None, now: Learnt) -> Learnt:
    """Keep the receipt that says most, and what is raw of all; a failure loses against proof of arrival."""
    if before is None:
        return now
    ranks = [0 if one.state is Sending.FAILED else RANK[one.state] for one in (before, now)]
    most = now if ranks[1] > ranks[0] else before
    return most if before.raw is None and now.raw is None else replace(most, raw=(before.raw or {}) | (now.raw or {}))

"""The laws of the outbox under any mix of sends, lost answers, crashes and late receipts, on a real database."""

import asyncio
from collections import defaultdict
from collections.abc import Coroutine
from datetime import UTC, datetime
from typing import Any, TypeVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from tests.outbox.lines import Line, new_line, new_tenant

from wafleet.domain.ids import MessageId
from wafleet.domain.inbound import Receipt
from wafleet.domain.message import Priority, Sending
from wafleet.engine.db import Db
from wafleet.outbox.lanes import receipts_store, store
from wafleet.outbox.lanes.reconcile import outcomes
from wafleet.outbox.lanes.settling import learnt
from wafleet.outbox.model import Claim
from wafleet.transports.base import Found

T = TypeVar("T")
NOW = datetime.now(UTC)
CUSTOMERS = ["+447700900001", "+447700900002"]


class LaneLaws(RuleBasedStateMachine):
    """Two nodes take turns on one account; the network remembers everything that crossed it."""

    runner: asyncio.Runner
    dsn: str

    def __init__(self) -> None:
        super().__init__()
        self.crossed: list[MessageId] = []
        self.hidden: set[MessageId] = set()
        self.flying: list[Claim] = []  # claimed, and not settled by whoever claimed it
        self.queued: dict[MessageId, tuple[str, Priority]] = {}
        self.nodes = 1

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    @initialize()
    def open(self) -> None:
        self.opened = Db.open(self.dsn, connections=2)
        self.db = self.do(self.opened.__aenter__())
        self.line = self.do(self._line())

    async def _line(self) -> Line:
        async with self.db.fleet_tx() as tx:
            n = await tx.value("select count(*) from accounts")
        return await new_line(self.db, await new_tenant(self.db, f"t{n}"), phone=f"+9715000{n:05d}")

    def teardown(self) -> None:
        try:
            if hasattr(self, "line"):
                self.crash()
                self.everything_goes_out_in_the_end()
        finally:
            if hasattr(self, "opened"):
                self.do(self.opened.__aexit__(None, None, None))

    def everything_goes_out_in_the_end(self) -> None:
        while claims := self.do(self.line.claim()):
            for claim in claims:
                self.crossed.append(claim.id)
                assert self.do(self.line.settle(claim, Sending.SENT, provider_id=str(claim.id)))
        self.nothing_crosses_twice()
        self.conversations_cross_in_order()
        assert not set(self.do(self._states()).values()) & {"queued", "sending"}

    @rule(to=st.sampled_from(CUSTOMERS), priority=st.sampled_from(Priority), n=st.integers(1, 3))
    def queue(self, to: str, priority: Priority, n: int) -> None:
        for id in self.do(self.line.put(*["hello"] * n, to=to, priority=priority)):
            self.queued[id] = (to, priority)

    @rule(room=st.integers(1, 4))
    def claim(self, room: int) -> None:
        self.flying += self.do(self.line.claim(room))

    @precondition(lambda self: self.flying)
    @rule(
        data=st.data(),
        end=st.sampled_from(["answered", "answer lost", "never left", "refused", "crossed and hidden"]),
    )
    def send(self, data: st.DataObject, end: str) -> None:
        claim = self.flying[data.draw(st.integers(0, len(self.flying) - 1))]
        self.flying.remove(claim)
        stale = claim.epoch != self.line.lease.epoch  # its session was replaced: the network refuses its frames
        if not stale and end in {"answered", "answer lost", "crossed and hidden"}:
            self.crossed.append(claim.id)
        if end == "crossed and hidden" and not stale:
            self.hidden.add(claim.id)
        if end in {"answer lost", "crossed and hidden"}:
            return
        to = {"answered": Sending.SENT, "never left": Sending.QUEUED, "refused": Sending.FAILED}[end]
        if stale and to is Sending.SENT:
            to = Sending.QUEUED
        landed = self.do(self.line.settle(claim, to, provider_id=str(claim.id), counted=False))
        assert not (stale and landed)

    @rule()
    def crash(self) -> None:
        """The node dies; another takes the account, its session replaces the old one, and it reconciles."""
        self.nodes += 1
        lease = self.do(self.line.take(f"n{self.nodes % 2}"))
        self.do(self._reconcile(lease.epoch))

    async def _reconcile(self, epoch: int) -> None:
        async with self.db.fleet_tx() as tx:
            stranded = await store.adopt(tx, accounts=[self.line.account], epochs=[epoch])
            found: dict[MessageId, Found | None] = {
                one.id: Found(str(one.id)) if one.id in self.crossed else None
                for one in stranded
                if one.id not in self.hidden
            }
            await store.settle(tx, outcomes(stranded, found))
            news = [
                learnt(
                    id, self.line.account, Receipt(message=id, provider_id=what.provider_id, state=what.state, at=NOW)
                )
                for id, what in found.items()
                if what is not None
            ]
            await receipts_store.learn(tx, news)

    @precondition(lambda self: self.crossed)
    @rule(data=st.data(), state=st.sampled_from([Sending.DELIVERED, Sending.READ]))
    def receipt(self, data: st.DataObject, state: Sending) -> None:
        id = self.crossed[data.draw(st.integers(0, len(self.crossed) - 1))]
        receipt = Receipt(message=id, provider_id=str(id), state=state, at=NOW)
        self.do(self._learn(id, receipt))

    async def _learn(self, id: MessageId, receipt: Receipt) -> None:
        async with self.db.fleet_tx() as tx:
            await receipts_store.learn(tx, [learnt(id, self.line.account, receipt)])

    @invariant()
    def nothing_crosses_twice(self) -> None:
        assert len(self.crossed) == len(set(self.crossed))

    @invariant()
    def conversations_cross_in_order(self) -> None:
        lines: dict[tuple[str, Priority], list[int]] = defaultdict(list)
        order = {id: n for n, id in enumerate(self.queued)}
        for id in self.crossed:
            lines[self.queued[id]].append(order[id])
        assert all(line == sorted(line) for line in lines.values())

    @invariant()
    def only_what_was_hidden_is_unknown_and_nothing_is_lost(self) -> None:
        if not hasattr(self, "line"):
            return
        states = self.do(self._states())
        assert set(states) == set(self.queued)
        assert {id for id, state in states.items() if state == "unknown"} <= self.hidden
        for id in self.crossed:
            assert states[id] in {"sending", "sent", "delivered", "read", "unknown"}

    async def _states(self) -> dict[MessageId, str]:
        async with self.db.fleet_tx() as tx:
            rows = await tx.tuples(
                "select message_id, state from outbox where account_id = %(id)s", id=self.line.account
            )
        return dict(rows)

    @invariant()
    def the_ledger_balances(self) -> None:
        if not hasattr(self, "line"):
            return
        assert self.do(self._queued_tally()) == len(self.queued)

    async def _queued_tally(self) -> int:
        async with self.db.fleet_tx() as tx:
            return await tx.value(
                "select coalesce(sum(n), 0)::int from tallies where account_id = %(id)s and counter = 'queued'",
                id=self.line.account,
            )


def test_the_laws_of_the_outbox_hold_under_any_history(dsn: str) -> None:
    with asyncio.Runner() as runner:
        LaneLaws.runner, LaneLaws.dsn = runner, dsn
        run_state_machine_as_test(
            LaneLaws,
            settings=settings(
                max_examples=30,
                stateful_step_count=25,
                deadline=None,
                suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
            ),
        )

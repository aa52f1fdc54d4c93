"""The ledger's law: whatever happens, in whatever order, what was counted on the way equals what is stored."""

import asyncio
from contextlib import AsyncExitStack
from datetime import UTC, date, datetime, timedelta
from typing import Final

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from tests.inbox.shops import Shop, open_shop, said

from wafleet.config import OutboxSettings
from wafleet.domain.errors import Invalid
from wafleet.domain.ids import AccountId, new_id
from wafleet.domain.message import MOVES, Sending, Text
from wafleet.engine.clock import SystemClock
from wafleet.engine.db import Db
from wafleet.engine.wakes import Wakes
from wafleet.flows import Flows
from wafleet.inbox import Inbox, Ledger, Ledgers
from wafleet.outbox import Draft, Outbox
from wafleet.tenants import Caller

ADMIN: Final = Caller.local("test")


async def drawn(db: Db, account: AccountId | None = None) -> Ledger:
    today = datetime.now(UTC).date()
    return await Ledgers(db).draw(ADMIN, first=today - timedelta(days=1), last=today, account=account)


class Books(RuleBasedStateMachine):
    """Real accept, enqueue, flows and cancel; the lanes' part is played by moves of the same table."""

    dsn = ""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.received = self.repeated = self.queued = self.nr = 0
        self.runner.run(self._open())

    async def _open(self) -> None:
        self.stack = AsyncExitStack()
        self.db = await self.stack.enter_async_context(Db.open(self.dsn, connections=4))
        phone = f"+9665{new_id().int % 10**8:08}"  # every example has a fresh number
        self.shop = await open_shop(self.db, phone, phone)
        self.inbox = Inbox(self.db, woken=lambda: None)
        self.running = asyncio.create_task(self.inbox.run())
        self.outbox = Outbox(
            db=self.db, clock=SystemClock(), wakes=Wakes(self.dsn), transports={}, settings=OutboxSettings()
        )
        self.flows = Flows(self.db, outbox=self.outbox, node="n1")

    def teardown(self) -> None:
        async def close() -> None:
            self.running.cancel()
            await asyncio.gather(self.running, return_exceptions=True)
            await self.stack.aclose()

        self.runner.run(close())
        self.runner.close()

    @rule(fresh=st.integers(0, 5), again=st.integers(0, 5))
    def accept(self, fresh: int, again: int) -> None:
        ids = [f"m{self.nr + i}" for i in range(fresh)] + [f"m{i % self.nr}" for i in range(again) if self.nr]

        async def go() -> list[bool]:
            shop = self.shop
            return await asyncio.gather(
                *(self.inbox.accept(shop.tenant, shop.account, said("!", id=one)) for one in ids)
            )

        answers = self.runner.run(go())
        assert sum(answers) == fresh
        self.nr += fresh
        self.received += fresh
        self.repeated += len(ids) - fresh

    @rule(n=st.integers(1, 4), rolled_back=st.booleans())
    def enqueue(self, n: int, rolled_back: bool) -> None:
        async def go() -> None:
            drafts = [
                Draft(account=self.shop.account, tenant=self.shop.tenant, to="+447700900001", content=Text(text="x"))
                for _ in range(n)
            ]
            async with self.db.fleet_tx() as tx:
                await self.outbox.enqueue(tx, drafts)
                if rolled_back:
                    raise LookupError

        if rolled_back:
            with pytest.raises(LookupError):
                self.runner.run(go())
        else:
            self.runner.run(go())
            self.queued += n

    @rule(which=st.integers(0, 30), where=st.integers(0, 30))
    def move(self, which: int, where: int) -> None:
        async def go() -> None:
            async with self.db.fleet_tx() as tx:
                sql = "select message_id, state from outbox where account_id = %(id)s order by seq"
                rows = await tx.tuples(sql, id=self.shop.account)
                free = all(state != Sending.SENDING for _, state in rows)
                for id, state in rows[which : which + 1]:
                    after = [to for to in sorted(MOVES[Sending(state)]) if free or to is not Sending.SENDING]
                    if after:
                        sql = "update outbox set state = %(to)s where message_id = %(id)s"
                        await tx.run(sql, to=after[where % len(after)], id=id)

        self.runner.run(go())

    @rule()
    def handle(self) -> None:
        self.runner.run(self.flows.turn())
        line = self._ledger().totals
        assert (line.handled, line.unhandled) == (self.received, 0)

    @invariant()
    def balanced(self) -> None:
        ledger = self._ledger()
        totals = ledger.totals
        assert ledger.balanced, ledger.sentence
        assert (totals.received, totals.repeated, totals.queued) == (self.received, self.repeated, self.queued)
        assert totals.stored == self.received

    def _ledger(self) -> Ledger:
        return self.runner.run(drawn(self.db, account=self.shop.account))


def test_any_mix_of_traffic_keeps_the_ledger_balanced(dsn: str) -> None:
    class Here(Books):
        pass

    Here.dsn = dsn
    run_state_machine_as_test(
        Here,
        settings=settings(
            max_examples=12,
            stateful_step_count=15,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        ),
    )


async def test_a_lost_row_is_found_and_named(db: Db, shop: Shop, inbox: Inbox) -> None:
    for nr in range(3):
        await inbox.accept(shop.tenant, shop.account, said(f"{nr}"))
    async with db.fleet_tx() as tx:
        await tx.run("delete from messages where words = '1'")
    ledger = await drawn(db)
    assert not ledger.balanced
    day = datetime.now(UTC).date()
    assert ledger.sentence == f"Does not add up. Shop on {day}: 3 messages were received, but 2 are stored."


async def test_what_is_open_is_said_in_words(db: Db, shop: Shop, inbox: Inbox) -> None:
    await inbox.accept(shop.tenant, shop.account, said("hello"))
    assert (await drawn(db)).sentence == "Adds up. Still open: 1 not handled yet."


async def test_each_day_has_its_own_line_and_errors_of_two_days_do_not_cancel_out(
    db: Db, shop: Shop, inbox: Inbox
) -> None:
    await inbox.accept(shop.tenant, shop.account, said("today"))
    async with db.fleet_tx() as tx:  # the row moves to yesterday, its tally does not
        await tx.run("update messages set created_at = created_at - interval '1 day'")
    ledger = await drawn(db)
    assert [(line.received, line.stored) for line in ledger.lines] == [(0, 1), (1, 0)]
    assert ledger.totals.balanced
    assert not ledger.balanced


async def test_without_traffic_the_ledger_is_empty_and_adds_up(db: Db, shop: Shop) -> None:
    ledger = await drawn(db)
    assert (ledger.lines, ledger.balanced, ledger.sentence) == ([], True, "Adds up, and nothing is open.")


@pytest.mark.parametrize(("first", "last"), [("2026-01-02", "2026-01-01"), ("2025-01-01", "2026-01-01")])
async def test_impossible_periods_are_refused(db: Db, first: str, last: str) -> None:
    with pytest.raises(Invalid):
        await Ledgers(db).draw(ADMIN, first=date.fromisoformat(first), last=date.fromisoformat(last))

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.outbox.lines import Line

from wafleet.domain.ids import AccountId, MessageId, new_id
from wafleet.domain.inbound import Receipt
from wafleet.domain.message import Priority, Sending
from wafleet.engine.db import Db
from wafleet.outbox.lanes import receipts_store, store
from wafleet.outbox.lanes.settling import Settling, furthest, learnt
from wafleet.outbox.model import Outcome

NOW = datetime.now(UTC)


async def test_one_message_of_a_conversation_is_on_the_wire_at_a_time_and_in_order(line: Line) -> None:
    first, second = await line.put("a", "b")
    other = (await line.put("c", to="+447700900002"))[0]
    claims = await line.claim()
    assert [one.id for one in claims] == [first, other]
    assert await line.claim() == []
    assert await line.settle(claims[0], Sending.SENT, provider_id="p1")
    assert [one.id for one in await line.claim()] == [second]


async def test_replies_go_before_broadcasts(line: Line) -> None:
    (broadcast,) = await line.put("sale", priority=Priority.BROADCAST)
    (reply,) = await line.put("yes", to="+447700900002")
    assert [one.id for one in await line.claim(room=1)] == [reply]
    assert [one.id for one in await line.claim(room=1)] == [broadcast]


async def test_a_scheduled_message_does_not_hold_up_what_comes_after_it(line: Line) -> None:
    await line.put("tomorrow", due_at=datetime.now(UTC) + timedelta(days=1))
    (now,) = await line.put("now")
    assert [one.id for one in await line.claim()] == [now]


async def test_a_message_that_waits_for_another_try_holds_up_its_conversation(line: Line) -> None:
    await line.put("a", "b")
    (claim,) = await line.claim()
    assert await line.settle(claim, Sending.QUEUED, retry_in=timedelta(hours=1), reason="throttled")
    assert await line.claim() == []


async def test_a_lane_that_lost_its_lease_neither_claims_nor_settles(line: Line) -> None:
    first, second = await line.put("a", "b")
    old = line.lease
    (claim,) = await line.claim()
    new = await line.take("n2")
    line.node = "n1"
    assert await line.claim(lease=old) == []
    line.node = "n2"
    async with line.db.fleet_tx() as tx:
        (adopted,) = await store.adopt(tx, accounts=[line.account], epochs=[new.epoch])
    assert (adopted.id, adopted.state, adopted.transport) == (first, Sending.SENDING, "simulator")
    assert not await line.settle(claim, Sending.SENT, provider_id="p")  # the old node wakes with an answer
    assert await line.state(first) == "sending"
    assert await line.state(second) == "queued"


async def test_a_settled_claim_cannot_be_settled_by_an_older_try_of_the_same_lease(line: Line) -> None:
    await line.put("a")
    (first,) = await line.claim()
    assert await line.settle(first, Sending.QUEUED, counted=False)
    (second,) = await line.claim()
    assert second.attempts == 1
    assert not await line.settle(first, Sending.QUEUED)
    assert await line.settle(second, Sending.SENT, provider_id="p")


async def test_the_database_refuses_two_messages_of_one_conversation_on_the_wire(line: Line, db: Db) -> None:
    await line.put("a", "b")
    with pytest.raises(Exception, match="outbox_one_on_the_wire"):
        async with db.fleet_tx() as tx:
            await tx.run("update outbox set state = 'sending'")


async def test_the_database_refuses_a_move_that_is_not_in_the_table(line: Line, db: Db) -> None:
    await line.put("a")
    with pytest.raises(Exception, match="cannot move from queued to read"):
        async with db.fleet_tx() as tx:
            await tx.run("update outbox set state = 'read'")


async def test_recipients_that_cool_down_are_left_out(line: Line) -> None:
    await line.put("a")
    (other,) = await line.put("b", to="+447700900002")
    claims = await line.claim(cooling=[await line.talk()])
    assert [one.id for one in claims] == [other]


async def test_a_receipt_faster_than_the_answer_counts_as_the_answer(line: Line, db: Db) -> None:
    (message,) = await line.put("a")
    (claim,) = await line.claim()
    receipt = Receipt(message=message, provider_id="p", state=Sending.DELIVERED, at=NOW)
    async with db.fleet_tx() as tx:
        assert await receipts_store.learn(tx, [learnt(message, line.account, receipt)]) == 1
    assert not await line.settle(claim, Sending.SENT, provider_id="p")
    async with db.fleet_tx() as tx:
        counted = await tx.tuples("select counter, n from tallies order by counter")
        told = await tx.tuples("select kind from events order by seq")
    assert counted == [("delivered", 1), ("queued", 1), ("sent", 1)]
    assert [row[0] for row in told] == ["message.queued", "message.sent", "message.delivered"]


async def test_receipts_never_go_backwards(line: Line, db: Db) -> None:
    (message,) = await line.put("a")
    (claim,) = await line.claim()
    await line.settle(claim, Sending.SENT, provider_id="p")
    for state, expected in ((Sending.READ, 1), (Sending.DELIVERED, 0), (Sending.SENT, 0)):
        receipt = Receipt(message=message, state=state, at=NOW)
        async with db.fleet_tx() as tx:
            assert await receipts_store.learn(tx, [learnt(message, line.account, receipt)]) == expected
    assert await line.state(message) == "read"


async def test_what_else_the_network_says_is_kept_even_of_a_receipt_that_moves_nothing(line: Line, db: Db) -> None:
    (message,) = await line.put("a")
    (claim,) = await line.claim()
    await line.settle(claim, Sending.SENT, provider_id="p")
    said: list[tuple[Sending, dict[str, Any] | None]] = [
        (Sending.SENT, {"pricing": {"billable": True}}),
        (Sending.DELIVERED, None),
        (Sending.DELIVERED, {"hop": "\0"}),
        (Sending.READ, {"flood": "x" * 5000}),
    ]
    for state, raw in said:
        receipt = Receipt(message=message, state=state, at=NOW, raw=raw)
        async with db.fleet_tx() as tx:
            await receipts_store.learn(tx, [learnt(message, line.account, receipt)])
    async with db.fleet_tx() as tx:
        kept = await tx.tuples("select state, said from outbox")
        told = await tx.tuples("select kind from events order by seq")
    assert kept == [("read", {"pricing": {"billable": True}, "hop": "\ufffd"})]
    assert [row[0] for row in told] == [f"message.{state}" for state in ("queued", "sent", "delivered", "read")]


async def test_a_receipt_that_waits_for_the_answer_of_its_message_to_be_stored_is_not_lost(line: Line, db: Db) -> None:
    (message,) = await line.put("a")
    (claim,) = await line.claim()
    outcome = Outcome(
        message=claim.id,
        account=claim.account,
        epoch=claim.epoch,
        claims=claim.claims,
        to=Sending.SENT,
        provider_id="p",
    )

    async def heard() -> int:
        receipt = Receipt(message=message, state=Sending.DELIVERED, at=NOW, raw={"price": 1})
        async with db.fleet_tx() as tx:
            return await receipts_store.learn(tx, [learnt(message, line.account, receipt)])

    async with db.fleet_tx() as tx:
        assert await store.settle(tx, [outcome]) == [True]
        waiting = asyncio.create_task(heard())
        await _until_somebody_waits(db)
    assert await waiting == 1
    assert await line.state(message) == "delivered"


async def test_a_receipt_that_another_node_keeps_while_its_message_is_named_is_applied_soon(line: Line, db: Db) -> None:
    (message,) = await line.put("a")
    (claim,) = await line.claim()
    receipt = Receipt(provider_id="p", state=Sending.DELIVERED, at=NOW)
    async with db.fleet_tx() as tx:  # the other node: it sees no message of that name yet
        assert await receipts_store.by_provider(tx, [(line.account, "p")]) == {}
        assert await line.settle(claim, Sending.SENT, provider_id="p")
        await receipts_store.keep_strays(tx, [(line.account, receipt), (line.account, unknown("q"))])
    told: list[bool] = []
    settling = Settling(db, most=10, told=lambda: told.append(True))
    for _ in range(2):
        await settling.strays()
    assert (await line.state(message), told) == ("delivered", [True])
    async with db.fleet_tx() as tx:
        assert await tx.tuples("select provider_id from stray_receipts") == [("q",)]


def unknown(name: str) -> Receipt:
    return Receipt(provider_id=name, state=Sending.READ, at=NOW)


async def _until_somebody_waits(db: Db) -> None:
    sql = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
    async with asyncio.timeout(30):
        while True:
            async with db.fleet_tx() as tx:
                if await tx.value(sql):
                    return
            await asyncio.sleep(0.01)


def test_what_is_raw_in_several_receipts_of_a_batch_is_kept_of_all() -> None:
    one, account = MessageId(new_id()), AccountId(new_id())
    first = learnt(one, account, Receipt(message=one, state=Sending.SENT, at=NOW, raw={"a": 1}))
    then = learnt(one, account, Receipt(message=one, state=Sending.READ, at=NOW, raw={"b": 2}))
    assert (furthest(first, then).state, furthest(first, then).raw) == (Sending.READ, {"a": 1, "b": 2})


async def test_what_waits_for_a_deleted_account_is_cancelled(line: Line, db: Db) -> None:
    from wafleet.outbox import store as outbox

    (message,) = await line.put("a")
    async with db.fleet_tx() as tx:
        assert await outbox.cancel_of_deleted(tx) == 0
        await tx.run("update accounts set deleted_at = now()")
        assert await outbox.cancel_of_deleted(tx) == 1
    assert await line.state(message) == "cancelled"


async def test_a_message_that_waits_can_be_cancelled_and_one_on_the_wire_cannot(line: Line, db: Db) -> None:
    from wafleet.outbox import store as outbox

    (message,) = await line.put("a")
    (other,) = await line.put("b", to="+447700900002")
    async with db.fleet_tx() as tx:
        assert await outbox.cancel(tx, message=message) is Sending.CANCELLED
    (claim,) = await line.claim()
    assert claim.id == other
    async with db.fleet_tx() as tx:
        assert await outbox.cancel(tx, message=other) is Sending.SENDING

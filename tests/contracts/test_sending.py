"""Sending: the network's answer, and what is known when there is none."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from tests.contracts.examples import EXAMPLES, FILE
from tests.contracts.subject import PHONE, Holder, Subject, across, only
from tests.receipts import after_receipts

from wafleet.domain.message import Sending, media
from wafleet.outbox.contents import fits, fitted
from wafleet.transports.base import Doubt, MaybeSent, NotSent, SendError, Throttled

# Contents by which a network that does not know our ids would have to know a message again.
LOST = ("text", "location", "contact", "image", "audio", "document", "buttons", "choices", "template")


def _may_lose(subject: type[Subject], kind: str) -> bool:
    return fits(EXAMPLES[kind], subject.capabilities.contents) and kind not in subject.answers_first


FINDS = only(lambda subject: subject.capabilities.finds_messages)


async def test_each_message_crosses_once_and_has_the_networks_name(one: Holder) -> None:
    names = [await one.send(f"line #{i}") for i in range(5)]
    assert len(set(names)) == 5
    assert all(names)
    await one.subject.until(lambda: one.crossed() == 5)
    line = one.world.ledger(PHONE)[0]
    assert (line.sent_twice, line.out_of_order) == (0, 0)


async def test_as_many_sends_as_the_transport_allows_may_be_under_way_at_once(one: Holder) -> None:
    at_once = one.subject.transport.capabilities.window
    sends = (one.send(f"to {i}", to=f"+97155000{i:04}") for i in range(at_once))
    assert len(set(await asyncio.gather(*sends))) == at_once
    assert one.crossed() == at_once


async def test_receipts_name_our_message_and_only_tell_more(one: Holder) -> None:
    out = one.outgoing()
    name = await one.session.send(out)
    await one.subject.until(lambda: "read" in one.heard.states)
    assert {r.message == out.id or r.provider_id == name for r in one.heard.receipts} == {True}
    assert {r.at.tzinfo is not None for r in one.heard.receipts} == {True}
    assert after_receipts(Sending.SENT, (r.state for r in one.heard.receipts)) is Sending.READ


@pytest.mark.parametrize("fault", ["receipts_repeated", "receipts_shuffled", "receipts_late"])
async def test_receipts_in_any_order_and_number_end_at_the_same(one: Holder, fault: str) -> None:
    one.fault(fault, seconds=0.05)
    await one.send()
    await one.subject.until(lambda: {"delivered", "read"} <= set(one.heard.states))
    assert after_receipts(Sending.SENT, (r.state for r in one.heard.receipts)) is Sending.READ


async def test_who_is_not_on_whatsapp_is_refused_and_the_next_is_not(one: Holder) -> None:
    assert await one.refused(to="+999001234567") == one.subject.to_nobody
    await one.send()
    assert one.crossed() == 1


async def test_strangers_may_be_refused_and_those_who_wrote_are_not(one: Holder) -> None:
    one.fault("reach_out_lock")
    assert await one.refused() == one.subject.to_strangers
    one.say("I write first")
    await one.hears("I write first")
    await one.send("and I may answer")
    assert one.crossed() == 1


async def test_throttled_was_not_sent_and_says_how_long_to_wait(one: Holder) -> None:
    one.fault("throttled", seconds=7)
    with pytest.raises(Throttled) as refused:
        await one.send()
    assert refused.value.retry_after.total_seconds() > 0
    assert one.crossed() == 0


@across(_may_lose, kind=LOST)
async def test_an_answer_that_got_lost_is_a_maybe_that_find_or_a_receipt_settles(one: Holder, kind: str) -> None:
    content = fitted(one.example(kind), one.subject.capabilities.contents)
    one.fault("lost_answers")
    out = one.outgoing(content, file=FILE if media(content) else b"")
    with pytest.raises(MaybeSent):
        await one.session.send(out)
    found = await one.session.find([Doubt(out.id)])
    if one.subject.transport.capabilities.finds_messages and out.id in found:
        assert found[out.id] is not None
    if kind in one.subject.alike:
        assert out.id not in found
        assert not [r for r in one.heard.receipts if r.message]
    else:
        await one.subject.until(lambda: out.id in {r.message for r in one.heard.receipts} or found.get(out.id))
    assert one.crossed() == 1


async def test_what_nobody_can_tell_is_left_out_of_the_answer(one: Holder) -> None:
    one.fault("hidden")
    out = one.outgoing()
    with pytest.raises(MaybeSent):
        await one.session.send(out)
    found = await one.session.find([Doubt(out.id)])
    assert bool(found) == one.subject.lists_what_it_took


@FINDS
async def test_find_knows_what_went_out_and_what_never_did(one: Holder) -> None:
    out, never = one.outgoing(), one.outgoing("this is never sent")
    name = await one.session.send(out)
    unsent = Doubt(never.id, never.to, never.content, datetime.now(UTC) - timedelta(minutes=1))
    found = await one.session.find([Doubt(out.id), unsent])
    assert found.get(never.id) is None
    assert never.id in found or not one.subject.knows_what_never_left
    known = found[out.id]
    assert known
    assert known.provider_id == name
    assert await one.session.find([]) == {}


@FINDS
async def test_find_still_knows_in_a_later_session(one: Holder) -> None:
    one.fault("lost_answers")
    out = one.outgoing()
    with pytest.raises(MaybeSent):
        await one.session.send(out)
    await one.open()
    assert (await one.session.find([Doubt(out.id)])).get(out.id, "cannot tell") is not None


async def test_a_send_that_nobody_waits_for_any_more_harms_nothing(one: Holder) -> None:
    one.fault("slow_answers")
    out = one.outgoing()
    sending = asyncio.create_task(one.session.send(out))
    await one.subject.until(lambda: one.crossed() == 1)
    sending.cancel()
    await asyncio.gather(sending, return_exceptions=True)
    one.world.trouble.end(PHONE, "slow_answers")
    await _as_a_lane_does(one, "the next")
    await one.subject.until(lambda: one.crossed() == 2)
    assert (await one.session.find([Doubt(out.id)])).get(out.id, "cannot tell") is not None


async def test_sends_under_way_when_the_session_ends_come_to_an_end(one: Holder) -> None:
    one.subject.hurry()
    one.fault("slow_answers")
    sending = asyncio.create_task(one.send())
    await one.subject.until(lambda: one.crossed() == 1)
    await one.session.close()
    with pytest.raises(SendError) as ended:
        await asyncio.wait_for(sending, one.subject.patience_s)
    assert isinstance(ended.value, MaybeSent)


async def _as_a_lane_does(one: Holder, text: str) -> None:
    """Send; what certainly never left is tried again. One wire may be taken up by the send nobody waits for."""
    for _ in range(10):
        try:
            await one.send(text)
        except NotSent:
            continue
        return

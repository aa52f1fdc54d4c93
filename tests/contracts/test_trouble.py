"""A provider's trouble, over the whole road: answers that tell nothing, and storms of refusals."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from tests.contracts.subject import Holder, Subject, across, only

from wafleet.transports.base import Doubt, MaybeSent, Throttled

READABLE = ("500", "nonsense", "empty", "half")  # what comes in place of an answer, where something does


def _at_a_provider(subject: type[Subject]) -> bool:
    return subject.feels("ill_answers")


@across(lambda subject, _: _at_a_provider(subject), ill=READABLE)
async def test_an_answer_that_tells_nothing_is_a_maybe_that_find_or_a_receipt_settles(one: Holder, ill: str) -> None:
    one.fault("ill_answers", detail=ill)
    out = one.outgoing()
    with pytest.raises(MaybeSent) as maybe:
        await one.session.send(out)
    assert maybe.value.reason in {"no_answer", "provider_away"}
    found = await one.session.find([Doubt(out.id)])
    await one.subject.until(lambda: out.id in {r.message for r in one.heard.receipts} or found.get(out.id))
    assert one.crossed() == 1


@only(_at_a_provider)
async def test_an_answer_that_never_ends_is_not_waited_for_to_its_end(one: Holder) -> None:
    transport: Any = one.subject.transport
    transport.impatient()
    await one.open()
    await one.send("so that only the next is slow")
    one.fault("ill_answers", detail="drip")
    out = one.outgoing()
    async with asyncio.timeout(one.subject.patience_s):
        with pytest.raises(MaybeSent) as maybe:
            await one.session.send(out)
    assert (maybe.value.reason, one.heard.ends) == ("no_answer", [])
    assert one.crossed() == 2


@only(_at_a_provider)
async def test_a_storm_of_refusals_is_waited_out_ever_longer_and_forgotten_once_it_is_over(one: Holder) -> None:
    one.fault("throttled", seconds=0)
    waits = [await _wait(one) for _ in range(4)]
    assert waits == sorted(waits)
    assert waits[0] < waits[-1]
    one.world.trouble.end(one.phone, "throttled")
    await one.send("calm again")
    one.fault("throttled", seconds=0)
    assert await _wait(one) == waits[0]
    assert one.crossed() == 1


@only(lambda subject: subject.says_how_long)
async def test_a_refusal_that_says_how_long_is_believed(one: Holder) -> None:
    one.fault("throttled", seconds=7)
    assert [await _wait(one) for _ in range(3)] == [timedelta(seconds=7)] * 3


async def _wait(one: Holder) -> timedelta:
    with pytest.raises(Throttled) as refused:
        await one.send()
    return refused.value.retry_after

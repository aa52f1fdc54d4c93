"""Opening, replacing and closing sessions."""

import asyncio

import pytest
from tests.contracts.subject import OTHER, Holder, Subject, only
from tests.transports.heard import number

from wafleet.domain.account import REASONS
from wafleet.transports.base import Doubt, NotSent, OpenError, SendError

NO_CREDENTIALS = {"logged_out", "credentials", "credentials_lost", "credentials_missing"}


async def test_an_account_with_credentials_opens_and_answers(one: Holder) -> None:
    await asyncio.wait_for(one.session.ping(), one.subject.patience_s)
    assert not one.heard.ends


@pytest.mark.parametrize("garbage", [b"", b"nonsense", bytes(5000)])
async def test_credentials_that_open_nothing_are_refused_with_a_reason(subject: Subject, garbage: bytes) -> None:
    account = number()
    await subject.credentials(account)
    with pytest.raises(OpenError) as refused:
        await Holder(subject, account, garbage).open()
    assert refused.value.reason in NO_CREDENTIALS
    assert refused.value.reason in REASONS


async def test_a_new_session_replaces_the_former_which_sends_nothing_any_more(one: Holder) -> None:
    await one.open()
    with pytest.raises(NotSent):
        await one.sessions[0].send(one.outgoing("from the grave"))
    await one.send("from the living")
    await one.subject.until(lambda: one.crossed() == 1)
    assert one.heards[0].reasons in (["replaced"], [])
    assert not one.heard.ends


@only(lambda subject: subject.feels("replaced"))
async def test_closed_is_told_once_and_then_no_more(one: Holder) -> None:
    one.fault("replaced")
    await one.subject.until(lambda: one.heard.ends)
    assert one.heard.reasons == ["replaced"]
    await one.session.close()
    await one.open()
    await one.send()
    assert one.heards[0].reasons == ["replaced"]


async def test_a_session_that_was_closed_does_nothing_more_and_tells_nothing_more(one: Holder) -> None:
    await one.session.close()
    await one.session.close()
    with pytest.raises(NotSent):
        await one.send()
    assert await _found(one) in ({}, None)
    with pytest.raises(ConnectionError):
        await one.session.ping()
    one.session.acknowledge(["nothing"])
    one.say("anybody?")
    await one.open()
    await one.hears("anybody?")
    assert not one.heards[0].ends
    assert not one.heards[0].texts
    assert one.crossed() == 0


async def _found(one: Holder) -> object:
    """What `find` says of a message that was never sent; None where it cannot be asked."""
    never = one.outgoing().id
    try:
        return {id: found for id, found in (await one.session.find([Doubt(never)])).items() if found is not None}
    except SendError:
        return None


async def test_an_account_opens_again_and_again(one: Holder) -> None:
    for turn in range(3):
        await one.send(f"turn {turn}")
        await one.session.close()
        await one.open()
    await one.session.ping()
    assert one.crossed() == 3
    assert [heard.reasons for heard in one.heards] == [[]] * 4


async def test_opening_that_is_cancelled_leaves_the_way_free(one: Holder) -> None:
    await one.session.close()
    opening = asyncio.create_task(one.open())
    await asyncio.sleep(0.01)
    opening.cancel()
    await asyncio.gather(opening, return_exceptions=True)
    await one.open()
    await one.send()
    assert one.crossed() == 1


async def test_a_network_that_is_away_is_a_reason_and_not_a_crash(one: Holder) -> None:
    await one.session.close()
    one.subject.away()
    with pytest.raises(OpenError) as refused:
        await one.open()
    assert refused.value.reason in {"network", "connect_timeout"}
    one.subject.back()
    await one.open()
    await one.send()


async def test_what_happens_to_one_account_does_not_touch_another(one: Holder) -> None:
    other = await one.subject.open(OTHER)
    one.fault(one.subject.ending)
    await one.ends()
    assert one.heard.reasons == [one.subject.end]
    await other.send("still here")
    other.say("and still heard")
    await other.hears("and still heard")
    assert not other.heard.ends
    await other.session.close()

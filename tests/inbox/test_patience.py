"""Waits that take too long end; all others end by themselves."""

import asyncio

import pytest

from wafleet.inbox.webhooks.time_limit import Patience


def never() -> "asyncio.Future[bool]":
    return asyncio.get_running_loop().create_future()


async def test_what_comes_in_time_is_returned() -> None:
    patience = Patience(60.0)
    assert await asyncio.gather(*(patience.wait(asyncio.sleep(0, nr)) for nr in range(50))) == list(range(50))


async def test_what_does_not_come_is_given_up_and_cancelled() -> None:
    patience, waiting = Patience(0.02, look_s=0.01), [never() for _ in range(3)]
    async with asyncio.timeout(30):
        ends = await asyncio.gather(*(patience.wait(one) for one in waiting), return_exceptions=True)
    assert [type(one) for one in ends] == [TimeoutError] * 3
    assert all(one.cancelled() for one in waiting)


async def test_a_task_that_lost_patience_goes_on_and_waits_again() -> None:
    patience = Patience(0.02, look_s=0.01)
    async with asyncio.timeout(30):
        for _ in range(2):
            with pytest.raises(TimeoutError):
                await patience.wait(never())
    assert await Patience(60.0).wait(asyncio.sleep(0, "well")) == "well"


async def test_whoever_is_cancelled_by_others_stays_cancelled() -> None:
    task = asyncio.create_task(Patience(60.0).wait(never()))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_an_error_is_passed_on() -> None:
    failing = never()
    failing.set_exception(ValueError("broken"))
    with pytest.raises(ValueError, match="broken"):
        await Patience(60.0).wait(failing)

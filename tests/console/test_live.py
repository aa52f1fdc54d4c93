"""The live line: one look per second and reach, whoever watches."""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable
from typing import Any

from tests.console.fakes import PEOPLE, FakeDesk, thousand

from wafleet.console.live import BACKLOG, BEAT_S, STAY_S, Live
from wafleet.domain.account import State
from wafleet.engine.clock import ManualClock
from wafleet.tenants import Caller

ADA, GRILL = PEOPLE["ada@example.com"], PEOPLE["grill@example.com"]


class Viewer:
    """Reads one line as a browser does."""

    def __init__(self, live: Live, caller: Caller, seen: str = "") -> None:
        self._frames: AsyncGenerator[bytes] = live.follow(caller, seen=seen)
        self.last = seen

    async def next(self) -> tuple[str, Any]:
        async with asyncio.timeout(5):
            frame = (await anext(self._frames)).decode()
        fields = dict(line.split(": ", 1) for line in frame.strip().split("\n"))
        self.last = fields.get("id", self.last)
        return fields["event"], json.loads(fields["data"])

    async def ended(self) -> bool:
        async with asyncio.timeout(5):
            return await anext(self._frames, None) is None

    async def leave(self) -> None:
        await self._frames.aclose()


async def until(true: Callable[[], bool]) -> None:
    for _ in range(1000):
        if true():
            return
        await asyncio.sleep(0)
    raise AssertionError("it never came")


async def test_a_viewer_sees_everything_once_and_then_only_what_changed(
    desk: FakeDesk, live: Live, clock: ManualClock
) -> None:
    viewer = Viewer(live, ADA)
    event, data = await viewer.next()
    assert (event, len(data["accounts"])) == ("full", 12)

    id = data["accounts"][0]["id"]
    desk.change(id, waiting=7)
    await clock.advance(1)
    event, data = await viewer.next()
    assert (event, data["changed"], data["gone"]) == ("patch", [{"id": id, "waiting": 7}], [])
    await viewer.leave()


async def test_all_viewers_of_one_reach_share_one_look_per_second(
    desk: FakeDesk, live: Live, clock: ManualClock
) -> None:
    viewers = [Viewer(live, ADA) for _ in range(20)]
    for viewer in viewers:
        assert (await viewer.next())[0] == "full"
    assert desk.looks == 1
    for n in range(2, 5):
        await clock.advance(1)
        await until(lambda n=n: desk.looks >= n)
    assert desk.looks == 4
    for viewer in viewers:
        await viewer.leave()


async def test_nobody_watching_costs_nothing(desk: FakeDesk, live: Live, clock: ManualClock) -> None:
    assert live.watched == 0
    viewer = Viewer(live, ADA)
    await viewer.next()
    assert live.watched == 1
    await viewer.leave()
    assert live.watched == 0
    looks = desk.looks
    for _ in range(5):
        await clock.advance(1)
    assert desk.looks == looks


async def test_each_reach_sees_its_own(desk: FakeDesk, live: Live) -> None:
    ada, grill = Viewer(live, ADA), Viewer(live, GRILL)
    assert len((await ada.next())[1]["accounts"]) == 12
    assert {account["tenant"] for account in (await grill.next())[1]["accounts"]} == {"Zaytoun Grill"}
    await ada.leave()
    await grill.leave()


async def test_a_line_that_broke_is_taken_up_with_a_full_view(desk: FakeDesk, live: Live, clock: ManualClock) -> None:
    stays, breaks = Viewer(live, ADA), Viewer(live, ADA)
    await stays.next()
    await breaks.next()
    await breaks.leave()

    same = Viewer(live, ADA, seen=breaks.last)
    assert (await same.next())[0] == "beat"  # it missed nothing

    desk.change(next(iter(desk.fleet)), waiting=777)
    await clock.advance(1)
    assert (await stays.next())[0] == "patch"
    late = Viewer(live, ADA, seen=breaks.last)
    event, data = await late.next()
    assert (event, data["accounts"][0]["waiting"]) == ("full", 777)
    for viewer in (stays, same, late):
        await viewer.leave()


async def test_a_page_opened_beside_others_shares_their_look_and_is_told_only_what_changes(
    desk: FakeDesk, live: Live
) -> None:
    alone, mark = await live.view(ADA)
    assert (len(alone.accounts), mark, desk.looks) == (12, "", 1)
    first = Viewer(live, ADA)
    await first.next()
    looks = desk.looks
    shared, mark = await live.view(ADA)
    assert (shared.accounts, desk.looks) == (alone.accounts, looks)
    second = Viewer(live, ADA, seen=mark)
    assert (await second.next())[0] == "beat"
    assert len((await live.view(GRILL))[0].accounts) == 3
    await first.leave()
    await second.leave()


async def test_a_viewer_that_lags_is_given_a_full_view_not_an_endless_queue(
    desk: FakeDesk, live: Live, clock: ManualClock
) -> None:
    slow = Viewer(live, ADA)
    await slow.next()
    id = next(iter(desk.fleet))
    for n in range(BACKLOG + 4):
        looks = desk.looks
        desk.change(id, waiting=n + 1)
        await clock.advance(1)
        await until(lambda looks=looks: desk.looks > looks)
    event, data = await slow.next()
    assert event == "full"
    assert next(one for one in data["accounts"] if one["id"] == id)["waiting"] == BACKLOG + 4
    await slow.leave()


async def test_a_quiet_line_beats(live: Live, clock: ManualClock) -> None:
    viewer = Viewer(live, ADA)
    await viewer.next()
    for _ in range(int(BEAT_S) + 1):
        await clock.advance(1)
    assert (await viewer.next())[0] == "beat"
    await viewer.leave()


async def test_when_the_fleet_cannot_be_read_the_page_is_told_and_told_again_when_it_can(
    desk: FakeDesk, live: Live, clock: ManualClock
) -> None:
    viewer = Viewer(live, ADA)
    await viewer.next()
    desk.broken = True
    await clock.advance(1)
    assert (await viewer.next())[0] == "stale"
    desk.broken = False
    await clock.advance(1)
    assert (await viewer.next())[0] == "beat"
    await viewer.leave()


async def test_stopping_ends_every_line(desk: FakeDesk, clock: ManualClock) -> None:
    stopping = asyncio.Event()
    live = Live(desk.cards, clock=clock, stopping=stopping)
    viewer = Viewer(live, ADA)
    await viewer.next()
    stopping.set()
    assert await viewer.ended()
    assert live.watched == 0


async def test_a_line_ends_after_some_minutes_so_that_an_ended_sign_in_is_noticed(
    live: Live, clock: ManualClock
) -> None:
    viewer = Viewer(live, ADA)
    await viewer.next()
    await clock.advance(STAY_S + 1)
    assert await viewer.ended()


async def test_a_thousand_changes_are_one_patch(desk: FakeDesk, live: Live, clock: ManualClock) -> None:
    desk.fleet = {card.id: card for card in thousand()}
    viewer = Viewer(live, ADA)
    await viewer.next()
    for id in desk.fleet:
        desk.move(id, State.OFFLINE, "outdated")
    await clock.advance(1)
    event, data = await viewer.next()
    assert (event, len(data["changed"])) == ("patch", 1000)
    await viewer.leave()

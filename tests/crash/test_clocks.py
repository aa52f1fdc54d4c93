"""The wall clock jumps by hours: leases hold, lanes go on, nothing goes twice, ids still grow."""

import time
from datetime import UTC, datetime, timedelta

import pytest
from tests.live.conftest import QUICK
from tests.live.rig import open_rig, until

from wafleet.config import OutboxSettings
from wafleet.domain.ids import new_id
from wafleet.engine.clock import SystemClock
from wafleet.engine.db import Db
from wafleet.simulator.world import World

PHONE = "+971521000001"


class JumpyClock(SystemClock):
    """The machine's clock, set forward or back by whoever minds it."""

    def __init__(self) -> None:
        self.off = timedelta()

    def now(self) -> datetime:
        return datetime.now(UTC) + self.off

    def set_by(self, jump: timedelta, monkeypatch: pytest.MonkeyPatch) -> None:
        self.off = jump

        def from_now(seconds: float) -> float:
            return self.now().timestamp() + seconds

        monkeypatch.setattr("wafleet.transports.simulated.from_now", from_now)


@pytest.mark.parametrize("paced", [OutboxSettings(), OutboxSettings(per_second=50)])
@pytest.mark.parametrize("jump", [timedelta(hours=2), timedelta(hours=-2)])
async def test_a_jump_of_two_hours_costs_no_lease_stops_no_lane_and_sends_nothing_twice(
    db: Db, monkeypatch: pytest.MonkeyPatch, jump: timedelta, paced: OutboxSettings
) -> None:
    clock, world = JumpyClock(), World(seed=3, manners=QUICK)
    monkeypatch.setattr("tests.live.rig.SystemClock", lambda: clock)
    async with open_rig(db, world) as rig:
        await rig.start(lease_s=2, outbox=paced)
        account = await rig.account(PHONE)

        async def state() -> str:
            return (await rig.state(account))[0]

        async def epoch() -> int:
            async with db.fleet_tx() as tx:
                return await tx.value("select epoch from leases where name = %(name)s", name=f"account:{account}")

        await until(state, lambda seen: seen == "online")
        first = await epoch()
        before = await rig.put(account, *[f"before #{n}" for n in range(1, 40)])
        clock.set_by(jump, monkeypatch)
        after = await rig.put(account, *[f"after #{n}" for n in range(40, 80)])
        rig.fault(PHONE, "disconnect", lasts=0.1)
        last = await rig.put(account, *[f"last #{n}" for n in range(80, 100)])
        await until(rig.messages, lambda seen: set(seen.values()) <= {"delivered", "read"} and len(seen) == 99)
        await until(state, lambda seen: seen == "online")
        assert await epoch() == first
    line = world.ledger()[0]
    assert (line.sent, line.sent_twice, line.out_of_order, line.replaced) == (99, 0, 0, 0)
    assert before + after + last == sorted(before + after + last)


def test_ids_grow_although_the_clock_was_set_back(monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time_ns()
    made = [new_id()]
    for off_s in (7200, -7200, 0):
        monkeypatch.setattr("wafleet.domain.ids.time.time_ns", lambda off_s=off_s: now + off_s * 1_000_000_000)
        made += [new_id() for _ in range(5000)]
    assert made == sorted(set(made))

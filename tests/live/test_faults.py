"""Each fault of the network leads to the state and reason an operator should see, and heals when it ends."""

import asyncio
from datetime import UTC, datetime

import pytest
from tests.live.rig import Rig, until

from wafleet.outbox.lanes.lane import Lane
from wafleet.simulator.orders import StartFault

PHONE = "+971500000001"
ONLINE = ("online", "")


@pytest.mark.parametrize(
    ("kind", "seen"),
    [
        ("banned", ("blocked", "banned")),
        ("logged_out", ("logged_out", "logged_out")),
        ("replaced", ("offline", "replaced")),
        ("outdated", ("offline", "outdated")),
        ("disconnect", ("offline", "network")),
    ],
)
async def test_a_session_that_the_network_ends_says_why(rig: Rig, kind: str, seen: tuple[str, str]) -> None:
    account = await rig.account(PHONE)
    await rig.start()
    await until(lambda: rig.state(account), lambda state: state == ONLINE)
    states = _record(rig)
    rig.fault(PHONE, kind, lasts=2)

    async def told() -> list[tuple[str, str]]:
        return [(one["to"], one["reason"]) for one in await states()]

    await until(told, lambda all_: seen in all_)


@pytest.mark.parametrize("kind", ["silent", "deaf", "mute"])
async def test_a_session_that_only_looks_alive_is_found_out_and_restarted(rig: Rig, kind: str) -> None:
    account = await rig.account(PHONE)
    await rig.start()
    await until(lambda: rig.state(account), lambda state: state == ONLINE)
    states = _record(rig)
    rig.fault(PHONE, kind)
    if kind != "silent":
        await rig.put(account, "is anybody there?")

    async def reasons() -> list[str]:
        if kind == "mute":  # its ears work
            rig.say(PHONE, "hello?", customer="+447700900009")
        return [one["reason"] for one in await states()]

    await until(reasons, lambda seen: kind in seen)
    await until(lambda: rig.state(account), lambda state: state == ONLINE)
    rig.say(PHONE, "hello again")
    await until(rig.stored, lambda seen: seen[-1:] == ["hello again"])


async def test_what_a_mute_session_swallowed_has_failed_and_says_so(rig: Rig) -> None:
    account = await rig.account(PHONE)
    await rig.start()
    await until(lambda: rig.state(account), lambda state: state == ONLINE)
    (crossed,) = await rig.put(account, "before")
    await until(rig.messages, lambda seen: seen == {crossed: "read"})
    states = _record(rig)
    rig.fault(PHONE, "mute")
    (swallowed,) = await rig.put(account, "is anybody there?")

    async def reasons() -> list[str]:
        rig.say(PHONE, "hello?", customer="+447700900009")
        return [one["reason"] for one in await states()]

    await until(reasons, lambda seen: "mute" in seen)
    await until(rig.messages, lambda seen: seen == {crossed: "read", swallowed: "failed"}, limit_s=20)
    async with rig.db.fleet_tx() as tx:
        reason = await tx.value("select reason from outbox where message_id = %(id)s", id=swallowed)
    assert reason == "never_crossed"
    assert rig.world.ledger(PHONE)[0].sent == 1


async def test_a_ban_that_ends_is_followed_by_a_new_connection(rig: Rig) -> None:
    account = await rig.account(PHONE)
    await rig.start()
    await until(lambda: rig.state(account), lambda state: state == ONLINE)
    rig.fault(PHONE, "banned", lasts=1)
    await until(lambda: rig.state(account), lambda state: state[0] == "blocked")
    await until(lambda: rig.state(account), lambda state: state == ONLINE)


async def test_a_pause_that_the_network_asked_for_outlasts_a_connection(rig: Rig) -> None:
    account = await rig.account(PHONE)
    node = await rig.start()
    await until(lambda: rig.state(account), lambda state: state == ONLINE)
    rig.world.start_fault(StartFault(account=PHONE, kind="throttled", seconds=60))
    await rig.put(account, "one")
    await until(lambda: rig.state(account), lambda state: state == ("degraded", "throttled"))
    before = node.lanes._lanes[account]  # pyright: ignore[reportPrivateUsage]
    rig.fault(PHONE, "disconnect")

    async def lane() -> Lane:
        return node.lanes._lanes[account]  # pyright: ignore[reportPrivateUsage]

    after = await until(lane, lambda seen: seen is not before and seen.ready)
    assert (after.gauge.held_until, after.gauge.share) == (before.gauge.held_until, 0.5)
    assert after.allowance(datetime.now(UTC)).why == "throttled"


async def test_a_throttled_account_slows_down_says_so_and_loses_nothing(rig: Rig) -> None:
    account = await rig.account(PHONE)
    await rig.start()
    await until(lambda: rig.state(account), lambda state: state == ONLINE)
    rig.fault(PHONE, "throttled", lasts=1)
    ids = await rig.put(account, "one", "two")
    await until(lambda: rig.state(account), lambda state: state == ("degraded", "throttled"))
    await until(rig.messages, lambda seen: seen == dict.fromkeys(ids, "read"), limit_s=20)
    assert rig.world.ledger(PHONE)[0].sent_twice == 0


async def test_strangers_are_refused_under_a_reach_out_lock_and_those_who_wrote_are_answered(rig: Rig) -> None:
    account = await rig.account(PHONE)
    await rig.start()
    await until(lambda: rig.state(account), lambda state: state == ONLINE)
    rig.say(PHONE, "hello", customer="+447700900001")
    await until(rig.stored, lambda seen: seen == ["hello"])
    rig.fault(PHONE, "reach_out_lock")
    (known,) = await rig.put(account, "hi", to="+447700900001")
    (stranger,) = await rig.put(account, "offer", to="+447700900002")
    await until(rig.messages, lambda seen: seen == {known: "read", stranger: "failed"})


async def test_an_answer_that_gets_lost_is_looked_up_and_nothing_is_sent_twice(rig: Rig) -> None:
    account = await rig.account(PHONE)
    await rig.start()
    await until(lambda: rig.state(account), lambda state: state == ONLINE)
    rig.fault(PHONE, "lost_answers", lasts=0.5)
    ids = await rig.put(account, *map(str, range(5)))
    await until(rig.messages, lambda seen: set(seen.values()) <= {"delivered", "read"}, limit_s=30)
    line = rig.world.ledger(PHONE)[0]
    assert (line.sent, line.sent_twice) == (len(ids), 0)


async def test_only_a_truth_that_the_network_hides_is_unknown(rig: Rig) -> None:
    account = await rig.account(PHONE)
    await rig.start()
    await until(lambda: rig.state(account), lambda state: state == ONLINE)
    rig.fault(PHONE, "hidden")
    (message,) = await rig.put(account, "did it go out?")
    await until(rig.messages, lambda seen: seen == {message: "unknown"}, limit_s=20)


async def test_duplicates_and_shuffled_receipts_change_nothing(rig: Rig) -> None:
    account = await rig.account(PHONE)
    await rig.start()
    await until(lambda: rig.state(account), lambda state: state == ONLINE)
    for kind in ("duplicates", "receipts_repeated", "receipts_shuffled"):
        rig.fault(PHONE, kind)
    ids = await rig.put(account, *map(str, range(10)))
    for n in range(10):
        rig.say(PHONE, f"{n}")
    await until(rig.messages, lambda seen: seen == dict.fromkeys(ids, "read"))
    await until(rig.stored, lambda seen: len(seen) >= 10)
    assert await rig.stored() == [str(n) for n in range(10)]


async def test_a_logged_out_account_waits_for_a_person(rig: Rig) -> None:
    account = await rig.account(PHONE)
    node = await rig.start()
    await until(lambda: rig.state(account), lambda state: state == ONLINE)
    rig.fault(PHONE, "logged_out")
    await until(lambda: rig.state(account), lambda state: state[0] == "logged_out")

    async def held() -> int:
        await asyncio.sleep(0)
        return len(node.live.holdings)

    await until(held, lambda count: count == 0)


def _record(rig: Rig):
    async def states() -> list[dict[str, str]]:
        async with rig.db.fleet_tx() as tx:
            rows = await tx.tuples("select data from events where kind = 'account.state' order by xid, seq")
        return [row[0] for row in rows]

    return states

"""Sessions that do not get as far as being online, or do not stay there: closed, and opened anew ever later."""

import asyncio
from typing import Any

import pytest
from tests.live.rig import Rig, until

from wafleet.accounts import Live
from wafleet.config import SessionsSettings
from wafleet.engine.db import DatabaseAway
from wafleet.transports.base import Listener, Session
from wafleet.transports.simulated import Simulated

PHONE = "+971500000001"
ONLINE = ("online", "")
ONCE = SessionsSettings(backoff_first_s=60, backoff_most_s=60, connect_limit_s=3)


def half_open(monkeypatch: pytest.MonkeyPatch, error: Exception | None = None) -> list[Live]:
    """Let what follows the opening of a session fail, or take forever; return the sessions that got so far."""
    opened: list[Live] = []

    async def settle(_: Any, live: Live) -> None:
        opened.append(live)
        if error is not None:
            raise error
        await asyncio.Event().wait()

    monkeypatch.setattr("tests.live.rig._Traffic.opened", settle)
    return opened


async def the_only(opened: list[Live]) -> Live:
    async def look() -> list[Live]:
        return opened

    (live,) = await until(look, bool)
    return live


async def is_closed(live: Live) -> bool:
    try:
        await live.session.ping()
    except ConnectionError:
        return True
    return False


@pytest.mark.parametrize("error", [DatabaseAway("restarting"), TimeoutError(), RuntimeError("a bug")])
async def test_a_session_that_cannot_be_settled_is_closed(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    opened = half_open(monkeypatch, error)
    account = await rig.account(PHONE)
    await rig.start(sessions=ONCE)
    live = await the_only(opened)
    await until(lambda: is_closed(live), bool)
    await until(lambda: rig.state(account), lambda seen: seen[0] == "offline")


async def test_a_session_is_closed_before_its_account_is_handed_over(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = half_open(monkeypatch)
    account = await rig.account(PHONE)
    node = await rig.start(sessions=ONCE)
    live = await the_only(opened)
    holdings = node.live.holdings
    await holdings._sessions.hand_over(holdings._held[account])  # pyright: ignore[reportPrivateUsage]
    assert await is_closed(live)


async def test_a_session_that_is_not_online_yet_is_closed_when_its_lease_is_lost(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = half_open(monkeypatch)
    await rig.account(PHONE)
    await rig.start(sessions=ONCE)
    live = await the_only(opened)
    async with rig.db.fleet_tx() as tx:
        await tx.run("insert into nodes (name, version) values ('other', '1')")
        await tx.run("update leases set epoch = epoch + 1, holder = 'other', expires_at = now() + interval '1 hour'")
    await until(lambda: is_closed(live), bool)


def longest(low: float, high: float) -> float:
    return high


async def test_a_session_that_ends_right_after_coming_online_is_opened_later_each_time(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    opens: list[object] = []
    well = Simulated.open

    async def short_lived(self: Simulated, number: Any, credentials: bytes, listener: Listener) -> Session:
        session = await well(self, number, credentials, listener)
        opens.append(session)
        asyncio.get_running_loop().call_later(0.1, lambda: listener.closed("worker_crashed", "again"))
        return session

    monkeypatch.setattr(Simulated, "open", short_lived)
    monkeypatch.setattr("random.uniform", longest)
    await rig.account(PHONE)
    node = await rig.start(sessions=SessionsSettings(backoff_first_s=0.05, backoff_most_s=60))

    async def failures() -> int:
        return max((held.failures for held in node.live.holdings._held.values()), default=0)  # pyright: ignore[reportPrivateUsage]

    await until(failures, lambda seen: seen >= 5, limit_s=20)
    assert len(opens) == 5

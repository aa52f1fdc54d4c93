"""A node that cannot renew its leases any more closes what another node may soon open."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.live.rig import Rig, RunningNode, until

from wafleet.accounts.live.rules import lapsing
from wafleet.engine.db import DatabaseAway
from wafleet.transports.simulated import Simulated

PHONE = "+971500000001"
ONLINE = ("online", "")


@given(st.floats(1, 300), st.floats(0, 0.5), st.floats(0, 1))
def test_a_node_that_renews_in_time_closes_nothing_and_one_that_does_not_is_done_before_it_is_too_late(
    lease_s: float, renew: float, late: float
) -> None:
    assert not lapsing(sure_s=lease_s * (1 - renew), lease_s=lease_s)
    assert lapsing(sure_s=-late, lease_s=lease_s)
    assert lapsing(sure_s=min(1, lease_s / 4), lease_s=lease_s)


@pytest.fixture(autouse=True)
def exclusive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Simulated, "capabilities", replace(Simulated.capabilities, exclusive=True))


def cut_off(node: RunningNode, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away() -> frozenset[str]:
        raise DatabaseAway("cut off")

    monkeypatch.setattr(node.node, "renew", away)


async def test_no_other_node_opens_a_session_that_is_still_open(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    account = await rig.account(PHONE)
    first = await rig.start("n1", lease_s=3)
    await until(lambda: rig.state(account), lambda seen: seen == ONLINE)
    second = await rig.start("n2", lease_s=3)
    cut_off(first, monkeypatch)

    async def there() -> bool:
        held = second.live.holdings._held.get(account)  # pyright: ignore[reportPrivateUsage]
        return held is not None and held.live is not None

    await until(there, bool, limit_s=20)
    (line,) = rig.world.ledger(PHONE)
    assert line.replaced == 0


@pytest.mark.parametrize("reason", ["", "network"])
async def test_an_account_nobody_took_goes_on_where_it_was_once_its_lease_is_sure_again(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, reason: str
) -> None:
    account = await rig.account(PHONE)
    node = await rig.start("n1", lease_s=2)
    await until(lambda: rig.state(account), lambda seen: seen == ONLINE)
    held = node.live.holdings._held[account]  # pyright: ignore[reportPrivateUsage]

    async def is_open() -> bool:
        return held.live is not None

    with monkeypatch.context() as meanwhile:
        cut_off(node, meanwhile)
        if reason:
            rig.fault(PHONE, "disconnect", lasts=1)
        await until(lambda: lapsed(held), bool)
        assert not await is_open()
    await until(is_open, bool)
    (message,) = await rig.put(account, "well again")
    await until(rig.messages, lambda seen: seen == {message: "read"})
    assert rig.world.ledger(PHONE)[0].replaced == 0


async def lapsed(held: object) -> bool:
    return bool(getattr(held, "lapsed", False))

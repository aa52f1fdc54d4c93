"""Keep-alives that WhatsApp does not answer, as the session's owner learns of them."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.emulator.hurried import hurry
from tests.transports.device.parts import WAIT_S, One, link, number, on_an_emulator
from tests.transports.heard import until

from wafleet.transports.device import session


@pytest.fixture
async def one(tmp_path: Path) -> AsyncIterator[One]:
    async with on_an_emulator(tmp_path) as (emulator, transport):
        hurry(emulator)
        secret, _ = await link(emulator, transport, number())
        one = One(emulator, transport, number(), secret)
        yield one


async def test_a_session_that_passes_nothing_fails_the_ping_and_a_new_one_is_well(one: One) -> None:
    await one.open()
    one.fault("silent")
    await until(lambda: one.session.linked.silent, limit_s=WAIT_S)
    with pytest.raises(ConnectionError, match="keep-alives"):
        await one.session.ping()
    one.secret = one.newest()
    await one.open()
    await one.session.ping()
    assert await one.send("well again")


async def test_unanswered_keep_alives_fail_the_ping_until_they_are_answered_again(one: One) -> None:
    await one.open()
    await one.session.ping()
    one.fault("pings_muted")
    await until(lambda: one.session.linked.silent, limit_s=WAIT_S)
    with pytest.raises(ConnectionError, match="keep-alives"):
        await one.session.ping()
    assert await one.send("all else works")
    one.emulator.world.trouble.end(one.number.phone, "pings_muted")
    await until(lambda: not one.session.linked.silent, limit_s=WAIT_S)
    await one.session.ping()


async def test_a_line_on_which_nothing_came_for_too_long_fails_the_ping_even_where_the_library_notices_nothing(
    one: One, monkeypatch: pytest.MonkeyPatch
) -> None:
    await one.open()
    monkeypatch.setattr(session, "HEARD_S", 0.0)
    with pytest.raises(ConnectionError, match="nothing came from WhatsApp"):
        await one.session.ping()

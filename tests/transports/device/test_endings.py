"""What WhatsApp does to a linked number: the state it leads to, the reason that is told, and the next step.

All accounts of this file live on one emulator; each test has a number of its own.
"""

import itertools
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio
from tests.emulator.rig import CUSTOMER
from tests.emulator.talking import ledger, sent
from tests.transports.device.parts import WAIT_S, One, link, number, on_an_emulator
from tests.transports.heard import until

from wafleet.accounts.live.rules import leads_to
from wafleet.domain.account import REASONS, State
from wafleet.emulator.server import Emulator
from wafleet.transports.base import (
    MaybeSent,
    NotSent,
    OpenError,
    Refused,
    RefusedAccount,
    RefusedContent,
    RefusedRecipient,
    SendError,
    Throttled,
)
from wafleet.transports.device import linked
from wafleet.transports.device.driver import Device
from wafleet.transports.device.telling import BANS

pytestmark = pytest.mark.asyncio(loop_scope="module")
_numbers = itertools.count(1)
Network = tuple[Emulator, Device]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def network(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Network]:
    async with on_an_emulator(tmp_path_factory.mktemp("endings")) as network:
        yield network


@pytest_asyncio.fixture(loop_scope="module")
async def one(network: Network) -> AsyncIterator[One]:
    """An account that is linked, and its session open."""
    emulator, transport = network
    account = number(f"+4917022{next(_numbers):05d}")
    secret, _ = await link(emulator, transport, account)
    one = One(emulator, transport, account, secret)
    await one.open()
    yield one
    await one.session.close()


ENDINGS = [
    ("locked", {}, State.LOGGED_OUT, "locked", "403", "Open WhatsApp on the phone"),
    ("replaced", {}, State.OFFLINE, "replaced", "", "Close the other program"),
    ("outdated", {}, State.OFFLINE, "outdated", "405", "Update wafleet"),
    ("logged_out", {}, State.LOGGED_OUT, "logged_out", "", "Link it again"),
    ("stream_error", {"detail": "599"}, State.OFFLINE, "stream_error", "599", "tell the makers of wafleet the detail"),
    (
        "stream_error",
        {"detail": "599 open"},
        State.OFFLINE,
        "stream_error",
        "599",
        "tell the makers of wafleet the detail",
    ),
    (
        "login_failure",
        {"detail": "400"},
        State.OFFLINE,
        "refused_client",
        "400",
        "Look at the detail, and update wafleet",
    ),
    ("login_failure", {"detail": "401"}, State.LOGGED_OUT, "logged_out", "401", "Link it again"),
    ("login_failure", {"detail": "403"}, State.LOGGED_OUT, "locked", "403", "Open WhatsApp on the phone"),
    ("login_failure", {"detail": "405"}, State.OFFLINE, "outdated", "405", "Update wafleet"),
    ("login_failure", {"detail": "406"}, State.BLOCKED, "banned_for_good", "406", "Ask WhatsApp for a review"),
    (
        "login_failure",
        {"detail": "409"},
        State.OFFLINE,
        "refused_client",
        "409",
        "Look at the detail, and update wafleet",
    ),
]


@pytest.mark.parametrize(("fault", "how", "state", "reason", "words", "step"), ENDINGS)
async def test_every_ending_has_its_state_its_reason_and_its_next_step(
    one: One, fault: str, how: dict[str, str], state: State, reason: str, words: str, step: str
) -> None:
    one.fault(fault, **how)
    told, detail, until_ = await one.ended()
    assert (leads_to(told), told) == (state, reason)
    assert words in detail
    assert until_ is None
    assert step in REASONS[told].next_step
    await one.session.close()
    assert len(one.heard.ends) == 1


async def test_every_temporary_ban_is_told_with_its_cause_and_its_end(one: One) -> None:
    one.fault("banned", detail="101", lasts=3600)
    reason, detail, ends = await one.ended()
    assert (leads_to(reason), reason) == (State.BLOCKED, "banned")
    assert BANS["101"] in detail
    assert "Wait until the ban ends" in REASONS[reason].next_step
    assert timedelta(minutes=50) < ends - datetime.now(UTC) <= timedelta(hours=1)
    for code in sorted(BANS):
        one.fault("banned", detail=code, lasts=3600)
        with pytest.raises(OpenError) as refused:
            await one.open()
        assert refused.value.reason == "banned", refused.value.detail
        assert f"{BANS[code]} (code {code})" in refused.value.detail
        assert refused.value.until is not None
    one.emulator.world.trouble.end(one.number.phone, "banned")
    await one.open()
    assert await one.send("free again")


@pytest.mark.parametrize("code", ["500", "503"])
async def test_trouble_of_whatsapps_own_ends_the_session_only_when_it_lasts(
    one: One, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(linked, "AWAY_S", 0.5)
    one.fault("login_failure", detail=code, lasts=3600)
    reason, detail, _ = await one.ended()
    assert (leads_to(reason), reason) == (State.OFFLINE, "network")
    assert "no connection" in detail
    assert "it is tried again" in REASONS[reason].next_step


@pytest.mark.parametrize(("fault", "detail"), [("disconnect", ""), ("abort", ""), ("stream_error", "503")])
async def test_a_connection_that_breaks_for_a_moment_is_mended_without_a_word(
    one: One, fault: str, detail: str
) -> None:
    one.fault(fault, detail=detail)
    await until(lambda: not one.session.linked.online, limit_s=WAIT_S)
    await until(lambda: one.session.linked.online, limit_s=WAIT_S)
    await one.send("hello again")
    assert one.heard.ends == []


async def test_a_refused_login_says_why_and_too_many_starts_at_once_only_take_longer(one: One) -> None:
    await one.session.close()
    one.fault("login_failure", detail="405", lasts=3600)
    with pytest.raises(OpenError) as refused:
        await one.open()
    assert refused.value.reason == "outdated"
    one.emulator.world.trouble.end(one.number.phone, "login_failure")
    one.fault("refuse_start", lasts=0.5)
    await one.open()
    await one.session.ping()


SENDS: list[tuple[str, type[SendError], str]] = [
    ("400", RefusedContent, "content"),
    ("401", NotSent, "not_linked"),
    ("403", RefusedRecipient, "recipient_refuses"),
    ("404", RefusedRecipient, "not_on_whatsapp"),
    ("406", RefusedContent, "content"),
    ("429", Throttled, "throttled"),
    ("463", RefusedRecipient, "reach_out_lock"),
    ("475", RefusedAccount, "reach_out_lock"),
    ("479", RefusedContent, "content"),
    ("500", MaybeSent, "no_answer"),
    ("503", MaybeSent, "no_answer"),
    ("599", Refused, "refused"),
]


async def test_every_error_of_a_send_is_named_by_its_remedy_and_the_next_message_goes(one: One) -> None:
    for code, kind, reason in SENDS:
        one.fault("ack_error", detail=code)
        with pytest.raises(kind) as refused:
            await one.send(f"refused with {code}")
        assert (type(refused.value), refused.value.reason) == (kind, reason)
        one.emulator.world.trouble.end(one.number.phone, "ack_error")
    await one.send("well again")
    assert len(sent(one.emulator, one.number.phone)) == ledger(one.emulator, one.number.phone).sent == 1


async def test_a_number_that_may_not_write_to_strangers_still_answers(one: One) -> None:
    phone = one.number.phone
    one.say("may I ask something?")
    await until(lambda: one.heard.inbound, limit_s=WAIT_S)
    one.fault("reach_out_lock")
    with pytest.raises(RefusedRecipient) as refused:
        await one.send("hello", to="+491601119999")
    assert refused.value.reason == "reach_out_lock"
    assert await one.send("of course", to=CUSTOMER)
    assert ledger(one.emulator, phone).sent == 1

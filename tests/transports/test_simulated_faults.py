"""Every fault of the network, and what the transport reports of it."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from tests.transports.heard import PHONE, Held, number, outgoing, until

from wafleet.domain.account import REASONS
from wafleet.domain.message import Sending
from wafleet.simulator.faults import FAULTS
from wafleet.simulator.model import Impossible
from wafleet.simulator.orders import StartFault
from wafleet.transports.base import Doubt, MaybeSent, OpenError, Refused, RefusedRecipient, Throttled


def test_every_fault_has_its_test_here() -> None:
    tested = " ".join(name for name in globals() if name.startswith("test_"))
    assert [kind for kind in FAULTS if kind not in tested] == []


async def refusal(one: Held) -> OpenError:
    with pytest.raises(OpenError) as refused:
        await one.open()
    assert refused.value.reason in REASONS
    return refused.value


def is_soon(until: datetime | None, seconds: float) -> bool:
    return until is not None and abs(until - datetime.now(UTC) - timedelta(seconds=seconds)) < timedelta(seconds=5)


async def test_latency_makes_answers_late_but_nothing_is_lost(one: Held) -> None:
    one.fault("latency", seconds=0.03)
    began = asyncio.get_running_loop().time()
    await one.send()
    assert asyncio.get_running_loop().time() - began >= 0.03
    await until(lambda: one.heard.states == ["delivered", "read"])


async def test_slow_answers_may_have_been_sent_and_are_found(one: Held) -> None:
    one.fault("slow_answers")
    out = outgoing()
    with pytest.raises(MaybeSent) as unsure:
        await one.session.send(out)
    assert unsure.value.reason == "no_answer"
    found = (await one.session.find([Doubt(out.id)]))[out.id]
    assert found
    assert found.state in {Sending.DELIVERED, Sending.READ}


async def test_receipts_late_come_all_the_same(one: Held) -> None:
    one.fault("receipts_late", seconds=0.05)
    began = asyncio.get_running_loop().time()
    await one.send()
    await until(lambda: one.heard.states == ["delivered", "read"])
    assert asyncio.get_running_loop().time() - began >= 0.05


async def test_receipts_repeated_come_twice_each(one: Held) -> None:
    one.fault("receipts_repeated")
    await one.send()
    await until(lambda: one.heard.states == ["delivered", "delivered", "read", "read"])


async def test_receipts_shuffled_begin_with_the_last(one: Held) -> None:
    one.fault("receipts_shuffled", seconds=0.02)
    await one.send()
    await until(lambda: one.heard.states == ["read", "delivered"])


async def test_duplicates_have_the_same_id(one: Held) -> None:
    one.fault("duplicates")
    id = one.say("hello")
    await until(lambda: [i.provider_id for i in one.heard.inbound] == [id, id])
    assert one.world.ledger()[0].repeated == 1


async def test_lost_answers_may_have_been_sent_and_receipts_tell(one: Held) -> None:
    one.fault("lost_answers")
    out = outgoing()
    with pytest.raises(MaybeSent):
        await one.session.send(out)
    assert one.heard.states == ["delivered", "read"]
    assert (await one.session.find([Doubt(out.id)]))[out.id]


async def test_hidden_sends_cannot_be_told_by_anybody(one: Held) -> None:
    one.fault("hidden")
    out = outgoing()
    with pytest.raises(MaybeSent):
        await one.session.send(out)
    assert await one.session.find([Doubt(out.id)]) == {}
    assert not one.heard.receipts
    assert one.world.ledger()[0].hidden == 1


async def test_throttled_sends_say_when_to_try_again(one: Held) -> None:
    one.fault("throttled", seconds=7)
    with pytest.raises(Throttled) as refused:
        await one.send()
    assert refused.value.retry_after == timedelta(seconds=7)
    assert one.world.ledger()[0].throttled == 1


async def test_reach_out_lock_refuses_strangers_only(one: Held) -> None:
    one.fault("reach_out_lock")
    with pytest.raises(RefusedRecipient) as refused:
        await one.send()
    assert (refused.value.reason, refused.value.detail) == ("reach_out_lock", "463 reach-out time lock")
    one.say("I write first")
    assert await one.send("and I may answer")


async def test_deaf_sessions_answer_but_hear_nothing_until_opened_again(one: Held) -> None:
    one.fault("deaf")
    await one.send()
    one.say("can you hear me?")
    await one.session.ping()
    await until(lambda: one.world.refs(PHONE)[0].state == 3)
    assert not one.heard.inbound
    assert not one.heard.receipts
    _, heard = await one.open()
    await until(lambda: heard.texts == ["can you hear me?"])
    await until(lambda: heard.states == ["delivered", "read"])


async def test_deaf_sessions_hear_again_when_the_fault_ends(one: Held) -> None:
    one.fault("deaf", lasts=0.05)
    one.say("can you hear me?")
    await until(lambda: one.heard.texts == ["can you hear me?"])


async def test_mute_sessions_send_nowhere_and_find_says_so(one: Held) -> None:
    one.fault("mute")
    out = outgoing()
    assert await one.session.send(out)
    await one.session.send(outgoing("canary", to=PHONE))
    assert await one.session.find([Doubt(out.id)]) == {out.id: None}
    line = one.world.ledger()[0]
    assert (line.sent, line.muted, line.canaries) == (0, 2, 0)
    one.say("inbound still works")
    await until(lambda: one.heard.texts == ["inbound still works"])
    session, _ = await one.open()
    await session.send(out)
    assert one.world.ledger()[0].sent == 1


async def test_silent_sessions_pass_nothing_and_the_next_one_is_well(one: Held) -> None:
    one.fault("silent")
    out = outgoing()
    with pytest.raises(MaybeSent):
        await one.session.send(out)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(one.session.ping(), 0.05)
    session, _ = await one.open()
    assert await session.find([Doubt(out.id)]) == {out.id: None}
    assert await session.send(out)


async def test_disconnect_closes_with_reason_network(one: Held) -> None:
    one.fault("disconnect")
    await until(lambda: one.heard.reasons == ["network"])
    await (await one.open())[0].ping()


async def test_disconnect_for_a_while_keeps_sessions_from_opening(one: Held) -> None:
    one.fault("disconnect", lasts=100.0)
    refused = await refusal(one)
    assert refused.reason == "network"
    assert is_soon(refused.until, 100)
    one.world.trouble.end(PHONE, "disconnect")
    await (await one.open())[0].ping()


async def test_replaced_closes_with_its_reason_and_the_account_may_come_back(one: Held) -> None:
    one.fault("replaced")
    await until(lambda: one.heard.reasons == ["replaced"])
    await (await one.open())[0].ping()


async def test_replaced_for_a_while_takes_every_new_session_too(one: Held) -> None:
    one.fault("replaced", lasts=30.0)
    _, heard = await one.open()
    await until(lambda: heard.reasons == ["replaced"])


async def test_banned_says_why_and_until_when(one: Held) -> None:
    one.fault("banned", detail="102", lasts=3600.0)
    await until(lambda: one.heard.reasons == ["banned"])
    _, detail, until_ = one.heard.ends[0]
    assert detail.startswith("102 ")
    assert is_soon(until_, 3600)
    refused = await refusal(one)
    assert refused.reason == "banned"
    assert is_soon(refused.until, 3600)


async def test_banned_for_good_has_no_end(one: Held) -> None:
    one.fault("banned", detail="for_good")
    await until(lambda: one.heard.reasons == ["banned_for_good"])
    refused = await refusal(one)
    assert (refused.reason, refused.until) == ("banned_for_good", None)


async def test_outdated_strikes_everybody_and_new_sessions(one: Held) -> None:
    one.world.start_fault(StartFault(account="*", kind="outdated"))
    await until(lambda: one.heard.reasons == ["outdated"])
    assert (await refusal(one)).reason == "outdated"
    with pytest.raises(OpenError) as refused:
        await one.transport.link(number("+966500000009"), one.heard)
    assert refused.value.reason == "outdated"


async def test_refuse_start_leaves_open_sessions_alone(one: Held) -> None:
    one.fault("refuse_start", seconds=9.0)
    assert await one.send()
    refused = await refusal(one)
    assert refused.reason == "throttled"
    assert is_soon(refused.until, 9)


async def test_slow_start_runs_into_the_time_limit(one: Held) -> None:
    one.fault("slow_start")
    assert (await refusal(one)).reason == "connect_timeout"


async def test_slow_start_opens_in_the_end(one: Held) -> None:
    one.fault("slow_start", seconds=0.05)
    session, _ = await one.open()
    await session.ping()


async def test_logged_out_needs_linking_again(one: Held) -> None:
    one.fault("logged_out")
    await until(lambda: one.heard.reasons == ["logged_out"])
    assert (await refusal(one)).reason == "logged_out"
    one.secret = one.world.link(PHONE)
    await (await one.open())[0].ping()


async def test_restart_drops_every_session_and_keeps_what_it_knows(one: Held) -> None:
    out = outgoing()
    await one.session.send(out)
    one.world.start_fault(StartFault(account="*", kind="restart", lasts=0.1))
    await until(lambda: one.heard.reasons == ["network"])
    one.say("while you were away")
    assert (await refusal(one)).reason == "network"
    await until(lambda: not one.world.trouble.active())
    session, heard = await one.open()
    assert (await session.find([Doubt(out.id)]))[out.id]
    await until(lambda: heard.texts == ["while you were away"])


async def test_abort_looks_like_a_broken_connection_from_above(one: Held) -> None:
    one.fault("abort", lasts=100.0)
    await until(lambda: one.heard.reasons == ["network"])
    assert (await refusal(one)).reason == "network"


async def test_stream_error_names_its_code(one: Held) -> None:
    one.fault("stream_error", detail="599")
    await until(lambda: one.heard.ends == [("stream_error", "stream error 599", None)])
    await (await one.open())[0].ping()


async def test_locked_keeps_new_sessions_out_until_it_ends(one: Held) -> None:
    one.fault("locked")
    await until(lambda: one.heard.reasons == ["locked"])
    with pytest.raises(OpenError, match="locked"):
        await one.open()
    one.world.trouble.end(PHONE, "locked")
    await (await one.open())[0].ping()


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("400", "refused_client"),
        ("401", "logged_out"),
        ("403", "locked"),
        ("405", "outdated"),
        ("406", "banned"),
        ("409", "refused_client"),
        ("500", "network"),
        ("", "network"),
    ],
)
async def test_login_failure_has_the_meaning_of_its_code(one: Held, code: str, reason: str) -> None:
    one.fault("login_failure", detail=code)
    await until(lambda: one.heard.reasons == ["network"])
    with pytest.raises(OpenError) as refused:
        await one.open()
    assert (refused.value.reason, refused.value.detail) == (reason, code or "503")


async def test_ack_error_refuses_what_is_sent_with_its_code(one: Held) -> None:
    for code, error in (("", Refused), ("463", RefusedRecipient), ("429", Throttled)):
        one.fault("ack_error", detail=code)
        with pytest.raises(error, match=code or "479"):
            await one.send()
    one.world.trouble.end(PHONE, "ack_error")
    assert await one.send()
    assert (one.world.ledger()[0].refused, one.world.ledger()[0].throttled) == (2, 1)


async def test_pings_muted_leaves_all_else_well(one: Held) -> None:
    one.fault("pings_muted")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(one.session.ping(), 0.05)
    assert await one.send()
    one.world.trouble.end(PHONE, "pings_muted")
    await one.session.ping()


async def test_undecryptable_and_phone_away_are_for_linked_devices_only(one: Held) -> None:
    for kind in ("undecryptable", "phone_away"):
        with pytest.raises(Impossible, match=f"Only linked devices feel {kind}"):
            one.fault(kind)


async def test_provider_error_and_ill_answers_are_for_numbers_at_providers_only(one: Held) -> None:
    for kind in ("provider_error", "ill_answers"):
        with pytest.raises(Impossible, match=f"Only numbers at a provider feel {kind}"):
            one.fault(kind)


async def test_qr_expiry_ends_linking_before_anybody_can_scan(one: Held) -> None:
    one.world.start_fault(StartFault(account="+966500000009", kind="qr_expiry", seconds=0.02))
    with pytest.raises(OpenError) as refused:
        await one.transport.link(number("+966500000009"), one.heard)
    assert refused.value.reason == "link_expired"


async def test_messages_of_an_account_with_many_faults_are_all_accounted_for(one: Held) -> None:
    for kind in ("duplicates", "receipts_shuffled", "receipts_repeated", "lost_answers", "throttled"):
        one.fault(kind, share=0.5, seconds=0.01)
    messages = [outgoing(f"line #{i}") for i in range(40)]
    results = await asyncio.gather(*(one.session.send(m) for m in messages), return_exceptions=True)
    throttled = {m.id for m, r in zip(messages, results, strict=True) if isinstance(r, Throttled)}
    found = await one.session.find([Doubt(m.id) for m in messages])
    assert {id for id, what in found.items() if what is None} == throttled
    assert {type(r) for r in results} == {str, Throttled, MaybeSent}
    line = one.world.ledger()[0]
    assert (line.sent, line.sent_twice, line.throttled) == (40 - len(throttled), 0, len(throttled))

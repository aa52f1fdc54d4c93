"""The simulated transport while all is well, and what becomes of sends when sessions end."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from tests.transports.heard import LAYLA, PHONE, QUICK, Heard, Held, held, number, outgoing, until

from wafleet.domain.ids import MessageId, new_id
from wafleet.domain.inbound import Inbound
from wafleet.domain.message import Choice, ContactCard, Content, Location, Sending, Text, Unsupported
from wafleet.simulator.client import connect
from wafleet.simulator.orders import Say
from wafleet.simulator.server import serve
from wafleet.simulator.wire import Wire
from wafleet.simulator.world import World
from wafleet.transports.base import About, Doubt, Found, MaybeSent, NotSent, OpenError
from wafleet.transports.simulated import Simulated


async def test_a_phone_is_linked_by_scanning_what_is_shown(world: World, transport: Simulated) -> None:
    heard, account = Heard(), number()
    linking = asyncio.create_task(transport.link(account, heard))
    await until(lambda: heard.pairings)
    shown = heard.pairings[0]
    assert shown.qr.startswith("2@")
    assert len(shown.code) == 9
    assert shown.expires_at
    assert shown.expires_at > datetime.now(UTC)
    world.linking.scan(PHONE)
    session = await transport.open(account, await linking, heard)
    await session.ping()


async def test_linking_that_is_cancelled_leaves_nothing_to_scan(world: World, transport: Simulated) -> None:
    heard = Heard()
    linking = asyncio.create_task(transport.link(number(), heard))
    await until(lambda: heard.pairings)
    linking.cancel()
    await until(lambda: not world.linking.phones)
    assert linking.cancelled()


async def test_a_passkey_is_a_reason_of_its_own(world: World, transport: Simulated) -> None:
    heard = Heard()
    linking = asyncio.create_task(transport.link(number(), heard))
    await until(lambda: heard.pairings)
    world.linking.passkey = True
    world.linking.scan(PHONE)
    with pytest.raises(OpenError) as refused:
        await linking
    assert refused.value.reason == "passkey"


async def test_an_unlinked_account_cannot_be_opened(one: Held) -> None:
    await one.transport.unlink(one.number, one.secret)
    await until(lambda: one.heard.reasons == ["logged_out"])
    with pytest.raises(OpenError) as refused:
        await one.open()
    assert refused.value.reason == "logged_out"


@pytest.mark.parametrize("content", [Text("hello 👋"), Location(25.2, 55.3, name="Home"), ContactCard("Omar", LAYLA)])
async def test_content_arrives_as_it_was_sent(one: Held, content: Content) -> None:
    other = await held(one.world, one.transport, "+966500000002")
    await one.send(content, to="+966500000002")
    await until(lambda: other.heard.inbound)
    got = other.heard.inbound[0]
    assert got.content == content
    assert got.identity == PHONE
    assert got.at.tzinfo is UTC


async def test_an_answer_between_two_of_our_numbers_names_the_message_it_answers(one: Held) -> None:
    other = await held(one.world, one.transport, "+966500000002")
    asked = await one.send("Which one?", to="+966500000002")
    await until(lambda: other.heard.inbound)
    assert other.heard.inbound[0].provider_id == asked
    answer = outgoing(Choice("first", "The first", "ours"), to=PHONE)
    await other.session.send(replace(answer, about=About(asked, False, Text("Which one?"))))
    await until(lambda: one.heard.inbound)
    assert one.heard.inbound[0].about == asked


async def test_content_nobody_understands_is_kept_whole(one: Held) -> None:
    poll = {"type": "poll", "options": ["yes", "no"]}
    one.world.say(Say(customer=LAYLA, account=PHONE, text="", body=poll))
    await until(lambda: one.heard.inbound)
    assert one.heard.inbound[0].content == Unsupported(poll)
    assert one.heard.inbound[0].raw == poll


async def test_receipts_name_our_message_and_the_networks(one: Held) -> None:
    out = outgoing()
    provider_id = await one.session.send(out)
    await until(lambda: len(one.heard.receipts) == 2)
    assert one.heard.states == ["delivered", "read"]
    assert {(r.message, r.provider_id) for r in one.heard.receipts} == {(out.id, provider_id)}
    never = MessageId(new_id())
    assert await one.session.find([Doubt(out.id), Doubt(never)]) == {
        out.id: Found(provider_id, Sending.READ),
        never: None,
    }


async def test_what_was_acknowledged_does_not_come_again(one: Held) -> None:
    ids = [one.say("first"), one.say("second")]
    await until(lambda: len(one.heard.inbound) == 2)
    assert [i.provider_id for i in one.heard.inbound] == ids
    one.session.acknowledge(ids[:1])
    await one.session.ping()
    _, heard = await one.open()
    await until(lambda: heard.texts == ["second"])
    assert heard.inbound[0].name == "Layla"


async def test_messages_that_waited_are_not_heard_before_the_session_is_in_hand(
    world: World, transport: Simulated
) -> None:
    secret, account = world.link(PHONE), number()
    world.say(Say(customer=LAYLA, account=PHONE, text="early"))
    heard = Heard()
    session = await transport.open(account, secret, heard)
    assert not heard.inbound
    await session.ping()
    assert heard.texts == ["early"]


async def test_an_owner_that_fails_to_hear_does_not_keep_others_from_hearing(one: Held) -> None:
    class Broken(Heard):
        def received(self, inbound: Inbound) -> None:
            raise RuntimeError("a bug")

    secret, account, broken = one.world.link("+966500000002"), number("+966500000002"), Broken()
    session = await one.transport.open(account, secret, broken)
    one.world.say(Say(customer=LAYLA, account="+966500000002", text="lost on you"))
    one.say("hello")
    await session.ping()
    assert one.heard.texts == ["hello"]


async def test_new_credentials_are_handed_over(one: Held) -> None:
    one.world.sessions.rotate(one.world.account(PHONE))
    await until(lambda: one.heard.secrets)
    assert one.heard.secrets == [one.world.account(PHONE).credentials]


async def test_a_session_that_was_closed_sends_nothing_and_hears_nothing(one: Held) -> None:
    await one.session.close()
    with pytest.raises(NotSent):
        await one.send()
    with pytest.raises(NotSent):
        await one.session.find([])
    with pytest.raises(ConnectionError):
        await one.session.ping()
    one.say("anybody?")
    session, heard = await one.open()
    await session.ping()
    assert heard.texts == ["anybody?"]
    assert not one.heard.texts
    assert not one.heard.ends


async def test_a_replaced_session_may_have_sent_and_find_tells(one: Held) -> None:
    one.fault("slow_answers")
    out = outgoing()
    sending = asyncio.create_task(one.session.send(out))
    await until(lambda: one.world.ledger()[0].sent)
    session, _ = await one.open()
    with pytest.raises(MaybeSent):
        await sending
    found = await session.find([Doubt(out.id)])
    assert found[out.id] is not None
    with pytest.raises(NotSent):
        await one.send()
    assert one.heard.reasons == ["replaced"]


async def test_no_future_is_left_when_the_connection_dies(one: Held) -> None:
    one.fault("silent")
    asked: list[asyncio.Task[object]] = [
        asyncio.create_task(one.send()),
        asyncio.create_task(one.session.ping()),
        asyncio.create_task(one.session.find([Doubt(MessageId(new_id()))])),
        asyncio.create_task(one.transport.link(number("+966500000009"), Heard())),
    ]
    await until(lambda: one.world.linking.phones)
    await one.transport.close()
    results = await asyncio.gather(*asked, return_exceptions=True)
    kinds = (MaybeSent, ConnectionError, NotSent, OpenError)
    assert [isinstance(r, kind) for r, kind in zip(results, kinds, strict=True)] == [True] * 4
    assert one.heard.reasons == ["network"]
    with pytest.raises(NotSent):
        await one.send()


async def test_a_send_that_never_left_this_process_was_not_sent(one: Held) -> None:
    sending = asyncio.create_task(one.send())
    await asyncio.sleep(0)
    await one.session.close()
    with pytest.raises(NotSent):
        await sending
    await (await one.open())[0].ping()
    assert one.world.ledger()[0].sent == 0


async def test_a_thousand_accounts_open_at_once(world: World, transport: Simulated) -> None:
    numbers = [number(f"+96650{i:07}") for i in range(1000)]
    secrets = [world.link(n.phone) for n in numbers]
    async with asyncio.timeout(20):
        sessions = await asyncio.gather(*(transport.open(n, s, Heard()) for n, s in zip(numbers, secrets, strict=True)))
        await asyncio.gather(*(s.ping() for s in sessions))
    assert world.status().online == 1000


async def test_an_unreachable_simulator_is_asked_again_later_not_at_once() -> None:
    world, tries = World(manners=QUICK), 0
    server = await serve(world, token="t")

    async def connected() -> Wire:
        nonlocal tries
        tries += 1
        return await connect("127.0.0.1", server.port, "t")

    async with Simulated(connected) as transport:
        one = await held(world, transport)
        await server.close()
        await until(lambda: one.heard.reasons == ["network"])
        refused = await asyncio.gather(*(one.open() for _ in range(50)), return_exceptions=True)
        assert {getattr(r, "reason", r) for r in refused} == {"network"}
        assert tries == 2
        later = max(r.until for r in refused if isinstance(r, OpenError) and r.until)
        await server.listen("127.0.0.1", server.port)
        await until(lambda: datetime.now(UTC) > later)
        session, _ = await one.open()
        assert tries == 3
        await session.close()
    await server.close()

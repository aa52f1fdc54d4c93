"""The transport and the stand-in of Twilio, both ways, over real HTTP."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from hashlib import sha256

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from tests.transports.heard import LAYLA, PHONE, QUICK, Heard

from wafleet.domain.ids import AccountId, MessageId, new_id
from wafleet.domain.inbound import Inbound, Receipt
from wafleet.domain.message import Content, Image, Location, Media, Sending, Template, Text
from wafleet.simulator.local import Local
from wafleet.simulator.orders import Say, StartFault
from wafleet.simulator.standins.server import answering
from wafleet.simulator.standins.twilio.api import listening
from wafleet.simulator.standins.twilio.service import Twilio as StandIn
from wafleet.simulator.wire import Wire
from wafleet.simulator.world import World
from wafleet.transports.base import Doubt, Found, MaybeSent, Number, OpenError, Outgoing, SendError
from wafleet.transports.calls import Call, Forged
from wafleet.transports.twilio import Twilio
from wafleet.transports.twilio.session import TwilioSession
from wafleet.transports.web import now

SID, TOKEN = "AC" + "1" * 32, "a token that is only for tests"
KEYS = json.dumps({"accountSid": SID, "authToken": TOKEN}).encode()
PICTURE = b"a picture, as far as anybody looks"


@dataclass
class Here:
    """This side of it all: what was called, and what came of it."""

    world: World
    standin: StandIn
    twilio: Twilio
    number: Number
    session: TwilioSession
    owner: Heard
    said: list[Inbound | Receipt] = field(default_factory=list[Inbound | Receipt])
    forged: int = 0

    @property
    def states(self) -> list[Sending]:
        return [one.state for one in self.said if isinstance(one, Receipt)]

    @property
    def inbound(self) -> list[Inbound]:
        return [one for one in self.said if isinstance(one, Inbound)]

    async def greeted(self) -> None:
        """Have the customer write first, so that anything may be answered."""
        self.world.say(Say(customer=LAYLA, account=PHONE, text="hello"))
        await until(lambda: self.inbound)

    async def sent(self, content: Content | None = None, link: str = "") -> str:
        return await self.session.send(Outgoing(MessageId(new_id()), LAYLA, content or Text("hi"), link=link))


async def until(met: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not met():  # noqa: ASYNC110 - anything may be waited for
            await asyncio.sleep(0.005)


@pytest.fixture
async def here() -> AsyncIterator[Here]:
    known: list[Here] = []

    async def called(request: Request) -> Response:
        if request.method == "GET":
            return Response(PICTURE, media_type="image/png")
        call = Call(
            "POST",
            str(request.url),
            dict(request.headers),
            await request.body(),
            request.path_params.get("message", ""),
        )
        try:
            known[0].twilio.check(call, KEYS, {})
        except Forged:
            known[0].forged += 1
            return Response(status_code=403)
        news = known[0].twilio.read(call, {})
        known[0].said += [one.what for one in news.said if isinstance(one.what, Inbound | Receipt)]
        return Response(news.answer, media_type=news.content_type)

    paths = ("/hooks/twilio/{account}", "/hooks/twilio/{account}/{message}", "/files/{name}")
    world = World(seed=1, manners=QUICK)

    async def connect() -> Wire:
        return Local(world)

    account = AccountId(new_id())
    app = Starlette(routes=[Route(path, called, methods=["GET", "POST"]) for path in paths])
    async with answering(app) as public:
        hook = f"{public}/hooks/twilio/{account}"
        standin = StandIn(connect, account_sid=SID, auth_token=TOKEN, webhook_url=hook, answer_s=1)
        async with listening(standin) as base, Twilio(public_url=public, answer_s=1.0) as twilio:
            sender = standin.add(PHONE)
            await standin.numbers.online(PHONE)
            number = Number(account, PHONE, {"twilio": {"url": base, "sender_sid": sender.sid}})
            owner = Heard()
            session = await twilio.open(number, KEYS, owner)
            known.append(Here(world, standin, twilio, number, session, owner))
            yield known[0]
            assert known[0].forged == 0


async def test_a_message_goes_out_and_its_receipts_name_it(here: Here) -> None:
    await here.greeted()
    out = Outgoing(MessageId(new_id()), LAYLA, Text("مرحبا 🏠 & a+b"))
    sid = await here.session.send(out)
    await until(lambda: {Sending.SENT, Sending.DELIVERED, Sending.READ} == set(here.states))
    assert {(one.message, one.provider_id) for one in here.said if isinstance(one, Receipt)} == {(out.id, sid)}


async def test_opening_tells_how_the_sender_stands(here: Here) -> None:
    assert [(one.kind, one.value) for one in here.owner.signs] == [
        ("status", "ONLINE"),
        ("quality", "HIGH"),
        ("limit", "10K Customers/24hr"),
    ]


async def test_a_customer_writes_and_sends_a_picture(here: Here) -> None:
    here.world.say(Say(customer=LAYLA, account=PHONE, text="كم السعر؟ 100% + 'tax'", name="ليلى"))
    await until(lambda: here.inbound)
    assert (here.inbound[0].content, here.inbound[0].name) == (Text("كم السعر؟ 100% + 'tax'"), "ليلى")
    file = here.standin.files.put(PICTURE)
    body = {"type": "image", "media": {"id": file, "mime": "image/png", "size": len(PICTURE)}, "caption": "this one"}
    here.world.say(Say(customer=LAYLA, account=PHONE, text="", body=body))
    await until(lambda: len(here.inbound) == 2)
    assert here.inbound[1].content == Image(Media("", "image/png"), "this one")
    assert await here.twilio.fetch(here.number, KEYS, here.inbound[1].file) == PICTURE


async def test_a_picture_is_fetched_from_us(here: Here) -> None:
    await here.greeted()
    link = f"{here.twilio._public}/files/a.png"
    await here.sent(Image(Media(sha256(PICTURE).hexdigest(), "image/png"), "look"), link)
    await until(lambda: Sending.DELIVERED in here.states)


@pytest.mark.parametrize("ill", ["500", "nonsense", "empty", "half", "never"])
async def test_an_answer_that_tells_nothing_is_cleared_up_by_asking(here: Here, ill: str) -> None:
    await here.greeted()
    here.world.start_fault(StartFault(account=PHONE, kind="ill_answers", detail=ill))
    out = Outgoing(MessageId(new_id()), LAYLA, Text("did it go out?"))
    since = now()
    with pytest.raises(MaybeSent):
        await here.session.send(out)
    found = await here.session.find([Doubt(out.id, out.to, out.content, since)])
    assert isinstance(found[out.id], Found)
    never = Doubt(MessageId(new_id()), LAYLA, Text("this never went out"), since)
    assert await here.session.find([never]) == {never.id: None}


@pytest.mark.parametrize("ahead_s", [-4, 4])
async def test_where_twilios_clock_differs_from_ours_no_message_is_called_absent(here: Here, ahead_s: float) -> None:
    await here.greeted()
    ours = here.standin.clock
    here.standin.clock = lambda: ours() + ahead_s
    here.world.start_fault(StartFault(account=PHONE, kind="ill_answers", detail="500"))
    out = Outgoing(MessageId(new_id()), LAYLA, Text("did it go out?"))
    since = now()
    with pytest.raises(MaybeSent):
        await here.session.send(out)
    assert (await here.session.find([Doubt(out.id, out.to, out.content, since)])).get(out.id, "unknown") is not None


async def test_outside_the_window_a_text_fails_with_the_reason(here: Here) -> None:
    await here.sent()
    await until(lambda: here.states)
    failed = [one for one in here.said if isinstance(one, Receipt) and one.state is Sending.FAILED]
    assert [one.reason for one in failed] == ["outside_window"]


async def test_an_approved_template_goes_out_at_any_time(here: Here) -> None:
    content = here.standin.contents.create(
        {"friendly_name": "welcome", "language": "en", "types": {"twilio/text": {"body": "Hello {{1}}"}}}, 0.0
    )
    content.status = "approved"
    [listed] = await here.session.templates()
    assert (listed["name"], listed["status"], listed["variables"]) == (content.sid, "approved", ["1"])
    out = Outgoing(MessageId(new_id()), LAYLA, Template(content.sid, variables={"1": "ليلى"}))
    since = now()
    sid = await here.session.send(out)
    await until(lambda: Sending.DELIVERED in here.states)
    again = Doubt(out.id, out.to, out.content, since)
    found = (await here.session.find([again]))[out.id]
    assert found is not None
    assert found.provider_id == sid


async def test_a_place_goes_out(here: Here) -> None:
    await here.greeted()
    await here.sent(Location(25.276987, 55.296249, name="Souk", address="Road 1"))
    await until(lambda: Sending.DELIVERED in here.states)


async def test_errors_on_demand_have_their_remedy(here: Here) -> None:
    await here.greeted()
    here.world.start_fault(StartFault(account=PHONE, kind="provider_error", detail="21610"))
    with pytest.raises(SendError) as caught:
        await here.sent()
    assert caught.value.reason == "recipient_refuses"


async def test_wrong_credentials_open_nothing(here: Here) -> None:
    with pytest.raises(OpenError) as caught:
        await here.twilio.open(here.number, KEYS.replace(b"only", b"just"), Heard())
    assert caught.value.reason == "credentials"

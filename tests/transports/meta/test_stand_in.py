"""A number at the stand-in of Meta: both sides of the Cloud API end to end, on the simulated network."""

import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from tests.transports.heard import LAYLA, PHONE, QUICK, Heard, until
from tests.transports.meta.posts import CREDENTIALS, SECRET, TOKEN, VERIFY, number

from wafleet.domain.ids import MessageId, new_id
from wafleet.domain.inbound import Inbound, Receipt
from wafleet.domain.message import (
    Buttons,
    Choice,
    Choices,
    ContactCard,
    Content,
    Document,
    Image,
    Location,
    Media,
    Option,
    Reaction,
    Template,
    Text,
    media,
)
from wafleet.simulator.local import Local
from wafleet.simulator.orders import Say, StartFault
from wafleet.simulator.standins.meta.api import listening
from wafleet.simulator.standins.meta.model import number_id
from wafleet.simulator.standins.meta.service import Meta as StandIn
from wafleet.simulator.standins.meta.service import Rules
from wafleet.simulator.standins.server import answering
from wafleet.simulator.wire import Wire
from wafleet.simulator.world import World
from wafleet.transports.base import (
    About,
    MaybeSent,
    Number,
    OpenError,
    Outgoing,
    RefusedAccount,
    RefusedContent,
    SendError,
    Throttled,
)
from wafleet.transports.calls import Call, Forged, Sign
from wafleet.transports.meta import Meta
from wafleet.transports.meta.session import MetaSession

WABA = "102290129340398"
OPTIONS = (Option("now", "Now"), Option("later", "Later"))


@dataclass
class Shop:
    """One number at Meta: its session, what its webhook was told, and the network behind."""

    world: World
    stand_in: StandIn
    meta: Meta
    number: Number
    heard: Heard = field(default_factory=Heard)
    news: list[Any] = field(default_factory=list[Any])
    forged: int = 0
    session: MetaSession | None = None

    async def called(self, request: Request) -> Response:
        """Take a call of Meta, as wafleet's own door does."""
        headers = {name.lower(): value for name, value in request.headers.items()}
        call = Call(request.method, str(request.url), headers, await request.body())
        try:
            self.meta.check(call, CREDENTIALS, self.number.settings)
        except Forged:
            self.forged += 1
            return Response(status_code=403)
        news = self.meta.read(call, self.number.settings)
        self.news += [one.what for one in news.said]
        return Response(news.answer, media_type=news.content_type)

    async def send(self, content: Content | str, *, about: About | None = None, file: bytes = b"") -> Outgoing:
        said = Text(content) if isinstance(content, str) else content
        out = Outgoing(MessageId(new_id()), LAYLA, said, about, file)
        assert self.session
        self.sent = await self.session.send(out)
        return out

    def write(self, text: str = "hello", **more: Any) -> None:
        self.world.say(Say(customer=LAYLA, account=PHONE, text=text, name="Layla", **more))

    async def greeted(self) -> Inbound:
        """Have the customer write first: that opens the window."""
        self.write()
        await until(lambda: self.inbound)
        return self.inbound[0]

    def fault(self, kind: str, **how: Any) -> None:
        self.world.start_fault(StartFault(account=PHONE, kind=kind, **how))

    @property
    def inbound(self) -> list[Inbound]:
        return [one for one in self.news if isinstance(one, Inbound)]

    def receipts(self, out: Outgoing) -> list[Receipt]:
        return [one for one in self.news if isinstance(one, Receipt) and one.message == out.id]

    def states(self, out: Outgoing) -> list[str]:
        return [one.state.value for one in self.receipts(out)]

    @property
    def crossed(self) -> int:
        return self.world.ledger(PHONE)[0].sent


@pytest.fixture
def rules() -> Rules:
    return Rules()


@pytest.fixture
async def shop(rules: Rules) -> AsyncIterator[Shop]:
    world = World(seed=1, manners=QUICK)

    async def connect() -> Wire:
        return Local(world)

    stand_in = StandIn(
        connect, access_token=TOKEN, app_secret=SECRET, verify_token=VERIFY, waba_id=WABA, rules=rules, answer_s=1
    )
    async with listening(stand_in) as base, Meta(url=base, answer_s=2) as meta:
        stand_in.add(PHONE, "The shop")
        await stand_in.numbers.online(PHONE)
        shop = Shop(world, stand_in, meta, number(PHONE, meta={"phone_number_id": number_id(PHONE), "waba_id": WABA}))
        app = Starlette(routes=[Route("/hook", shop.called, methods=["GET", "POST"])])
        async with answering(app) as url:
            assert await stand_in.subscribe(f"{url}/hook", VERIFY)
            shop.session = await meta.open(shop.number, CREDENTIALS, shop.heard)
            yield shop


async def test_a_customer_is_heard_and_answered_and_every_step_is_told(shop: Shop) -> None:
    said = await shop.greeted()
    assert (said.identity, said.name, said.content) == (LAYLA, "Layla", Text("hello"))
    out = await shop.send("what would you like? / ماذا تحب؟")
    await until(lambda: set(shop.states(out)) == {"sent", "delivered", "read"})  # some perhaps twice, as networks do
    assert {one.provider_id for one in shop.receipts(out)} == {shop.sent}
    assert shop.crossed == 1
    assert not shop.forged


@pytest.mark.parametrize(
    "content",
    [
        Location(25.2, 55.3, "Mall", "1 Main St"),
        ContactCard("Omar", "+971501112233"),
        Buttons("When?", OPTIONS, "Order", "Thanks"),
        Choices("When?", "Choose", OPTIONS),
    ],
    ids=lambda one: type(one).__name__,
)
async def test_every_kind_of_message_is_taken(shop: Shop, content: Content) -> None:
    await shop.greeted()
    out = await shop.send(content)
    await until(lambda: "delivered" in shop.states(out))


async def test_a_file_goes_out_and_one_comes_in(shop: Shop) -> None:
    await shop.greeted()
    file = b"%PDF-1.4 the menu"
    id = hashlib.sha256(file).hexdigest()
    out = await shop.send(Document(Media(id, "application/pdf", len(file), "menu.pdf"), "our menu"), file=file)
    await until(lambda: "delivered" in shop.states(out))
    picture = b"\x89PNG\r\n\x1a\n a picture"
    held = shop.stand_in.files.put(picture)
    shop.write("", body={"type": "image", "media": {"id": held, "mime": "image/png"}, "caption": "like this"})
    await until(lambda: len(shop.inbound) == 2)
    got = shop.inbound[1]
    assert isinstance(got.content, Image)
    assert got.content.caption == "like this"
    assert media(got.content) == Media("", "image/png")
    assert await shop.meta.fetch(shop.number, CREDENTIALS, got.file) == picture


async def test_a_file_of_a_type_that_meta_does_not_take_is_refused(shop: Shop) -> None:
    await shop.greeted()
    with pytest.raises(RefusedContent):
        await shop.send(Image(Media("f" * 64, "image/tiff", 4)), file=b"II*\0")
    assert shop.crossed == 0


async def test_a_choice_comes_back_as_the_answer_to_its_question(shop: Shop) -> None:
    await shop.greeted()
    asked = await shop.send(Buttons("When?", OPTIONS))
    await until(lambda: "delivered" in shop.states(asked))
    world_id = shop.stand_in.book.sent(shop.sent).world  # pyright: ignore[reportOptionalMemberAccess]
    shop.write("", body={"type": "choice", "option": "later", "title": "Later", "reply_to": world_id})
    await until(lambda: len(shop.inbound) == 2)
    got = shop.inbound[1]
    assert got.content == Choice("later", "Later")
    assert got.about == shop.sent


async def test_a_reaction_and_an_answer_name_the_customer_s_message(shop: Shop) -> None:
    said = await shop.greeted()
    about = About(said.provider_id, False, said.content)
    for content in (Reaction("ours", "👍"), Text("yes", "ours")):
        out = await shop.send(content, about=about)
        await until(lambda out=out: "sent" in shop.states(out))


async def test_reading_and_typing_are_shown(shop: Shop) -> None:
    said = await shop.greeted()
    assert shop.session
    await shop.session.typing(LAYLA, True, newest=said.provider_id)
    await shop.session.read(LAYLA, [said.provider_id])
    assert shop.stand_in.book.got(said.provider_id).read  # pyright: ignore[reportOptionalMemberAccess]


async def test_outside_the_window_only_a_template_goes_out(shop: Shop) -> None:
    body = [{"type": "BODY", "text": "Dear {{1}}, your order {{2}} is ready."}]
    shop.stand_in.templates.add("order_ready", "en_US", "UTILITY", body)
    late = await shop.send("are you there?")
    await until(lambda: shop.states(late) == ["failed"])
    assert shop.receipts(late)[0].reason == "outside_window"
    out = await shop.send(Template("order_ready", "en_US", {"1": "Layla", "2": "7"}))
    await until(lambda: "delivered" in shop.states(out))
    with pytest.raises(RefusedContent) as blanks:
        await shop.send(Template("order_ready", "en_US", {"1": "Layla"}))
    with pytest.raises(RefusedContent) as missing:
        await shop.send(Template("nowhere", "en_US"))
    assert (blanks.value.reason, missing.value.reason) == ("template_blanks", "template_missing")
    assert shop.session
    listed = {one["name"]: one for one in await shop.session.templates()}
    assert listed["order_ready"]["variables"] == ["1", "2"]


@pytest.mark.parametrize("answer", ["500", "nonsense", "empty", "half", "never"])
async def test_what_went_out_behind_an_ill_answer_is_settled_by_its_receipts(shop: Shop, answer: str) -> None:
    await shop.greeted()
    shop.fault("ill_answers", detail=answer)
    out = Outgoing(MessageId(new_id()), LAYLA, Text("did it go out?"))
    assert shop.session
    with pytest.raises(MaybeSent):
        await shop.session.send(out)
    await until(lambda: "delivered" in shop.states(out))
    assert shop.crossed == 1


@pytest.mark.parametrize(
    ("code", "wanted"),
    [("131042", RefusedAccount), ("80007", Throttled), ("131008", RefusedContent), ("131000", MaybeSent)],
)
async def test_errors_on_demand_are_named_by_their_codes(shop: Shop, code: str, wanted: type[SendError]) -> None:
    await shop.greeted()
    shop.fault("provider_error", detail=f"{code} now")
    with pytest.raises(wanted) as error:
        await shop.send("hello")
    assert code in error.value.detail
    assert shop.crossed == 0


@pytest.mark.parametrize("rules", [Rules(pair_burst=2, pair_s=60)])
async def test_too_much_for_one_person_is_throttled(shop: Shop) -> None:
    await shop.greeted()
    await shop.send("one")
    await shop.send("two")
    with pytest.raises(Throttled) as error:
        await shop.send("three")
    assert error.value.reason == "pair_rate"


async def test_a_banned_number_is_told_and_cannot_be_opened(shop: Shop) -> None:
    shop.fault("banned", seconds=60)
    await until(lambda: any(isinstance(one, Sign) and one.reason == "banned_for_good" for one in shop.news))
    with pytest.raises(OpenError) as error:
        await shop.meta.open(shop.number, CREDENTIALS, Heard())
    assert error.value.reason == "banned_for_good"


async def test_another_token_opens_nothing(shop: Shop) -> None:
    with pytest.raises(OpenError) as error:
        await shop.meta.open(shop.number, CREDENTIALS.replace(b"EAA", b"XYZ"), Heard())
    assert error.value.reason == "credentials"

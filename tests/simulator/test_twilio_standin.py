"""The stand-in of Twilio, used by Twilio's own client."""

# pyright: reportMissingTypeStubs=none

from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qsl

import httpx
import pytest
from tests.simulator.peer import LAYLA, ONE, TWO, fault
from tests.simulator.shops import Shop, aside, open_shop, until
from twilio.base.exceptions import TwilioRestException
from twilio.http.http_client import TwilioHttpClient
from twilio.request_validator import RequestValidator
from twilio.rest import Client

from wafleet.simulator.local import Local
from wafleet.simulator.manners import Manners
from wafleet.simulator.orders import Say
from wafleet.simulator.standins.twilio.api import listening
from wafleet.simulator.standins.twilio.service import Rules, Twilio
from wafleet.simulator.wire import Wire
from wafleet.simulator.world import World

SID, TOKEN = "AC" + "1" * 32, "a secret token"
PROMPT = Manners(login_s=(0, 0), answer_s=(0, 0), delivered_s=(0.05, 0.05), read_s=(0.02, 0.02), read_share=1.0)
FROM, TO = f"whatsapp:{ONE}", f"whatsapp:{LAYLA}"


class Elsewhere(TwilioHttpClient):
    """Twilio's HTTP client with another base URL: nothing else is changed."""

    def __init__(self, base: str) -> None:
        super().__init__(timeout=10)
        self.base = base
        assert self.session
        self.session.trust_env = False

    def request(self, method: str, url: str, *args: Any, **kwargs: Any) -> Any:
        _, _, rest = url.removeprefix("https://").partition("/")
        return super().request(method, f"{self.base}/{rest}", *args, **kwargs)


@pytest.fixture
def world() -> World:
    return World(seed=1, manners=PROMPT)


@pytest.fixture
async def shop() -> AsyncIterator[Shop]:
    async with open_shop() as shop:
        yield shop


@pytest.fixture
def rules() -> Rules:
    return Rules()


@pytest.fixture
async def twilio(world: World, shop: Shop, rules: Rules) -> AsyncIterator[Twilio]:
    async def connect() -> Wire:
        return Local(world)

    twilio = Twilio(connect, account_sid=SID, auth_token=TOKEN, webhook_url=f"{shop.url}/in", rules=rules, answer_s=1)
    async with listening(twilio):
        twilio.add(ONE)
        await twilio.numbers.online(ONE)
        yield twilio


@pytest.fixture
async def client(twilio: Twilio) -> AsyncIterator[Client]:
    http = Elsewhere(twilio.base)
    yield Client(SID, TOKEN, http_client=http)
    assert http.session
    http.session.close()


def forms(shop: Shop, path: str = "/in") -> list[dict[str, str]]:
    return [dict(parse_qsl(c.body.decode(), keep_blank_values=True)) for c in shop.calls if c.path == path]


def write(world: World, text: str = "hello", **more: Any) -> str:
    return world.say(Say(customer=LAYLA, account=ONE, text=text, **more))


async def greet(world: World, shop: Shop) -> None:
    """Have the customer write first, so that their window is open."""
    before = len(shop.calls)
    write(world)
    await until(lambda: len(shop.calls) > before)
    shop.calls.clear()


def refusal(failure: pytest.ExceptionInfo[TwilioRestException]) -> tuple[int, int | None]:
    return failure.value.status, failure.value.code


async def test_a_message_is_sent_fetched_and_told_step_by_step(
    world: World, shop: Shop, client: Client, twilio: Twilio
) -> None:
    await greet(world, shop)
    sent = await aside(
        lambda: client.messages.create(from_=FROM, to=TO, body="Table for two", status_callback=f"{shop.url}/status")
    )
    assert (sent.status, sent.body, sent.from_, sent.direction) == ("queued", "Table for two", FROM, "outbound-api")
    await until(lambda: len(shop.calls) == 3)
    assert {f["MessageStatus"] for f in forms(shop, "/status")} == {"sent", "delivered", "read"}
    assert {f["MessageSid"] for f in forms(shop, "/status")} == {sent.sid}
    fetched = await aside(lambda: client.messages(str(sent.sid)).fetch())
    assert (fetched.status, fetched.error_code) == ("read", None)
    assert [line.ref for line in world.refs(ONE)] == [bytes.fromhex(str(sent.sid)[2:])]
    assert twilio.tally.accepted == 1


async def test_what_a_customer_writes_comes_signed_and_counts_as_received_once_the_shop_took_it(
    world: World, shop: Shop, twilio: Twilio
) -> None:
    shop.statuses = [500]
    write(world, "كم السعر؟ 🏠 100% + tax & more", name="Layla")
    await until(lambda: shop.calls)
    form, call = forms(shop)[0], shop.calls[0]
    assert (form["Body"], form["ProfileName"], form["WaId"]) == ("كم السعر؟ 🏠 100% + tax & more", "Layla", LAYLA[1:])
    validator = RequestValidator(TOKEN)
    assert validator.validate(f"{shop.url}/in", form, call.headers["x-twilio-signature"])
    assert not validator.validate(f"{shop.url}/in", form | {"Body": "x"}, call.headers["x-twilio-signature"])
    await until(lambda: twilio.hooks.counts.refused == 1)
    assert world.ledger(ONE)[0].waiting == 1  # Twilio tries an answered webhook only once

    write(world, "second")
    await until(lambda: world.ledger(ONE)[0].received == 1)
    assert len(shop.calls) == 2


async def test_the_fragment_of_a_webhook_says_how_often_it_is_tried(world: World, shop: Shop, twilio: Twilio) -> None:
    twilio.webhook_url = f"{shop.url}/in#rc=3&rp=all"
    shop.statuses = [500, 502]
    write(world)
    await until(lambda: world.ledger(ONE)[0].received == 1)
    assert len(shop.calls) == 3
    assert len({c.headers["i-twilio-idempotency-token"] for c in shop.calls}) == 1


async def test_lists_are_paged_and_filtered(world: World, shop: Shop, client: Client) -> None:
    await greet(world, shop)
    for number in range(5):
        await aside(lambda n=number: client.messages.create(from_=FROM, to=TO, body=f"#{n}"))
    listed = await aside(lambda: client.messages.list(to=TO, from_=FROM, page_size=2))
    assert [m.body for m in listed] == ["#4", "#3", "#2", "#1", "#0"]
    inbound = await aside(lambda: client.messages.list(to=FROM))
    assert [(m.body, m.direction, m.status) for m in inbound] == [("hello", "inbound", "received")]
    assert listed[0].date_sent is not None
    later = await aside(lambda: client.messages.list(to=TO, date_sent_after="2099-01-01T00:00:00Z"))
    assert later == []
    await aside(lambda: client.messages(str(listed[0].sid)).delete())
    with pytest.raises(TwilioRestException) as missing:
        await aside(lambda: client.messages(str(listed[0].sid)).fetch())
    assert refusal(missing) == (404, 20404)


async def test_wrong_credentials_are_refused(twilio: Twilio) -> None:
    http = Elsewhere(twilio.base)
    stranger = Client(SID, "wrong", http_client=http)
    with pytest.raises(TwilioRestException) as refused:
        await aside(lambda: stranger.messages("SM" + "0" * 32).fetch())
    assert refusal(refused) == (401, 20003)
    assert http.session
    http.session.close()


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({"from_": FROM, "to": "whatsapp:+1555", "body": "x"}, 21211),
        ({"to": TO, "body": "x"}, 21603),
        ({"from_": f"whatsapp:{TWO}", "to": TO, "body": "x"}, 63007),
        ({"from_": FROM, "to": FROM, "body": "x"}, 63031),
        ({"from_": FROM, "to": TO}, 21619),
        ({"from_": FROM, "to": TO, "body": "x" * 1601}, 21617),
        ({"from_": FROM, "to": TO, "body": "x", "status_callback": "nowhere"}, 21609),
        ({"from_": FROM, "to": TO, "media_url": ["ftp://a/b"]}, 21620),
        ({"from_": FROM, "to": TO, "content_sid": "HX" + "0" * 32}, 21655),
    ],
)
async def test_what_can_never_be_sent_is_refused_at_once(client: Client, asked: dict[str, Any], code: int) -> None:
    with pytest.raises(TwilioRestException) as refused:
        await aside(lambda: client.messages.create(**asked))
    assert refusal(refused) == (400, code)


async def test_outside_the_window_a_text_fails_later_and_an_approved_template_passes(
    world: World, shop: Shop, client: Client
) -> None:
    late = await aside(
        lambda: client.messages.create(from_=FROM, to=TO, body="hi", status_callback=f"{shop.url}/status")
    )
    assert late.status == "queued"
    await until(lambda: shop.calls)
    assert (forms(shop, "/status")[0]["MessageStatus"], forms(shop, "/status")[0]["ErrorCode"]) == ("failed", "63016")
    async with httpx.AsyncClient(base_url=client.http_client.base, auth=(SID, TOKEN)) as http:  # pyright: ignore
        words = {"friendly_name": "order", "language": "en", "variables": {"1": "you"}}
        made = await http.post(
            "/v1/Content", json={**words, "types": {"twilio/text": {"body": "Ready, {{1}}: order {{2}}"}}}
        )
        assert made.status_code == 201
        await http.post(
            f"/v1/Content/{made.json()['sid']}/ApprovalRequests/whatsapp", json={"name": "order", "category": "UTILITY"}
        )
    content = made.json()["sid"]
    sent = await aside(
        lambda: client.messages.create(from_=FROM, to=TO, content_sid=content, content_variables='{"2": "7"}')
    )
    assert sent.body == "Ready, you: order 7"
    listed = await aside(lambda: client.content.v1.content_and_approvals.list())
    assert [(c.sid, (c.approval_requests or {}).get("status")) for c in listed] == [(content, "approved")]
    assert world.ledger(ONE)[0].sent == 1


async def test_files_cross_in_both_directions(world: World, shop: Shop, client: Client, twilio: Twilio) -> None:
    await greet(world, shop)
    shop.files["/menu.pdf"] = (b"%PDF the menu", "application/pdf")
    sent = await aside(
        lambda: client.messages.create(from_=FROM, to=TO, body="The menu", media_url=[f"{shop.url}/menu.pdf"])
    )
    assert str(sent.sid).startswith("MM")
    await until(lambda: world.ledger(ONE)[0].sent == 1)
    listed = await aside(lambda: client.messages(str(sent.sid)).media.list())
    assert [m.content_type for m in listed] == ["application/pdf"]

    async with httpx.AsyncClient(base_url=twilio.base, auth=(SID, TOKEN), follow_redirects=True) as http:
        where = {"customer": LAYLA, "account": ONE, "text": "our table"}
        jpeg = {"Content-Type": "image/jpeg"}
        await http.post("/_standin/say", params=where, content=b"a photo", headers=jpeg)
        await until(lambda: forms(shop))
        form = forms(shop)[0]
        assert (form["NumMedia"], form["MediaContentType0"], form["Body"]) == ("1", "image/jpeg", "our table")
        assert (await http.get(form["MediaUrl0"])).content == b"a photo"
        assert (await http.get(form["MediaUrl0"], auth=("x", "y"))).status_code == 401


async def test_a_file_that_cannot_be_fetched_fails_later(world: World, shop: Shop, client: Client) -> None:
    await greet(world, shop)
    callback = f"{shop.url}/status"
    await aside(
        lambda: client.messages.create(from_=FROM, to=TO, media_url=[f"{shop.url}/gone"], status_callback=callback)
    )
    await until(lambda: forms(shop, "/status"))
    assert forms(shop, "/status")[0]["ErrorCode"] == "63019"


async def test_a_place_and_an_answer_to_a_question_arrive_as_such(
    world: World, shop: Shop, client: Client, twilio: Twilio
) -> None:
    await greet(world, shop)
    await aside(lambda: client.messages.create(from_=FROM, to=TO, persistent_action=["geo:25.2,55.3|Here"]))
    asked = twilio.contents.create(
        {"types": {"twilio/quick-reply": {"body": "Coming?", "actions": [{"id": "y", "title": "Yes"}]}}}, 0
    )
    question = await aside(lambda: client.messages.create(from_=FROM, to=TO, content_sid=asked.sid))
    await until(lambda: twilio.book.get(str(question.sid)).status == "read")  # pyright: ignore
    known = twilio.book.get(str(question.sid))
    assert known
    write(world, "", body={"type": "choice", "option": "y", "title": "Yes", "reply_to": known.world})
    write(world, "", body={"type": "location", "latitude": 25.5, "longitude": 55.5, "name": "Home"})
    await until(lambda: len(forms(shop)) == 2)
    answer, place = forms(shop)
    assert (answer["ButtonPayload"], answer["Body"], answer["OriginalRepliedMessageSid"]) == ("y", "Yes", question.sid)
    assert (place["Latitude"], place["Longitude"], place["Label"]) == ("25.5", "55.5", "Home")


async def test_senders_are_registered_changed_and_go_offline_when_whatsapp_bans_them(
    world: World, client: Client, shop: Shop, twilio: Twilio
) -> None:
    async with httpx.AsyncClient(base_url=twilio.base, auth=(SID, TOKEN)) as http:
        made = await http.post(
            "/v2/Channels/Senders",
            json={"sender_id": f"whatsapp:{TWO}", "webhook": {"callback_url": f"{shop.url}/two"}},
        )
        assert made.status_code == 201
        await twilio.numbers.online(TWO)
        sender = await aside(lambda: client.messaging.v2.channels_senders(made.json()["sid"]).fetch())
        assert str(sender.status) == "ONLINE"
        world.say(Say(customer=LAYLA, account=TWO, text="to the second"))
        await until(lambda: forms(shop, "/two"))
        fault(world, "banned", TWO)
        await until(lambda: twilio.senders[TWO].status == "OFFLINE")
        shown = (await http.get(f"/v2/Channels/Senders/{made.json()['sid']}")).json()
    assert shown["offline_reasons"][0]["code"] == "63112"
    assert shown["properties"] == {"quality_rating": "HIGH", "messaging_limit": "10K Customers/24hr"}


async def test_errors_on_demand_come_at_once_or_later_as_twilio_does(
    world: World, shop: Shop, client: Client, twilio: Twilio
) -> None:
    await greet(world, shop)
    fault(world, "provider_error", detail="63024")
    callback = f"{shop.url}/status"
    await aside(lambda: client.messages.create(from_=FROM, to=TO, body="x", status_callback=callback))
    await until(lambda: forms(shop, "/status"))
    assert forms(shop, "/status")[0]["ErrorCode"] == "63024"
    fault(world, "provider_error", detail="21610")
    with pytest.raises(TwilioRestException) as refused:
        await aside(lambda: client.messages.create(from_=FROM, to=TO, body="x"))
    assert refusal(refused) == (400, 21610)
    fault(world, "provider_error", detail="63099 now")
    with pytest.raises(TwilioRestException) as strange:
        await aside(lambda: client.messages.create(from_=FROM, to=TO, body="x"))
    assert strange.value.code == 63099
    assert world.ledger(ONE)[0].sent == 0


@pytest.mark.parametrize("kind", ["500", "nonsense", "half", "never"])
async def test_an_ill_answer_follows_a_message_that_went_out_and_its_callbacks_settle_it(
    world: World, shop: Shop, twilio: Twilio, kind: str
) -> None:
    await greet(world, shop)
    fault(world, "ill_answers", detail=kind)
    form = {"From": FROM, "To": TO, "Body": "x", "StatusCallback": f"{shop.url}/status"}
    async with httpx.AsyncClient(base_url=twilio.base, auth=(SID, TOKEN), timeout=0.3) as http:
        with pytest.raises((httpx.HTTPError, ValueError)):
            (await http.post(f"/2010-04-01/Accounts/{SID}/Messages.json", data=form)).raise_for_status().json()
    await until(lambda: len(forms(shop, "/status")) == 3)
    assert {f["MessageStatus"] for f in forms(shop, "/status")} == {"sent", "delivered", "read"}
    assert (world.ledger(ONE)[0].sent, twilio.tally.ill) == (1, 1)


async def test_lost_answers_end_in_a_server_error(world: World, shop: Shop, client: Client) -> None:
    await greet(world, shop)
    fault(world, "lost_answers")
    with pytest.raises(TwilioRestException) as failed:
        await aside(lambda: client.messages.create(from_=FROM, to=TO, body="x"))
    assert failed.value.status == 500
    assert world.ledger(ONE)[0].sent == 1


async def test_a_throttled_network_says_how_long_to_wait(world: World, shop: Shop, twilio: Twilio) -> None:
    await greet(world, shop)
    fault(world, "throttled", seconds=3.0)
    form = {"From": FROM, "To": TO, "Body": "x"}
    async with httpx.AsyncClient(base_url=twilio.base, auth=(SID, TOKEN)) as http:
        answer = await http.post(f"/2010-04-01/Accounts/{SID}/Messages.json", data=form)
    assert (answer.status_code, answer.json()["code"], answer.headers["Retry-After"]) == (429, 20429, "3")


@pytest.mark.parametrize("rules", [Rules(per_s=3)])
async def test_a_sender_is_throttled_when_it_sends_too_fast(
    world: World, shop: Shop, client: Client, twilio: Twilio
) -> None:
    await greet(world, shop)
    for _ in range(3):
        await aside(lambda: client.messages.create(from_=FROM, to=TO, body="x"))
    with pytest.raises(TwilioRestException) as refused:
        await aside(lambda: [client.messages.create(from_=FROM, to=TO, body="x") for _ in range(20)])
    assert refusal(refused) == (429, 20429)
    async with httpx.AsyncClient(base_url=twilio.base) as http:
        counts = (await http.get("/_standin")).json()
    assert counts["sends"]["throttled"] == 1


async def test_receipts_come_twice_when_the_network_repeats_them(world: World, shop: Shop, client: Client) -> None:
    await greet(world, shop)
    fault(world, "receipts_repeated")
    callback = f"{shop.url}/status"
    await aside(lambda: client.messages.create(from_=FROM, to=TO, body="x", status_callback=callback))
    await until(lambda: len(forms(shop, "/status")) == 5)
    told = sorted(f["MessageStatus"] for f in forms(shop, "/status"))
    assert told == ["delivered", "delivered", "read", "read", "sent"]


async def test_any_sender_of_a_messaging_service_may_send(world: World, shop: Shop, client: Client) -> None:
    await greet(world, shop)
    service = "MG" + "2" * 32
    sent = await aside(lambda: client.messages.create(messaging_service_sid=service, to=TO, body="x"))
    assert (sent.status, sent.messaging_service_sid) == ("accepted", service)
    assert world.ledger(ONE)[0].sent == 1

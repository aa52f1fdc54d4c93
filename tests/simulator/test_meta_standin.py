"""The stand-in of Meta's Cloud API, used by an independent client."""

# pyright: reportMissingTypeStubs=none, reportMissingParameterType=none

import hashlib
import json
from base64 import b64decode
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
from pywa.client import WhatsApp
from pywa.errors import (
    ExpiredAccessToken,
    InvalidParameter,
    RateLimitHit,
    ReEngagementMessage,
    TemplateNotExists,
    TemplateParamCountMismatch,
    TooManyMessages,
    WhatsAppError,
)
from pywa.types.callback import Button, Section, SectionList, SectionRow
from pywa.types.message import Message
from pywa.types.message_status import MessageStatus
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from tests.simulator.peer import LAYLA, OMAR, ONE, fault
from tests.simulator.shops import Shop, aside, open_shop, until

from wafleet.simulator.local import Local
from wafleet.simulator.manners import Manners
from wafleet.simulator.orders import Say
from wafleet.simulator.standins.meta.api import listening
from wafleet.simulator.standins.meta.model import number_id
from wafleet.simulator.standins.meta.service import Meta, Rules
from wafleet.simulator.wire import Wire
from wafleet.simulator.world import World

TOKEN, SECRET, VERIFY, WABA = "a bearer token", "an app secret", "a word we agreed on", "102290129340398"
PROMPT = Manners(login_s=(0, 0), answer_s=(0, 0), delivered_s=(0.05, 0.05), read_s=(0.02, 0.02), read_share=1.0)
ID, TO = number_id(ONE), LAYLA[1:]


@pytest.fixture
def world() -> World:
    return World(seed=1, manners=PROMPT)


@pytest.fixture
async def shop() -> AsyncIterator[Shop]:
    async with open_shop() as shop:
        shop.challenge = _challenge
        yield shop


def _challenge(request: Request) -> Response:
    asked = request.query_params
    known = asked.get("hub.mode") == "subscribe" and asked.get("hub.verify_token") == VERIFY
    return PlainTextResponse(asked.get("hub.challenge", "") if known else "no", 200 if known else 403)


@pytest.fixture
def rules() -> Rules:
    return Rules()


@pytest.fixture
async def meta(world: World, shop: Shop, rules: Rules) -> AsyncIterator[Meta]:
    async def connect() -> Wire:
        return Local(world)

    meta = Meta(
        connect, access_token=TOKEN, app_secret=SECRET, verify_token=VERIFY, waba_id=WABA, rules=rules, answer_s=1
    )
    async with listening(meta):
        meta.add(ONE, "The shop")
        await meta.numbers.online(ONE)
        assert await meta.subscribe(f"{shop.url}/hook", VERIFY)
        yield meta


@pytest.fixture
async def client(meta: Meta) -> AsyncIterator[WhatsApp]:
    """The client as it is, with another base URL."""
    with httpx.Client(timeout=10, trust_env=False) as session:
        client = WhatsApp(
            ID,
            TOKEN,
            session=session,
            server=None,
            waba_id=WABA,
            app_secret=SECRET,
            verify_token=VERIFY,
            skip_duplicate_updates=False,
        )
        session.base_url = f"{meta.base}/v23.0"
        yield client


@pytest.fixture
async def http(meta: Meta) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with httpx.AsyncClient(base_url=f"{meta.base}/v23.0", headers=headers, timeout=5) as http:
        yield http


def changes(shop: Shop) -> list[dict[str, Any]]:
    return [c for call in shop.calls for entry in json.loads(call.body)["entry"] for c in entry["changes"]]


def statuses(shop: Shop) -> list[dict[str, Any]]:
    return [s for c in changes(shop) for s in c["value"].get("statuses", [])]


def messages(shop: Shop) -> list[dict[str, Any]]:
    return [m for c in changes(shop) for m in c["value"].get("messages", [])]


def write(world: World, text: str = "hello", **more: Any) -> str:
    return world.say(Say(customer=LAYLA, account=ONE, text=text, **more))


async def greet(world: World, shop: Shop) -> str:
    """Have the customer write first, so that their window is open; return Meta's name of it."""
    write(world)
    await until(lambda: messages(shop))
    wamid = messages(shop)[0]["id"]
    shop.calls.clear()
    return wamid


def text(words: str = "x", **more: Any) -> dict[str, Any]:
    return {"messaging_product": "whatsapp", "to": TO, "type": "text", "text": {"body": words}, **more}


async def test_a_message_is_sent_and_told_step_by_step(world: World, shop: Shop, client: WhatsApp, meta: Meta) -> None:
    await greet(world, shop)
    sent = await aside(lambda: client.send_message(LAYLA, "Table for two", tracker="our own id"))
    assert sent.id.startswith("wamid.")
    await until(lambda: len(statuses(shop)) == 3)
    assert {s["status"] for s in statuses(shop)} == {"sent", "delivered", "read"}
    assert {s["id"] for s in statuses(shop)} == {sent.id}
    assert {s["biz_opaque_callback_data"] for s in statuses(shop)} == {"our own id"}
    assert {s["recipient_id"] for s in statuses(shop)} == {TO}
    assert world.ledger(ONE)[0].sent == 1
    assert meta.tally.accepted == 1


async def test_webhooks_are_signed_over_their_bytes_and_understood_by_the_client(
    world: World, shop: Shop, client: WhatsApp
) -> None:
    got: list[Message] = []
    client.on_message(lambda _, message: got.append(message))
    write(world, "كم السعر؟ 🏠 1/2", name="Layla")
    await until(lambda: messages(shop))
    call = shop.calls[0]
    assert b"\\/" in call.body
    assert call.body.isascii()
    assert client.webhook_update_validator(call.body, call.headers["x-hub-signature-256"]) is None
    refused = client.webhook_update_validator(call.body + b" ", call.headers["x-hub-signature-256"])
    assert refused is not None
    assert await aside(lambda: client.webhook_update_handler(call.body)) == ("ok", 200)
    assert [(m.text, m.from_user.wa_id, m.from_user.name) for m in got] == [("كم السعر؟ 🏠 1/2", TO, "Layla")]


async def test_statuses_are_understood_by_the_client(world: World, shop: Shop, client: WhatsApp) -> None:
    got: list[MessageStatus[Any]] = []
    client.on_message_status(lambda _, status: got.append(status))
    await aside(lambda: client.send_message(LAYLA, "too late"))
    await until(lambda: statuses(shop))
    for call in shop.calls:
        client.webhook_update_handler(call.body)
    assert [s.status.value for s in got] == ["failed"]
    assert isinstance(got[0].error, ReEngagementMessage)


async def test_a_webhook_that_fails_hears_the_same_again_and_the_message_waits_until_then(
    world: World, shop: Shop, meta: Meta
) -> None:
    shop.statuses = [500]
    write(world, "first")
    await until(lambda: shop.calls)
    write(world, "second")
    assert world.ledger(ONE)[0].received == 0
    await until(lambda: world.ledger(ONE)[0].received == 2)
    assert [m["text"]["body"] for m in messages(shop)] == ["first", "first", "second"]


async def test_what_happens_while_a_webhook_is_busy_comes_in_one_call(world: World, shop: Shop, meta: Meta) -> None:
    for number in range(50):
        write(world, f"#{number}")
    await until(lambda: world.ledger(ONE)[0].received == 50)
    assert [m["text"]["body"] for m in messages(shop)] == [f"#{n}" for n in range(50)]
    assert len(shop.calls) < 25


async def test_a_webhook_must_answer_the_challenge(shop: Shop, meta: Meta, http: httpx.AsyncClient) -> None:
    wrong = {"override_callback_uri": f"{shop.url}/other", "verify_token": "something else"}
    refused = await http.post(f"/{ID}", json={"webhook_configuration": wrong})
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, 100)
    right = {"override_callback_uri": f"{shop.url}/own", "verify_token": VERIFY}
    assert (await http.post(f"/{ID}", json={"webhook_configuration": right})).json() == {"success": True}
    assert meta.phones[ID].webhook == f"{shop.url}/own"


async def test_a_wrong_token_is_refused(meta: Meta) -> None:
    def ask() -> object:
        with httpx.Client(timeout=10) as session:
            stranger = WhatsApp(ID, "wrong", session=session, server=None, filter_updates=False)
            session.base_url = f"{meta.base}/v23.0"
            return stranger.get_business_phone_number()

    with pytest.raises(ExpiredAccessToken) as refused:
        await aside(ask)
    assert refused.value.raw_response is not None
    assert refused.value.raw_response.status_code == 401


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({"messaging_product": "sms"}, 100),
        ({"to": ""}, 131008),
        ({"to": "12"}, 131009),
        ({"to": ONE}, 131021),
        ({"type": "poll"}, 100),
        ({"text": {"body": ""}}, 131008),
        ({"text": {"body": "x" * 4097}}, 100),
        ({"type": "image", "image": {"id": "1", "link": "http://a"}}, 131009),
        ({"type": "reaction", "reaction": {"message_id": "wamid.unknown", "emoji": "x"}}, 131009),
        ({"type": "template", "template": {"name": "none", "language": {"code": "en"}}}, 132001),
        ({"type": "location", "location": {"latitude": "north"}}, 131009),
    ],
)
async def test_what_can_never_be_sent_is_refused_at_once(
    world: World, shop: Shop, http: httpx.AsyncClient, asked: dict[str, Any], code: int
) -> None:
    await greet(world, shop)
    answer = await http.post(f"/{ID}/messages", json=text() | asked)
    error = answer.json()["error"]
    assert answer.status_code in {400, 404}
    assert (error["code"], error["type"]) == (code, "OAuthException")
    assert {"message", "fbtrace_id"} <= set(error)


async def test_questions_and_their_answers_cross(world: World, shop: Shop, client: WhatsApp, meta: Meta) -> None:
    await greet(world, shop)
    asked = await aside(
        lambda: client.send_message(LAYLA, "Coming?", buttons=[Button("Yes", "y"), Button("No", "n")], footer="Thanks")
    )
    rows = [SectionRow("Two rooms", "opt_2", "with a view")]
    rooms = SectionList("Choose", [Section("Rooms", rows)])
    listed = await aside(lambda: client.send_message(LAYLA, "Which?", buttons=rooms))
    world_names = [meta.book.world_of(asked.id), meta.book.world_of(listed.id)]
    write(world, "", body={"type": "choice", "option": "y", "title": "Yes", "reply_to": world_names[0]})
    write(world, "", body={"type": "choice", "option": "opt_2", "title": "Two rooms", "reply_to": world_names[1]})
    await until(lambda: len(messages(shop)) == 2)
    first, second = messages(shop)
    assert first["interactive"] == {"type": "button_reply", "button_reply": {"id": "y", "title": "Yes"}}
    assert (first["context"]["id"], second["context"]["id"]) == (asked.id, listed.id)
    assert second["interactive"]["list_reply"] == {"id": "opt_2", "title": "Two rooms"}


async def test_replies_reactions_places_cards_and_read_marks_are_taken(
    world: World, shop: Shop, client: WhatsApp, meta: Meta
) -> None:
    wamid = await greet(world, shop)
    await aside(lambda: client.send_message(LAYLA, "Yes", reply_to_message_id=wamid))
    await aside(lambda: client.send_reaction(LAYLA, "👍", wamid))
    await aside(lambda: client.send_location(LAYLA, 25.2, 55.3, "Here", "A road"))
    await aside(lambda: client.mark_message_as_read(wamid))
    await aside(lambda: client.indicate_typing(wamid))
    assert world.ledger(ONE)[0].sent == 3
    got = meta.book.got(wamid)
    assert got is not None
    assert got.read
    with pytest.raises(InvalidParameter):
        await aside(lambda: client.mark_message_as_read("wamid.unknown"))


async def test_files_are_uploaded_sent_and_fetched(
    world: World, shop: Shop, client: WhatsApp, http: httpx.AsyncClient, meta: Meta
) -> None:
    await greet(world, shop)
    await aside(lambda: client.send_image(LAYLA, b"a picture", caption="Look", mime_type="image/png"))
    shop.files["/menu.pdf"] = (b"%PDF", "application/pdf")
    linked = {"type": "document", "document": {"link": f"{shop.url}/menu.pdf", "filename": "menu.pdf"}}
    assert (await http.post(f"/{ID}/messages", json=text() | linked)).status_code == 200
    await until(lambda: world.ledger(ONE)[0].sent == 2)

    where = {"customer": LAYLA, "account": ONE, "text": "our table"}
    said = await http.post(
        f"{meta.base}/_standin/say", params=where, content=b"a photo", headers={"Content-Type": "image/jpeg"}
    )
    assert said.status_code == 200
    await until(lambda: messages(shop))
    image = messages(shop)[0]["image"]
    assert (image["caption"], image["mime_type"]) == ("our table", "image/jpeg")
    assert b64decode(image["sha256"]) == hashlib.sha256(b"a photo").digest()
    about = await aside(lambda: client.get_media_url(image["id"]))
    assert (about.file_size, about.sha256) == (7, hashlib.sha256(b"a photo").hexdigest())
    assert await aside(lambda: client.get_media_bytes(about.url)) == b"a photo"
    async with httpx.AsyncClient() as stranger:
        assert (await stranger.get(about.url)).status_code == 401
    refused = await http.post(
        f"/{ID}/media", data={"messaging_product": "whatsapp", "type": "a/b"}, files={"file": ("x", b"x", "a/b")}
    )
    assert refused.json()["error"]["code"] == 100


async def test_a_linked_file_that_cannot_be_fetched_fails_later(
    world: World, shop: Shop, http: httpx.AsyncClient
) -> None:
    await greet(world, shop)
    await http.post(f"/{ID}/messages", json=text() | {"type": "image", "image": {"link": f"{shop.url}/gone"}})
    await until(lambda: statuses(shop))
    assert (statuses(shop)[0]["status"], statuses(shop)[0]["errors"][0]["code"]) == ("failed", 131053)


async def test_templates_are_listed_in_pages_and_sent_outside_the_window(
    world: World, shop: Shop, http: httpx.AsyncClient, client: WhatsApp
) -> None:
    for number in range(3):
        example = {"body_text": [["7", "Layla"]]}
        body = {"type": "BODY", "text": "Order {{1}} is ready, {{2}}", "example": example}
        made = {"name": f"order_{number}", "language": "en", "category": "UTILITY", "components": [body]}
        assert (await http.post(f"/{WABA}/message_templates", json=made)).json()["status"] == "APPROVED"
    found = await aside(lambda: client.get_templates())
    assert [t.name for t in found] == ["hello_world", "order_0", "order_1", "order_2"]
    first = (await http.get(f"/{WABA}/message_templates", params={"limit": 3})).json()
    rest = (await http.get(first["paging"]["next"])).json()
    assert (len(first["data"]), [t["name"] for t in rest["data"]], "next" in rest["paging"]) == (3, ["order_2"], False)

    def template(*words: str) -> dict[str, Any]:
        parameters = [{"type": "text", "text": w} for w in words]
        parts = [{"type": "body", "parameters": parameters}]
        named = {"name": "order_1", "language": {"code": "en"}, "components": parts}
        return text() | {"type": "template", "template": named}

    assert (await http.post(f"/{ID}/messages", json=template("7", "Layla"))).status_code == 200
    assert world.ledger(ONE)[0].sent == 1
    wrong = (await http.post(f"/{ID}/messages", json=template("7"))).json()["error"]
    assert WhatsAppError.from_dict(wrong).__class__ is TemplateParamCountMismatch
    events = [c for c in changes(shop) if c["field"] == "message_template_status_update"]
    assert len(events) == 3


async def test_numbers_show_quality_and_limits(client: WhatsApp, http: httpx.AsyncClient) -> None:
    number = await aside(lambda: client.get_business_phone_number())
    assert (number.id, number.quality_rating, number.status) == (ID, "GREEN", "CONNECTED")
    assert number.whatsapp_business_manager_messaging_limit == "TIER_10K"
    few = (await http.get(f"/{ID}", params={"fields": "quality_rating"})).json()
    assert few == {"quality_rating": "GREEN", "id": ID}
    assert (await http.get("/999")).json()["error"]["code"] == 33


@pytest.mark.parametrize(
    ("rules", "count", "error"),
    [(Rules(per_s=3), 4, RateLimitHit), (Rules(pair_burst=2), 3, TooManyMessages)],
)
async def test_who_sends_too_fast_is_throttled(
    world: World, shop: Shop, client: WhatsApp, meta: Meta, count: int, error: type[WhatsAppError]
) -> None:
    await greet(world, shop)
    with pytest.raises(error):
        await aside(lambda: [client.send_message(LAYLA, "x") for _ in range(count + 10)])
    assert meta.tally.throttled == 1
    assert meta.tally.accepted >= count - 1


@pytest.mark.parametrize("rules", [Rules(people_a_day=1)])
async def test_only_so_many_people_are_written_to_first(http: httpx.AsyncClient) -> None:
    hello = {"type": "template", "template": {"name": "hello_world", "language": {"code": "en_US"}}}
    assert (await http.post(f"/{ID}/messages", json=text() | hello)).status_code == 200
    refused = await http.post(f"/{ID}/messages", json=text() | hello | {"to": OMAR})
    assert refused.json()["error"]["code"] == 131048


async def test_errors_on_demand_come_at_once_or_later_as_meta_does(
    world: World, shop: Shop, client: WhatsApp, http: httpx.AsyncClient
) -> None:
    await greet(world, shop)
    fault(world, "provider_error", detail="131026")
    await aside(lambda: client.send_message(LAYLA, "x"))
    await until(lambda: statuses(shop))
    assert statuses(shop)[0]["errors"][0]["code"] == 131026
    fault(world, "provider_error", detail="132001")
    with pytest.raises(TemplateNotExists):
        await aside(lambda: client.send_message(LAYLA, "x"))
    fault(world, "provider_error", detail="131047 now")
    assert (await http.post(f"/{ID}/messages", json=text())).json()["error"]["code"] == 131047
    assert world.ledger(ONE)[0].sent == 0


@pytest.mark.parametrize("kind", ["500", "nonsense", "half", "never"])
async def test_an_ill_answer_follows_a_message_that_went_out_and_its_statuses_settle_it(
    world: World, shop: Shop, http: httpx.AsyncClient, meta: Meta, kind: str
) -> None:
    await greet(world, shop)
    fault(world, "ill_answers", detail=kind)
    with pytest.raises((httpx.HTTPError, ValueError)):
        (
            await http.post(f"/{ID}/messages", json=text(biz_opaque_callback_data="ours"), timeout=0.3)
        ).raise_for_status().json()
    await until(lambda: len(statuses(shop)) == 3)
    assert {s["biz_opaque_callback_data"] for s in statuses(shop)} == {"ours"}
    assert (world.ledger(ONE)[0].sent, meta.tally.ill) == (1, 1)


async def test_lost_answers_end_in_a_server_error(world: World, shop: Shop, http: httpx.AsyncClient) -> None:
    await greet(world, shop)
    fault(world, "lost_answers")
    assert (await http.post(f"/{ID}/messages", json=text())).status_code == 500
    assert world.ledger(ONE)[0].sent == 1


async def test_a_ban_is_told_and_refuses_messages(
    world: World, shop: Shop, http: httpx.AsyncClient, client: WhatsApp, meta: Meta
) -> None:
    await greet(world, shop)
    fault(world, "banned")
    await until(lambda: changes(shop))
    assert changes(shop)[0]["field"] == "account_update"
    assert changes(shop)[0]["value"]["ban_info"]["waba_ban_state"] == "DISABLE"
    answer = await http.post(f"/{ID}/messages", json=text())
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, 131031)
    assert (await aside(lambda: client.get_business_phone_number())).status == "BANNED"


async def test_a_throttled_network_says_how_long_to_wait(world: World, shop: Shop, http: httpx.AsyncClient) -> None:
    await greet(world, shop)
    fault(world, "throttled", seconds=3.0)
    answer = await http.post(f"/{ID}/messages", json=text())
    assert (answer.status_code, answer.json()["error"]["code"], answer.headers["Retry-After"]) == (429, 80007, "3")


async def test_customers_react_change_their_words_and_send_what_nobody_knows(
    world: World, shop: Shop, client: WhatsApp, meta: Meta
) -> None:
    await greet(world, shop)
    sent = await aside(lambda: client.send_message(LAYLA, "x"))
    own = write(world, "helo")
    await until(lambda: messages(shop))
    shop.calls.clear()
    write(world, "", body={"type": "reaction", "message": meta.book.world_of(sent.id), "emoji": "👍"})
    write(world, "", body={"type": "edit", "message": own, "text": "hello"})
    write(world, "", body={"type": "deletion", "message": own})
    write(world, "", body={"type": "contact", "name": "Omar", "phone": OMAR})
    write(world, "", body={"type": "poll"})
    await until(lambda: len(messages(shop)) == 5)
    reaction, edit, revoke, card, strange = messages(shop)
    assert reaction["reaction"] == {"message_id": sent.id, "emoji": "👍"}
    assert edit["edit"]["message"] == {"type": "text", "text": {"body": "hello"}}
    assert edit["edit"]["original_message_id"] == revoke["revoke"]["original_message_id"] == meta.book.wamid_of(own)
    assert card["contacts"][0]["phones"][0]["wa_id"] == OMAR[1:]
    assert (strange["type"], strange["errors"][0]["code"]) == ("unsupported", 131051)


@pytest.mark.parametrize("rules", [Rules(hidden=True)])
async def test_a_customer_who_hides_the_phone_is_known_by_an_id_and_written_to_by_it(
    world: World, shop: Shop, http: httpx.AsyncClient
) -> None:
    write(world, "who am I?", name="layla")
    await until(lambda: messages(shop))
    value = changes(shop)[0]["value"]
    assert "from" not in value["messages"][0]
    assert "wa_id" not in value["contacts"][0]
    id = value["messages"][0]["from_user_id"]
    answer = await http.post(f"/{ID}/messages", json=text() | {"to": None, "recipient": id})
    assert answer.status_code == 200
    await until(lambda: statuses(shop))
    assert (statuses(shop)[0]["recipient_user_id"], "recipient_id" in statuses(shop)[0]) == (id, False)
    unknown = await http.post(f"/{ID}/messages", json=text() | {"to": None, "recipient": "US.1"})
    assert unknown.json()["error"]["code"] == 131009


async def test_anybody_may_have_a_webhook_hear_a_change(shop: Shop, meta: Meta, http: httpx.AsyncClient) -> None:
    told = {"phone": ONE, "field": "phone_number_quality_update", "value": {"event": "FLAGGED"}}
    assert (await http.post(f"{meta.base}/_standin/tell", json=told)).status_code == 200
    await until(lambda: changes(shop))
    assert changes(shop)[0] == {"field": "phone_number_quality_update", "value": {"event": "FLAGGED"}}


async def test_a_webhook_is_used_once_it_answers_the_challenge(world: World, shop: Shop) -> None:
    async def connect() -> Wire:
        return Local(world)

    answers: list[Callable[[Request], Response]] = [lambda _: PlainTextResponse("not yet")]
    shop.challenge = lambda request: answers.pop()(request) if answers else _challenge(request)
    late = f"{shop.url}/late"
    meta = Meta(connect, access_token=TOKEN, app_secret=SECRET, verify_token=VERIFY, waba_id=WABA, webhook_url=late)
    async with listening(meta):
        await until(lambda: meta.webhook_url)
    assert meta.webhook_url == late

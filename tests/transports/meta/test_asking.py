"""A number at Meta: handing files over, and what it is asked besides sending."""

import asyncio
from typing import Any

import httpx
import pytest
from tests.transports.heard import Heard
from tests.transports.meta.opened import SEND, Open
from tests.transports.meta.posts import (
    BUSINESS,
    CREDENTIALS,
    CUSTOMER,
    NUMBER,
    SETTINGS,
    change,
    notice,
    number,
    post,
    refused,
    taken,
)

from wafleet.domain.ids import MessageId, new_id
from wafleet.domain.message import Document, Image, Media, Template
from wafleet.transports import web
from wafleet.transports.base import (
    NotSent,
    Outgoing,
    Refused,
    RefusedAccount,
    RefusedContent,
    SendError,
)
from wafleet.transports.meta.transport import Meta

PICTURE = Image(Media("a" * 64, "image/jpeg", 4, "taj.jpg"), "look")


# --- files


async def test_a_file_is_handed_over_once_however_many_send_it(one: Open) -> None:
    one.api.answer("POST /media", httpx.Response(200, json={"id": "media-1"}))
    await asyncio.gather(*(one.send(PICTURE, media=b"\xff\xd8\xff\xe0") for _ in range(5)))
    uploads = [a for a in one.api.asked if a.url.path.endswith("/media")]
    assert len(uploads) == 1
    assert uploads[0].url.path == f"/v23.0/{NUMBER}/media"
    body = uploads[0].content
    for part in (b'name="messaging_product"', b"whatsapp", b'filename="taj.jpg"', b"image/jpeg", b"\xff\xd8\xff\xe0"):
        assert part in body
    assert [letter["image"]["id"] for letter in one.api.letters] == ["media-1"] * 5


async def test_a_file_that_is_gone_at_meta_is_handed_over_again(one: Open) -> None:
    one.api.answer(
        "POST /media", httpx.Response(200, json={"id": "media-1"}), httpx.Response(200, json={"id": "media-2"})
    )
    await one.send(PICTURE, media=b"1234")
    one.api.answer(SEND, refused(131009, "Media not found"), taken("wamid.AGAIN"))
    assert await one.send(PICTURE, media=b"1234") == "wamid.AGAIN"
    assert [letter["image"]["id"] for letter in one.api.letters] == ["media-1", "media-1", "media-2"]


async def test_a_file_that_meta_does_not_want_is_refused_after_one_try(one: Open) -> None:
    one.api.answer("POST /media", httpx.Response(200, json={"id": "media-1"}))
    one.api.answer(SEND, refused(131053, "Media upload error"))
    with pytest.raises(RefusedContent) as error:
        await one.send(PICTURE, media=b"1234")
    assert error.value.reason == "media_refused"
    assert len(one.api.letters) == 1


@pytest.mark.parametrize(
    ("answer", "wanted", "reason"),
    [
        (httpx.ReadTimeout("slow"), NotSent, "provider_away"),
        (httpx.Response(500, text=""), NotSent, "provider_away"),
        (httpx.Response(200, text="{}"), NotSent, "provider_away"),
        (refused(100, "Param file must be a file with one of the following types"), RefusedContent, "content"),
        (refused(190, http=401), RefusedAccount, "credentials"),
    ],
)
async def test_whatever_happens_to_a_file_the_message_was_not_sent(
    one: Open, answer: Any, wanted: type[SendError], reason: str
) -> None:
    one.api.answer("POST /media", answer)
    with pytest.raises(wanted) as error:
        await one.send(Document(Media("b" * 64, "application/pdf", 3, "menu.pdf")), media=b"pdf")
    assert type(error.value) is wanted
    assert error.value.reason == reason
    assert not one.api.letters


async def test_a_session_closed_while_a_file_is_on_its_way_sends_nothing(one: Open) -> None:
    under_way, go = asyncio.Event(), asyncio.Event()

    async def slow(request: httpx.Request) -> httpx.Response:
        under_way.set()
        await go.wait()
        return httpx.Response(200, json={"id": "media-1"})

    async with Meta(http=httpx.AsyncClient(transport=httpx.MockTransport(one.api))) as meta:
        session = await meta.open(number(), CREDENTIALS, Heard())
        meta._http._transport = httpx.MockTransport(slow)
        sending = asyncio.create_task(session.send(Outgoing(MessageId(new_id()), CUSTOMER, PICTURE, media=b"1234")))
        await under_way.wait()
        await session.close()
        go.set()
        with pytest.raises(NotSent):
            await sending


# --- pings and asks


async def test_a_ping_asks_only_when_nothing_was_heard_for_long(one: Open) -> None:
    asked = len(one.api.asked)
    await one.session.ping()
    assert len(one.api.asked) == asked
    one.session._contact._at -= web.FRESH_S
    await one.session.ping()
    await one.session.ping()
    assert len(one.api.asked) == asked + 1


@pytest.mark.parametrize(
    ("answer", "ends"),
    [
        (httpx.ReadTimeout("slow"), []),
        (httpx.Response(500), []),
        (httpx.ConnectError("refused"), ["network"]),
    ],
)
async def test_a_ping_without_an_answer_fails(one: Open, answer: Any, ends: list[str]) -> None:
    one.api.answer(f"GET /{NUMBER}", answer)
    one.session._contact._at -= web.FRESH_S
    with pytest.raises(ConnectionError):
        await one.session.ping()
    assert one.heard.reasons == ends


async def test_a_ping_notices_that_the_token_does_not_count_any_more(one: Open) -> None:
    one.api.answer(f"GET /{NUMBER}", refused(190, http=401))
    one.session._contact._at -= web.FRESH_S
    await one.session.ping()
    assert one.heard.reasons == ["credentials"]


async def test_a_customer_sees_what_was_read(one: Open) -> None:
    one.api.answer(SEND, httpx.Response(200, json={"success": True}))
    await one.session.read(CUSTOMER, ["wamid.1", "wamid.2"])
    assert one.api.letters == [{"messaging_product": "whatsapp", "status": "read", "message_id": "wamid.2"}]


async def test_typing_is_shown_as_an_answer_to_the_customer_s_last_message(one: Open) -> None:
    one.api.answer(SEND, httpx.Response(200, json={"success": True}))
    with pytest.raises(Refused):
        await one.session.typing(CUSTOMER, True)
    await one.session.typing(CUSTOMER, True, newest="wamid.ONE")
    await one.session.typing(CUSTOMER, False, newest="wamid.ONE")
    (letter,) = one.api.letters
    assert letter["message_id"] == "wamid.ONE"
    assert letter["typing_indicator"] == {"type": "text"}


async def test_what_became_of_a_message_only_receipts_can_tell(one: Open) -> None:
    assert not one.meta.capabilities.finds_messages
    assert await one.session.find([MessageId(new_id())]) == {}


def page(*names: str, after: str = "") -> httpx.Response:
    data = [
        {
            "name": name,
            "language": "en_GB",
            "status": "APPROVED",
            "category": "UTILITY",
            "components": [
                {"type": "HEADER", "format": "TEXT", "text": "Order {{1}}"},
                {"type": "BODY", "text": "Dear {{1}}, {{2}} is ready, {{1}}."},
                {"type": "BUTTONS", "buttons": [{"type": "URL", "url": "https://example.com/{{1}}"}]},
            ],
        }
        for name in names
    ]
    paging = {"cursors": {"before": "a", "after": after}} | ({"next": "https://next"} if after else {})
    return httpx.Response(200, json={"data": data, "paging": paging})


async def test_templates_are_listed_page_by_page_and_remembered_until_one_changes(one: Open) -> None:
    path = f"GET /{BUSINESS}/message_templates"
    one.api.answer(path, page("a", "b", after="CURSOR"), page("c"), page("d"))
    listed = await one.session.templates()
    assert [t["name"] for t in listed] == ["a", "b", "c"]
    assert listed[0]["variables"] == ["header.1", "1", "2", "button.0"]
    assert one.api.asked[-1].url.params["after"] == "CURSOR"
    assert await one.session.templates() == listed
    assert len(one.api.paths("GET")) == 3
    one.meta.read(post(notice(change({"event": "APPROVED"}, "message_template_status_update"))), SETTINGS)
    assert [t["name"] for t in await one.session.templates()] == ["d"]


async def test_a_template_with_one_language_goes_out_in_it(one: Open) -> None:
    one.api.answer(f"GET /{BUSINESS}/message_templates", page("order_ready"))
    await one.send(Template("order_ready"))
    await one.send(Template("nowhere"))
    await one.send(Template("order_ready", "ar"))
    assert [letter["template"]["language"]["code"] for letter in one.api.letters] == ["en_GB", "en_US", "ar"]


@pytest.mark.parametrize("answer", [httpx.ReadTimeout("slow"), httpx.Response(500), httpx.Response(200, text="{}")])
async def test_while_its_language_is_not_known_a_template_was_not_sent(one: Open, answer: Any) -> None:
    one.api.answer(f"GET /{BUSINESS}/message_templates", answer)
    with pytest.raises(NotSent) as error:
        await one.send(Template("order_ready"))
    assert error.value.reason == "provider_away"
    assert not one.api.letters


async def test_without_the_business_account_there_is_no_list(one: Open) -> None:
    alone = await one.meta.open(number(meta={"phone_number_id": NUMBER}), CREDENTIALS, Heard())
    with pytest.raises(Refused, match="waba_id"):
        await alone.templates()

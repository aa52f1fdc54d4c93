"""Sending, finding and keeping in touch with Twilio, whatever it answers."""

import asyncio
import json
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any
from urllib.parse import parse_qsl

import httpx
import pytest
from tests.transports.heard import LAYLA, PHONE, Heard

from wafleet.domain.account import REASONS
from wafleet.domain.ids import AccountId, MessageId, new_id
from wafleet.domain.message import (
    Audio,
    ContactCard,
    Content,
    Document,
    Image,
    Location,
    Media,
    Sending,
    Sticker,
    Template,
    Text,
    Video,
)
from wafleet.transports import web
from wafleet.transports.base import (
    Doubt,
    Found,
    MaybeSent,
    NotSent,
    Number,
    OpenError,
    Outgoing,
    OutsideWindow,
    RefusedAccount,
    RefusedContent,
    RefusedRecipient,
    SendError,
    Throttled,
)
from wafleet.transports.calls import Sign
from wafleet.transports.twilio import Twilio
from wafleet.transports.twilio.session import TwilioSession

AC, TOKEN = "AC" + "0" * 32, "a token that is only for tests"
KEYS = json.dumps({"accountSid": AC, "authToken": TOKEN}).encode()
ACCOUNT = AccountId(new_id())
PUBLIC = "https://wafleet.example"
MEDIA = Media("f" * 64, "image/png", 5)
Answer = Callable[[httpx.Request], httpx.Response]


@dataclass
class Provider:
    """Twilio, as far as one test needs it: what was asked, and what is answered."""

    answer: Answer
    asked: list[httpx.Request] = field(default_factory=list[httpx.Request])

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        return self.answer(request)

    @property
    def form(self) -> dict[str, str]:
        return dict(parse_qsl(self.asked[-1].content.decode()))


def says(http: int, /, **body: Any) -> Answer:
    return lambda _: httpx.Response(http, json=body)


def raw(http: int, content: bytes) -> Answer:
    return lambda _: httpx.Response(http, content=content)


def error(code: int, status: int = 400) -> Answer:
    return says(status, code=code, message="its words", more_info="", status=status)


@asynccontextmanager
async def speaking(
    answer: Answer, *, heard: Heard | None = None, answer_s: float = 0.2, public_url: str = PUBLIC, **settings: str
) -> AsyncGenerator[tuple[TwilioSession, Provider]]:
    """Open a session at a provider that answers like this once it is open."""
    provider = Provider(says(200, sid=AC, status="active"))
    http = httpx.AsyncClient(transport=httpx.MockTransport(provider))
    async with Twilio(public_url=public_url, answer_s=answer_s, http=http) as twilio:
        number = Number(ACCOUNT, PHONE, {"twilio": settings})
        session = await twilio.open(number, KEYS, heard or Heard())
        provider.answer = answer
        yield session, provider


def outgoing(content: Content | None = None, *, link: str = "", to: str = LAYLA) -> Outgoing:
    return Outgoing(MessageId(new_id()), to, content or Text("hi"), link=link)


TAKEN = says(201, sid="SM1", status="queued", error_code=None)


async def test_a_text_goes_out_with_an_address_to_report_to() -> None:
    out = outgoing(Text("مرحبا 🏠 & a+b"))
    async with speaking(TAKEN) as (session, provider):
        assert await session.send(out) == "SM1"
    request = provider.asked[-1]
    assert str(request.url) == f"https://api.twilio.com/2010-04-01/Accounts/{AC}/Messages.json"
    assert request.headers["Authorization"] == httpx.BasicAuth(AC, TOKEN)._auth_header
    assert provider.form == {
        "From": f"whatsapp:{PHONE}",
        "To": f"whatsapp:{LAYLA}",
        "Body": "مرحبا 🏠 & a+b",
        "StatusCallback": f"{PUBLIC}/hooks/twilio/{ACCOUNT}/{out.id}#rc=5&rp=ct,rt,5xx",
    }


@pytest.mark.parametrize(
    ("content", "form"),
    [
        (Image(MEDIA, "look"), {"MediaUrl": "https://l", "Body": "look"}),
        (Video(MEDIA), {"MediaUrl": "https://l"}),
        (Audio(MEDIA, voice=True), {"MediaUrl": "https://l"}),
        (Document(MEDIA, "the plan"), {"MediaUrl": "https://l", "Body": "the plan"}),
        (Sticker(MEDIA), {"MediaUrl": "https://l"}),
        (
            Location(25.276987, -55.0, name="Souk", address="Road 1 | B"),
            {"Body": "Souk", "PersistentAction": "geo:25.276987,-55|Road 1   B"},
        ),
        (Location(1e-7, 0.5), {"Body": "0.0000001,0.5", "PersistentAction": "geo:0.0000001,0.5"}),
        (Template("HX1", variables={"1": "ليلى"}), {"ContentSid": "HX1", "ContentVariables": '{"1": "ليلى"}'}),
        (Template("HX1"), {"ContentSid": "HX1"}),
    ],
)
async def test_every_kind_of_content_has_its_form(content: Content, form: dict[str, str]) -> None:
    async with speaking(TAKEN, public_url="") as (session, provider):
        await session.send(outgoing(content, link="https://l"))
        assert {k: v for k, v in provider.form.items() if k not in {"From", "To"}} == form


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (Text("x" * 1601), "too_long"),
        (Image(MEDIA), "media_unfetched"),
        (Template("welcome"), "template_missing"),
        (Template("HX1", media=MEDIA), "unsupported"),
        (ContactCard("Layla", LAYLA), "unsupported"),
    ],
)
async def test_what_twilio_would_refuse_is_refused_before_it_is_asked(content: Content, reason: str) -> None:
    async with speaking(TAKEN) as (session, provider):
        with pytest.raises(RefusedContent) as caught:
            await session.send(outgoing(content))
        assert caught.value.reason == reason
        assert len(provider.asked) == 1


async def test_a_messaging_service_is_named_beside_the_sender() -> None:
    async with speaking(TAKEN, messaging_service_sid="MG1") as (session, provider):
        await session.send(outgoing())
        assert (provider.form["MessagingServiceSid"], provider.form["From"]) == ("MG1", f"whatsapp:{PHONE}")


@pytest.mark.parametrize(
    ("answer", "kind", "reason"),
    [
        (error(21211), RefusedRecipient, "recipient_invalid"),
        (error(21610), RefusedRecipient, "recipient_refuses"),
        (error(63016), OutsideWindow, "outside_window"),
        (error(21617), RefusedContent, "too_long"),
        (error(20003, 401), RefusedAccount, "credentials"),
        (error(21606), RefusedAccount, "sender_missing"),
        (error(20429, 429), Throttled, "throttled"),
        (error(63018, 429), Throttled, "throttled"),
        (error(20500, 500), MaybeSent, "provider_away"),
        (error(99999), SendError, "provider_code"),
        (says(500), MaybeSent, "no_answer"),
        (raw(502, b"<html>bad gateway"), MaybeSent, "no_answer"),
        (raw(200, b"<html>welcome"), MaybeSent, "no_answer"),
        (raw(201, b'{"sid": "SM'), MaybeSent, "no_answer"),
        (says(201, status="queued"), MaybeSent, "no_answer"),
        (says(201, sid=None), MaybeSent, "no_answer"),
        (says(201, sid="SM1", status="failed", error_code=63024), RefusedRecipient, "not_on_whatsapp"),
    ],
)
async def test_every_answer_leads_to_a_remedy(answer: Answer, kind: type[SendError], reason: str) -> None:
    async with speaking(answer) as (session, _):
        with pytest.raises(kind) as caught:
            await session.send(outgoing())
        assert caught.value.reason == reason


async def test_no_answer_in_time_may_have_been_a_yes() -> None:
    class Drips(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            while True:
                yield b" "
                await asyncio.sleep(0.01)

    async with speaking(lambda _: httpx.Response(201, stream=Drips()), answer_s=0.05) as (session, _):
        with pytest.raises(MaybeSent, match="no whole answer"):
            await session.send(outgoing())


async def test_being_throttled_without_a_time_makes_each_wait_longer() -> None:
    async with speaking(error(20429, 429)) as (session, provider):
        waits: list[float] = []
        for _ in range(3):
            with pytest.raises(Throttled) as caught:
                await session.send(outgoing())
            waits.append(caught.value.retry_after.total_seconds())
        provider.answer = lambda _: httpx.Response(429, headers={"Retry-After": "7"})
        with pytest.raises(Throttled) as caught:
            await session.send(outgoing())
        assert [*waits, caught.value.retry_after.total_seconds()] == [1, 2, 4, 7]


async def test_wrong_credentials_end_the_session_once_and_nothing_more_is_asked() -> None:
    heard = Heard()
    async with speaking(error(20003, 401), heard=heard) as (session, provider):
        for _ in range(3):
            with pytest.raises(SendError):
                await session.send(outgoing())
        assert heard.reasons == ["credentials"]
        assert len(provider.asked) == 2
        assert not REASONS["credentials"].retried


async def test_a_provider_out_of_reach_ends_the_session_so_that_messages_wait() -> None:
    def unreachable(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("no route")

    heard = Heard()
    async with speaking(unreachable, heard=heard) as (session, _):
        with pytest.raises(NotSent) as caught:
            await session.send(outgoing())
        assert (caught.value.reason, heard.reasons) == ("network", ["network"])


async def test_a_closed_session_sends_nothing() -> None:
    async with speaking(TAKEN) as (session, provider):
        await session.close()
        with pytest.raises(NotSent):
            await session.send(outgoing())
        assert len(provider.asked) == 1


# --- opening and keeping in touch


async def opened(answer: Answer, credentials: bytes = KEYS, heard: Heard | None = None, **settings: Any) -> list[str]:
    provider = Provider(answer)
    http = httpx.AsyncClient(transport=httpx.MockTransport(provider))
    async with Twilio(http=http, answer_s=0.2) as twilio:
        await twilio.open(Number(ACCOUNT, PHONE, {"twilio": settings}), credentials, heard or Heard())
    return [str(one.url) for one in provider.asked]


async def test_opening_asks_once_for_the_sender_and_tells_how_it_stands() -> None:
    heard = Heard()
    sender = {
        "sid": "XE1",
        "status": "ONLINE",
        "properties": {"quality_rating": "HIGH", "messaging_limit": "10K Customers/24hr"},
        "offline_reasons": None,
    }
    asked = await opened(says(200, **sender), heard=heard, sender_sid="XE1")
    assert asked == ["https://messaging.twilio.com/v2/Channels/Senders/XE1"]
    assert heard.signs == [Sign("status", "ONLINE"), Sign("quality", "HIGH"), Sign("limit", "10K Customers/24hr")]


async def test_everything_is_asked_of_another_address_where_one_is_set() -> None:
    assert await opened(says(200), url="http://127.0.0.1:9/") == [f"http://127.0.0.1:9/2010-04-01/Accounts/{AC}.json"]
    assert await opened(says(200, status="ONLINE"), url="http://127.0.0.1:9", sender_sid="XE1") == [
        "http://127.0.0.1:9/v2/Channels/Senders/XE1"
    ]


def offline(code: str) -> dict[str, Any]:
    return {"status": "OFFLINE", "offline_reasons": [{"code": code, "message": "why"}]}


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (error(20003, 401), "credentials"),
        (raw(403, b"no"), "permission"),
        (error(20404, 404), "sender_missing"),
        (error(20429, 429), "throttled"),
        (says(500), "connect_timeout"),
        (raw(200, b"<html>"), "connect_timeout"),
        (says(200, **offline("63112")), "restricted"),
        (says(200, **offline("63111")), "sender_missing"),
        (says(200, **offline("1")), "restricted"),
        (says(200, status="OFFLINE", offline_reasons="x"), "restricted"),
        (says(200, status="TWILIO_REVIEW"), "sender_pending"),
    ],
)
async def test_a_sender_that_does_not_work_is_not_opened(answer: Answer, reason: str) -> None:
    with pytest.raises(OpenError) as caught:
        await opened(answer, sender_sid="XE1")
    assert caught.value.reason == reason
    assert reason in REASONS


@pytest.mark.parametrize("status", ["ONLINE:UPDATING", "SOMETHING_NEW"])
async def test_a_state_nobody_knows_is_no_reason_not_to_try(status: str) -> None:
    heard = Heard()
    await opened(says(200, status=status), heard=heard, sender_sid="XE1")
    assert heard.signs == [Sign("status", status)]


@pytest.mark.parametrize(
    ("credentials", "reason"),
    [
        (b"", "credentials"),
        (b"\xff", "credentials"),
        (b'{"accountSid": 1}', "credentials"),
        (b'{"accountSid": "AC1", "authToken": ""}', "credentials_missing"),
    ],
)
async def test_credentials_that_are_none_are_never_sent(credentials: bytes, reason: str) -> None:
    with pytest.raises(OpenError) as caught:
        await opened(says(200), credentials)
    assert caught.value.reason == reason


async def test_settings_that_are_none_are_named() -> None:
    with pytest.raises(OpenError, match=r"settings\.twilio"):
        await opened(says(200), sender_sid=5)


async def test_a_ping_costs_nothing_while_twilio_lately_answered() -> None:
    async with speaking(says(500)) as (session, provider):
        for _ in range(5):
            await session.ping()
        assert len(provider.asked) == 1


async def test_a_ping_after_a_long_silence_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wafleet.transports.web.FRESH_S", -1.0)
    heard = Heard()
    async with speaking(says(200, status="ONLINE"), heard=heard) as (session, provider):
        await session.ping()
        assert len(provider.asked) == 2
        provider.answer = says(500)
        with pytest.raises(ConnectionError):
            await session.ping()
        provider.answer = error(20003, 401)
        await session.ping()
        assert heard.reasons == ["credentials"]


async def test_how_a_busy_sender_stands_is_asked_again_and_not_learning_it_ends_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    heard = Heard()
    async with speaking(TAKEN, heard=heard, sender_sid="XE1") as (session, provider):
        later = time.monotonic() + web.FRESH_S - 1
        monkeypatch.setattr(session._looked, "_at", later - 2 * web.FRESH_S)
        await session.send(outgoing())
        provider.answer = says(500)
        await session.ping()
        assert str(provider.asked[-1].url).endswith("/Senders/XE1")
        monkeypatch.setattr(session._looked, "_at", later - 2 * web.FRESH_S)
        provider.answer = says(200, status="ONLINE", properties={"quality_rating": "LOW"})
        await session.ping()
        await session.ping()
    assert heard.signs[-1] == Sign("quality", "LOW")
    assert len(provider.asked) == 4
    assert heard.reasons == []


async def test_a_send_refused_for_the_account_has_the_next_ping_look_at_the_sender() -> None:
    heard = Heard()
    async with speaking(error(63112, 400), heard=heard, sender_sid="XE1") as (session, provider):
        with pytest.raises(RefusedAccount):
            await session.send(outgoing())
        assert heard.reasons == []
        provider.answer = says(200, **offline("63112"))
        await session.ping()
        assert heard.reasons == ["restricted"]


def test_secrets_are_not_shown() -> None:
    from wafleet.transports.twilio.sender import keys

    assert TOKEN not in repr(keys(KEYS))


async def test_templates_are_listed_with_their_blanks_and_asked_for_once() -> None:
    def page(number: int, following: str | None) -> httpx.Response:
        content = {
            "sid": f"HX{number}",
            "friendly_name": "welcome",
            "language": "en",
            "variables": {"1": "name"},
            "types": {"twilio/media": {"body": "Hi {{1}}", "media": ["https://x/{{2}}"]}},
            "approval_requests": {"status": "approved", "category": "UTILITY"},
        }
        return httpx.Response(200, json={"contents": [content], "meta": {"next_page_url": following}})

    def answer(request: httpx.Request) -> httpx.Response:
        if "Page" in request.url.params:
            return page(2, "https://evil.example/v1/ContentAndApprovals")
        return page(1, "https://content.twilio.com/v1/ContentAndApprovals?Page=1")

    async with speaking(answer) as (session, provider):
        found = await session.templates()
        assert await session.templates() == found
    assert [one["name"] for one in found] == ["HX1", "HX2"]
    assert found[0] | {"name": ""} == {
        "name": "",
        "language": "en",
        "status": "approved",
        "category": "UTILITY",
        "text": "Hi {{1}}",
        "header": "media",
        "variables": ["1", "2"],
    }
    assert {one.url.host for one in provider.asked[1:]} == {"content.twilio.com"}
    assert len(provider.asked) == 3


async def test_a_list_of_templates_that_cannot_be_had_is_an_error() -> None:
    for answer in (says(500), error(20003, 401), says(200), says(200, contents=[{}])):
        async with speaking(answer) as (session, _):
            with pytest.raises(SendError):
                await session.templates()


# --- what became of messages without an answer

NOW = datetime.now(UTC)


def resource(sid: str, body: str = "hi", *, age_s: float = 0, **more: Any) -> dict[str, Any]:
    at = format_datetime(NOW - timedelta(seconds=age_s))
    return {
        "sid": sid,
        "to": f"whatsapp:{LAYLA}",
        "body": body,
        "num_media": "0",
        "direction": "outbound-api",
        "status": "queued",
        "date_created": at,
    } | more


def lists(*messages: dict[str, Any], **more: Any) -> Answer:
    return says(200, messages=list(messages), next_page_uri=None, **more)


def doubt(content: Content | None = None, *, age_s: float = 0, to: str = LAYLA) -> Doubt:
    return Doubt(MessageId(new_id()), to, content or Text("hi"), NOW - timedelta(seconds=age_s))


async def test_a_message_that_twilio_has_is_found_with_its_state() -> None:
    one = doubt()
    async with speaking(lists(resource("SM1", status="delivered"))) as (session, provider):
        assert await session.find([one]) == {one.id: Found("SM1", Sending.DELIVERED)}
        assert dict(provider.asked[-1].url.params) == {
            "To": f"whatsapp:{LAYLA}",
            "From": f"whatsapp:{PHONE}",
            "PageSize": "200",
        }
        assert await session.find([one]) == {one.id: Found("SM1", Sending.DELIVERED)}, (
            "asked again, it is still its own"
        )


@pytest.mark.parametrize(
    "other",
    [
        resource("SM1", "other words"),
        resource("SM1", age_s=60),
        resource("SM1", num_media="1"),
        resource("SM1", to="whatsapp:+15550001"),  # Twilio writes some numbers otherwise than we do
    ],
)
async def test_what_may_be_the_message_all_the_same_keeps_it_from_being_called_absent(other: dict[str, Any]) -> None:
    one = doubt()
    async with speaking(lists(other), answer_s=0.4) as (session, provider):
        assert await session.find([one]) == {}
        known = Doubt(MessageId(new_id()), LAYLA, Text("x"), NOW, provider_id="SM1")
        assert (await session.find([one, known]))[one.id] is None, "now it is known to be another"
        assert {request.method for request in provider.asked} == {"GET"}


@pytest.mark.parametrize("ahead_s", [-30, -4, 4, 30])
async def test_a_clock_that_differs_from_ours_sends_nothing_twice(ahead_s: float) -> None:
    one = doubt()
    async with speaking(lists(resource("SM1", age_s=-ahead_s)), answer_s=0.4) as (session, _):
        assert await session.find([one]) in ({}, {one.id: Found("SM1", Sending.SENT)})


@pytest.mark.parametrize(
    "other",
    [
        resource("SM1", age_s=150),
        resource("SM1", direction="inbound"),
    ],
)
async def test_a_message_that_twilio_does_not_have_is_named_absent(other: dict[str, Any]) -> None:
    one = doubt()
    async with speaking(lists(other), answer_s=0.4) as (session, _):
        assert await session.find([one]) == {one.id: None}


async def test_absent_is_said_only_when_nothing_can_still_be_under_way() -> None:
    since = datetime.now(UTC)
    one = Doubt(MessageId(new_id()), LAYLA, Text("hi"), since)
    late = [lists(), lists(resource("SM1", date_created=format_datetime(since)))]
    async with speaking(lambda request: late.pop(0)(request), answer_s=0.3) as (session, _):
        assert await session.find([one]) == {one.id: Found("SM1", Sending.SENT)}


async def test_what_is_known_to_be_another_message_is_not_taken_for_it() -> None:
    async with speaking(TAKEN, answer_s=0.4) as (session, provider):
        first = outgoing()
        assert await session.send(first) == "SM1"
        provider.answer = lists(resource("SM1"))
        again = doubt()
        assert await session.find([again]) == {again.id: None}
        itself = Doubt(first.id, LAYLA, first.content, NOW)
        assert await session.find([itself]) == {first.id: Found("SM1", Sending.SENT)}


@pytest.mark.parametrize("words", ["hi", "other words"])
async def test_what_an_earlier_process_sent_to_the_same_person_is_not_taken_for_it(words: str) -> None:
    one = doubt()
    async with speaking(lists(resource("SM1", words)), answer_s=0.4) as (session, _):
        told_apart = replace(one, others=frozenset({"SM1"}))
        assert await session.find([told_apart]) == {one.id: None}


async def test_two_doubts_of_the_same_words_are_two_messages() -> None:
    older, newer = doubt(age_s=1.5), doubt()
    async with speaking(lists(resource("SM2"), resource("SM1", age_s=1.5)), answer_s=0.4) as (session, _):
        assert await session.find([newer, older]) == {
            older.id: Found("SM1", Sending.SENT),
            newer.id: Found("SM2", Sending.SENT),
        }


@pytest.mark.parametrize(
    ("content", "more"),
    [
        (Image(MEDIA, "look"), {"body": "look", "num_media": "1"}),
        (Audio(MEDIA), {"body": None, "num_media": "1"}),
        (Location(1.0, 2.0, name="Souk"), {"body": "Souk"}),
        (Template("HX1"), {"body": "words only Twilio knows"}),
        (Text("two\nlines "), {"body": "two\r\nlines"}),
    ],
)
async def test_every_kind_of_content_is_known_again(content: Content, more: dict[str, Any]) -> None:
    one = doubt(content)
    async with speaking(lists(resource("SM1") | more)) as (session, _):
        assert await session.find([one]) == {one.id: Found("SM1", Sending.SENT)}


async def test_the_list_is_read_as_far_back_as_the_doubt() -> None:
    one = doubt(age_s=5)
    pages: dict[str | None, list[dict[str, Any]]] = {
        None: [resource("SM3", "newer")],
        "1": [resource("SM2", age_s=5)],
        "2": [resource("SM0", age_s=999)],
    }

    def listing(request: httpx.Request) -> httpx.Response:
        page = request.url.params.get("Page")
        following = f"/2010-04-01/Accounts/{AC}/Messages.json?Page={int(page or 0) + 1}"
        return httpx.Response(200, json={"messages": pages[page], "next_page_uri": following})

    async with speaking(listing, answer_s=0.4) as (session, provider):
        assert await session.find([one]) == {one.id: Found("SM2", Sending.SENT)}
        assert len(provider.asked) == 4


async def test_what_lies_too_far_back_cannot_be_told() -> None:
    one = doubt(age_s=9)
    following = f"/2010-04-01/Accounts/{AC}/Messages.json?Page=9"
    async with speaking(says(200, messages=[resource("SM3", "newer")], next_page_uri=following), answer_s=0.4) as (
        session,
        _,
    ):
        assert await session.find([one]) == {}


async def test_messages_whose_names_are_known_are_found_in_one_list_and_never_called_absent() -> None:
    ids = [MessageId(new_id()) for _ in range(3)]
    doubts = [
        Doubt(id, f"+97155000000{n}", Text("hi"), NOW - timedelta(minutes=9), provider_id=f"SM{n}")
        for n, id in enumerate(ids)
    ]
    failed = resource("SM1", status="failed", error_code=63024, error_message="Invalid recipient")
    both = lists(resource("SM0", status="read", to="whatsapp:+1"), failed)
    async with speaking(both, answer_s=0.4) as (session, provider):
        assert await session.find(doubts) == {
            ids[0]: Found("SM0", Sending.READ),
            ids[1]: Found("SM1", Sending.FAILED, "not_on_whatsapp", "twilio 63024 Invalid recipient"),
        }
        assert len(provider.asked) == 2
        assert "To" not in provider.asked[-1].url.params


async def test_a_message_known_from_before_a_crash_is_not_taken_for_its_twin() -> None:
    earlier = Doubt(MessageId(new_id()), LAYLA, Text("hi"), NOW - timedelta(seconds=1), provider_id="SM1")
    lost = doubt()
    async with speaking(lists(resource("SM1")), answer_s=0.4) as (session, _):
        assert await session.find([lost, earlier]) == {earlier.id: Found("SM1", Sending.SENT), lost.id: None}


async def test_a_doubt_of_which_too_little_is_known_is_left_out() -> None:
    async with speaking(lists()) as (session, provider):
        assert await session.find([Doubt(MessageId(new_id()))]) == {}
        assert len(provider.asked) == 1


@pytest.mark.parametrize(
    "answer",
    [
        says(500),
        error(20429, 429),
        says(200),
        says(200, messages=[5]),
        says(200, messages=[{}]),
        lists(resource("SM1", date_created=None)),
        lists(resource("SM1", date_created="yesterday")),
    ],
)
async def test_a_list_that_cannot_be_had_is_an_error_not_an_absence(answer: Answer) -> None:
    async with speaking(answer, answer_s=0.4) as (session, _):
        with pytest.raises(SendError):
            await session.find([doubt()])


async def test_a_client_that_was_handed_over_stays_its_owners() -> None:
    async with httpx.AsyncClient(transport=httpx.MockTransport(says(200, sid=AC, status="active"))) as http:
        async with Twilio(http=http) as twilio:
            session = await twilio.open(Number(ACCOUNT, PHONE), KEYS, Heard())
        assert not http.is_closed
        with pytest.raises(NotSent):
            await session.send(outgoing())

"""Sends through a gateway that answers well, badly, or not at all."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from tests.transports.gateway.events import KEYS, WHO
from tests.transports.heard import Heard, outgoing

from wafleet.domain.failures import FAILURES
from wafleet.domain.message import Image, Media, Reaction, Sending, Text
from wafleet.transports.base import (
    About,
    Doubt,
    Found,
    MaybeSent,
    NotSent,
    Outgoing,
    Refused,
    RefusedAccount,
    RefusedContent,
    RefusedRecipient,
    SendError,
    Throttled,
)
from wafleet.transports.gateway.client import Client
from wafleet.transports.gateway.errors import TABLE
from wafleet.transports.gateway.place import Keys, Place
from wafleet.transports.gateway.session import Session

Answer = Callable[[httpx.Request], httpx.Response]
EXISTS = {"numberExists": True, "chatId": WHO}


class Peer:
    """The gateway's side: how it answers sends, and what it was asked."""

    def __init__(self) -> None:
        self.asked: list[httpx.Request] = []
        self.exists: Any = EXISTS
        self.sends: Answer = lambda _: httpx.Response(201, json={"id": f"true_{WHO}_3EB0AA"})
        self.listed: list[Any] = []
        self.status: Answer = lambda _: httpx.Response(200, json={"name": "shop", "status": "WORKING"})

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        if request.url.path.endswith("check-exists"):
            return self.exists if isinstance(self.exists, httpx.Response) else httpx.Response(200, json=self.exists)
        if request.url.path.startswith("/api/sessions/"):
            return self.status(request)
        if request.method == "GET":
            return httpx.Response(200, json=self.listed)
        return self.sends(request)

    @property
    def bodies(self) -> list[dict[str, Any]]:
        return [json.loads(one.content) for one in self.asked if one.content]


@pytest.fixture
def peer() -> Peer:
    return Peer()


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
async def session(peer: Peer, heard: Heard) -> AsyncIterator[Session]:
    async with httpx.AsyncClient(transport=httpx.MockTransport(peer)) as http:
        place = Place("http://gateway.test", "shop", Keys.read(KEYS))
        yield Session(Client(http, place), heard)


async def failed(session: Session, out: Outgoing | None = None) -> SendError:
    with pytest.raises(SendError) as raised:
        await session.send(out or outgoing())
    assert raised.value.reason in FAILURES
    return raised.value


@pytest.mark.parametrize(
    "said",
    [
        {"id": f"true_{WHO}_3EB0AA", "ack": 0},
        {"id": {"fromMe": True, "id": "3EB0AA", "_serialized": f"true_{WHO}_3EB0AA"}, "body": "hello"},
        {"key": {"remoteJid": "971550000001@s.whatsapp.net", "fromMe": True, "id": "3EB0AA"}, "status": "PENDING"},
    ],
)
async def test_each_engines_answer_names_the_message(session: Session, peer: Peer, said: dict[str, Any]) -> None:
    peer.sends = lambda _: httpx.Response(201, json=said)
    assert await session.send(outgoing()) == "3EB0AA"
    assert {one.headers["X-Api-Key"] for one in peer.asked} == {"k"}


async def test_a_person_is_looked_up_once_and_written_to_as_whatsapp_knows_them(session: Session, peer: Peer) -> None:
    peer.exists = {"numberExists": True, "chatId": "551199999999@c.us"}
    for _ in range(2):
        await session.send(outgoing(to="+5511999999999"))
    assert [one.url.path for one in peer.asked].count("/api/contacts/check-exists") == 1
    assert {one["chatId"] for one in peer.bodies} == {"551199999999@c.us"}


async def test_who_is_not_on_whatsapp_is_refused_before_anything_is_sent(session: Session, peer: Peer) -> None:
    peer.exists = {"numberExists": False}
    error = await failed(session)
    assert isinstance(error, RefusedRecipient)
    assert error.reason == "not_on_whatsapp"
    assert not peer.bodies


@pytest.mark.parametrize("status", [400, 404, 500, 501])
async def test_a_gateway_that_cannot_look_people_up_sends_all_the_same(
    session: Session, peer: Peer, status: int
) -> None:
    words = "Cannot GET /api/contacts/check-exists"
    peer.exists = httpx.Response(status, json={"message": words, "statusCode": status})
    assert await session.send(outgoing()) == "3EB0AA"


async def test_a_hidden_person_is_written_to_under_their_id(session: Session, peer: Peer) -> None:
    await session.send(outgoing(to="lid:123456789"))
    assert peer.bodies[0]["chatId"] == "123456789@lid"
    assert isinstance(await failed(session, outgoing(to="bsuid:x")), RefusedRecipient)


def _said(status: int, body: Any) -> Answer:
    return lambda _: (
        httpx.Response(status, json=body) if not isinstance(body, bytes) else httpx.Response(status, content=body)
    )


def _cut(error: type[httpx.HTTPError]) -> Answer:
    def cut(request: httpx.Request) -> httpx.Response:
        raise error("cut")

    return cut


@pytest.mark.parametrize(
    ("answer", "error", "reason"),
    [
        (_said(500, b"<html>"), MaybeSent, "no_answer"),
        (_said(500, {"statusCode": 500, "exception": {"message": "Evaluation failed"}}), MaybeSent, "no_answer"),
        (_said(502, b"bad gateway"), MaybeSent, "no_answer"),
        (_said(201, b""), MaybeSent, "no_answer"),
        (_said(201, b'{"id": "true_'), MaybeSent, "no_answer"),
        (_said(201, {}), MaybeSent, "no_answer"),
        (_said(201, []), MaybeSent, "no_answer"),
        (_said(201, {"id": 7}), MaybeSent, "no_answer"),
        (_cut(httpx.ReadTimeout), MaybeSent, "no_answer"),
        (_cut(httpx.ReadError), MaybeSent, "no_answer"),
        (_cut(httpx.RemoteProtocolError), MaybeSent, "no_answer"),
        (_cut(httpx.ConnectError), NotSent, "network"),
        (_cut(httpx.ConnectTimeout), NotSent, "network"),
        (_said(400, {"message": ["chatId should not be empty"], "statusCode": 400}), RefusedContent, "content"),
        (_said(401, {"message": "Unauthorized", "statusCode": 401}), RefusedAccount, "credentials"),
        (_said(404, {"message": 'Session "shop" does not exist', "statusCode": 404}), RefusedAccount, "sender_missing"),
        (_said(404, {"message": "Cannot POST /api/sendSticker", "statusCode": 404}), RefusedContent, "unsupported"),
        (_said(413, {"message": "request entity too large", "statusCode": 413}), RefusedContent, "media_refused"),
        (_said(422, {"error": "not as expected", "status": "STARTING"}), NotSent, "network"),
        (_said(422, {"error": "not as expected", "status": "SCAN_QR_CODE"}), NotSent, "not_linked"),
        (_said(500, {"exception": {"message": "server returned error 463"}}), RefusedRecipient, "reach_out_lock"),
        (_said(500, {"exception": {"message": "server returned error 429"}}), Throttled, "throttled"),
        (_said(500, {"exception": {"message": "server returned error 479"}}), Refused, "refused"),
        (_said(418, {"message": "a teapot"}), Refused, "provider_code"),
    ],
)
async def test_every_answer_is_named_by_what_may_be_done_next(
    session: Session, peer: Peer, answer: Answer, error: type[SendError], reason: str
) -> None:
    peer.sends = answer
    raised = await failed(session)
    assert type(raised) is error
    assert raised.reason == reason


async def test_throttling_says_how_long_to_wait_and_longer_each_time(session: Session, peer: Peer) -> None:
    peer.sends = _said(429, {"message": "slow down"})
    first, second = await failed(session), await failed(session)
    assert isinstance(first, Throttled)
    assert isinstance(second, Throttled)
    assert first.retry_after < second.retry_after
    peer.sends = lambda _: httpx.Response(429, json={}, headers={"Retry-After": "7"})
    third = await failed(session)
    assert isinstance(third, Throttled)
    assert third.retry_after == timedelta(seconds=7)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (_said(401, {"message": "Unauthorized"}), "credentials"),
        (_said(422, {"status": "SCAN_QR_CODE", "error": "x"}), "logged_out"),
        (_said(422, {"status": "FAILED", "error": "x"}), "stream_error"),
    ],
)
async def test_what_ends_the_session_is_told_once_and_sends_nothing_more(
    session: Session, peer: Peer, heard: Heard, answer: Answer, reason: str
) -> None:
    peer.sends = answer
    await failed(session)
    asked = len(peer.asked)
    assert (await failed(session)).reason == "network"
    with pytest.raises(ConnectionError):
        await session.ping()
    assert heard.reasons == [reason]
    assert len(peer.asked) == asked


async def test_keys_are_in_no_error(session: Session, peer: Peer) -> None:
    peer.sends = _said(401, {"message": "Unauthorized"})
    error = await failed(session)
    assert "my-secret-key" not in f"{error!r} {error.detail} {Keys.read(KEYS)!r}"
    assert "'k'" not in repr(Keys.read(KEYS))


async def test_closing_ends_what_is_under_way_as_maybe_sent() -> None:
    async def never(request: httpx.Request) -> httpx.Response:
        if request.method == "GET":
            return httpx.Response(200, json=EXISTS)
        await asyncio.sleep(3600)
        raise AssertionError

    async with httpx.AsyncClient(transport=httpx.MockTransport(never)) as http:
        session = Session(Client(http, Place("http://gateway.test", "shop", Keys.read(KEYS))), Heard())
        sending = asyncio.create_task(session.send(outgoing()))
        await asyncio.sleep(0.02)
        await session.close()
        (raised,) = await asyncio.gather(sending, return_exceptions=True)
    assert isinstance(raised, MaybeSent)


async def test_a_change_of_an_earlier_message_needs_no_name_of_its_own(session: Session, peer: Peer) -> None:
    peer.sends = _said(200, True)
    out = outgoing(Reaction("", "👍"))
    about = About("3EB0", True, Text("before"))
    name = await session.send(Outgoing(out.id, out.to, out.content, about))
    assert name == str(out.id)


# --- what became of it ------------------------------------------------------------------------------------------------

AT = datetime(2026, 1, 1, 12, tzinfo=UTC)


def listed(name: str, text: str = "hello", *, after_s: float = 1, **more: Any) -> dict[str, Any]:
    basic = {"id": f"true_{WHO}_{name}", "fromMe": True, "timestamp": AT.timestamp() + after_s, "body": text, "ack": 2}
    return basic | more


def doubt(text: str = "hello", *, after_s: float = 0) -> Doubt:
    return Doubt(outgoing().id, "+971550000001", Text(text), AT + timedelta(seconds=after_s))


async def test_what_the_chat_lists_was_sent(session: Session, peer: Peer) -> None:
    peer.listed = [listed("3EB0BB", "other"), listed("3EB0AA")]
    one = doubt()
    found = (await session.find([one]))[one.id]
    assert found
    assert (found.provider_id, found.state) == ("3EB0AA", Sending.DELIVERED)
    assert peer.asked[-1].url.params["filter.timestamp.gte"] == str(int(AT.timestamp()) - 2)


@pytest.mark.parametrize(
    "other",
    [
        listed("3EB0AA", "hello!"),
        listed("3EB0AA", after_s=-60),
        listed("3EB0AA", fromMe=False),
        listed("3EB0AA", hasMedia=True, media={"mimetype": "image/jpeg"}),
    ],
)
async def test_what_is_not_certainly_the_same_is_left_out(session: Session, peer: Peer, other: dict[str, Any]) -> None:
    peer.listed = [other]
    assert await session.find([doubt()]) == {}


async def test_a_message_that_the_gateway_could_not_send_is_found_failed(session: Session, peer: Peer) -> None:
    peer.listed = [listed("3EB0AA", ack=-1)]
    one = doubt()
    assert await session.find([one]) == {one.id: Found("3EB0AA", Sending.FAILED, "refused", "gateway ERROR")}


async def test_a_message_that_was_answered_is_no_other_one(session: Session, peer: Peer) -> None:
    await session.send(outgoing())
    peer.listed = [listed("3EB0AA")]
    assert await session.find([doubt()]) == {}


async def test_equal_messages_are_found_one_each(session: Session, peer: Peer) -> None:
    peer.listed = [listed("3EB0BB", after_s=5), listed("3EB0AA", after_s=1)]
    first, second, third = doubt(), doubt(after_s=4), doubt(after_s=4.5)
    found = await session.find([second, first, third])
    assert {id: one.provider_id for id, one in found.items() if one} == {first.id: "3EB0AA", second.id: "3EB0BB"}


async def test_a_picture_without_words_cannot_be_told_from_another(session: Session, peer: Peer) -> None:
    peer.listed = [listed("3EB0AA", "", hasMedia=True, media={"mimetype": "image/jpeg"})]
    assert await session.find([Doubt(outgoing().id, "+971550000001", Image(Media("1")), AT)]) == {}


async def test_a_gateway_that_cannot_be_asked_is_an_error_and_no_answer(session: Session, peer: Peer) -> None:
    peer.listed = [7, 8]
    with pytest.raises(NotSent):
        await session.find([doubt()])


def test_every_code_of_the_table_has_its_sentence() -> None:
    assert {remedy.reason for remedy in TABLE.values()} <= set(FAILURES)

"""A number at Meta: opening it, sending through it, and what becomes of ill answers."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
from tests.transports.heard import Heard
from tests.transports.meta.opened import SEND, Open
from tests.transports.meta.posts import (
    CREDENTIALS,
    CUSTOMER,
    DESCRIBED,
    NUMBER,
    PHONE,
    SECRET,
    TOKEN,
    Api,
    number,
    refused,
    taken,
)

from wafleet.domain.account import REASONS
from wafleet.domain.failures import FAILURES
from wafleet.domain.ids import MessageId
from wafleet.domain.message import Edit, Template
from wafleet.transports.base import (
    MaybeSent,
    NotSent,
    OpenError,
    OutsideWindow,
    Refused,
    RefusedAccount,
    RefusedContent,
    RefusedRecipient,
    SendError,
    Throttled,
)
from wafleet.transports.calls import Sign
from wafleet.transports.meta.errors import ERRORS

# --- opening


async def test_opening_proves_the_token_and_tells_how_the_number_stands(one: Open) -> None:
    (asked,) = one.api.asked
    assert str(asked.url).startswith(f"https://graph.facebook.com/v23.0/{NUMBER}?fields=")
    assert asked.headers["Authorization"] == f"Bearer {TOKEN}"
    assert one.heard.signs == [Sign("status", "CONNECTED"), Sign("quality", "GREEN"), Sign("limit", "TIER_10K")]


async def opened(*answers: Any, credentials: bytes = CREDENTIALS, phone: str = PHONE, **settings: Any) -> OpenError:
    api = Api()
    if answers:
        api.answer(f"GET /{NUMBER}", *answers)
    async with api.transport() as meta:
        with pytest.raises(OpenError) as error:
            await meta.open(number(phone, **settings), credentials, Heard())
    assert error.value.reason in REASONS
    for secret in (TOKEN, SECRET):
        assert secret not in f"{error.value!s} {error.value.detail}"
    return error.value


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (refused(190, f"Malformed access token {TOKEN}", http=401), "credentials"),
        (refused(104, "An access token is required", http=401), "credentials"),
        (refused(200, "no permission", http=403), "permission"),
        (refused(803, "deleted", http=404), "sender_missing"),
        (refused(80007, "too many", http=429), "throttled"),
        (refused(2, "unavailable", http=500), "network"),
        (httpx.Response(502, text="<html>bad gateway</html>"), "connect_timeout"),
        (httpx.Response(200, text="nonsense"), "connect_timeout"),
        (httpx.ConnectError("refused"), "network"),
        (httpx.ReadTimeout("slow"), "connect_timeout"),
        (httpx.Response(200, json=DESCRIBED | {"status": "BANNED"}), "banned_for_good"),
        (httpx.Response(200, json=DESCRIBED | {"status": "PENDING"}), "sender_pending"),
    ],
)
async def test_whatever_keeps_a_number_from_opening_has_a_reason(answer: Any, reason: str) -> None:
    assert (await opened(answer)).reason == reason


async def test_the_id_of_another_phone_is_not_spoken_for() -> None:
    error = await opened(phone="+971501112233")
    assert error.reason == "sender_missing"
    assert PHONE in error.detail


async def test_a_digit_that_some_leave_out_does_not_make_it_another_phone() -> None:
    api, heard = Api(), Heard()
    api.answer(f"GET /{NUMBER}", httpx.Response(200, json=DESCRIBED | {"display_phone_number": "+54 11 2345-6789"}))
    async with api.transport() as meta:
        await meta.open(number("+5491123456789"), CREDENTIALS, heard)
    assert heard.signs


async def test_what_is_missing_is_named() -> None:
    assert (await opened(credentials=b"")).reason == "credentials_missing"
    assert (await opened(credentials=b'{"appSecret":"x"}')).reason == "credentials_missing"
    assert "phone_number_id" in (await opened(meta={})).detail


async def test_a_field_that_meta_knows_no_more_does_not_keep_a_number_closed() -> None:
    api, heard = Api(), Heard()
    plain = {name: DESCRIBED[name] for name in ("id", "display_phone_number", "quality_rating")}
    api.answer(f"GET /{NUMBER}", refused(100, "nonexisting field (status)"), httpx.Response(200, json=plain))
    async with api.transport() as meta:
        await meta.open(number(), CREDENTIALS, heard)
    assert heard.signs == [Sign("quality", "GREEN")]


async def test_an_account_may_have_an_api_of_its_own() -> None:
    api = Api()
    own = {"phone_number_id": NUMBER, "url": "http://127.0.0.1:9/"}
    async with api.transport() as meta:
        await meta.open(number(meta=own), CREDENTIALS, Heard())
    assert str(api.asked[0].url).startswith(f"http://127.0.0.1:9/v23.0/{NUMBER}")


# --- sending


async def test_a_message_goes_out_with_our_id_and_returns_meta_s(one: Open) -> None:
    assert await one.send("مرحبا") == "wamid.SENT"
    (letter,) = one.api.letters
    assert letter["text"]["body"] == "مرحبا"
    assert letter["to"] == CUSTOMER
    assert MessageId(UUID(letter["biz_opaque_callback_data"]))


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(500, text="oops"),
        httpx.Response(500, json={"error": {"code": 131000, "message": "Something went wrong"}}),
        httpx.Response(503, text=""),
        httpx.Response(200, text="nonsense"),
        httpx.Response(200, content=b'{"messages":[{"id":"wamid'),
        httpx.Response(200, json={"messages": []}),
        httpx.Response(200, json={"messages": [{"id": ""}]}),
        httpx.Response(200, json=["wamid"]),
        httpx.ReadTimeout("never"),
        httpx.RemoteProtocolError("cut off"),
    ],
    ids=["500", "500 with a code", "503", "nonsense", "half a body", "none", "empty", "list", "never", "cut off"],
)
async def test_an_answer_that_says_nothing_leaves_it_open_whether_it_was_sent(one: Open, answer: Any) -> None:
    error = await one.refused(answer, wanted=MaybeSent)
    assert error.reason in FAILURES
    assert not one.heard.ends


async def test_what_was_never_written_may_be_sent_again_and_the_session_ends(one: Open) -> None:
    await one.refused(httpx.ConnectError("refused"), wanted=NotSent)
    assert one.heard.reasons == ["network"]
    one.api.answer(SEND, taken())
    with pytest.raises(NotSent):
        await one.send()


@pytest.mark.parametrize(
    ("code", "http", "wanted"),
    [
        (131047, 400, OutsideWindow),
        (131026, 400, RefusedRecipient),
        (131009, 400, RefusedContent),
        (132001, 404, RefusedContent),
        (131042, 400, RefusedAccount),
        (131005, 403, RefusedAccount),
        (131056, 400, Throttled),
        (131016, 500, MaybeSent),
        (2, 500, MaybeSent),
        (131057, 500, Throttled),
        (131064, 400, Throttled),
        (139999, 400, Refused),
    ],
)
async def test_the_code_alone_decides(one: Open, code: int, http: int, wanted: type[SendError]) -> None:
    for status in (http, 400):
        error = await one.refused(refused(code, "words change", http=status), wanted=wanted)
        assert error.reason in FAILURES
        assert str(code) in error.detail
    assert not one.heard.ends


async def test_throttling_waits_as_long_as_it_is_told_and_longer_each_time_else(one: Open) -> None:
    told = httpx.Response(429, headers={"Retry-After": "17"}, json={"error": {"code": 130429}})
    error = await one.refused(told, wanted=Throttled)
    assert isinstance(error, Throttled)
    assert error.retry_after == timedelta(seconds=17)
    waits: list[timedelta] = []
    for _ in range(3):
        error = await one.refused(refused(130429, http=400), wanted=Throttled)
        assert isinstance(error, Throttled)
        waits.append(error.retry_after)
    assert waits == [timedelta(seconds=1), timedelta(seconds=2), timedelta(seconds=4)]
    one.api.answer(SEND, taken())
    await one.send()
    error = await one.refused(refused(80007, http=400), wanted=Throttled)
    assert isinstance(error, Throttled)
    assert error.retry_after == timedelta(seconds=1)


async def test_a_number_that_is_moved_to_a_higher_throughput_waits_for_the_minute_that_takes(one: Open) -> None:
    error = await one.refused(refused(131057, http=500), wanted=Throttled)
    assert isinstance(error, Throttled)
    assert error.retry_after == timedelta(minutes=1)


async def test_a_number_that_may_not_be_used_any_more_fails_no_message(one: Open) -> None:
    lost = refused(100, "Unsupported post request. Object with ID '1' does not exist", error_subcode=33)
    error = await one.refused(lost, wanted=RefusedAccount)
    assert error.reason == "sender_missing"
    assert "100/33" in error.detail
    error = await one.refused(refused(100, "Invalid parameter"), wanted=RefusedContent)
    assert error.reason == "content"


async def test_a_token_that_may_not_list_templates_sends_them_all_the_same(one: Open) -> None:
    one.api.answer("GET /message_templates", refused(200, "Permissions error", http=403))
    one.api.answer(SEND, taken())
    await one.send(Template("welcome"))
    assert one.api.letters[-1]["template"]["name"] == "welcome"
    assert not one.heard.ends


async def test_wrong_credentials_end_the_session_once_and_are_not_repeated(one: Open) -> None:
    one.api.answer(SEND, refused(190, f"Malformed access token {TOKEN}", http=401))
    sends = [asyncio.create_task(one.send()) for _ in range(3)]
    errors = await asyncio.gather(*sends, return_exceptions=True)
    assert {type(one) for one in errors} <= {RefusedAccount, NotSent}
    assert one.heard.reasons == ["credentials"]
    assert not REASONS["credentials"].retried
    said = f"{errors} {one.heard.ends}"
    assert "***" in said
    assert TOKEN not in said
    asked = len(one.api.asked)
    with pytest.raises(NotSent):
        await one.send()
    assert len(one.api.asked) == asked


async def test_what_meta_cannot_say_or_reach_is_refused_without_asking(one: Open) -> None:
    asked = len(one.api.asked)
    with pytest.raises(RefusedContent) as content:
        await one.send(Edit("ours", "new"))
    with pytest.raises(RefusedRecipient) as recipient:
        await one.send(to="lid:123")
    assert {content.value.reason, recipient.value.reason} <= FAILURES.keys()
    assert len(one.api.asked) == asked


async def test_nothing_is_sent_after_closing(one: Open) -> None:
    await one.session.close()
    with pytest.raises(NotSent):
        await one.send()
    with pytest.raises(ConnectionError):
        await one.session.ping()
    assert not one.heard.ends


def test_every_code_of_the_table_has_a_sentence_and_a_next_step() -> None:
    assert {one.reason for one in ERRORS.values()} <= FAILURES.keys()
    assert {one.account for one in ERRORS.values()} <= REASONS.keys()
    accounts = {one.reason for one in ERRORS.values() if issubclass(one.error, RefusedAccount)}
    assert accounts <= REASONS.keys()

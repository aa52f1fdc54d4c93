"""What goes wrong at a provider is named by what a lane may do next."""

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from wafleet.domain.account import REASONS
from wafleet.domain.failures import FAILURES, failure
from wafleet.transports.base import (
    MaybeSent,
    NotSent,
    OpenError,
    OutsideWindow,
    Refused,
    RefusedAccount,
    SendError,
    Throttled,
)
from wafleet.transports.remedies import (
    Patience,
    Remedy,
    Told,
    http_errors,
    named,
    open_errors,
    ping_errors,
    retry_after,
)
from wafleet.transports.unknown import AGAIN_S, Code, Unknown
from wafleet.transports.web import TooBig, answer, client, download, text

TABLE = {
    "7": Remedy(OutsideWindow, "outside_window"),
    "8": Remedy(RefusedAccount, "credentials", account="credentials"),
    "9": Remedy(Throttled, "pair_rate"),
    "10": Remedy(NotSent, "provider_away"),
}
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def told(reply: httpx.Response) -> Told:
    said = reply.json()
    return Told(str(said["code"]), said["words"])


async def ask(handler: Callable[[httpx.Request], httpx.Response], **more: Any) -> str:
    """Post one message to a provider that answers like this, and read its name."""
    async with httpx.AsyncClient(transport=httpx.MockTransport(handler), base_url="http://provider.test") as http:
        with http_errors("acme", table=TABLE, read=told, **more):
            return text(answer(await http.post("/messages"))["id"])
    raise AssertionError


def says(status: int, **body: Any) -> Callable[[httpx.Request], httpx.Response]:
    return lambda _: httpx.Response(status, json=body)


async def test_a_message_that_was_taken_has_the_name_the_provider_gave_it() -> None:
    assert await ask(says(201, id="M1")) == "M1"


@pytest.mark.parametrize(
    ("status", "code", "kind", "reason"),
    [
        (400, 7, OutsideWindow, "outside_window"),
        (401, 8, RefusedAccount, "credentials"),
        (400, 9, Throttled, "pair_rate"),
        (503, 10, NotSent, "provider_away"),
        (400, 4711, Refused, "provider_code"),
        (500, 4711, MaybeSent, "no_answer"),
    ],
)
async def test_the_providers_code_decides_and_stays_readable(
    status: int, code: int, kind: type[SendError], reason: str
) -> None:
    with pytest.raises(SendError) as caught:
        await ask(says(status, code=code, words="its own words"))
    assert (type(caught.value), caught.value.reason) == (kind, reason)
    assert caught.value.detail == f"acme {code} its own words"


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (500, MaybeSent),
        (502, MaybeSent),
        (408, MaybeSent),
        (401, RefusedAccount),
        (403, RefusedAccount),
        (404, Refused),
    ],
)
async def test_an_error_that_names_no_code_is_judged_by_its_status(status: int, kind: type[SendError]) -> None:
    with pytest.raises(kind) as caught:
        await ask(lambda _: httpx.Response(status, text="<html>a proxy</html>"))
    assert f"HTTP {status}" in caught.value.detail


@pytest.mark.parametrize("status", [401, 403])
async def test_a_proxy_that_refuses_logs_nobody_out(status: int) -> None:
    with pytest.raises(RefusedAccount) as caught:
        await ask(lambda _: httpx.Response(status, text="<html>a firewall</html>"))
    assert REASONS[caught.value.reason].retried


async def test_a_code_nobody_knows_is_told_in_the_log() -> None:
    with capture_logs() as logs:
        error = named("acme", "4711", "new in this version", table=TABLE)
    assert (type(error), error.reason) == (Refused, "provider_code")
    assert [(one["event"], one["provider"], one["code"]) for one in logs] == [("message.unknown_error", "acme", "4711")]


def test_a_code_that_comes_again_and_again_is_told_once_an_hour() -> None:
    now = 0.0
    codes = Unknown(clock=lambda: now)
    with capture_logs() as logs:
        for _ in range(3):
            codes.met(Code("acme", "4711", "again"))
        codes.met(Code("acme", "4712", "another"))
        assert [one.code for one in codes.waiting] == ["4711", "4712"]
        now = AGAIN_S
        codes.met(Code("acme", "4711", "still"))
    assert [one["code"] for one in logs] == [one.code for one in codes.waiting] == ["4711", "4712", "4711"]


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b'{"id": 5}', b'{"id": ""}', b'{"id": "M', b"\xff\xfe", b"null"])
async def test_an_answer_that_cannot_be_read_may_have_been_a_yes(body: bytes) -> None:
    with pytest.raises(MaybeSent):
        await ask(lambda _: httpx.Response(200, content=body))


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (httpx.ConnectError("refused"), NotSent),
        (httpx.ConnectTimeout("slow"), NotSent),
        (httpx.PoolTimeout("busy"), Throttled),
        (httpx.ReadTimeout("never"), MaybeSent),
        (httpx.WriteTimeout("stuck"), MaybeSent),
        (httpx.ReadError("reset"), MaybeSent),
        (httpx.RemoteProtocolError("half a body"), MaybeSent),
    ],
)
async def test_what_breaks_before_anything_was_written_is_safe_to_repeat(
    error: httpx.HTTPError, kind: type[SendError]
) -> None:
    def breaks(_: httpx.Request) -> httpx.Response:
        raise error

    with pytest.raises(kind):
        await ask(breaks)


async def test_a_session_hears_that_its_account_can_send_nothing_any_more() -> None:
    heard: list[tuple[str, str]] = []

    def hear(reason: str, detail: str) -> None:
        heard.append((reason, detail))

    with pytest.raises(RefusedAccount):
        await ask(says(401, code=8, words="wrong"), account=hear)
    with pytest.raises(OutsideWindow):
        await ask(says(400, code=7, words="late"), account=hear)
    assert heard == [("credentials", "acme 8 wrong")]

    def unreachable(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    with pytest.raises(NotSent):
        await ask(unreachable, account=hear)
    assert heard[1:] == [("network", "ConnectError refused")]


@pytest.mark.parametrize("headers", [{}, {"Retry-After": ""}, {"Retry-After": "soon"}, {"Retry-After": "-5"}])
async def test_throttled_without_a_time_waits_longer_each_time_until_something_is_taken(
    headers: dict[str, str],
) -> None:
    patience = Patience()
    waits: list[float] = []
    for _ in range(8):
        with pytest.raises(Throttled) as caught:
            await ask(lambda _: httpx.Response(429, headers=headers), patience=patience)
        waits.append(caught.value.retry_after.total_seconds())
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60]
    await ask(says(200, id="M1"), patience=patience)
    assert patience.next() == timedelta(seconds=1)


async def test_throttled_with_a_time_waits_so_long() -> None:
    with pytest.raises(Throttled) as caught:
        await ask(lambda _: httpx.Response(429, headers={"Retry-After": "17"}), patience=Patience())
    assert caught.value.retry_after == timedelta(seconds=17)
    assert caught.value.reason == "throttled"


@pytest.mark.parametrize(
    ("said", "wait"),
    [
        ("0", 0),
        ("17", 17),
        ("99999999999999999999", 3600),
        (format_datetime(NOW + timedelta(seconds=90), usegmt=True), 90),
        (format_datetime(NOW - timedelta(seconds=90), usegmt=True), 0),
        ("Wed, 99 Nonsense", None),
        ("²", None),
        ("", None),
    ],
)
def test_a_time_to_wait_is_seconds_or_a_date(said: str, wait: float | None) -> None:
    got = retry_after(httpx.Headers([(b"Retry-After", said.encode())]), at=NOW)
    assert got == (None if wait is None else timedelta(seconds=wait))


@pytest.mark.parametrize(
    ("status", "code", "reason"), [(401, 8, "credentials"), (429, 9, "throttled"), (503, 10, "network")]
)
async def test_a_session_that_cannot_be_opened_says_why_in_our_words(status: int, code: int, reason: str) -> None:
    async with httpx.AsyncClient(transport=httpx.MockTransport(says(status, code=code, words="w"))) as http:
        with pytest.raises(OpenError) as caught, open_errors("acme", table=TABLE, read=told):
            answer(await http.get("http://provider.test/"))
    assert (caught.value.reason, caught.value.detail) == (reason, f"acme {code} w")
    assert reason in REASONS
    assert (caught.value.until is None) == (reason != "throttled")


async def test_a_ping_that_is_refused_by_name_was_answered_and_one_that_breaks_was_not() -> None:
    for status, code, broken in ((400, 7, False), (429, 9, False), (500, 4711, True), (503, 10, True)):
        async with httpx.AsyncClient(transport=httpx.MockTransport(says(status, code=code, words="w"))) as http:
            try:
                with ping_errors("acme", table=TABLE, read=told):
                    answer(await http.get("http://provider.test/"))
                assert not broken
            except ConnectionError:
                assert broken


async def test_a_file_is_fetched_whole_or_refused_as_soon_as_it_is_too_big() -> None:
    def serve(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/lies":
            return httpx.Response(200, stream=_Chunks(b"x" * 10, 100), headers={"Content-Type": "image/png; q=1"})
        return httpx.Response(200, content=b"picture", headers={"Content-Type": "image/png; q=1"})

    async with httpx.AsyncClient(transport=httpx.MockTransport(serve), base_url="http://provider.test") as http:
        assert await download(http.build_request("GET", "/a"), http=http, most=7) == (b"picture", "image/png")
        with pytest.raises(TooBig):
            await download(http.build_request("GET", "/a"), http=http, most=6)
        with pytest.raises(TooBig):
            await download(http.build_request("GET", "/lies"), http=http, most=99)


class _Chunks(httpx.AsyncByteStream):
    def __init__(self, part: bytes, times: int) -> None:
        self._part, self._times = part, times

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for _ in range(self._times):
            yield self._part


async def test_a_provider_that_is_not_there_is_named_so_by_the_real_client() -> None:
    async with client("http://127.0.0.1:1") as http:
        with pytest.raises(NotSent), http_errors("acme", table=TABLE, read=told):
            answer(await http.post("/messages"))


def test_every_reason_is_one_sentence_that_goes_on_and_a_next_step() -> None:
    for one in FAILURES.values():
        assert one.sentence
        assert not one.sentence.endswith(".")
        assert one.next_step.endswith(".")
    assert failure("something_new").sentence == "something new"

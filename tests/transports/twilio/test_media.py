"""Customers' files are fetched from Twilio once, and only from Twilio."""

import json

import httpx
import pytest
from tests.transports.heard import PHONE

from wafleet.domain.ids import AccountId, new_id
from wafleet.transports.base import MaybeSent, NotSent, Number, Refused, RefusedContent, SendError, Throttled
from wafleet.transports.twilio import Twilio, media

AC, TOKEN = "AC" + "0" * 32, "a token that is only for tests"
KEYS = json.dumps({"accountSid": AC, "authToken": TOKEN}).encode()
URL = "https://api.twilio.com/2010-04-01/Accounts/AC/Messages/MM/Media/ME"
PNG = {"Content-Type": "image/png"}


async def fetch(
    reference: str, *answers: httpx.Response, credentials: bytes = KEYS, url: str = ""
) -> tuple[bytes, list[httpx.Request]]:
    asked: list[httpx.Request] = []
    left = list(answers)

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return left.pop(0)

    number = Number(AccountId(new_id()), PHONE, {"twilio": {"url": url}} if url else {})
    async with Twilio(http=httpx.AsyncClient(transport=httpx.MockTransport(answer))) as twilio:
        return await twilio.fetch(number, credentials, reference), asked


async def test_a_file_is_fetched_with_the_accounts_credentials() -> None:
    content, [request] = await fetch(f"image/png {URL}", httpx.Response(200, content=b"picture", headers=PNG))
    assert content == b"picture"
    assert request.headers["Authorization"] == httpx.BasicAuth(AC, TOKEN)._auth_header


async def test_where_twilio_redirects_to_the_credentials_do_not_go() -> None:
    content, asked = await fetch(
        f"image/png {URL}",
        httpx.Response(307, headers={"Location": "https://mms.twiliocdn.com/x"}),
        httpx.Response(200, content=b"picture", headers=PNG),
    )
    assert content == b"picture"
    assert [("Authorization" in one.headers) for one in asked] == [True, False]


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/x",
        "https://api.twilio.com.evil.example/x",
        "https://eviltwilio.com/x",
        "http://api.twilio.com/x",
        "file:///etc/passwd",
        "",
        "https://[x",
    ],
)
async def test_no_other_address_sees_the_credentials(url: str) -> None:
    with pytest.raises(RefusedContent, match="no address of Twilio"):
        await fetch(f"image/png {url}")


async def test_what_stands_in_for_twilio_is_asked_where_it_is_and_nowhere_else() -> None:
    local = "http://127.0.0.1:9"
    content, _ = await fetch(f"image/png {local}/x", httpx.Response(200, content=b"p", headers=PNG), url=local)
    assert content == b"p"
    with pytest.raises(RefusedContent):
        await fetch(f"image/png {URL}", url=local)


@pytest.mark.parametrize(
    ("answer", "kind", "reason"),
    [
        (httpx.Response(404, json={"code": 20404, "message": "gone"}), RefusedContent, "media_gone"),
        (httpx.Response(410), RefusedContent, "media_gone"),
        (
            httpx.Response(200, content=b"<html>", headers={"Content-Type": "text/html"}),
            RefusedContent,
            "media_refused",
        ),
        (httpx.Response(200, content=b"no type"), RefusedContent, "media_refused"),
        (httpx.Response(200, content=b"", headers=PNG), RefusedContent, "media_refused"),
        (
            httpx.Response(200, content=b"", headers=PNG | {"Content-Length": "999999999"}),
            RefusedContent,
            "media_refused",
        ),
        (httpx.Response(401, json={"code": 20003, "message": "no"}), NotSent, "credentials"),
        (httpx.Response(429), Throttled, "throttled"),
        (httpx.Response(500), MaybeSent, "no_answer"),
    ],
)
async def test_a_file_that_cannot_be_had_says_whether_trying_again_helps(
    answer: httpx.Response, kind: type[SendError], reason: str
) -> None:
    with pytest.raises(kind) as caught:
        await fetch(f"image/png {URL}", answer)
    assert caught.value.reason == reason
    assert isinstance(caught.value, Refused) == (kind is RefusedContent)


async def test_a_file_larger_than_whatsapp_takes_is_not_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(media, "MOST", 3)
    with pytest.raises(RefusedContent, match="at most 3"):
        await fetch(f"image/png {URL}", httpx.Response(200, content=b"four", headers=PNG))


async def test_without_credentials_it_is_tried_again_when_there_are_some() -> None:
    with pytest.raises(NotSent):
        await fetch(f"image/png {URL}", credentials=b"")

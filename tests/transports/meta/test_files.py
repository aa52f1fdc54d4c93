"""Files that customers sent are fetched, and are what Meta said they would be."""

import base64
import hashlib
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from tests.transports.meta.posts import CREDENTIALS, NUMBER, TOKEN, Api, number, refused

from wafleet.transports.base import MaybeSent, NotSent, RefusedContent, SendError
from wafleet.transports.meta.files import KEPT_S, Handed
from wafleet.transports.meta.graph import MOST_BYTES
from wafleet.transports.meta.transport import Meta

CONTENT = b"\xff\xd8\xff\xe0 a picture"
DIGEST = hashlib.sha256(CONTENT)
LINK = "https://lookaside.fbsbx.com/whatsapp_business/attachments/?mid=1"
SAID = f"1003 {base64.b64encode(DIGEST.digest()).decode()}"
ABOUT: dict[str, Any] = {
    "messaging_product": "whatsapp",
    "id": "1003",
    "url": LINK,
    "mime_type": "image/jpeg",
    "sha256": DIGEST.hexdigest(),
    "file_size": str(len(CONTENT)),
}


@pytest.fixture
def api() -> Api:
    api = Api()
    api.answer("GET /1003", httpx.Response(200, json=ABOUT))
    api.answer("GET /attachments/", httpx.Response(200, content=CONTENT, headers={"Content-Type": "image/jpeg"}))
    return api


@pytest.fixture
async def meta(api: Api) -> AsyncIterator[Meta]:
    async with api.transport() as meta:
        yield meta


async def fetch(meta: Meta, file: str = SAID) -> bytes:
    return await meta.fetch(number(), CREDENTIALS, file)


async def test_a_file_is_fetched_with_the_token_from_where_meta_says(meta: Meta, api: Api) -> None:
    assert await fetch(meta) == CONTENT
    about, file = api.asked
    assert about.url.params["phone_number_id"] == NUMBER
    assert str(file.url) == LINK
    assert file.headers["Authorization"] == f"Bearer {TOKEN}"


@pytest.mark.parametrize(
    "about",
    [
        {"file_size": str(len(CONTENT) + 1)},
        {"file_size": 3},
        {"sha256": "0" * 64},
        {"file_size": str(MOST_BYTES + 1)},
    ],
)
async def test_a_file_that_is_not_what_meta_said_is_refused(meta: Meta, api: Api, about: dict[str, Any]) -> None:
    api.answer("GET /1003", httpx.Response(200, json=ABOUT | about))
    with pytest.raises(RefusedContent) as error:
        await fetch(meta)
    assert error.value.reason == "media_refused"


async def test_a_file_that_is_not_what_the_message_said_is_refused(meta: Meta) -> None:
    other = base64.b64encode(hashlib.sha256(b"another").digest()).decode()
    with pytest.raises(RefusedContent, match="hash"):
        await fetch(meta, f"1003 {other}")


async def test_a_file_without_end_is_not_read_to_its_end(meta: Meta, api: Api) -> None:
    api.answer("GET /1003", httpx.Response(200, json={"url": LINK}))
    huge = httpx.Response(200, content=b"x", headers={"Content-Length": str(MOST_BYTES + 1)})
    api.answer("GET /attachments/", huge)
    with pytest.raises(RefusedContent):
        await fetch(meta)


@pytest.mark.parametrize("unsaid", [{"sha256": ""}, {"sha256": "not a hash"}, {"sha256": None, "file_size": ""}])
async def test_what_meta_does_not_say_is_not_compared(meta: Meta, api: Api, unsaid: dict[str, Any]) -> None:
    api.answer("GET /1003", httpx.Response(200, json=ABOUT | unsaid))
    assert await fetch(meta, "1003") == CONTENT


@pytest.mark.parametrize(
    ("answer", "wanted"),
    [
        (refused(190, http=401), NotSent),  # once the token is right again, it can be had
        (refused(100, "Object with ID does not exist"), RefusedContent),
        (refused(100, "Unsupported get request: it does not exist", error_subcode=33), RefusedContent),
        (refused(803, "Some of the aliases you requested do not exist", http=404), RefusedContent),
        (httpx.Response(500), MaybeSent),
        (httpx.ReadTimeout("slow"), MaybeSent),
        (httpx.ConnectError("refused"), NotSent),
        (httpx.Response(200, text="nonsense"), MaybeSent),
    ],
)
async def test_what_goes_wrong_is_named_by_its_remedy(
    meta: Meta, api: Api, answer: Any, wanted: type[SendError]
) -> None:
    api.answer("GET /1003", answer)
    with pytest.raises(wanted):
        await fetch(meta)


@pytest.mark.parametrize("id", ["../me", "1003/../../x", "1003?fields=x", "", "١٠٠٣"])
async def test_what_is_no_id_of_metas_becomes_no_address(meta: Meta, api: Api, id: str) -> None:
    with pytest.raises(RefusedContent, match="no id"):
        await fetch(meta, id)
    assert not api.asked


async def test_without_credentials_nothing_is_fetched(meta: Meta) -> None:
    with pytest.raises(NotSent):
        await meta.fetch(number(), b"", SAID)


@pytest.mark.parametrize("answer", [httpx.Response(404), httpx.Response(500), httpx.Response(403, text="expired")])
async def test_an_address_that_is_over_is_asked_for_again_later(meta: Meta, api: Api, answer: Any) -> None:
    api.answer("GET /attachments/", answer)
    with pytest.raises(NotSent) as error:
        await fetch(meta)
    assert error.value.reason == "media_away"


async def test_a_file_is_handed_over_again_before_meta_forgets_it() -> None:
    now = 0.0
    uploads: list[str] = []

    async def upload() -> str:
        uploads.append(f"media-{len(uploads)}")
        return uploads[-1]

    handed, key = Handed(clock=lambda: now), ("1", "f" * 64, "image/jpeg")
    assert await handed.id(key, upload) == ("media-0", False)
    assert await handed.id(key, upload) == ("media-0", True)
    now = KEPT_S + 1
    assert await handed.id(key, upload) == ("media-1", False)
    handed.forget(key, "media-0")
    assert await handed.id(key, upload) == ("media-1", True)
    handed.forget(key, "media-1")
    assert await handed.id(key, upload) == ("media-2", False)

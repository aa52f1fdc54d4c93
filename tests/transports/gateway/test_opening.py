"""Opening and linking through a gateway, with a stand-in behind it."""

import asyncio
import dataclasses
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from hashlib import sha256

import httpx
import pytest
from tests.transports.heard import PHONE, QUICK, Heard, number, until

from wafleet.simulator.local import Local
from wafleet.simulator.standins.gateway.api import listening
from wafleet.simulator.standins.gateway.service import Gateway as Standin
from wafleet.simulator.wire import Wire
from wafleet.simulator.world import World
from wafleet.transports.base import Number, OpenError, Refused, RefusedContent, SendError
from wafleet.transports.gateway import Gateway
from wafleet.transports.gateway.client import Client
from wafleet.transports.gateway.linking import Attempt
from wafleet.transports.gateway.place import Place

KEYS = json.dumps({"apiKey": "a-key", "hmacKey": "another-key"}).encode()  # as the older path writes them


@pytest.fixture
def world() -> World:
    return World(seed=1, manners=QUICK)


@pytest.fixture
async def standin(world: World) -> AsyncIterator[Standin]:
    async def connect() -> Wire:
        return Local(world)

    made = Standin(connect, api_key="a-key", answer_s=2.0)
    async with listening(made):
        yield made


@pytest.fixture
async def gateway(standin: Standin) -> AsyncIterator[Gateway]:
    hook = "https://wafleet.test/hooks/gateway/{account}"
    async with Gateway(standin.base, hook=hook, answer_s=1.0, open_s=1.0, look_s=0.02) as transport:
        yield transport


def at(session: str = "shop", **own: str) -> Number:
    return dataclasses.replace(number(), settings={"gateway": {"session": session, **own}}, credentials=KEYS)


async def refused(gateway: Gateway, account: Number, credentials: bytes = KEYS) -> OpenError:
    with pytest.raises(OpenError) as raised:
        await gateway.open(account, credentials, Heard())
    return raised.value


async def test_a_session_that_the_gateway_stopped_is_started(standin: Standin, gateway: Gateway) -> None:
    session = await standin.sessions.take("shop", PHONE)
    await standin.numbers.online(PHONE)
    await standin.sessions.stop(session)
    opened = await gateway.open(at(), KEYS, Heard())
    assert session.status == "WORKING"
    await opened.ping()


async def test_another_numbers_session_is_not_ours(standin: Standin, gateway: Gateway) -> None:
    await standin.sessions.take("shop", "+966500000002")
    error = await refused(gateway, at())
    assert error.reason == "link_wrong_phone"
    assert "+966500000002" in error.detail


async def test_what_is_missing_or_wrong_has_its_reason(standin: Standin, gateway: Gateway) -> None:
    assert (await refused(gateway, at("nobody"))).reason == "sender_missing"
    assert (await refused(gateway, at(), b'{"apiKey": "wrong"}')).reason == "credentials"
    assert (await refused(gateway, at(url="http://127.0.0.1:9"))).reason == "network"
    assert (await refused(gateway, at(url="no address"))).reason in {"network", "connect_timeout"}
    async with Gateway() as nowhere:
        assert (await refused(nowhere, at())).reason == "unready"


async def test_a_status_that_is_not_working_is_a_reason(standin: Standin, gateway: Gateway) -> None:
    session = await standin.sessions.take("shop", PHONE)
    await standin.numbers.online(PHONE)
    for status, reason in (("SCAN_QR_CODE", "logged_out"), ("PASSKEY_REQUIRED", "passkey"), ("NEW", "network")):
        session.status = status
        assert (await refused(gateway, at())).reason == reason
    session.status = "STARTING"
    assert (await refused(gateway, at())).reason == "connect_timeout"


async def test_a_session_that_is_made_here_calls_us_with_a_signature(
    world: World, standin: Standin, gateway: Gateway
) -> None:
    account, heard = at(), Heard()
    linking = asyncio.create_task(gateway.link(account, heard))
    await until(lambda: heard.pairings)
    assert heard.pairings[0].qr
    assert heard.pairings[0].code
    world.linking.scan(PHONE, code=heard.pairings[-1].code)
    assert await linking == KEYS
    (hook,) = standin.sessions.get("shop").config["webhooks"]
    assert hook["url"] == f"https://wafleet.test/hooks/gateway/{account.id}"
    assert hook["hmac"] == {"key": "another-key"}
    assert {"message", "message.ack", "session.status"} <= set(hook["events"])
    await gateway.open(account, KEYS, heard)


async def test_a_phone_that_is_linked_already_needs_no_code(standin: Standin, gateway: Gateway) -> None:
    await standin.sessions.take("shop", PHONE)
    heard = Heard()
    assert await gateway.link(at(), heard) == KEYS
    assert not heard.pairings


async def test_a_session_that_is_there_already_is_told_where_to_call_and_keeps_the_rest(
    standin: Standin, gateway: Gateway
) -> None:
    other = {"url": "https://crm.test/hook", "events": ["message"]}
    before = {"webhooks": [other, {"url": "https://old.test", "events": ["*"]}], "proxy": {"server": "proxy.test"}}
    session = await standin.sessions.take("shop", PHONE, before)
    account, heard = at(), Heard()
    await gateway.link(account, heard)
    *kept, own = session.config["webhooks"]
    assert kept == before["webhooks"]
    assert (own["url"], own["hmac"]) == (f"https://wafleet.test/hooks/gateway/{account.id}", {"key": "another-key"})
    assert session.config["proxy"] == before["proxy"]
    assert (session.status, heard.pairings) == ("WORKING", [])
    own["hmac"] = {"key": "the key of last year"}
    await gateway.link(account, heard)
    assert [one["url"] for one in session.config["webhooks"]] == [*(one["url"] for one in kept), own["url"]]
    assert session.config["webhooks"][-1]["hmac"] == {"key": "another-key"}


async def test_a_session_that_calls_us_already_is_not_started_anew(standin: Standin, gateway: Gateway) -> None:
    account = at()
    session = await standin.sessions.take("shop", PHONE)
    await gateway.link(account, Heard())
    config, history = session.config, list(session.history)
    await gateway.link(account, Heard())
    assert session.config is config
    assert session.history == history


async def test_linking_that_is_cancelled_shows_no_more_codes(standin: Standin, gateway: Gateway) -> None:
    heard = Heard()
    linking = asyncio.create_task(gateway.link(at(), heard))
    await until(lambda: heard.pairings)
    linking.cancel()
    await asyncio.gather(linking, return_exceptions=True)
    await until(lambda: standin.sessions.get("shop").status == "STOPPED")


async def test_a_phone_that_shows_a_code_says_which_and_where_to_confirm_it() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        confirming = request.url.path.endswith("/auth/passkey/confirmation")
        said = {"code": "73-21"} if confirming else {"name": "shop", "status": "PASSKEY_CONFIRMATION_REQUIRED"}
        return httpx.Response(200, json=said)

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as http:
        asked = Client(http, Place.of(at(url="http://gateway.test"), KEYS, ""))
        with pytest.raises(OpenError) as raised:
            await Attempt(asked, at(), Heard(), hook="", look_s=0.01).run()
    assert raised.value.reason == "passkey"
    assert "the gateway's own dashboard" in raised.value.detail
    assert "(code 73-21)" in raised.value.detail


async def test_a_passkey_says_what_to_do(world: World, standin: Standin, gateway: Gateway) -> None:
    world.linking.passkey = True
    heard = Heard()
    linking = asyncio.create_task(gateway.link(at(), heard))
    await until(lambda: heard.pairings)
    world.linking.scan(PHONE)
    with pytest.raises(OpenError) as raised:
        await linking
    assert raised.value.reason == "passkey"
    assert "dashboard" in raised.value.detail


async def test_linking_needs_the_key(gateway: Gateway) -> None:
    with pytest.raises(OpenError) as raised:
        await gateway.link(dataclasses.replace(at(), credentials=b""), Heard())
    assert raised.value.reason == "credentials"


# --- files ------------------------------------------------------------------------------------------------------------


async def test_a_file_is_asked_for_where_the_gateway_is_whatever_it_calls_itself(
    standin: Standin, gateway: Gateway
) -> None:
    name = standin.files.put(b"a picture")
    assert name == sha256(b"a picture").hexdigest()
    url = f"http://localhost:3000/api/files/shop/{name}.jpg"
    assert await gateway.fetch(at(), KEYS, url) == b"a picture"


async def test_a_file_that_is_gone_is_gone(standin: Standin, gateway: Gateway) -> None:
    with pytest.raises(RefusedContent) as raised:
        await gateway.fetch(at(), KEYS, f"{standin.base}/api/files/shop/nothing.jpg")
    assert raised.value.reason == "media_gone"


@pytest.mark.parametrize(
    "url",
    [
        *("http://169.254.169.254/latest", "https://169.254.169.254/latest", "https://localhost/admin"),
        *("file:///etc/passwd", "ftp://x/y", "https://[x", "nonsense", ""),
        *("http://x/api/files/../sessions", "http://x/api/files/%2e%2e/sessions"),
    ],
)
async def test_a_file_is_fetched_from_nowhere_else(gateway: Gateway, url: str) -> None:
    with pytest.raises(RefusedContent, match="no file of the gateway"):
        await gateway.fetch(at(), KEYS, url)


async def test_what_may_be_had_later_is_no_refusal(gateway: Gateway) -> None:
    with pytest.raises(SendError) as raised:
        await gateway.fetch(at(url="http://127.0.0.1:9"), KEYS, "http://x/api/files/shop/a.jpg")
    assert not isinstance(raised.value, Refused)


@dataclass
class Asked:
    """All that a gateway, its store and whoever else is asked for files, and what each answers."""

    answer: httpx.Response = field(default_factory=lambda: httpx.Response(200, content=b"x"))
    requests: list[httpx.Request] = field(default_factory=list[httpx.Request])

    def client(self, *, answer_s: float) -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=httpx.MockTransport(self), timeout=answer_s)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        return self.answer


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    asked = Asked()
    monkeypatch.setattr("wafleet.transports.gateway.transport.client", asked.client)
    return asked


async def test_the_key_goes_to_the_gateway_alone(asked: Asked) -> None:
    async with Gateway("https://gateway.test", store="https://bucket.test") as gateway:
        await gateway.fetch(at(), KEYS, "https://bucket.test/a.jpg")
        await gateway.fetch(at(), KEYS, "https://elsewhere.test/api/files/shop/a.jpg?x=1")
    assert [str(one.url) for one in asked.requests] == [
        "https://bucket.test/a.jpg",
        "https://gateway.test/api/files/shop/a.jpg?x=1",
    ]
    assert ["X-Api-Key" in one.headers for one in asked.requests] == [False, True]


@pytest.mark.parametrize("url", ["https://bucket.test/a.jpg", "https://gateway.test/api/files/shop/a.jpg"])
async def test_a_redirect_is_not_followed_and_takes_no_key_elsewhere(asked: Asked, url: str) -> None:
    asked.answer = httpx.Response(302, headers={"Location": "https://elsewhere.test/x"})
    async with Gateway("https://gateway.test", store="https://bucket.test") as gateway:
        with pytest.raises(RefusedContent, match="elsewhere"):
            await gateway.fetch(at(), KEYS, url)
    assert [str(one.url) for one in asked.requests] == [url]

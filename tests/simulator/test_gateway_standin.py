"""The stand-in of a gateway, as a program that was written for WAHA finds it."""

import asyncio
import base64
import hashlib
import hmac
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from tests.simulator.peer import LAYLA, ONE, TWO, fault, say
from tests.simulator.test_standin import until

from wafleet.simulator.local import Local
from wafleet.simulator.manners import INSTANT
from wafleet.simulator.orders import Say
from wafleet.simulator.standins.gateway.api import listening
from wafleet.simulator.standins.gateway.service import Gateway
from wafleet.simulator.standins.server import answering
from wafleet.simulator.wire import Wire
from wafleet.simulator.world import World

CHAT = f"{LAYLA[1:]}@c.us"


class Hook:
    """Somebody whose webhook is called."""

    def __init__(self) -> None:
        self.calls: list[tuple[dict[str, str], bytes]] = []
        self.answers: list[int] = []  # first these, then 200

    async def called(self, request: Request) -> Response:
        self.calls.append((dict(request.headers), await request.body()))
        return Response(status_code=self.answers.pop(0) if self.answers else 200)

    def events(self, kind: str) -> list[Any]:
        told = [json.loads(body) for _, body in self.calls]
        return [one["payload"] for one in told if one["event"] == kind]


@pytest.fixture
def world() -> World:
    return World(seed=1, manners=INSTANT)


@pytest.fixture
def hook() -> Hook:
    return Hook()


@pytest.fixture
async def gateway(world: World, hook: Hook) -> AsyncIterator[Gateway]:
    async def connect() -> Wire:
        return Local(world)

    async with answering(Starlette(routes=[Route("/hook", hook.called, methods=["POST"])])) as url:
        retries = {"policy": "constant", "delaySeconds": 0.02, "attempts": 5}
        webhook = {"url": f"{url}/hook", "events": ["*"], "hmac": {"key": "secret"}, "retries": retries}
        made = Gateway(connect, api_key="key", webhooks=[webhook], answer_s=1)
        async with listening(made):
            await made.sessions.take("shop", ONE)
            await made.numbers.online(ONE)
            yield made


@pytest.fixture
async def http(gateway: Gateway) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=gateway.base, headers={"X-Api-Key": "key"}) as client:
        yield client


async def send(http: httpx.AsyncClient, what: str = "sendText", **more: Any) -> httpx.Response:
    body = {"session": "shop", "chatId": CHAT, "text": "hi"} | more
    return await http.post(f"/api/{what}", json=body)


async def becomes(http: httpx.AsyncClient, session: str, status: str) -> None:
    for _ in range(1000):
        if (await http.get(f"/api/sessions/{session}")).json()["status"] == status:
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"{session} never became {status}")


async def test_nobody_gets_in_without_the_key(http: httpx.AsyncClient) -> None:
    for key in ("", "wrong"):
        answer = await http.get("/api/sessions", headers={"X-Api-Key": key})
        assert (answer.status_code, answer.json()["message"]) == (401, "Unauthorized")


async def test_a_message_crosses_and_its_acks_are_told(http: httpx.AsyncClient, world: World, hook: Hook) -> None:
    answer = await send(http)
    assert answer.status_code == 201
    id = answer.json()["id"]
    assert id.startswith(f"true_{CHAT}_3EB0")
    await until(lambda: hook.events("message.ack"))
    ack = hook.events("message.ack")[0]
    assert (ack["id"], ack["fromMe"], ack["ackName"]) == (id, True, "DEVICE")
    assert world.ledger(ONE)[0].sent == 1
    listed = (await http.get(f"/api/shop/chats/{CHAT}/messages", params={"filter.fromMe": "true"})).json()
    assert [(one["id"], one["body"], one["ack"]) for one in listed] == [(id, "hi", 2)]


async def test_calls_are_signed_over_their_bytes_and_counted_as_received_once_taken(
    world: World, hook: Hook, gateway: Gateway
) -> None:
    hook.answers = [500, 503]
    say(world, "السلام عليكم")
    await until(lambda: hook.events("message"))
    await until(lambda: world.ledger(ONE)[0].received == 1)
    for headers, body in hook.calls:
        assert headers["x-webhook-hmac"] == hmac.new(b"secret", body, hashlib.sha512).hexdigest()
        assert headers["x-webhook-hmac-algorithm"] == "sha512"
    tried = hook.events("message")
    assert len(tried) >= 2
    assert {one["body"] for one in tried} == {"السلام عليكم"}


async def test_a_session_is_linked_by_qr_and_by_code(http: httpx.AsyncClient, world: World) -> None:
    config = {"metadata": {"phone": TWO}}
    assert (await http.post("/api/sessions", json={"name": "second", "config": config})).status_code == 201

    await becomes(http, "second", "SCAN_QR_CODE")
    raw = (await http.get("/api/second/auth/qr", params={"format": "raw"})).json()["value"]
    image = await http.get("/api/second/auth/qr", headers={"Accept": "application/json"})
    assert base64.b64decode(image.json()["data"]).startswith(b"\x89PNG")
    code = (await http.post("/api/second/auth/request-code", json={"phoneNumber": TWO[1:]})).json()["code"]
    assert len(code.replace("-", "")) == 8
    world.linking.scan(TWO, qr=raw)
    await becomes(http, "second", "WORKING")
    assert (await http.get("/api/sessions/second/me")).json()["id"] == f"{TWO[1:]}@c.us"


async def test_a_session_that_does_not_work_says_so(http: httpx.AsyncClient) -> None:
    assert (await http.post("/api/sessions/shop/stop")).json()["status"] == "STOPPED"
    answer = await send(http)
    assert (answer.status_code, answer.json()["status"], answer.json()["expected"]) == (422, "STOPPED", ["WORKING"])
    assert (await send(http, session="nobody")).status_code == 404
    await http.post("/api/sessions/shop/start")
    await becomes(http, "shop", "WORKING")
    assert (await send(http)).status_code == 201


async def test_logging_out_removes_the_device_and_asks_for_another_link(http: httpx.AsyncClient, world: World) -> None:
    await http.post("/api/sessions/shop/logout")
    assert world.account(ONE).credentials is None
    await becomes(http, "shop", "SCAN_QR_CODE")


@pytest.mark.parametrize(
    ("kind", "detail", "status", "words"),
    [
        ("throttled", "", 500, "server returned error 429"),
        ("reach_out_lock", "", 500, "server returned error 463"),
        ("ack_error", "479", 500, "server returned error 479"),
        ("provider_error", "503", 503, "on demand"),
        ("provider_error", "466", 500, "server returned error 466"),
    ],
)
async def test_errors_come_on_demand(
    http: httpx.AsyncClient, world: World, kind: str, detail: str, status: int, words: str
) -> None:
    fault(world, kind, detail=detail)
    answer = await send(http)
    assert answer.status_code == status
    assert words in answer.text
    assert world.ledger(ONE)[0].sent == 0
    assert (await http.get(f"/api/shop/chats/{CHAT}/messages")).json() == []


@pytest.mark.parametrize("kind", ["500", "nonsense", "empty", "half"])
async def test_ill_answers_come_after_the_message_crossed(http: httpx.AsyncClient, world: World, kind: str) -> None:
    fault(world, "ill_answers", detail=kind)
    try:
        answer = await send(http)
        assert answer.status_code == 500 or "id" not in answer.text
    except httpx.HTTPError:
        assert kind == "half"
    assert world.ledger(ONE)[0].sent == 1
    assert len((await http.get(f"/api/shop/chats/{CHAT}/messages")).json()) == 1


async def test_a_customers_file_can_be_fetched_with_the_key_alone(
    http: httpx.AsyncClient, world: World, hook: Hook, gateway: Gateway
) -> None:
    name = gateway.files.put(b"a picture")
    body = {"type": "image", "media": {"id": name, "mime": "image/jpeg", "size": 9}, "caption": "look"}
    world.say(Say(customer=LAYLA, account=ONE, text="", body=body))
    await until(lambda: hook.events("message"))
    media = hook.events("message")[0]["media"]
    assert (await http.get(media["url"])).content == b"a picture"
    assert (await http.get(media["url"], headers={"X-Api-Key": ""})).status_code == 401
    assert (await http.get("/api/files/shop/nothing.jpg")).status_code == 404


@pytest.mark.parametrize(
    "body",
    [{"text": ""}, {"text": 7}, {"text": "x" * 5000}, {"chatId": "nobody"}, {"chatId": None}],
)
async def test_bad_requests_are_refused_and_cross_nothing(http: httpx.AsyncClient, world: World, body: Any) -> None:
    assert (await send(http, **body)).status_code == 400
    assert world.ledger(ONE)[0].sent == 0


async def test_what_is_not_there_is_not_found_as_the_framework_says_it(http: httpx.AsyncClient) -> None:
    answer = await http.post("/api/sendSomething")
    assert (answer.status_code, answer.json()["message"]) == (404, "Cannot POST /api/sendSomething")


async def test_who_is_on_whatsapp_can_be_asked(http: httpx.AsyncClient) -> None:
    async def exists(phone: str) -> Any:
        return (await http.get("/api/contacts/check-exists", params={"phone": phone, "session": "shop"})).json()

    assert await exists(LAYLA[1:]) == {"numberExists": True, "chatId": CHAT}
    assert await exists("99900123") == {"numberExists": False}


async def test_the_command_runs_a_network_and_a_gateway_until_it_is_told_to_stop(tmp_path: Path) -> None:
    command = ("-m", "wafleet", "sim", "gateway", "--port", "0", "--number", ONE, "--data-dir", str(tmp_path), "--json")
    process = await asyncio.create_subprocess_exec(
        sys.executable, *command, stdout=asyncio.subprocess.PIPE, env=os.environ | {"NO_COLOR": "1"}
    )
    assert process.stdout
    async with asyncio.timeout(60):
        told = json.loads(await process.stdout.readline())
    headers = {"X-Api-Key": told["credentials"]["apiKey"]}
    (own,) = told["settings"].values()
    async with httpx.AsyncClient(base_url=told["url"], headers=headers) as http:
        assert (await http.get(f"/api/sessions/{own['gateway']['session']}")).status_code == 200
    process.send_signal(signal.SIGTERM)
    async with asyncio.timeout(20):
        await process.communicate()
    assert process.returncode == 0

"""What all stand-ins share: numbers on the world, calls of webhooks, ill answers."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from tests.simulator.peer import LAYLA, ONE, TWO, fault, ref, say

from wafleet.simulator.control import Control, NotDone
from wafleet.simulator.frames import DELIVERED, Receipt, Said
from wafleet.simulator.local import Local
from wafleet.simulator.manners import INSTANT
from wafleet.simulator.model import Impossible
from wafleet.simulator.standins.hooks import SILENT, UNREACHED, Hook, Webhooks
from wafleet.simulator.standins.numbers import Numbers
from wafleet.simulator.standins.server import ILL, IllAnswer, answering
from wafleet.simulator.wire import NoAnswer, Refusal
from wafleet.simulator.world import World


class Heard:
    """What a stand-in is told."""

    def __init__(self) -> None:
        self.said_: list[tuple[str, Said]] = []
        self.receipts: list[tuple[str, Receipt]] = []
        self.changes: list[str] = []

    def said(self, phone: str, said: Said) -> None:
        self.said_.append((phone, said))

    def receipt(self, phone: str, receipt: Receipt) -> None:
        self.receipts.append((phone, receipt))

    def changed(self, phone: str) -> None:
        self.changes.append(phone)


async def until(met: Callable[[], object], within: float = 10.0) -> None:
    async with asyncio.timeout(within):
        while not met():  # noqa: ASYNC110 - anything may be waited for
            await asyncio.sleep(0.005)


@pytest.fixture
def world() -> World:
    return World(seed=1, manners=INSTANT)


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
async def numbers(world: World, heard: Heard) -> AsyncIterator[Numbers]:
    async with Numbers.within(world, heard, answer_s=1) as numbers:
        numbers.add(ONE)
        await numbers.online(ONE)
        yield numbers


async def test_a_providers_number_needs_no_qr_code_and_speaks_with_customers(
    world: World, numbers: Numbers, heard: Heard
) -> None:
    id = say(world, "Is it open?")
    await until(lambda: heard.said_)
    assert [(phone, s.id, s.sender) for phone, s in heard.said_] == [(ONE, id, LAYLA)]
    assert world.ledger(ONE)[0].waiting == 1
    numbers.acknowledge(ONE, [id])
    await until(lambda: world.ledger(ONE)[0].received == 1)

    assert await numbers.send(ONE, ref(1), LAYLA, "Until ten")
    await until(lambda: heard.receipts)
    assert heard.receipts[0][1].state == DELIVERED
    assert [line.ref for line in world.refs(ONE)] == [ref(1)]


async def test_a_number_that_is_adopted_again_keeps_its_session(world: World, numbers: Numbers) -> None:
    control = Control(Local(world))
    assert await control.adopt(ONE) == world.account(ONE).credentials
    assert await control.adopt(TWO) == world.account(TWO).credentials
    await numbers.send(ONE, ref(1), LAYLA, "still here")
    await control.close()


async def test_a_number_that_lost_its_session_opens_it_again(world: World, numbers: Numbers, heard: Heard) -> None:
    fault(world, "disconnect")
    await until(lambda: len(heard.changes) >= 2)
    await numbers.send(ONE, ref(1), LAYLA, "back again")
    assert numbers.trouble(ONE) is None


async def test_a_banned_number_is_refused_with_the_reason(world: World, numbers: Numbers, heard: Heard) -> None:
    fault(world, "banned")
    await until(lambda: numbers.trouble(ONE))
    with pytest.raises(Refusal) as refused:
        await numbers.send(ONE, ref(1), LAYLA, "hello")
    assert refused.value.reason == "banned"


async def test_a_number_whose_login_fails_for_a_while_comes_back_and_one_that_was_removed_does_not(
    world: World, numbers: Numbers
) -> None:
    fault(world, "login_failure", detail="401", lasts=0.2)
    with pytest.raises(Refusal) as refused:
        await numbers.send(ONE, ref(1), LAYLA, "hello")
    assert refused.value.reason in {"logged_out", "network"}
    await until(lambda: numbers.trouble(ONE) is None)
    fault(world, "logged_out")
    await until(lambda: numbers.trouble(ONE))
    for _ in range(2):
        with pytest.raises(Refusal, match="removed"):
            await numbers.send(ONE, ref(2), LAYLA, "hello")


async def test_a_message_whose_answer_is_lost_has_crossed(world: World, numbers: Numbers) -> None:
    fault(world, "lost_answers")
    with pytest.raises(NoAnswer):
        await numbers.send(ONE, ref(1), LAYLA, "hello")
    assert world.ledger(ONE)[0].sent == 1


async def test_the_worlds_connection_is_made_again_when_it_broke(world: World, numbers: Numbers) -> None:
    wire = await numbers.wire()
    assert isinstance(wire, Local)
    wire.cut()
    await until(lambda: numbers.trouble(ONE))
    await numbers.send(ONE, ref(1), LAYLA, "over the new one")
    assert await numbers.wire() is not wire


class Shop:
    """A customer of a provider: its webhook answers what a test wants."""

    def __init__(self) -> None:
        self.bodies: list[str] = []
        self.statuses: list[int] = []  # of the next answers; 200 once they are used up
        self.slow_s = 0.0
        self.url = ""

    async def hook(self, request: Request) -> Response:
        self.bodies.append((await request.body()).decode())
        if self.slow_s:
            await asyncio.sleep(self.slow_s)
        return Response(status_code=self.statuses.pop(0) if self.statuses else 200)


@pytest.fixture
async def shop() -> AsyncIterator[Shop]:
    shop = Shop()
    async with answering(Starlette(routes=[Route("/hook", shop.hook, methods=["POST"])])) as url:
        shop.url = f"{url}/hook"
        yield shop


def hook(shop: Shop, body: str, key: str = LAYLA, **how: object) -> Hook:
    return Hook(url=shop.url, body=body.encode(), headers={}, key=key, **how)  # pyright: ignore[reportArgumentType]


async def test_webhooks_of_one_customer_arrive_in_order_also_when_one_is_tried_again(shop: Shop) -> None:
    shop.statuses = [500, 503]
    async with Webhooks() as hooks:
        for body in ("1", "2", "3"):
            hooks.post(hook(shop, body, pauses=(0.01, 0.01, 0.01)))
        await until(lambda: hooks.counts.accepted == 3)
    assert shop.bodies == ["1", "1", "1", "2", "3"]
    assert hooks.counts.answers == {500: 1, 503: 1, 200: 3}


async def test_what_a_rule_calls_final_is_not_tried_again(shop: Shop) -> None:
    shop.statuses, ends = [403], list[bool]()
    async with Webhooks() as hooks:
        hooks.post(hook(shop, "1", pauses=(0.01,), ended=ends.append))
        await until(lambda: ends)
    assert (shop.bodies, ends) == (["1"], [False])


async def test_a_webhook_that_nobody_answers_is_given_up_in_time(shop: Shop) -> None:
    shop.slow_s, ends = 1.0, list[bool]()
    async with Webhooks() as hooks:
        hooks.post(hook(shop, "1", limit_s=0.05, ended=ends.append))
        hooks.post(Hook(url="http://127.0.0.1:1/", body=b"", headers={}, key="x", ended=ends.append))
        await until(lambda: len(ends) == 2)
    assert (ends, hooks.counts.answers) == ([False, False], {SILENT: 1, UNREACHED: 1})


async def test_no_more_webhooks_wait_than_there_is_room_for(shop: Shop) -> None:
    async with Webhooks(most=2) as hooks:
        assert [hooks.post(hook(shop, str(n))) for n in range(3)] == [True, True, False]
        await until(lambda: hooks.counts.accepted == 2)
    assert hooks.counts.dropped == 1


@pytest.mark.parametrize("kind", [k for k in ILL if k not in {"500", "empty"}])
async def test_an_ill_answer_cannot_be_read(kind: str) -> None:
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(answering(IllAnswer(kind)))
        http = await stack.enter_async_context(httpx.AsyncClient(timeout=0.3))
        with pytest.raises((httpx.HTTPError, ValueError)):
            (await http.get(url)).json()


async def test_only_numbers_at_a_provider_have_a_providers_troubles(world: World, numbers: Numbers) -> None:
    world.link(TWO)
    with pytest.raises(Impossible, match="Only numbers at a provider"):
        fault(world, "ill_answers", TWO)
    fault(world, "provider_error", detail="131026")
    with pytest.raises(Refusal) as refused:
        await numbers.send(ONE, ref(1), LAYLA, "hello")
    assert (refused.value.reason, refused.value.detail) == ("provider_error", "131026")
    assert world.ledger(ONE)[0].refused == 1
    assert world.ledger(ONE)[0].sent == 0


async def test_only_a_phone_number_can_be_given_to_a_provider(world: World) -> None:
    control = Control(Local(world))
    with pytest.raises(NotDone):
        await control.adopt("nobody")
    await control.close()

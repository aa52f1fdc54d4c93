"""Calls of networks: each proves itself, and is answered once what it says is committed."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator

import pytest
from tests.inbox.callers import KEY, KIND, PUBLIC, Network, Taking, give, signature, taking
from tests.inbox.shops import Shop, open_shop

from wafleet.domain.ids import new_id
from wafleet.domain.message import Sending
from wafleet.engine.db import Db
from wafleet.inbox.webhooks import http as callers
from wafleet.inbox.webhooks.time_limit import Patience
from wafleet.transports.calls import Call, News


def text(words: str, *, id: str = "", number: str = "") -> dict[str, str]:
    return {"kind": "text", "id": id or str(new_id()), "text": words, "number": number}


@pytest.fixture
async def network(db: Db, shop: Shop) -> AsyncIterator[Taking]:
    await give(db, shop.account, number="111")
    async with taking(db) as running:
        yield running


async def test_what_a_customer_wrote_is_stored_before_the_call_is_answered(network: Taking, shop: Shop) -> None:
    answer = await network.call(f"/hooks/{KIND}/{shop.account}", [text("one"), text("two")])
    assert answer.status_code == 200
    assert await network.texts(shop) == ["one", "two"]


async def test_a_repeated_call_changes_nothing(network: Taking, shop: Shop) -> None:
    for _ in range(3):
        assert (await network.call(f"/hooks/{KIND}/{shop.account}", [text("one", id="X")])).status_code == 200
    assert await network.texts(shop) == ["one"]


async def test_a_wrong_signature_is_403_nothing_is_stored_and_the_account_says_why(network: Taking, shop: Shop) -> None:
    answer = await network.call(f"/hooks/{KIND}/{shop.account}", [text("one")], key=b"another")
    assert (answer.status_code, answer.json()["code"]) == (403, "signature_refused")
    assert await network.texts(shop) == []
    await network.callees.note()
    assert (await network.account(shop))["refused"] == "The signature is wrong"


async def test_the_account_knows_when_it_was_called_last(network: Taking, shop: Shop) -> None:
    await network.call(f"/hooks/{KIND}/{shop.account}", [])
    await network.callees.note()
    assert (await network.account(shop))["called"] == network.clock.now()


async def test_a_new_key_counts_at_once_even_where_nobody_told_of_it(network: Taking, db: Db, shop: Shop) -> None:
    await network.call(f"/hooks/{KIND}/{shop.account}", [text("one")])
    await give(db, shop.account, key=b"new")
    await network.clock.advance(2)
    assert (await network.call(f"/hooks/{KIND}/{shop.account}", [text("two")], key=b"new")).status_code == 200
    assert (await network.call(f"/hooks/{KIND}/{shop.account}", [text("three")])).status_code == 403


async def test_an_account_that_was_removed_is_forgotten_when_somebody_tells(
    network: Taking, db: Db, shop: Shop
) -> None:
    await network.call(f"/hooks/{KIND}/{shop.account}", [text("one")])
    async with db.fleet_tx() as tx:
        await tx.run("update accounts set deleted_at = now() where id = %(id)s", id=shop.account)
    network.callees.forget([shop.account])
    assert (await network.call(f"/hooks/{KIND}/{shop.account}", [text("two")])).status_code == 404


@pytest.mark.parametrize("path", ["/hooks/meta", "/hooks/meta/nobody", "/hooks/twilio/{id}", "/hooks/meta/{id}/a/b"])
async def test_other_addresses_do_not_exist(network: Taking, shop: Shop, path: str) -> None:
    assert (await network.call(path.format(id=shop.account), [text("one")])).status_code == 404


async def test_an_account_nobody_has_is_404_also_when_it_is_called_again(network: Taking) -> None:
    path = f"/hooks/{KIND}/{new_id()}"
    assert [(await network.call(path, [])).status_code for _ in range(2)] == [404, 404]


async def test_an_account_on_another_transport_is_not_called_here(network: Taking, rival: Shop) -> None:
    assert (await network.call(f"/hooks/{KIND}/{rival.account}", [])).status_code == 404


async def test_a_question_of_the_network_is_answered_in_its_words(network: Taking, shop: Shop) -> None:
    answer = await network.call(f"/hooks/{KIND}/{shop.account}?challenge=7", None, method="GET")
    assert (answer.status_code, answer.text) == (200, "hello")


async def test_a_receipt_names_the_message_of_its_address(network: Taking, shop: Shop) -> None:
    message = new_id()
    await network.call(f"/hooks/{KIND}/{shop.account}/{message}", [{"kind": "receipt", "state": "read"}])
    assert [(one.message, one.state) for _, one in network.receipts] == [(message, Sending.READ)]


async def test_what_is_not_as_documented_is_400(network: Taking, shop: Shop) -> None:
    answer = await network.call(f"/hooks/{KIND}/{shop.account}", [{"kind": "text"}])
    assert (answer.status_code, answer.json()["code"]) == (400, "call_unreadable")


@pytest.mark.parametrize("type", ["", "text/plain", "application/xml", "multipart/form-data; boundary=x"])
async def test_a_body_of_another_type_is_415(network: Taking, shop: Shop, type: str) -> None:
    async with network.browser() as browser:
        answer = await browser.post(
            f"/hooks/{KIND}/{shop.account}", content=b"[]", headers={"Content-Type": type} if type else {}
        )
    assert answer.status_code == 415


async def test_a_call_for_nobody_is_refused_before_it_is_read(network: Taking) -> None:
    read = False

    async def body() -> AsyncGenerator[bytes]:
        nonlocal read
        read = True
        yield b"[]"

    async with network.browser() as browser:
        answer = await browser.post(
            f"/hooks/{KIND}/{new_id()}", content=body(), headers={"Content-Type": "application/json"}
        )
    assert (answer.status_code, answer.headers["connection"], read) == (404, "close", False)


async def test_bodies_that_are_announced_and_do_not_come_keep_nobody_out(
    network: Taking, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(network.hooks, "_room", callers.Room(1_000))
    begun, going_on = asyncio.Semaphore(0), asyncio.Event()

    async def slow() -> AsyncGenerator[bytes]:
        begun.release()
        await going_on.wait()
        yield b"[]"

    async def announce() -> int:
        headers = {"Content-Type": "application/json", "Content-Length": "900"}
        async with network.browser() as browser:
            return (await browser.post(f"/hooks/{KIND}/{shop.account}", content=slow(), headers=headers)).status_code

    slow_ones = [asyncio.create_task(announce()) for _ in range(5)]
    for _ in slow_ones:
        await begun.acquire()
    assert (await network.call(f"/hooks/{KIND}/{shop.account}", [text("one")])).status_code == 200
    assert (await network.call(f"/hooks/{KIND}/{shop.account}", [text("x" * 2_000)])).status_code == 503
    going_on.set()
    await asyncio.gather(*slow_ones)
    assert vars(vars(network.hooks)["_room"])["taken"] == 0


async def test_a_body_of_20_mb_is_refused_before_it_is_read(network: Taking, shop: Shop) -> None:
    answer = await network.call(f"/hooks/{KIND}/{shop.account}", [text("x" * 20_000_000)])
    assert (answer.status_code, answer.headers["connection"]) == (413, "close")


async def test_a_body_that_does_not_say_its_length_is_cut_off_at_3_mb(network: Taking, shop: Shop) -> None:
    sent = 0

    async def endless() -> AsyncGenerator[bytes]:
        nonlocal sent
        while True:
            sent += 100_000
            yield b"x" * 100_000

    async with network.browser() as browser:
        headers = {"Content-Type": "application/json"}
        answer = await browser.post(f"/hooks/{KIND}/{shop.account}", content=endless(), headers=headers)
    assert answer.status_code == 413
    assert sent < 4_000_000


async def test_news_of_another_number_go_to_its_account_where_its_own_key_proves_the_call(
    network: Taking, db: Db, shop: Shop, rival: Shop
) -> None:
    await give(db, rival.account, number="222")
    things = [text("one", number="111"), text("two", number="222"), text("three", number="+966500000002")]
    assert (await network.call(f"/hooks/{KIND}/{shop.account}", things)).status_code == 200
    assert await network.texts(shop) == ["one"]
    assert await network.texts(rival) == ["two", "three"]


async def test_news_of_a_business_account_is_about_who_was_called_where_nobody_says_whose_it_is(
    network: Taking, db: Db, shop: Shop, rival: Shop
) -> None:
    path = f"/hooks/{KIND}/{shop.account}"
    await network.call(path, [{"kind": "quality", "value": "YELLOW", "number": "waba:77"}])
    assert (await network.account(shop))["provider"] == {"quality": "YELLOW"}
    await give(db, rival.account, number="222", business="77")
    network.callees.forget(None)
    await network.call(path, [{"kind": "quality", "value": "RED", "number": "waba:77"}])
    assert (await network.account(rival))["provider"] == {"quality": "RED"}
    assert (await network.account(shop))["provider"] == {"quality": "YELLOW"}
    await give(db, shop.account, number="111", business="78")
    network.callees.forget(None)
    await network.call(path, [{"kind": "quality", "value": "GREEN", "number": "waba:79"}])
    assert (await network.account(shop))["provider"] == {"quality": "YELLOW"}


async def test_nobody_can_write_into_the_account_of_somebody_with_another_key(
    network: Taking, db: Db, shop: Shop, rival: Shop
) -> None:
    await give(db, rival.account, number="222", key=b"their own")
    answer = await network.call(f"/hooks/{KIND}/{shop.account}", [text("one", number="222")])
    assert answer.status_code == 200  # the network has done its part
    assert await network.texts(shop) == await network.texts(rival) == []


async def test_signs_are_kept_and_told_once(network: Taking, db: Db, shop: Shop) -> None:
    path, signs = f"/hooks/{KIND}/{shop.account}", [{"kind": "quality", "value": "YELLOW"}]
    for _ in range(2):
        await network.call(path, signs)
    assert (await network.account(shop))["provider"] == {"quality": "YELLOW"}
    async with db.fleet_tx() as tx:
        told = await tx.tuples("select data from events where kind = 'account.quality_changed'")
    assert [row[0] for row in told] == [{"from": "", "to": "YELLOW"}]
    assert network.changed == [shop.account]


async def test_a_number_that_its_network_banned_is_blocked_and_comes_back_when_it_is_well(
    network: Taking, shop: Shop
) -> None:
    path = f"/hooks/{KIND}/{shop.account}"
    await network.call(path, [{"kind": "status", "value": "DISABLED", "reason": "banned_for_good"}])
    banned = await network.account(shop)
    assert (banned["state"], banned["reason"]) == ("blocked", "banned_for_good")
    await network.call(path, [{"kind": "status", "value": "ONLINE"}])
    assert (await network.account(shop))["reason"] == "starting"


async def test_a_number_that_moved_is_still_heard_at_its_former_network_for_a_week(
    network: Taking, db: Db, shop: Shop
) -> None:
    async with db.fleet_tx() as tx:
        await tx.run(
            """
            with moved as (
                insert into retired_credentials (tenant_id, account_id, credentials, reason, transport, settings)
                select tenant_id, id, credentials, 'moved', transport, settings from accounts where id = %(id)s)
            update accounts set transport = 'simulator', credentials = null where id = %(id)s
            """,
            id=shop.account,
        )
    assert (await network.call(f"/hooks/{KIND}/{shop.account}", [text("late")])).status_code == 200
    assert await network.texts(shop) == ["late"]


async def test_a_crash_while_reading_is_500_and_says_nothing(db: Db, shop: Shop) -> None:
    class Broken(Network):
        def read(self, call: Call, settings: object) -> News:
            raise RuntimeError(f"secret {KEY!r}")

    await give(db, shop.account)
    async with taking(db, calls={KIND: Broken()}) as network:
        answer = await network.call(f"/hooks/{KIND}/{shop.account}", [])
    assert (answer.status_code, "secret" in answer.text) == (500, False)


async def test_the_address_that_is_signed_is_the_public_one_also_behind_a_proxy(network: Taking, shop: Shop) -> None:
    path, body = f"/hooks/{KIND}/{shop.account}?a=%2Fb&c", b"[]"
    headers = {"X-Signature": signature(KEY, PUBLIC + path, body), "Content-Type": "application/json; charset=utf-8"}
    async with network.browser() as browser:
        assert (await browser.post(path, content=body, headers=headers)).status_code == 200


async def test_a_flood_of_calls_is_stored_whole(network: Taking, shop: Shop) -> None:
    path = f"/hooks/{KIND}/{shop.account}"
    answers = await asyncio.gather(*(network.call(path, [text(f"{n}")]) for n in range(300)))
    assert {one.status_code for one in answers} == {200}
    assert sorted(map(int, await network.texts(shop))) == list(range(300))


async def test_two_shops_may_share_nothing_but_the_network(network: Taking, db: Db, shop: Shop) -> None:
    other = await open_shop(db, "Other", "+966500000003")
    await give(db, other.account, number="333", key=b"other")
    assert (await network.call(f"/hooks/{KIND}/{other.account}", [text("hi")], key=b"other")).status_code == 200
    assert json.dumps(await network.texts(other)) == '["hi"]'


async def test_a_body_that_does_not_come_is_408(network: Taking, shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network.hooks, "_reading", Patience(0.02, look_s=0.01))

    async def stuck() -> AsyncGenerator[bytes]:
        yield b"["
        await asyncio.Event().wait()

    async with network.browser() as browser, asyncio.timeout(30):
        headers = {"Content-Type": "application/json"}
        answer = await browser.post(f"/hooks/{KIND}/{shop.account}", content=stuck(), headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (408, "body_too_slow")


async def test_what_cannot_be_stored_in_time_is_503_so_that_the_network_calls_again(
    network: Taking, db: Db, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(network.hooks, "_storing", Patience(0.02, look_s=0.01))
    path, things = f"/hooks/{KIND}/{shop.account}", [text("one", id="X"), text("two", id="Y")]
    await network.call(path, [])
    async with db.fleet_tx() as tx:
        await tx.run("lock table messages")
        async with asyncio.timeout(30):
            assert (await network.call(path, things)).status_code == 503
    monkeypatch.undo()
    assert (await network.call(path, things)).status_code == 200
    assert await network.texts(shop) == ["one", "two"]

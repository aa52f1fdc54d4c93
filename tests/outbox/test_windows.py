"""The 24-hour window and the network's own limits: refused, or waiting, before the network needs to refuse."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar, cast

import pytest
from tests.outbox.lines import Line
from tests.outbox.offices import CUSTOMER, OTHER, PHONE, Office, new_account, new_client
from tests.outbox.test_questions import ask, online, written

from wafleet import outbox
from wafleet.app import open_app
from wafleet.config import Settings
from wafleet.domain.ids import ConversationId
from wafleet.domain.message import Sending, Template, Text
from wafleet.engine.db import Db
from wafleet.outbox import window
from wafleet.outbox.lanes import store
from wafleet.simulator.manners import INSTANT
from wafleet.simulator.orders import Say
from wafleet.simulator.world import World
from wafleet.transports.base import Limits, Listener, Number, Outgoing, OutsideWindow, Session, Throttled
from wafleet.transports.simulated import Simulated

DAY = timedelta(hours=24)
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
STRANGERS = ["+971550000011", "+971550000012", "+971550000013"]
TEMPLATE = {"type": "template", "name": "order_ready", "variables": {"1": "Ada"}}


class Strict(Simulated):
    """A transport with the rules of business accounts."""

    capabilities = replace(
        Simulated.capabilities,
        free_for=DAY,
        always=frozenset({"template"}),
        limits=Limits(per_second=80, pair_s=1.0, pair_burst=2),
    )


class Slow(Strict):
    """One that lets a person wait for a minute after two messages."""

    capabilities = replace(Strict.capabilities, limits=Limits(pair_s=30.0, pair_burst=2))


class Full(Strict):
    """One that says of some people that they got too much, before anybody here thinks so."""

    full: ClassVar[set[str]] = set()

    async def open(self, number: Number, credentials: bytes, listener: Listener) -> Session:
        session = await super().open(number, credentials, listener)
        return cast("Session", _Fussy(session, self.full))


class _Fussy:
    def __init__(self, session: Session, full: set[str]) -> None:
        self._session, self._full = session, full

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    async def send(self, out: Outgoing) -> str:
        if out.to in self._full:
            raise Throttled("pair_rate", "131056", retry_after=timedelta(minutes=1))
        return await self._session.send(out)


@asynccontextmanager
async def opened(dsn: str, folder: Path, kind: type[Strict] = Strict) -> AsyncGenerator[Office]:
    world = World(seed=1, manners=INSTANT)
    settings = Settings(data_dir=folder, database_url=dsn)
    async with open_app(settings, transports={"simulator": kind.within(world)}) as app:
        first = await new_account(app, "Sharq", "Sales", PHONE, "sales")
        async with await new_client(app, "Sharq") as http:
            office = Office(app, world, first, first, first, http)
            await online(office, str(first.id), PHONE)
            yield office


@pytest.fixture
async def strict(dsn: str, tmp_path: Path) -> AsyncIterator[Office]:
    async with opened(dsn, tmp_path) as office:
        yield office


async def conversation(office: Office) -> dict[str, Any]:
    return (await office.http.get("/conversations")).json()["items"][0]


async def last_wrote(office: Office, ago: timedelta) -> None:
    async with office.app.engine.db.fleet_tx() as tx:
        await tx.run("update conversations set last_inbound_at = now() - %(ago)s", ago=ago)


async def test_words_to_a_stranger_are_refused_with_the_remedy_and_a_template_is_not(strict: Office) -> None:
    refused = await strict.send({"text": "hello"})
    assert refused.status_code == 422
    (error,) = refused.json()["errors"]
    assert (error["field"], error["code"]) == ("content", "outside_window")
    assert "send a template" in error["message"]
    assert (await ask(strict, TEMPLATE))["state"] != "failed"
    assert (await conversation(strict))["window"] == "closed"


async def test_the_window_opens_when_the_customer_writes_and_closes_a_day_later(strict: Office) -> None:
    await written(strict, "hello?")
    shown = await conversation(strict)
    assert shown["window"] == "open"
    closes = datetime.fromisoformat(shown["window_until"])
    assert closes == datetime.fromisoformat(shown["last_inbound_at"]) + DAY
    assert (await ask(strict, {"type": "text", "text": "yes?"}))["state"] != "failed"

    late = await strict.send({"text": "later", "due_at": (closes + timedelta(hours=1)).isoformat()})
    assert late.status_code == 422
    assert f"until {closes:%Y-%m-%d %H:%M} UTC" in late.json()["errors"][0]["message"]

    await last_wrote(strict, DAY)
    assert (await conversation(strict))["window"] == "closed"
    assert "more than 24 hours ago" in (await strict.send({"text": "hello"})).json()["errors"][0]["message"]


async def test_a_customer_who_answers_under_another_number_is_the_one_who_was_written_to(strict: Office) -> None:
    for written_to, answers_as in (
        ("+5521987654321", "+552187654321"),  # Brazil: without the ninth digit
        ("+525512345678", "+5215512345678"),  # Mexico: with a 1
        ("+541123456789", "+5491123456789"),  # Argentina: with a 9
    ):
        await strict.send({"to": written_to, "content": TEMPLATE})
        strict.world.say(Say(customer=answers_as, account=PHONE, text="yes"))
        (talk,) = (await strict.until(f"/conversations?q={written_to[-6:]}", _answered))["items"]
        assert (talk["identity"], talk["window"]) == (written_to, "open")
        for to in (written_to, answers_as):
            told = await strict.send({"to": to, "text": "fine"})
            assert told.status_code == 202, told.text
            assert (await strict.message(told.json()["id"]))["conversation"] == talk["id"]


def _answered(seen: dict[str, Any]) -> bool:
    return any(one["last_inbound_at"] for one in seen["items"])


async def test_two_who_begin_a_conversation_with_one_person_at_once_share_it(line: Line, db: Db) -> None:
    async def begun(identity: str) -> ConversationId:
        async with db.fleet_tx() as tx:
            (talk,) = (await outbox.conversations(tx, [(line.tenant, line.account, identity)])).values()
            await asyncio.sleep(0.01)
            return talk.id

    ids = await asyncio.gather(*(begun(one) for one in ("+552187654321", "+5521987654321") * 4))
    assert len(set(ids)) == 1


async def test_what_was_queued_while_the_window_was_open_is_known_by_its_key_afterwards(strict: Office) -> None:
    await written(strict, "hello?")
    first = await strict.send({"text": "yes"}, **{"Idempotency-Key": "k1"})
    await last_wrote(strict, 2 * DAY)
    again = await strict.send({"text": "yes"}, **{"Idempotency-Key": "k1"})
    assert (again.status_code, again.json()["id"]) == (202, first.json()["id"])


async def test_a_message_that_waited_until_the_window_closed_fails_and_never_crosses(strict: Office) -> None:
    await written(strict, "hello?")
    due = datetime.now(UTC) + timedelta(seconds=1)
    answer = await strict.send({"text": "too late", "due_at": due.isoformat()})
    await last_wrote(strict, DAY)
    message = await strict.until(f"/messages/{answer.json()['id']}", lambda seen: seen["state"] == "failed")
    assert message["reason"] == "outside_window"
    assert "Send a template" in message["why"]
    assert strict.world.ledger(PHONE)[0].sent == 0


async def test_one_person_waits_after_a_burst_and_is_told_why(strict: Office) -> None:
    await written(strict, "hello?")
    sent = [(await strict.send({"text": f"line {n}"})).json()["id"] for n in range(4)]
    await strict.until(f"/messages/{sent[-1]}", lambda seen: "as many messages as WhatsApp permits" in seen["why"])
    await strict.until(f"/messages/{sent[-1]}", lambda seen: seen["state"] in {"sent", "delivered", "read"})
    async with strict.app.engine.db.fleet_tx() as tx:
        times = [row[0] for row in await tx.tuples("select sending_at from outbox order by seq")]
    assert times[2] - times[0] >= timedelta(seconds=2)


async def test_what_people_got_counts_after_a_new_connection_and_who_is_waited_for_is_named(
    dsn: str, tmp_path: Path
) -> None:
    """The first may be written to in half a minute, but only for the second anything waits."""
    async with opened(dsn, tmp_path, Slow) as slow:
        for one in STRANGERS[:2]:
            for _ in range(2):
                await ask(slow, TEMPLATE, to=one)
        await _sent_earlier(slow, STRANGERS[0], by=timedelta(seconds=30))
        await _reconnected(slow)
        third = (await slow.send({"content": TEMPLATE, "to": STRANGERS[1]})).json()["id"]
        waits = await slow.until(f"/messages/{third}", lambda seen: "as many messages" in seen["why"])
        assert waits["state"] == "queued"
        async with slow.app.engine.db.fleet_tx() as tx:
            assert await tx.value("select lane_until > now() + interval '40 seconds' from activity")
        await _sent_earlier(slow, STRANGERS[1], by=timedelta(minutes=2))
        await _reconnected(slow)
        await slow.until(f"/messages/{third}", lambda seen: seen["state"] in {"sent", "delivered", "read"})


async def _sent_earlier(office: Office, to: str, *, by: timedelta) -> None:
    async with office.app.engine.db.fleet_tx() as tx:
        await tx.run(
            """
            update outbox o set sending_at = sending_at - %(by)s
              from conversations c where c.id = o.conversation_id and c.identity = %(to)s
            """,
            by=by,
            to=to,
        )


async def _reconnected(office: Office) -> None:
    account = f"/accounts/{office.first.id}"
    before = (await office.http.get(account)).json()["state_since"]
    assert (await office.http.post(f"{account}/reconnect")).is_success
    await office.until(account, lambda seen: seen["state"] == "online" and seen["state_since"] != before)


async def test_of_whom_the_network_says_that_they_got_too_much_waits_alone(dsn: str, tmp_path: Path) -> None:
    Full.full = {STRANGERS[0]}
    async with opened(dsn, tmp_path, Full) as full:
        first = (await full.send({"content": TEMPLATE, "to": STRANGERS[0]})).json()["id"]
        await full.until(f"/messages/{first}", lambda seen: "too many messages went to this person" in seen["why"])
        assert (await ask(full, TEMPLATE, to=STRANGERS[1]))["state"] != "failed"
        assert (await full.message(first))["state"] == "queued"
        assert (await full.http.get(f"/accounts/{full.first.id}")).json()["state"] == "online"


async def test_people_beyond_the_daily_limit_wait_and_those_who_write_are_answered(strict: Office) -> None:
    async with strict.app.engine.db.fleet_tx() as tx:
        await tx.run("""update accounts set provider = '{"limit": "TIER_2"}' """)
    await strict.app.slices.lanes.limits()
    ids = [(await strict.send({"content": TEMPLATE, "to": one})).json()["id"] for one in STRANGERS]
    for id in ids[:2]:
        await strict.until(f"/messages/{id}", lambda seen: seen["state"] in {"sent", "delivered", "read"})
    held = await strict.until(f"/messages/{ids[2]}", lambda seen: "new conversations" in seen["why"])
    assert held["state"] == "queued"

    assert (await ask(strict, TEMPLATE, to=STRANGERS[0]))["state"] != "failed"  # counted already
    await written(strict, "hello?")
    assert (await ask(strict, {"type": "text", "text": "yes?"}))["state"] != "failed"
    assert (await strict.message(ids[2]))["state"] == "queued"

    async with strict.app.engine.db.fleet_tx() as tx:
        await tx.run("""update accounts set provider = '{"limit": "TIER_1K"}' """)
    await strict.app.slices.lanes.limits()
    await strict.until(f"/messages/{ids[2]}", lambda seen: seen["state"] in {"sent", "delivered", "read"})


async def test_an_account_that_may_begin_nothing_more_claims_answers_only(line: Line) -> None:
    (stranger,) = await line.put("a")
    (known,) = await line.put("b", to=OTHER)
    (reached,) = await line.put("c", to=CUSTOMER)
    await line.heard(OTHER, ago=timedelta(hours=23))
    await line.heard(ago=timedelta(hours=25))
    async with line.db.fleet_tx() as tx:
        assert await store.begin(tx, [await line.talk(CUSTOMER)]) == [line.account]
        assert await store.begin(tx, [await line.talk(CUSTOMER)]) == []
        assert [n for _, n in await store.begun(tx, account=line.account)] == [1]
    assert [one.id for one in await line.claim(reached={line.account: DAY})] == [known, reached]
    assert [one.id for one in await line.claim()] == [stranger]
    assert await line.state(stranger) == Sending.SENDING


def test_a_window_is_open_for_exactly_as_long_as_the_network_says() -> None:
    rules = Strict.capabilities
    window.require_still_open(rules, Text("a"), heard_at=NOON, now=NOON + DAY - timedelta(seconds=1))
    window.require_still_open(rules, Template("a"), heard_at=None, now=NOON)
    window.require_still_open(Simulated.capabilities, Text("a"), heard_at=None, now=NOON)
    for heard_at, now in ((NOON, NOON + DAY), (None, NOON)):
        with pytest.raises(OutsideWindow) as refused:
            window.require_still_open(rules, Text("a"), heard_at=heard_at, now=now)
        assert refused.value.reason == "outside_window"

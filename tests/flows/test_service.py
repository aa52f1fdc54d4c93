import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from prometheus_client import REGISTRY
from psycopg.types.json import Jsonb
from structlog.testing import capture_logs
from tests.inbox.shops import Shop, open_shop, said

from wafleet.config import OutboxSettings
from wafleet.domain.ids import MessageId, new_id
from wafleet.engine.clock import SystemClock
from wafleet.engine.db import Db, Tx
from wafleet.engine.wakes import Wakes
from wafleet.flows import COMMANDS, Asked, Flows, command
from wafleet.inbox import Inbox, Ledgers
from wafleet.outbox import OUTBOX, Draft, Outbox
from wafleet.tenants import Caller

BOSS = "+447700900001"
STRANGER = "+447700900002"


@pytest.fixture
async def shop(db: Db) -> Shop:
    shop = await open_shop(db, "Sales", "+966500000001")
    async with db.fleet_tx() as tx:
        await tx.run("update accounts set settings = %(settings)s", settings=Jsonb({"commands": [BOSS]}))
    return shop


@pytest.fixture
async def inbox(db: Db) -> AsyncIterator[Inbox]:
    inbox = Inbox(db, woken=lambda: None)
    running = asyncio.create_task(inbox.run())
    yield inbox
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


@pytest.fixture
def woken() -> list[str]:
    """The accounts whose lanes were woken."""
    return []


@pytest.fixture
def flows(db: Db, dsn: str, woken: list[str]) -> Flows:
    wakes = Wakes(dsn)
    wakes.subscribe(OUTBOX, lambda ids: woken.extend(ids or ()))
    outbox = Outbox(db=db, clock=SystemClock(), wakes=wakes, transports={}, settings=OutboxSettings())
    return Flows(db, outbox=outbox, node="n1")


async def replies(db: Db) -> list[tuple[str, str]]:
    """Return (to, text) of everything queued."""
    async with db.fleet_tx() as tx:
        return await tx.tuples(
            """
            select c.identity, m.words from outbox o join messages m on m.id = o.message_id
              join conversations c on c.id = o.conversation_id order by o.seq
            """
        )


async def handled(db: Db) -> int:
    async with db.fleet_tx() as tx:
        return await tx.value("select coalesce(sum(n), 0)::int from tallies where counter = 'handled'")


async def test_a_permitted_persons_command_is_answered_and_the_lane_woken(
    db: Db, shop: Shop, inbox: Inbox, flows: Flows, woken: list[str]
) -> None:
    await inbox.accept(shop.tenant, shop.account, said("!ping", identity=BOSS))
    await flows.turn()
    [(to, text)] = await replies(db)
    assert to == BOSS
    assert text.startswith("pong from Sales on node n1, after ")
    assert woken == [str(shop.account)]
    assert await handled(db) == 1


async def test_somebody_whom_networks_know_by_another_number_is_permitted_under_both(
    db: Db, shop: Shop, inbox: Inbox, flows: Flows
) -> None:
    async with db.fleet_tx() as tx:
        await tx.run("update accounts set settings = %(settings)s", settings=Jsonb({"commands": ["+5521987654321"]}))
    await inbox.accept(shop.tenant, shop.account, said("!ping", identity="+552187654321"))
    await inbox.accept(shop.tenant, shop.account, said("!ping", identity="+552134567890"))
    await flows.turn()
    assert [to for to, _ in await replies(db)] == ["+552187654321"]


async def test_strangers_get_no_answer_and_their_words_reach_no_log(
    db: Db, shop: Shop, inbox: Inbox, flows: Flows, woken: list[str]
) -> None:
    before = REGISTRY.get_sample_value("wafleet_commands_total", {"command": "unknown", "outcome": "refused"}) or 0
    with capture_logs() as lines:
        await inbox.accept(shop.tenant, shop.account, said("!secretword", identity=STRANGER))
        await inbox.accept(shop.tenant, shop.account, said("!ping", identity=STRANGER))
        await flows.turn()
    assert await replies(db) == []
    assert woken == []
    assert [line["command"] for line in lines if line["event"] == "command_refused"] == ["unknown", "ping"]
    assert "secretword" not in str(lines)
    now = REGISTRY.get_sample_value("wafleet_commands_total", {"command": "unknown", "outcome": "refused"})
    assert now == before + 1
    assert await handled(db) == 2


async def test_an_account_without_the_setting_answers_nobody(db: Db, inbox: Inbox, flows: Flows) -> None:
    plain = await open_shop(db, "Plain", "+966500000009")
    await inbox.accept(plain.tenant, plain.account, said("!status", identity=BOSS))
    await flows.turn()
    assert await replies(db) == []


async def test_what_is_no_command_is_counted_as_handled_and_not_answered(
    db: Db, shop: Shop, inbox: Inbox, flows: Flows
) -> None:
    talk = ("hello", "!!!", "what!", "")
    await asyncio.gather(*(inbox.accept(shop.tenant, shop.account, said(text, identity=BOSS)) for text in talk))
    await flows.turn()
    await flows.turn()
    assert await replies(db) == []
    assert await handled(db) == 4


async def test_status_speaks_of_the_own_tenants_fleet_alone(db: Db, shop: Shop, inbox: Inbox, flows: Flows) -> None:
    await open_shop(db, "Rival", "+966500000002")
    await inbox.accept(shop.tenant, shop.account, said("!status", identity=BOSS))
    await flows.turn()
    [(_, text)] = await replies(db)
    assert text.startswith("1 account: 1 new\n0 messages waiting")
    assert "Rival" not in text


async def test_a_command_that_fails_apologises_and_stops_nothing(
    db: Db, shop: Shop, inbox: Inbox, flows: Flows
) -> None:
    @command("broken", "fails", "يفشل")
    def broken(asked: Asked, rest: str) -> str:
        raise ZeroDivisionError

    try:
        await inbox.accept(shop.tenant, shop.account, said("!broken", identity=BOSS))
        await inbox.accept(shop.tenant, shop.account, said("!ping", identity=BOSS))
        await flows.turn()
    finally:
        del COMMANDS["broken"]
    assert [text.split(",")[0].split(" ")[0] for _, text in await replies(db)] == ["Sorry", "pong"]
    assert await handled(db) == 2


async def test_a_crash_before_the_commit_repeats_no_reply_and_loses_none(
    db: Db, dsn: str, shop: Shop, inbox: Inbox, flows: Flows
) -> None:
    class Crashing(Outbox):
        async def enqueue(self, tx: Tx, drafts: Sequence[Draft]) -> list[MessageId]:
            await super().enqueue(tx, drafts)
            raise ConnectionResetError

    outbox = Crashing(db=db, clock=SystemClock(), wakes=Wakes(dsn), transports={}, settings=OutboxSettings())
    await inbox.accept(shop.tenant, shop.account, said("!ping", identity=BOSS))
    with pytest.raises(ConnectionResetError):
        await Flows(db, outbox=outbox, node="n1").turn()
    assert await replies(db) == []
    assert await handled(db) == 0
    await flows.turn()
    await flows.turn()
    assert len(await replies(db)) == 1
    assert await handled(db) == 1


async def test_two_nodes_answer_each_command_once(db: Db, dsn: str, shop: Shop, inbox: Inbox, flows: Flows) -> None:
    outbox = Outbox(db=db, clock=SystemClock(), wakes=Wakes(dsn), transports={}, settings=OutboxSettings())
    other = Flows(db, outbox=outbox, node="n2")
    for _ in range(10):
        await inbox.accept(shop.tenant, shop.account, said("!ping", identity=BOSS))
        await asyncio.gather(flows.turn(), other.turn())
    await flows.turn()
    assert len(await replies(db)) == 10
    assert await handled(db) == 10


async def test_an_older_transaction_delays_an_answer_only_until_it_ends(
    db: Db, shop: Shop, inbox: Inbox, flows: Flows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wafleet.engine.consumer.SOON_LOOKS", 10)  # for a machine that has much else to do
    async with db.fleet_tx() as tx:
        await tx.run("insert into tenants (id, name) values (%(id)s, 'slow')", id=new_id())  # draws an xid
        await inbox.accept(shop.tenant, shop.account, said("!ping", identity=BOSS))
        turn = asyncio.create_task(flows.turn())
        async with asyncio.timeout(5), db.fleet_tx() as look:
            while not await look.value("select exists (select from consumers where name = 'flows')"):  # noqa: ASYNC110
                await asyncio.sleep(0)
        assert await replies(db) == []
    await turn  # nobody woke it again
    assert len(await replies(db)) == 1


async def test_handled_counts_for_the_day_on_which_the_message_was_stored(
    db: Db, shop: Shop, inbox: Inbox, flows: Flows
) -> None:
    await inbox.accept(shop.tenant, shop.account, said("hello"))
    async with db.fleet_tx() as tx:  # as if it had been stored just before midnight
        await tx.run("update events set at = at - interval '1 day'")
        await tx.run("update messages set created_at = created_at - interval '1 day'")
        await tx.run("update tallies set bucket = bucket - interval '1 day'")
    await flows.turn()
    today = datetime.now(UTC).date()
    ledger = await Ledgers(db).draw(Caller.local("test"), first=today - timedelta(days=2), last=today)
    assert [(line.stored, line.handled) for line in ledger.lines] == [(1, 1)]
    assert ledger.sentence == "Adds up, and nothing is open."

"""The fleet at a glance, and one account's figures."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from tests.accounts.offices import FLEET_CALLER, Office, fields, put_in

from wafleet.accounts import Account, Accounts, Filters, Fleet
from wafleet.domain.account import State
from wafleet.domain.errors import Invalid, NotFound
from wafleet.domain.ids import new_id
from wafleet.engine.clock import ManualClock
from wafleet.engine.db import Db
from wafleet.tenants import EVERYTHING, Caller

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)  # where the manual clock stands
FIVE = timedelta(minutes=5)


@pytest.fixture
def fleet(db: Db, clock: ManualClock) -> Fleet:
    return Fleet(db, clock)


async def tally(db: Db, account: Account, counter: str, n: int, at: datetime) -> None:
    async with db.fleet_tx() as tx:
        await tx.run(
            """
            insert into tallies as t (account_id, tenant_id, bucket, counter, n)
            values (%(id)s, %(tenant)s, date_bin('5 minutes', %(at)s, '2000-01-01'), %(counter)s, %(n)s)
            on conflict (account_id, bucket, counter) do update set n = t.n + excluded.n
            """,
            id=account.id,
            tenant=account.tenant_id,
            at=at,
            counter=counter,
            n=n,
        )


async def chat(db: Db, account: Account, *, asked: timedelta, answered: timedelta, state: str) -> None:
    """Let a customer ask and this account answer, at these times after noon."""
    conversation, question, answer = new_id(), new_id(), new_id()
    async with db.fleet_tx() as tx:
        ids = {"account": account.id, "tenant": account.tenant_id, "conversation": conversation}
        await tx.run(
            "insert into conversations (id, tenant_id, account_id, identity) "
            "values (%(conversation)s, %(tenant)s, %(account)s, %(identity)s)",
            **ids,
            identity=str(conversation),
        )
        for id, direction, at in ((question, "in", asked), (answer, "out", answered)):
            await tx.run(
                "insert into messages (id, tenant_id, account_id, conversation_id, direction, content, at, created_at) "
                "values (%(id)s, %(tenant)s, %(account)s, %(conversation)s, %(direction)s, '{}', %(at)s, %(at)s)",
                **ids,
                id=id,
                direction=direction,
                at=NOON + at,
            )
        await tx.run(
            """
            insert into outbox (message_id, seq, tenant_id, account_id, conversation_id, state, sent_at, delivered_at)
            values (%(id)s, 1, %(tenant)s, %(account)s, %(conversation)s, %(state)s, %(at)s,
                    %(at)s + interval '2 seconds')
            """,
            **ids,
            id=answer,
            state=state,
            at=NOON + answered,
        )


async def test_the_view_shows_each_account_with_its_traffic(
    accounts: Accounts, fleet: Fleet, broker: Office, db: Db
) -> None:
    made = await accounts.create(broker.caller, fields(role="sales"))
    await put_in(db, made, State.DEGRADED, reason="deaf")
    for counter, n, ago in (("received", 3, 0), ("sent", 2, 1), ("handled", 50, 1), ("sent", 7, 23), ("sent", 9, 24)):
        await tally(db, made, counter, n, NOON - FIVE * ago)
    await chat(db, made, asked=timedelta(), answered=timedelta(seconds=8), state="queued")
    view = await fleet.view(broker.caller)
    row = view.accounts[0]
    assert (row.state, row.sentence) == ("degraded", "Connected, but nothing arrives.")
    assert (row.received_today, row.sent_today, row.waiting) == (3, 18, 1)
    assert row.spark == [7] + [0] * 21 + [2, 3]
    assert (view.totals.total, view.totals.states[State.DEGRADED], view.totals.states[State.ONLINE]) == (1, 1, 0)
    assert (view.totals.waiting, view.totals.received_today, view.totals.sent_today) == (1, 3, 18)


async def test_what_is_remembered_and_what_is_new_are_counted_once_each(
    accounts: Accounts, fleet: Fleet, broker: Office, db: Db, clock: ManualClock
) -> None:
    made = await accounts.create(broker.caller, fields())
    for step in range(30):
        await tally(db, made, "sent", 1, clock.now())
        await tally(db, made, "received", 1, clock.now() - FIVE)  # a batch that came late
        seen, anew = await fleet.view(broker.caller), await Fleet(db, clock).view(broker.caller)
        assert seen == anew
        assert seen.accounts[0].sent_today == step + 1
        await clock.advance(200)


async def test_a_new_day_begins_at_zero(
    accounts: Accounts, fleet: Fleet, broker: Office, db: Db, clock: ManualClock
) -> None:
    made = await accounts.create(broker.caller, fields())
    clock.jump(timedelta(hours=11, minutes=55))
    await tally(db, made, "sent", 5, clock.now())
    assert (await fleet.view(broker.caller)).totals.sent_today == 5
    clock.jump(timedelta(minutes=6))
    await tally(db, made, "sent", 2, clock.now())
    after = await fleet.view(broker.caller)
    assert after.totals.sent_today == 2
    assert after.accounts[0].spark[-2:] == [5, 2]


async def test_views_taken_at_once_agree(accounts: Accounts, fleet: Fleet, broker: Office, db: Db) -> None:
    made = await accounts.create(broker.caller, fields())
    await tally(db, made, "sent", 4, NOON - FIVE * 9)
    views = await asyncio.gather(*(fleet.view(broker.caller) for _ in range(8)))
    assert {view.totals.sent_today for view in views} == {4}


async def test_filters_narrow_the_list_and_totals_still_count_every_state(
    accounts: Accounts, fleet: Fleet, broker: Office, grill: Office, db: Db
) -> None:
    a = await accounts.create(broker.caller, fields(1, name="مكتب"))
    b = await accounts.create(broker.caller, fields(2, role="sales", transport="entered"))
    c = await accounts.create(grill.caller, fields(3))
    await put_in(db, a, State.ONLINE)

    async def ids(filters: Filters) -> list[object]:
        return [row.id for row in (await fleet.view(FLEET_CALLER, filters)).accounts]

    assert await ids(Filters()) == [b.id, c.id, a.id]
    assert await ids(Filters(tenant=grill.id)) == [c.id]
    assert await ids(Filters(role="Sales")) == [b.id]
    assert await ids(Filters(transport="entered")) == [b.id]
    assert await ids(Filters(q="مكتب")) == [a.id]
    assert await ids(Filters(states=[State.ONLINE])) == [a.id]
    assert (await fleet.view(FLEET_CALLER, Filters(states=[State.ONLINE]))).totals.states[State.NEW] == 2


async def test_a_tenant_and_a_limited_token_see_their_own(
    accounts: Accounts, fleet: Fleet, broker: Office, grill: Office, db: Db
) -> None:
    a, b = [await accounts.create(broker.caller, fields(n)) for n in (1, 2)]
    other = await accounts.create(grill.caller, fields(3))
    for one in (a, b, other):
        await tally(db, one, "sent", 1, NOON - FIVE * 9)
    token = Caller(actor="token:t", tenant=broker.id, scopes=EVERYTHING, accounts=frozenset({b.id}))
    assert [row.id for row in (await fleet.view(token)).accounts] == [b.id]
    assert (await fleet.totals(broker.caller)).sent_today == 2
    assert (await fleet.totals(FLEET_CALLER)).sent_today == 3
    with pytest.raises(NotFound):
        await fleet.statistics(grill.caller, a.id)
    with pytest.raises(NotFound):
        await fleet.statistics(token, a.id)


async def test_states_and_waiting_are_counted_for_the_whole_fleet(
    accounts: Accounts, fleet: Fleet, broker: Office, grill: Office, db: Db
) -> None:
    a = await accounts.create(broker.caller, fields(1))
    await accounts.create(grill.caller, fields(2))
    await chat(db, a, asked=timedelta(), answered=timedelta(seconds=8), state="queued")
    states = await fleet.states()
    assert (states["new"], states["online"], states["total"]) == (2, 0, 2)
    assert await fleet.waiting() == 1


async def test_statistics_count_a_period_and_measure_how_fast_answers_are(
    accounts: Accounts, fleet: Fleet, broker: Office, db: Db, clock: ManualClock
) -> None:
    made = await accounts.create(broker.caller, fields())
    await tally(db, made, "sent", 4, NOON)
    await tally(db, made, "failed", 1, NOON)
    await tally(db, made, "sent", 100, NOON - timedelta(days=2))
    for seconds in (4, 6, 50):
        await chat(db, made, asked=timedelta(), answered=timedelta(seconds=seconds), state="delivered")
    clock.jump(timedelta(hours=1))
    seen = await fleet.statistics(broker.caller, made.id)
    assert (seen.sent, seen.failed, seen.received, seen.response_s, seen.delivery_s) == (4, 1, 0, 6.0, 2.0)
    assert seen.uptime_percent is None
    earlier = await fleet.statistics(broker.caller, made.id, since=NOON - timedelta(days=3), until=NOON)
    assert (earlier.sent, earlier.response_s) == (100, None)


async def test_uptime_is_the_share_of_an_accounts_life(
    accounts: Accounts, fleet: Fleet, broker: Office, db: Db
) -> None:
    made = await accounts.create(broker.caller, fields())
    async with db.fleet_tx() as tx:
        await tx.run("update accounts set created_at = now() - interval '10 hours'")
        await tx.run("update activity set online_s = 3600 * 4, online_since = now() - interval '1 hour'")
    seen = await fleet.statistics(broker.caller, made.id)
    assert seen.uptime_percent == pytest.approx(50, abs=0.1)


@pytest.mark.parametrize(
    ("since", "until"),
    [
        (NOON, NOON),
        (NOON, NOON - FIVE),
        (datetime.min.replace(tzinfo=UTC), NOON),
        (NOON, datetime.max.replace(tzinfo=UTC)),
    ],
)
async def test_an_impossible_period_is_refused(
    accounts: Accounts, fleet: Fleet, broker: Office, since: datetime, until: datetime
) -> None:
    made = await accounts.create(broker.caller, fields())
    with pytest.raises(Invalid) as refused:
        await fleet.statistics(broker.caller, made.id, since=since, until=until)
    assert refused.value.field == "since"

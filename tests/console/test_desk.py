"""The desk over the real services and their database."""

from datetime import UTC, datetime, timedelta

import pytest
from tests.accounts.offices import TRANSPORTS, Mirror, Office, fields, make_office, put_in

from wafleet.accounts import Account, Accounts
from wafleet.accounts.summary import Fleet
from wafleet.console import FleetDesk
from wafleet.console.desk import shown
from wafleet.domain.account import State, explain
from wafleet.domain.errors import NotFound
from wafleet.engine.clock import ManualClock
from wafleet.engine.db import Db
from wafleet.engine.wakes import Wakes
from wafleet.tenants import Caller, Tenants

ALL = Caller.local("test")


@pytest.fixture
async def office(db: Db) -> Office:
    return await make_office(db, "Broker")


@pytest.fixture
def accounts(db: Db, dsn: str) -> Accounts:
    return Accounts(db, secrets=Mirror(), wakes=Wakes(dsn), transports=TRANSPORTS)


@pytest.fixture
def desk(db: Db, accounts: Accounts, clock: ManualClock) -> FleetDesk:
    return FleetDesk(
        accounts=accounts,
        fleet=Fleet(db, clock),
        tenants=Tenants(db, clock),
        picture=lambda text: f"<svg>{text}</svg>",
        linkable={"simulated"},
    )


@pytest.fixture
async def account(accounts: Accounts, office: Office) -> Account:
    return await accounts.create(office.caller, fields(1, phone="+966501234567", role="sales"))


async def show(db: Db, account: Account, qr: str) -> None:
    async with db.fleet_tx() as tx:
        await tx.run(
            "update accounts set pairing = jsonb_build_object('qr', %(qr)s::text, 'code', 'ABCD-1234', "
            "'expires_at', '2026-01-01T12:00:20+00:00') "
            "where id = %(id)s",
            qr=qr,
            id=account.id,
        )


async def test_a_card_tells_who_the_account_is_and_why_it_is_not_well(desk: FleetDesk, account: Account) -> None:
    [card] = await desk.cards(ALL)
    assert (card.id, card.name, card.tenant, card.role) == (str(account.id), "Number 1", "Broker", "sales")
    assert (card.phone, card.shown, card.linkable) == ("+966501234567", "+966 50 123 4567", True)
    assert (card.state, card.sentence) == ("new", "This account has never been linked.")
    assert (card.active, card.waiting, len(card.spark)) == (None, 0, 24)


async def test_a_well_account_needs_no_sentence(db: Db, desk: FleetDesk, account: Account) -> None:
    await put_in(db, account, State.ONLINE)
    [card] = await desk.cards(ALL)
    assert (card.state, card.sentence, card.next_step) == ("online", "", "")


@pytest.mark.parametrize(
    ("days", "sentence", "next_step"),
    [
        (8, "", ""),
        (9, "not seen for 9 days", "Open WhatsApp on the phone within 5 days."),
        (13, "not seen for 13 days", "Open WhatsApp on the phone within 1 day."),
        (15, "not seen for 15 days", "Open WhatsApp on the phone now."),
    ],
)
async def test_a_phone_that_was_long_away_is_told_before_whatsapp_drops_its_device(
    db: Db, desk: FleetDesk, account: Account, clock: ManualClock, days: int, sentence: str, next_step: str
) -> None:
    await put_in(db, account, State.ONLINE)
    async with db.fleet_tx() as tx:
        await tx.run("update activity set phone_seen_at = %(at)s", at=clock.now() - timedelta(days=days, hours=1))
    [card] = await desk.cards(ALL)
    assert (card.next_step, card.soon) == (next_step, bool(next_step))
    assert sentence in card.sentence


async def test_a_tenants_caller_sees_and_reaches_only_their_own(db: Db, desk: FleetDesk, account: Account) -> None:
    other = await make_office(db, "Grill")
    assert await desk.cards(other.caller) == []
    assert await desk.place(other.caller) == "Grill"
    assert await desk.place(ALL) == ""
    for act in (desk.link, desk.cancel_link, desk.reconnect, desk.enable, desk.disable, desk.link_step):
        with pytest.raises(NotFound):
            await act(other.caller, str(account.id))
        with pytest.raises(NotFound):
            await act(ALL, "no-such-id")


async def test_linking_goes_from_starting_over_the_code_to_linked(db: Db, desk: FleetDesk, account: Account) -> None:
    id = str(account.id)
    await desk.link(ALL, id)
    assert (await desk.link_step(ALL, id)).stage == "starting"

    await show(db, account, "secret")
    step = await desk.link_step(ALL, id)
    assert (step.stage, step.qr, step.code) == ("scan", "<svg>secret</svg>", "ABCD-1234")
    assert step.expires_at == datetime(2026, 1, 1, 12, 0, 20, tzinfo=UTC)

    await put_in(db, account, State.CONNECTING, reason="starting", ended="linked")
    step = await desk.link_step(ALL, id)
    assert (step.stage, step.sentence, step.qr) == ("linked", "The phone is linked.", "")


@pytest.mark.parametrize(
    ("reason", "stage"),
    [
        ("link_expired", "expired"),
        ("link_cancelled", "cancelled"),
        ("link_refused", "refused"),
        ("passkey", "passkey"),
        ("link_wrong_phone", "wrong_phone"),
        ("link_broken", "failed"),
        ("outdated", "failed"),
    ],
)
@pytest.mark.parametrize("state", [State.LOGGED_OUT, State.ONLINE])
async def test_linking_that_failed_ends_in_a_stage_of_its_own(
    db: Db, desk: FleetDesk, account: Account, reason: str, stage: str, state: State
) -> None:
    went_back = state is State.ONLINE
    await put_in(db, account, state, linked=went_back, reason="" if went_back else reason, ended=reason)
    step = await desk.link_step(ALL, str(account.id))
    why = explain(reason)
    assert (step.stage, step.next_step) == (stage, why.next_step)
    assert step.sentence == f"{why.sentence}{' The number goes on with its earlier session.' if went_back else ''}"


async def test_disabling_and_enabling_reach_the_account(desk: FleetDesk, accounts: Accounts, account: Account) -> None:
    await desk.disable(ALL, str(account.id))
    assert (await accounts.get(ALL, account.id)).desired == "stopped"
    await desk.enable(ALL, str(account.id))
    assert (await accounts.get(ALL, account.id)).desired == "running"


def test_a_number_nobody_can_read_is_shown_as_it_is() -> None:
    assert shown("not a number") == "not a number"

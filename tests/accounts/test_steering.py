"""Linking, starting and stopping accounts: the operator's side."""

from contextlib import suppress
from datetime import timedelta
from itertools import count

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg.types.json import Jsonb
from tests.accounts.offices import Office, actions_on, events_of, fields, put_in

from wafleet.accounts import Accounts
from wafleet.domain.account import MOVES, State
from wafleet.domain.errors import Conflict
from wafleet.engine.db import Db


async def test_linking_waits_three_minutes_for_the_phone(
    accounts: Accounts, broker: Office, db: Db, woken: list[str]
) -> None:
    made = await accounts.create(broker.caller, fields())
    view = await accounts.link(broker.caller, made.id)
    assert (view.state, view.reason, view.qr) == ("linking", "scan", "")
    assert view.deadline_at is not None
    after = await accounts.get(broker.caller, made.id)
    assert timedelta(seconds=179) < view.deadline_at - after.state_since <= timedelta(minutes=3)
    assert woken[-1] == str(made.id)
    kind, data = (await events_of(db, made.id))[-1]
    assert (kind, data["from"], data["to"], data["reason"]) == ("account.state", "new", "linking", "scan")


async def test_the_code_to_scan_is_shown_while_it_counts(accounts: Accounts, broker: Office, db: Db) -> None:
    made = await accounts.create(broker.caller, fields())
    await accounts.link(broker.caller, made.id)
    shown = {"qr": "2@abc", "code": "ABCD-1234", "expires_at": "2026-01-01T12:00:20Z"}
    async with db.fleet_tx() as tx:
        await tx.run("update accounts set pairing = %(pairing)s", pairing=Jsonb(shown))
    view = await accounts.link(broker.caller, made.id)  # again, by somebody impatient
    assert (view.qr, view.code) == ("2@abc", "ABCD-1234")
    assert view.expires_at is not None
    anew = await accounts.link(broker.caller, made.id, again=True)
    assert (anew.state, anew.qr) == ("linking", "")


async def test_a_connected_account_is_linked_anew_only_on_request(accounts: Accounts, broker: Office, db: Db) -> None:
    made = await accounts.create(broker.caller, fields())
    await put_in(db, made, State.ONLINE)
    with pytest.raises(Conflict, match="again=true"):
        await accounts.link(broker.caller, made.id)
    assert (await accounts.link(broker.caller, made.id, again=True)).state == "linking"
    back = await accounts.cancel_link(broker.caller, made.id)
    assert (back.state, back.reason, back.linked) == ("offline", "link_cancelled", True)


async def test_cancelling_the_first_linking_leads_back_to_the_start(accounts: Accounts, broker: Office) -> None:
    made = await accounts.create(broker.caller, fields())
    await accounts.link(broker.caller, made.id)
    assert (await accounts.cancel_link(broker.caller, made.id)).state == "new"
    with pytest.raises(Conflict, match="nothing to cancel"):
        await accounts.cancel_link(broker.caller, made.id)


async def test_what_has_no_phone_is_not_linked_and_what_is_disabled_neither(accounts: Accounts, broker: Office) -> None:
    entered = await accounts.create(broker.caller, fields(1, transport="entered"))
    stopped = await accounts.create(broker.caller, fields(2, enabled=False))
    for account, code in ((entered, "not_linkable"), (stopped, "disabled")):
        with pytest.raises(Conflict) as refused:
            await accounts.link(broker.caller, account.id)
        assert refused.value.code == code


async def test_unlinking_keeps_the_credentials_and_an_audit_entry(accounts: Accounts, broker: Office, db: Db) -> None:
    made = await accounts.create(broker.caller, fields())
    await put_in(db, made, State.ONLINE)
    after = await accounts.unlink(broker.caller, made.id)
    assert (after.state, after.reason, after.linked, after.retry_at) == ("logged_out", "unlinked", False, None)
    async with db.fleet_tx() as tx:
        assert await tx.tuples("select reason, credentials from retired_credentials") == [("unlinked", b"device")]
    assert [kind for kind, _ in await events_of(db, made.id)] == [
        "account.created",
        "account.state",
        "account.unlinked",
    ]
    assert (await actions_on(db, made.id))[-1] == "account.unlinked"
    with pytest.raises(Conflict, match="nothing to unlink"):
        await accounts.unlink(broker.caller, made.id)


async def test_an_account_unlinked_while_disabled_must_be_linked_when_enabled(
    accounts: Accounts, broker: Office, db: Db
) -> None:
    made = await accounts.create(broker.caller, fields())
    await put_in(db, made, State.ONLINE)
    await accounts.disable(broker.caller, made.id)
    assert (await accounts.unlink(broker.caller, made.id)).state == "disabled"
    assert (await accounts.enable(broker.caller, made.id)).state == "logged_out"


@pytest.mark.parametrize(("linked", "state"), [(True, "offline"), (False, "new")])
async def test_an_enabled_account_starts_where_it_can(
    accounts: Accounts, broker: Office, db: Db, linked: bool, state: str
) -> None:
    made = await accounts.create(broker.caller, fields())
    await put_in(db, made, State.ONLINE if linked else State.NEW, linked=linked)
    stopped = await accounts.disable(broker.caller, made.id)
    assert (stopped.state, stopped.desired, stopped.reason) == ("disabled", "stopped", "stopped")
    assert await accounts.disable(broker.caller, made.id) == stopped
    started = await accounts.enable(broker.caller, made.id)
    assert (started.state, started.desired) == (state, "running")
    assert (await actions_on(db, made.id))[1:] == ["account.disabled", "account.enabled"]


async def test_stopping_closes_the_time_online(accounts: Accounts, broker: Office, db: Db) -> None:
    made = await accounts.create(broker.caller, fields())
    await put_in(db, made, State.ONLINE)
    async with db.fleet_tx() as tx:
        await tx.run("update activity set online_since = now() - interval '1 hour'")
    await accounts.disable(broker.caller, made.id)
    async with db.fleet_tx() as tx:
        assert await tx.tuples("select online_since, round(online_s / 60) from activity") == [(None, 60)]


@pytest.mark.parametrize("state", [State.OFFLINE, State.ONLINE, State.DEGRADED, State.RECOVERING, State.CONNECTING])
async def test_reconnecting_waits_for_nothing(accounts: Accounts, broker: Office, db: Db, state: State) -> None:
    made = await accounts.create(broker.caller, fields())
    await put_in(db, made, state, reason="network")
    async with db.fleet_tx() as tx:
        await tx.run("update accounts set retry_at = now() + interval '1 hour', failures = 9")
    after = await accounts.reconnect(broker.caller, made.id)
    assert (after.state, after.reason, after.retry_at) == ("offline", "starting", None)
    async with db.fleet_tx() as tx:
        assert await tx.value("select failures from accounts") == 0


async def test_a_blocked_account_stays_blocked_until_the_network_takes_it_back(
    accounts: Accounts, broker: Office, db: Db
) -> None:
    made = await accounts.create(broker.caller, fields())
    await put_in(db, made, State.BLOCKED, reason="banned_for_good")
    after = await accounts.reconnect(broker.caller, made.id)
    assert (after.state, after.reason) == ("blocked", "starting")


async def test_what_is_not_linked_cannot_reconnect(accounts: Accounts, broker: Office) -> None:
    made = await accounts.create(broker.caller, fields())
    with pytest.raises(Conflict, match="link it first"):
        await accounts.reconnect(broker.caller, made.id)


STEPS = ["enable", "disable", "link", "cancel_link", "unlink", "reconnect"]
NUMBERS = count()


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(st.sampled_from(STEPS) | st.sampled_from(State), max_size=12))
async def test_whatever_is_asked_the_account_stands_where_its_wishes_allow(
    accounts: Accounts, broker: Office, db: Db, steps: list[str | State]
) -> None:
    made = await accounts.create(broker.caller, fields(next(NUMBERS)))
    for step in steps:
        now = await accounts.get(broker.caller, made.id)
        if isinstance(step, State):  # what the session's owner may observe meanwhile
            if now.desired == "running" and step in MOVES[now.state] - {State.DISABLED}:
                await put_in(db, made, step, linked=step not in {State.NEW, State.LOGGED_OUT})
            continue
        with suppress(Conflict):
            await getattr(accounts, step)(broker.caller, made.id)
    after = await accounts.get(broker.caller, made.id)
    assert (after.state == "disabled") == (after.desired == "stopped")
    await accounts.delete(broker.caller, made.id)

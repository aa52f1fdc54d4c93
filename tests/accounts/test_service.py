"""Adding, finding, changing and removing accounts."""

from typing import Any

import pytest
from tests.accounts.offices import FLEET_CALLER, Mirror, Office, actions_on, events_of, fields, put_in

from wafleet.accounts import Accounts, about
from wafleet.domain.account import State
from wafleet.domain.errors import Conflict, Forbidden, Invalid, NotFound
from wafleet.domain.ids import AccountId, TenantId, new_id
from wafleet.engine.db import Db
from wafleet.tenants.model import EVERYTHING, Caller


async def test_a_new_account_says_what_to_do_next(accounts: Accounts, broker: Office, woken: list[str]) -> None:
    made = await accounts.create(broker.caller, fields(role="primary", priority=3, metadata={"desk": 4}))
    assert (made.state, made.desired, made.linked, made.tenant) == ("new", "running", False, "Broker")
    assert "never been linked" in made.sentence
    assert "QR" in made.next_step
    assert (made.role, made.priority, made.metadata, made.waiting, made.node) == ("primary", 3, {"desk": 4}, 0, None)
    assert woken == [str(made.id)]
    assert await accounts.get(broker.caller, made.id) == made


async def test_adding_tells_the_bus_and_the_audit_log(accounts: Accounts, broker: Office, db: Db) -> None:
    made = await accounts.create(broker.caller, fields(metadata={"crm": "77"}))
    assert [(kind, data["metadata"]) for kind, data in await events_of(db, made.id)] == [
        ("account.created", {"crm": "77"})
    ]
    assert await actions_on(db, made.id) == ["account.created"]


@pytest.mark.parametrize(
    "spelling", ["whatsapp:+971 50 123 4567", "00971501234567", "+971-50-1234567", "+٩٧١٥٠١٢٣٤٥٦٧"]
)
async def test_one_number_in_two_spellings_is_one_number(accounts: Accounts, broker: Office, spelling: str) -> None:
    made = await accounts.create(broker.caller, fields(phone="+971501234567"))
    with pytest.raises(Conflict) as refused:
        await accounts.create(broker.caller, fields(2, phone=spelling))
    assert refused.value.code == "phone_taken"
    assert await accounts.resolve(broker.caller, spelling) == made


async def test_a_name_is_taken_once_per_tenant(accounts: Accounts, broker: Office, grill: Office) -> None:
    await accounts.create(broker.caller, fields(1, name="Front desk"))
    with pytest.raises(Conflict) as refused:
        await accounts.create(broker.caller, fields(2, name=" FRONT desk "))
    assert refused.value.code == "name_taken"
    assert (await accounts.create(grill.caller, fields(3, name="Front desk"))).name == "Front desk"


async def test_a_number_of_another_tenant_is_taken_too(accounts: Accounts, broker: Office, grill: Office) -> None:
    await accounts.create(broker.caller, fields(1))
    with pytest.raises(Conflict, match="another account has this number"):
        await accounts.create(grill.caller, fields(1))


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        ("phone", {"phone": "0501234567"}),
        ("phone", {"phone": "call me"}),
        ("name", {"name": "  "}),
        ("name", {"name": "x" * 101}),
        ("name", {"name": "a\x00b"}),
        ("name", {"name": "a\ud800b"}),
        ("role", {"role": "r" * 51}),
        ("priority", {"priority": 10**7}),
        ("metadata", {"metadata": {"a": "\x00"}}),
        ("metadata", {"metadata": {"a": "\ud800"}}),
        ("metadata", {"metadata": {"a": "x" * 20_000}}),
        ("settings.pace.per_second", {"settings": {"pace": {"per_second": 0}}}),
        ("settings.pace.speed", {"settings": {"pace": {"speed": 1}}}),
        ("settings.commands[1]", {"settings": {"commands": ["+971501111111", "Ahmed"]}}),
        ("credentials", {"credentials": "a secret for a phone"}),
    ],
)
async def test_a_wrong_field_is_named(accounts: Accounts, broker: Office, field: str, wrong: dict[str, Any]) -> None:
    with pytest.raises(Invalid) as refused:
        await accounts.create(broker.caller, fields(**wrong))
    assert refused.value.field == field


async def test_an_unknown_transport_is_refused_with_those_there_are(accounts: Accounts, broker: Office) -> None:
    with pytest.raises(Invalid, match="use one of entered, gateway, simulated") as refused:
        await accounts.create(broker.caller, fields(transport="pigeon"))
    assert refused.value.field == "transport"


async def test_entered_credentials_are_sealed_and_only_hinted_at(accounts: Accounts, broker: Office, db: Db) -> None:
    secret = "a-very-secret-key-9876"
    made = await accounts.create(broker.caller, fields(transport="entered", credentials=secret))
    assert (made.state, made.reason, made.linked, made.credentials_hint) == ("offline", "starting", True, "9876")
    async with db.fleet_tx() as tx:
        kept = await tx.value("select credentials from accounts where id = %(id)s", id=made.id)
        logged = await tx.value("select string_agg(data::text, '') from events")
    assert Mirror().decrypt(bytes(kept), about=about(made.id)) == secret.encode()
    assert secret not in repr(made) + logged


async def test_new_credentials_put_the_former_ones_away(accounts: Accounts, broker: Office, db: Db) -> None:
    made = await accounts.create(broker.caller, fields(transport="entered", credentials="first-secret-0001"))
    await put_in(db, made, State.LOGGED_OUT, reason="credentials")
    changed = await accounts.update(
        broker.caller, made.id, {"credentials": {"sid": "AC1", "key": "second-secret-0002"}}
    )
    assert (changed.credentials_hint, changed.state) == ("0002", "connecting")
    async with db.fleet_tx() as tx:
        assert await tx.tuples("select reason from retired_credentials") == [("replaced",)]


async def test_an_account_is_found_by_id_phone_name_and_role(accounts: Accounts, broker: Office) -> None:
    made = await accounts.create(broker.caller, fields(1, name="مكتب المبيعات", role="Sales"))
    for text in (str(made.id), "00971500000001", "مكتب المبيعات", "sales"):
        assert await accounts.resolve(broker.caller, text) == made
    assert await accounts.find(broker.caller, "nobody") is None
    with pytest.raises(NotFound):
        await accounts.resolve(broker.caller, "")


async def test_a_name_is_preferred_to_a_role_and_doubt_is_a_conflict(accounts: Accounts, broker: Office) -> None:
    first = await accounts.create(broker.caller, fields(1, name="One", role="sales"))
    await accounts.create(broker.caller, fields(2, name="Two", role="sales"))
    with pytest.raises(Conflict, match=r"One .*Two"):
        await accounts.resolve(broker.caller, "sales")
    named = await accounts.create(broker.caller, fields(3, name="Sales"))
    assert await accounts.resolve(broker.caller, "sales") == named
    assert await accounts.resolve(broker.caller, "one") == first


async def test_markup_and_sql_in_names_are_only_text(accounts: Accounts, broker: Office) -> None:
    name = "<script>alert(1)</script>'; drop table accounts; --"
    made = await accounts.create(broker.caller, fields(name=name, role="%_\\"))
    assert (await accounts.resolve(broker.caller, name)).name == name
    assert (await accounts.list(broker.caller, q="drop table")).items == [made]
    assert (await accounts.list(broker.caller, q="%")).items == [made]
    assert (await accounts.list(broker.caller, q="a%b")).items == []


async def test_a_list_is_paged_by_name_and_misses_nobody(accounts: Accounts, broker: Office) -> None:
    names = ["b", "A", "d", "C", "e"]
    for n, name in enumerate(names):
        await accounts.create(broker.caller, fields(n, name=name))
    seen: list[str] = []
    cursor: str | None = None
    for _ in range(3):
        part = await accounts.list(broker.caller, limit=2, cursor=cursor)
        seen += [one.name for one in part.items]
        cursor = part.next
    assert (seen, cursor) == (["A", "b", "C", "d", "e"], None)


async def test_a_list_is_narrowed(accounts: Accounts, broker: Office, grill: Office, db: Db) -> None:
    a = await accounts.create(broker.caller, fields(1, role="sales"))
    b = await accounts.create(broker.caller, fields(2, transport="entered"))
    c = await accounts.create(grill.caller, fields(3, name="أحمد"))
    await put_in(db, a, State.ONLINE)

    async def ids(**narrow: Any) -> list[AccountId]:
        return [one.id for one in (await accounts.list(FLEET_CALLER, **narrow)).items]

    assert await ids() == [a.id, b.id, c.id]
    assert await ids(states=[State.ONLINE]) == [a.id]
    assert await ids(transport="entered") == [b.id]
    assert await ids(role="SALES") == [a.id]
    assert await ids(tenant=grill.id) == [c.id]
    assert await ids(q="احمد") == [c.id]
    assert await ids(q="0000002") == [b.id]


async def test_another_tenants_account_does_not_exist(accounts: Accounts, broker: Office, grill: Office) -> None:
    made = await accounts.create(broker.caller, fields())
    for attempt in (
        accounts.get(grill.caller, made.id),
        accounts.resolve(grill.caller, made.phone),
        accounts.update(grill.caller, made.id, {"name": "mine"}),
        accounts.delete(grill.caller, made.id),
        accounts.disable(grill.caller, made.id),
        accounts.link(grill.caller, made.id),
        accounts.pairing(grill.caller, made.id),
        accounts.reconnect(grill.caller, made.id),
    ):
        with pytest.raises(NotFound):
            await attempt
    assert (await accounts.list(grill.caller, tenant=broker.id)).items == []
    assert await accounts.get(broker.caller, made.id) == made


async def test_a_limited_token_sees_only_its_accounts_and_adds_none(accounts: Accounts, broker: Office) -> None:
    a, b = [await accounts.create(broker.caller, fields(n, role="desk")) for n in (1, 2)]
    token = Caller(actor="token:t", tenant=broker.id, scopes=EVERYTHING, accounts=frozenset({a.id}))
    assert (await accounts.list(token)).items == [a]
    assert await accounts.resolve(token, "desk") == a
    for attempt in (accounts.get(token, b.id), accounts.disable(token, b.id), accounts.pairing(token, b.id)):
        with pytest.raises(NotFound):
            await attempt
    with pytest.raises(Forbidden):
        await accounts.create(token, fields(3))


async def test_the_fleets_administrator_names_the_tenant(accounts: Accounts, broker: Office) -> None:
    with pytest.raises(Invalid) as refused:
        await accounts.create(FLEET_CALLER, fields())
    assert refused.value.field == "tenant"
    tenant = await accounts.tenant_named(FLEET_CALLER, "broker")
    assert (await accounts.create(FLEET_CALLER, fields(), tenant=tenant)).tenant_id == broker.id
    with pytest.raises(Invalid):
        await accounts.tenant_named(FLEET_CALLER, "nobody")
    with pytest.raises(NotFound):
        await accounts.create(FLEET_CALLER, fields(2), tenant=TenantId(new_id()))


async def test_only_what_was_given_changes(accounts: Accounts, broker: Office, db: Db) -> None:
    made = await accounts.create(broker.caller, fields(role="sales", settings={"keep_alive_s": 20}))
    changed = await accounts.update(broker.caller, made.id, {"name": "Renamed", "metadata": {}})
    assert (changed.name, changed.role, changed.settings) == ("Renamed", "sales", {"keep_alive_s": 20})
    assert (await events_of(db, made.id))[1:] == [("account.changed", {"name": "Renamed"})]
    await accounts.update(broker.caller, made.id, {"name": "Renamed"})
    assert await actions_on(db, made.id) == ["account.created", "account.changed"]


async def test_what_a_linked_account_is_cannot_change(accounts: Accounts, broker: Office, db: Db) -> None:
    made = await accounts.create(broker.caller, fields())
    assert (await accounts.update(broker.caller, made.id, {"phone": "+971509999999"})).phone == "+971509999999"
    await put_in(db, made, State.ONLINE)
    with pytest.raises(Conflict, match="unlink it first"):
        await accounts.update(broker.caller, made.id, {"phone": "+971508888888"})
    with pytest.raises(Conflict, match="moving the account"):
        await accounts.update(broker.caller, made.id, {"transport": "entered"})


async def test_a_deleted_account_frees_its_number_and_keeps_its_credentials(
    accounts: Accounts, broker: Office, db: Db, woken: list[str]
) -> None:
    made = await accounts.create(broker.caller, fields())
    await put_in(db, made, State.ONLINE)
    await accounts.delete(broker.caller, made.id)
    with pytest.raises(NotFound):
        await accounts.get(broker.caller, made.id)
    async with db.fleet_tx() as tx:
        assert await tx.tuples("select reason, credentials from retired_credentials") == [("deleted", b"device")]
        assert await tx.tuples("select state, desired, credentials from accounts") == [("disabled", "stopped", None)]
    assert (await accounts.create(broker.caller, fields())).id != made.id
    assert await actions_on(db, made.id) == ["account.created", "account.deleted"]
    assert woken.count(str(made.id)) == 2

"""The fleet as a file: what is read, what is planned, and what applying it does."""

from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.accounts.offices import FLEET_CALLER, Mirror, Office, actions_on, fields

from wafleet.accounts import Accounts, Action, FleetFile, FleetFiles, plan, read_fleet_file
from wafleet.accounts.fleet_file.plan import Change, Standing, entries, from_data
from wafleet.domain.errors import Conflict, Forbidden, Invalid, NotFound
from wafleet.domain.ids import AccountId, TenantId, new_id
from wafleet.engine.db import Db
from wafleet.tenants import EVERYTHING, Caller, Scope

TWO = """
tenants:
  - name: Broker
    accounts:
      - {phone: +971501111111, name: Front desk, transport: simulated, role: primary, priority: 10}
      - phone: 00971 50 222 2222
        name: مكتب المبيعات
        transport: simulated
        settings: {pace: {per_second: 2, quiet: {from: 22:00, to: 07:00, zone: Asia/Dubai}}}
        metadata: {crm: "77", since: 2024-01-01, closed: no}
        enabled: false
"""


def read(text: str, **environment: str) -> FleetFile:
    return read_fleet_file(text, environment=environment)


@pytest.fixture
def files(db: Db, accounts: Accounts) -> FleetFiles:
    return FleetFiles(db, accounts=accounts, secrets=Mirror())


def done(changes: list[Change]) -> list[tuple[Action, str]]:
    return [(one.action, one.name) for one in changes if one.kind == "account"]


async def test_a_file_makes_its_tenants_and_accounts(files: FleetFiles, accounts: Accounts, woken: list[str]) -> None:
    changes = await files.apply(FLEET_CALLER, read(TWO))
    assert [(one.action, one.kind, one.name) for one in changes] == [
        ("create", "tenant", "Broker"),
        ("create", "account", "Front desk"),
        ("create", "account", "مكتب المبيعات"),
    ]
    desk, sales = (await accounts.list(FLEET_CALLER)).items
    assert (desk.tenant, desk.phone, desk.role, desk.priority, desk.state) == (
        "Broker",
        "+971501111111",
        "primary",
        10,
        "new",
    )
    assert (sales.phone, sales.state) == ("+971502222222", "disabled")
    assert sales.metadata == {"crm": "77", "since": "2024-01-01", "closed": "no"}
    assert sales.settings["pace"]["quiet"] == {"from": "22:00", "to": "07:00", "zone": "Asia/Dubai"}
    assert set(woken) == {str(desk.id), str(sales.id)}


async def test_applied_again_it_does_nothing(files: FleetFiles, accounts: Accounts, db: Db, woken: list[str]) -> None:
    await files.apply(FLEET_CALLER, read(TWO))
    before = (await accounts.list(FLEET_CALLER)).items
    woken.clear()
    assert done(await files.apply(FLEET_CALLER, read(TWO))) == [
        ("unchanged", "Front desk"),
        ("unchanged", "مكتب المبيعات"),
    ]
    assert (await accounts.list(FLEET_CALLER)).items == before
    assert woken == []
    assert await actions_on(db, before[0].id) == ["account.created"]


async def test_a_dry_run_says_the_same_and_changes_nothing(
    files: FleetFiles, accounts: Accounts, woken: list[str]
) -> None:
    said = await files.apply(FLEET_CALLER, read(TWO), dry_run=True)
    assert (await accounts.list(FLEET_CALLER)).items == []
    assert woken == []
    assert await files.apply(FLEET_CALLER, read(TWO)) == said


async def test_a_change_shows_each_field_before_and_after(files: FleetFiles, accounts: Accounts) -> None:
    await files.apply(FLEET_CALLER, read(TWO))
    other = read(TWO.replace("role: primary, priority: 10", "role: manager").replace("enabled: false", "enabled: true"))
    changes = [one for one in await files.apply(FLEET_CALLER, other) if one.action is Action.UPDATE]
    assert [[(f.field, f.before, f.after) for f in one.fields] for one in changes] == [
        [("role", "primary", "manager")],
        [("enabled", False, True)],
    ]
    desk = await accounts.resolve(FLEET_CALLER, "Front desk")
    assert (desk.role, desk.priority) == ("manager", 10)  # what the file leaves out stays


async def test_accounts_may_take_each_others_names(files: FleetFiles, accounts: Accounts) -> None:
    await files.apply(FLEET_CALLER, read(TWO))
    swapped = TWO.replace("Front desk", "X").replace("مكتب المبيعات", "Front desk").replace("X", "مكتب المبيعات")
    await files.apply(FLEET_CALLER, read(swapped))
    assert (await accounts.resolve(FLEET_CALLER, "Front desk")).phone == "+971502222222"


async def test_only_pruning_removes_and_only_from_tenants_in_the_file(
    files: FleetFiles, accounts: Accounts, grill: Office
) -> None:
    other = await accounts.create(grill.caller, fields())
    await files.apply(FLEET_CALLER, read(TWO))
    less = read("tenants: [{name: broker, accounts: [{phone: +971501111111}]}]")
    assert done(await files.apply(FLEET_CALLER, less)) == [("left", "مكتب المبيعات"), ("unchanged", "Front desk")]
    assert done(await files.apply(FLEET_CALLER, less, prune=True)) == [
        ("remove", "مكتب المبيعات"),
        ("unchanged", "Front desk"),
    ]
    left = (await accounts.list(FLEET_CALLER)).items
    assert [one.phone for one in left] == ["+971501111111", other.phone]


async def test_a_file_counts_as_a_whole_or_not_at_all(files: FleetFiles, accounts: Accounts, grill: Office) -> None:
    taken = await accounts.create(grill.caller, fields(1, phone="+971502222222"))
    with pytest.raises(
        Conflict, match=r"tenants\[0\]\.accounts\[1\]\.phone: this number belongs to the tenant 'Grill'"
    ):
        await files.apply(FLEET_CALLER, read(TWO))
    assert (await accounts.list(FLEET_CALLER)).items == [taken]


async def test_credentials_of_a_provider_are_stored_in_one_spelling_and_compared_by_what_they_say(
    files: FleetFiles, accounts: Accounts, db: Db
) -> None:
    def written(secrets: str) -> FleetFile:
        account = "{phone: +971501111111, name: A, transport: gateway, credentials: " + secrets + "}"
        return read("tenants: [{name: B, accounts: [" + account + "]}]")

    await files.apply(FLEET_CALLER, written("{hmac_key: two, api_key: one}"))
    async with db.fleet_tx() as tx:
        kept = (await tx.value("select credentials from accounts"))[16:][::-1]  # as `Mirror` encrypts
    assert kept == b'{"apiKey":"one","hmacKey":"two"}'
    assert done(await files.apply(FLEET_CALLER, written("{api_key: one, hmacKey: two}"))) == [("unchanged", "A")]
    assert done(await files.apply(FLEET_CALLER, written("{apiKey: other, hmacKey: two}"))) == [("update", "A")]
    with pytest.raises(Invalid) as refused:
        await files.apply(FLEET_CALLER, written("{apiKey: '', hmacKey: two}"))
    assert refused.value.field == "tenants[0].accounts[0].credentials.apiKey"


async def test_credentials_come_from_the_environment_and_are_compared(files: FleetFiles, accounts: Accounts) -> None:
    text = (
        "tenants: [{name: B, accounts: [{phone: +971501111111, name: A, transport: entered, credentials: '${KEY}'}]}]"
    )
    await files.apply(FLEET_CALLER, read(text, KEY="first-secret-0001"))
    assert (await accounts.resolve(FLEET_CALLER, "A")).credentials_hint == "0001"
    assert done(await files.apply(FLEET_CALLER, read(text, KEY="first-secret-0001"))) == [("unchanged", "A")]
    changes = await files.apply(FLEET_CALLER, read(text, KEY="second-secret-0002"))
    assert [(f.field, f.before, f.after) for f in changes[0].fields] == [("credentials", "...0001", "...0002")]
    assert "secret" not in repr(changes)
    with pytest.raises(Invalid, match="the environment has no KEY") as refused:
        read(text)
    assert refused.value.field == "tenants[0].accounts[0].credentials"


async def test_a_tenant_applies_files_to_itself_only(files: FleetFiles, broker: Office, grill: Office) -> None:
    assert done(await files.apply(broker.caller, read(TWO)))[0] == ("create", "Front desk")
    with pytest.raises(NotFound, match="no tenant 'Broker'"):
        await files.apply(grill.caller, read(TWO))
    for caller in (
        Caller(actor="t", tenant=broker.id, scopes=frozenset({Scope.CONTROL})),
        Caller(actor="t", tenant=broker.id, scopes=EVERYTHING, accounts=frozenset()),
    ):
        with pytest.raises(Forbidden):
            await files.apply(caller, read(TWO))


async def test_only_the_platforms_file_names_a_providers_address(files: FleetFiles, broker: Office) -> None:
    text = """
tenants:
  - name: Broker
    accounts:
      - {name: Desk, phone: "+971501234567", transport: simulated, settings: {twilio: {url: "http://10.0.0.1"}}}
"""
    with pytest.raises(Forbidden, match=r"tenants\[0\].accounts\[0\].settings.twilio.url"):
        await files.apply(broker.caller, read(text))
    assert done(await files.apply(FLEET_CALLER, read(text))) == [("create", "Desk")]
    assert done(await files.apply(broker.caller, read(text))) == [("unchanged", "Desk")]
    with pytest.raises(Forbidden, match="only the platform's administrator"):
        await files.apply(broker.caller, read(text.replace("10.0.0.1", "10.0.0.2")))


ACCOUNT = "tenants: [{name: A, accounts: [{phone: +971501111111, "


@pytest.mark.parametrize(
    ("text", "field", "says"),
    [
        ("tenants: [{name: A, accounts: [{name: B}]}]", "tenants[0].accounts[0].phone", "missing"),
        ("tenants: [{name: A, accounts: [{phone: 971501111111}]}]", "tenants[0].accounts[0].phone", "quotes"),
        ("tenants: [{name: A, accounts: [{phone: '0501'}]}]", "tenants[0].accounts[0].phone", "country code"),
        (ACCOUNT + "colour: red}]}]", "tenants[0].accounts[0].colour", "no such setting"),
        (ACCOUNT + "priority: high}]}]", "tenants[0].accounts[0].priority", "int"),
        (ACCOUNT + "settings: {pace: {burst: 0}}}]}]", "tenants[0].accounts[0].settings.pace.burst", ">= 1"),
        (ACCOUNT + "}, {phone: '00971501111111'}]}]", "tenants[0].accounts[1].phone", "accounts[0].phone"),
        (ACCOUNT + "name: X}, {phone: +971502222222, name: x}]}]", "tenants[0].accounts[1].name", "same name"),
        ("tenants: [{name: A}, {name: a}]", "tenants[1].name", "same tenant"),
        ("tenants: {name: A}", "tenants", "array"),
        ("tenants: [", "file", "not YAML"),
        ("tenants: []\ntenants: []", "file", "stands here twice"),
        ("a: &a [1]\nb: [*a, *a]", "file", "references"),
        ("", "", "object"),
        ("[" * 10_000, "file", "nested"),
    ],
)
def test_a_wrong_file_is_refused_with_the_place_and_the_remedy(text: str, field: str, says: str) -> None:
    with pytest.raises(Invalid) as refused:
        read(text)
    assert refused.value.field == field
    assert says in refused.value.sentence


async def test_a_new_account_needs_a_name_and_a_transport(files: FleetFiles, accounts: Accounts) -> None:
    for text, field in ((ACCOUNT + "transport: simulated}]}]", "name"), (ACCOUNT + "name: A}]}]", "transport")):
        with pytest.raises(Invalid) as refused:
            await files.apply(FLEET_CALLER, read(text))
        assert refused.value.field == f"tenants[0].accounts[0].{field}"
    assert (await accounts.list(FLEET_CALLER)).items == []


PHONES = st.sampled_from([f"+9715000000{n:02}" for n in range(6)])
NAMES = st.sampled_from(["a", "B", "ج", "<b>", "'; --"])
ENTRY = st.fixed_dictionaries(
    {"phone": PHONES, "name": NAMES, "transport": st.just("simulated")},
    optional={
        "role": st.sampled_from(["", "sales"]),
        "priority": st.integers(-5, 5),
        "enabled": st.booleans(),
        "metadata": st.dictionaries(st.text("ab", max_size=2), st.integers() | st.none(), max_size=2),
        "settings": st.fixed_dictionaries({}, optional={"keep_alive_s": st.integers(1, 9)}),
    },
)
UNIQUE = st.lists(ENTRY, max_size=5, unique_by=(lambda e: e["phone"], lambda e: e["name"].casefold()))  # pyright: ignore


def as_file(accounts: list[dict[str, Any]]) -> dict[str, Any]:
    return {"tenants": [{"name": "T", "accounts": accounts}]}


FILES = st.builds(as_file, UNIQUE)


def carried_out(standing: list[Standing], file: FleetFile, changes: list[Change]) -> list[Standing]:
    """Do on paper what the plan says."""
    removed = {change.account for change in changes if change.action is Action.REMOVE}
    now = {one.phone: one for one in standing if one.id not in removed}
    for wanted in entries(file):
        new, phone = wanted.new, str(wanted.new.phone)
        old = now.get(phone) or Standing(
            id=AccountId(new_id()),
            tenant_id=TenantId(UUID(int=0)),
            tenant="T",
            name="",
            phone=phone,
            transport="",
            role="",
            priority=0,
            metadata={},
            settings={},
            enabled=True,
        )
        now[phone] = replace(old, **new.public(), enabled=old.enabled if new.enabled is None else new.enabled)
    return list(now.values())


@settings(max_examples=60, deadline=None)
@given(first=FILES, second=FILES, prune=st.booleans())
def test_a_plan_that_was_carried_out_leaves_nothing_to_do(first: Any, second: Any, prune: bool) -> None:
    standing: list[Standing] = []
    for raw in (first, second):
        file = from_data(raw)
        changes = plan(file, standing, tenants=["T"], prune=prune)
        standing = carried_out(standing, file, changes)
        again = {one.action for one in plan(file, standing, tenants=["T"], prune=prune)}
        assert again <= ({Action.UNCHANGED} if prune else {Action.UNCHANGED, Action.LEFT})


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(first=FILES, second=FILES)
async def test_a_file_that_was_applied_leaves_nothing_to_do(files: FleetFiles, first: Any, second: Any) -> None:
    for raw in (first, second):
        await files.apply(FLEET_CALLER, from_data(raw), prune=True)
        again = await files.apply(FLEET_CALLER, from_data(raw))
        assert {one.action for one in again} <= {Action.UNCHANGED}
    await files.apply(FLEET_CALLER, from_data(as_file([])), prune=True)

"""The older system's bots-config.json as a fleet file."""

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.accounts.offices import FLEET_CALLER, Mirror

from wafleet.accounts import Accounts, FleetFiles, read_bots_config
from wafleet.accounts.fleet_file.bots_config import Imported
from wafleet.domain.errors import Invalid
from wafleet.engine.db import Db

SALES = {"name": "Sales", "phone": "+971501111111", "role": "sales", "enabled": True}


def read(raw: Any) -> Imported:
    return read_bots_config(json.dumps(raw), tenant="Broker", transport="simulated")


@pytest.mark.parametrize(
    "raw",
    [
        [SALES],
        {"bots": [SALES]},
        {"Sales": {"number": "+971501111111", "role": "sales", "enabled": True}},
        {"bots": {"Sales": {"phoneNumber": "00971 50 111 1111", "role": "sales", "enabled": True}}},
    ],
)
def test_every_shape_gives_the_same_accounts(raw: Any) -> None:
    imported = read(raw)
    (account,) = imported.file.tenants[0].accounts
    assert (account.name, account.role, account.enabled, account.transport) == ("Sales", "sales", True, "simulated")
    assert imported.file.tenants[0].name == "Broker"
    assert imported.notes == []


def test_what_is_not_taken_over_is_reported() -> None:
    imported = read({"version": 2, "bots": [SALES | {"sessionPath": "./s/1", "colour": "red"}]})
    assert [note.path for note in imported.notes] == ["version", "bots[0].colour", "bots[0].sessionPath"]
    assert "link this phone anew" in imported.notes[2].sentence


@pytest.mark.parametrize(
    "written", ["971501111111", 971501111111, "971501111111@c.us", "971501111111:3@s.whatsapp.net"]
)
def test_numbers_as_whatsapp_writes_them_are_read_with_a_note(written: object) -> None:
    imported = read([{"phone": written}])
    (account,) = imported.file.tenants[0].accounts
    assert (account.phone, account.name) == ("+971501111111", "+971501111111")
    assert "check its country code" in imported.notes[0].sentence


@pytest.mark.parametrize(
    ("text", "field", "says"),
    [
        ('[{"name": "A"}]', "[0].phone", "has no phone"),
        ('[{"phone": "+971501111111", "number": "+971501111111"}]', "[0].phone", "keep one"),
        ('{"bots": {"A": {"phone": "0501111111"}}}', "bots.A.phone", "country code"),
        ('{"A": {"phone": true}}', "A.phone", "not a phone number"),
        ('[{"phone": "+971501111111"}, {"phone": "00971501111111"}]', "[1].phone", "[0].phone"),
        ('{"A": {"phone": "+971501111111"}, "A": {"phone": "+971502222222"}}', "A", "stands twice"),
        ('[{"phone": "+971501111111", "enabled": "yes"}]', "[0].enabled", "bool"),
        ("[7]", "[0]", "not a bot"),
        ("7", "file", "must hold"),
        ("{", "file", "not JSON"),
    ],
)
def test_a_wrong_file_is_refused_with_its_place(text: str, field: str, says: str) -> None:
    with pytest.raises(Invalid) as refused:
        read_bots_config(text, tenant="Broker", transport="simulated")
    assert refused.value.field == field
    assert says in refused.value.sentence


KEYS = st.sampled_from(["bots", "phone", "name", "x", "role"])
ANYTHING = st.recursive(
    st.none() | st.integers() | st.text(max_size=8),
    lambda one: st.lists(one, max_size=3) | st.dictionaries(KEYS, one, max_size=3),
    max_leaves=8,
)


@given(raw=ANYTHING)
def test_any_json_is_read_or_refused(raw: Any) -> None:
    with suppress(Invalid):
        assert read(raw).file.tenants[0].name == "Broker"


async def test_an_import_is_applied_like_a_fleet_file(db: Db, accounts: Accounts) -> None:
    files = FleetFiles(db, accounts=accounts, secrets=Mirror())
    await files.apply(FLEET_CALLER, read([SALES]).file)
    made = await accounts.resolve(FLEET_CALLER, "Sales")
    assert (made.tenant, made.phone, made.state) == ("Broker", "+971501111111", "new")
    assert [one.action for one in await files.apply(FLEET_CALLER, read([SALES]).file)] == ["unchanged"]

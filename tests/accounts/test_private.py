"""A proxy's password is written once, and read nowhere."""

from typing import Any

import pytest
from tests.accounts.offices import Mirror, Office, actions_on, events_of, fields, put_in

from wafleet.accounts import Accounts, Fields, FleetFiles, fleet_file_from_data
from wafleet.accounts import proxy_password as private
from wafleet.domain.account import State
from wafleet.domain.errors import Invalid
from wafleet.engine.db import Db
from wafleet.tenants import Caller

PROXY = "http://ada:s3cret@proxy.example.com:8080"
SHOWN = "http://ada:***@proxy.example.com:8080"


def device(proxy: str, **others: Any) -> dict[str, Any]:
    return {"device": {"proxy": proxy, **others}}


async def stored(db: Db) -> tuple[str, bytes | None]:
    async with db.fleet_tx() as tx:
        return (await tx.tuples("select settings::text, private from accounts"))[0]


@pytest.mark.parametrize("proxy", [PROXY, "https://10.0.0.1", "socks5://ada:p%40ss@[::1]:1080", "http://:secret@h:1"])
def test_a_password_taken_out_and_put_back_gives_the_same_address(proxy: str) -> None:
    shown, password = private.split(device(proxy, name="Desk"))
    assert not password or password not in str(shown)
    assert private.joined(shown, password) == device(proxy, name="Desk")


@pytest.mark.parametrize(
    ("typed", "escaped"), [("s3cr%zz", "s3cr%25zz"), ("100%", "100%25"), ("a%40b%", "a%40b%25"), ("p@ss", "p%40ss")]
)
def test_a_password_is_written_so_that_everybody_can_read_the_address(typed: str, escaped: str) -> None:
    shown, password = private.split(device(f"socks5://ada:{typed}@h:1080"))
    assert password == typed
    assert private.joined(shown, password) == device(f"socks5://ada:{escaped}@h:1080")


@pytest.mark.parametrize(
    "proxy",
    [
        "http://a%zz:s3cret@h",
        "http://ada:s3cret@h%zz:1",
        "http://ada:s3cret@%31",
        "proxy:8080",
        "ftp://s3cret@h",
        "http://",
        "http://s3cret@h:x",
        "http://h/s3cret",
        "http://a b@h",
        "",
    ],
)
async def test_what_is_no_proxy_is_refused_without_being_repeated(
    accounts: Accounts, broker: Office, proxy: str
) -> None:
    with pytest.raises(Invalid, match="write it like http://user:password@") as refused:
        await accounts.create(broker.caller, fields(settings=device(proxy)))
    assert refused.value.field == "settings.device.proxy"
    assert "s3cret" not in refused.value.sentence


async def test_a_password_is_stored_encrypted_and_shown_nowhere(accounts: Accounts, broker: Office, db: Db) -> None:
    made = await accounts.create(broker.caller, fields(settings=device(PROXY)))
    assert made.settings == device(SHOWN)
    settings, sealed = await stored(db)
    assert "s3cret" not in settings
    assert sealed is not None
    assert private.opened(Mirror(), sealed, account=made.id) == "s3cret"
    assert "s3cret" not in str(await events_of(db, made.id))


async def test_what_was_read_may_be_written_back(accounts: Accounts, broker: Office, db: Db) -> None:
    made = await accounts.create(broker.caller, fields(settings=device(PROXY)))
    after = await accounts.update(broker.caller, made.id, {"settings": device(SHOWN, name="Desk")})
    assert after.settings == device(SHOWN, name="Desk")
    _, sealed = await stored(db)
    assert sealed is not None
    assert private.opened(Mirror(), sealed, account=made.id) == "s3cret"
    await accounts.update(broker.caller, made.id, {"settings": {}})
    assert await stored(db) == ("{}", None)


@pytest.mark.parametrize("settings", [device("http://ada:***@elsewhere.example.com"), device("http://eve:***@proxy:1")])
async def test_hidden_passwords_are_not_handed_to_another_proxy(
    accounts: Accounts, broker: Office, settings: dict[str, Any]
) -> None:
    made = await accounts.create(broker.caller, fields(settings=device(PROXY)))
    with pytest.raises(Invalid, match="write the password in full"):
        await accounts.update(broker.caller, made.id, Fields(settings=settings))
    with pytest.raises(Invalid, match="write the password in full"):
        await accounts.create(broker.caller, fields(2, settings=settings))


async def test_another_password_is_an_event_and_a_new_connection(accounts: Accounts, broker: Office, db: Db) -> None:
    made = await accounts.create(broker.caller, fields(settings=device(PROXY)))
    await put_in(db, made, State.ONLINE)
    changed = Fields(settings=device(PROXY.replace("s3cret", "other")))
    after = await accounts.update(broker.caller, made.id, changed)
    assert (after.state, after.reason, after.settings) == ("offline", "starting", device(SHOWN))
    assert ("account.changed", {"settings": device(SHOWN)}) in await events_of(db, made.id)
    assert (await actions_on(db, made.id))[-1] == "account.changed"
    assert await accounts.update(broker.caller, made.id, changed) == after


async def test_a_fleet_file_with_a_proxy_changes_nothing_the_second_time(
    accounts: Accounts, broker: Office, db: Db
) -> None:
    files = FleetFiles(db, accounts=accounts, secrets=Mirror())

    async def apply(proxy: str) -> list[str]:
        entry = {"phone": "+97150000001", "name": "Desk", "transport": "simulated", "settings": device(proxy)}
        file = fleet_file_from_data({"tenants": [{"name": broker.name, "accounts": [entry]}]})
        changes = await files.apply(Caller.local("test"), file)
        assert "s3cret" not in str(changes)
        assert "other" not in str(changes)
        return [f"{one.action}:{','.join(f.field for f in one.fields)}" for one in changes]

    assert await apply(PROXY) == ["create:"]
    assert await apply(PROXY) == ["unchanged:"]
    assert await apply(SHOWN) == ["unchanged:"]
    assert await apply(PROXY.replace("s3cret", "other")) == ["update:password"]
    assert await apply(SHOWN.replace("ada:***@", "")) == ["update:settings"]
    assert (await stored(db))[1] is None

"""Signing in: the first administrator, wrong passwords, expiry, and the tenant one looks at."""

import asyncio
from datetime import timedelta

import pytest
from tests.tenants.houses import CHEAP, PASSWORD, House

from wafleet.domain.errors import Forbidden, Invalid, NotFound, SignInNeeded, TooMany
from wafleet.engine.clock import ManualClock
from wafleet.engine.db import Db
from wafleet.tenants import Passwords, Role, Tenants


async def test_the_first_start_makes_one_administrator_even_when_two_programs_start_at_once(
    db: Db, clock: ManualClock
) -> None:
    programs = [Tenants(db, clock, passwords=Passwords(CHEAP)) for _ in range(4)]
    answers = await asyncio.gather(*(one.ensure_admin("root@example.com") for one in programs))
    passwords = [answer for answer in answers if answer]
    assert len(passwords) == 1
    assert await programs[0].ensure_admin("other@example.com") is None
    opened = await programs[0].signins.sign_in("root@example.com", passwords[0], address="")
    caller = await programs[0].signins.caller_of(opened.secret)
    assert caller.platform
    assert caller.tenant is None


async def test_a_password_given_for_the_administrator_is_taken_and_not_told_again(db: Db, clock: ManualClock) -> None:
    tenants = Tenants(db, clock, passwords=Passwords(CHEAP))
    with pytest.raises(Invalid, match="at least 8"):
        await tenants.ensure_admin("root@example.com", "short")
    assert await tenants.ensure_admin("root@example.com", "changeme") is None
    await tenants.signins.sign_in("root@example.com", "changeme", address="")


async def test_only_the_hash_of_a_sign_in_is_stored(house: House, db: Db) -> None:
    opened = await house.tenants.signins.sign_in("root@example.com", PASSWORD, address="")
    async with db.fleet_tx() as tx:
        row = str(await tx.tuples("select to_jsonb(s), to_jsonb(u) from signins s join users u on u.id = s.user_id"))
    assert opened.secret not in row
    assert PASSWORD not in row
    assert "$argon2id$" in row


async def test_a_wrong_password_and_an_unknown_user_are_told_the_same(house: House) -> None:
    told = set[str]()
    for email in ("root@example.com", "nobody@example.com"):
        with pytest.raises(SignInNeeded) as refused:
            await house.tenants.signins.sign_in(email, "wrong", address="")
        told.add(refused.value.sentence)
    assert len(told) == 1


async def test_an_unknown_user_costs_as_many_hashes_as_a_known_one(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    passwords = Passwords(CHEAP)
    await passwords.verify(None, "warm")
    checked: list[str] = []
    verify = passwords._verify

    def noted(stored: str, given: str) -> bool:
        checked.append(stored)
        return verify(stored, given)

    monkeypatch.setattr(passwords, "_verify", noted)
    assert not await passwords.verify(None, "wrong")
    assert not await passwords.verify(await passwords.hash("right one"), "wrong")
    assert len(checked) == 2
    assert {stored.split("$")[3] for stored in checked} == {"m=8,t=1,p=1"}


async def test_guessing_is_slowed_down_per_person_and_address_and_ends_by_itself(
    house: House, clock: ManualClock
) -> None:
    async def guess(address: str = "10.0.0.9") -> None:
        await house.tenants.signins.sign_in("root@example.com", "wrong", address=address)

    for _ in range(8):
        with pytest.raises(SignInNeeded):
            await guess()
    with pytest.raises(TooMany) as refused:
        await guess()
    assert 0 < refused.value.retry_after_s <= 900
    with pytest.raises(TooMany):  # the right one too: else guessing would go on
        await house.tenants.signins.sign_in("root@example.com", PASSWORD, address="10.0.0.9")
    await house.tenants.signins.sign_in("root@example.com", PASSWORD, address="10.0.0.8")  # they are not locked out
    await clock.advance(901)
    await house.tenants.signins.sign_in("root@example.com", PASSWORD, address="10.0.0.9")


async def test_guesses_at_once_are_counted_before_they_are_checked(house: House) -> None:
    guesses = (house.tenants.signins.sign_in("root@example.com", "wrong", address="a") for _ in range(20))
    told = await asyncio.gather(*guesses, return_exceptions=True)
    assert [type(one) for one in told].count(SignInNeeded) == 8
    assert [type(one) for one in told].count(TooMany) == 12


async def test_one_address_cannot_try_person_after_person(house: House) -> None:
    for n in range(50):
        with pytest.raises(SignInNeeded):
            await house.tenants.signins.sign_in(f"u{n}@example.com", "wrong", address="10.0.0.9")
    with pytest.raises(TooMany):
        await house.tenants.signins.sign_in("u50@example.com", "wrong", address="10.0.0.9")


async def test_a_sign_in_expires_and_is_deleted(house: House, db: Db, clock: ManualClock) -> None:
    opened = await house.tenants.signins.sign_in("root@example.com", PASSWORD, address="")
    await house.tenants.signins.caller_of(opened.secret)
    clock.jump(timedelta(days=7))
    with pytest.raises(SignInNeeded):
        await house.tenants.signins.caller_of(opened.secret)
    await house.tenants.signins.drop_expired()
    async with db.fleet_tx() as tx:
        assert await tx.value("select count(*) from signins") == 0


async def test_signing_out_counts_at_once_and_twice_is_once(house: House) -> None:
    opened = await house.tenants.signins.sign_in("root@example.com", PASSWORD, address="")
    await house.tenants.signins.caller_of(opened.secret)
    await house.tenants.signins.sign_out(opened.secret)
    await house.tenants.signins.sign_out(opened.secret)
    with pytest.raises(SignInNeeded):
        await house.tenants.signins.caller_of(opened.secret)


async def test_a_change_of_role_counts_within_two_seconds_on_every_node(
    house: House, db: Db, clock: ManualClock
) -> None:
    ada = await house.user("ada@example.com", Role.ADMIN, tenant=house.office)
    opened = await house.tenants.signins.sign_in("ada@example.com", PASSWORD, address="")
    other_node = Tenants(db, clock)
    assert (await other_node.signins.caller_of(opened.secret)).role is Role.ADMIN
    async with db.fleet_tx() as tx:
        await tx.run("update memberships set role = 'viewer' where user_id = %(user)s", user=ada.user)
    await clock.advance(2)
    assert (await other_node.signins.caller_of(opened.secret)).role is Role.VIEWER


async def test_a_person_looks_at_one_of_their_tenants_and_at_no_other(house: House) -> None:
    ada = await house.user("ada@example.com", Role.AGENT, tenant=house.office)
    opened = await house.tenants.signins.sign_in("ada@example.com", PASSWORD, address="")
    with pytest.raises(NotFound):
        await house.tenants.look_at(ada, opened.secret, "Kitchen")
    with pytest.raises(NotFound):
        await house.tenants.look_at(ada, opened.secret, str(house.kitchen))
    with pytest.raises(Forbidden):
        await house.tenants.look_at(ada, opened.secret, None)
    assert ada.user
    await house.tenants.people.grant(
        await house.caller("root@example.com"), ada.user, tenant=house.kitchen, role=Role.VIEWER
    )
    await house.tenants.look_at(ada, opened.secret, "kitchen")
    now = await house.tenants.signins.caller_of(opened.secret)
    assert (now.tenant, now.role) == (house.kitchen, Role.VIEWER)


async def test_an_administrator_of_the_platform_looks_at_any_tenant_and_comes_back(house: House) -> None:
    opened = await house.tenants.signins.sign_in("root@example.com", PASSWORD, address="")
    root = await house.tenants.signins.caller_of(opened.secret)
    for named, tenant in (("Office", house.office), (str(house.kitchen), house.kitchen), (None, None)):
        await house.tenants.look_at(root, opened.secret, named)
        root = await house.tenants.signins.caller_of(opened.secret)
        assert root.tenant == tenant
        assert root.platform


async def test_changing_ones_password_ends_every_other_sign_in(house: House) -> None:
    here = await house.tenants.signins.sign_in("root@example.com", PASSWORD, address="")
    there = await house.tenants.signins.sign_in("root@example.com", PASSWORD, address="")
    with pytest.raises(Invalid, match="present password"):
        await house.tenants.signins.change_password(here.secret, current="wrong", new="four plain words here")
    await house.tenants.signins.change_password(here.secret, current=PASSWORD, new="four plain words here")
    await house.tenants.signins.caller_of(here.secret)
    with pytest.raises(SignInNeeded):
        await house.tenants.signins.caller_of(there.secret)
    await house.caller("root@example.com", "four plain words here")

"""Users: who may add, change and remove whom."""

import pytest
from tests.tenants.houses import ADMIN, PASSWORD, House

from wafleet.domain.errors import Conflict, Forbidden, Invalid, NotFound, SignInNeeded
from wafleet.engine.db import Db
from wafleet.tenants import Role, Scope


async def test_a_user_without_a_password_gets_one_that_works(house: House) -> None:
    made = await house.tenants.people.create(ADMIN, email="ada@example.com", tenant=house.office, role=Role.AGENT)
    assert made.password is not None
    caller = await house.caller("ADA@example.com", made.password)
    assert (caller.actor, caller.tenant, caller.role) == ("user:ada@example.com", house.office, Role.AGENT)
    assert caller.scopes == {Scope.READ, Scope.SEND}


@pytest.mark.parametrize("password", ["short", "password", "aaaaaaaaaaaa", "ada@example.com", "x" * 257])
async def test_weak_passwords_are_refused_with_a_remedy(house: House, password: str) -> None:
    with pytest.raises(Invalid, match=r"Use at|choose another") as refused:
        await house.tenants.people.create(ADMIN, email="ada@example.com", password=password, tenant=house.office)
    assert refused.value.field == "password"


@pytest.mark.parametrize("email", ["ada", "@", "a b@c", "a@b\n", "\x00a@b"])
async def test_an_address_that_is_none_is_refused(house: House, email: str) -> None:
    if email.strip() == "a@b":
        assert (await house.tenants.people.create(ADMIN, email=email, tenant=house.office)).user.email == "a@b"
        return
    with pytest.raises(Invalid, match="ada@example"):
        await house.tenants.people.create(ADMIN, email=email, tenant=house.office)


async def test_one_address_is_one_user_however_it_is_written(house: House) -> None:
    await house.user("ada@example.com", Role.VIEWER, tenant=house.office)
    with pytest.raises(Conflict):
        await house.tenants.people.create(ADMIN, email="Ada@Example.com", tenant=house.kitchen)


async def test_a_user_may_belong_to_several_tenants_and_each_sees_only_its_own(house: House) -> None:
    owner = await house.user("owner@example.com", Role.OWNER, tenant=house.office)
    ada = await house.user("ada@example.com", Role.VIEWER, tenant=house.office)
    assert ada.user
    await house.tenants.people.grant(ADMIN, ada.user, tenant=house.kitchen, role=Role.ADMIN)
    everywhere = await house.tenants.people.get(ADMIN, ada.user)
    assert [(m.name, m.role) for m in everywhere.memberships] == [("Kitchen", Role.ADMIN), ("Office", Role.VIEWER)]
    seen = await house.tenants.people.get(owner, ada.user)
    assert [m.name for m in seen.memberships] == ["Office"]


async def test_no_tenant_can_take_over_a_person_who_belongs_to_another_too(house: House) -> None:
    owner = await house.user("owner@example.com", Role.OWNER, tenant=house.office)
    ada = await house.user("ada@example.com", Role.VIEWER, tenant=house.office)
    assert ada.user
    await house.tenants.people.grant(ADMIN, ada.user, tenant=house.kitchen, role=Role.ADMIN)
    with pytest.raises(Forbidden, match="belongs elsewhere"):
        await house.tenants.people.set_password(owner, ada.user)
    with pytest.raises(Forbidden, match="belongs elsewhere"):
        await house.tenants.people.change(owner, ada.user, disabled=True)
    await house.tenants.people.remove(owner, ada.user, tenant=house.office)
    with pytest.raises(NotFound):
        await house.tenants.people.get(owner, ada.user)


async def test_an_admin_cannot_become_owner_nor_touch_one_neither_directly_nor_by_a_token(house: House) -> None:
    owner = await house.user("owner@example.com", Role.OWNER, tenant=house.office)
    admin = await house.user("admin@example.com", Role.ADMIN, tenant=house.office)
    token = await house.tenants.tokens.make(admin, name="t", tenant=house.office, scopes=[Scope.ADMIN])
    assert owner.user
    assert admin.user
    for caller in (admin, await house.tenants.tokens.caller_of(token.secret)):
        with pytest.raises(Forbidden, match="owner"):
            await house.tenants.people.grant(caller, admin.user, tenant=house.office, role=Role.OWNER)
        with pytest.raises(Forbidden, match="owner"):
            await house.tenants.people.set_password(caller, owner.user)
        with pytest.raises(Forbidden, match="owner"):
            await house.tenants.people.grant(caller, owner.user, tenant=house.office, role=Role.VIEWER)


async def test_a_tenant_keeps_an_owner(house: House) -> None:
    owner = await house.user("owner@example.com", Role.OWNER, tenant=house.office)
    assert owner.user
    with pytest.raises(Conflict, match="at least one owner"):
        await house.tenants.people.grant(owner, owner.user, tenant=house.office, role=Role.ADMIN)
    with pytest.raises(Conflict, match="at least one owner"):
        await house.tenants.people.remove(owner, owner.user, tenant=house.office)
    with pytest.raises(Conflict, match="at least one owner"):
        await house.tenants.people.change(owner, owner.user, disabled=True)


async def test_the_platform_keeps_an_administrator(house: House) -> None:
    root = await house.caller("root@example.com")
    assert root.user
    with pytest.raises(Conflict, match="last administrator"):
        await house.tenants.people.change(root, root.user, disabled=True)


async def test_a_tenant_cannot_make_an_administrator_of_the_platform(house: House) -> None:
    owner = await house.user("owner@example.com", Role.OWNER, tenant=house.office)
    with pytest.raises(Forbidden, match="platform"):
        await house.tenants.people.create(owner, email="x@example.com", platform_admin=True)


async def test_a_disabled_user_is_signed_out_and_cannot_sign_in(house: House) -> None:
    await house.user("ada@example.com", Role.AGENT, tenant=house.office)
    opened = await house.tenants.signins.sign_in("ada@example.com", PASSWORD, address="")
    await house.tenants.people.change(ADMIN, opened.user, disabled=True)
    with pytest.raises(SignInNeeded):
        await house.tenants.signins.caller_of(opened.secret)
    with pytest.raises(SignInNeeded, match="do not belong together"):
        await house.caller("ada@example.com")
    await house.tenants.people.change(ADMIN, opened.user, disabled=False)
    assert (await house.caller("ada@example.com")).user == opened.user


async def test_every_change_is_in_the_audit_log_of_its_tenant_without_secrets(house: House, db: Db) -> None:
    owner = await house.user("owner@example.com", Role.OWNER, tenant=house.office)
    made = await house.tenants.people.create(owner, email="ada@example.com", tenant=house.office, role=Role.AGENT)
    token = await house.tenants.tokens.make(owner, name="orders", tenant=house.office, scopes=[Scope.READ])
    await house.tenants.tokens.revoke(owner, token.token.id)
    await house.tenants.tokens.revoke(owner, token.token.id)
    await house.tenants.people.set_password(owner, made.user.id, PASSWORD)
    await house.tenants.rename(owner, "Office", "Bureau")
    log = (await house.tenants.audit.list(owner, cursor=None, limit=50)).items
    assert [(entry.action, entry.actor) for entry in log] == [
        ("tenant.renamed", "user:owner@example.com"),
        ("user.password_set", "user:owner@example.com"),
        ("token.revoked", "user:owner@example.com"),
        ("token.created", "user:owner@example.com"),
        ("user.created", "user:owner@example.com"),
        ("user.signed_in", "user:owner@example.com"),
        ("user.created", "test"),
        ("tenant.created", "test"),
    ]
    assert token.secret not in str(log)
    assert PASSWORD not in str(log)
    kitchen = await house.user("cook@example.com", Role.OWNER, tenant=house.kitchen)
    assert "ada@example.com" not in str(await house.tenants.audit.list(kitchen, cursor=None, limit=50))

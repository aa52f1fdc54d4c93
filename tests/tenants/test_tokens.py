"""API tokens: what they open, for how long, and that nothing but their hash is kept."""

import asyncio
from datetime import timedelta
from uuid import uuid4

import pytest
from tests.tenants.houses import ADMIN, House

from wafleet.domain.errors import Forbidden, Invalid, NotFound, SignInNeeded
from wafleet.engine.clock import ManualClock
from wafleet.engine.db import Db
from wafleet.tenants import Role, Scope, Tenants


async def test_a_token_opens_its_tenant_with_its_scopes(house: House) -> None:
    secret = await house.token(Scope.READ, tenant=house.office)
    caller = await house.tenants.tokens.caller_of(secret)
    assert (caller.tenant, caller.scopes, caller.platform) == (house.office, frozenset({Scope.READ}), False)
    with pytest.raises(Forbidden, match="needs the scope 'send'"):
        caller.require(Scope.SEND)


async def test_only_the_hash_of_a_token_is_stored(house: House, db: Db) -> None:
    secret = await house.token(tenant=house.office)
    async with db.fleet_tx() as tx:
        row = str(await tx.tuples("select to_jsonb(t) from tokens t"))
    assert secret not in row
    assert secret.removeprefix("wf_") not in row
    assert secret[-4:] in row


async def test_a_revoked_token_is_refused_within_two_seconds_on_every_node(
    house: House, db: Db, clock: ManualClock
) -> None:
    other_node = Tenants(db, clock)
    secret = await house.token(tenant=house.office)
    await other_node.tokens.caller_of(secret)  # it remembers
    token = (await house.tenants.tokens.list(ADMIN, cursor=None, limit=1)).items[0]
    await house.tenants.tokens.revoke(ADMIN, token.id)

    with pytest.raises(SignInNeeded, match="revoked"):  # here it counts at once
        await house.tenants.tokens.caller_of(secret)
    await clock.advance(1.9)
    await other_node.tokens.caller_of(secret)
    await clock.advance(0.1)
    with pytest.raises(SignInNeeded, match="revoked"):
        await other_node.tokens.caller_of(secret)


async def test_an_expired_token_is_refused_at_once_even_when_it_is_remembered(house: House, clock: ManualClock) -> None:
    made = await house.tenants.tokens.make(
        ADMIN, name="t", tenant=house.office, scopes=[Scope.READ], expires_at=clock.now() + timedelta(seconds=1)
    )
    await house.tenants.tokens.caller_of(made.secret)
    await clock.advance(1)
    with pytest.raises(SignInNeeded) as refused:
        await house.tenants.tokens.caller_of(made.secret)
    assert refused.value.code == "token_expired"


@pytest.mark.parametrize("secret", ["", "x", "wf_short", "wf_" + "a" * 44, "wf_" + "é" * 43, "wf_" + "a" * 42 + "\n"])
async def test_what_is_no_token_is_refused_without_asking_the_database(house: House, secret: str) -> None:
    with pytest.raises(SignInNeeded) as refused:
        await house.tenants.tokens.caller_of(secret)
    assert refused.value.code == "token_malformed"


async def test_an_unknown_token_is_refused_every_time_and_not_remembered(house: House) -> None:
    for _ in range(2):
        with pytest.raises(SignInNeeded) as refused:
            await house.tenants.tokens.caller_of("wf_" + "a" * 43)
        assert refused.value.code == "token_unknown"


async def test_many_requests_at_once_share_one_lookup_and_survive_one_that_hangs_up(house: House) -> None:
    secret = await house.token(tenant=house.office)
    asks = [asyncio.create_task(house.tenants.tokens.caller_of(secret)) for _ in range(50)]
    await asyncio.sleep(0)
    asks[0].cancel()
    done = await asyncio.gather(*asks[1:])
    assert {id(caller) for caller in done} == {id(done[0])}


async def test_use_is_noted_in_batches_and_never_goes_back(house: House, db: Db, clock: ManualClock) -> None:
    secret = await house.token(tenant=house.office)
    await house.tenants.tokens.caller_of(secret)
    token = (await house.tenants.tokens.list(ADMIN, cursor=None, limit=1)).items[0]
    assert token.last_used_at is None
    await house.tenants.tokens.note_use()
    clock.jump(timedelta(hours=-1))
    await house.tenants.tokens.caller_of(secret)
    await house.tenants.tokens.note_use()
    token = (await house.tenants.tokens.list(ADMIN, cursor=None, limit=1)).items[0]
    assert token.last_used_at == clock.now() + timedelta(hours=1)


async def test_nobody_gives_more_than_they_have(house: House) -> None:
    agent = await house.user("agent@example.com", Role.AGENT, tenant=house.office)
    with pytest.raises(Forbidden):
        await house.tenants.tokens.make(agent, name="t", tenant=house.office, scopes=[Scope.READ])
    admin = await house.user("admin@example.com", Role.ADMIN, tenant=house.office)
    with pytest.raises(Forbidden, match="platform"):
        await house.tenants.tokens.make(admin, name="t", tenant=None, scopes=[Scope.READ])
    with pytest.raises(NotFound):
        await house.tenants.tokens.make(admin, name="t", tenant=house.kitchen, scopes=[Scope.READ])
    with pytest.raises(Invalid, match="no account"):
        await house.tenants.tokens.make(admin, name="t", tenant=house.office, scopes=[Scope.READ], accounts=[uuid4()])


async def test_a_tenant_neither_sees_nor_revokes_anothers_tokens(house: House) -> None:
    await house.token(tenant=house.kitchen)
    theirs = (await house.tenants.tokens.list(ADMIN, cursor=None, limit=1)).items[0]
    owner = await house.user("owner@example.com", Role.OWNER, tenant=house.office)
    assert (await house.tenants.tokens.list(owner, cursor=None, limit=50)).items == []
    with pytest.raises(NotFound):
        await house.tenants.tokens.revoke(owner, theirs.id)


async def test_tokens_are_paged_newest_first(house: House) -> None:
    for _ in range(5):
        await house.token(tenant=house.office)
    seen, cursor = [], None
    while True:
        page = await house.tenants.tokens.list(ADMIN, cursor=cursor, limit=2)
        seen += [token.id for token in page.items]
        cursor = page.next
        if cursor is None:
            break
    assert len(seen) == 5
    assert seen == sorted(seen, reverse=True)

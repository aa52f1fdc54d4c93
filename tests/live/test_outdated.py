"""A client that WhatsApp refuses is told once, and does not hammer."""

import pytest
from tests.live.rig import Rig, until

from wafleet.accounts.live import store
from wafleet.engine.db import DatabaseAway, Tx
from wafleet.transports.base import OpenError
from wafleet.transports.simulated import Simulated

PHONES = [f"+97150000000{n}" for n in range(1, 7)]
CLIENTS = {"simulator": "neonize 0.5.2"}


async def test_a_refused_client_is_told_once_and_tried_by_one_account_until_it_is_accepted(rig: Rig) -> None:
    accounts = [await rig.account(phone) for phone in PHONES]
    rig.fault("*", "outdated", lasts=600)
    await rig.start(clients=CLIENTS, probe_s=0.4)

    async def states() -> list[tuple[str, str]]:
        return [await rig.state(one) for one in accounts]

    await until(states, lambda seen: set(seen) == {("offline", "outdated")})

    assert await told(rig) == [{"client": "neonize 0.5.2"}]
    await rig.nodes[0].kill()
    rig.nodes.clear()
    await rig.start("n2", clients=CLIENTS, probe_s=0.4)
    await until(states, lambda seen: set(seen) == {("offline", "outdated")})
    assert await told(rig) == [{"client": "neonize 0.5.2"}]
    rig.world.trouble.end("*", "outdated")
    await until(states, lambda seen: set(seen) == {("online", "")}, limit_s=40)
    async with rig.db.fleet_tx() as tx:
        assert await tx.value("select count(*) from outdated_clients") == 0


async def told(rig: Rig) -> list[dict[str, str]]:
    async with rig.db.fleet_tx() as tx:
        return [row[0] for row in await tx.tuples("select data from events where kind = 'fleet.client_outdated'")]


async def test_a_client_that_is_refused_while_a_phone_is_linked_is_told_as_well(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refused(*_: object) -> bytes:
        raise OpenError("outdated", "405: client outdated")

    monkeypatch.setattr(Simulated, "link", refused)
    account = await rig.account(PHONES[0], linked=False)
    await rig.start(clients=CLIENTS)
    await until(lambda: rig.state(account), lambda seen: seen == ("new", "outdated"))
    assert await told(rig) == [{"client": "neonize 0.5.2"}]


async def test_a_refusal_is_told_although_the_database_was_away_just_then(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, tries = store.client_refused, list[str]()

    async def away_at_first(tx: Tx, *, client: str) -> bool:
        tries.append(client)
        if len(tries) == 1:
            raise DatabaseAway("restarting")
        return await write(tx, client=client)

    monkeypatch.setattr(store, "client_refused", away_at_first)
    await rig.account(PHONES[0])
    rig.fault("*", "outdated", lasts=600)
    await rig.start(clients=CLIENTS)
    await until(lambda: told(rig), lambda seen: seen == [{"client": "neonize 0.5.2"}])


async def test_a_transport_whose_client_is_not_known_is_no_fact_of_the_fleet(rig: Rig) -> None:
    account = await rig.account(PHONES[0])
    rig.fault(PHONES[0], "outdated", lasts=1)
    await rig.start(clients={"device": "neonize 0.5.2"})
    await until(lambda: rig.state(account), lambda seen: seen == ("offline", "outdated"))
    async with rig.db.fleet_tx() as tx:
        assert await tx.value("select count(*) from events where kind = 'fleet.client_outdated'") == 0

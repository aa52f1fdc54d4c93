"""What a transport keeps on this disk: removed for accounts that have no session any more, and only for those."""

import asyncio
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from tests.live.rig import KEY, Rig

from wafleet.accounts.live.keyring import Keyring
from wafleet.accounts.live.tidying import Tidying
from wafleet.domain.ids import AccountId, new_id
from wafleet.engine.secrets import open_secrets


@dataclass
class Keeping:
    """A transport with something on the disk for these accounts."""

    here: list[AccountId]
    forgotten: list[AccountId] = field(default_factory=list[AccountId])
    told: list[tuple[AccountId, bytes]] = field(default_factory=list[tuple[AccountId, bytes]])

    def left(self) -> list[AccountId]:
        return self.here

    async def forget(self, account: AccountId) -> None:
        self.forgotten.append(account)

    async def kept(self, account: AccountId, credentials: bytes) -> None:
        self.told.append((account, credentials))


async def tidied(rig: Rig, keeping: Keeping) -> None:
    """Tidy up once, on a node that holds nothing."""
    keyring = Keyring(rig.db, await open_secrets(rig.db, KEY))
    reading = asyncio.create_task(keyring.batch.run())
    transports = cast("Any", {"device": keeping})
    await Tidying(rig.db, node="n1", keyring=keyring, transports=transports, held={}).turn()
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)


@pytest.mark.parametrize(
    ("change", "goes"),
    [
        ("state = 'offline'", False),  # linked
        ("state = 'logged_out'", False),  # what came in may not be stored yet
        ("state = 'new', credentials = null", True),  # linking was cut short
        ("state = 'linking', credentials = null", False),
        ("transport = 'meta'", True),
        ("deleted_at = now()", True),
        ("deleted_at = now(), remove_until = now()", False),  # its device is still to be removed from the phone
    ],
)
async def test_only_what_no_account_needs_is_removed(rig: Rig, change: str, goes: bool) -> None:
    account, of_another_database = await rig.account("+971500000001"), AccountId(new_id())
    async with rig.db.fleet_tx() as tx:
        await tx.run("update accounts set transport = 'device'")
        await tx.run(cast("Any", f"update accounts set {change}"))
    keeping = Keeping([account, of_another_database])
    await tidied(rig, keeping)
    assert keeping.forgotten == ([account] if goes else [])


@pytest.mark.parametrize(
    ("desired", "holder", "left_s", "told"),
    [
        ("running", "n2", 60, True),
        ("running", "n1", 60, False),
        ("running", "n2", -1, False),
        ("running", None, -1, False),
        ("stopped", None, -1, True),
    ],
)
async def test_where_this_node_does_not_run_an_account_its_folder_is_compared_with_what_is_stored(
    rig: Rig, desired: str, holder: str | None, left_s: int, told: bool
) -> None:
    account = await rig.account("+971500000001")
    secret = rig.world.account("+971500000001").credentials
    async with rig.db.fleet_tx() as tx:
        await tx.run("update accounts set transport = 'device', desired = %(desired)s", desired=desired)
        await tx.run("insert into nodes (name, version) values ('n1', '1'), ('n2', '1')")
        sql = """
            insert into leases (name, holder, epoch, expires_at)
            values ('account:' || %(id)s::text, %(holder)s, 1, now() + %(left)s * interval '1 s')
        """
        await tx.run(sql, id=account, holder=holder, left=left_s)
    keeping = Keeping([account, AccountId(new_id())])
    await tidied(rig, keeping)
    assert (keeping.told, keeping.forgotten) == ([(account, secret)] if told else [], [])

"""What a transport keeps on this disk: removed for accounts that have no session any more, and only for those."""

from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from tests.live.rig import Rig

from wafleet.accounts.live.tidying import Tidying
from wafleet.domain.ids import AccountId, new_id


@dataclass
class Keeping:
    """A transport with something on the disk for these accounts."""

    here: list[AccountId]
    forgotten: list[AccountId] = field(default_factory=list[AccountId])

    def left(self) -> list[AccountId]:
        return self.here

    async def forget(self, account: AccountId) -> None:
        self.forgotten.append(account)


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
    await Tidying(rig.db, transports=cast("Any", {"device": keeping}), held={}).turn()
    assert keeping.forgotten == ([account] if goes else [])

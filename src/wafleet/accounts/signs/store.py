"""SQL of what networks say of accounts themselves."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from psycopg.types.json import Jsonb

from wafleet.domain.account import State
from wafleet.domain.ids import AccountId, TenantId
from wafleet.engine.db import Tx


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known of an account when news of it comes."""

    id: AccountId
    tenant_id: TenantId
    transport: str
    provider: dict[str, str]
    state: State
    reason: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "state", State(self.state))


async def hold(tx: Tx, accounts: Sequence[AccountId]) -> dict[AccountId, Standing]:
    """Lock accounts, always in the same order, and return how they stand."""
    rows = await tx.all(
        Standing,
        """
        select id, tenant_id, transport, provider, state, reason from accounts
         where id = any(%(accounts)s) and deleted_at is null order by id for no key update
        """,
        accounts=list(accounts),
    )
    return {one.id: one for one in rows}


async def keep(tx: Tx, *, account: AccountId, provider: Mapping[str, str]) -> None:
    """Store what the network last said of an account."""
    sql = "update accounts set provider = %(provider)s, updated_at = now() where id = %(account)s"
    await tx.run(sql, account=account, provider=Jsonb(dict(provider)))

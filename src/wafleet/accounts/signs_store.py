"""SQL of what networks say of accounts themselves."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from psycopg.types.json import Jsonb

from wafleet.domain.account import DEADLINES, State
from wafleet.domain.ids import AccountId, TenantId
from wafleet.engine.db import Tx


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known of an account when news of it comes."""

    id: AccountId
    tenant_id: TenantId
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
        select id, tenant_id, provider, state, reason from accounts
         where id = any(%(accounts)s) and deleted_at is null order by id for no key update
        """,
        accounts=list(accounts),
    )
    return {one.id: one for one in rows}


async def keep(tx: Tx, *, account: AccountId, provider: Mapping[str, str]) -> None:
    """Store what the network last said of an account."""
    sql = "update accounts set provider = %(provider)s, updated_at = now() where id = %(account)s"
    await tx.run(sql, account=account, provider=Jsonb(dict(provider)))


async def move(tx: Tx, *, account: AccountId, to: State, reason: str, detail: str, retry_in: timedelta | None) -> None:
    """Move an account because its network says so; whoever holds its session looks at it again."""
    await tx.run(
        """
        update accounts
           set state = %(to)s, reason = %(reason)s, detail = %(detail)s, updated_at = now(), pairing = null,
               state_since = case when state = %(to)s then state_since else now() end,
               retry_at = now() + %(retry_in)s, deadline_at = now() + %(limit)s
         where id = %(account)s
        """,
        account=account,
        to=to.value,
        reason=reason,
        detail=detail,
        retry_in=retry_in,
        limit=DEADLINES[to][0] if to in DEADLINES else None,
    )
    await tx.run(
        """
        update activity
           set online_s = online_s + extract(epoch from now() - online_since), online_since = null
         where account_id = %(account)s and online_since is not null and %(down)s
        """,
        account=account,
        down=to not in {State.ONLINE, State.DEGRADED},
    )

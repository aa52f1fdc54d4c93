"""Two tenants, a transport that is linked by phone and one whose credentials are entered."""

from dataclasses import dataclass, field
from typing import Any, cast

from wafleet.accounts import Account, Fields
from wafleet.domain.account import State
from wafleet.domain.ids import AccountId, TenantId, new_id
from wafleet.engine.db import Db
from wafleet.tenants.model import EVERYTHING, Caller
from wafleet.transports.base import Capabilities, Listener, Number, Session

FLEET_CALLER = Caller.local("cli")


@dataclass
class Kind:
    """A transport that only says what it can do."""

    capabilities: Capabilities

    async def open(self, number: Number, credentials: bytes, listener: Listener) -> Session:
        raise NotImplementedError


TRANSPORTS = {
    "simulated": Kind(Capabilities(contents=frozenset({"text"}), linking=frozenset({"qr"}))),
    "entered": Kind(Capabilities(contents=frozenset({"text"}))),
    "gateway": Kind(Capabilities(contents=frozenset({"text"}), keyed=True)),
}


class Mirror:
    """Stands for encryption: what is stored differs from what was given, and belongs to one account."""

    def encrypt(self, plain: bytes, *, about: bytes) -> bytes:
        return about + plain[::-1]

    def decrypt(self, stored: bytes, *, about: bytes) -> bytes:
        assert stored.startswith(about)
        return stored[len(about) :][::-1]


@dataclass
class Office:
    """A tenant, and somebody who may do everything in it."""

    id: TenantId
    name: str
    caller: Caller = field(init=False)

    def __post_init__(self) -> None:
        self.caller = Caller(actor=f"user:{self.name}", tenant=self.id, scopes=EVERYTHING)


async def make_office(db: Db, name: str) -> Office:
    office = Office(TenantId(new_id()), name)
    async with db.fleet_tx() as tx:
        await tx.run("insert into tenants (id, name) values (%(id)s, %(name)s)", id=office.id, name=name)
    return office


def fields(n: int = 1, **others: Any) -> Fields:
    return cast(Fields, {"name": f"Number {n}", "phone": f"+97150{n:07}", "transport": "simulated"} | others)


async def put_in(
    db: Db, account: Account, state: State, *, linked: bool = True, reason: str = "", ended: str = ""
) -> None:
    """Put an account where a test begins, as the owner of its session would.

    ended  how the last attempt to link it did
    """
    async with db.fleet_tx() as tx:
        await tx.run("alter table accounts disable trigger accounts_moves")
        await tx.run(
            "update accounts set state = %(state)s, reason = %(reason)s, credentials = %(kept)s, "
            "pairing = jsonb_build_object('ended', %(ended)s::text) where id = %(id)s",
            ended=ended,
            state=state.value,
            reason=reason,
            kept=b"device" if linked else None,
            id=account.id,
        )
        await tx.run("alter table accounts enable trigger accounts_moves")


async def events_of(db: Db, account: AccountId) -> list[tuple[str, dict[str, object]]]:
    async with db.fleet_tx() as tx:
        rows = await tx.tuples("select kind, data from events where account_id = %(id)s order by seq", id=account)
    return [(kind, data) for kind, data in rows]


async def actions_on(db: Db, account: AccountId) -> list[str]:
    async with db.fleet_tx() as tx:
        rows = await tx.tuples("select action from audit where subject = %(id)s order by id", id=str(account))
    return [row[0] for row in rows]

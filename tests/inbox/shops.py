"""Tenants with a number each, and what their customers say."""

from dataclasses import dataclass, field
from datetime import UTC, datetime

from wafleet.domain.ids import AccountId, TenantId, new_id
from wafleet.domain.inbound import Inbound
from wafleet.domain.message import Text
from wafleet.engine.db import Db

AT = datetime(2026, 1, 1, 12, tzinfo=UTC)


@dataclass(frozen=True)
class Shop:
    """A tenant and its number."""

    tenant: TenantId = field(default_factory=lambda: TenantId(new_id()))
    account: AccountId = field(default_factory=lambda: AccountId(new_id()))


async def open_shop(db: Db, name: str, phone: str) -> Shop:
    shop = Shop()
    async with db.fleet_tx() as tx:
        await tx.run("insert into tenants (id, name) values (%(id)s, %(name)s)", id=shop.tenant, name=name)
        await tx.run(
            """
            insert into accounts (id, tenant_id, name, phone, transport)
            values (%(id)s, %(tenant)s, %(name)s, %(phone)s, 'simulator')
            """,
            id=shop.account,
            tenant=shop.tenant,
            name=name,
            phone=phone,
        )
    return shop


def said(text: str, *, id: str = "", identity: str = "+447700900001", name: str = "", at: datetime = AT) -> Inbound:
    return Inbound(provider_id=id or f"net-{new_id()}", identity=identity, name=name, content=Text(text=text), at=at)

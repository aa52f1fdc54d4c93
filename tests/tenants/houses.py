"""A small platform for tests: its administrator, two tenants, their people and tokens, and the HTTP app around it."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx
from argon2 import PasswordHasher
from fastapi import APIRouter, FastAPI

from wafleet.api import HealthSources, HttpLimits, build_http
from wafleet.domain.ids import TenantId
from wafleet.engine.clock import Clock
from wafleet.engine.db import Db
from wafleet.tenants import Auth, Caller, Passwords, Role, Scope, Tenants
from wafleet.tenants.routes import router

ADMIN = Caller.local("test")
PASSWORD = "three plain words"
CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


@dataclass(frozen=True, kw_only=True)
class House:
    """A platform with two tenants."""

    tenants: Tenants
    auth: Auth
    clock: Clock
    db: Db
    office: TenantId
    kitchen: TenantId

    async def token(self, *scopes: Scope, tenant: TenantId | None, accounts: Sequence[TenantId] | None = None) -> str:
        made = await self.tenants.tokens.make(
            ADMIN, name="test", tenant=tenant, scopes=scopes or tuple(Scope), accounts=accounts
        )
        return made.secret

    async def user(self, email: str, role: Role, *, tenant: TenantId) -> Caller:
        """Add somebody and sign them in."""
        await self.tenants.people.create(ADMIN, email=email, password=PASSWORD, tenant=tenant, role=role)
        return await self.caller(email)

    async def caller(self, email: str, password: str = PASSWORD) -> Caller:
        opened = await self.tenants.signins.sign_in(email, password, address="10.0.0.1")
        return await self.tenants.signins.caller_of(opened.secret)

    def app(
        self,
        *routers: APIRouter,
        limits: HttpLimits | None = None,
        accounts: Mapping[str, int] | None = None,
        current: bool | Exception = True,
        pages: Sequence[APIRouter] = (),
    ) -> FastAPI:
        async def counts() -> Mapping[str, int]:
            return accounts or {"online": 3}

        async def waiting() -> int:
            return 0

        async def is_current() -> bool:
            if isinstance(current, Exception):
                raise current
            return current

        sources = HealthSources(
            db=self.db,
            clock=self.clock,
            node="n1",
            version="1.2.3",
            accounts=counts,
            waiting=waiting,
            current=is_current,
        )
        return build_http(
            auth=self.auth,
            health_sources=sources,
            routers=[router(self.tenants, self.auth), *routers],
            pages=pages,
            limits=limits,
        )


async def build_house(db: Db, clock: Clock) -> House:
    tenants = Tenants(db, clock, passwords=Passwords(CHEAP))
    await tenants.ensure_admin("root@example.com", PASSWORD)
    office = await tenants.create(ADMIN, "Office")
    kitchen = await tenants.create(ADMIN, "Kitchen")
    return House(tenants=tenants, auth=Auth(tenants), clock=clock, db=db, office=office.id, kitchen=kitchen.id)


@asynccontextmanager
async def client(
    app: FastAPI, token: str | None = None, *, base_url: str = "http://wafleet.test", address: str = "10.0.0.1"
) -> AsyncGenerator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app, client=(address, 5000), raise_app_exceptions=False)
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with httpx.AsyncClient(transport=transport, base_url=base_url, headers=headers) as http:
        yield http

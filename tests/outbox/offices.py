"""A whole wafleet on a simulated network: two numbers of one tenant, and one of another."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx

from wafleet.accounts import Account, Fields
from wafleet.app import App
from wafleet.simulator.world import World
from wafleet.tenants import EVERYTHING, Caller, Scope

PHONE, OTHER, CUSTOMER = "+971501110001", "+971501110002", "+971550000001"
LOCAL = Caller.local("test")


@dataclass
class Office:
    """A wafleet with two numbers of one tenant and one of another."""

    app: App
    world: World
    first: Account
    second: Account
    foreign: Account
    http: httpx.AsyncClient

    async def send(self, body: dict[str, Any], **headers: str) -> httpx.Response:
        return await self.http.post("/messages", json={"to": CUSTOMER} | body, headers=headers)

    async def message(self, id: str) -> dict[str, Any]:
        return (await self.http.get(f"/messages/{id}")).json()

    async def until(self, path: str, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Look again and again until it is as wanted."""
        seen: dict[str, Any] = {}
        async with asyncio.timeout(20):
            while not (seen and wanted(seen)):
                await asyncio.sleep(0.05)
                seen = (await self.http.get(path)).json()
        return seen


async def new_account(app: App, tenant: str, name: str, phone: str, role: str) -> Account:
    owner = await app.slices.tenants.ensure(LOCAL, tenant)
    return await app.slices.accounts.create(
        LOCAL, Fields(name=name, phone=phone, transport="simulator", role=role), tenant=owner.id
    )


async def new_client(app: App, tenant: str, scopes: list[Scope] | None = None) -> httpx.AsyncClient:
    owner = await app.slices.tenants.ensure(LOCAL, tenant)
    made = await app.slices.tenants.tokens.make(LOCAL, name="t", tenant=owner.id, scopes=scopes or sorted(EVERYTHING))
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(app.http),
        base_url="http://wafleet/api/v1",
        headers={"Authorization": f"Bearer {made.secret}"},
    )

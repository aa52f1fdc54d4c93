"""Paths of older systems, as thin aliases of the API: the same rules, the same accounts, older names.

/api/admin/bots   senders at Twilio. `Authorization: Bearer` as everywhere; `X-Restaurant-Id` is a tenant's id or name,
                  and may be left out where the token belongs to one tenant.
"""

from collections.abc import AsyncGenerator
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Header, Query, Response

from wafleet.accounts import Account, Accounts, SenderForm, sender_fields, sender_form
from wafleet.domain.errors import NotFound
from wafleet.tenants import Auth, Caller, Scope, Tenants

BOTS: Final = "/api/admin/bots"
TWILIO: Final = "twilio"
MOST: Final = 1000  # of one page; all of them are answered
Restaurant = Annotated[str | None, Header(alias="X-Restaurant-Id", max_length=100)]


def router(accounts: Accounts, tenants: Tenants, auth: Auth) -> APIRouter:
    """Return the older paths. They are not part of the API's description."""
    routes = APIRouter(prefix=BOTS)

    async def reader(caller: Annotated[Caller, Depends(auth.may(Scope.READ))], restaurant: Restaurant = None) -> Caller:
        return await _within(tenants, caller, restaurant)

    async def admin(caller: Annotated[Caller, Depends(auth.may(Scope.ADMIN))], restaurant: Restaurant = None) -> Caller:
        return await _within(tenants, caller, restaurant)

    @routes.get("")
    async def listed(
        caller: Annotated[Caller, Depends(reader)], limit: Annotated[int | None, Query(ge=1)] = None
    ) -> dict[str, Any]:
        """List senders by name: all of them, or the first `limit`."""
        found = [sender_form(one) async for one in _all(accounts, caller, limit)]
        return {"success": True, "data": found}

    @routes.get("/{bot}")
    async def get(bot: str, caller: Annotated[Caller, Depends(reader)]) -> dict[str, Any]:
        """Return one sender, by id, phone or name."""
        return {"success": True, "data": sender_form(await _sender(accounts, caller, bot))}

    @routes.post("", status_code=201)
    async def create(form: SenderForm, caller: Annotated[Caller, Depends(admin)]) -> dict[str, Any]:
        """Add a sender; it goes live at once."""
        made = await accounts.create(caller, sender_fields(form.model_dump()))
        return {"success": True, "data": sender_form(made)}

    @routes.put("/{bot}")
    async def change(bot: str, form: SenderForm, caller: Annotated[Caller, Depends(admin)]) -> dict[str, Any]:
        """Change a sender; what is left out, or comes back as it was shown, stays."""
        found = await _sender(accounts, caller, bot)
        changed = await accounts.update(caller, found.id, sender_fields(form.model_dump(), before=found))
        return {"success": True, "data": sender_form(changed)}

    @routes.delete("/{bot}", status_code=204)
    async def delete(bot: str, caller: Annotated[Caller, Depends(admin)]) -> Response:
        """Take a sender out of the fleet. Its history stays."""
        found = await _sender(accounts, caller, bot)
        await accounts.delete(caller, found.id)
        return Response(status_code=204)

    return routes


async def _all(accounts: Accounts, caller: Caller, limit: int | None) -> AsyncGenerator[Account]:
    left, cursor = limit, None
    while left is None or left > 0:
        most = MOST if left is None else min(left, MOST)
        page = await accounts.list(caller, transport=TWILIO, cursor=cursor, limit=most)
        for one in page.items:
            yield one
        left, cursor = None if left is None else left - len(page.items), page.next
        if cursor is None:
            return


async def _sender(accounts: Accounts, caller: Caller, bot: str) -> Account:
    """Find a sender. Numbers on other transports are not there for older systems. Raises NotFound."""
    found = await accounts.resolve(caller, bot)
    if found.transport != TWILIO:
        raise NotFound("There is no such sender at Twilio")
    return found


async def _within(tenants: Tenants, caller: Caller, restaurant: str | None) -> Caller:
    """Return the caller within one tenant. Raises NotFound for a tenant beyond their reach."""
    if restaurant is None:
        return caller
    found = await tenants.get(caller, restaurant)
    return caller if caller.tenant == found.id else caller.looking_at(found.id)

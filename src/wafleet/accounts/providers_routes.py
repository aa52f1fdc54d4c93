"""Accounts at providers over HTTP: registering a sender, moving a number, and whether its network calls."""

from typing import Annotated, Any, Final, cast

from fastapi import APIRouter, Depends, Path, Request
from pydantic import Field

from wafleet.accounts.model import LARGEST_METADATA, Account, Fields
from wafleet.accounts.moves.service import Moved
from wafleet.accounts.older_form import SenderForm, fields_of
from wafleet.accounts.service import Accounts
from wafleet.accounts.webhook import WebhookView, webhook_view
from wafleet.engine.web import Body
from wafleet.tenants import Auth, Caller, Scope

CLASH: Final[dict[int | str, dict[str, Any]]] = {409: {}}
Named = Annotated[str, Path(max_length=200, description="an id, a phone in any spelling, a name, or a role")]


class RegisterBody(SenderForm):
    """A new sender at Twilio."""

    tenant: str | None = Field(
        None, max_length=100, description="id or name; needed from those who reach the whole fleet"
    )


class MoveBody(Body):
    """Where an account moves to, and what it needs there."""

    transport: str = Field(max_length=50, examples=["twilio"])
    settings: dict[str, Any] = Field({}, description="sections that are left out stay as they are")
    credentials: str | dict[str, str] | None = Field(None, max_length=LARGEST_METADATA, description="write-only")
    dry_run: bool = Field(False, description="say what it would mean, and change nothing; `transport` is enough")


def router(accounts: Accounts, auth: Auth) -> APIRouter:
    """Return the routes of accounts at providers."""
    routes = APIRouter(prefix="/accounts", tags=["accounts"], responses=CLASH)
    admin = Depends(auth.may(Scope.ADMIN))

    @routes.post("/register", status_code=201)
    async def register(body: RegisterBody, caller: Annotated[Caller, admin]) -> Account:
        """Add a sender at Twilio by the form of older systems; POST /accounts adds any account."""
        tenant = None if body.tenant is None else await accounts.tenant_named(caller, body.tenant)
        return await accounts.create(caller, fields_of(body.model_dump(exclude={"tenant"})), tenant=tenant)

    @routes.post("/{account}/move")
    async def move(account: Named, body: MoveBody, caller: Annotated[Caller, admin]) -> Moved:
        """Move an account to another transport. Its history stays, and so do the messages that wait."""
        found = await accounts.resolve(caller, account)
        given = {name: value for name, value in body.model_dump(exclude={"dry_run"}).items() if value is not None}
        return await accounts.move(caller, found.id, cast(Fields, given), dry_run=body.dry_run)

    @routes.get("/{account}/webhook")
    async def webhook(
        account: Named, request: Request, caller: Annotated[Caller, Depends(auth.may(Scope.READ))]
    ) -> WebhookView:
        """Tell where this account's network is to call, and when it did."""
        found = await accounts.resolve(caller, account)
        return webhook_view(found, accounts.public_url, str(request.base_url))

    return routes

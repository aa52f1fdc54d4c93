"""Accounts over HTTP."""

from typing import Annotated, Any, Final, cast

from fastapi import APIRouter, Depends, Path, Query, Response
from pydantic import AwareDatetime, BaseModel, Field

from wafleet.accounts import pictures, providers_routes
from wafleet.accounts.asks.service import MOST_PHONES, Asks
from wafleet.accounts.fleet_file.plan import Change, from_data
from wafleet.accounts.fleet_file.service import FleetFiles
from wafleet.accounts.model import (
    HIGHEST_PRIORITY,
    LARGEST_METADATA,
    LONGEST_NAME,
    LONGEST_ROLE,
    Account,
    Fields,
    PairingView,
    Statistics,
)
from wafleet.accounts.service import Accounts
from wafleet.accounts.summary import Filters, Fleet, FleetView, Totals
from wafleet.domain.account import State
from wafleet.domain.errors import NotFound
from wafleet.engine.web import Body, Cursor, Page
from wafleet.tenants import Auth, Caller, Scope

MOST_PER_PAGE: Final = 1_000
NOT_KEPT: Final = {"Cache-Control": "no-store"}  # a code links whoever scans it
CLASH: Final[dict[int | str, dict[str, Any]]] = {409: {}}

Named = Annotated[str, Path(max_length=200, description="an id, a phone in any spelling, a name, or a role")]
AccountLimit = Annotated[int, Query(ge=1, le=MOST_PER_PAGE, description="how many accounts at most")]
States = Annotated[list[State] | None, Query(max_length=len(State), description="only these states; may be repeated")]
Wanted = Annotated[str | None, Query(max_length=100)]
Search = Annotated[str | None, Query(max_length=100, description="looked for in names, phones and roles")]
Since = Annotated[AwareDatetime | None, Query(description="left out: 24 hours before `until`")]
Until = Annotated[AwareDatetime | None, Query(description="left out: now")]
Settings = Annotated[dict[str, Any], Field(description="pace, commands, those of the transport; replaced as a whole")]
Metadata = Annotated[dict[str, Any], Field(description="anything; it is echoed in events; replaced as a whole")]
Priority = Annotated[int, Field(ge=-HIGHEST_PRIORITY, le=HIGHEST_PRIORITY, description="higher starts first")]
Secret = Annotated[
    str | dict[str, str],
    Field(description="write-only, for transports whose credentials are entered instead of linking a phone"),
]
Name = Annotated[str, Field(min_length=1, max_length=LONGEST_NAME, examples=["Front desk"])]
Phone = Annotated[str, Field(max_length=100, examples=["+447700900123"], description="any usual spelling")]
Role = Annotated[str, Field(max_length=LONGEST_ROLE, examples=["sales"])]


class AccountBody(Body):
    """A new account; its name, phone and transport are needed."""

    name: Name
    phone: Phone
    transport: str = Field(max_length=50, examples=["simulator"])
    tenant: str | None = Field(
        None, max_length=100, description="id or name; needed from those who reach the whole fleet"
    )
    role: Role = ""
    priority: Priority = 0
    metadata: Metadata = Field({}, examples=[{"desk": 4}])
    settings: Settings = Field({}, examples=[{"pace": {"per_second": 0.5}}])
    enabled: bool = True
    credentials: Secret | None = Field(None, max_length=LARGEST_METADATA)


class AccountChange(Body):
    """What is left out stays as it is."""

    name: Name | None = None
    phone: Phone | None = None
    transport: str | None = Field(None, max_length=50)
    role: Role | None = None
    priority: Priority | None = None
    metadata: Metadata | None = None
    settings: Settings | None = None
    enabled: bool | None = None
    credentials: Secret | None = Field(None, max_length=LARGEST_METADATA)


class LinkBody(Body):
    again: bool = Field(False, description="link anew although it is connected, or begin with a new code")


class LookupBody(Body):
    phones: list[str] = Field(
        min_length=1, max_length=MOST_PHONES, description="any usual spelling", examples=[["+447700900123"]]
    )


class LookedUp(BaseModel):
    """One number that was looked up."""

    phone: str
    on_whatsapp: bool | None = Field(description="null: WhatsApp cannot tell")


class TemplateView(BaseModel):
    """Words that the network approved beforehand, so that they may be sent at any time."""

    name: str = Field(description="what `name` of a message's template is")
    language: str = ""
    status: str = Field("", description="the network's own word, such as APPROVED")
    category: str = ""
    text: str = Field("", description="its words, with the blanks in them")
    header: str = Field("", description="what stands above: TEXT, or the kind of file it wants")
    variables: list[str] = Field([], description="the blanks to be filled, by the names `variables` takes")


class TypingBody(Body):
    to: str = Field(max_length=200, description="the customer's phone, or their id as messages name it")
    on: bool = Field(True, description="somebody is writing, or no longer")


class FleetFileBody(Body):
    file: dict[str, Any] = Field(
        description="a fleet file's content: `tenants`, each with `name` and `accounts`",
        examples=[{"tenants": [{"name": "Office", "accounts": [{"phone": "+447700900123", "name": "Front desk"}]}]}],
    )
    dry_run: bool = Field(False, description="say what would change, and change nothing")
    prune: bool = Field(False, description="delete accounts of the file's tenants that it does not name")


class Applied(BaseModel):
    """What applying a fleet file changed; of a dry run, what it would change."""

    dry_run: bool
    changes: list[Change]


def file_router(files: FleetFiles, auth: Auth) -> APIRouter:
    """Return the route that applies fleet files."""
    routes = APIRouter(prefix="/fleet", tags=["fleet"], responses=CLASH)

    @routes.post("/apply")
    async def apply(body: FleetFileBody, caller: Annotated[Caller, Depends(auth.may(Scope.ADMIN))]) -> Applied:
        """Bring tenants and accounts to what a fleet file says, all of it or nothing. Again changes nothing."""
        changes = await files.apply(caller, from_data(body.file), dry_run=body.dry_run, prune=body.prune)
        return Applied(dry_run=body.dry_run, changes=changes)

    return routes


def asks_router(asks: Asks, accounts: Accounts, auth: Auth) -> APIRouter:
    """Return the routes that ask WhatsApp through an account's session, wherever it is held."""
    refused: dict[int | str, dict[str, Any]] = {409: {}, 504: {}}
    routes = APIRouter(prefix="/accounts/{account}", tags=["accounts"], responses=refused)
    sender = Depends(auth.may(Scope.SEND))

    @routes.post("/lookups")
    async def lookups(account: Named, body: LookupBody, caller: Annotated[Caller, sender]) -> list[LookedUp]:
        """Tell which numbers are on WhatsApp. What was asked within a day is remembered. 422 `cannot_do`: not here."""
        found = await accounts.resolve(caller, account)
        answers = await asks.lookup(caller, found.id, body.phones)
        return [LookedUp(phone=phone, on_whatsapp=there) for phone, there in answers.items()]

    @routes.post("/typing", status_code=204)
    async def typing(account: Named, body: TypingBody, caller: Annotated[Caller, sender]) -> None:
        """Show a customer that somebody is writing. 422 `cannot_do` where the transport has no such thing."""
        found = await accounts.resolve(caller, account)
        await asks.typing(caller, found.id, to=body.to, on=body.on)

    @routes.get("/templates")
    async def templates(account: Named, caller: Annotated[Caller, Depends(auth.may(Scope.READ))]) -> list[TemplateView]:
        """List the templates the network approved for this account. 422 `cannot_do` where it has no such list."""
        found = await accounts.resolve(caller, account)
        return [TemplateView.model_validate(one) for one in await asks.templates(caller, found.id)]

    return routes


def router(accounts: Accounts, fleet: Fleet, auth: Auth) -> APIRouter:
    """Return every route of this slice."""
    routes = APIRouter()
    for part in (
        _many(accounts, auth),
        _one(accounts, auth),
        providers_routes.router(accounts, auth),
        _linking(accounts, auth),
        _figures(accounts, fleet, auth),
    ):
        routes.include_router(part)
    return routes


def _many(accounts: Accounts, auth: Auth) -> APIRouter:
    routes = APIRouter(prefix="/accounts", tags=["accounts"])

    @routes.get("", name="list")
    async def listed(
        caller: Annotated[Caller, Depends(auth.may(Scope.READ))],
        state: States = None,
        transport: Wanted = None,
        role: Wanted = None,
        q: Search = None,
        cursor: Cursor = None,
        limit: AccountLimit = 100,
    ) -> Page[Account]:
        """List accounts by name."""
        return await accounts.list(
            caller, states=state, transport=transport, role=role, q=q, cursor=cursor, limit=limit
        )

    @routes.post("", status_code=201)
    async def create(body: AccountBody, caller: Annotated[Caller, Depends(auth.may(Scope.ADMIN))]) -> Account:
        """Add an account. It is linked next: POST .../link."""
        tenant = None if body.tenant is None else await accounts.tenant_named(caller, body.tenant)
        return await accounts.create(caller, _fields(body), tenant=tenant)

    return routes


def _one(accounts: Accounts, auth: Auth) -> APIRouter:
    routes = APIRouter(prefix="/accounts/{account}", tags=["accounts"], responses=CLASH)
    control = Depends(auth.may(Scope.CONTROL))
    admin = Depends(auth.may(Scope.ADMIN))

    @routes.get("")
    async def get(account: Named, caller: Annotated[Caller, Depends(auth.may(Scope.READ))]) -> Account:
        """Return one account. 409 when the name or role means several."""
        return await accounts.resolve(caller, account)

    @routes.patch("")
    async def change(account: Named, body: AccountChange, caller: Annotated[Caller, admin]) -> Account:
        """Change an account. What is left out stays; so does a linked account's phone."""
        found = await accounts.resolve(caller, account)
        return await accounts.update(caller, found.id, _fields(body))

    @routes.delete("", status_code=204)
    async def delete(account: Named, caller: Annotated[Caller, admin]) -> None:
        """Take an account out of the fleet. Its history stays."""
        found = await accounts.resolve(caller, account)
        await accounts.delete(caller, found.id)

    @routes.post("/enable")
    async def enable(account: Named, caller: Annotated[Caller, control]) -> Account:
        """Let an account run. Again changes nothing."""
        found = await accounts.resolve(caller, account)
        return await accounts.enable(caller, found.id)

    @routes.post("/disable")
    async def disable(account: Named, caller: Annotated[Caller, control]) -> Account:
        """Stop an account. It stays linked and its messages wait. Again changes nothing."""
        found = await accounts.resolve(caller, account)
        return await accounts.disable(caller, found.id)

    @routes.post("/unlink")
    async def unlink(account: Named, caller: Annotated[Caller, control]) -> Account:
        """Remove this device from the phone. An encrypted copy of its credentials is kept."""
        found = await accounts.resolve(caller, account)
        return await accounts.unlink(caller, found.id)

    @routes.post("/reconnect", status_code=202)
    async def reconnect(account: Named, caller: Annotated[Caller, control]) -> Account:
        """Connect an account anew, now. 202 means it is under way: follow its `state`."""
        found = await accounts.resolve(caller, account)
        return await accounts.reconnect(caller, found.id)

    return routes


def _linking(accounts: Accounts, auth: Auth) -> APIRouter:
    routes = APIRouter(prefix="/accounts/{account}/link", tags=["linking"], responses=CLASH)
    control = Depends(auth.may(Scope.CONTROL))

    async def shown(account: Named, caller: Annotated[Caller, control]) -> str:
        found = await accounts.resolve(caller, account)
        return _code((await accounts.pairing(caller, found.id)).qr)

    @routes.post("", status_code=202)
    async def start(account: Named, caller: Annotated[Caller, control], body: LinkBody | None = None) -> PairingView:
        """Begin linking a phone. The QR code appears within a second or so: GET this path, or .../qr.svg."""
        found = await accounts.resolve(caller, account)
        return await accounts.link(caller, found.id, again=body is not None and body.again)

    @routes.get("")
    async def pairing(account: Named, response: Response, caller: Annotated[Caller, control]) -> PairingView:
        """Return what a person must do now. A new QR code replaces the former one until the phone is linked."""
        response.headers.update(NOT_KEPT)
        found = await accounts.resolve(caller, account)
        return await accounts.pairing(caller, found.id)

    @routes.delete("")
    async def cancel(account: Named, caller: Annotated[Caller, control]) -> Account:
        """Stop linking."""
        found = await accounts.resolve(caller, account)
        return await accounts.cancel_link(caller, found.id)

    @routes.get("/qr.svg", response_class=Response, responses=_image("image/svg+xml"))
    async def qr_svg(code: Annotated[str, Depends(shown)]) -> Response:
        """Return the QR code to scan now as SVG. 404 while there is none."""
        return Response(pictures.svg_on_paper(code), media_type="image/svg+xml", headers=NOT_KEPT)

    @routes.get("/qr.png", response_class=Response, responses=_image("image/png"))
    async def qr_png(code: Annotated[str, Depends(shown)]) -> Response:
        """Return the QR code to scan now as PNG. 404 while there is none."""
        return Response(pictures.png(code), media_type="image/png", headers=NOT_KEPT)

    return routes


def _figures(accounts: Accounts, fleet: Fleet, auth: Auth) -> APIRouter:
    routes = APIRouter(tags=["fleet"])
    reader = Depends(auth.may(Scope.READ))

    @routes.get("/accounts/{account}/statistics", responses=CLASH)
    async def statistics(
        account: Named, caller: Annotated[Caller, reader], since: Since = None, until: Until = None
    ) -> Statistics:
        """Return what one account did in a period: sent, received, failed, uptime, response time."""
        found = await accounts.resolve(caller, account)
        return await fleet.statistics(caller, found.id, since=since, until=until)

    @routes.get("/fleet")
    async def summary(caller: Annotated[Caller, reader]) -> Totals:
        """Return how many accounts are in each state, what waits, and what was sent and received today (UTC)."""
        return await fleet.totals(caller)

    @routes.get("/fleet/view")
    async def view(
        caller: Annotated[Caller, reader],
        state: States = None,
        transport: Wanted = None,
        role: Wanted = None,
        q: Search = None,
    ) -> FleetView:
        """Return every account at a glance, with its traffic of the last two hours in steps of five minutes."""
        return await fleet.view(caller, Filters(states=state, transport=transport, role=role, q=q))

    return routes


def _fields(body: Body) -> Fields:
    given = {name: getattr(body, name) for name in body.model_fields_set - {"tenant"}}
    return cast(Fields, {name: value for name, value in given.items() if value is not None})


def _code(qr: str) -> str:
    if not qr:
        raise NotFound("There is no QR code to show now: start linking, then ask again in a second", code="no_code")
    return qr


def _image(kind: str) -> dict[int | str, dict[str, Any]]:
    return {200: {"content": {kind: {}}}}

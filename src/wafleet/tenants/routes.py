"""Tenants, users, tokens, the audit log and signing in, over HTTP."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response
from pydantic import AwareDatetime, BaseModel, Field

from wafleet.domain.errors import Forbidden
from wafleet.domain.ids import AccountId, TenantId, TokenId, UserId
from wafleet.engine.web import Body, Cursor, Limit, Page, Stamp
from wafleet.tenants.auth import Auth
from wafleet.tenants.model import AuditEntry, Caller, Membership, Role, Scope, Tenant, Token, User
from wafleet.tenants.people import NewUser
from wafleet.tenants.service import Tenants

Name = Annotated[str, Field(min_length=1, max_length=100)]
Password = Annotated[str, Field(min_length=1, max_length=256)]


class TenantBody(Body):
    name: Name = Field(examples=["Sharq Brokers"])


class UserBody(Body):
    email: str = Field(min_length=3, max_length=254, examples=["ada@example.com"])
    name: str = Field("", max_length=100)
    role: Role = Role.VIEWER
    password: Password | None = Field(None, description="left out: one is made and answered once")
    tenant: Name | None = Field(None, description="id or name; needed from those who reach the whole fleet")
    platform_admin: bool = Field(False, description="reaches every tenant; then there is no `tenant` and no `role`")


class UserChange(Body):
    name: str | None = Field(None, max_length=100)
    role: Role | None = Field(None, description="in the caller's tenant, or the one named by `?tenant=`")
    disabled: bool | None = Field(None, description="a disabled user cannot sign in; every sign-in ends")


class PasswordBody(Body):
    password: Password | None = Field(None, description="left out: one is made and answered once")


class MembershipBody(Body):
    role: Role


class UserMade(BaseModel):
    """A user, and their password if it was made here: it is shown this once."""

    user: User
    password: str | None


class TokenBody(Body):
    name: Name = Field(examples=["orders"])
    scopes: list[Scope] = Field(min_length=1, max_length=8)
    tenant: Name | None = Field(None, description="id or name; left out by a fleet administrator: the whole fleet")
    accounts: list[AccountId] | None = Field(None, min_length=1, max_length=1000, description="only these accounts")
    expires_at: AwareDatetime | None = Field(None, description="left out: it does not expire")


class TokenMade(BaseModel):
    """A new token. `token` is its secret and is shown this once."""

    token: str
    id: TokenId
    tenant: TenantId | None
    name: str
    hint: str
    scopes: list[Scope]
    accounts: list[AccountId] | None
    expires_at: Stamp | None


class SignInBody(Body):
    email: str = Field(min_length=1, max_length=254)
    password: str = Field(min_length=1, max_length=1024)


class SignedInNow(BaseModel):
    """A sign-in that has begun; its cookie came with this answer."""

    user: UserId
    tenant: TenantId | None
    expires_at: Stamp


class Me(BaseModel):
    """Who the caller is, what they may do, and where they look."""

    actor: str
    user: UserId | None
    email: str | None
    name: str | None
    tenant: Tenant | None = Field(description="null: the whole fleet")
    platform: bool = Field(description="administers the whole fleet")
    role: Role | None
    scopes: list[Scope]
    accounts: list[AccountId] | None = Field(description="null: every account within reach")
    memberships: list[Membership]
    csrf_token: str = Field(description="send it back as X-CSRF-Token with every change made under the cookie")


class LookBody(Body):
    tenant: Name | None = Field(description="id or name of the tenant to look at; null: the whole fleet")


class OwnPasswordBody(Body):
    current: str = Field(min_length=1, max_length=1024)
    new: Password


def router(service: Tenants, auth: Auth) -> APIRouter:
    """Return every route of this slice."""
    routes = APIRouter()
    for part in (_tenants, _users, _memberships, _tokens, _audit, _signing_in, _me):
        routes.include_router(part(service, auth))
    return routes


def _tenants(service: Tenants, auth: Auth) -> APIRouter:
    routes = APIRouter(prefix="/tenants", tags=["tenants"])
    reader = Depends(auth.may(Scope.READ))
    admin = Depends(auth.may(Scope.ADMIN))

    @routes.get("", name="list")
    async def listed(caller: Annotated[Caller, reader], cursor: Cursor = None, limit: Limit = 50) -> Page[Tenant]:
        """List the tenants within reach, in the order they were added."""
        return await service.list(caller, cursor=cursor, limit=limit)

    @routes.post("", status_code=201)
    async def create(body: TenantBody, caller: Annotated[Caller, admin]) -> Tenant:
        """Add a tenant. Only the platform's administrators may."""
        return await service.create(caller, body.name)

    @routes.get("/{named}")
    async def get(named: str, caller: Annotated[Caller, reader]) -> Tenant:
        """Return a tenant by id or name."""
        return await service.get(caller, named)

    @routes.patch("/{named}")
    async def rename(named: str, body: TenantBody, caller: Annotated[Caller, admin]) -> Tenant:
        """Give a tenant another name."""
        return await service.rename(caller, named, body.name)

    return routes


def _users(service: Tenants, auth: Auth) -> APIRouter:
    routes = APIRouter(prefix="/users", tags=["users"])
    admin = Depends(auth.may(Scope.ADMIN))

    @routes.get("", name="list")
    async def listed(caller: Annotated[Caller, admin], cursor: Cursor = None, limit: Limit = 50) -> Page[User]:
        """List users in the order they were added, with the roles this caller may know of."""
        return await service.people.list(caller, cursor=cursor, limit=limit)

    @routes.post("", status_code=201)
    async def create(body: UserBody, caller: Annotated[Caller, admin]) -> UserMade:
        """Add a user with a role in a tenant, or an administrator of the platform."""
        named = None if body.platform_admin and body.tenant is None else await service.resolve(caller, body.tenant)
        made = await service.people.create(
            caller,
            email=body.email,
            name=body.name,
            password=body.password,
            tenant=named,
            role=body.role,
            platform_admin=body.platform_admin,
        )
        return _told(made)

    @routes.get("/{user}")
    async def get(user: UUID, caller: Annotated[Caller, admin]) -> User:
        """Return a user."""
        return await service.people.get(caller, user)

    @routes.patch("/{user}")
    async def change(user: UUID, body: UserChange, caller: Annotated[Caller, admin]) -> User:
        """Change a user's name or role, or keep them from signing in. What is left out stays."""
        if body.role is not None:
            await service.people.grant(caller, user, tenant=caller.tenant_for(None), role=body.role)
        if body.name is None and body.disabled is None:
            return await service.people.get(caller, user)
        return await service.people.change(caller, user, name=body.name, disabled=body.disabled)

    @routes.post("/{user}/password")
    async def set_password(user: UUID, body: PasswordBody, caller: Annotated[Caller, admin]) -> UserMade:
        """Give a user another password; all their sign-ins end."""
        return _told(await service.people.set_password(caller, user, body.password))

    return routes


def _memberships(service: Tenants, auth: Auth) -> APIRouter:
    routes = APIRouter(prefix="/users/{user}/memberships/{named}", tags=["users"])
    admin = Depends(auth.may(Scope.ADMIN))

    @routes.put("")
    async def grant(user: UUID, named: str, body: MembershipBody, caller: Annotated[Caller, admin]) -> User:
        """Give a user a role in a tenant, named by id or name."""
        return await service.people.grant(caller, user, tenant=await service.resolve(caller, named), role=body.role)

    @routes.delete("", status_code=204)
    async def remove(user: UUID, named: str, caller: Annotated[Caller, admin]) -> None:
        """Take a user out of a tenant."""
        await service.people.remove(caller, user, tenant=await service.resolve(caller, named))

    return routes


def _tokens(service: Tenants, auth: Auth) -> APIRouter:
    routes = APIRouter(prefix="/tokens", tags=["tokens"])
    admin = Depends(auth.may(Scope.ADMIN))

    @routes.get("", name="list")
    async def listed(caller: Annotated[Caller, admin], cursor: Cursor = None, limit: Limit = 50) -> Page[Token]:
        """List tokens, newest first, without their secrets."""
        return await service.tokens.list(caller, cursor=cursor, limit=limit)

    @routes.post("", status_code=201)
    async def create(body: TokenBody, caller: Annotated[Caller, admin]) -> TokenMade:
        """Make a token. Its secret is in this answer and nowhere else."""
        fleet = body.tenant is None and caller.tenant is None
        made = await service.tokens.make(
            caller,
            name=body.name,
            tenant=None if fleet else await service.resolve(caller, body.tenant),
            scopes=body.scopes,
            accounts=body.accounts,
            expires_at=body.expires_at,
        )
        token = made.token
        return TokenMade(
            token=made.secret,
            id=token.id,
            tenant=token.tenant,
            name=token.name,
            hint=token.hint,
            scopes=token.scopes,
            accounts=token.accounts,
            expires_at=token.expires_at,
        )

    @routes.delete("/{token}", status_code=204)
    async def revoke(token: UUID, caller: Annotated[Caller, admin]) -> None:
        """Revoke a token; within two seconds it opens nothing any more."""
        await service.tokens.revoke(caller, token)

    return routes


def _audit(service: Tenants, auth: Auth) -> APIRouter:
    routes = APIRouter(prefix="/audit", tags=["audit"])

    @routes.get("", name="list")
    async def listed(
        caller: Annotated[Caller, Depends(auth.may(Scope.ADMIN))], cursor: Cursor = None, limit: Limit = 50
    ) -> Page[AuditEntry]:
        """List who changed what, newest first."""
        return await service.audit.list(caller, cursor=cursor, limit=limit)

    return routes


def _signing_in(service: Tenants, auth: Auth) -> APIRouter:
    routes = APIRouter(tags=["sign-in"])

    @routes.post("/sign-in", responses={401: {}, 403: {}})
    async def sign_in(body: SignInBody, request: Request, response: Response) -> SignedInNow:
        """Sign in with a password; the answer sets a cookie."""
        opened = await auth.sign_in(request, response, email=body.email, password=body.password)
        return SignedInNow(user=opened.user, tenant=opened.tenant, expires_at=opened.expires_at)

    @routes.post("/sign-out", status_code=204, responses={403: {}})
    async def sign_out(request: Request, response: Response) -> None:
        """End the sign-in and take its cookie away."""
        await auth.sign_out(request, response)

    return routes


def _me(service: Tenants, auth: Auth) -> APIRouter:
    routes = APIRouter(prefix="/me", tags=["sign-in"])
    known = Depends(auth.known())

    @routes.get("")
    async def me(request: Request, caller: Annotated[Caller, known]) -> Me:
        """Say who the caller is and what they may do."""
        user = await service.people.self(caller)
        return Me(
            actor=caller.actor,
            user=caller.user,
            email=user.email if user else None,
            name=user.name if user else None,
            tenant=await service.get(caller, str(caller.tenant)) if caller.tenant else None,
            platform=caller.platform,
            role=caller.role,
            scopes=sorted(caller.scopes),
            accounts=None if caller.accounts is None else sorted(caller.accounts),
            memberships=user.memberships if user else [],
            csrf_token=auth.csrf(request),
        )

    @routes.patch("", status_code=204)
    async def look_at(body: LookBody, request: Request, caller: Annotated[Caller, known]) -> None:
        """Choose the tenant one looks at, after signing in; null is the whole fleet."""
        await service.look_at(caller, _signed_in(auth, request), body.tenant)

    @routes.post("/password", status_code=204)
    async def change_password(body: OwnPasswordBody, request: Request, caller: Annotated[Caller, known]) -> None:
        """Change one's own password; every other sign-in of this person ends."""
        await service.signins.change_password(_signed_in(auth, request), current=body.current, new=body.new)

    return routes


def _signed_in(auth: Auth, request: Request) -> str:
    secret = auth.secret(request)
    if secret is None or "authorization" in request.headers:
        raise Forbidden("This is for people who have signed in, not for tokens")
    return secret


def _told(made: NewUser) -> UserMade:
    return UserMade(user=made.user, password=made.password)

"""Tenants, users, tokens, the audit log and signing in."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from wafleet.client.answers import AuditEntry, Me, Page, SignedIn, Tenant, Token, TokenMade, User, UserMade
from wafleet.client.wire import Wire


class People(Wire):
    """Who owns numbers, and who may do what."""

    def tenants(self, *, cursor: str | None = None, limit: int = 50) -> Page[Tenant]:
        """List the tenants within reach, in the order they were added."""
        return self._ask(Page[Tenant], "GET /tenants", cursor=cursor, limit=limit)

    def create_tenant(self, name: str) -> Tenant:
        """Add a tenant. Only the platform's administrators may."""
        return self._ask(Tenant, "POST /tenants", body={"name": name})

    def tenant(self, named: str) -> Tenant:
        """Return a tenant by id or name."""
        return self._ask(Tenant, "GET /tenants/{named}", named=named)

    def rename_tenant(self, named: str, name: str) -> Tenant:
        """Give a tenant another name."""
        return self._ask(Tenant, "PATCH /tenants/{named}", named=named, body={"name": name})

    def users(self, *, cursor: str | None = None, limit: int = 50) -> Page[User]:
        """List users in the order they were added."""
        return self._ask(Page[User], "GET /users", cursor=cursor, limit=limit)

    def create_user(
        self,
        email: str,
        *,
        name: str = "",
        role: str = "viewer",
        tenant: str | None = None,
        password: str | None = None,
        platform_admin: bool = False,
    ) -> UserMade:
        """Add a user; without a password one is made and answered this once."""
        body = {"email": email, "name": name, "role": role, "platform_admin": platform_admin}
        body |= {"tenant": tenant} if tenant else {}
        return self._ask(UserMade, "POST /users", body=body | ({"password": password} if password else {}))

    def user(self, user: UUID) -> User:
        """Return a user."""
        return self._ask(User, "GET /users/{user}", user=user)

    def change_user(
        self, user: UUID, *, name: str | None = None, role: str | None = None, disabled: bool | None = None
    ) -> User:
        """Change a user; what is left out stays."""
        given = {"name": name, "role": role, "disabled": disabled}
        body = {field: value for field, value in given.items() if value is not None}
        return self._ask(User, "PATCH /users/{user}", user=user, body=body)

    def set_password(self, user: UUID, password: str | None = None) -> UserMade:
        """Give a user another password, made by wafleet if None; all their sign-ins end."""
        return self._ask(UserMade, "POST /users/{user}/password", user=user, body={"password": password})

    def grant(self, user: UUID, tenant: str, role: str) -> User:
        """Give a user a role in a tenant, named by id or name."""
        return self._ask(User, "PUT /users/{user}/memberships/{named}", user=user, named=tenant, body={"role": role})

    def remove_from_tenant(self, user: UUID, tenant: str) -> None:
        """Take a user out of a tenant."""
        self._tell("DELETE /users/{user}/memberships/{named}", user=user, named=tenant)

    def tokens(self, *, cursor: str | None = None, limit: int = 50) -> Page[Token]:
        """List tokens, newest first, without their secrets."""
        return self._ask(Page[Token], "GET /tokens", cursor=cursor, limit=limit)

    def create_token(
        self,
        name: str,
        scopes: Sequence[str],
        *,
        tenant: str | None = None,
        accounts: Sequence[UUID] | None = None,
        expires_at: datetime | None = None,
    ) -> TokenMade:
        """Make a token; its secret is in this answer and nowhere else."""
        body = {"name": name, "scopes": list(scopes), "tenant": tenant, "accounts": accounts, "expires_at": expires_at}
        return self._ask(TokenMade, "POST /tokens", body=body)

    def revoke_token(self, token: UUID) -> None:
        """Revoke a token; within two seconds it opens nothing any more."""
        self._tell("DELETE /tokens/{token}", token=token)

    def audit(self, *, cursor: str | None = None, limit: int = 50) -> Page[AuditEntry]:
        """List who changed what, newest first."""
        return self._ask(Page[AuditEntry], "GET /audit", cursor=cursor, limit=limit)

    def sign_in(self, email: str, password: str) -> SignedIn:
        """Sign in as a person, for a client that was made without a token; its cookie is kept until `sign_out`."""
        signed_in = self._ask(SignedIn, "POST /sign-in", body={"email": email, "password": password})
        self._http.headers["X-CSRF-Token"] = self.me().csrf_token
        return signed_in

    def sign_out(self) -> None:
        """End the sign-in."""
        self._tell("POST /sign-out")

    def me(self) -> Me:
        """Say who this client is and what it may do."""
        return self._ask(Me, "GET /me")

    def look_at(self, tenant: str | None) -> None:
        """Choose the tenant a signed-in person looks at; None: the whole fleet."""
        self._tell("PATCH /me", body={"tenant": tenant})

    def change_password(self, current: str, new: str) -> None:
        """Change the signed-in person's own password."""
        self._tell("POST /me/password", body={"current": current, "new": new})

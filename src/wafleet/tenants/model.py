"""Who is asking, and what they may see and do."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final, Self

from wafleet.domain.errors import Forbidden, Invalid
from wafleet.domain.ids import AccountId, TenantId, TokenId, UserId
from wafleet.engine.db import FLEET, Reach
from wafleet.engine.web import Stamp


class Scope(StrEnum):
    """What a token or a role permits; each is separate, and `admin` permits all."""

    READ = "read"  # look at accounts, conversations, messages
    SEND = "send"  # send and cancel messages
    CONTROL = "control"  # link, start, stop, reconnect accounts
    ADMIN = "admin"  # add and remove accounts, users, tokens


class Role(StrEnum):
    OWNER = "owner"
    ADMIN = "admin"
    OPERATOR = "operator"
    AGENT = "agent"
    VIEWER = "viewer"


EVERYTHING: Final = frozenset(Scope)
PERMITS: Final[Mapping[Role, frozenset[Scope]]] = {
    Role.OWNER: EVERYTHING,
    Role.ADMIN: EVERYTHING,
    Role.OPERATOR: frozenset({Scope.READ, Scope.SEND, Scope.CONTROL}),
    Role.AGENT: frozenset({Scope.READ, Scope.SEND}),
    Role.VIEWER: frozenset({Scope.READ}),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Somebody known: a signed-in person or a token."""

    actor: str  # for the audit log: "user:ada@example.com", "token:orders bot", "cli"
    tenant: TenantId | None  # None: the whole fleet
    scopes: frozenset[Scope]
    accounts: frozenset[AccountId] | None = None  # None: every account within reach
    user: UserId | None = None  # None: a token or a program
    platform: bool = False  # administers the whole fleet, also while looking at one tenant
    role: Role | None = None  # of a person in `tenant`; None: a token, a program or the platform's administrator

    @classmethod
    def local(cls, actor: str) -> Self:
        """Return a caller with every right: whoever runs commands on the machine itself."""
        return cls(actor=actor, tenant=None, scopes=EVERYTHING, platform=True)

    @property
    def reach(self) -> Reach:
        """Whose rows this caller's transactions see."""
        return FLEET if self.tenant is None else self.tenant

    def sees(self, account: AccountId) -> bool:
        """Tell whether a token's account limit lets it see this account; its tenant is checked by the database."""
        return self.accounts is None or account in self.accounts

    def require(self, scope: Scope) -> None:
        """Raise Forbidden unless this caller may do that."""
        if scope not in self.scopes and Scope.ADMIN not in self.scopes:
            raise Forbidden(f"This needs the scope {scope.value!r}: use a token or a role that has it")

    def require_platform(self) -> None:
        """Raise Forbidden unless this caller administers the whole fleet."""
        self.require_admin()
        if not self.platform:
            raise Forbidden("Only the platform's administrator may do this")

    def require_owner(self, doing: str) -> None:
        """Raise Forbidden unless this caller is an owner; tokens are not, whatever their scopes."""
        if not self.platform and self.role is not Role.OWNER:
            raise Forbidden(f"Only an owner may {doing}")

    def require_admin(self) -> None:
        """Raise Forbidden unless this caller may manage users and tokens; a limit to accounts excludes that."""
        self.require(Scope.ADMIN)
        if self.accounts is not None:
            raise Forbidden("A token that is limited to accounts may not do this: use one without that limit")

    def looking_at(self, tenant: TenantId) -> Self:
        """Return this caller with nothing but one tenant in reach."""
        return replace(self, tenant=tenant)

    def tenant_for(self, named: TenantId | None) -> TenantId:
        """Return the tenant to write to: the caller's own, or for the fleet's administrators the one they named."""
        if self.tenant is not None:
            return self.tenant
        if named is None:
            raise Invalid("tenant", "Say for which tenant: you may write to all of them")
        return named


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenant:
    """Whoever owns numbers."""

    id: TenantId
    name: str
    created_at: Stamp


@dataclass(frozen=True, slots=True, kw_only=True)
class Membership:
    """What a person is in one tenant."""

    tenant: TenantId
    name: str  # the tenant's
    role: Role


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """A person who can sign in. `memberships` holds only those the one who asks may see."""

    id: UserId
    email: str
    name: str
    platform_admin: bool
    disabled: bool
    created_at: Stamp
    memberships: list[Membership]


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A program's key, without its secret."""

    id: TokenId
    tenant: TenantId | None  # null: the whole fleet
    name: str
    hint: str  # its last 4 characters
    scopes: list[Scope]
    accounts: list[AccountId] | None  # null: every account within reach
    created_by: str
    created_at: Stamp
    expires_at: Stamp | None
    revoked_at: Stamp | None
    last_used_at: Stamp | None  # to the minute


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """Who changed what, and when."""

    id: int
    tenant: TenantId | None
    at: Stamp
    actor: str
    action: str
    subject: str
    detail: dict[str, Any]

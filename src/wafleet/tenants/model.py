"""Who is asking, and what they may see and do."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from wafleet.domain.errors import Forbidden, Invalid
from wafleet.domain.ids import AccountId, TenantId
from wafleet.engine.db import FLEET, Reach


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

    def tenant_for(self, named: TenantId | None) -> TenantId:
        """Return the tenant to write to: the caller's own, or for the fleet's administrators the one they named."""
        if self.tenant is not None:
            return self.tenant
        if named is None:
            raise Invalid("tenant", "Say for which tenant: you may write to all of them")
        return named

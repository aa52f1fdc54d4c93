"""Who owns numbers, who may do what, and who did it.

`Auth.may(Scope.READ)` is the dependency of every API route, `record` the line in the audit log of every change.
"""

from wafleet.tenants.audit import record
from wafleet.tenants.auth import Auth
from wafleet.tenants.model import EVERYTHING, PERMITS, Caller, Role, Scope, Tenant, Token, User
from wafleet.tenants.passwords import Passwords
from wafleet.tenants.service import Tenants
from wafleet.tenants.signins import SignedIn
from wafleet.tenants.tokens import Made

__all__ = [
    "EVERYTHING",
    "PERMITS",
    "Auth",
    "Caller",
    "Made",
    "Passwords",
    "Role",
    "Scope",
    "SignedIn",
    "Tenant",
    "Tenants",
    "Token",
    "User",
    "record",
]

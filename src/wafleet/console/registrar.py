"""Numbers as they come and move, from the services that know them."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from wafleet.accounts import Accounts, Fields, Moved, webhook_view
from wafleet.console.checks import LIVE, checks
from wafleet.console.desk import id_of, shown
from wafleet.console.needs import Offer, Setup
from wafleet.console.ways import WAYS, way_of
from wafleet.domain.account import Desired
from wafleet.domain.errors import Conflict, Invalid
from wafleet.domain.ids import TenantId
from wafleet.tenants import Caller, Scope, Tenants

MOST_TENANTS: Final = 500
NOWHERE: Final = (
    "This installation names no gateway. The platform's administrator can add the number, or name it: "
    "WAFLEET_GATEWAY__URL."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """What must be known of a transport to add a number to it."""

    links: bool = False  # a phone links its accounts
    called: bool = False  # its network calls us
    lacking: str = ""  # why it cannot work on this machine
    placed: bool = True  # it is known where its provider is


class FleetRegistrar:
    """Answers the console's forms from the accounts and tenants slices.

    reaches  the transports of this installation
    """

    def __init__(self, *, accounts: Accounts, tenants: Tenants, reaches: Mapping[str, Reach]) -> None:
        self._accounts, self._tenants, self._reaches = accounts, tenants, reaches

    @property
    def called(self) -> Sequence[str]:
        """The transports whose networks call us."""
        return sorted(kind for kind, reach in self._reaches.items() if reach.called)

    def offers(self, caller: Caller, *, but: str = "") -> Sequence[Offer]:
        """Return the transports there are, in the order people look for them; without the transport `but`."""
        known = [kind for kind in WAYS if kind in self._reaches]
        kinds = [*known, *sorted(self._reaches.keys() - WAYS.keys())]
        return [Offer(way_of(kind), self._why_not(caller, kind)) for kind in kinds if kind != but]

    def _why_not(self, caller: Caller, kind: str) -> str:
        reach = self._reaches[kind]
        return reach.lacking or ("" if reach.placed or caller.platform else NOWHERE)

    async def tenants(self, caller: Caller) -> Sequence[str] | None:
        """Return the names to choose from; None: the caller has one tenant only."""
        if caller.tenant is not None:
            return None
        found = await self._tenants.list(caller, cursor=None, limit=MOST_TENANTS)
        return sorted((one.name for one in found.items), key=str.casefold)

    async def add(self, caller: Caller, fields: Fields, *, tenant: str, new_tenant: str) -> str:
        """Add an account and return its id. Raises Invalid, NotFound, Conflict, Forbidden."""
        self._accounts.changes.check(fields)  # before a tenant is made for a number that cannot be
        owner = await self._owner(caller, tenant, new_tenant) if caller.tenant is None else None
        return str((await self._accounts.create(caller, fields, tenant=owner)).id)

    async def _owner(self, caller: Caller, tenant: str, new_tenant: str) -> TenantId:
        if tenant:
            return (await self._tenants.get(caller, tenant)).id
        if not new_tenant.strip():
            raise Invalid("tenant", "Say who owns the number.")
        return (await self._tenants.ensure(caller, new_tenant)).id

    async def setup(self, caller: Caller, account: str, *, guess: str) -> Setup:
        """Return how far a number is; `guess` is how this request reached us."""
        found = await self._accounts.get(caller, id_of(account))
        reach, way = self._reaches.get(found.transport, Reach()), way_of(found.transport)
        admin, live = Scope.ADMIN in caller.scopes, found.state in LIVE
        hook = webhook_view(found, self._accounts.public_url, guess)
        return Setup(
            account=str(found.id),
            name=found.name,
            phone=shown(found.phone),
            way=way,
            called=reach.called,
            links=reach.links and not live and found.desired is Desired.RUNNING,
            keyed=reach.called and not live and admin,
            acts=admin or Scope.CONTROL in caller.scopes,
            url=hook.url if reach.called else "",
            checks=checks(found, hook, provider=way.provider or way.label, shown=shown(found.phone))
            if reach.called
            else (),
        )

    async def try_now(self, caller: Caller, account: str) -> None:
        """Let an account that waits to be tried again be tried at once."""
        found = await self._accounts.get(caller, id_of(account))
        if found.state not in LIVE:
            with suppress(Conflict):  # stopped, or without credentials: its check says so
                await self._accounts.reconnect(caller, found.id)

    async def rekey(self, caller: Caller, account: str, fields: Fields) -> None:
        """Replace an account's credentials. Raises Invalid."""
        only: Fields = {"credentials": fields.get("credentials", {})}
        await self._accounts.update(caller, id_of(account), only)

    async def weigh(self, caller: Caller, account: str, to: str) -> Moved:
        """Tell what moving an account would mean, and change nothing."""
        return await self._accounts.move(caller, id_of(account), {"transport": to}, dry_run=True)

    async def move(self, caller: Caller, account: str, fields: Fields) -> Moved:
        """Move an account to another transport. Raises Invalid, Conflict, Forbidden."""
        return await self._accounts.move(caller, id_of(account), fields)

"""What operators do with accounts. A change is one transaction with its event and audit entry; then a wake-up."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Final
from uuid import UUID

from wafleet.accounts import store
from wafleet.accounts.changes import Changes, limit_of, there
from wafleet.accounts.model import Account, Fields, PairingView, searchable, wanted
from wafleet.accounts.moves import service as moves
from wafleet.accounts.moves.service import Moved
from wafleet.accounts.proxy_password import Sealer
from wafleet.accounts.store import Held, Narrow
from wafleet.domain import phone
from wafleet.domain.account import State
from wafleet.domain.errors import Conflict, Invalid, NotFound
from wafleet.domain.ids import AccountId, TenantId
from wafleet.engine import bus
from wafleet.engine.db import Db, Tx
from wafleet.engine.wakes import Wakes
from wafleet.engine.web import Page, decode_cursor, page
from wafleet.tenants import Caller
from wafleet.transports.base import Transport

SESSIONS: Final = "sessions"  # woken with the ids of accounts whose session may have something to do


class Accounts:
    """The fleet's accounts: create, find, change, link, start and stop them.

    public_url  how networks reach this installation, where that is known

    Everything is within the caller's sight: another tenant's account, and one outside a token's limit, does not exist.
    """

    def __init__(
        self,
        db: Db,
        *,
        secrets: Sealer,
        wakes: Wakes,
        transports: Mapping[str, Transport],
        public_url: str | None = None,
    ) -> None:
        self._db, self._wakes, self.public_url = db, wakes, public_url
        self.changes, self._transports = Changes(secrets, transports), transports

    async def get(self, caller: Caller, account: UUID) -> Account:
        """Return one account. Raises NotFound."""
        async with self._db.tx(caller.reach) as tx:
            return there(await store.account(tx, id=account, only=limit_of(caller)))

    async def resolve(self, caller: Caller, text: str) -> Account:
        """Find the account that `text` means: its id, its phone in any spelling, its name, or its role.

        Raises NotFound, and Conflict when it may mean several.
        """
        async with self._db.tx(caller.reach) as tx:
            found = await store.matching(
                tx, id=_as_id(text), phone=_as_phone(text), text=searchable(text), only=limit_of(caller)
            )
        best = min((rank for rank, _ in found), default=0)
        meant = [one for rank, one in found if rank == best]
        if len(meant) > 1:
            names = ", ".join(f"{one.name} ({one.phone})" for one in meant[:5])
            raise Conflict(f"{text!r} may mean several accounts: {names}. Give an id or a phone", code="ambiguous")
        return there(meant[0] if meant else None)

    async def find(self, caller: Caller, text: str) -> Account | None:
        """Find the account that `text` means, or None. Raises Conflict when it may mean several."""
        try:
            return await self.resolve(caller, text)
        except NotFound:
            return None

    async def list(
        self,
        caller: Caller,
        *,
        tenant: UUID | None = None,
        states: Sequence[State] | None = None,
        transport: str | None = None,
        role: str | None = None,
        q: str | None = None,
        cursor: str | None = None,
        limit: int = 100,
    ) -> Page[Account]:
        """Return accounts by name, a page at a time. `q` is looked for in names, phones and roles."""
        narrow = Narrow(
            only=limit_of(caller),
            tenant=tenant,
            states=[one.value for one in states] if states else None,
            transport=wanted(transport),
            role=wanted(role),
            q=wanted(q),
        )
        after = decode_cursor(cursor, tuple[str, UUID]) if cursor else None
        async with self._db.tx(caller.reach) as tx:
            rows = await store.listed(tx, narrow=narrow, after=after, limit=limit + 1)
        return page(rows, limit=limit, place=lambda one: [one.name, one.id])

    async def pairing(self, caller: Caller, account: UUID) -> PairingView:
        """Return what a person must do now to link this account's phone."""
        async with self._db.tx(caller.reach) as tx:
            return there(await store.pairing(tx, id=account, only=limit_of(caller)))

    async def create(self, caller: Caller, fields: Fields, *, tenant: TenantId | None = None) -> Account:
        """Add an account. Raises Invalid naming the field, and Conflict when its phone or name is taken."""
        new = self.changes.check(fields)
        async with self._db.tx(caller.reach) as tx:
            id = await self.changes.create(tx, caller, new, tenant=caller.tenant_for(tenant))
            made = there(await store.account(tx, id=id, only=None))
        self.wake([id])
        return made

    async def update(self, caller: Caller, account: UUID, fields: Fields) -> Account:
        """Change an account; what is left out stays. Raises NotFound, Invalid, Conflict."""
        new = self.changes.check(fields)
        async with self._changing(caller, account) as (tx, held):
            await self.changes.update(tx, caller, held, new)
            return there(await store.account(tx, id=account, only=None))

    async def move(self, caller: Caller, account: UUID, fields: Fields, *, dry_run: bool = False) -> Moved:
        """Move an account to another transport; its history stays. Raises NotFound, Invalid, Conflict.

        fields   transport, credentials and settings; sections of `settings` that are left out stay as they are
        dry_run  say what it would mean and change nothing; nothing but the transport is needed then
        """
        async with self._changing(caller, account) as (tx, held):
            if dry_run:
                told = await moves.weigh(tx, self.changes, self._transports, held, fields)
            else:
                told = await moves.move(tx, self.changes, self._transports, caller, held, fields)
            moved = there(await store.account(tx, id=account, only=None))
        return Moved(
            account=moved,
            was=held.transport,
            notes=told.notes,
            unknown_people=told.people,
            some_unknown=told.some,
            unsendable=told.unsendable,
        )

    async def delete(self, caller: Caller, account: UUID) -> None:
        """Take an account out of the fleet. Its history stays, and so does an encrypted copy of its credentials."""
        async with self._changing(caller, account) as (tx, held):
            await self.changes.remove(tx, caller, held)

    async def enable(self, caller: Caller, account: UUID) -> Account:
        """Let an account run; its session is opened by whichever node owns it. Again changes nothing."""
        async with self._changing(caller, account) as (tx, held):
            await self.changes.set_desired(tx, caller, held, enabled=True)
            return there(await store.account(tx, id=account, only=None))

    async def disable(self, caller: Caller, account: UUID) -> Account:
        """Stop an account; it stays linked, and its messages wait. Again changes nothing."""
        async with self._changing(caller, account) as (tx, held):
            await self.changes.set_desired(tx, caller, held, enabled=False)
            return there(await store.account(tx, id=account, only=None))

    async def link(self, caller: Caller, account: UUID, *, again: bool = False) -> PairingView:
        """Begin linking a phone; the QR code appears in `pairing` within a second or so.

        Raises Conflict when the account is disabled, its transport needs no phone, or it is connected and `again` is
        not said.
        """
        async with self._changing(caller, account) as (tx, held):
            await self.changes.start_linking(tx, caller, held, again=again)
            return there(await store.pairing(tx, id=account, only=None))

    async def cancel_link(self, caller: Caller, account: UUID) -> Account:
        """Stop linking. An account that was linked before goes back to its session. Raises Conflict if not linking."""
        async with self._changing(caller, account) as (tx, held):
            await self.changes.cancel_linking(tx, caller, held)
            return there(await store.account(tx, id=account, only=None))

    async def unlink(self, caller: Caller, account: UUID) -> Account:
        """Remove this device from the phone. An encrypted copy of its credentials is kept. Raises Conflict."""
        async with self._changing(caller, account) as (tx, held):
            await self.changes.unlink(tx, caller, held)
            return there(await store.account(tx, id=account, only=None))

    async def reconnect(self, caller: Caller, account: UUID) -> Account:
        """Connect an account anew, now: a wait is cut short, and an open session is closed first. Raises Conflict."""
        async with self._changing(caller, account) as (tx, held):
            await self.changes.reconnect(tx, caller, held)
            return there(await store.account(tx, id=account, only=None))

    async def tenant_named(self, caller: Caller, text: str) -> TenantId:
        """Return the tenant whose id or name this is. Raises Invalid naming the field `tenant`."""
        async with self._db.tx(caller.reach) as tx:
            found = await store.tenant_named(tx, text=searchable(text))
        if found is None:
            raise Invalid("tenant", f"There is no tenant {text!r}: take its name or id from the list of tenants")
        return found

    def wake(self, accounts: Sequence[AccountId]) -> None:
        """Tell the sessions' owners that these accounts changed; only after the commit."""
        self._wakes.wake(SESSIONS, *map(str, accounts))
        self._wakes.wake(bus.TOPIC)

    @asynccontextmanager
    async def _changing(self, caller: Caller, account: UUID) -> AsyncGenerator[tuple[Tx, Held]]:
        async with self._db.tx(caller.reach) as tx:
            held = await self.changes.hold(tx, caller, account)
            yield tx, held
        self.wake([held.id])


def _as_id(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def _as_phone(text: str) -> str | None:
    try:
        return phone.normalise(text)
    except Invalid:
        return None

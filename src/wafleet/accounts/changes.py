"""Changes of accounts as parts of a transaction: the row, its event and its audit entry together, or none of them."""

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final, Protocol, TypeVar
from uuid import UUID

import psycopg.errors

from wafleet.accounts import store
from wafleet.accounts.model import Checked, Fields, about, checked, hint
from wafleet.accounts.store import Held
from wafleet.domain.account import MOVES, Desired, State, explain
from wafleet.domain.errors import Conflict, Forbidden, Invalid, NotFound
from wafleet.domain.events import Kind
from wafleet.domain.ids import AccountId, TenantId, new_id
from wafleet.engine.bus import Event, append
from wafleet.engine.db import Tx
from wafleet.tenants import Caller, record
from wafleet.transports.base import Transport

T = TypeVar("T")
LIVE: Final = frozenset({State.ONLINE, State.DEGRADED})


class Sealer(Protocol):
    """Encrypts what must not be read from the database."""

    def encrypt(self, plain: bytes, *, about: bytes) -> bytes: ...

    def decrypt(self, stored: bytes, *, about: bytes) -> bytes: ...


class Changes:
    """Joins the transaction it is handed; whoever opened that wakes the sessions after the commit."""

    def __init__(self, secrets: Sealer, transports: Mapping[str, Transport]) -> None:
        self._secrets, self._transports = secrets, transports

    def check(self, fields: Fields, *, at: str = "") -> Checked:
        """Read fields as a person wrote them. Raises Invalid naming the field, with `at` before it."""
        sound = checked(fields, at=at)
        if sound.transport is not None and sound.transport not in self._transports:
            known = ", ".join(sorted(self._transports))
            raise Invalid(f"{at}transport", f"There is no transport {sound.transport!r} here: use one of {known}")
        return sound

    async def hold(self, tx: Tx, caller: Caller, account: UUID) -> Held:
        """Lock an account within the caller's sight until the transaction ends. Raises NotFound."""
        return there(await store.hold(tx, id=account, only=limit_of(caller)))

    async def create(self, tx: Tx, caller: Caller, new: Checked, *, tenant: TenantId, at: str = "") -> AccountId:
        """Add an account. Raises Invalid, Conflict, Forbidden; NotFound when there is no such tenant."""
        if caller.accounts is not None:
            raise Forbidden("A token that is limited to accounts cannot add others: use one without that limit")
        self._check_complete(new, at)
        id, enabled = AccountId(new_id()), new.enabled is not False
        with _clashes_named(at):
            await store.insert(
                tx,
                id=id,
                tenant=tenant,
                new=new,
                desired=Desired.RUNNING if enabled else Desired.STOPPED,
                state=State.DISABLED if not enabled else State.OFFLINE if new.credentials else State.NEW,
                credentials=self._sealed(id, new.credentials) if new.credentials else None,
                hint=hint(new.credentials or ""),
            )
        data = new.public()
        await append(tx, [Event(kind=Kind.ACCOUNT_CREATED, tenant=tenant, account=id, data=data)])
        await record(tx, caller, "account.created", id, tenant=tenant, name=new.name, phone=new.phone)
        return id

    async def update(self, tx: Tx, caller: Caller, held: Held, new: Checked, *, at: str = "") -> None:
        """Write the fields that differ; nothing happens where nothing does. Raises Invalid, Conflict."""
        changed = {name: value for name, value in new.public().items() if getattr(held, name) != value}
        _check_fixed(held, changed, at)
        if changed:
            with _clashes_named(at):
                await store.write(tx, id=held.id, new=Checked(**changed))
            await self._tell(tx, Kind.ACCOUNT_CHANGED, held, **changed)
        if new.credentials is not None:
            await self._replace_credentials(tx, held, new.credentials, at)
        if changed or new.credentials is not None:
            fields = [*changed, *(["credentials"] if new.credentials is not None else [])]
            await record(tx, caller, "account.changed", held.id, tenant=held.tenant_id, fields=fields)
        if new.enabled is not None:
            await self.set_desired(tx, caller, held, enabled=new.enabled)

    async def remove(self, tx: Tx, caller: Caller, held: Held) -> None:
        """Take an account out of the fleet; its history and an encrypted copy of its credentials stay."""
        if held.state is not State.DISABLED:
            await self.move(tx, held, State.DISABLED, "stopped")
        await store.retire_credentials(tx, id=held.id, reason="deleted")
        await store.bury(tx, id=held.id)
        facts = {"name": held.name, "phone": held.phone}
        await self._tell(tx, Kind.ACCOUNT_DELETED, held, **facts)
        await record(tx, caller, "account.deleted", held.id, tenant=held.tenant_id, **facts)

    async def set_desired(self, tx: Tx, caller: Caller, held: Held, *, enabled: bool) -> None:
        """Write what the operator wants, and move the account where that leads; nothing happens where it is so."""
        desired = Desired.RUNNING if enabled else Desired.STOPPED
        if held.desired == desired and (held.state is State.DISABLED) is not enabled:
            return
        await store.want(tx, id=held.id, desired=desired)
        if not enabled and held.state is not State.DISABLED:
            await self.move(tx, held, State.DISABLED, "stopped")
        if enabled and held.state is State.DISABLED:
            await self._leave_disabled(tx, held)
        action = "account.enabled" if enabled else "account.disabled"
        await record(tx, caller, action, held.id, tenant=held.tenant_id)

    async def start_linking(self, tx: Tx, caller: Caller, held: Held, *, again: bool) -> None:
        """Move an account to `linking`; one that is being linked stays so unless `again`. Raises Conflict."""
        self._check_has_phone(held)
        if held.desired == Desired.STOPPED:
            raise Conflict("This account is disabled: enable it, then link it", code="disabled")
        if held.state in LIVE and not again:
            raise Conflict("This account is connected: say again=true to link it anew", code="already_linked")
        if held.state is not State.LINKING or again:
            await self.move(tx, held, State.LINKING, "scan")
            await record(tx, caller, "account.link_started", held.id, tenant=held.tenant_id)

    async def cancel_linking(self, tx: Tx, caller: Caller, held: Held) -> None:
        """Stop linking; an account that was linked before goes back to its session. Raises Conflict."""
        if held.state is not State.LINKING:
            raise Conflict("This account is not being linked: there is nothing to cancel", code="not_linking")
        back = State.OFFLINE if held.credentials else State.LOGGED_OUT if held.retired else State.NEW
        await self.move(tx, held, back, "link_cancelled")
        await record(tx, caller, "account.link_cancelled", held.id, tenant=held.tenant_id)

    async def unlink(self, tx: Tx, caller: Caller, held: Held) -> None:
        """Put the credentials away and say so; the session's owner removes the device from the phone."""
        self._check_has_phone(held)
        if not await store.retire_credentials(tx, id=held.id, reason="unlinked"):
            raise Conflict("This account is not linked: there is nothing to unlink", code="not_linked")
        if held.state is not State.DISABLED:
            await self.move(tx, held, State.LOGGED_OUT, "unlinked")
        await self._tell(tx, Kind.ACCOUNT_UNLINKED, held, phone=held.phone)
        await record(tx, caller, "account.unlinked", held.id, tenant=held.tenant_id, phone=held.phone)

    async def reconnect(self, tx: Tx, caller: Caller, held: Held) -> None:
        """Cut every wait short and let the session's owner connect anew. Raises Conflict."""
        if held.desired == Desired.STOPPED:
            raise Conflict("This account is disabled: enable it, and it connects", code="disabled")
        if held.credentials is None or held.state in {State.NEW, State.LINKING, State.LOGGED_OUT}:
            raise Conflict("This account is not linked: link it first", code="not_linked")
        await self._start_over(tx, held)
        await record(tx, caller, "account.reconnected", held.id, tenant=held.tenant_id)

    async def move(self, tx: Tx, held: Held, to: State, reason: str) -> None:
        """Move an account as `MOVES` allows, and say so on the bus. Raises Conflict."""
        before = [one for one, after in MOVES.items() if to in after or one is to]
        if not await store.move(tx, id=held.id, before=before, to=to, reason=reason):
            raise Conflict(f"This account is {held.state}: it cannot become {to} now", code="state")
        data = {"from": held.state, "to": to, "reason": reason, "sentence": explain(reason).sentence}
        await self._tell(tx, Kind.ACCOUNT_STATE, held, **data)

    async def _leave_disabled(self, tx: Tx, held: Held) -> None:
        if held.credentials is not None:
            await self.move(tx, held, State.OFFLINE, "starting")
        elif held.retired:
            await self.move(tx, held, State.LOGGED_OUT, "unlinked")
        else:
            await self.move(tx, held, State.NEW, "created")

    async def _start_over(self, tx: Tx, held: Held) -> None:
        # A blocked account stays so until the network takes it back; one that was logged out has no way to offline.
        to = {State.BLOCKED: State.BLOCKED, State.LOGGED_OUT: State.CONNECTING}.get(held.state, State.OFFLINE)
        await self.move(tx, held, to, "starting")

    async def _replace_credentials(self, tx: Tx, held: Held, secret: str, at: str) -> None:
        self._check_entered(held.transport, at)
        await store.retire_credentials(tx, id=held.id, reason="replaced")
        sealed = self._sealed(held.id, secret)
        await store.keep_credentials(tx, id=held.id, credentials=sealed, hint=hint(secret))
        if held.state is not State.DISABLED:
            await self._start_over(tx, held)

    async def _tell(self, tx: Tx, kind: Kind, held: Held, **data: Any) -> None:
        await append(tx, [Event(kind=kind, tenant=held.tenant_id, account=held.id, data=data)])

    def _sealed(self, account: AccountId, secret: str) -> bytes:
        return self._secrets.encrypt(secret.encode(), about=about(account))

    def _links_by_phone(self, transport: str) -> bool:
        known = self._transports.get(transport)
        return known is not None and bool(known.capabilities.linking)

    def _check_has_phone(self, held: Held) -> None:
        if not self._links_by_phone(held.transport):
            sentence = f"Accounts of the transport {held.transport!r} are not linked: enter their credentials instead"
            raise Conflict(sentence, code="not_linkable")

    def _check_entered(self, transport: str, at: str) -> None:
        if self._links_by_phone(transport):
            sentence = f"Accounts of the transport {transport!r} get their credentials by linking: leave them out"
            raise Invalid(f"{at}credentials", sentence)

    def _check_complete(self, new: Checked, at: str) -> None:
        for name in ("name", "phone", "transport"):
            if getattr(new, name) is None:
                raise Invalid(f"{at}{name}", f"{at}{name} is missing: a new account needs it", code="missing")
        if new.credentials is not None:
            self._check_entered(str(new.transport), at)


def limit_of(caller: Caller) -> Sequence[AccountId] | None:
    """Return the accounts a token is limited to; None: no limit."""
    return None if caller.accounts is None else list(caller.accounts)


def there(found: T | None) -> T:
    """Return what was found. Raises NotFound: for a caller, what it may not see does not exist."""
    if found is None:
        raise NotFound("There is no such account: look it up in the list of accounts")
    return found


def _check_fixed(held: Held, changed: Mapping[str, Any], at: str) -> None:
    if "transport" in changed:
        sentence = f"{at}transport: an account keeps its transport; remove it and add it again with the other one"
        raise Conflict(sentence, code="transport_fixed")
    if "phone" in changed and held.credentials is not None:
        sentence = f"{at}phone: a linked account keeps its phone; unlink it first"
        raise Conflict(sentence, code="phone_fixed")


@contextmanager
def _clashes_named(at: str) -> Generator[None]:
    try:
        yield
    except psycopg.errors.UniqueViolation as error:
        which = "phone" if error.diag.constraint_name == "accounts_phone" else "name"
        what = "number" if which == "phone" else "name"
        raise Conflict(f"{at}{which}: another account has this {what} already", code=f"{which}_taken") from None
    except psycopg.errors.ForeignKeyViolation:
        raise NotFound("There is no such tenant: look it up in the list of tenants") from None

"""Changes of accounts as parts of a transaction: the row, its event and its audit entry together, or none of them."""

import dataclasses
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Final, TypeVar
from uuid import UUID

import psycopg.errors

from wafleet.accounts import needs as providers
from wafleet.accounts import proxy_password as private
from wafleet.accounts import store
from wafleet.accounts.model import Checked, Fields, about, checked, hint
from wafleet.accounts.proxy_password import Sealer
from wafleet.accounts.store import Held
from wafleet.domain.account import MOVES, Desired, State
from wafleet.domain.errors import Conflict, Forbidden, Invalid, NotFound
from wafleet.domain.events import Kind
from wafleet.domain.ids import AccountId, TenantId, new_id
from wafleet.engine.bus import Event, append
from wafleet.engine.db import Tx
from wafleet.engine.secrets import SecretError
from wafleet.tenants import Caller, record
from wafleet.transports.base import Transport

T = TypeVar("T")
LIVE: Final = frozenset({State.ONLINE, State.DEGRADED})
REMOVAL: Final = timedelta(minutes=15)  # for removing a device from its phone's list; then a person must


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
        new = self._check_complete(new, at)
        id, state, reason = AccountId(new_id()), *self.begins(new)
        _check_password(new, {}, known=False, at=at)
        providers.check_addresses(new.settings, {}, platform=caller.platform, at=at)
        with _clashes_named(at):
            await store.insert(
                tx,
                id=id,
                tenant=tenant,
                new=new,
                desired=Desired.STOPPED if new.enabled is False else Desired.RUNNING,
                state=state,
                reason=reason,
                credentials=self.sealed(id, new.credentials) if new.credentials else None,
                hint=hint(new.credentials or ""),
                private=self.hidden(id, new.password),
            )
        data = new.public()
        await append(tx, [Event(kind=Kind.ACCOUNT_CREATED, tenant=tenant, account=id, data=data)])
        await record(tx, caller, "account.created", id, tenant=tenant, name=new.name, phone=new.phone)
        return id

    async def update(self, tx: Tx, caller: Caller, held: Held, new: Checked, *, at: str = "") -> None:
        """Write the fields that differ; nothing happens where nothing does. Raises Invalid, Conflict."""
        changed = {name: value for name, value in new.public().items() if getattr(held, name) != value}
        _check_fixed(held, changed, at)
        _check_password(new, held.settings, known=held.private is not None, at=at)
        providers.check_addresses(new.settings, held.settings, platform=caller.platform, at=at)
        if changed:
            with _clashes_named(at):
                await store.write(tx, id=held.id, new=Checked(**changed))
        hidden = await self._replace_hidden(tx, held, new, at)
        if changed or "password" in hidden:
            await self.tell(tx, Kind.ACCOUNT_CHANGED, held, **(changed or {"settings": held.settings}))
        if changed or hidden:
            fields = [*changed, *hidden]
            await record(tx, caller, "account.changed", held.id, tenant=held.tenant_id, fields=fields)
        if held.state in LIVE and ("password" in hidden or _other_device(held.settings, changed.get("settings"))):
            await self._start_over(tx, held)
        if new.enabled is not None:
            await self.set_desired(tx, caller, held, enabled=new.enabled)

    async def remove(self, tx: Tx, caller: Caller, held: Held) -> None:
        """Take an account out of the fleet; its history and an encrypted copy of its credentials stay.

        Where a phone was linked, the session's owner removes the device from the phone's list.
        """
        if held.state is not State.DISABLED:
            await self.move(tx, held, State.DISABLED, "stopped")
        was_linked = await store.retire_credentials(tx, id=held.id, reason="deleted")
        if was_linked and self._links_by_phone(held.transport):
            await store.want_removal(tx, id=held.id, within=REMOVAL, detail="")
        await store.bury(tx, id=held.id)
        facts = {"name": held.name, "phone": held.phone}
        await self.tell(tx, Kind.ACCOUNT_DELETED, held, **facts)
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
        if self._is_keyed(held.transport) and not held.linked:
            raise Conflict("Enter this account's credentials, then link it", code="credentials_missing")
        if held.state in LIVE and not again:
            raise Conflict("This account is connected: say again=true to link it anew", code="already_linked")
        if held.state is not State.LINKING or again:
            await self.move(tx, held, State.LINKING, "scan")
            await record(tx, caller, "account.link_started", held.id, tenant=held.tenant_id)

    async def cancel_linking(self, tx: Tx, caller: Caller, held: Held) -> None:
        """Stop linking; an account that was linked before goes back to its session. Raises Conflict."""
        if held.state is not State.LINKING:
            raise Conflict("This account is not being linked: there is nothing to cancel", code="not_linking")
        back = State.OFFLINE if held.linked else State.LOGGED_OUT if held.retired else State.NEW
        await self.move(tx, held, back, "link_cancelled")
        await record(tx, caller, "account.link_cancelled", held.id, tenant=held.tenant_id)

    async def unlink(self, tx: Tx, caller: Caller, held: Held) -> None:
        """Put the credentials away and say so; the session's owner removes the device from the phone.

        Those that somebody entered stay as well: they log wafleet in at a gateway, not the phone.
        """
        self._check_has_phone(held)
        keyed = self._is_keyed(held.transport)
        gone = keyed and held.state in {State.NEW, State.LOGGED_OUT}
        if gone or not await store.retire_credentials(tx, id=held.id, reason="unlinked", stay=keyed):
            raise Conflict("This account is not linked: there is nothing to unlink", code="not_linked")
        if held.state is not State.DISABLED:
            await self.move(tx, held, State.LOGGED_OUT, "unlinked")
        await store.want_removal(tx, id=held.id, within=REMOVAL, detail="It is being removed from the phone's list.")
        await self.tell(tx, Kind.ACCOUNT_UNLINKED, held, phone=held.phone)
        await record(tx, caller, "account.unlinked", held.id, tenant=held.tenant_id, phone=held.phone)

    async def reconnect(self, tx: Tx, caller: Caller, held: Held) -> None:
        """Cut every wait short and let the session's owner connect anew. Raises Conflict."""
        if held.desired == Desired.STOPPED:
            raise Conflict("This account is disabled: enable it, and it connects", code="disabled")
        if not held.linked or held.state in {State.NEW, State.LINKING, State.LOGGED_OUT}:
            raise Conflict("This account is not linked: link it first", code="not_linked")
        await self._start_over(tx, held)
        await record(tx, caller, "account.reconnected", held.id, tenant=held.tenant_id)

    async def move(self, tx: Tx, held: Held, to: State, reason: str) -> None:
        """Move an account as `MOVES` allows, and say so on the bus. Raises Conflict."""
        before = [one for one, after in MOVES.items() if to in after or one is to]
        if not await store.move(tx, id=held.id, before=before, to=to, reason=reason):
            raise Conflict(f"This account is {held.state}: it cannot become {to} now", code="state")
        data = {"from": held.state, "to": to, "reason": reason, "detail": ""}
        await self.tell(tx, Kind.ACCOUNT_STATE, held, **data)

    async def _leave_disabled(self, tx: Tx, held: Held) -> None:
        if held.linked:
            await self.move(tx, held, State.OFFLINE, "starting")
        elif held.retired:
            await self.move(tx, held, State.LOGGED_OUT, "unlinked")
        else:
            await self.move(tx, held, State.NEW, self._unlinked_reason(held.transport))

    def begins(self, new: Checked) -> tuple[State, str]:
        """Return the state and reason in which an account with these fields begins."""
        if new.enabled is False:
            return State.DISABLED, "stopped"
        if new.credentials:
            return State.OFFLINE, "starting"
        return State.NEW, self._unlinked_reason(str(new.transport))

    def _unlinked_reason(self, transport: str) -> str:
        links = self._links_by_phone(transport) and not self._is_keyed(transport)
        return "created" if links else "credentials_missing"

    async def _replace_hidden(self, tx: Tx, held: Held, new: Checked, at: str) -> list[str]:
        """Store what is never shown; return the names of what changed."""
        names: list[str] = []
        if new.password != private.HIDDEN and new.password is not None and new.password != self._password(held):
            await store.keep_private(tx, id=held.id, private=self.hidden(held.id, new.password))
            names.append("password")
        if new.credentials is not None:
            await self._replace_credentials(tx, held, new.credentials, at)
            names.append("credentials")
        return names

    def _password(self, held: Held) -> str:
        try:
            return "" if held.private is None else private.opened(self._secrets, held.private, account=held.id)
        except SecretError:
            return ""

    async def _start_over(self, tx: Tx, held: Held) -> None:
        # A blocked account stays so until the network takes it back; one that was logged out has no way to offline.
        to = {State.BLOCKED: State.BLOCKED, State.LOGGED_OUT: State.CONNECTING}.get(held.state, State.OFFLINE)
        await self.move(tx, held, to, "starting")

    async def _replace_credentials(self, tx: Tx, held: Held, secret: str, at: str) -> None:
        self._check_entered(held.transport, at)
        secret = providers.check_credentials(held.transport, secret, field=f"{at}credentials")
        await store.retire_credentials(tx, id=held.id, reason="replaced")
        sealed = self.sealed(held.id, secret)
        await store.keep_credentials(tx, id=held.id, credentials=sealed, hint=hint(secret))
        if held.state is not State.DISABLED:
            await self._start_over(tx, held)

    async def tell(self, tx: Tx, kind: Kind, held: Held, **data: Any) -> None:
        """Write an event of this account."""
        await append(tx, [Event(kind=kind, tenant=held.tenant_id, account=held.id, data=data)])

    def sealed(self, account: AccountId, secret: str) -> bytes:
        """Encrypt credentials for one account only."""
        return self._secrets.encrypt(secret.encode(), about=about(account))

    def hidden(self, account: AccountId, password: str | None) -> bytes | None:
        """Encrypt a password of an account's settings; None where there is none."""
        return private.sealed(self._secrets, password, account=account) if password else None

    def _links_by_phone(self, transport: str) -> bool:
        known = self._transports.get(transport)
        return known is not None and bool(known.capabilities.linking)

    def _is_keyed(self, transport: str) -> bool:
        known = self._transports.get(transport)
        return known is not None and known.capabilities.keyed

    def _check_has_phone(self, held: Held) -> None:
        if not self._links_by_phone(held.transport):
            sentence = f"Accounts of the transport {held.transport!r} are not linked: enter their credentials instead"
            raise Conflict(sentence, code="not_linkable")

    def _check_entered(self, transport: str, at: str) -> None:
        if self._links_by_phone(transport) and not self._is_keyed(transport):
            sentence = f"Accounts of the transport {transport!r} get their credentials by linking: leave them out"
            raise Invalid(f"{at}credentials", sentence)

    def _check_complete(self, new: Checked, at: str) -> Checked:
        for name in ("name", "phone", "transport"):
            if getattr(new, name) is None:
                raise Invalid(f"{at}{name}", f"{at}{name} is missing: a new account needs it", code="missing")
        return self.entered(str(new.transport), new, at=at)

    def entered(self, transport: str, new: Checked, *, at: str = "") -> Checked:
        """Return fields with the credentials as this transport stores them. Raises Invalid for what it cannot use."""
        providers.check_settings(transport, new.settings or {}, field=f"{at}settings")
        if new.credentials is None:
            return new
        self._check_entered(transport, at)
        secret = providers.check_credentials(transport, new.credentials, field=f"{at}credentials")
        return dataclasses.replace(new, credentials=secret)


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
        sentence = f"{at}transport: this changes by moving the account: POST .../move, or `wafleet accounts move`"
        raise Conflict(sentence, code="transport_fixed")
    if "phone" in changed and held.linked:
        sentence = f"{at}phone: a linked account keeps its phone; unlink it first"
        raise Conflict(sentence, code="phone_fixed")


def _check_password(new: Checked, before: Mapping[str, Any], *, known: bool, at: str) -> None:
    """Refuse *** where no password is stored, or for another proxy, which would be handed the password."""
    if new.settings is None or not private.needed(new.settings) or new.password not in {None, private.HIDDEN}:
        return
    if not known or not private.same_place(new.settings, before):
        where = f"{at}settings.device.proxy"
        raise Invalid(where, f"{where}: write the password in full; *** stands for the one of an unchanged proxy")


def _other_device(before: Mapping[str, Any], after: Mapping[str, Any] | None) -> bool:
    return after is not None and before.get("device") != after.get("device")


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

"""Applies fleet files: one transaction for the whole file, so that it counts as a whole or not at all."""

from collections.abc import Mapping, Sequence

import psycopg

from wafleet.accounts import proxy_password as private
from wafleet.accounts import store
from wafleet.accounts.changes import Changes
from wafleet.accounts.fleet_file.plan import Action, Change, FleetFile, Standing, Wanted, entries, plan
from wafleet.accounts.model import LONGEST_NAME, about, line
from wafleet.accounts.proxy_password import Sealer
from wafleet.accounts.service import Accounts
from wafleet.accounts.store import Held, TenantRow
from wafleet.domain.errors import Forbidden, NotFound
from wafleet.domain.ids import AccountId, TenantId, new_id
from wafleet.engine.db import Db, Tx
from wafleet.engine.secrets import SecretError
from wafleet.tenants import Caller, Scope, record


class FleetFiles:
    """Brings the fleet to what a file says."""

    def __init__(self, db: Db, *, accounts: Accounts, secrets: Sealer) -> None:
        self._db, self._accounts, self._secrets = db, accounts, secrets

    async def apply(
        self, caller: Caller, file: FleetFile, *, dry_run: bool = False, prune: bool = False
    ) -> list[Change]:
        """Apply a file and return what that changed; a dry run does the same and then takes it all back.

        Needs the scope admin. Raises Invalid, Conflict and NotFound with the path in the file; then nothing counts.
        """
        caller.require(Scope.ADMIN)
        if caller.accounts is not None:
            raise Forbidden("A token that is limited to accounts cannot apply a fleet file: use one without that limit")
        changes: list[Change] = []
        touched: list[AccountId] = []
        async with self._db.tx(caller.reach) as tx:
            changes, touched = await self._carry_out(tx, caller, file, prune=prune)
            if dry_run:
                raise psycopg.Rollback
        if touched and not dry_run:
            self._accounts.wake(touched)
        return changes

    async def _carry_out(
        self, tx: Tx, caller: Caller, file: FleetFile, *, prune: bool
    ) -> tuple[list[Change], list[AccountId]]:
        await store.one_file_at_a_time(tx)
        doing = self._accounts.changes
        wanted = {str(one.new.phone): one for one in entries(file, doing.check)}
        tenants = {one.name.casefold(): one for one in await store.tenants(tx)}
        compared = [phone for phone, one in wanted.items() if one.new.credentials is not None]
        rows = await store.standing(tx, with_credentials=compared)
        standing = [self._standing(one, wanted) for one in rows]
        names = [one.name for one in tenants.values()]
        changes = plan(file, standing, tenants=names, prune=prune, check=doing.check)
        ids = await _ensure_tenants(tx, caller, file, tenants)
        held = await self._hold(tx, caller, changes)
        for change in changes:
            if change.action is Action.REMOVE and change.account is not None:
                await doing.remove(tx, caller, held[change.account])
        renamed = [one.account for one in changes if one.account and any(f.field == "name" for f in one.fields)]
        await store.set_aside_names(tx, ids=renamed)
        touched = list(held)
        for change in changes:
            if change.kind == "account" and change.phone in wanted:
                touched += await _write(tx, caller, doing, change, wanted[change.phone], held, ids)
        return changes, touched

    async def _hold(self, tx: Tx, caller: Caller, changes: Sequence[Change]) -> dict[AccountId, Held]:
        touched = [one.account for one in changes if one.account and one.action in {Action.REMOVE, Action.UPDATE}]
        return {id: await self._accounts.changes.hold(tx, caller, id) for id in sorted(touched)}

    def _standing(self, row: store.StandingRow, wanted: Mapping[str, Wanted]) -> Standing:
        entry = wanted.get(row.phone)
        return Standing(
            id=row.id,
            tenant_id=row.tenant_id,
            tenant=row.tenant,
            name=row.name,
            phone=row.phone,
            transport=row.transport,
            role=row.role,
            priority=row.priority,
            metadata=row.metadata,
            settings=row.settings,
            enabled=row.desired == "running",
            credentials=self._opened(row),
            password=self._password(row) if entry is not None and entry.new.password else None,
        )

    def _opened(self, row: store.StandingRow) -> str | None:
        """Return the credentials that were read; those that cannot be decrypted any more differ from any others."""
        if row.credentials is None:
            return None
        try:
            return self._secrets.decrypt(row.credentials, about=about(row.id)).decode()
        except (SecretError, UnicodeDecodeError):
            return None

    def _password(self, row: store.StandingRow) -> str | None:
        if row.private is None:
            return None
        try:
            return private.opened(self._secrets, row.private, account=row.id)
        except SecretError:
            return None


async def _write(
    tx: Tx,
    caller: Caller,
    doing: Changes,
    change: Change,
    wanted: Wanted,
    held: Mapping[AccountId, Held],
    tenants: Mapping[str, TenantId],
) -> list[AccountId]:
    """Create or update one account; return the id of one that was created."""
    if change.action is Action.CREATE:
        tenant = tenants[wanted.tenant.casefold()]
        return [await doing.create(tx, caller, wanted.new, tenant=tenant, at=wanted.at)]
    if change.action is Action.UPDATE and change.account is not None:
        fields = {one.field for one in change.fields}
        new = wanted.new.only(fields | {"password"})
        await doing.update(tx, caller, held[change.account], new, at=wanted.at)
    return []


async def _ensure_tenants(
    tx: Tx, caller: Caller, file: FleetFile, known: Mapping[str, TenantRow]
) -> dict[str, TenantId]:
    ids = {name: one.id for name, one in known.items()}
    for t, entry in enumerate(file.tenants):
        at = f"tenants[{t}].name"
        name = line(entry.name, at, LONGEST_NAME)
        if name.casefold() in ids:
            continue
        if caller.tenant is not None:
            raise NotFound(f"{at}: there is no tenant {name!r} within your reach")
        id = ids[name.casefold()] = await store.add_tenant(tx, id=TenantId(new_id()), name=name)
        await record(tx, caller, "tenant.created", id, tenant=id, name=name)
    return ids

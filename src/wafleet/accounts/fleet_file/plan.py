"""The fleet as a file: tenants and their accounts as code.

    tenants:
      - name: Sharq Brokers
        accounts:
          - phone: +971501234567       # any spelling; this is what an account is recognised by
            name: Front desk
            transport: simulated       # needed for a new account, and fixed from then on
            role: primary              # optional, like everything below
            priority: 10               # higher starts first
            enabled: true
            metadata: {crm: "77"}
            settings: {pace: {per_second: 0.5}, keep_alive_s: 30}
                                       # a linked device: {device: {proxy: "${SHARQ_PROXY}", name: Front desk}}
            credentials: ${SHARQ_TOKEN}   # only for transports whose credentials are entered

What an entry leaves out stays as it is. `${NAME}` as the whole of a credential or of a proxy is read from the
environment. Applying a
file twice does nothing the second time; accounts that it does not name stay, unless pruning is asked for, and pruning
looks only at the tenants that the file names. Tenants are added, never removed.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final, Literal, cast

import msgspec
from msgspec import UNSET, UnsetType

from wafleet.accounts.fleet_file import core_yaml
from wafleet.accounts.model import Checked, Fields, checked, hint
from wafleet.accounts.needs import check_credentials
from wafleet.accounts.proxy_password import HIDDEN
from wafleet.accounts.settings import convert
from wafleet.domain.errors import Conflict, Invalid
from wafleet.domain.ids import AccountId, TenantId

SECRET: Final = frozenset({"credentials", "proxy"})  # keys whose values may come from the environment
_REFERENCE: Final = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


class AccountEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One account, as the file wants it."""

    phone: str
    name: str | UnsetType = UNSET
    transport: str | UnsetType = UNSET
    role: str | UnsetType = UNSET
    priority: int | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET
    metadata: dict[str, Any] | UnsetType = UNSET
    settings: dict[str, Any] | UnsetType = UNSET
    credentials: str | dict[str, str] | UnsetType = UNSET


class TenantEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: str
    accounts: list[AccountEntry] = []


class FleetFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A fleet file that was read; its references are resolved."""

    version: Literal[1] = 1
    tenants: list[TenantEntry]


class Action(StrEnum):
    CREATE = "create"
    UPDATE = "update"
    REMOVE = "remove"
    LEFT = "left"  # not in the file; pruning would remove it
    UNCHANGED = "unchanged"


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldChange:
    field: str
    before: Any
    after: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What applying a file does to one tenant or account."""

    action: Action
    kind: Literal["tenant", "account"]
    tenant: str
    name: str
    phone: str = ""
    account: AccountId | None = None
    fields: tuple[FieldChange, ...] = ()  # of an update; credentials appear only by their ends


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """An account as the database has it now."""

    id: AccountId
    tenant_id: TenantId
    tenant: str
    name: str
    phone: str
    transport: str
    role: str
    priority: int
    metadata: dict[str, Any]
    settings: dict[str, Any]
    enabled: bool
    credentials: str | None = None  # in plain, where the file has some to compare with
    password: str | None = None  # of the proxy in its settings, likewise


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """An account as the file has it, read and found sound."""

    tenant: str
    at: str  # where in the file, as "tenants[0].accounts[2]."
    new: Checked


def read(text: str, *, environment: Mapping[str, str]) -> FleetFile:
    """Read a fleet file. Raises Invalid naming the path in the file and the remedy."""
    return from_data(_resolved(core_yaml.load(text), "", environment))


def from_data(raw: object) -> FleetFile:
    """Read a fleet file's content as builtin values. Raises Invalid naming the path and the remedy."""
    file = convert(raw, FleetFile)
    entries(file)
    return file


def entries(file: FleetFile, check: Callable[..., Checked] = checked) -> list[Wanted]:
    """Return every account of the file, sound and without duplicates. Raises Invalid naming the path."""
    found: list[Wanted] = []
    tenants, phones, names = _Once("tenant"), _Once("number"), _Once("name")
    for t, tenant in enumerate(file.tenants):
        tenants.add(tenant.name.strip().casefold(), f"tenants[{t}].name")
        for a, entry in enumerate(tenant.accounts):
            at = f"tenants[{t}].accounts[{a}]."
            given = {name: value for name, value in msgspec.structs.asdict(entry).items() if value is not UNSET}
            new = check(cast(Fields, given), at=at)
            phones.add(str(new.phone), f"{at}phone")
            if new.name is not None:
                names.add(f"{t} {new.name.casefold()}", f"{at}name")
            found.append(Wanted(tenant=tenant.name.strip(), at=at, new=new))
    return found


def plan(
    file: FleetFile,
    standing: Sequence[Standing],
    *,
    tenants: Sequence[str] = (),
    prune: bool = False,
    check: Callable[..., Checked] = checked,
) -> list[Change]:
    """Compare a file with what there is; pure. Removals come first, then tenants, then accounts as in the file.

    tenants    names of those there are, with or without accounts

    Raises Conflict when a number of the file belongs to another tenant.
    """
    wanted, known = entries(file, check), {one.phone: one for one in standing}
    there = {name.casefold() for name in tenants} | {one.tenant.casefold() for one in standing}
    named = {tenant.name.strip() for tenant in file.tenants}
    changes = list(_unnamed(standing, wanted, {name.casefold() for name in named}, prune))
    changes += [
        Change(action=Action.CREATE, kind="tenant", tenant=name, name=name)
        for name in dict.fromkeys(tenant.name.strip() for tenant in file.tenants)
        if name.casefold() not in there
    ]
    return changes + [_change(one, known.get(str(one.new.phone))) for one in wanted]


def _unnamed(
    standing: Sequence[Standing], wanted: Sequence[Wanted], tenants: set[str], prune: bool
) -> Iterator[Change]:
    phones = {one.new.phone for one in wanted}
    for one in standing:
        if one.tenant.casefold() in tenants and one.phone not in phones:
            action = Action.REMOVE if prune else Action.LEFT
            yield Change(
                action=action, kind="account", tenant=one.tenant, name=one.name, phone=one.phone, account=one.id
            )


def _change(wanted: Wanted, now: Standing | None) -> Change:
    new = wanted.new
    if now is None:
        return Change(
            action=Action.CREATE, kind="account", tenant=wanted.tenant, name=new.name or "", phone=str(new.phone)
        )
    if now.tenant.casefold() != wanted.tenant.casefold():
        sentence = f"{wanted.at}phone: this number belongs to the tenant {now.tenant!r}; remove it there first"
        raise Conflict(sentence, code="phone_taken")
    fields = tuple(_differences(_as_stored(new, now, wanted.at), now))
    return Change(
        action=Action.UPDATE if fields else Action.UNCHANGED,
        kind="account",
        tenant=now.tenant,
        name=new.name or now.name,
        phone=now.phone,
        account=now.id,
        fields=fields,
    )


def _as_stored(new: Checked, now: Standing, at: str) -> Checked:
    """Write credentials as they are stored, so that only others count as a change. Raises Invalid."""
    if new.credentials is None:
        return new
    transport = new.transport or now.transport
    return replace(new, credentials=check_credentials(transport, new.credentials, field=f"{at}credentials"))


def _differences(new: Checked, now: Standing) -> Iterator[FieldChange]:
    for field, after in new.public().items():
        if (before := getattr(now, field)) != after:
            yield FieldChange(field=field, before=before, after=after)
    if new.enabled is not None and new.enabled is not now.enabled:
        yield FieldChange(field="enabled", before=now.enabled, after=new.enabled)
    if new.password and new.password not in {HIDDEN, now.password}:
        yield FieldChange(field="password", before=HIDDEN if now.password else None, after=HIDDEN)
    if new.credentials is not None and new.credentials != now.credentials:
        before = f"...{hint(now.credentials)}" if now.credentials else None
        yield FieldChange(field="credentials", before=before, after=f"...{hint(new.credentials)}")


class _Once:
    """Remembers where each thing stood first, and refuses it the second time."""

    def __init__(self, what: str) -> None:
        self._what, self._first = what, dict[str, str]()

    def add(self, thing: str, at: str) -> None:
        first = self._first.setdefault(thing, at)
        if first != at:
            raise Invalid(at, f"{at}: the same {self._what} stands at {first}; remove one of the two", code="duplicate")


def _resolved(raw: Any, at: str, environment: Mapping[str, str], *, secret: bool = False) -> Any:
    match raw:
        case dict():
            values = cast(dict[Any, Any], raw)
            return {
                key: _resolved(value, f"{at}.{key}".lstrip("."), environment, secret=secret or key in SECRET)
                for key, value in values.items()
            }
        case list():
            items = cast(list[Any], raw)
            return [_resolved(item, f"{at}[{i}]", environment) for i, item in enumerate(items)]
        case str() if secret and (named := _REFERENCE.fullmatch(raw)):
            if named[1] not in environment:
                raise Invalid(at, f"{at}: the environment has no {named[1]}; set it before applying the file")
            return environment[named[1]]
        case _:
            return raw

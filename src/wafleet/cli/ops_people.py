"""Commands for tenants and users, on the database itself."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from wafleet.cli.options import DataDir, Json, JsonLines
from wafleet.cli.tables import moment, put_json, put_lines, show, state, table
from wafleet.cli.within import every, within

if TYPE_CHECKING:
    from wafleet.cli.database import Office
    from wafleet.tenants import Caller, Role, Tenant, User

tenants = typer.Typer(no_args_is_help=True, help="Add and list tenants: whoever owns numbers.")
users = typer.Typer(no_args_is_help=True, help="Add, list and change the people who sign in.")

Email = Annotated[str, typer.Argument(help="The person's address.", show_default=False)]
Stdin = Annotated[bool, typer.Option("--password-stdin", help="Read the password from standard input.")]


@tenants.command("create")
def create_tenant(
    name: Annotated[str, typer.Argument(help="Its name.", show_default=False)],
    as_json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """Add a tenant."""

    async def work(office: Office, caller: Caller) -> Tenant:
        return await office.tenants.create(caller, name)

    made = within(data_dir, work)
    put_json(made) if as_json else show(f"{made.name} is a tenant now ({made.id})")


@tenants.command("list")
def list_tenants(as_json: JsonLines = False, data_dir: DataDir = None) -> None:
    """List the tenants, in the order they were added."""

    async def work(office: Office, caller: Caller) -> list[Tenant]:
        return await every(lambda cursor: office.tenants.list(caller, cursor=cursor, limit=200))

    found = within(data_dir, work)
    if as_json:
        return put_lines(found)
    show(table("NAME", "ID", "ADDED", rows=[(one.name, one.id, moment(one.created_at)) for one in found], firm=["ID"]))


@users.command("create")
def create_user(
    email: Email,
    tenant: Annotated[str | None, typer.Option(help="The tenant they belong to, by name or id.")] = None,
    role: Annotated[str, typer.Option(help="owner, admin, operator, agent or viewer.")] = "viewer",
    platform_admin: Annotated[bool, typer.Option("--platform-admin", help="They administer the whole fleet.")] = False,
    name: Annotated[str, typer.Option(help="Their name.")] = "",
    password_stdin: Stdin = False,
    as_json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """Add a user. Without --password-stdin a password is made, and shown this once."""
    password = _password() if password_stdin else None

    async def work(office: Office, caller: Caller) -> tuple[User, str | None]:
        named = None if tenant is None else (await office.tenants.get(caller, tenant)).id
        made = await office.tenants.people.create(
            caller,
            email=email,
            name=name,
            password=password,
            tenant=named,
            role=_role(role),
            platform_admin=platform_admin,
        )
        return made.user, made.password

    _tell(*within(data_dir, work), as_json=as_json)


@users.command("list")
def list_users(as_json: JsonLines = False, data_dir: DataDir = None) -> None:
    """List the users and what they are in which tenant."""
    found = within(data_dir, _all_users)
    if as_json:
        return put_lines(found)
    rows = [(one.email, one.name, _roles(one), state("disabled" if one.disabled else "active")) for one in found]
    show(table("E-MAIL", "NAME", "ROLES", "STATE", rows=rows, firm=["STATE"]))


@users.command("set-password")
def set_password(email: Email, password_stdin: Stdin = False, as_json: Json = False, data_dir: DataDir = None) -> None:
    """Give a user another password; all their sign-ins end."""
    password = _password() if password_stdin else None

    async def work(office: Office, caller: Caller) -> tuple[User, str | None]:
        user = await _user(office, caller, email)
        made = await office.tenants.people.set_password(caller, user.id, password)
        return made.user, made.password

    _tell(*within(data_dir, work), as_json=as_json)


@users.command("disable")
def disable_user(email: Email, data_dir: DataDir = None) -> None:
    """Keep a user from signing in; every sign-in of theirs ends."""
    within(data_dir, lambda office, caller: _set_disabled(office, caller, email, True))
    show(f"{email} cannot sign in any more")


@users.command("enable")
def enable_user(email: Email, data_dir: DataDir = None) -> None:
    """Let a disabled user sign in again."""
    within(data_dir, lambda office, caller: _set_disabled(office, caller, email, False))
    show(f"{email} can sign in again")


def _tell(user: User, password: str | None, *, as_json: bool) -> None:
    if as_json:
        return put_json({"user": user, "password": password})
    return show(f"{user.email}: the password is {password} (shown this once)" if password else f"{user.email}: done")


def _password() -> str:
    return sys.stdin.readline().rstrip("\r\n")


def _role(written: str) -> Role:
    from wafleet.tenants import Role

    try:
        return Role(written.lower())
    except ValueError:
        raise typer.BadParameter(f"{written!r} is no role: use {', '.join(Role)}") from None


def _roles(user: User) -> str:
    if user.platform_admin:
        return "administers the whole fleet"
    return ", ".join(f"{one.role} of {one.name}" for one in user.memberships) or "none"


async def _all_users(office: Office, caller: Caller) -> list[User]:
    return await every(lambda cursor: office.tenants.people.list(caller, cursor=cursor, limit=200))


async def _user(office: Office, caller: Caller, email: str) -> User:
    from wafleet.domain.errors import NotFound

    for one in await _all_users(office, caller):
        if one.email.casefold() == email.strip().casefold():
            return one
    raise NotFound(f"There is no user {email!r}: see `wafleet user list`")


async def _set_disabled(office: Office, caller: Caller, email: str, disabled: bool) -> User:
    user = await _user(office, caller, email)
    return await office.tenants.people.change(caller, user.id, disabled=disabled)

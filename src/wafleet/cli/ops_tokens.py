"""Commands for API tokens, on the database itself."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from wafleet.cli.options import DataDir, Json, JsonLines, duration, words
from wafleet.cli.tables import day, note, put_json, put_lines, show, state, table
from wafleet.cli.within import every, within

if TYPE_CHECKING:
    from rich.text import Text

    from wafleet.cli.database import Office
    from wafleet.tenants import Caller, Made, Scope, Token

tokens = typer.Typer(no_args_is_help=True, help="Make, list and revoke API tokens.")


@tokens.command("create")
def create_token(
    tenant: Annotated[str | None, typer.Option(help="Its tenant, by name or id; left out: the whole fleet.")] = None,
    scopes: Annotated[str, typer.Option(help="read, send, control, admin; with commas.")] = "read",
    name: Annotated[str, typer.Option(help="What it is for.")] = "made by a command",
    accounts: Annotated[str | None, typer.Option(help="Only these accounts: ids, phones or names.")] = None,
    expires: Annotated[str | None, typer.Option(help="After how long, such as 30d; left out: never.")] = None,
    as_json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """Make an API token and print it, this once: the token alone stands on standard output."""
    after = None if expires is None else duration(expires)

    async def work(office: Office, caller: Caller) -> Made:
        named = None if tenant is None else (await office.tenants.get(caller, tenant)).id
        return await office.tenants.tokens.make(
            caller if named is None else caller.looking_at(named),
            name=name,
            tenant=named,
            scopes=_scopes(scopes),
            accounts=None if accounts is None else await _accounts(office, caller, accounts),
            expires_at=None if after is None else office.clock.now() + after,
        )

    made = within(data_dir, work)
    if as_json:
        import msgspec

        put_json({"token": made.secret} | msgspec.to_builtins(made.token))
        return
    note(f"{made.token.name}: {', '.join(made.token.scopes)} for {tenant or 'the whole fleet'}; it is shown this once")
    typer.echo(made.secret)


@tokens.command("list")
def list_tokens(as_json: JsonLines = False, data_dir: DataDir = None) -> None:
    """List tokens, newest first, without their secrets."""

    async def work(office: Office, caller: Caller) -> list[tuple[Token, str, datetime]]:
        names = {one.id: one.name for one in await every(lambda c: office.tenants.list(caller, cursor=c, limit=200))}
        found = await every(lambda cursor: office.tenants.tokens.list(caller, cursor=cursor, limit=200))
        return [(one, names[one.tenant] if one.tenant else "the whole fleet", office.clock.now()) for one in found]

    found = within(data_dir, work)
    if as_json:
        return put_lines([one for one, _, _ in found])
    rows = [
        (one.id, one.name, whose, f"...{one.hint}", " ".join(one.scopes), _standing(one, now))
        for one, whose, now in found
    ]
    show(
        table(
            "ID",
            "NAME",
            "TENANT",
            "ENDS IN",
            "SCOPES",
            "STATE",
            rows=rows,
            firm=["ID", "STATE"],
            spare=["ENDS IN", "TENANT"],
        )
    )


@tokens.command("revoke")
def revoke_token(
    token: Annotated[UUID, typer.Argument(metavar="ID", help="Its id, from `wafleet token list`.", show_default=False)],
    data_dir: DataDir = None,
) -> None:
    """Revoke a token; within two seconds it opens nothing any more."""

    async def work(office: Office, caller: Caller) -> Token:
        return await office.tenants.tokens.revoke(caller, token)

    show(f"{within(data_dir, work).name} is revoked")


def _scopes(written: str) -> list[Scope]:
    from wafleet.tenants import Scope

    known = {scope.value: scope for scope in Scope}
    for word in words(written):
        if word not in known:
            raise typer.BadParameter(f"{word!r} is no scope: use {', '.join(known)}")
    return [known[word] for word in words(written)]


async def _accounts(office: Office, caller: Caller, written: str) -> list[UUID]:
    """Ids of accounts that were named by id, phone in any spelling, name or role; names may hold spaces."""
    from wafleet.accounts import Accounts
    from wafleet.engine.wakes import Wakes

    accounts = Accounts(office.db, secrets=_NoSecrets(), wakes=Wakes(office.dsn, node="cli"), transports={})
    named = [one.strip() for one in written.split(",") if one.strip()]
    return [(await accounts.resolve(caller, one)).id for one in named]


class _NoSecrets:
    """Looking accounts up needs none."""

    def encrypt(self, plain: bytes, *, about: bytes) -> bytes:
        raise AssertionError(f"nothing about {about!r} is to be stored ({len(plain)} bytes)")

    def decrypt(self, stored: bytes, *, about: bytes) -> bytes:
        raise AssertionError(f"nothing about {about!r} is to be read ({len(stored)} bytes)")


def _standing(token: Token, now: datetime) -> Text:
    if token.revoked_at is not None:
        return state("revoked")
    if token.expires_at is not None and token.expires_at <= now:
        return state("expired")
    return state(f"until {day(token.expires_at)}" if token.expires_at else "valid")

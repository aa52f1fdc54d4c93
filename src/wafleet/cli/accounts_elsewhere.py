"""`wafleet accounts register | move | webhook`: numbers that live at providers."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from wafleet.cli.calling import AccountName, connected
from wafleet.cli.options import DataDir, Json
from wafleet.cli.remote_accounts import accounts, answer
from wafleet.cli.sentences import NOT_WELL
from wafleet.cli.tables import facts, moment, put_json, show

SECRETS = frozenset(
    {"accountSid", "authToken", "accessToken", "appSecret", "verifyToken", "apiKey", "hmacKey"}
    | {"account_sid", "auth_token", "access_token", "app_secret", "verify_token", "api_key", "hmac_key"}
)
Form = Annotated[
    list[str] | None,
    typer.Option("--set", help="key=value; as often as needed. Value - is read from stdin, a line each."),
]


@accounts.command("register")
def register(
    name: Annotated[str, typer.Argument(help="What people call it.", show_default=False)],
    phone: Annotated[str, typer.Argument(help="Its number, in any usual spelling.", show_default=False)],
    given: Form = None,
    tenant: Annotated[str | None, typer.Option(help="Who owns it, by name or id.")] = None,
    as_json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """Add a sender at Twilio: --set accountSid=AC... --set authToken=- --set senderSid=XE..."""
    form = {"name": name, "whatsappNumber": phone, **_pairs(given)}
    with connected(data_dir) as client:
        made = client.register_account(form, tenant=tenant)
        hook = client.webhook(made.id)
    answer(made, as_json)
    if not as_json:
        show(f"\nEnter this address at the provider: {hook.url}")


@accounts.command("move")
def move(
    account: AccountName,
    to: Annotated[str, typer.Option("--to", help="The transport it moves to: twilio, meta, gateway, device, ...")],
    given: Form = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what it would mean, and change nothing.")] = False,
    as_json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """Move an account to another transport. Its history stays, and so do the messages that wait."""
    pairs = _pairs(given)
    secrets = {name: value for name, value in pairs.items() if name in SECRETS}
    own = {_snake(name): value for name, value in pairs.items() if name not in SECRETS}
    settings: dict[str, Any] = {to: own} if own else {}
    with connected(data_dir) as client:
        moved = client.move_account(account, to, settings=settings, credentials=secrets or None, dry_run=dry_run)
        hook = client.webhook(moved.account.id)
    if as_json:
        return put_json(moved)
    if dry_run:
        return show("\n".join([f"This would move {moved.account.name} from {moved.was} to {to}.", *moved.notes]))
    answer(moved.account, as_json)
    show("\n".join(["", f"Moved from {moved.was} to {to}.", *moved.notes]))
    if to in {"twilio", "meta", "gateway"}:
        show(f"Enter this address at the provider: {hook.url}")
    return None


@accounts.command("webhook")
def webhook(account: AccountName, as_json: Json = False, data_dir: DataDir = None) -> None:
    """Show where an account's network is to call, and whether it does. Exit status 3 when it has not."""
    with connected(data_dir) as client:
        found = client.webhook(account)
    if as_json:
        put_json(found)
    else:
        show(
            facts(
                ("address", found.url),
                ("last call", "never" if found.last_call_at is None else moment(found.last_call_at)),
                ("last refused", "never" if found.call_refused_at is None else moment(found.call_refused_at)),
                ("why", found.call_refused),
                ("so", found.sentence),
            )
        )
    if found.last_call_at is None:
        raise typer.Exit(NOT_WELL)


def _pairs(given: list[str] | None) -> dict[str, Any]:
    pairs: dict[str, Any] = {}
    for one in given or []:
        name, equals, value = one.partition("=")
        if not (name and equals):
            raise typer.BadParameter(f"--set {name}: write it as key=value")
        pairs[name] = sys.stdin.readline().strip() if value == "-" else value
    return pairs


def _snake(name: str) -> str:
    """Read the camelCase of older systems as well."""
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name)

"""`wafleet accounts register | move | webhook`: numbers that live at providers."""

from __future__ import annotations

from typing import Annotated

import typer

from wafleet.cli.calling import AccountName, connected
from wafleet.cli.options import DataDir, Json
from wafleet.cli.pairs import Pairs, divided, read_pairs
from wafleet.cli.remote_accounts import accounts, answer_with_address
from wafleet.cli.sentences import NOT_WELL
from wafleet.cli.tables import facts, moment, put_json, show


@accounts.command("register")
def register(
    name: Annotated[str, typer.Argument(help="What people call it.", show_default=False)],
    phone: Annotated[str, typer.Argument(help="Its number, in any usual spelling.", show_default=False)],
    given: Pairs = None,
    tenant: Annotated[str | None, typer.Option(help="Who owns it, by name or id.")] = None,
    as_json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """Add a sender at Twilio: --set accountSid=AC... --set authToken=- --set senderSid=XE..."""
    form = {"name": name, "whatsappNumber": phone, **read_pairs(given)}
    with connected(data_dir) as client:
        made = client.register_account(form, tenant=tenant)
        answer_with_address(client, made, as_json)


@accounts.command("move")
def move(
    account: AccountName,
    to: Annotated[str, typer.Option("--to", help="The transport it moves to: twilio, meta, gateway, device, ...")],
    given: Pairs = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what it would mean, and change nothing.")] = False,
    as_json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """Move an account to another transport. Its history stays, and so do the messages that wait."""
    settings, credentials = divided(to, read_pairs(given))
    with connected(data_dir) as client:
        moved = client.move_account(account, to, settings=settings, credentials=credentials or None, dry_run=dry_run)
        if as_json:
            return put_json(moved)
        if dry_run:
            return show("\n".join([f"This would move {moved.account.name} from {moved.was} to {to}.", *moved.notes]))
        answer_with_address(client, moved.account, as_json)
    return show("\n".join(["", f"Moved from {moved.was} to {to}.", *moved.notes]))


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

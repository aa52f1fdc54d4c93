"""How commands reach wafleet, and what they share."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Generator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

if TYPE_CHECKING:
    from wafleet.client import Client

COMPLETIONS = 50


@contextmanager
def connected(data_dir: Path | None, tenant: str | None = None) -> Generator[Client]:
    """Yield a client for the wafleet that is meant."""
    from wafleet.client import Client

    with Client.from_env(data_dir, tenant=tenant) as client:
        yield client


def account_id(client: Client, written: str | None) -> UUID | None:
    """Return the id of the account that was named, if one was."""
    return None if written is None else client.account(written).id


def names(client: Client) -> dict[UUID, str]:
    """Return the names of all accounts in reach."""
    from wafleet.client import every

    return {one.id: one.name for one in every(lambda cursor: client.accounts(cursor=cursor, limit=1000))}


def now() -> datetime:
    """Return the time of this machine."""
    from wafleet.engine.clock import SystemClock

    return SystemClock().now()


def sure(question: str, yes: bool) -> None:
    """Ask whether it is meant; where nobody can answer, --yes must have said so."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise typer.BadParameter("nobody is there to confirm it: say --yes")
    typer.confirm(question, abort=True, err=True)


def complete_account(incomplete: str) -> list[tuple[str, str]]:
    """Offer the names of accounts to a shell; a wafleet that does not answer offers none."""
    with contextlib.suppress(Exception), connected(None) as client:
        found = client.accounts(q=incomplete or None, limit=COMPLETIONS).items
        return [(one.name, f"{one.phone} {one.state}") for one in found]
    return []


ACCOUNT_HELP = "An id, a phone in any spelling, a name, or a role."
AccountName = Annotated[
    str, typer.Argument(metavar="ACCOUNT", help=ACCOUNT_HELP, show_default=False, autocompletion=complete_account)
]
OfAccount = Annotated[
    str | None, typer.Option("--account", help=f"Only this account. {ACCOUNT_HELP}", autocompletion=complete_account)
]

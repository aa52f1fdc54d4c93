"""Sending, and looking at messages, conversations and the ledger."""

from __future__ import annotations

import sys
import time
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Final
from uuid import UUID

import typer

from wafleet.cli.calling import OfAccount, account_id, connected, names, now
from wafleet.cli.options import DataDir, Json, JsonLines, TenantName, duration
from wafleet.cli.sentences import NOT_WELL
from wafleet.cli.tables import ago, facts, mark, moment, put_json, put_lines, safe, show, state, table

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    from wafleet.client import Client
    from wafleet.client.answers import Conversation, Ledger, Message

UNDER_WAY: Final = frozenset({"queued", "sending"})
GONE: Final = frozenset({"sent", "delivered", "read"})
SUMS: Final = ("received", "stored", "handled", "queued", "sent", "failed", "cancelled", "unknown", "waiting")
ALWAYS: Final = frozenset(SUMS[:5])  # the others are shown where there are any
LOOK_S: Final = 0.2
DAY: Final = ["%Y-%m-%d"]
messages = typer.Typer(invoke_without_command=True, help="List messages, newest first; show and cancel them.")
MessageId = Annotated[UUID, typer.Argument(metavar="ID", help="The message's id.", show_default=False)]
Most = Annotated[int, typer.Option("--limit", min=1, max=100_000, help="How many at most.")]


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(send)
    app.add_typer(messages, name="messages")
    app.command()(conversations)
    app.command()(ledger)


def send(
    to: Annotated[str, typer.Argument(help="The recipient's phone, in any usual spelling.", show_default=False)],
    text: Annotated[str, typer.Argument(help="What to say; - reads it from standard input.", show_default=False)],
    account: OfAccount = None,
    key: Annotated[str | None, typer.Option(help="The same key names the same message for a week.")] = None,
    at: Annotated[datetime | None, typer.Option(help="Not before this time, in UTC.")] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until it has left, else exit status 3.")] = False,
    limit: Annotated[str, typer.Option("--within", help="How long --wait waits.")] = "60s",
    tenant: TenantName = None,
    as_json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """Queue one message. It survives a crash, and is sent once."""
    said = sys.stdin.read() if text == "-" else text
    patience = duration(limit).total_seconds()
    with connected(data_dir, tenant) as client:
        due = at.replace(tzinfo=now().tzinfo) if at else None
        queued = client.send(to, said, account=account_id(client, account), key=key, due_at=due)
        if not wait:
            return put_json(queued) if as_json else show(f"{queued.id} is {queued.state}. {queued.why}")
        message = _settled(client, queued.id, patience)
    put_json(message) if as_json else show(f"{message.id} is {message.state}. {message.why}".rstrip())
    if message.state not in GONE:
        raise typer.Exit(NOT_WELL)
    return None


def _settled(client: Client, id: UUID, patience_s: float) -> Message:
    deadline = time.monotonic() + patience_s
    while True:
        message = client.message(id)
        if message.state not in UNDER_WAY or time.monotonic() > deadline:
            return message
        time.sleep(LOOK_S)


@messages.callback()
def list_messages(
    context: typer.Context,
    account: OfAccount = None,
    conversation: Annotated[UUID | None, typer.Option(help="Only this conversation.")] = None,
    where: Annotated[str | None, typer.Option("--state", help="received, queued, sent, failed, unknown, ...")] = None,
    search: Annotated[str | None, typer.Option(help='Words; "a phrase", -without.')] = None,
    limit: Most = 50,
    tenant: TenantName = None,
    as_json: JsonLines = False,
    data_dir: DataDir = None,
) -> None:
    """List messages, newest first."""
    if context.invoked_subcommand is not None:
        return
    from wafleet.client import every

    with connected(data_dir, tenant) as client:
        of = account_id(client, account)
        found = list(
            every(
                lambda cursor: client.messages(
                    account=of, conversation=conversation, state=where, q=search, cursor=cursor, limit=min(limit, 200)
                ),
                most=limit,
            )
        )
        known = {} if as_json else names(client)
    put_lines(found) if as_json else _messages(found, known)


def _messages(found: list[Message], known: Mapping[UUID, str]) -> None:
    time = now()
    rows = [
        (
            ago(one.created_at, time),
            known.get(one.account, str(one.account)),
            "from" if one.direction == "in" else "to",
            one.from_ if one.direction == "in" else one.to,
            state(one.state),
            _words(one),
            one.id,
        )
        for one in found
    ]
    columns = ("AGE", "ACCOUNT", "", "WHO", "STATE", "WORDS", "ID")
    show(table(*columns, rows=rows, firm=["AGE", "", "WHO", "STATE", "ID"], spare=["ID"]))


def _words(one: Message) -> str:
    said = one.content.get("text") or one.content.get("name") or f"({one.content.get('type', 'message')})"
    return f"{said} -- {one.why}" if one.state in {"failed", "unknown", "queued"} and one.why else str(said)


@messages.command("show")
def show_message(id: MessageId, as_json: Json = False, data_dir: DataDir = None) -> None:
    """Show one message with all that is known of its way."""
    with connected(data_dir) as client:
        one = client.message(id)
        speaks = None if as_json else client.account(one.account)
    if as_json or speaks is None:
        return put_json(one)
    show(
        facts(
            ("id", one.id),
            ("account", f"{speaks.name} ({speaks.phone})"),
            ("from", one.from_),
            ("to", one.to),
            ("words", one.content.get("text", "")),
            ("content", "" if one.content.get("type") == "text" else str(one.content)),
            ("state", state(one.state)),
            ("why", one.why),
            ("detail", one.detail),
            ("network's id", one.provider_id),
            *((name, moment(getattr(one, f"{name}_at"))) for name in ("created", "due", "retry", "sending")),
            *((name, moment(getattr(one, f"{name}_at"))) for name in ("sent", "delivered", "read", "ended")),
        )
    )
    return None


@messages.command("cancel")
def cancel_message(id: MessageId, as_json: Json = False, data_dir: DataDir = None) -> None:
    """Cancel a message that still waits."""
    with connected(data_dir) as client:
        done = client.cancel(id)
    put_json({"id": id, "state": done.state}) if as_json else show(f"{id} is {done.state}")


def conversations(
    account: OfAccount = None,
    where: Annotated[str | None, typer.Option("--state", help="open or closed.")] = None,
    unread: Annotated[bool, typer.Option("--unread", help="Only those with messages nobody has read.")] = False,
    search: Annotated[str | None, typer.Option(help="Look for this in names, phones and newest words.")] = None,
    limit: Most = 50,
    tenant: TenantName = None,
    as_json: JsonLines = False,
    data_dir: DataDir = None,
) -> None:
    """List conversations, the one with the newest message first."""
    from wafleet.client import every

    with connected(data_dir, tenant) as client:
        of = account_id(client, account)
        found = list(
            every(
                lambda cursor: client.conversations(
                    account=of, state=where, unread=unread or None, q=search, cursor=cursor, limit=min(limit, 200)
                ),
                most=limit,
            )
        )
        known = {} if as_json else names(client)
    put_lines(found) if as_json else _conversations(found, known)


def _conversations(found: list[Conversation], known: Mapping[UUID, str]) -> None:
    from rich.text import Text

    time = now()
    rows = [
        (
            ago(one.last_message_at, time),
            known.get(one.account, str(one.account)),
            one.identity,
            one.name,
            one.unread or "",
            state(one.state),
            Text(f"{'<' if one.last_direction == 'in' else '>'} {safe(one.last_words)}"),
            one.id,
        )
        for one in found
    ]
    columns = ("AGE", "ACCOUNT", "WITH", "NAME", "UNREAD", "STATE", "LAST WORDS", "ID")
    spare = ["ID", "UNREAD", "STATE", "NAME"]
    show(table(*columns, rows=rows, right=["UNREAD"], firm=["AGE", "WITH", "STATE", "ID"], spare=spare))


def ledger(
    day: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="One day, UTC; left out: today.")] = None,
    first: Annotated[
        datetime | None, typer.Option("--from", formats=["%Y-%m-%d"], help="The first of several.")
    ] = None,
    last: Annotated[datetime | None, typer.Option("--to", formats=["%Y-%m-%d"], help="The last of several.")] = None,
    account: OfAccount = None,
    tenant: TenantName = None,
    as_json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """Prove that nothing is missing: received = stored = handled, queued = all that became of it.

    Exit status 3 when it does not add up.
    """
    with connected(data_dir, tenant) as client:
        of = account_id(client, account)
        drawn = client.ledger(day=_date(day), first=_date(first), last=_date(last), account=of)
    put_json(drawn) if as_json else _ledger(drawn)
    if not drawn.balanced:
        raise typer.Exit(NOT_WELL)


def _date(written: datetime | None) -> date | None:
    return written.date() if written else None


def _ledger(drawn: Ledger) -> None:
    fields = [field for field in SUMS if field in ALWAYS or getattr(drawn.totals, field)]
    lines = [(one.name, str(one.day), one, one.balanced) for one in drawn.lines]
    rows = [
        (name, day, *(getattr(sums, field) for field in fields), mark(adds_up))
        for name, day, sums, adds_up in [*lines, ("all", "", drawn.totals, drawn.balanced)]
    ]
    heads = [field.upper() for field in fields]
    spare = ["DAY"] if drawn.first == drawn.last else []
    show(table("ACCOUNT", "DAY", *heads, "ADDS UP", rows=rows, right=heads, firm=["DAY", "ADDS UP"], spare=spare))
    show(drawn.sentence)

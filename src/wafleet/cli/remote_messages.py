"""Sending, and looking at messages, conversations and the ledger."""

from __future__ import annotations

import sys
import time
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final
from uuid import UUID

import typer

from wafleet.cli.calling import AccountName, OfAccount, account_id, connected, names, now
from wafleet.cli.contents import (
    Approved,
    Asked,
    AudioFile,
    Correct,
    DocumentFile,
    Emoji,
    Filled,
    ImageFile,
    Language,
    Offer,
    On,
    Place,
    ReplyTo,
    StickerFile,
    TakeBack,
    VideoFile,
    Words,
)
from wafleet.cli.options import DataDir, Json, JsonLines, TenantName, duration
from wafleet.cli.sentences import NOT_WELL
from wafleet.cli.tables import ago, facts, mark, moment, put_json, put_lines, safe, show, span, state, table

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
    app.command()(templates)
    app.command()(conversations)
    app.command()(ledger)


def send(
    to: Annotated[str, typer.Argument(help="The recipient's phone, in any usual spelling.", show_default=False)],
    text: Words = None,
    account: OfAccount = None,
    image: ImageFile = None,
    video: VideoFile = None,
    audio: AudioFile = None,
    document: DocumentFile = None,
    sticker: StickerFile = None,
    location: Place = None,
    reply_to: ReplyTo = None,
    react: Emoji = None,
    on: On = None,
    edit: Correct = None,
    take_back: TakeBack = None,
    offer: Offer = None,
    template: Approved = None,
    language: Language = "",
    filled: Filled = None,
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
    files = {"image": image, "video": video, "audio": audio, "document": document, "sticker": sticker}
    asked = Asked(files, location, reply_to, react, on, edit, take_back, offer or [], template, language, filled or [])
    patience = duration(limit).total_seconds()
    with connected(data_dir, tenant) as client:
        due = at.replace(tzinfo=now().tzinfo) if at else None
        speaks = client.account(account) if account else None
        content = asked.content(client, said, tenant=tenant or (str(speaks.tenant) if speaks else None))
        queued = client.send(to, content=content, account=speaks and speaks.id, key=key, due_at=due)
        told = _settled(client, queued.id, patience) if wait else queued
    put_json(told) if as_json else show(f"{told.id} is {told.state}. {told.why}".rstrip())
    if wait and told.state not in GONE:
        raise typer.Exit(NOT_WELL)


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
    content = one.content
    said = content.get("text") or content.get("caption") or content.get("emoji") or content.get("name")
    said = said or content.get("title")
    said = f"({content.get('type', 'message')}) {said or ''}".strip() if content.get("type") != "text" else said
    said = "(taken back)" if one.deleted_at else one.edited.text if one.edited else said
    said = " ".join([str(said), *(put.emoji for put in one.reactions)])
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
            ("reactions", " ".join(f"{put.emoji} {put.direction}" for put in one.reactions)),
            ("new words", one.edited.text if one.edited else ""),
            ("taken back", moment(one.deleted_at)),
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


@messages.command("file")
def save_file(
    id: MessageId,
    to: Annotated[Path | None, typer.Option("--output", "-o", help="Where to; - writes it to standard output.")] = None,
    data_dir: DataDir = None,
) -> None:
    """Save the file that a message carries, under the name it came with or its id."""
    with connected(data_dir) as client:
        file: dict[str, str] = client.message(id).content.get("media") or {}
        if not file.get("id"):
            raise typer.BadParameter("this message carries no file, or it could not be fetched")
        content = client.media(file["id"])
    if to == Path("-"):
        sys.stdout.buffer.write(content)
        return
    path = to or Path(Path(file.get("name") or file["id"][:12]).name)  # a customer chose the name: never a folder
    if to is None and path.exists():
        raise typer.BadParameter(f"{path} is there already: say where to with --output")
    path.write_bytes(content)
    show(f"{path}: {len(content)} bytes, {file.get('mime', '')}")


def templates(account: AccountName, as_json: JsonLines = False, data_dir: DataDir = None) -> None:
    """List the templates that the network approved for an account: they may be sent at any time."""
    with connected(data_dir) as client:
        found = client.templates(account)
    if as_json:
        return put_lines(found)
    rows = [(one.name, one.language, one.status.lower(), ", ".join(one.variables), safe(one.text)) for one in found]
    show(table("NAME", "LANGUAGE", "STATUS", "BLANKS", "WORDS", rows=rows, firm=["NAME", "LANGUAGE"], folded=["WORDS"]))
    return None


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

    time, windows = now(), any(one.window != "always" for one in found)
    rows = [
        (
            ago(one.last_message_at, time),
            known.get(one.account, str(one.account)),
            one.identity,
            one.name,
            one.unread or "",
            state(one.state),
            *([_window(one, time)] if windows else []),
            Text(f"{'<' if one.last_direction == 'in' else '>'} {safe(one.last_words)}"),
            one.id,
        )
        for one in found
    ]
    columns = ["AGE", "ACCOUNT", "WITH", "NAME", "UNREAD", "STATE", *(["WINDOW"] * windows), "LAST WORDS", "ID"]
    spare = ["ID", "UNREAD", "STATE", "NAME"]
    show(table(*columns, rows=rows, right=["UNREAD"], firm=["AGE", "WITH", "STATE", "ID"], spare=spare))


def _window(one: Conversation, time: datetime) -> str:
    """Say for how long anything may be written; afterwards only templates may."""
    return f"{span(one.window_until - time)} left" if one.window == "open" and one.window_until else one.window


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

"""`wafleet apply` and `wafleet import-bots`: the fleet as a file."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from wafleet.cli.calling import connected, sure
from wafleet.cli.options import DataDir, Json
from wafleet.cli.tables import note, put_json, safe, show

if TYPE_CHECKING:
    from wafleet.client.fleet_answers import Applied, FleetChange

SIGNS: Final = {"create": ("+", "green"), "update": ("~", "yellow"), "remove": ("-", "red")}
File = Annotated[Path, typer.Argument(help="The file; - reads standard input.", show_default=False)]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would change, and change nothing.")]
Prune = Annotated[bool, typer.Option("--prune", help="Delete accounts of the file's tenants that it does not name.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask before accounts are deleted.")]


def apply(
    file: File,
    dry_run: DryRun = False,
    prune: Prune = False,
    yes: Yes = False,
    tenant: Annotated[str | None, typer.Option(help="Apply only this tenant's part of the file.")] = None,
    as_json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """Bring tenants and accounts to what a fleet file says, all of it or nothing. Again changes nothing.

    With --json: `dry_run`, and `changes`, each with `action` (create, update, remove, left, unchanged).
    """
    from wafleet.accounts import read_fleet_file

    read = read_fleet_file(_text(file), environment=os.environ)
    content = _part(_content(read), tenant)
    _carry_out(content, dry_run=dry_run, prune=prune, yes=yes, as_json=as_json, data_dir=data_dir)


def import_bots(
    file: File,
    tenant: Annotated[str, typer.Option(help="Whose accounts they become.", show_default=False)],
    transport: Annotated[str, typer.Option(help="Of bots that name none.")] = "simulator",
    dry_run: DryRun = False,
    as_json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """Import the accounts of an older system's bots-config.json. What cannot be taken over is said on stderr."""
    from wafleet.accounts import read_bots_config

    imported = read_bots_config(_text(file), tenant=tenant, transport=transport)
    for one in imported.notes:
        note(f"{one.path}: {one.sentence}")
    _carry_out(_content(imported.file), dry_run=dry_run, prune=False, yes=True, as_json=as_json, data_dir=data_dir)


def _carry_out(
    content: Mapping[str, Any], *, dry_run: bool, prune: bool, yes: bool, as_json: bool, data_dir: Path | None
) -> None:
    with connected(data_dir) as client:
        if prune and not dry_run and not yes:
            removed = [one for one in client.apply_fleet(content, dry_run=True, prune=True).changes if _removes(one)]
            if removed:
                note("\n".join(f"- {one.name} {one.phone} ({one.tenant})" for one in removed))
                sure(f"Delete {len(removed)} accounts?", yes=False)
        applied = client.apply_fleet(content, dry_run=dry_run, prune=prune)
    put_json(applied) if as_json else _show(applied)


def _removes(change: FleetChange) -> bool:
    return change.action == "remove"


def _show(applied: Applied) -> None:
    from rich.text import Text

    for one in applied.changes:
        if one.action in SIGNS:
            sign, style = SIGNS[one.action]
            what = f"tenant {safe(one.name)}" if one.kind == "tenant" else f"{safe(one.name)} {one.phone}"
            show(Text(f"{sign} {what}", style=style))
            for field in one.fields:
                show(Text(f"    {field.field}: {_value(field.before)} -> {_value(field.after)}"))
    show(_summary(applied))


def _summary(applied: Applied) -> str:
    n = {action: sum(one.action == action for one in applied.changes) for action in (*SIGNS, "left", "unchanged")}
    said = f"{n['create']} created, {n['update']} changed, {n['remove']} deleted, {n['unchanged']} as they were."
    left = f" {n['left']} are not in the file and stay: --prune deletes them." if n["left"] else ""
    return said + left + (" This was a dry run: nothing was changed." if applied.dry_run else "")


def _value(value: object) -> str:
    import msgspec

    return safe(msgspec.json.encode(value).decode())


def _content(file: object) -> dict[str, Any]:
    import msgspec

    return msgspec.to_builtins(file)


def _part(content: dict[str, Any], tenant: str | None) -> dict[str, Any]:
    if tenant is None:
        return content
    part = [one for one in content["tenants"] if one["name"].strip().casefold() == tenant.strip().casefold()]
    if not part:
        raise typer.BadParameter(f"the file has no tenant {tenant!r}")
    return content | {"tenants": part}


def _text(file: Path) -> str:
    try:
        return sys.stdin.read() if str(file) == "-" else file.read_text("utf-8")
    except UnicodeDecodeError:
        raise typer.BadParameter(f"{file} is not text in UTF-8") from None

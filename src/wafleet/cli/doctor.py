"""`wafleet doctor`: what is wrong with an installation, line by line, each with its remedy. It changes nothing."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from wafleet.cli.options import DataDir, JsonLines
from wafleet.cli.tables import put_lines, show, state, table
from wafleet.cli.within import hush

if TYPE_CHECKING:
    from wafleet.cli.findings import Finding
    from wafleet.config import Settings


def doctor(as_json: JsonLines = False, data_dir: DataDir = None) -> None:
    """Explain what is wrong with this installation. Exit status 1 when something is bad."""
    import asyncio

    hush()
    found = asyncio.run(_examine(data_dir))
    if as_json:
        put_lines(found)
    else:
        _show(found)
    if any(one.level == "bad" for one in found):
        raise typer.Exit(1)


async def _examine(data_dir: Path | None) -> list[Finding]:
    from wafleet.cli.database import settings_of
    from wafleet.cli.findings import Finding
    from wafleet.config import SettingsError

    try:
        settings = settings_of(data_dir)
    except SettingsError as error:
        return [Finding("settings", "bad", str(error), "Correct it; nothing else can be looked at until then.")]
    found = [Finding("settings", "ok", f"all names and values are known; data folder {settings.data_dir}")]
    return found + [one async for one in _parts(settings)]


async def _parts(settings: Settings) -> AsyncGenerator[Finding]:
    import asyncio

    from wafleet.cli import doctor_database, doctor_machine

    for look in (
        doctor_machine.folder,
        doctor_machine.space,
        doctor_machine.port,
        doctor_machine.simulator,
        doctor_machine.devices,
    ):
        yield await asyncio.to_thread(look, settings)
    async for one in doctor_database.looks(settings):
        yield one


def _show(found: Sequence[Finding]) -> None:
    rows = [(state(one.level), one.subject, one.says) for one in found]
    show(table("", "WHAT", "FINDING", rows=rows, firm=["", "WHAT"], folded=["FINDING"]))
    for one in found:
        if one.remedy:
            show(f"{one.subject}: {one.remedy}")

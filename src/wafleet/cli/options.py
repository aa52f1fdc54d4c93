"""Options that many commands share, and how what a person typed is read."""

import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Final

import typer

DataDir = Annotated[
    Path | None,
    typer.Option("--data-dir", help="Folder of database, logs and keys.", show_default=False, rich_help_panel="Where"),
]
Json = Annotated[bool, typer.Option("--json", help="One JSON document, for scripts.")]
JsonLines = Annotated[bool, typer.Option("--json", help="One JSON object per line, for scripts.")]
TenantName = Annotated[
    str | None, typer.Option("--tenant", help="Only this tenant, by name or id.", show_default=False)
]

_DURATION: Final = re.compile(r"(\d{1,6})\s*([smhdw])", re.IGNORECASE)
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def duration(written: str) -> timedelta:
    """Read a duration such as 90s, 30m, 12h, 30d or 2w."""
    found = _DURATION.fullmatch(written.strip())
    if found is None or int(found[1]) == 0:
        raise typer.BadParameter(f"{written!r} is no duration: write it like 30m, 12h or 30d")
    return timedelta(**{_UNITS[found[2].lower()]: int(found[1])})


def words(written: str) -> list[str]:
    """Read a list such as `read,send`."""
    return [word for word in re.split(r"[,\s]+", written.strip()) if word]

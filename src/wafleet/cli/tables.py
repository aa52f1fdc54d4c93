"""What people see on a terminal: tables, colours that never stand alone, and texts that cannot play tricks."""

import os
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import cache
from typing import Any, Final

import typer
from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

ISOLATE, END_ISOLATE = "\u2068", "\u2069"  # keeps right-to-left text from reordering its neighbours
GAP: Final = 2  # characters between two columns
LEAST: Final = 8  # characters that a shortened column keeps
WIDE: Final = 400  # nothing is shortened for a file or a pipe
REPLACED: Final = "\ufffd"
GOOD, BUSY, POOR, BAD, QUIET = "green", "cyan", "yellow", "red", "dim"
STATES: Final = {
    **dict.fromkeys(("online", "delivered", "read", "open", "ok"), GOOD),
    **dict.fromkeys(("linking", "connecting", "recovering", "sending", "sent", "received"), BUSY),
    **dict.fromkeys(("degraded", "queued", "unknown", "warn"), POOR),
    **dict.fromkeys(("offline", "logged_out", "blocked", "failed", "bad"), BAD),
    **dict.fromkeys(("new", "disabled", "cancelled", "closed"), QUIET),
}
_RTL: Final = frozenset({"R", "AL", "AN"})


@cache
def screen(*, err: bool = False) -> Console:
    """Return the terminal: colours only where they are wanted (NO_COLOR), words everywhere."""
    console = Console(highlight=False, markup=False, emoji=False, stderr=err)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = WIDE
    return console


def safe(text: str) -> str:
    """Return a text on one line that cannot steer the terminal, and does not reorder what stands beside it.

    Control characters and marks of direction are shown as U+FFFD: a customer may have sent them on purpose.
    """
    line = " ".join(text.split())
    shown = "".join(REPLACED if _steers(c) else c for c in line)
    return f"{ISOLATE}{shown}{END_ISOLATE}" if any(unicodedata.bidirectional(c) in _RTL for c in shown) else shown


def _steers(c: str) -> bool:
    return (
        unicodedata.category(c) in {"Cc", "Cs"}
        or c in "\u200e\u200f\u061c\u202a\u202b\u202c\u202d\u202e"
        or ("\u2066" <= c <= "\u2069")
    )


def state(word: str) -> Text:
    """Show a state as its word, in its colour."""
    return Text(word.replace("_", " "), style=STATES.get(word, ""))


def mark(good: bool) -> Text:
    """Show whether something is as it should be."""
    return Text("yes", style=GOOD) if good else Text("NO", style=BAD)


def cell(value: object) -> Text:
    """Show anything as a cell; texts are made safe."""
    if isinstance(value, Text):
        return value
    return Text("" if value is None else safe(str(value)))


def table(
    *columns: str,
    rows: Iterable[Sequence[object]],
    right: Sequence[str] = (),
    firm: Sequence[str] = (),
    spare: Sequence[str] = (),
    folded: Sequence[str] = (),
) -> Table:
    """Make a table that fits the terminal.

    right    columns of numbers
    firm     columns that are never shortened
    spare    columns that are left out where there is no room, in this order
    folded   columns that go on in the next line
    """
    cells = [[cell(value) for value in row] for row in rows]
    natural = {name: max([cell_len(name), *(row[n].cell_len for row in cells)]) for n, name in enumerate(columns)}
    widths = _fitting(natural, spare, frozenset({*firm, *right}))
    made = Table(box=SIMPLE_HEAD, pad_edge=False, header_style="bold", show_edge=False, padding=(0, 1, 0, 0))
    for name, width in widths.items():
        made.add_column(
            name,
            justify="right" if name in right else "left",
            no_wrap=name not in folded,
            overflow="fold" if name in folded else "ellipsis",
            width=width,
        )
    for row in cells:
        made.add_row(*(_cut(row[columns.index(name)], width, name in folded) for name, width in widths.items()))
    return made


def _cut(text: Text, width: int, folded: bool) -> Text:
    """Shorten a text to its column; what was begun right to left is ended there."""
    if folded or text.cell_len <= width:
        return text
    text.truncate(width, overflow="ellipsis")
    return text.append(END_ISOLATE) if ISOLATE in text.plain else text


def _fitting(natural: Mapping[str, int], spare: Sequence[str], firm: frozenset[str]) -> dict[str, int]:
    """Leave spare columns out until the rest has room; columns that are not firm may lose a third for that."""
    shown, room = dict(natural), 0
    for name in (None, *spare):
        shown = {one: width for one, width in shown.items() if one != name}
        room = screen().width - GAP * (len(shown) - 1)
        if sum(width if one in firm else _least(width) for one, width in shown.items()) <= room:
            break
    while sum(shown.values()) > room and (soft := {one: width for one, width in shown.items() if one not in firm}):
        widest = max(soft, key=lambda one: soft[one])
        if soft[widest] <= 1:
            break
        shown[widest] -= 1
    return shown


def _least(width: int) -> int:
    return min(width, max(LEAST, width * 2 // 3))


def facts(*pairs: tuple[str, object]) -> Table:
    """Make a list of names and values; those without a value are left out."""
    made = Table.grid(padding=(0, 2))
    made.add_column(style="dim", no_wrap=True)
    made.add_column(overflow="fold")
    for name, value in pairs:
        if value not in (None, ""):
            made.add_row(name, cell(value))
    return made


def show(thing: Any) -> None:
    """Print a table or a line."""
    screen().print(thing if not isinstance(thing, str) else Text(thing), soft_wrap=isinstance(thing, str | Text))


def note(text: str) -> None:
    """Say something beside the answer, on standard error: scripts read only the answer."""
    typer.echo(text, err=True)


def put_json(value: Any) -> None:
    """Print one JSON document on one line."""
    import msgspec

    typer.echo(msgspec.json.encode(value).decode())


def put_lines(values: Iterable[Any]) -> None:
    """Print one JSON object per line."""
    for value in values:
        put_json(value)


def ago(at: datetime | None, now: datetime) -> str:
    """Say how long ago something was: 5 s, 12 min, 3 h, 4 d; `never` where it was not."""
    return "never" if at is None else span(now - at)


def span(time: timedelta) -> str:
    """Say a span of time in its largest unit."""
    seconds = max(0, round(time.total_seconds()))
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size or (seconds >= size and size == 60):
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def day(at: datetime | None) -> str:
    """Write a day in UTC."""
    return "" if at is None else at.strftime("%Y-%m-%d")


def moment(at: datetime | None) -> str:
    """Write a moment in UTC, to the second."""
    return "" if at is None else at.strftime("%Y-%m-%d %H:%M:%SZ")

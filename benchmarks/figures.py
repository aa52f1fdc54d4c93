"""A figure, its target and the machine's own limit: how they are compared and shown."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One measured figure.

    limit    the same, done with nothing but what cannot be left out, on the same machine in the same run
    least    True: more is better, and `target` is the least that will do; False: the other way round
    """

    name: str
    value: float
    unit: str
    limit: float | None = None
    limit_is: str = ""
    target: float | None = None
    least: bool = False
    notes: Sequence[str] = ()

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None where there is none."""
        if self.target is None:
            return None
        return self.value >= self.target if self.least else self.value <= self.target

    @property
    def share(self) -> float | None:
        """How close it comes to the limit: 1 is as good as the machine allows."""
        if not self.limit or not self.value:
            return None
        return self.value / self.limit if self.least else self.limit / self.value

    def as_json(self) -> dict[str, Any]:
        """Return everything, for programs."""
        return {**asdict(self), "share": self.share, "met": self.met}


def show(figures: Sequence[Figure], console: Console) -> None:
    """Print one line per figure, and what must be known to read it below."""
    table = Table(box=None, pad_edge=False)
    table.add_column("")
    for column in ("measured", "limit", "share", "target", ""):
        table.add_column(column, justify="right", no_wrap=True)
    for one in figures:
        met = {True: "[green]met[/]", False: "[bold red]missed[/]", None: ""}[one.met]
        share = "" if one.share is None else f"{one.share:.0%}"
        sign = "≥" if one.least else "<"
        target = "" if one.target is None else f"{sign} {number(one.target)} {one.unit}"
        limit = "" if one.limit is None else f"{number(one.limit)} {one.unit}"
        table.add_row(one.name, f"{number(one.value)} {one.unit}", limit, share, target, met)
    console.print(table)
    console.print()
    for one in figures:
        notes = ([f"limit: {one.limit_is}"] if one.limit_is else []) + list(one.notes)
        if notes:
            console.print(f"[bold]{one.name}[/]: {'; '.join(notes)}", soft_wrap=True)


def number(value: float) -> str:
    """Write a figure with as many digits as it deserves."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value that this share of the values does not exceed."""
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, int(len(ranked) * share))]

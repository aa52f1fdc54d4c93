"""The fleet as it comes online after a start: a bar while it does, then a table of how it stands."""

import asyncio
from collections.abc import Mapping
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn
from rich.table import Table

from wafleet.app import App
from wafleet.engine.db import DatabaseAway
from wafleet.tenants import Caller

PATIENCE_S: Final = 15.0
LISTED: Final = 30  # more are only counted
AT_REST: Final = frozenset({"new", "disabled", "logged_out", "blocked", "total"})  # nobody waits for these
UP: Final = frozenset({"online", "degraded"})


async def report(app: App, screen: Console) -> None:
    """Watch the fleet come online, for a while, then show it."""
    try:
        await _watch(app, screen)
        await _show(app, screen)
    except DatabaseAway as error:
        screen.print(f"The database is away ({error}); it is tried again.")


async def _watch(app: App, screen: Console) -> None:
    columns = (SpinnerColumn(), TextColumn("accounts come online"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=screen, transient=True) as progress:
        task = progress.add_task("", total=None)
        until = app.engine.clock.monotonic() + PATIENCE_S
        while app.engine.clock.monotonic() < until:
            states = await app.slices.fleet.states()
            wanted = sum(n for state, n in states.items() if state not in AT_REST)
            up = sum(states.get(state, 0) for state in UP)
            progress.update(task, completed=up, total=wanted)
            if up >= wanted:
                return
            await asyncio.sleep(0.1)


async def _show(app: App, screen: Console) -> None:
    states = await app.slices.fleet.states()
    if 0 < sum(n for state, n in states.items() if state != "total") <= LISTED:
        await _table(app, screen)
    screen.print(f"Fleet: {_counts(states)}")


async def _table(app: App, screen: Console) -> None:
    table = Table("account", "phone", "tenant", "state", "next step", box=None, header_style="dim", pad_edge=False)
    for one in (await app.slices.accounts.list(Caller.local("start"), limit=LISTED)).items:
        well = one.state in UP and not one.reason
        table.add_row(
            one.name,
            one.phone,
            one.tenant,
            f"[{'green' if well else 'yellow'}]{one.state}[/]",
            "" if well else one.next_step,
        )
    screen.print(table)


def _counts(states: Mapping[str, int]) -> str:
    said = [f"{n} {state.replace('_', ' ')}" for state, n in states.items() if n and state != "total"]
    return ", ".join(said) or "no accounts yet; add one with `wafleet accounts add`"

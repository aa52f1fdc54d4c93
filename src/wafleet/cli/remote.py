"""Commands that go through the HTTP API: the same for a wafleet on this machine and one far away.

WAFLEET_URL and WAFLEET_TOKEN say which one is meant; without them it is the one that was started here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from wafleet.cli import accounts_elsewhere, fleet_file, linking, remote_messages
from wafleet.cli.calling import connected, now
from wafleet.cli.options import DataDir, Json, TenantName
from wafleet.cli.sentences import NOT_WELL
from wafleet.cli.tables import ago, put_json, screen, show, state, table

if TYPE_CHECKING:
    from wafleet.client.fleet_answers import FleetRow, Totals

SHOWN = 20


def add_to(app: typer.Typer) -> None:
    """Add the commands that ask a running wafleet."""
    app.command()(status)
    app.command()(fleet_file.apply)
    app.command("import-bots")(fleet_file.import_bots)
    app.command()(linking.link)
    remote_messages.add_to(app)
    app.add_typer(accounts_elsewhere.accounts, name="accounts")


def status(tenant: TenantName = None, as_json: Json = False, data_dir: DataDir = None) -> None:
    """Show how the fleet is. Exit status 3 when an account that should run is not online."""
    with connected(data_dir, tenant) as client:
        view = client.fleet_view()
    unwell = [row for row in view.accounts if row.desired == "running" and row.state != "online"]
    if as_json:
        put_json({"totals": view.totals, "unwell": unwell})
    else:
        _show(view.totals, unwell)
    if unwell:
        raise typer.Exit(NOT_WELL)


def _show(totals: Totals, unwell: list[FleetRow]) -> None:
    from rich.text import Text

    counts = [Text.assemble(f"{count} ", state(name)) for name, count in totals.states.items() if count]
    show(Text.assemble(f"{totals.total} accounts: ", Text(", ").join(counts)))
    today = f"today {totals.sent_today} were sent and {totals.received_today} received (UTC)"
    show(f"{totals.waiting} messages wait; {today}")
    if not unwell:
        return
    rows = [
        (
            row.name,
            row.phone,
            state(row.state),
            ago(row.state_since, now()),
            row.waiting,
            f"{row.sentence} {row.next_step}",
        )
        for row in unwell[:SHOWN]
    ]
    screen().print()
    show(
        table(
            *("NOT ONLINE", "PHONE", "STATE", "SINCE", "WAITING", "WHY, AND WHAT TO DO"),
            rows=rows,
            right=["WAITING"],
            firm=["STATE", "SINCE"],
            spare=["PHONE"],
            folded=["WHY, AND WHAT TO DO"],
        )
    )
    if len(unwell) > SHOWN:
        show(f"... and {len(unwell) - SHOWN} more: `wafleet accounts list`")

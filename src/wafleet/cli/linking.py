"""`wafleet link`: the QR code in the terminal, until a phone has scanned it."""

from __future__ import annotations

import time
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Final

import typer

from wafleet.cli.calling import AccountName, connected, now
from wafleet.cli.options import DataDir
from wafleet.cli.tables import note, put_json, safe, screen, show, span

if TYPE_CHECKING:
    from uuid import UUID

    from rich.console import Group
    from rich.text import Text

    from wafleet.client import Client
    from wafleet.client.fleet_answers import Account, Pairing

LOOK_S: Final = 0.5
GOES_ON: Final = frozenset({"online", "connecting", "degraded", "recovering", "offline"})
QUIET: Final = 2  # light modules around the code; phones read it well on a screen
HALVES: Final = {(True, True): " ", (True, False): "▄", (False, True): "▀", (False, False): "█"}
CANCELLED: Final = 130


def link(
    account: AccountName,
    again: Annotated[bool, typer.Option("--again", help="Link anew although it is connected.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per change, for scripts.")] = False,
    data_dir: DataDir = None,
) -> None:
    """Link an account's phone: show its QR code until it is scanned. Exit status 1 when it was not.

    With --json each line has `state`, `qr` (the text inside the code), `code`, `sentence`, `next_step`, `expires_at`;
    the last one also `ended`: "linked", or the reason why it was not.
    """
    with connected(data_dir) as client:
        found = client.account(account)
        begun = client.start_linking(found.id, again=again)
        try:
            ended = _as_lines(client, found.id, begun) if as_json else _as_picture(client, found)
        except KeyboardInterrupt:
            client.cancel_linking(found.id)
            note("\nLinking was cancelled")
            raise typer.Exit(CANCELLED) from None
    if ended.ended != "linked":
        if not as_json:
            _say_why_not(found, ended)
        raise typer.Exit(1)
    if not as_json:
        show(f"{found.name} ({found.phone}) is linked")
        if again and found.transport == "device":
            note("Should the phone list it more than once (Linked devices), log the older ones out there: only it can.")


def _say_why_not(account: Account, ended: Pairing) -> None:
    detail = f" ({safe(ended.detail)})" if ended.detail else ""
    note(f"{safe(account.name)} was not linked: {ended.sentence}{detail} {ended.next_step}")
    goes_on = account.linked and ended.state in GOES_ON
    if goes_on:
        note("It goes on with its earlier session.")
    note(f"Once more: wafleet link {account.phone}{' --again' if goes_on else ''}")


def _as_lines(client: Client, account: UUID, begun: Pairing) -> Pairing:
    put_json(begun)
    before = begun
    while before.state == "linking":
        time.sleep(LOOK_S)
        pairing = client.pairing(account)
        if pairing != before:
            put_json(pairing)
        before = pairing
    return before


def _as_picture(client: Client, account: Account) -> Pairing:
    from rich.live import Live

    if not screen().is_terminal:
        return _as_text(client, account)
    with Live(console=screen(), auto_refresh=False, transient=True, vertical_overflow="visible") as live:
        while True:
            pairing = client.pairing(account.id)
            if pairing.state != "linking":
                return pairing
            live.update(_drawn(account, pairing, now()), refresh=True)
            time.sleep(LOOK_S)


def _as_text(client: Client, account: Account) -> Pairing:
    """Without a terminal to draw on again, each new code is printed once."""
    shown = ""
    while True:
        pairing = client.pairing(account.id)
        if pairing.state != "linking":
            return pairing
        if (pairing.qr or pairing.code) and pairing.qr + pairing.code != shown:
            screen().print(_drawn(account, pairing, now()))
            shown = pairing.qr + pairing.code
        time.sleep(LOOK_S)


def _drawn(account: Account, pairing: Pairing, at: datetime) -> Group:
    from rich.console import Group
    from rich.text import Text

    title = Text(f"Link {safe(account.name)} ({account.phone}). {pairing.next_step}", style="bold")
    if not (pairing.qr or pairing.code):
        return Group(title, Text(f"Waiting for WhatsApp's code ... {_left(pairing, at)}"))
    # Dark on light whatever the terminal's colours are; without colours the light modules are the letters.
    code = [Text(blocks(pairing.qr), style="bright_white on black", no_wrap=True), Text()] if pairing.qr else []
    return Group(title, Text(), *code, *_by_code(pairing.code), Text(_left(pairing, at)))


def _by_code(code: str) -> list[Text]:
    from rich.text import Text

    if not code:
        return []
    way = "On the phone: Linked devices, Link a device, Link with phone number instead"
    return [Text.assemble("No camera? Type this code:  ", (code, "bold")), Text(way, style="dim"), Text()]


def _left(pairing: Pairing, at: datetime) -> str:
    parts: list[str] = []
    if pairing.qr and pairing.expires_at:
        parts.append(f"a new code in {span(pairing.expires_at - at)}")
    if pairing.deadline_at:
        parts.append(f"{span(pairing.deadline_at - at)} left to link")
    return ", ".join([*parts, "Ctrl-C cancels"])


def blocks(text: str) -> str:
    """Draw a QR code with half blocks, two rows of modules per line; the light modules are what is drawn."""
    import segno

    code = segno.make_qr(text, error="l", boost_error=False)
    rows = [[bool(module) for module in row] for row in code.matrix_iter(border=QUIET)]
    if len(rows) % 2:
        rows.append([False] * len(rows[0]))
    pairs = zip(rows[::2], rows[1::2], strict=True)
    return "\n".join("".join(HALVES[both] for both in zip(*pair, strict=True)) for pair in pairs)

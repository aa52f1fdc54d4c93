"""`wafleet sim`: look at the simulated WhatsApp network, and interfere with it."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, NoReturn, TypeVar

import msgspec
import typer
from platformdirs import user_data_dir
from rich.console import Console
from rich.table import Table

from wafleet.domain.errors import Invalid
from wafleet.domain.phone import normalise
from wafleet.simulator.address import FILE, Address
from wafleet.simulator.control import Control, Fault, LedgerLine, NotDone
from wafleet.simulator.duration import seconds
from wafleet.simulator.faults import EVERYONE, FAULTS

FAILED, NOT_WELL, UNREACHABLE = 1, 3, 4
_ALWAYS = {"account", "sent", "sent_twice", "offered", "received", "waiting"}  # other counts only where there are any
_PIPED = 200  # columns of a table that is not shown on a terminal

sim = typer.Typer(
    name="sim", help="The simulated WhatsApp network: look at it, and let things go wrong.", no_args_is_help=True
)
screen, complaints = Console(highlight=False), Console(stderr=True, highlight=False)
Told = TypeVar("Told")

DataDir = Annotated[
    Path | None, typer.Option(envvar="WAFLEET_DATA_DIR", help="wafleet's data folder; the simulator's is within.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]
Phone = Annotated[str, typer.Argument(help="A phone in any usual spelling, such as +966501234567.")]
PhoneOrAll = Annotated[str, typer.Argument(help="A phone in any usual spelling, or * for all accounts.")]
For = Annotated[str | None, typer.Option("--for", help="How long, such as 30s or 5m.")]


@sim.command()
def status(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Show accounts, faults and loads."""
    found = _ask(data_dir, lambda c: c.status())
    if as_json:
        print_json(found)
        return
    rows = [
        (a.account, _link(a.linked, a.linking), "yes" if a.online else "no", a.waiting, ", ".join(a.faults))
        for a in found.accounts
    ]
    _table(("account", "link", "online", "waiting", "faults"), rows)
    screen.print(
        f"{found.online} of {found.linked} linked accounts online, {found.customers} customers, "
        f"{found.loads} loads, {found.crossed} messages crossed"
    )


@sim.command()
def link(
    account: Phone,
    qr: Annotated[str, typer.Option(help="The text inside the QR code that a linked device shows.")] = "",
    code: Annotated[str, typer.Option(help="The pairing code that is shown, instead of scanning.")] = "",
    data_dir: DataDir = None,
) -> None:
    """Scan the QR code of an account that is being linked, as its phone would; a linked device needs --qr or --code."""
    phone = _phone(account)
    _ask(data_dir, lambda c: c.scan(phone, qr=qr, code=code))
    screen.print(f"{phone} {'took' if code else 'scanned'} the code")


@sim.command()
def passkey(
    off: Annotated[bool, typer.Option("--off", help="No longer.")] = False,
    data_dir: DataDir = None,
) -> None:
    """Have phones ask for a passkey when they are linked, which nobody here can give."""
    _ask(data_dir, lambda c: c.passkey(not off))
    screen.print("phones link without a passkey" if off else "phones ask for a passkey from now on")


@sim.command()
def say(
    customer: Phone,
    account: Phone,
    text: Annotated[str, typer.Argument(help="What the customer writes.")],
    name: Annotated[str, typer.Option(help="What the customer calls themselves.")] = "",
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Have a customer write to an account."""
    who, whom = _phone(customer), _phone(account)
    id = _ask(data_dir, lambda c: c.say(who, whom, text, name=name))
    if as_json:
        print_json({"id": id, "customer": who, "account": whom})
    else:
        screen.print(f"{who} wrote to {whom}: {id}")


_KINDS = "\n\n".join(f"{name}: {kind.sentence}" for name, kind in FAULTS.items())


@sim.command(epilog=_KINDS)
def fault(
    account: PhoneOrAll,
    kind: Annotated[str, typer.Argument(help="One of the kinds below.")],
    lasts: For = None,
    end: Annotated[bool, typer.Option("--end", help="End it instead of starting it.")] = False,
    delay: Annotated[str | None, typer.Option(help="How much later, where the kind has that.")] = None,
    share: Annotated[float, typer.Option(min=0, max=1, help="The chance that it hits one message.")] = 1.0,
    detail: Annotated[str, typer.Option(help="A code, where the kind has one; a ban also knows for_good.")] = "",
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Let something go wrong on an account, or end it."""
    whom, length = _phone_or_all(account), _seconds(lasts)
    if end:
        _ask(data_dir, lambda c: c.end_fault(whom, kind))
        screen.print(f"{kind} on {whom} has ended")
        return
    extra = _seconds(delay)
    started = _ask(
        data_dir, lambda c: c.start_fault(whom, kind, lasts=length, seconds=extra, share=share, detail=detail)
    )
    if as_json:
        print_json(started)
    else:
        screen.print(f"{kind} on {whom}{_until(started)}: {FAULTS[kind].sentence}")


@sim.command()
def faults(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """List the faults under way."""
    found = _ask(data_dir, lambda c: c.faults())
    if as_json:
        print_json(found)
        return
    _table(
        ("account", "kind", "until", "what it does"),
        [(f.account, f.kind, _until(f).strip(), FAULTS[f.kind].sentence) for f in found],
    )


@sim.command()
def ledger(
    account: Annotated[str | None, typer.Argument(help="Only this account.")] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Exit with 3 when a message was sent twice or one got lost.")
    ] = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Show what crossed the network for each account, counted outside wafleet."""
    phone = None if account is None else _phone(account)
    found = _ask(data_dir, lambda c: c.ledger(phone))
    if as_json:
        print_json(found)
    else:
        fields = [f for f in LedgerLine.__struct_fields__ if f in _ALWAYS or any(getattr(x, f) for x in found)]
        _table([f.replace("_", " ") for f in fields], [[getattr(x, f) for f in fields] for x in found])
    if check and not all(_is_sound(line) for line in found):
        raise typer.Exit(NOT_WELL)


@sim.command()
def load(
    rate: Annotated[float, typer.Argument(help="Messages a second, all accounts together.")],
    account: Annotated[list[str] | None, typer.Option(help="Only to this account; may be given again.")] = None,
    lasts: For = None,
    total: Annotated[int | None, typer.Option(help="So many messages in all.")] = None,
    stop: Annotated[bool, typer.Option("--stop", help="Stop every load instead.")] = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Have customers write at a steady rate, each message numbered within its conversation."""
    if stop:
        _ask(data_dir, lambda c: c.stop_load())
        screen.print("every load has stopped")
        return
    phones, length = [_phone(a) for a in account or ()] or None, _seconds(lasts)
    if length is None and total is None:
        length = 60.0
    started = _ask(data_dir, lambda c: c.start_load(rate, accounts=phones, total=total, lasts=length))
    if as_json:
        print_json(started)
    else:
        screen.print(f"load {started.id}: {rate:g} messages a second to {started.accounts} accounts")


@sim.command()
def serve(
    port: Annotated[int, typer.Option(help="0: any free one.")] = 0,
    scenario: Annotated[Path | None, typer.Option(help="A YAML file: customers and faults.")] = None,
    seed: Annotated[int | None, typer.Option(help="Makes all chances repeat.")] = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Run the simulated network here until Ctrl-C."""
    from wafleet.simulator.run import FolderTaken, run
    from wafleet.simulator.scenario import load as read

    def ready(address: Address) -> None:
        if as_json:
            print_json({"host": address.host, "port": address.port, "pid": address.pid})
        else:
            screen.print(f"The simulated network listens on {address.host}:{address.port}; Ctrl-C stops it")

    try:
        run(folder_of(data_dir), port=port, seed=seed, scenario=read(scenario) if scenario else None, ready=ready)
    except (FolderTaken, OSError, ValueError) as e:
        fail(str(e), FAILED)


def _ask(data_dir: Path | None, work: Callable[[Control], Awaitable[Told]]) -> Told:
    async def asked() -> Told:
        control = await Control.at(folder_of(data_dir))
        try:
            return await work(control)
        finally:
            await control.close()

    try:
        return asyncio.run(asked())
    except NotDone as e:
        fail(str(e), FAILED)
    except (ConnectionError, TimeoutError) as e:
        fail(str(e) or "The simulator does not answer: stop it and start it again", UNREACHABLE)


def folder_of(data_dir: Path | None) -> Path:
    """Return the simulator's folder: within the data folder that was named, else where wafleet or its demo has one."""
    if data_dir is not None:
        return data_dir.expanduser() / "simulator"
    own, demo = (Path(user_data_dir(name)) / "simulator" for name in ("wafleet", "wafleet-demo"))
    return demo if not (own / FILE).exists() and (demo / FILE).exists() else own


def fail(sentence: str, status: int = FAILED) -> NoReturn:
    """Say in one sentence why it cannot be, and leave."""
    complaints.print(f"wafleet: {sentence}", style="red", soft_wrap=True, markup=False)
    raise typer.Exit(status)


def _phone(written: str) -> str:
    try:
        return normalise(written)
    except Invalid as e:
        raise typer.BadParameter(e.sentence) from None


def _phone_or_all(written: str) -> str:
    return EVERYONE if written in (EVERYONE, "all") else _phone(written)


def _seconds(written: str | None) -> float | None:
    try:
        return None if written is None else seconds(written)
    except ValueError as e:
        raise typer.BadParameter(str(e)) from None


def _is_sound(line: LedgerLine) -> bool:
    return line.sent_twice == 0 and line.offered == line.received + line.waiting


def _until(fault: Fault) -> str:
    return "" if fault.until is None else f" until {datetime.fromtimestamp(fault.until, UTC):%H:%M:%S} UTC"


def _link(linked: bool, linking: bool) -> str:
    return "linking" if linking else "linked" if linked else "not linked"


def print_json(value: object) -> None:
    """Print one JSON document, for scripts."""
    typer.echo(json.dumps(msgspec.to_builtins(value), ensure_ascii=False))


def _table(titles: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    table = Table(box=None, header_style="bold")
    for title in titles:
        table.add_column(title, no_wrap=title in {"account", "kind"})
    for row in rows:
        table.add_row(*(f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in row))
    console = screen if screen.is_terminal else Console(highlight=False, width=_PIPED)
    console.print(table if rows else "nothing there")

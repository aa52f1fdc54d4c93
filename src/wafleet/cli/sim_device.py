"""`wafleet sim device`: the simulated network, with a server of linked devices above it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.panel import Panel

from wafleet.cli.sim import AsJson, DataDir, fail, folder_of, print_json, screen
from wafleet.simulator.address import Address

if TYPE_CHECKING:
    from wafleet.emulator.server import Emulator

_STEPS = """\
Devices link here instead of to WhatsApp. Ctrl-C stops it; what is linked stays linked.

[bold]1[/]  Start wafleet with this, in another terminal:
   WAFLEET_DEVICES__EMULATOR={folder} wafleet up

[bold]2[/]  Add a number and link it; wafleet shows a QR code and a pairing code:
   wafleet accounts add Shop {phone} --transport device
   wafleet link Shop

[bold]3[/]  Be the phone, and the customers{hint}:
   wafleet sim link {phone} --code ABCD-1234
   wafleet sim say +971550000001 {phone} "Is it still available?"
   wafleet sim fault {phone} disconnect"""
_PHONE = "+971501110001"


def device(
    port: Annotated[
        int, typer.Option(help="Port for linked devices, 10000 to 65535; 0: the last one, or any free one.")
    ] = 0,
    scenario: Annotated[Path | None, typer.Option(help="A YAML file: customers and faults.")] = None,
    seed: Annotated[int | None, typer.Option(help="Makes all chances repeat.")] = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Run the simulated network here, with a server to which linked devices link, until Ctrl-C."""
    from wafleet.clientlib import Unusable
    from wafleet.simulator.run import FolderTaken
    from wafleet.simulator.scenario import load

    folder = folder_of(data_dir).absolute()

    def ready(address: Address, emulator: "Emulator") -> None:
        ports = {"port": emulator.ports.plain, "tls_port": emulator.ports.tls, "proxy_port": emulator.ports.proxy}
        if as_json:
            print_json({"folder": str(folder), **ports, "pid": address.pid})
        else:
            _welcome(folder, data_dir, emulator.ports.plain)

    try:
        from wafleet.emulator.run import run
        from wafleet.emulator.tokens import Changed
    except Unusable as error:  # its messages are the library's
        fail(str(error))
    try:
        run(folder, device_port=port, seed=seed, scenario=load(scenario) if scenario else None, ready=ready)
    except (Changed, Unusable, FolderTaken, OSError, ValueError) as error:
        fail(str(error))


def _welcome(folder: Path, data_dir: Path | None, port: int) -> None:
    hint = f" (each with --data-dir {data_dir})" if data_dir else ""
    steps = _STEPS.format(folder=folder, phone=_PHONE, hint=hint)
    screen.print(Panel(steps, title=f"Linked devices on 127.0.0.1:{port}", title_align="left", expand=False))

"""The command line: `up` and what works on the database itself, and everything else through the HTTP API."""

import sys

import typer

from wafleet.cli import ops, remote, sim, sim_device, sim_gateway, sim_providers, start
from wafleet.cli.sentences import explain

app = typer.Typer(
    name="wafleet",
    help="Run a fleet of WhatsApp numbers as one reliable system.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
start.add_to(app)
remote.add_to(app)
ops.add_to(app)
sim.sim.command()(sim_device.device)
sim.sim.command()(sim_gateway.gateway)
sim.sim.command()(sim_providers.twilio)
sim.sim.command()(sim_providers.meta)
app.add_typer(sim.sim, name="sim")


def main() -> None:
    """Run one command. A failure is one sentence on stderr and an exit status that is not 0."""
    try:
        app()
    except Exception as error:
        sentence, status = explain(error)
        if sentence is None:
            raise
        typer.secho(f"wafleet: {sentence}", fg=typer.colors.RED, err=True)
        sys.exit(status)

"""`wafleet up` and `wafleet demo`: start a node."""

import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.panel import Panel

if TYPE_CHECKING:
    from wafleet.config import Settings

screen = Console(highlight=False)
DataDir = Annotated[Path | None, typer.Option("--data-dir", help="Folder of database, logs and keys.")]


def add_to(app: typer.Typer) -> None:
    """Add the commands that start something."""
    app.command()(up)
    app.command()(demo)


def up(
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; 0 takes any free one.")] = None,
    data_dir: DataDir = None,
) -> None:
    """Start wafleet here: accounts, lanes, API and console, until Ctrl-C."""
    from wafleet.config import load

    settings = load(host=host, port=port, data_dir=data_dir)
    run(_up(settings))


def demo(
    accounts: Annotated[int, typer.Option(min=5, max=5000, help="How many numbers the fleet has.")] = 12,
    port: Annotated[int | None, typer.Option(help="Port to listen on; 0 takes any free one.")] = None,
    data_dir: DataDir = None,
) -> None:
    """Start a busy fleet on a simulated WhatsApp network, until Ctrl-C."""
    from wafleet.cli.demo import play, settings_for
    from wafleet.config import load

    run(play(settings_for(load(port=port, data_dir=data_dir)), accounts))


async def _up(settings: "Settings") -> None:
    from wafleet.app import App
    from wafleet.cli.fleet_report import report
    from wafleet.cli.serving import Address, serve
    from wafleet.engine.observe import start_logs

    start_logs(settings.data_dir / "logs", level=settings.log_level)

    async def ready(app: App, address: Address) -> None:
        welcome(app, address)
        await report(app, screen)

    await serve(settings, ready=ready)


def welcome(app: Any, address: Any) -> None:
    """Say where it is and how to come in; the first administrator's password is shown this once."""
    lines = [f"[bold]wafleet[/] is up at [link={address.url}]{address.url}[/]"]
    if app.slices.generated_password:
        email, password = app.settings.admin_email, app.slices.generated_password
        lines += [
            "",
            f"Sign in as [bold]{email}[/] with the password [bold]{password}[/]",
            "It is shown this once: keep it, or set WAFLEET_ADMIN_PASSWORD before the first start.",
        ]
    screen.print(Panel("\n".join(lines), expand=False, border_style="green"))


def run(work: Coroutine[Any, Any, None]) -> None:
    """Run async work on the fastest event loop there is."""
    import asyncio

    if sys.platform == "win32":
        asyncio.run(work)
        return
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(work)

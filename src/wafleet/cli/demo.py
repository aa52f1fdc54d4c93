"""`wafleet demo`: a busy fleet on a simulated WhatsApp network, with nothing to set up."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Final

from platformdirs import user_data_dir
from pydantic import SecretStr
from rich.console import Console
from rich.markup import escape
from rich.panel import Panel

from wafleet.cli.demo_world import DEVICES, MANAGER, PASSWORD, scenario
from wafleet.clientlib import Unusable, find
from wafleet.config import KeepAliveSettings, Settings, SimulatorSettings
from wafleet.simulator.address import NotRunning, read_address
from wafleet.simulator.scenario import dump

DEMO_FOLDER: Final = "wafleet-demo"
START_S: Final = 15.0
screen = Console(highlight=False)


def settings_for(given: Settings) -> Settings:
    """Return settings for the demo: its own folder, a known password, and eyes that notice faults in seconds."""
    home = Path(user_data_dir(DEMO_FOLDER)) if given.data_dir == Settings().data_dir else given.data_dir
    watchful = KeepAliveSettings(every_s=5, limit_s=3, tries=2, canary_after_s=20, receipt_lag_s=15)
    return given.model_copy(
        update={
            "data_dir": home,
            "admin_password": given.admin_password or SecretStr(PASSWORD),
            "simulator": SimulatorSettings(enabled=True, folder=home / "simulator"),
            "devices": given.devices.model_copy(update={"emulator": home / "simulator"}),
            "public_url": given.public_url or _own_url(given),
            "keep_alive": given.keep_alive if given.keep_alive != KeepAliveSettings() else watchful,
        }
    )


def _own_url(given: Settings) -> str | None:
    """Return where the providers of the demo reach it; a port that is not known yet has no address."""
    return f"http://127.0.0.1:{given.port}" if given.port else None


async def play(settings: Settings, accounts: int) -> None:
    """Run the network, the fleet on it and the people at work, until Ctrl-C."""
    from wafleet.app import App
    from wafleet.cli.demo_fleet import Agents, settle_devices, settle_in
    from wafleet.cli.demo_providers import StandIns
    from wafleet.cli.fleet_report import report
    from wafleet.cli.serving import Address, serve
    from wafleet.engine.observe import start_logs

    settings.data_dir.mkdir(parents=True, exist_ok=True)
    start_logs(settings.data_dir / "logs", level=settings.log_level, console="off")
    folder, lacking = settings.data_dir / "simulator", _lacking()
    async with _simulator(folder, accounts, devices=not lacking), contextlib.AsyncExitStack() as stack:

        async def ready(app: App, address: Address) -> None:
            _greet(settings, address.url, address.token, lacking)
            await settle_in(app, accounts)
            if not lacking:
                await settle_devices(app, folder)
            if settings.public_url:
                providers = StandIns(folder, settings.public_url)
                stack.callback(providers.stop)
                await providers.settle(app)
            agents = asyncio.create_task(Agents(app).run())
            stack.callback(agents.cancel)
            await report(app, screen)

        await serve(settings, ready=ready)
    screen.print("The demo has stopped; the next one continues where it was.")


@contextlib.asynccontextmanager
async def _simulator(folder: Path, accounts: int, *, devices: bool) -> AsyncGenerator[None]:
    """Run the network in a process of its own, so that killing wafleet does not kill WhatsApp; join one that runs."""
    child = await asyncio.to_thread(_start, folder, accounts, devices)
    deadline = asyncio.get_running_loop().time() + START_S
    while not _running(folder):
        if asyncio.get_running_loop().time() > deadline or (child is not None and child.poll() is not None):
            raise NotRunning(folder)
        await asyncio.sleep(0.05)
    pid = read_address(folder).pid
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
        if child is not None:
            await asyncio.to_thread(child.wait, 3)


def _lacking() -> str:
    """Say why linked devices cannot run here; "" when they can."""
    try:
        find()
    except Unusable as error:
        return str(error)
    return ""


def _start(folder: Path, accounts: int, devices: bool) -> "subprocess.Popen[bytes] | None":
    if _running(folder):
        return None
    folder.mkdir(parents=True, exist_ok=True)
    script = folder / "scenario.yaml"
    script.write_bytes(dump(scenario(accounts, devices=devices)))
    log = (folder / "simulator.log").open("ab")
    program = "wafleet.emulator" if devices else "wafleet.simulator"
    command = [sys.executable, "-m", program, "--folder", str(folder), "--scenario", str(script)]
    with log:
        return subprocess.Popen(command, start_new_session=True, stdin=subprocess.DEVNULL, stdout=log, stderr=log)  # noqa: S603


def _running(folder: Path) -> bool:
    try:
        os.kill(read_address(folder).pid, 0)
    except (NotRunning, ProcessLookupError):
        return False
    except PermissionError:
        return True
    return True


def _greet(settings: Settings, url: str, token: str, lacking: str) -> None:
    """Say where it is and what to try; commands stand free, so that they can be copied."""
    password = settings.admin_password.get_secret_value() if settings.admin_password else PASSWORD
    lines = (
        f"open      [bold link={url}]{url}[/]",
        f"sign in   [bold]{settings.admin_email}[/]   password [bold]{password}[/]",
        f"token     [bold]{token}[/]",
    )
    screen.print(Panel("\n".join(lines), expand=False, border_style="green", title="wafleet demo", padding=(1, 2)))
    for number, (what, *commands) in enumerate(_things_to_try(), start=1):
        screen.print(f"[bold green]{number}[/] {what}", soft_wrap=True)
        for command in commands:
            screen.print(f"  [cyan]{escape(command)}[/]", soft_wrap=True)
    screen.print(f"\n{_about_devices(lacking)}", soft_wrap=True)
    if "WAFLEET_DATA_DIR" in os.environ:
        screen.print(f"\n[dim]first, in the other terminal: export WAFLEET_DATA_DIR={settings.data_dir}[/]")
    screen.print(f"\n[dim]data and logs in {settings.data_dir}; Ctrl-C stops everything[/]\n", soft_wrap=True)


def _about_devices(lacking: str) -> str:
    if lacking:
        return f"[dim]Linked devices are left out: {escape(lacking)}[/]"
    names = " and ".join(name for _, name, _, _ in DEVICES)
    return f"[bold]{names}[/] are linked devices: the real client library, linked to a WhatsApp server in this box."


def _things_to_try() -> tuple[tuple[str, ...], ...]:
    command = ".venv/bin/wafleet"
    return (
        ("Watch the console: every few seconds a number fails, and heals.",),
        (
            "Send a message; the answer says which number speaks, and why.",
            f"{command} send +971550000001 'Is Tuesday at five good?'",
        ),
        ("Make a number deaf, and see how long it takes to be noticed.", f"{command} sim fault +971501110001 deaf"),
        (
            "Kill it without mercy, start it again, and compare what crossed the network with what is stored.",
            f"kill -9 {os.getpid()}",
            "make demo",
            f"{command} sim ledger; {command} ledger",
        ),
        (
            "Ask a number how the fleet is, as its manager would, from a phone.",
            f"{command} sim say {MANAGER} +971501110001 '!status'",
        ),
    )

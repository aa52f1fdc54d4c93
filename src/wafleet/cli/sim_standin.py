"""What the commands that run stand-ins of providers share."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from wafleet.cli.sim import fail
from wafleet.domain.errors import Invalid
from wafleet.domain.phone import normalise

if TYPE_CHECKING:
    from wafleet.simulator.standins.run import Open

PHONE: Final = "+971501110001"
Port = Annotated[int, typer.Option(help="0: any free one.")]


def run_standin(folder: Path, open: Open) -> None:
    """Run a stand-in until Ctrl-C; what keeps it from running is one sentence."""
    from wafleet.simulator.run import FolderTaken
    from wafleet.simulator.standins.run import run

    try:
        run(folder, open)
    except (FolderTaken, OSError) as error:
        fail(str(error))


def phones(written: Sequence[str]) -> list[str]:
    """Read numbers in any usual spelling."""
    try:
        return [normalise(phone) for phone in written]
    except Invalid as error:
        raise typer.BadParameter(error.sentence) from None


def adding(transport: str, phone: str, needs: Mapping[str, str]) -> list[str]:
    """Return the command, line by line, that adds a stand-in's number; its keys are worth nothing elsewhere."""
    command = f"   wafleet accounts add Shop {phone} --transport {transport}"
    pairs = (f"     --set {name}={shlex.quote(value)}" for name, value in needs.items())
    return " \\\n".join([command, *pairs]).split("\n")

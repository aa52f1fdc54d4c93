"""What the emulator can do, part by part; `build` puts it together."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Final

from wafleet.emulator import basics, faults, login, messaging, pairing, persistence
from wafleet.emulator.pairing import Times
from wafleet.emulator.server import Emulator, Part
from wafleet.simulator.world import World

_PARTS: Final[tuple[Part, ...]] = (basics.part, messaging.part, login.part)


def build(
    world: World, folder: Path, *, ports: Mapping[str, int] | None = None, times: Times | None = None
) -> Emulator:
    """Make an emulator of a world with everything it can do. It keeps the world going while it is open.

    ports  which it would like: `plain`, `tls`, `proxy`; one that is taken is replaced by any free one
    times  how long codes are good
    """
    parts = (*_PARTS, partial(pairing.part, times=times or Times()), faults.part, persistence.part)
    return Emulator(world, folder=folder, parts=parts, ports=ports)

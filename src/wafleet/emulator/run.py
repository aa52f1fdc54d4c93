"""Run the simulated network with its server of linked devices as a process of its own."""

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import msgspec

from wafleet.clientlib import find
from wafleet.emulator.certificates import write
from wafleet.emulator.parts import build
from wafleet.emulator.ports import PORTS, USABLE, Ports
from wafleet.emulator.server import Emulator
from wafleet.simulator import run as network
from wafleet.simulator.address import Address
from wafleet.simulator.manners import Manners
from wafleet.simulator.scenario import Scenario
from wafleet.simulator.world import World

_FILE = "ports.json"

Ready = Callable[[Address, Emulator], None]


def run(
    folder: Path,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    device_port: int = 0,
    seed: int | None = None,
    scenario: Scenario | None = None,
    manners: Manners | None = None,
    ready: Ready | None = None,
) -> None:
    """Serve both until SIGTERM or SIGINT. What they remember lives in `folder` and is there again next time.

    host, port   of the simulator's own protocol
    device_port  of the server of linked devices; 0: the last one, or any free one

    Raises Unusable and Changed when there is no library to serve, FolderTaken when one runs there already, OSError,
    and ValueError where no client could call the port.
    """
    find()
    if device_port and device_port not in USABLE:
        raise ValueError(f"Port {device_port} is of no use: the library's program has room for {PORTS} only")
    folder = folder.resolve()  # what is told to clients holds wherever they were started
    opened: list[Emulator] = []

    def above(world: World) -> AbstractAsyncContextManager[object]:
        return _open(world, folder, device_port, opened.append)

    def both(address: Address) -> None:
        if ready:
            ready(address, opened[0])

    network.run(folder, host=host, port=port, seed=seed, scenario=scenario, manners=manners, ready=both, above=above)


@asynccontextmanager
async def _open(
    world: World, folder: Path, device_port: int, opened: Callable[[Emulator], None]
) -> AsyncGenerator[None]:
    wanted = _last_ports(folder)
    async with build(world, folder, ports=wanted | {"plain": device_port} if device_port else wanted) as emulator:
        if device_port and emulator.ports.plain != device_port:
            raise OSError(f"Port {device_port} is taken: choose another, or leave it out")
        _keep_ports(folder, emulator.ports)
        opened(emulator)
        yield


def _last_ports(folder: Path) -> dict[str, int]:
    try:
        return msgspec.json.decode((folder / _FILE).read_bytes(), type=dict[str, int])
    except (OSError, msgspec.MsgspecError):
        return {}


def _keep_ports(folder: Path, ports: Ports) -> None:
    """Keep the ports: programs that were told them find the emulator again after it was killed."""
    write(folder / _FILE, msgspec.json.encode({"plain": ports.plain, "tls": ports.tls, "proxy": ports.proxy}))

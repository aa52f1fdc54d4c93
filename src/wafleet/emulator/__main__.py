"""`python -m wafleet.emulator --folder DIR` runs a simulated network to which linked devices link, as a process."""

import argparse
import logging
import sys
from pathlib import Path

from wafleet.clientlib import Unusable
from wafleet.simulator.manners import INSTANT
from wafleet.simulator.run import FolderTaken
from wafleet.simulator.scenario import load

try:
    from wafleet.emulator.run import run
    from wafleet.emulator.tokens import Changed
except Unusable as e:  # its messages are the library's
    sys.exit(str(e))


def main() -> int:
    """Serve until SIGTERM or SIGINT; 1 when that cannot be."""
    parser = argparse.ArgumentParser(
        prog="python -m wafleet.emulator", description="A simulated WhatsApp network with a server of linked devices."
    )
    parser.add_argument("--folder", type=Path, required=True, help="where its ledger and its addresses are kept")
    parser.add_argument("--host", default="127.0.0.1", help="of the simulator's own protocol")
    parser.add_argument("--port", type=int, default=0, help="of the simulator's own protocol; 0: any free one")
    parser.add_argument(
        "--device-port", type=int, default=0, help="of linked devices, 10000 to 65535; 0: the last, or any free one"
    )
    parser.add_argument("--seed", type=int, default=None, help="makes all chances repeat")
    parser.add_argument("--scenario", type=Path, default=None, help="a YAML file: customers and faults")
    parser.add_argument("--instant", action="store_true", help="no delays of the network, for benchmarks")
    given = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        _run(given)
    except (Changed, Unusable, FolderTaken, OSError, ValueError) as e:
        sys.stderr.write(f"{e}\n")
        return 1
    return 0


def _run(given: argparse.Namespace) -> None:
    run(
        given.folder,
        host=given.host,
        port=given.port,
        device_port=given.device_port,
        seed=given.seed,
        scenario=load(given.scenario) if given.scenario else None,
        manners=INSTANT if given.instant else None,
    )


if __name__ == "__main__":
    sys.exit(main())

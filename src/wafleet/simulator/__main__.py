"""`python -m wafleet.simulator --folder DIR` runs a simulated network as a process of its own."""

import argparse
import logging
import sys
from pathlib import Path

from wafleet.simulator.manners import INSTANT
from wafleet.simulator.run import FolderTaken, run
from wafleet.simulator.scenario import load


def main() -> int:
    """Serve until SIGTERM or SIGINT; 1 when that cannot be."""
    parser = argparse.ArgumentParser(prog="python -m wafleet.simulator", description="A simulated WhatsApp network.")
    parser.add_argument("--folder", type=Path, required=True, help="where its ledger and its address are kept")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0: any free one")
    parser.add_argument("--seed", type=int, default=None, help="makes all chances repeat")
    parser.add_argument("--scenario", type=Path, default=None, help="a YAML file: customers and faults")
    parser.add_argument("--instant", action="store_true", help="no delays of the network, for benchmarks")
    given = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        scenario = load(given.scenario) if given.scenario else None
        manners = INSTANT if given.instant else None
        run(given.folder, host=given.host, port=given.port, seed=given.seed, scenario=scenario, manners=manners)
    except (FolderTaken, OSError, ValueError) as e:
        sys.stderr.write(f"{e}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

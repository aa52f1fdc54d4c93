"""`python -m benchmarks [NAME ...] [--quick] [--json]`: one table, each figure beside this machine's own limit."""

import argparse
import json
import logging
import os
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import structlog
import uvloop
from rich.console import Console

from benchmarks import (
    device_talk,
    devices,
    events,
    hooks,
    idle,
    inbox,
    latency,
    ping,
    providers,
    startup,
    status,
    throughput,
)
from benchmarks.figures import Figure, show

BENCHMARKS: Final[Mapping[str, Callable[..., Awaitable[list[Figure]]]]] = {
    "throughput": throughput.measure,
    "latency": latency.measure,
    "ping": ping.measure,
    "startup": startup.measure,
    "idle": idle.measure,
    "memory": idle.memory,
    "status": status.measure,
    "inbox": inbox.measure,
    "events": events.measure,
    "hooks": hooks.measure,
    "providers": providers.measure,
    "devices": devices.measure,
    "talk": device_talk.measure,
}
UNASKED: Final = [name for name in BENCHMARKS if name != "talk"]  # an hour is for those who ask for it


async def run(names: list[str], console: Console, *, quick: bool, minutes: float | None = None) -> list[Figure]:
    """Run one benchmark after another, and say which one is at it."""
    figures: list[Figure] = []
    for nr, name in enumerate(names, start=1):
        load, began = os.getloadavg()[0], time.perf_counter()
        with console.status(f"{nr} of {len(names)}: {name}"):
            more = {"minutes": minutes} if name == "talk" else {}
            figures += await BENCHMARKS[name](quick=quick, **more)
        console.print(f"[dim]{name}: {time.perf_counter() - began:.0f} s, load average at its start {load:.1f}[/]")
    return figures


def main() -> int:
    """Return 1 when a target is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"any of {', '.join(BENCHMARKS)}; none: all but talk")
    parser.add_argument("--quick", action="store_true", help="smaller loads: less exact, a quarter of the time")
    parser.add_argument("--minutes", type=float, help="how long `talk` lasts: 60, with --quick 2, unless told")
    parser.add_argument("--json", action="store_true", help="one JSON object per line instead of the table")
    given = parser.parse_args()
    if unknown := set(given.names) - BENCHMARKS.keys():
        parser.error(f"there is no {', '.join(sorted(unknown))}: choose from {', '.join(BENCHMARKS)}")
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    console = Console(stderr=True) if given.json else Console()
    figures = uvloop.run(run(given.names or UNASKED, console, quick=given.quick, minutes=given.minutes))
    if given.json:
        sys.stdout.writelines(json.dumps(one.as_json()) + "\n" for one in figures)
    else:
        show(figures, console)
    return 1 if any(one.met is False for one in figures) else 0


if __name__ == "__main__":
    sys.exit(main())

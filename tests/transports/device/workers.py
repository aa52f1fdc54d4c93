"""Worker processes that behave as a test tells them to, and ears that write down what they say."""

import asyncio
import itertools
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from wafleet.transports.device.ears import Why
from wafleet.transports.device.process import PLACE

_numbers = itertools.count()

MAIN = """
import os, socket, sys, time
from pathlib import Path
from .line import Kind, Splitter, packed

def main():
    program, descriptor, *_ = sys.argv[-5:]
    line, splitter = socket.socket(fileno=int(descriptor)), Splitter()

    def tell(client, kind, *fields):
        line.sendall(packed(client, kind, *fields))

    def asked():
        while data := line.recv(65536):
            yield from splitter.feed(data)

    def live():
        while True:
            tell(0, Kind.BEAT)
            time.sleep(0.1)

    known = {"tell": tell, "asked": asked, "live": live, "line": line, "Kind": Kind, "os": os, "time": time, "sys": sys}
    exec(Path(program).read_text(), known)
"""


def scripted(folder: Path) -> Path:
    """Make a package `worker` whose program is a script: it says and does what the test wants."""
    shutil.copytree(PLACE / "worker", folder / "worker", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "worker/main.py").write_text(MAIN)
    return folder


def script(folder: Path, lines: str) -> Path:
    """Write the program of one worker."""
    path = folder / f"script-{next(_numbers)}.py"
    path.write_text(lines)
    return path


class Heard:
    """Ears that write down what they hear."""

    def __init__(self) -> None:
        self.events: list[tuple[int, bytes, int]] = []
        self.qrs: list[str] = []
        self.names: dict[str, str] = {}
        self.swallows: list[tuple[str, str]] = []
        self.notices: list[str] = []
        self.returns: list[str] = []
        self.ends: list[tuple[Why, str]] = []
        self.on_event: Callable[[int, bytes], None] = lambda code, data: None
        self.on_swallowed: Callable[[str], None] = lambda id: None

    def event(self, code: int, data: bytes, seq: int) -> None:
        self.events.append((code, data, seq))
        self.on_event(code, data)

    def qr(self, text: str) -> None:
        self.qrs.append(text)

    def named(self, ref: str, id: str) -> None:
        self.names[ref] = id

    def swallowed(self, id: str, sender: str) -> None:
        self.swallows.append((id, sender))
        self.on_swallowed(id)

    def noticed(self, xml: str) -> None:
        self.notices.append(xml)

    def returned(self, error: str) -> None:
        self.returns.append(error)

    def gone(self, why: Why, detail: str) -> None:
        self.ends.append((why, detail))

    @property
    def codes(self) -> Sequence[int]:
        return [code for code, _, _ in self.events]


async def until(wanted: Callable[[], object], limit_s: float = 20.0) -> None:
    """Look again and again until it is so; fail when it never is."""
    deadline = time.monotonic() + limit_s
    while not wanted():
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0.01)


def running(pid: int) -> bool:
    """Tell whether a process runs; one that waits to be buried does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False

"""A name for this process that no other running one has, and that it has again after a restart."""

import fcntl
import os
import secrets
import socket
from collections.abc import Generator
from contextlib import contextmanager
from itertools import count
from pathlib import Path


@contextmanager
def node_name(folder: Path, *, named: str | None = None) -> Generator[str]:
    """Hold a node name while the context is open: `named` or the host's name, with a mark of this installation.

    The operating system drops the lock on the name when its process dies, however it dies. So whoever holds the name
    knows that its former holder is gone, and may take that one's leases without waiting for them to run out.
    """
    folder.mkdir(parents=True, exist_ok=True)
    stem = f"{named or socket.gethostname()}-{_installation(folder)}"
    for number in count(1):
        name = stem if number == 1 else f"{stem}-{number}"
        with (folder / f"{name}.lock").open("a+") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            handle.truncate(0)
            handle.write(str(os.getpid()))
            handle.flush()
            yield name
            return


def _installation(folder: Path) -> str:
    """Return what tells this data folder from those of other hosts, or containers, of the same name."""
    path = folder / "installation"
    try:
        with path.open("x") as handle:
            handle.write(secrets.token_hex(2))
    except FileExistsError:
        pass
    return path.read_text() or "0000"

"""A name for this process that no other running one has, and that it has again after a restart."""

import fcntl
import os
import socket
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def node_name(folder: Path, *, named: str | None = None) -> Generator[str]:
    """Hold a node name while the context is open: `named`, or the host's name and a number.

    The operating system drops the lock on the name when its process dies, however it dies. So whoever holds the name
    knows that its former holder is gone, and may take that one's leases without waiting for them to run out.
    """
    folder.mkdir(parents=True, exist_ok=True)
    number = 0
    while True:
        number += 1
        name = named if named is not None and number == 1 else f"{named or socket.gethostname()}-{number}"
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

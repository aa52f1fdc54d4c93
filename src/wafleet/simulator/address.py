"""Where the simulator's process can be reached: a small file in its folder."""

import os
from pathlib import Path
from typing import Final

import msgspec

FILE: Final = "simulator.json"


class Address(msgspec.Struct, frozen=True):
    """What a client needs to connect."""

    host: str
    port: int
    token: str
    pid: int


class NotRunning(ConnectionError):
    """No simulator can be reached; the sentence says how to start one."""

    def __init__(self, folder: Path) -> None:
        super().__init__(f"No simulator is running in {folder}: start one with `wafleet sim serve`")


def read_address(folder: Path) -> Address:
    """Read where the simulator of this folder listens. Raises NotRunning when no such file is there."""
    try:
        return msgspec.json.decode((folder / FILE).read_bytes(), type=Address)
    except (OSError, msgspec.DecodeError):
        raise NotRunning(folder) from None


def publish(folder: Path, address: Address) -> None:
    """Write the address so that only this user can read it, and never half of it."""
    beside = folder / f"{FILE}.{os.getpid()}"
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(msgspec.json.encode(address))
    beside.replace(folder / FILE)


def withdraw(folder: Path) -> None:
    """Remove the address: nobody listens any more."""
    (folder / FILE).unlink(missing_ok=True)

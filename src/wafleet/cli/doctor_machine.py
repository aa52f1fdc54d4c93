"""What `wafleet doctor` looks at on the machine: folder, disk, port, simulator."""

import os
import shutil
import socket
from pathlib import Path
from typing import Final

import httpx

from wafleet.cli.findings import Finding
from wafleet.client import read_published
from wafleet.clientlib import FULL_NAME, Unusable, find
from wafleet.config import Settings
from wafleet.simulator.address import NotRunning, read_address

LITTLE: Final = 2 << 30  # bytes; a day's traffic of a busy fleet with its write-ahead log
TOO_LITTLE: Final = 200 << 20
PATIENCE_S: Final = 2.0


def folder(settings: Settings) -> Finding:
    """Whether the data folder is ours to write, and nobody else's to read."""
    path = settings.data_dir
    if not path.exists():
        parent = _nearest(path)
        if os.access(parent, os.W_OK):
            return Finding("data folder", "ok", f"{path} will be made at the first start")
        return Finding("data folder", "bad", f"{path} cannot be made", f"Give this user {parent}, or set another one.")
    if not (path.is_dir() and os.access(path, os.R_OK | os.W_OK | os.X_OK)):
        remedy = f"Run as the owner of {path}, or set WAFLEET_DATA_DIR to a folder of this user."
        return Finding("data folder", "bad", f"{path} cannot be written by this user", remedy)
    key = path / "master.key"
    if key.exists() and key.stat().st_mode & 0o077:
        return Finding("data folder", "bad", f"{key} can be read by other users", f"Run chmod 600 {key}")
    if path.stat().st_mode & 0o022:
        return Finding("data folder", "warn", f"other users may write into {path}", f"Run chmod go-w {path}")
    return Finding("data folder", "ok", f"{path} belongs to this user")


def space(settings: Settings) -> Finding:
    """Whether the disk has room to go on."""
    free = shutil.disk_usage(_nearest(settings.data_dir)).free
    says = f"{free / (1 << 30):.1f} GB are free"
    if free < TOO_LITTLE:
        return Finding("disk", "bad", says, "Free some space: the database stops when the disk is full.")
    if free < LITTLE:
        return Finding("disk", "warn", says, "Free some space soon.")
    return Finding("disk", "ok", says)


def port(settings: Settings) -> Finding:
    """Whether wafleet answers where it was started, or its port is free."""
    published = read_published(settings.data_dir)
    if published and (version := _wafleet_at(published.url)):
        return Finding("port", "ok", f"{version} answers at {published.url}")
    host = "127.0.0.1" if settings.host in {"0.0.0.0", "::"} else settings.host  # noqa: S104
    where = f"{host}:{settings.port}"
    if settings.port == 0:
        return Finding("port", "ok", "any free one is taken at start")
    try:
        with socket.create_connection((host, settings.port), PATIENCE_S):
            pass
    except OSError:
        return Finding("port", "ok", f"{where} is free: wafleet does not run there")
    address = f"[{host}]" if ":" in host else host
    if version := _wafleet_at(f"http://{address}:{settings.port}"):
        return Finding("port", "ok", f"{version} answers at {where}")
    remedy = "Stop that program, or choose another port with WAFLEET_PORT."
    return Finding("port", "bad", f"{where} is used by another program", remedy)


def _wafleet_at(url: str) -> str | None:
    try:
        told = httpx.get(f"{url}/health", timeout=PATIENCE_S, trust_env=False).json()
        return f"wafleet {told['version']} ({told['status']})"
    except (httpx.HTTPError, ValueError, KeyError, TypeError):
        return None


def simulator(settings: Settings) -> Finding:
    """Whether the simulated network answers, where it is used."""
    place = settings.simulator.folder or settings.data_dir / "simulator"
    if not settings.simulator.enabled and not place.exists():
        return Finding("simulator", "ok", "not used")
    try:
        address = read_address(place)
        with socket.create_connection((address.host, address.port), PATIENCE_S):
            return Finding("simulator", "ok", f"answers at {address.host}:{address.port}")
    except (NotRunning, OSError) as error:
        level = "bad" if settings.simulator.enabled else "warn"
        remedy = f"Start it with `wafleet demo`, or `wafleet sim serve` for {place}."
        return Finding("simulator", level, f"does not answer: {error}", remedy)


def devices(settings: Settings) -> Finding:
    """Whether linked devices can run here; all other numbers do not need their library."""
    if not settings.devices.enabled:
        return Finding("linked devices", "ok", "switched off")
    try:
        library = find()
    except Unusable as error:
        remedy = "Numbers of the transport `device` wait until then; all others are not affected."
        return Finding("linked devices", "warn", str(error), remedy)
    if settings.devices.emulator is not None:
        says = f"{FULL_NAME} is installed; it links to the emulator in {settings.devices.emulator}, not to WhatsApp"
        return Finding("linked devices", "ok", says)
    return Finding("linked devices", "ok", f"the library is installed: {library.program.name}, {library.version}")


def _nearest(path: Path) -> Path:
    """The folder itself, or what there is above it."""
    return next(one for one in (path, *path.parents) if one.exists())

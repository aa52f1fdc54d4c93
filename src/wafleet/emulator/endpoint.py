"""How a client finds the emulator: patched copies of the library's program, and a file that names them.

The library has no setting for the server's address nor for the key it trusts. So copies of its program get ours in the
place of WhatsApp's, byte for byte; the installed program is never touched. There are two ways in:

plain  root key and address are replaced; no TLS and no proxy
tls    only the root key is replaced: the client calls WhatsApp's own address through the proxy it is told to use, and
       trusts our certificate because it is told to. Everything else is as in earnest.

Source of key and address: the program itself, which holds each of them once.
"""

import asyncio
import os
from pathlib import Path
from typing import Final

import msgspec

from wafleet.clientlib import find
from wafleet.emulator.certificates import Authority, write
from wafleet.emulator.listening import HOST
from wafleet.emulator.ports import Ports
from wafleet.emulator.tokens import Changed

FILE: Final = "endpoint.json"
ROOT_KEY: Final = bytes.fromhex("142375574d0a587166aae71ebe516437c4a28b73e3695c6ce1f7f9545da8ee6b")
ADDRESS: Final = b"wss://web.whatsapp.com/ws/chat"


class Way(msgspec.Struct, frozen=True, omit_defaults=True):
    """One way to reach the emulator: the program to load, and what to tell it."""

    library: str
    ca: str = ""  # file of certificates to trust; also where media are concerned
    proxy: str = ""


class Endpoint(msgspec.Struct, frozen=True):
    """What stands in the file."""

    plain: Way
    tls: Way
    pid: int


async def publish(folder: Path, authority: Authority, ports: Ports) -> Endpoint:
    """Make the copies, then say where they are. Raises Unusable, Changed, OSError."""
    program = find().program
    plain, tls = folder / "plain" / program.name, folder / "tls" / program.name
    await asyncio.to_thread(_copies, program, {plain: _plain(authority, ports.plain), tls: _trusting(authority)})
    ca = str(authority.ca)
    endpoint = Endpoint(Way(str(plain), ca), Way(str(tls), ca, f"http://{HOST}:{ports.proxy}"), os.getpid())
    write(folder / FILE, msgspec.json.format(msgspec.json.encode(endpoint)))
    return endpoint


def withdraw(folder: Path) -> None:
    """Remove the file: nobody listens any more."""
    (folder / FILE).unlink(missing_ok=True)


def patched(data: bytes, changes: dict[bytes, bytes], name: str) -> bytes:
    """Return a program with each of `changes` made at the one place where it belongs. Raises Changed."""
    for old, new in changes.items():
        assert len(old) == len(new)
        hits = data.count(old)
        if hits != 1:
            what = "WhatsApp's root key" if old == ROOT_KEY else f"the address {old.decode()}"
            raise Changed(
                f"{name} holds {what} {hits} times where once was expected: the library was built otherwise, "
                "or the protocol has changed. Compare it with the version whose behaviour is known"
            )
        data = data.replace(old, new)
    return data


def _trusting(authority: Authority) -> dict[bytes, bytes]:
    return {ROOT_KEY: authority.root.public}


def _plain(authority: Authority, port: int) -> dict[bytes, bytes]:
    address = f"ws://{HOST}:{port}/ws/chat?".encode()
    return {ROOT_KEY: authority.root.public, ADDRESS: address.ljust(len(ADDRESS), b"?")}


def _copies(program: Path, wanted: dict[Path, dict[bytes, bytes]]) -> None:
    data = program.read_bytes()
    for path, changes in wanted.items():
        path.parent.mkdir(mode=0o700, exist_ok=True)
        write(path, patched(data, changes, program.name))
        path.chmod(0o700)

"""Where linked devices connect to: WhatsApp itself, or an emulator of it on this machine."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from wafleet.clientlib import Unusable, find
from wafleet.transports.base import OpenError

FILE: Final = "endpoint.json"


@dataclass(frozen=True, slots=True)
class Way:
    """How a worker reaches the network."""

    program: Path  # the library's program, or a copy of it that knows the emulator
    proxy: str | None = None
    ca: Path | None = None  # certificates to trust instead of the system's


class _Written(msgspec.Struct):
    library: str
    proxy: str = ""
    ca: str = ""


def way(emulator: Path | None, *, kind: str = "plain", proxy: str | None = None) -> Way:
    """Return how an account connects; it is read anew each time, since an emulator moves. Raises OpenError.

    kind   of an emulator: "plain", or "tls" for the whole way with certificates and a proxy
    proxy  the account's own; it goes before the emulator's
    """
    try:
        library = find()
    except Unusable as error:
        raise OpenError("library_missing", str(error)) from error
    if emulator is None:
        return Way(library.program, proxy)
    written = _read(emulator / FILE, kind)
    return Way(Path(written.library), proxy or written.proxy or None, Path(written.ca) if written.ca else None)


def _read(path: Path, kind: str) -> _Written:
    try:
        written = msgspec.json.decode(path.read_bytes(), type=dict[str, object])[kind]
        return msgspec.convert(written, _Written)
    except (OSError, KeyError, msgspec.DecodeError, msgspec.ValidationError) as error:
        raise OpenError("network", f"the emulator is not running: {path} says nothing ({error})") from error

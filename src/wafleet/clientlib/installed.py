"""Finds the installed library, and says in one sentence why it cannot be used."""

import platform
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Final

NAME: Final = "neonize"
VERSION: Final = "0.5.2"  # the one whose behaviour was measured; another may speak differently
FULL_NAME: Final = f"{NAME} {VERSION}"
_GLIBC: Final = (2, 34)  # the program's newest symbol, although its wheel says 2.17
_MACHINES: Final = {"x86_64": "amd64", "aarch64": "arm64"}
_REMEDY: Final = "run `pip install 'wafleet[device]'`"


class Unusable(Exception):
    """Linked devices cannot run here; the sentence says why and what to do."""


@dataclass(frozen=True, slots=True)
class Library:
    """The library that is installed."""

    version: str
    folder: Path
    program: Path  # the shared library that does the work


def find() -> Library:
    """Find the library that is installed. Raises Unusable."""
    try:
        found = distribution(NAME)
    except PackageNotFoundError:
        raise Unusable(f"Linked devices need the library {NAME} {VERSION}, which is not installed: {_REMEDY}") from None
    folder = Path(str(found.locate_file(NAME)))
    library = Library(found.version, folder, folder / _program())
    _check(library)
    return library


def _program() -> str:
    system, machine = platform.system().lower(), platform.machine().lower()
    return f"{NAME}-{system}-{_MACHINES.get(machine, machine)}.{'dylib' if system == 'darwin' else 'so'}"


def _check(library: Library) -> None:
    if library.version != VERSION:
        raise Unusable(f"{NAME} {library.version} is installed, and wafleet works with {VERSION}: {_REMEDY}")
    if not library.program.is_file():
        raise Unusable(f"{NAME} {VERSION} has no program for this system ({library.program.name}): use Linux on x86-64")
    libc, version = platform.libc_ver()
    if platform.system() == "Linux" and (libc != "glibc" or _numbers(version) < _GLIBC):
        has = f"{libc} {version}".strip() or "another"
        raise Unusable(
            f"{NAME} needs the C library glibc {_GLIBC[0]}.{_GLIBC[1]} and this system has {has}: "
            "use Debian 12, Ubuntu 22.04 or newer"
        )


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdecimal())

"""The words that have numbers in binary stanzas, read out of the installed library's program.

The program holds them as one list of 235 words and four of 256, each word as an address and a length. They are found by
their first two words, in a child process: loading the program starts a runtime that cannot be stopped again. What was
found is kept, named by the program's SHA-256. Source of the numbers: the tables as they lie in that program.
"""

import asyncio
import hashlib
import sys
import tempfile
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Final

import msgspec
from platformdirs import user_cache_dir

from wafleet.clientlib import find
from wafleet.emulator import token_reader
from wafleet.emulator.certificates import write
from wafleet.emulator.wire import Tokens

_READ_S: Final = 60.0
_SINGLE: Final = 236
_DOUBLE: Final = 256
_BOOKS: Final = 4


class Changed(Exception):
    """The library's program is not built as it was; the sentence says what is different."""


class _Kept(msgspec.Struct, frozen=True):
    single: list[str]
    double: list[list[str]]


async def tokens() -> Tokens:
    """Return the words of the installed library. Raises Unusable, Changed."""
    program = find().program
    name = f"words-{_digest(program, program.stat().st_mtime_ns)}.json"
    for folder in _folders():
        with suppress(OSError, msgspec.DecodeError, Changed):
            return _checked((folder / name).read_bytes())
    found = await _read(program)
    words = _checked(found)
    for folder in _folders():
        with suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
            write(folder / name, found)
            break
    return words


@lru_cache(maxsize=4)
def _digest(program: Path, _changed: int) -> str:
    return hashlib.sha256(program.read_bytes()).hexdigest()[:32]


def _folders() -> tuple[Path, Path]:
    return Path(user_cache_dir("wafleet")), Path(tempfile.gettempdir()) / "wafleet-cache"


async def _read(program: Path) -> bytes:
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-I",
        str(token_reader.__file__),
        str(program),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(_READ_S):
            out, trouble = await child.communicate()
    except TimeoutError:
        raise Changed(f"Reading the words of {program.name} took longer than {_READ_S:.0f} s") from None
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    if child.returncode:
        lines = trouble.decode(errors="replace").strip().splitlines()
        raise Changed(f"The words of {program.name} were not found: {lines[-1] if lines else 'no reason given'}")
    return out


def _checked(data: bytes) -> Tokens:
    kept = msgspec.json.decode(data, type=_Kept)
    sizes = [len(kept.single), *map(len, kept.double)]
    if sizes != [_SINGLE, *[_DOUBLE] * _BOOKS]:
        raise Changed(
            f"The library has {sizes} words where {_SINGLE} and {_BOOKS} times {_DOUBLE} were expected: "
            "the protocol has new tables, and the number in its greeting has changed"
        )
    return Tokens(kept.single, kept.double)

"""Files between us and Meta: what was handed over is remembered, and what comes is what Meta said it would be."""

import asyncio
import base64
import binascii
import hashlib
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Final
from weakref import WeakValueDictionary

import httpx

from wafleet.transports import web
from wafleet.transports.base import NotSent, RefusedContent
from wafleet.transports.meta.graph import MOST_BYTES, Graph

KEPT_S: Final = 25 * 86_400.0  # Meta keeps a file for 30 days. Source: "Media", Get media ID
_MOST: Final = 5_000
Key = tuple[str, str, str]  # the number, the file's SHA-256, and the type it was given


class Handed:
    """Which files Meta has already, per number: a broadcast hands its picture over once."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._known: OrderedDict[Key, tuple[str, float]] = OrderedDict()
        self._turns: WeakValueDictionary[Key, asyncio.Lock] = WeakValueDictionary()

    async def id(self, key: Key, upload: Callable[[], Awaitable[str]]) -> tuple[str, bool]:
        """Return Meta's id of a file, and whether it had it before; `upload` hands it over where it has not."""
        turn = self._turns.setdefault(key, asyncio.Lock())
        async with turn:
            known, until = self._known.get(key, ("", 0.0))
            if known and self._clock() < until:
                return known, True
            new = await upload()
            self._known[key] = new, self._clock() + KEPT_S
            self._known.move_to_end(key)
            if len(self._known) > _MOST:
                self._known.popitem(last=False)
            return new, False

    def forget(self, key: Key, id: str) -> None:
        """Take note that Meta does not have this file any more."""
        if self._known.get(key, ("", 0.0))[0] == id:
            del self._known[key]


async def fetched(graph: Graph, file: str, *, number: str) -> bytes:
    """Fetch a file that a customer sent, which Meta keeps for 7 days.

    file  Meta's id of it, and after a space the hash that its message told
    Raises RefusedContent where size or content are not what Meta said, NotSent where its store has no file at the
    address that Meta gave a moment ago, and what `Graph` raises.
    """
    id, _, hashed = file.partition(" ")
    if not (id.isascii() and id.isdecimal()):  # it becomes part of an address, and whoever signs a webhook wrote it
        raise RefusedContent("media_refused", "this is no id that Meta gives files")
    about = await graph.get(id, phone_number_id=number)
    size = str(about.get("file_size") or "")
    try:
        content, _ = await graph.download(web.text(about["url"]), most=_most(size))
    except httpx.HTTPStatusError as error:
        raise NotSent("media_away", f"meta HTTP {error.response.status_code} for the file") from error
    except web.TooBig as error:
        raise RefusedContent("media_refused", str(error)) from error
    if size.isdecimal() and int(size) != len(content):
        raise RefusedContent("media_refused", f"the file has {len(content)} bytes, and should have {size}")
    for said in (hashed, str(about.get("sha256") or "")):
        _check(content, said)
    return content


def _most(size: str) -> int:
    """Return how much to read at most: no more than was announced, and never more than Meta may have."""
    if size.isdecimal() and int(size) > MOST_BYTES:
        raise web.TooBig(f"the file has {size} bytes; at most {MOST_BYTES} are taken")
    return int(size) if size.isdecimal() else MOST_BYTES


def _check(content: bytes, said: str) -> None:
    """Compare a hash: Meta writes it in hexadecimal or in base 64, depending on where."""
    try:
        wanted = bytes.fromhex(said) if len(said) == 64 else base64.b64decode(said, validate=True)
    except (ValueError, binascii.Error):
        return
    if len(wanted) == 32 and wanted != hashlib.sha256(content).digest():
        raise RefusedContent("media_refused", "the file's content is not what was sent: its hash differs")

"""What every provider with an HTTP interface needs: one client for all its accounts, answers read strictly, files."""

import asyncio
import logging
import ssl
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from ipaddress import ip_address
from typing import Any, Final, TypeVar, cast
from urllib.request import getproxies

import httpx

log = logging.getLogger(__name__)
_THIS_MACHINE: Final = ("localhost", "127.0.0.1", "::1")
ANSWER_S: Final = 15.0  # a request without an answer for this long may have been carried out
CONNECT_S: Final = 5.0
PLACE_S: Final = 5.0  # until one of the connections below is free
AT_ONCE: Final = 200  # connections of one transport
FRESH_S: Final = 600.0  # a contact that long ago still proves that the provider answers
FILE_S: Final = 120.0  # a file may take so long in either direction
FILE: Final = httpx.Timeout(FILE_S, connect=CONNECT_S, pool=PLACE_S)

T = TypeVar("T")


def client(base_url: str = "", *, answer_s: float = ANSWER_S) -> httpx.AsyncClient:
    """Return a client for one transport, shared by all its accounts. Whoever opens it closes it.

    Only connecting is tried twice: nothing was written by then. Proxies are those of the environment, as for other
    programs: HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, and NO_PROXY for whom they are not. This machine is never behind one.
    """
    return httpx.AsyncClient(
        base_url=base_url,
        timeout=httpx.Timeout(answer_s, connect=CONNECT_S, pool=PLACE_S),
        transport=_connections(),
        mounts=_by_proxy(),
        headers={"User-Agent": f"wafleet/{version('wafleet')}", "Accept": "application/json"},
    )


def _connections(proxy: str | None = None) -> httpx.AsyncHTTPTransport:
    limits = httpx.Limits(max_connections=AT_ONCE, max_keepalive_connections=AT_ONCE // 4)
    return httpx.AsyncHTTPTransport(retries=1, limits=limits, proxy=proxy, verify=_authorities())


@cache
def _authorities() -> ssl.SSLContext:
    """Return whom HTTPS trusts, read once: that takes longer than all else in making a client."""
    return httpx.create_ssl_context()


def _by_proxy() -> dict[str, httpx.AsyncHTTPTransport | None]:
    """Return the connections through proxies, by the addresses they are for; None: those go without."""
    named = getproxies()
    proxies = {kind: named[kind] for kind in ("http", "https", "all") if named.get(kind)}
    ways: dict[str, httpx.AsyncHTTPTransport | None] = {}
    for kind, proxy in proxies.items():
        address = proxy if "://" in proxy else f"http://{proxy}"
        if address.startswith(("http://", "https://")):
            ways[f"{kind}://"] = _connections(address)
        else:
            log.warning("the proxy for %s is of a kind that wafleet cannot use: it is left out", kind)
    without = [one.strip() for one in named.get("no", "").split(",") if one.strip()]
    if "*" in without or not ways:
        return {}
    return ways | {f"all://{_host(one)}": None for one in (*_THIS_MACHINE, *without)}


def _host(written: str) -> str:
    """Write a host of NO_PROXY as httpx takes it: a name stands for all below it as well."""
    name = written.strip("[]")
    with suppress(ValueError):
        return f"[{name}]" if ip_address(name).version == 6 else name
    return name if name == "localhost" else f"*{name}"


async def whole(asking: Awaitable[T], *, within_s: float) -> T:
    """Wait for a whole answer. Raises ReadTimeout: httpx's own limit begins anew with every byte that comes."""
    try:
        async with asyncio.timeout(within_s):
            return await asking
    except TimeoutError as e:
        raise httpx.ReadTimeout(f"no whole answer in {within_s:g} s") from e


def under(base: str, url: str) -> bool:
    """Tell whether an address is on the server of another: credentials go there and nowhere else."""
    try:
        asked, ours = httpx.URL(url), httpx.URL(base)
    except (httpx.InvalidURL, TypeError):
        return False
    return bool(ours.host) and (asked.scheme, asked.host, asked.port) == (ours.scheme, ours.host, ours.port)


def now() -> datetime:
    """Return the time of day: what providers tell us without a time of its own happened now."""
    return datetime.now(UTC)


def answer(reply: httpx.Response) -> dict[str, Any]:
    """Return the JSON object of an answer that went well.

    Raises HTTPStatusError for any other status, ValueError where the body is none: both are named by `http_errors`.
    """
    if not reply.is_success:
        raise httpx.HTTPStatusError(f"HTTP {reply.status_code}", request=reply.request, response=reply)
    return obj(reply.json())


def obj(value: object) -> dict[str, Any]:
    """Return a value that must be a JSON object. Raises ValueError."""
    if not isinstance(value, dict):
        raise ValueError(f"an object was expected, not {type(value).__name__}")
    return cast("dict[str, Any]", value)


def objs(value: object) -> list[dict[str, Any]]:
    """Return a value that must be a list of JSON objects. Raises ValueError."""
    if not isinstance(value, list):
        raise ValueError(f"a list was expected, not {type(value).__name__}")
    return [obj(one) for one in cast("list[object]", value)]


def text(value: object) -> str:
    """Return a value that must be text with something in it. Raises ValueError."""
    if not isinstance(value, str) or not value:
        raise ValueError(f"a text was expected, not {value!r:.40}")
    return value


class TooBig(ValueError):
    """A file is larger than it may be."""


async def download(
    request: httpx.Request,
    *,
    http: httpx.AsyncClient,
    most: int,
    auth: tuple[str, str] | None = None,
    follow: bool = True,
) -> tuple[bytes, str]:
    """Fetch a file of at most `most` bytes within two minutes; return it and the type its server gives it.

    auth    name and password for the first server; one that it redirects to elsewhere does not see them
    follow  go where the server redirects to, with whatever other proof the request bears

    Raises TooBig as soon as that is known, HTTPStatusError, and what httpx raises.
    """
    return await whole(_downloaded(request, http, most, auth, follow), within_s=FILE_S)


async def _downloaded(
    request: httpx.Request, http: httpx.AsyncClient, most: int, auth: tuple[str, str] | None, follow: bool
) -> tuple[bytes, str]:
    reply = await http.send(request, auth=auth, stream=True, follow_redirects=follow)
    try:
        if not reply.is_success:
            await reply.aread()
            raise httpx.HTTPStatusError(f"HTTP {reply.status_code}", request=request, response=reply)
        return await _body(reply, most), reply.headers.get("Content-Type", "").partition(";")[0].strip()
    finally:
        await reply.aclose()


async def _body(reply: httpx.Response, most: int) -> bytes:
    said = reply.headers.get("Content-Length", "")
    if said.isascii() and said.isdecimal() and int(said) > most:
        raise TooBig(f"the file has {said} bytes; at most {most} are taken")
    parts: list[bytes] = []
    size = 0
    async for part in reply.aiter_bytes():
        size += len(part)
        if size > most:
            raise TooBig(f"the file has more than {most} bytes")
        parts.append(part)
    return b"".join(parts)


class Contact:
    """When a provider last answered for one account, so that an account in use needs no pings of its own."""

    __slots__ = ("_at", "_clock")

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._at = clock()

    def made(self) -> None:
        """Take note that it answered just now."""
        self._at = self._clock()

    def lost(self) -> None:
        """Take note that what it answered is reason to ask again."""
        self._at = self._clock() - FRESH_S

    @property
    def fresh(self) -> bool:
        """True while the last answer is recent enough to stand for one now."""
        return self._clock() - self._at < FRESH_S

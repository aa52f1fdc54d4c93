"""Files that customers sent, which a gateway keeps for a while.

Source: https://waha.devlike.pro/docs/how-to/receive-messages/ (media files)
"""

from typing import Final
from urllib.parse import unquote, urlsplit, urlunsplit

import httpx

from wafleet.transports.base import RefusedContent
from wafleet.transports.gateway.place import Place
from wafleet.transports.web import FILE, TooBig, download, under

_OWN: Final = "/api/files/"
_MOST: Final = (
    100 * 1024 * 1024
)  # bytes: what WhatsApp lets people send in a picture or film; larger documents are rare
_GONE: Final = frozenset({404, 410})


async def fetched(http: httpx.AsyncClient, place: Place, url: str, *, store: str = "") -> bytes:
    """Fetch a file by the URL its message has.

    A gateway often does not know by what address it is reached, so its own files are asked for where the account says
    its gateway is. The key goes there alone. Whoever has an account's HMAC key can write any URL: nothing is fetched
    but from the gateway, and from `store` where there is one, wherever these redirect to.
    Raises RefusedContent, and what httpx raises.
    """
    request = _request(http, place, url, store)
    try:
        return (await download(request, http=http, most=_MOST, follow=False))[0]
    except TooBig as error:
        raise RefusedContent("media_refused", str(error)) from error
    except httpx.HTTPStatusError as error:
        if error.response.is_redirect:
            raise RefusedContent("media_refused", "the gateway says that the file is elsewhere") from error
        if error.response.status_code not in _GONE:
            raise
        raise RefusedContent("media_gone", "the gateway does not have the file any more") from error


def _request(http: httpx.AsyncClient, place: Place, url: str, store: str) -> httpx.Request:
    if under(store, url):  # it gives out links that need no key
        return http.build_request("GET", url, timeout=FILE)
    if own := _own(url):
        return place.request(http, "GET", own, timeout=FILE)
    raise RefusedContent("media_refused", f"{url[:200]} is no file of the gateway, nor of `gateway.store`")


def _own(url: str) -> str:
    """Return where the gateway has a file of its own; empty: this is none."""
    try:
        asked = urlsplit(url)
    except ValueError:
        return ""
    at = asked.path.find(_OWN)
    if at < 0 or ".." in unquote(asked.path):
        return ""
    return urlunsplit(("", "", asked.path[at:], asked.query, ""))

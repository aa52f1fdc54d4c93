"""Files that customers sent, which a gateway keeps for a while.

Source: https://waha.devlike.pro/docs/how-to/receive-messages/ (media files)
"""

from typing import Final
from urllib.parse import urlsplit, urlunsplit

import httpx

from wafleet.transports.base import RefusedContent
from wafleet.transports.gateway.place import Place
from wafleet.transports.web import TooBig, download

_OWN: Final = "/api/files/"
_MOST: Final = (
    100 * 1024 * 1024
)  # bytes: what WhatsApp lets people send in a picture or film; larger documents are rare
_GONE: Final = frozenset({404, 410})


async def fetched(http: httpx.AsyncClient, place: Place, url: str) -> bytes:
    """Fetch a file by the URL its message has.

    A gateway often does not know by what address it is reached, so its own files are asked for where the account says
    its gateway is. The key goes there alone. Raises RefusedContent, and what httpx raises.
    """
    request = _request(http, place, url)
    try:
        return (await download(request, http=http, most=_MOST))[0]
    except TooBig as error:
        raise RefusedContent("media_refused", str(error)) from error
    except httpx.HTTPStatusError as error:
        if error.response.status_code not in _GONE:
            raise
        raise RefusedContent("media_gone", "the gateway does not have the file any more") from error


def _request(http: httpx.AsyncClient, place: Place, url: str) -> httpx.Request:
    asked = urlsplit(url)
    own = asked.path.find(_OWN)
    if own >= 0:
        return place.request(http, "GET", urlunsplit(("", "", asked.path[own:], asked.query, "")))
    if asked.scheme == "https":  # a store of the gateway's, which gives out links that need no key
        return http.build_request("GET", url)
    raise RefusedContent("media_refused", "a file is fetched from the gateway itself, or over https")

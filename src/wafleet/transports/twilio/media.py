"""Customers' files, which Twilio keeps for a while. Source: https://www.twilio.com/docs/messaging/api/media-resource"""

from typing import Final

import httpx

from wafleet.transports import web
from wafleet.transports.base import Number, RefusedContent
from wafleet.transports.remedies import file_errors
from wafleet.transports.twilio.errors import PROVIDER, TABLE, told
from wafleet.transports.twilio.sender import Keys, Place, keys, place

MOST: Final = 100 * 1024 * 1024  # bytes; WhatsApp takes no larger file of a customer
GONE: Final = frozenset({404, 410})


def reference(mime: str, url: str) -> str:
    """Name a file by what it was announced as, and where it is."""
    return f"{mime} {url}" if url else ""


async def fetch(http: httpx.AsyncClient, number: Number, credentials: bytes, reference: str) -> bytes:
    """Fetch a file. Raises RefusedContent when it cannot be had, NotSent or MaybeSent when it may be had later."""
    mime, _, url = reference.rpartition(" ")
    with file_errors(PROVIDER, table=TABLE, read=told):
        if not _twilios(url, place(number.settings)):
            raise RefusedContent("media_refused", f"{url} is no address of Twilio: credentials are not sent there")
        content, kind = await _download(http, keys(credentials), url)
    if not content:
        raise RefusedContent("media_refused", "the file is empty")
    if mime and kind.partition("/")[0] != mime.partition("/")[0]:
        raise RefusedContent("media_refused", f"the file was announced as {mime} and is {kind or 'of no known type'}")
    return content


async def _download(http: httpx.AsyncClient, keys: Keys, url: str) -> tuple[bytes, str]:
    try:
        return await web.download(http.build_request("GET", url), http=http, most=MOST, auth=keys.auth)
    except web.TooBig as e:
        raise RefusedContent("media_refused", str(e)) from e
    except httpx.HTTPStatusError as e:
        if e.response.status_code in GONE:
            raise RefusedContent("media_gone", f"{PROVIDER} HTTP {e.response.status_code}") from e
        raise


def _twilios(url: str, place: Place) -> bool:
    """Tell whether an address is Twilio's own, or that of what stands in for it; credentials go nowhere else."""
    if web.under(place.api, url):
        return True
    try:
        asked = httpx.URL(url)
    except (httpx.InvalidURL, TypeError):
        return False
    return not place.url and asked.scheme == "https" and f".{asked.host}".endswith(".twilio.com")

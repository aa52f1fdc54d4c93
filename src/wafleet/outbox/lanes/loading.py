"""Makes a claimed message whole before it goes on the wire: the file it carries, the message it is about."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from wafleet.accounts import Live
from wafleet.domain.ids import TenantId
from wafleet.domain.message import about, media
from wafleet.outbox.model import Claim
from wafleet.transports.base import NotSent, Outgoing, RefusedContent

Files = Callable[[str], Awaitable[bytes]]
Links = Callable[[TenantId, str], str]
GONE: Final = "its file is no longer in the media store"


class Loading:
    """Hands claims to sessions. A file is in memory only while its message is on the wire, and few are at a time."""

    def __init__(self, files: Files | None, links: Links | None, *, at_once: int) -> None:
        self._files, self._room = files or _no_files, asyncio.Semaphore(at_once)
        self._links = links or _no_links

    async def send(self, live: Live, claim: Claim) -> str:
        """Send one claim; return the network's name for it. Raises SendError."""
        _require_about(claim)
        file = media(claim.content)
        if file is None:
            return await _send(live, claim)
        if live.capabilities.media_by_link:
            return await _send(live, claim, link=self._links(live.tenant, file.id))
        async with self._room:
            return await _send(live, claim, await self._loaded(file.id))

    async def _loaded(self, id: str) -> bytes:
        try:
            return await self._files(id)
        except FileNotFoundError as error:
            raise RefusedContent("media_missing", GONE) from error
        except OSError as error:
            raise NotSent("media_away", str(error)) from error


async def _send(live: Live, claim: Claim, file: bytes = b"", link: str = "") -> str:
    if not live.usable:  # asked with no pause before the send: a lapsed lease sends nothing
        raise NotSent("unsure")
    return await live.session.send(Outgoing(claim.id, claim.to, claim.content, claim.about, file, link))


def _require_about(claim: Claim) -> None:
    if claim.about is None:
        if about(claim.content):
            raise RefusedContent("about_missing", "the network never had the message it refers to")
    elif not claim.about.provider_id:
        raise NotSent("about_waits", "the network has no name yet for the message it refers to")


async def _no_files(id: str) -> bytes:
    raise FileNotFoundError(id)


def _no_links(tenant: TenantId, id: str) -> str:
    return ""

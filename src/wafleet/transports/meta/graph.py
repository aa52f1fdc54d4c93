"""Meta's API over HTTP, as one account uses it: requests and strictly read answers, nothing of what they mean."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import httpx

from wafleet.domain.clean import json_of
from wafleet.transports import web

URL: Final = "https://graph.facebook.com"
VERSION: Final = "v23.0"  # what this was written for; Meta keeps each version for two years at least
MOST_BYTES: Final = 100 * 1024 * 1024  # of one file. Source: "Media", Media message download constraints
_VERSIONED: Final = re.compile(r".*/v[0-9]+\.[0-9]+")


def root(url: str) -> str:
    """Return where the API of this address is: its version is added where it names none."""
    plain = url.rstrip("/")
    return plain if _VERSIONED.fullmatch(plain) else f"{plain}/{VERSION}"


@dataclass(frozen=True, slots=True)
class Graph:
    """One account's way to the API. Every call raises what httpx raises, and ValueError or LookupError for nonsense."""

    http: httpx.AsyncClient
    root: str
    token: str = field(repr=False)
    answer_s: float = web.ANSWER_S  # for a whole answer; files have more

    async def get(self, path: str, **params: str) -> dict[str, Any]:
        """Ask for one thing."""
        asking = self.http.get(f"{self.root}/{path}", params=params, headers=self._proof())
        return web.answer(await web.whole(asking, within_s=self.answer_s))

    async def post(self, path: str, said: Mapping[str, Any]) -> dict[str, Any]:
        """Say one thing."""
        headers = self._proof() | {"Content-Type": "application/json"}
        asking = self.http.post(f"{self.root}/{path}", content=json_of(said).encode(), headers=headers)
        return web.answer(await web.whole(asking, within_s=self.answer_s))

    async def upload(self, number: str, content: bytes, *, mime: str, name: str) -> str:
        """Hand a file to Meta, which keeps it for 30 days; return its id there."""
        asking = self.http.post(
            f"{self.root}/{number}/media",
            data={"messaging_product": "whatsapp", "type": mime},
            files={"file": (name or "file", content, mime)},
            headers=self._proof(),
            timeout=web.FILE,
        )
        return web.text(web.answer(await web.whole(asking, within_s=web.FILE_S))["id"])

    async def download(self, url: str, *, most: int = MOST_BYTES) -> tuple[bytes, str]:
        """Fetch a file from the address Meta gave for it, valid for five minutes; return it with its type."""
        request = self.http.build_request("GET", url, headers=self._proof(), timeout=web.FILE)
        return await web.download(request, http=self.http, most=most)

    def _proof(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}

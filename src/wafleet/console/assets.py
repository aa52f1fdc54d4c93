"""The console's own files, kept in memory and named by their content, so that browsers may keep them for a year."""

import gzip
import hashlib
import mimetypes
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

PREFIX: Final = "/console/static"
FOREVER: Final = "public, max-age=31536000, immutable"
COMPRESSED: Final = 1024  # smaller files are not worth it


@dataclass(frozen=True, slots=True)
class Asset:
    body: bytes
    gzipped: bytes | None
    kind: str


class Assets:
    """Every file the pages load; nothing else can be reached through it."""

    def __init__(self) -> None:
        own = resources.files("wafleet.console") / "static"
        htmx = resources.files("js_lib_htmx") / "static" / "htmx" / "htmx.min.js"
        self._files = {file.name: _asset(file) for file in own.iterdir() if file.is_file()}
        self._files["htmx.min.js"] = _asset(htmx)
        content = b"".join(name.encode() + self._files[name].body for name in sorted(self._files))
        self.version = hashlib.sha256(content).hexdigest()[:12]

    def url(self, name: str) -> str:
        """Return the address of a file; raises KeyError for one that is not there."""
        _ = self._files[name]
        return f"{PREFIX}/{self.version}/{name}"

    def serve(self, request: Request, version: str, name: str) -> Response:
        """Answer one request; a version from before an upgrade is served fresh and not kept."""
        asset = self._files.get(name)
        if asset is None:
            return Response(status_code=404)
        headers = {
            "Cache-Control": FOREVER if version == self.version else "no-cache",
            "X-Content-Type-Options": "nosniff",
            "Vary": "Accept-Encoding",
        }
        if asset.gzipped is not None and "gzip" in request.headers.get("accept-encoding", ""):
            return Response(asset.gzipped, media_type=asset.kind, headers=headers | {"Content-Encoding": "gzip"})
        return Response(asset.body, media_type=asset.kind, headers=headers)


def _asset(file: Traversable) -> Asset:
    body = file.read_bytes()
    kind = "text/javascript" if file.name.endswith(".js") else mimetypes.guess_type(file.name)[0]
    gzipped = gzip.compress(body, mtime=0) if len(body) > COMPRESSED else None
    return Asset(body, gzipped, kind or "application/octet-stream")

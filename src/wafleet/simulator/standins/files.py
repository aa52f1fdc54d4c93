"""Files that a stand-in holds for its provider: what businesses sent, and what customers sent."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

_MOST: Final = 256 * 1024 * 1024  # bytes kept in memory; older files are forgotten first, those on disk are not
_PIXEL: Final = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c63f8cf"
    "c0f01f00050001ff89992dd70000000049454e44ae426082"
)
_KINDS: Final = {"image": "image", "video": "video", "audio": "audio"}


class Files:
    """Keep files by the SHA-256 of their content, in memory and, where there is a folder, on disk.

    folder  shared by everybody who plays a part in the same network; None: memory only
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder, self._size = folder, 0
        self._files: dict[str, bytes] = {}

    def put(self, content: bytes) -> str:
        """Keep a file; return its name."""
        name = hashlib.sha256(content).hexdigest()
        if name not in self._files:
            self._files[name] = content
            self._size += len(content)
            if self._folder is not None:
                self._folder.mkdir(parents=True, exist_ok=True)
                (self._folder / name).write_bytes(content)
        while self._size > _MOST and len(self._files) > 1:
            self._size -= len(self._files.pop(next(iter(self._files))))
        return name

    def get(self, name: str) -> bytes | None:
        """Return a file; None when it is not here."""
        if name in self._files:
            return self._files[name]
        path = self._folder / name if self._folder is not None and name.isalnum() else None
        return path.read_bytes() if path is not None and path.is_file() else None

    def of(self, body: Mapping[str, Any]) -> bytes:
        """Return the file that a customer's message carries. One that exists nowhere is made up."""
        media: Mapping[str, Any] = body.get("media") or {}
        found = self.get(str(media.get("id", "")))
        if found is not None:
            return found
        return _PIXEL if media.get("mime", "").startswith("image/") else b"a file of the simulated network\n"


def kind_of(mime: str) -> str:
    """Return the kind of content that a file of this type is sent as."""
    if mime == "image/webp":
        return "sticker"
    return _KINDS.get(mime.partition("/")[0], "document")

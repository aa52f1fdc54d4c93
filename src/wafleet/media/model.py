"""What a file may be, and what it is told apart by: pure rules."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from wafleet.domain.message import Media
from wafleet.engine.web import Stamp

UNKNOWN: Final = "application/octet-stream"
KB: Final = 1024
MB: Final = 1024 * KB
HEAD: Final = 16  # bytes that tell what a file is


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A file of one tenant."""

    id: str  # SHA-256 of its content, hexadecimal
    tenant: UUID
    mime: str
    size: int
    name: str
    created_at: Stamp

    def media(self) -> Media:
        """Return it as a message's content names it."""
        return Media(id=self.id, mime=self.mime, size=self.size, name=self.name)


@dataclass(frozen=True, slots=True)
class Link:
    """An address at which a browser may fetch one file for a while, without signing in."""

    url: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class _Limit:
    most_bytes: int
    mimes: frozenset[str] = frozenset()  # empty: any


# Source: Meta, WhatsApp Cloud API, "Supported media types", https://developers.facebook.com/docs/whatsapp/
LIMITS: Final[Mapping[str, _Limit]] = {
    "image": _Limit(5 * MB, frozenset({"image/jpeg", "image/png"})),
    "video": _Limit(16 * MB, frozenset({"video/mp4", "video/3gpp"})),
    "audio": _Limit(16 * MB, frozenset({"audio/aac", "audio/amr", "audio/mpeg", "audio/mp4", "audio/ogg"})),
    "document": _Limit(100 * MB),
    "sticker": _Limit(500 * KB, frozenset({"image/webp"})),
}

_SIGNATURES: Final = (
    (0, b"\xff\xd8\xff", "image/jpeg"),
    (0, b"\x89PNG\r\n\x1a\n", "image/png"),
    (0, b"GIF8", "image/gif"),
    (8, b"WEBP", "image/webp"),
    (4, b"ftypM4A", "audio/mp4"),
    (4, b"ftyp3g", "video/3gpp"),
    (4, b"ftyp", "video/mp4"),
    (0, b"OggS", "audio/ogg"),
    (0, b"ID3", "audio/mpeg"),
    (0, b"\xff\xfb", "audio/mpeg"),
    (0, b"\xff\xf3", "audio/mpeg"),
    (0, b"\xff\xf2", "audio/mpeg"),
    (0, b"\xff\xfa", "audio/mpeg"),
    (0, b"\xff\xe3", "audio/mpeg"),
    (0, b"\xff\xf1", "audio/aac"),
    (0, b"\xff\xf9", "audio/aac"),
    (0, b"#!AMR", "audio/amr"),
    (0, b"%PDF-", "application/pdf"),
)
_TELLABLE: Final = frozenset(mime for _, _, mime in _SIGNATURES)
_SAME_BOX: Final = frozenset({"video/mp4", "audio/mp4"})  # one container holds films and sound alike
_PLAYED: Final = frozenset({"image", "audio", "video"})
_SHOWN: Final = ("image/jpeg", "image/png", "image/gif", "image/webp", "audio/", "video/")


def mime_of(head: bytes, declared: str) -> str:
    """Say what a file is by its first bytes; what they do not tell is what its sender calls it.

    A file that is called a picture, and does not begin as one, is only bytes.
    """
    declared = declared.partition(";")[0].strip().lower()
    for place, signature, mime in _SIGNATURES:
        if head[place : place + len(signature)] == signature:
            return declared if {declared, mime} <= _SAME_BOX else mime
    return UNKNOWN if declared in _TELLABLE or "/" not in declared else declared


def untrue(announced: Media, content: bytes) -> str:
    """Say in one sentence why a customer's file is not what it was announced as; empty when it is.

    What is shown as a picture or played must be one. A document need not begin as it is called: it is only saved.
    """
    if not content:
        return "The file is empty"
    if announced.size and announced.size != len(content):
        return f"The file has {len(content):,} bytes, and was announced with {announced.size:,}"
    called = announced.mime.partition(";")[0].strip().lower()
    mime = mime_of(content[:HEAD], called)
    if called not in _TELLABLE or mime == called or _family(called) not in _PLAYED:
        return ""
    if _family(mime) == _family(called) or {mime, called} <= _SAME_BOX:
        return ""
    return f"The file was announced as {called}, and is {'something else' if mime == UNKNOWN else mime}"


def fits(kind: str, file: File) -> str:
    """Say in one sentence why a file cannot be sent as this kind of content; empty when it can."""
    limit = LIMITS[kind]
    if limit.mimes and file.mime not in limit.mimes:
        return (
            f"A file of type {file.mime} is no {kind} for WhatsApp: use {_either(limit.mimes)}, or send it as document"
        )
    if file.size > limit.most_bytes:
        most = f"{limit.most_bytes // MB} MB" if limit.most_bytes >= MB else f"{limit.most_bytes // KB} kB"
        return f"It is larger than the {most} that WhatsApp takes as {kind}: send a smaller one"
    return "" if file.size else "The file is empty: send one that is not"


def is_shown(mime: str) -> bool:
    """Tell whether a browser may show it; anything else it must save, for it could be a page with a program."""
    return mime.startswith(_SHOWN)


def _family(mime: str) -> str:
    return mime.partition("/")[0]


def _either(mimes: frozenset[str]) -> str:
    *others, last = sorted(mimes)
    return f"{', '.join(others)} or {last}" if others else last

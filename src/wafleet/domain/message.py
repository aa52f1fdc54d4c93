"""A message: what it says, and where an outgoing one stands."""

from collections.abc import Mapping
from enum import IntEnum, StrEnum
from typing import Any, Final, get_args

import msgspec


class Direction(StrEnum):
    IN = "in"
    OUT = "out"


class Priority(IntEnum):
    """Which of an account's two queues a message waits in; the lower number goes first."""

    REPLY = 0
    BROADCAST = 1


class Sending(StrEnum):
    """Where one outgoing message stands; `MOVES` is the whole truth about what may follow."""

    QUEUED = "queued"
    SENDING = "sending"  # claimed by a lane: the network may or may not have it
    SENT = "sent"  # the network named it
    DELIVERED = "delivered"
    READ = "read"
    FAILED = "failed"
    UNKNOWN = "unknown"  # nobody can say whether it went out; a receipt or a person decides, never a retry
    CANCELLED = "cancelled"


MOVES: Final[Mapping[Sending, frozenset[Sending]]] = {
    Sending.QUEUED: frozenset({Sending.SENDING, Sending.FAILED, Sending.CANCELLED}),
    Sending.SENDING: frozenset(
        {Sending.QUEUED, Sending.SENT, Sending.DELIVERED, Sending.READ, Sending.FAILED, Sending.UNKNOWN}
    ),
    Sending.SENT: frozenset({Sending.DELIVERED, Sending.READ, Sending.FAILED}),
    Sending.DELIVERED: frozenset({Sending.READ}),
    Sending.READ: frozenset(),
    Sending.FAILED: frozenset(),
    Sending.UNKNOWN: frozenset({Sending.SENT, Sending.DELIVERED, Sending.READ, Sending.FAILED}),
    Sending.CANCELLED: frozenset(),
}


class Media(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A file in the media store."""

    id: str  # its name in the media store: SHA-256 of its content; empty while it has not been fetched
    mime: str = ""  # "image/jpeg"; empty: not known
    size: int = 0  # bytes
    name: str = ""  # what its sender called the file
    missing: str = ""  # why it was not fetched and never will be, in a sentence


class _Said(msgspec.Struct, frozen=True, tag_field="type", forbid_unknown_fields=True, omit_defaults=True):
    """What every content that may answer another message has."""


class Text(_Said, frozen=True, tag="text"):
    """Words, at most 4,096 characters."""

    text: str
    reply_to: str = ""  # id of the message this answers; empty: none


class Location(_Said, frozen=True, tag="location"):
    """A place on the map, in degrees."""

    latitude: float
    longitude: float
    name: str = ""
    address: str = ""
    reply_to: str = ""


class ContactCard(_Said, frozen=True, tag="contact"):
    """Somebody's name and number."""

    name: str
    phone: str
    reply_to: str = ""


class Image(_Said, frozen=True, tag="image"):
    """A picture, with words below it."""

    media: Media
    caption: str = ""
    reply_to: str = ""


class Video(_Said, frozen=True, tag="video"):
    """A film, with words below it."""

    media: Media
    caption: str = ""
    reply_to: str = ""


class Audio(_Said, frozen=True, tag="audio"):
    """Sound; `voice` when it was spoken into the phone."""

    media: Media
    voice: bool = False
    reply_to: str = ""


class Document(_Said, frozen=True, tag="document"):
    """A file of any kind, with words below it."""

    media: Media
    caption: str = ""
    reply_to: str = ""


class Sticker(_Said, frozen=True, tag="sticker"):
    """A small WebP picture without words."""

    media: Media
    reply_to: str = ""


class Option(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One of the answers a message offers."""

    id: str  # ours: comes back with the answer, and is never shown
    title: str
    description: str = ""  # below the title, in a list


class Buttons(_Said, frozen=True, tag="buttons"):
    """A question with one to three buttons below it."""

    text: str
    options: tuple[Option, ...]
    header: str = ""
    footer: str = ""
    reply_to: str = ""


class Choices(_Said, frozen=True, tag="choices"):
    """A question with a list of one to ten answers, which opens at a touch of `button`."""

    text: str
    button: str
    options: tuple[Option, ...]
    header: str = ""
    footer: str = ""
    reply_to: str = ""


class Choice(_Said, frozen=True, tag="choice"):
    """A customer's answer to a question that offered some."""

    option: str  # id of the option
    title: str = ""
    reply_to: str = ""  # the question
    said: str = ""  # what they wrote, where they had nothing to touch


class Template(_Said, frozen=True, tag="template"):
    """Words that the network approved beforehand, so that they may be sent at any time."""

    name: str  # as the network calls it: a name at Meta, a content SID at Twilio
    language: str = ""  # "en_US"; empty: the template has one only
    variables: dict[str, str] = {}  # what stands in its blanks, by their names: "1", "2", ... where they are numbered
    media: Media | None = None  # the file shown above the words
    reply_to: str = ""


class Reaction(_Said, frozen=True, tag="reaction"):
    """An emoji put on a message; an empty one takes it away again."""

    message: str  # id of the message it is put on
    emoji: str


class Edit(_Said, frozen=True, tag="edit"):
    """New words in place of those of an earlier message."""

    message: str
    text: str


class Deletion(_Said, frozen=True, tag="deletion"):
    """An earlier message is taken back, for everyone."""

    message: str


class Unsupported(msgspec.Struct, frozen=True, tag_field="type", tag="unsupported"):
    """Something a customer sent that wafleet cannot show yet; `raw` keeps it whole."""

    raw: dict[str, Any]


WithMedia = Image | Video | Audio | Document | Sticker
Offering = Buttons | Choices  # offers answers to choose from
OnMessage = Reaction | Edit | Deletion  # says something of an earlier message instead of being one

Content = Text | Location | ContactCard | WithMedia | Offering | Choice | Template | OnMessage | Unsupported

KINDS: Final = frozenset(str(kind.__struct_config__.tag) for kind in get_args(Content))


def words(content: Content) -> str:
    """Return what a person would read of this content: for lists, search and commands."""
    match content:
        case Text() | Edit() | Buttons() | Choices():
            return content.text
        case Choice() | Template():
            return _prepared(content)
        case Location():
            return " ".join(filter(None, (content.name, content.address)))
        case ContactCard():
            return f"{content.name} {content.phone}"
        case Image() | Video() | Document():
            return " ".join(filter(None, (content.caption, content.media.name)))
        case Reaction():
            return content.emoji
        case Audio() | Sticker() | Deletion() | Unsupported():
            return ""


def _prepared(content: Choice | Template) -> str:
    if isinstance(content, Choice):
        return content.title or content.option
    return " ".join((content.name, *content.variables.values()))


_CALLED: Final[Mapping[type, str]] = {
    Image: "photo",
    Video: "video",
    Document: "document",
    Sticker: "sticker",
    Location: "location",
    Reaction: "reaction taken away",
    Deletion: "deleted a message",
    Unsupported: "something wafleet cannot show yet",
}


def summary(content: Content) -> str:
    """Return one line for lists: the content's words, or what it is where it has none."""
    if said := words(content):
        return said
    if isinstance(content, Audio):
        return "voice message" if content.voice else "audio"
    return _CALLED.get(type(content), "")


def about(content: Content) -> str:
    """Return the id of the message that this content answers, changes or takes back; empty: none."""
    if isinstance(content, OnMessage):
        return content.message
    return "" if isinstance(content, Unsupported) else content.reply_to


def naming(content: Content, id: str) -> Content:
    """Return the same content, about the message of this id; empty: about none."""
    if isinstance(content, OnMessage):
        return msgspec.structs.replace(content, message=id)
    return content if isinstance(content, Unsupported) else msgspec.structs.replace(content, reply_to=id)


def media(content: Content) -> Media | None:
    """Return the file this content carries."""
    return content.media if isinstance(content, WithMedia | Template) else None

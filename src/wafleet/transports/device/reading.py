"""Reads what customers' phones send: WhatsApp's message into contents of ours, and nothing is lost on the way.

Source: the protocol's own definitions (waE2E.proto), whose words these are.
"""

import re
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import DecodeError, Message

from wafleet.clientlib.protos import e2e, told
from wafleet.domain.message import (
    Audio,
    ContactCard,
    Content,
    Deletion,
    Document,
    Edit,
    Image,
    Location,
    Media,
    Reaction,
    Sticker,
    Text,
    Unsupported,
    Video,
)
from wafleet.transports.base import Refused

_DEEP: Final = 8  # wrappers within wrappers; phones use two
_WRAPPER: Final = "FutureProofMessage"
_RAW_KB: Final = 64  # thumbnails and the like above this are left out of what is kept raw


@dataclass(frozen=True, slots=True)
class Read:
    """What one message says."""

    content: Content
    about: str = ""  # the network's name of the message it answers, changes or takes back
    raw: dict[str, Any] | None = None  # what `content` cannot hold
    download: bytes = b""  # the message to give to the library so that it fetches the file; empty: no file
    size: int = 0  # of that file, as the sender says


def read(message: e2e.Message) -> Read | None:
    """Read a message. None: it says nothing to a person, such as keys, settings and notices between devices."""
    inner = _unwrapped(message)
    there = {field.name for field, _ in inner.ListFields()}
    for field, reader in _READERS.items():
        if field in there:
            return reader(inner)
    return None if _silent(inner) else Read(Unsupported(raw(inner)), _about_of(inner))


def decoded(data: bytes) -> told.Message | None:
    """Decode an event of the library; None where it cannot be."""
    try:
        return told.Message.FromString(data)
    except DecodeError:
        return None


def raw(message: Message) -> dict[str, Any]:
    """Keep a message whole, as a document; pictures inside it above 64 kB are left out."""
    kept = type(message).FromString(message.SerializeToString())
    if kept.ByteSize() > _RAW_KB * 1024:
        _thin(kept)
    return MessageToDict(kept, preserving_proto_field_name=True)


def _thin(message: Message) -> None:
    for field, value in message.ListFields():
        if isinstance(value, bytes) and len(value) > 1024:
            message.ClearField(field.name)
        elif isinstance(value, Message):
            _thin(value)


def _unwrapped(message: e2e.Message) -> e2e.Message:
    """Take off what only says how to treat the message: disappearing, seen once, with a caption, of another device."""
    for _ in range(_DEEP):
        inside = _inside(message)
        if inside is None:
            return message
        message = inside
    return message


def _inside(message: e2e.Message) -> e2e.Message | None:
    for field, value in message.ListFields():
        if field.name == "deviceSentMessage" or (field.message_type and field.message_type.name == _WRAPPER):
            return value.message if value.HasField("message") else None
    return None


# --- contents ---------------------------------------------------------------------------------------------------------


def _conversation(message: e2e.Message) -> Read:
    return Read(Text(message.conversation))


def _extended(message: e2e.Message) -> Read:
    return Read(Text(message.extendedTextMessage.text), _about_of(message))


def _image(message: e2e.Message) -> Read:
    said = message.imageMessage
    return _file(message, said, Image(_media(said), said.caption))


def _video(message: e2e.Message) -> Read:
    return _file(message, message.videoMessage, Video(_media(message.videoMessage), message.videoMessage.caption))


def _round_video(message: e2e.Message) -> Read:
    plain = e2e.Message(videoMessage=message.ptvMessage)  # the library fetches it by this name
    return _file(plain, message.ptvMessage, Video(_media(message.ptvMessage), message.ptvMessage.caption))


def _audio(message: e2e.Message) -> Read:
    return _file(message, message.audioMessage, Audio(_media(message.audioMessage), message.audioMessage.PTT))


def _document(message: e2e.Message) -> Read:
    said = message.documentMessage
    return _file(message, said, Document(_media(said, said.fileName or said.title), said.caption))


def _sticker(message: e2e.Message) -> Read:
    return _file(message, message.stickerMessage, Sticker(_media(message.stickerMessage)))


def _file(message: e2e.Message, said: Any, content: Content) -> Read:
    wanted = bytes(message.SerializeToString())
    return Read(content, said.contextInfo.stanzaID, None, wanted, int(said.fileLength))


def _media(said: Any, name: str = "") -> Media:
    return Media("", said.mimetype, int(said.fileLength), name)


_FILES: Final = frozenset({"imageMessage", "videoMessage", "audioMessage", "documentMessage", "stickerMessage"})
_FETCHED_BY: Final = ("URL", "directPath", "mediaKey", "fileEncSHA256", "fileSHA256", "fileLength", "mimetype")


def reference(download: bytes) -> str:
    """Write down how a file can be fetched later: of its message, what the library needs for it."""
    needed = e2e.Message()
    for field, said in e2e.Message.FromString(download).ListFields():
        if field.name in _FILES:
            part = getattr(needed, field.name)
            for name in _FETCHED_BY:
                if said.HasField(name):
                    setattr(part, name, getattr(said, name))
    return b64encode(needed.SerializeToString()).decode()


def referred(reference: str) -> tuple[bytes, int]:
    """Return the message that a file is fetched by, and the file's size as its sender says. Raises Refused."""
    try:
        message = b64decode(reference, validate=True)
        [(field, said)] = e2e.Message.FromString(message).ListFields()
        if field.name in _FILES:
            return message, int(said.fileLength)
    except (DecodeError, ValueError) as error:
        raise Refused("media_gone", f"what the file is fetched by cannot be read: {error}") from error
    raise Refused("media_gone", "what the file is fetched by names no file")


def _location(message: e2e.Message) -> Read:
    said = message.locationMessage
    return Read(
        Location(said.degreesLatitude, said.degreesLongitude, said.name, said.address), said.contextInfo.stanzaID
    )


def _live_location(message: e2e.Message) -> Read:
    said = message.liveLocationMessage
    place = Location(said.degreesLatitude, said.degreesLongitude, said.caption)
    return Read(place, said.contextInfo.stanzaID, raw(message))


def _contact(message: e2e.Message) -> Read:
    said = message.contactMessage
    return Read(_card(said), said.contextInfo.stanzaID, raw(message))


def _contacts(message: e2e.Message) -> Read:
    said = message.contactsArrayMessage
    if not said.contacts:
        return Read(Unsupported(raw(message)), said.contextInfo.stanzaID)
    return Read(_card(said.contacts[0]), said.contextInfo.stanzaID, raw(message))


def _reaction(message: e2e.Message) -> Read:
    said = message.reactionMessage
    return Read(Reaction("", said.text), said.key.ID)


def _protocol(message: e2e.Message) -> Read | None:
    said = message.protocolMessage
    if said.type == e2e.ProtocolMessage.REVOKE and said.key.ID:
        return Read(Deletion(""), said.key.ID)
    if said.type == e2e.ProtocolMessage.MESSAGE_EDIT and said.key.ID:
        return Read(Edit("", _words(_unwrapped(said.editedMessage))), said.key.ID)
    return None


def _words(message: e2e.Message) -> str:
    """The words of an edited message: of a text, or below a picture, film or file."""
    if message.conversation:
        return message.conversation
    for name in ("extendedTextMessage", "imageMessage", "videoMessage", "documentMessage"):
        if message.HasField(name):
            said = getattr(message, name)
            return said.text if name == "extendedTextMessage" else said.caption
    return ""


def _button(message: e2e.Message) -> Read:
    return _chosen(message, message.buttonsResponseMessage.selectedDisplayText)


def _template_button(message: e2e.Message) -> Read:
    return _chosen(message, message.templateButtonReplyMessage.selectedDisplayText)


def _list_row(message: e2e.Message) -> Read:
    return _chosen(message, message.listResponseMessage.title)


def _interactive(message: e2e.Message) -> Read:
    return _chosen(message, message.interactiveResponseMessage.body.text)


def _chosen(message: e2e.Message, words: str) -> Read:
    """An answer given by choosing: its words, and what was chosen in `raw`."""
    whole = raw(message)
    return Read(Text(words) if words else Unsupported(whole), _about_of(message), whole)


_READERS: Final[Mapping[str, Callable[[e2e.Message], Read | None]]] = {
    "conversation": _conversation,
    "extendedTextMessage": _extended,
    "imageMessage": _image,
    "videoMessage": _video,
    "ptvMessage": _round_video,
    "audioMessage": _audio,
    "documentMessage": _document,
    "stickerMessage": _sticker,
    "locationMessage": _location,
    "liveLocationMessage": _live_location,
    "contactMessage": _contact,
    "contactsArrayMessage": _contacts,
    "reactionMessage": _reaction,
    "protocolMessage": _protocol,
    "buttonsResponseMessage": _button,
    "templateButtonReplyMessage": _template_button,
    "listResponseMessage": _list_row,
    "interactiveResponseMessage": _interactive,
}

_SILENT: Final = frozenset(
    {
        "senderKeyDistributionMessage",
        "fastRatchetKeySenderKeyDistributionMessage",
        "messageContextInfo",
        "stickerSyncRmrMessage",
        "keepInChatMessage",
        "albumMessage",  # announces pictures that come as messages of their own
        "messageHistoryNotice",
        "messageHistoryBundle",
    }
)


def _silent(message: e2e.Message) -> bool:
    return all(field.name in _SILENT for field, _ in message.ListFields())


def _about_of(message: e2e.Message) -> str:
    """Whatever part of a message carries the context, its name for the message that is answered is the same."""
    for field, value in message.ListFields():
        if field.message_type is not None and "contextInfo" in field.message_type.fields_by_name:
            return cast("str", value.contextInfo.stanzaID)
    return ""


# --- cards ------------------------------------------------------------------------------------------------------------

_TEL: Final = re.compile(r"^(?:[\w-]+\.)?TEL([^:]*):(.*)$", re.IGNORECASE | re.MULTILINE)
_FULL_NAME: Final = re.compile(r"^(?:[\w-]+\.)?FN([^:]*):(.*)$", re.IGNORECASE | re.MULTILINE)
_WAID: Final = re.compile(r"waid=(\d+)", re.IGNORECASE)
_ESCAPED: Final = re.compile(r"\\(.)", re.DOTALL)


def _card(said: e2e.ContactMessage) -> ContactCard:
    card = re.sub(r"\r?\n[ \t]", "", said.vcard)  # long lines are folded (RFC 6350, section 3.2)
    name = said.displayName
    if not name and (found := _FULL_NAME.search(card)):
        name = _plain(found[2])
    return ContactCard(name, _phone(card))


def _phone(card: str) -> str:
    found = _TEL.search(card)
    if found is None:
        return ""
    known = _WAID.search(found[1])
    return f"+{known[1]}" if known else _plain(found[2])


def _plain(value: str) -> str:
    return _ESCAPED.sub(lambda m: "\n" if m[1] in "nN" else m[1], value).strip()

"""What messages say: from the form in which devices encrypt them to the world's own, and back.

In the world a message is a text, or a body: a content of `wafleet.domain.message` in its plain form, in which the
names of other messages are those of WhatsApp and files are named as `Files` does.
Source: the definitions of messages in the library's own protobuf modules.
"""

import logging
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from wafleet.clientlib.protos import common, e2e
from wafleet.domain.message import (
    Audio,
    Choice,
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
    WithMedia,
    words,
)
from wafleet.emulator.media import Broken, Enclosed, Files

log = logging.getLogger(__name__)

OUR_IDS: Final = "3EB0"  # the ids that linked devices give begin with this
_PHONE: Final = re.compile(r"waid=(\d+)|TEL[^:]*:\s*(\+?[\d ()-]+)")
_EDIT: Final = "1"  # what a stanza says of a message that changes another, and of one that takes it back
_TAKEN_BACK: Final = "7"

Said = tuple[str, dict[str, Any] | None]  # a message as the world has it: text, body


def read(message: e2e.Message, files: Files) -> Said | None:
    """Return what a device said; None when it is nothing a person would see."""
    message = _inner(message)
    if message.conversation:
        return message.conversation, None
    content = _content(message, files)
    if content is None:
        return None
    if type(content) is Text:
        return content.text, msgspec.to_builtins(content) if content.reply_to else None
    return "", msgspec.to_builtins(content)


def write(text: str, body: dict[str, Any] | None, files: Files, *, by: str, to: str) -> e2e.Message:
    """Return the message a customer's phone sends. `by` and `to` are the names of the two accounts."""
    if body is None:
        return e2e.Message(conversation=text)
    try:
        content = msgspec.convert(body, Content)
    except msgspec.ValidationError:
        return _strange(body)
    return _Writer(files, by, to).write(content)


def edit_mark(message: e2e.Message) -> str:
    """Return what the stanza says besides of a message that changes an earlier one; empty: nothing."""
    inner = _inner(message)
    if not inner.HasField("protocolMessage"):
        return ""
    return _TAKEN_BACK if inner.protocolMessage.type == e2e.ProtocolMessage.REVOKE else _EDIT


def kind_of(message: e2e.Message) -> str:
    """Return how the stanza calls what is in it: text, media or reaction."""
    parts = _parts(_inner(message))
    if "reactionMessage" in parts:
        return "reaction"
    return "media" if _MEDIA.keys() & parts.keys() else "text"


def media_type(message: e2e.Message) -> str:
    """Return what the stanza calls the file in it; empty: it has none."""
    parts = _parts(_inner(message))
    found = next((kind for name, kind in _MEDIA.items() if name in parts), "")
    return "ptt" if found == "audio" and parts["audioMessage"].PTT else found


_MEDIA: Final[Mapping[str, str]] = {  # field: kind of content
    "imageMessage": "image",
    "videoMessage": "video",
    "audioMessage": "audio",
    "documentMessage": "document",
    "stickerMessage": "sticker",
}


def _inner(message: e2e.Message) -> e2e.Message:
    """Unwrap what is sent inside something else."""
    parts = _parts(message)
    for wrapper in ("deviceSentMessage", "editedMessage", "documentWithCaptionMessage", "ephemeralMessage"):
        if wrapper in parts:
            return _inner(parts[wrapper].message)
    return message


def _parts(message: e2e.Message) -> dict[str, Any]:
    return {field.name: value for field, value in message.ListFields()}


def _content(message: e2e.Message, files: Files) -> Content | None:
    parts = _parts(message)
    for name, reader in _READERS.items():
        if name in parts:
            return reader(parts[name])
    for name, kind in _MEDIA.items():
        if name in parts:
            return _read_media(kind, parts[name], files)
    return None


def _read_location(found: e2e.LocationMessage) -> Location:
    reply = found.contextInfo.stanzaID
    return Location(found.degreesLatitude, found.degreesLongitude, found.name, found.address, reply)


def _read_card(found: e2e.ContactMessage) -> ContactCard:
    number = _PHONE.search(found.vcard)
    digits = re.sub(r"\D", "", number[1] or number[2]) if number else ""
    return ContactCard(found.displayName, f"+{digits}" if digits else "", found.contextInfo.stanzaID)


def _read_protocol(found: e2e.ProtocolMessage) -> Content | None:
    if found.type == e2e.ProtocolMessage.REVOKE:
        return Deletion(found.key.ID)
    if found.type == e2e.ProtocolMessage.MESSAGE_EDIT:
        changed = _inner(found.editedMessage)
        return Edit(found.key.ID, changed.conversation or changed.extendedTextMessage.text)
    return None


_READERS: Final[Mapping[str, Callable[[Any], Content | None]]] = {
    "extendedTextMessage": lambda found: Text(found.text, found.contextInfo.stanzaID),
    "locationMessage": _read_location,
    "contactMessage": _read_card,
    "reactionMessage": lambda found: Reaction(found.key.ID, found.text),
    "protocolMessage": _read_protocol,
}


def _read_media(kind: str, found: Any, files: Files) -> Content:
    media = Media(_opened(kind, found, files), found.mimetype, found.fileLength, getattr(found, "fileName", ""))
    reply = found.contextInfo.stanzaID
    match kind:
        case "image":
            return Image(media, found.caption, reply)
        case "video":
            return Video(media, found.caption, reply)
        case "audio":
            return Audio(media, found.PTT, reply)
        case "document":
            return Document(media, found.caption, reply)
        case _:
            return Sticker(media, reply)


def _opened(kind: str, found: Any, files: Files) -> str:
    enclosed = Enclosed(
        path=found.directPath,
        key=found.mediaKey,
        sha256=found.fileSHA256,
        encrypted_sha256=found.fileEncSHA256,
        size=found.fileLength,
    )
    try:
        return files.open(kind, enclosed)
    except Broken as e:
        log.warning("a customer could not open a file", extra={"kind": kind, "reason": str(e)})
        return ""


def _strange(body: dict[str, Any]) -> e2e.Message:
    """Say something that no reader of ours knows: a question with choices."""
    poll = e2e.PollCreationMessage(name=str(body.get("name", "Which one?")), selectableOptionsCount=1)
    for choice in ("yes", "no"):
        poll.options.add(optionName=choice)
    return e2e.Message(pollCreationMessage=poll)


class _Writer:
    """Write contents as the customer `by` sends them to the account `to`."""

    def __init__(self, files: Files, by: str, to: str) -> None:
        self._files, self._by, self._to = files, by, to

    def write(self, content: Content) -> e2e.Message:
        match content:
            case Text() | Choice():
                return self._text(content)
            case Location():
                return e2e.Message(locationMessage=self._location(content))
            case ContactCard():
                return e2e.Message(contactMessage=self._card(content))
            case Reaction():
                reaction = e2e.ReactionMessage(key=self._key(content.message), text=content.emoji)
                return e2e.Message(reactionMessage=reaction)
            case Edit() | Deletion():
                return self._change(content)
            case Image() | Video() | Audio() | Document() | Sticker():
                return self._media(content)
            case _:
                return _strange(content.raw if isinstance(content, Unsupported) else {})

    def _text(self, content: Text | Choice) -> e2e.Message:
        """Write words; an answer to a question is written too, where there are no buttons to touch."""
        context = self._context(content.reply_to)
        return e2e.Message(extendedTextMessage=e2e.ExtendedTextMessage(text=words(content), contextInfo=context))

    def _location(self, content: Location) -> e2e.LocationMessage:
        return e2e.LocationMessage(
            degreesLatitude=content.latitude,
            degreesLongitude=content.longitude,
            name=content.name,
            address=content.address,
            contextInfo=self._context(content.reply_to),
        )

    def _card(self, content: ContactCard) -> e2e.ContactMessage:
        number = content.phone.removeprefix("+")
        card = f"BEGIN:VCARD\nVERSION:3.0\nFN:{content.name}\nTEL;type=CELL;waid={number}:{content.phone}\nEND:VCARD"
        context = self._context(content.reply_to)
        return e2e.ContactMessage(displayName=content.name, vcard=card, contextInfo=context)

    def _change(self, content: Edit | Deletion) -> e2e.Message:
        key = self._key(content.message)
        if isinstance(content, Deletion):
            back = e2e.ProtocolMessage(key=key, type=e2e.ProtocolMessage.REVOKE)
            return e2e.Message(protocolMessage=back)
        words = e2e.Message(conversation=content.text)
        change = e2e.ProtocolMessage(key=key, type=e2e.ProtocolMessage.MESSAGE_EDIT, editedMessage=words)
        whole = e2e.FutureProofMessage(message=e2e.Message(protocolMessage=change))
        return e2e.Message(editedMessage=whole)

    def _media(self, content: WithMedia) -> e2e.Message:
        field, kind = next((f, k) for f, k in _MEDIA.items() if k == content.__struct_config__.tag)
        message = e2e.Message()
        part: Any = getattr(message, field)
        part.mimetype = content.media.mime
        if context := self._context(content.reply_to):
            part.contextInfo.CopyFrom(context)
        if isinstance(content, Image | Video | Document):
            part.caption = content.caption
        if isinstance(content, Document):
            part.fileName = content.media.name
        if isinstance(content, Audio):
            part.PTT = content.voice
        self._enclose(part, kind, content.media)
        return message

    def _enclose(self, part: Any, kind: str, media: Media) -> None:
        try:
            enclosed = self._files.enclose(kind, media.id)
        except Broken:  # a file that the host no longer has: the message comes, its file cannot be fetched
            digest = bytes(32)
            gone = "/v/t62.7118-24/gone.enc"
            enclosed = Enclosed(path=gone, key=digest, sha256=digest, encrypted_sha256=digest, size=media.size)
        part.directPath, part.mediaKey = enclosed.path, enclosed.key
        part.fileSHA256, part.fileEncSHA256 = enclosed.sha256, enclosed.encrypted_sha256
        part.fileLength = enclosed.size

    def _context(self, reply_to: str) -> e2e.ContextInfo | None:
        if not reply_to:
            return None
        author = self._to if reply_to.startswith(OUR_IDS) else self._by
        quoted = e2e.Message(conversation="")
        return e2e.ContextInfo(stanzaID=reply_to, participant=author, quotedMessage=quoted)

    def _key(self, message: str) -> common.MessageKey:
        return common.MessageKey(remoteJID=self._to, fromMe=not message.startswith(OUR_IDS), ID=message)

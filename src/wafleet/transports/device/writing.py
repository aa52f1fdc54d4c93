"""Writes contents of ours as WhatsApp's messages.

Source: the protocol's own definitions (waE2E.proto), whose words these are.
"""

import re
from dataclasses import dataclass
from typing import Any, Final

from wafleet.clientlib.protos import common, e2e, told
from wafleet.domain.message import (
    Audio,
    Buttons,
    Choice,
    Choices,
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
    Template,
    Text,
    Unsupported,
    Video,
    WithMedia,
    words,
)
from wafleet.transports.base import About, RefusedContent
from wafleet.transports.device.identity import written
from wafleet.transports.device.moments import now

IMAGE, VIDEO, AUDIO, DOCUMENT = range(4)  # the library's numbers for what a file is uploaded as
_MIME: Final = {
    Image: "image/jpeg",
    Video: "video/mp4",
    Audio: "audio/ogg; codecs=opus",
    Document: "application/octet-stream",
    Sticker: "image/webp",
}


@dataclass(frozen=True, slots=True)
class Letter:
    """A message to be written: who is written to, who writes, and what it is about."""

    content: Content
    chat: told.JID
    own: told.JID
    about: About | None = None
    uploaded: told.UploadResponse | None = None  # where its file lies


def uploaded_as(content: WithMedia) -> int:
    """Return as what a file is uploaded; a sticker is a picture there."""
    match content:
        case Image() | Sticker():
            return IMAGE
        case Video():
            return VIDEO
        case Audio():
            return AUDIO
        case Document():
            return DOCUMENT


def write(letter: Letter) -> e2e.Message:
    """Write a message. Raises RefusedContent where it cannot be said."""
    match letter.content:
        case Text() as said:
            return _text(letter, said)
        case Location() | ContactCard():
            return _attached(letter, letter.content)
        case Image() | Video() | Audio() | Document() | Sticker():
            return _file(letter, letter.content)
        case Reaction() | Edit() | Deletion():
            return _on_message(letter, letter.content)
        case Buttons() | Choices() | Choice() | Template():
            raise RefusedContent("unsupported", "WhatsApp lets only business accounts send this")
        case Unsupported():
            raise RefusedContent("unsupported", "what wafleet cannot show it cannot send either")


def _text(letter: Letter, said: Text) -> e2e.Message:
    if letter.about is None:
        return e2e.Message(conversation=said.text)
    return e2e.Message(extendedTextMessage=e2e.ExtendedTextMessage(text=said.text, contextInfo=_context(letter)))


def _attached(letter: Letter, said: Location | ContactCard) -> e2e.Message:
    context = _context(letter)
    if isinstance(said, ContactCard):
        card = e2e.ContactMessage(displayName=said.name, vcard=vcard(said), contextInfo=context)
        return e2e.Message(contactMessage=card)
    place = e2e.LocationMessage(
        degreesLatitude=said.latitude,
        degreesLongitude=said.longitude,
        name=said.name or None,
        address=said.address or None,
        contextInfo=context,
    )
    return e2e.Message(locationMessage=place)


def _file(letter: Letter, said: WithMedia) -> e2e.Message:
    if letter.uploaded is None:
        raise RefusedContent("media_missing", "the file of this message is not there")
    where: dict[str, Any] = _where(letter.uploaded, said.media, _MIME[type(said)])
    where["contextInfo"] = _context(letter)
    match said:
        case Image():
            return e2e.Message(imageMessage=e2e.ImageMessage(caption=said.caption or None, **where))
        case Video():
            return e2e.Message(videoMessage=e2e.VideoMessage(caption=said.caption or None, **where))
        case Audio():
            return e2e.Message(audioMessage=e2e.AudioMessage(PTT=said.voice, **where))
        case Document():
            return _document(said, where)
        case Sticker():
            return e2e.Message(stickerMessage=e2e.StickerMessage(**where))


def _document(said: Document, where: dict[str, Any]) -> e2e.Message:
    name = said.media.name or None
    document = e2e.DocumentMessage(fileName=name, title=name, caption=said.caption or None, **where)
    plain = e2e.Message(documentMessage=document)
    if not said.caption:
        return plain
    return e2e.Message(documentWithCaptionMessage=e2e.FutureProofMessage(message=plain))


def _where(up: told.UploadResponse, media: Media, usual: str) -> dict[str, Any]:
    return {
        "URL": up.url,
        "directPath": up.DirectPath,
        "mediaKey": up.MediaKey,
        "fileEncSHA256": up.FileEncSHA256,
        "fileSHA256": up.FileSHA256,
        "fileLength": up.FileLength,
        "mediaKeyTimestamp": int(now().timestamp()),
        "mimetype": media.mime or usual,
    }


def _on_message(letter: Letter, said: Reaction | Edit | Deletion) -> e2e.Message:
    about = letter.about
    if about is None or not about.provider_id:
        raise RefusedContent("about_missing", "the message it is about is not known to WhatsApp")
    key = common.MessageKey(remoteJID=written(letter.chat), fromMe=about.ours, ID=about.provider_id)
    at = int(now().timestamp() * 1000)
    if isinstance(said, Reaction):
        return e2e.Message(reactionMessage=e2e.ReactionMessage(key=key, text=said.emoji, senderTimestampMS=at))
    if not about.ours:
        raise RefusedContent("content", "only messages of the account itself can be changed or taken back")
    if isinstance(said, Deletion):
        return e2e.Message(protocolMessage=e2e.ProtocolMessage(key=key, type=e2e.ProtocolMessage.REVOKE))
    changed = e2e.ProtocolMessage(
        key=key,
        type=e2e.ProtocolMessage.MESSAGE_EDIT,
        editedMessage=_edited(about.content, said.text),
        timestampMS=at,
    )
    inside = e2e.Message(protocolMessage=changed)
    return e2e.Message(editedMessage=e2e.FutureProofMessage(message=inside))


def _edited(before: Content, text: str) -> e2e.Message:
    """What stands in place of the former words: of a text, or below a picture, film or file."""
    match before:
        case Image():
            return e2e.Message(imageMessage=e2e.ImageMessage(caption=text))
        case Video():
            return e2e.Message(videoMessage=e2e.VideoMessage(caption=text))
        case Document():
            return e2e.Message(documentMessage=e2e.DocumentMessage(caption=text))
        case _:
            return e2e.Message(conversation=text)


def _context(letter: Letter) -> e2e.ContextInfo | None:
    """What shows the answered message above the answer."""
    about = letter.about
    if about is None or not about.provider_id:
        return None
    return e2e.ContextInfo(
        stanzaID=about.provider_id,
        participant=written(letter.own if about.ours else letter.chat),
        quotedMessage=e2e.Message(conversation=words(about.content)),
    )


_RESERVED: Final = re.compile(r"([\\,;])")


def vcard(card: ContactCard) -> str:
    """Write a card as phones do: vCard 3.0, with the number as WhatsApp knows it (`waid`)."""
    name = _escaped(card.name)
    digits = "".join(c for c in card.phone if c in "0123456789")
    return "\n".join(
        (
            "BEGIN:VCARD",
            "VERSION:3.0",
            f"N:;{name};;;",
            f"FN:{name}",
            f"TEL;type=CELL;type=VOICE;waid={digits}:{_escaped(card.phone)}",
            "END:VCARD",
        )
    )


def _escaped(value: str) -> str:
    return _RESERVED.sub(r"\\\1", value).replace("\r\n", "\n").replace("\r", "\n").replace("\n", "\\n")

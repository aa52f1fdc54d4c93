"""Contents of ours as requests of a gateway.

Source: https://waha.devlike.pro/docs/how-to/send-messages/
"""

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote

from wafleet.domain.message import (
    Audio,
    ContactCard,
    Deletion,
    Document,
    Edit,
    Image,
    Location,
    OnMessage,
    Reaction,
    Sticker,
    Text,
    Video,
    WithMedia,
)
from wafleet.transports.base import About, Outgoing, RefusedContent
from wafleet.transports.gateway import cards
from wafleet.transports.gateway.names import whole

CONTENTS: Final = frozenset(
    {
        *("text", "location", "contact", "image", "video", "audio", "document", "sticker"),
        *("reaction", "edit", "deletion"),
    }
)
_MIME: Final[Mapping[type, str]] = {
    Image: "image/jpeg",
    Video: "video/mp4",
    Audio: "audio/ogg; codecs=opus",
    Document: "application/octet-stream",
    Sticker: "image/webp",
}


@dataclass(frozen=True, slots=True)
class Request:
    method: str
    path: str  # `{session}` stands for the session's name
    body: dict[str, Any] = field(default_factory=dict[str, Any])


def write(out: Outgoing, *, session: str, chat: str) -> Request:
    """Write the request that sends a message. Raises RefusedContent where a gateway cannot."""
    said = out.content
    if isinstance(said, OnMessage):
        return _on_message(said, out.about, session, chat)
    to = {"session": session, "chatId": chat} | _answering(out.about, chat)
    match said:
        case Text():
            return Request("POST", "/api/sendText", to | {"text": said.text})
        case Location():
            place = {"latitude": said.latitude, "longitude": said.longitude}
            title = "\n".join(filter(None, (said.name, said.address)))  # as phones show them, one below the other
            return Request("POST", "/api/sendLocation", to | place | {"title": title})
        case ContactCard():
            return Request("POST", "/api/sendContactVcard", to | {"contacts": [{"vcard": cards.write(said)}]})
        case Image() | Video() | Audio() | Document() | Sticker():
            return _file(said, out.media, to)
        case _:
            raise RefusedContent("unsupported", "a gateway cannot send this")


def _answering(about: About | None, chat: str) -> dict[str, Any]:
    if about is None or not about.provider_id:
        return {}
    return {"reply_to": whole(about.provider_id, chat, ours=about.ours)}


def _file(said: WithMedia, content: bytes, to: dict[str, Any]) -> Request:
    if not content:
        raise RefusedContent("media_missing", "the file of this message is not there")
    file = {"mimetype": said.media.mime or _MIME[type(said)], "data": b64encode(content).decode()}
    if said.media.name:
        file["filename"] = said.media.name
    caption = getattr(said, "caption", "")
    return Request("POST", _path(said), to | {"file": file} | ({"caption": caption} if caption else {}))


def _path(said: WithMedia) -> str:
    match said:
        case Image():
            return "/api/sendImage"
        case Video():
            return "/api/sendVideo"
        case Sticker():
            return "/api/sendSticker"
        case Audio(voice=True):
            return "/api/sendVoice"
        case _:  # sound that was not spoken has no request of its own: it arrives as a file
            return "/api/sendFile"


def _on_message(said: Reaction | Edit | Deletion, about: About | None, session: str, chat: str) -> Request:
    if about is None or not about.provider_id:
        raise RefusedContent("about_missing", "the message it is about is not known to WhatsApp")
    id = whole(about.provider_id, chat, ours=about.ours)
    if isinstance(said, Reaction):
        return Request("PUT", "/api/reaction", {"session": session, "messageId": id, "reaction": said.emoji})
    if not about.ours:
        raise RefusedContent("content", "only messages of the account itself can be changed or taken back")
    path = f"/api/{{session}}/chats/{quote(chat, safe='')}/messages/{quote(id, safe='')}"
    return Request("DELETE", path) if isinstance(said, Deletion) else Request("PUT", path, {"text": said.text})

"""What a request asks Twilio to send: read, and checked as Twilio does before it accepts it."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from wafleet.simulator.model import PHONE
from wafleet.simulator.standins.twilio.content import Content, Contents, render, variables
from wafleet.simulator.standins.twilio.errors import Wrong
from wafleet.simulator.standins.twilio.model import phone_of

_LONGEST: Final = 1_600  # characters of a body
_URL: Final = re.compile(r"https?://[^/\s]+(/.*)?")
_PLACE: Final = re.compile(r"geo:(-?[\d.]+),(-?[\d.]+)(?:\|(.*))?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """One message to send."""

    phone: str
    to: str
    text: str
    body: dict[str, Any] | None = None
    media: str = ""
    content: Content | None = None
    offered: str = ""
    service: str = ""
    callback: str = ""


Form = Mapping[str, Sequence[str]]


def read(form: Form, contents: Contents, sender: Callable[[str, str], str]) -> Draft:
    """Read the parameters of a message. Raises Wrong.

    sender  returns the phone that sends for From, or for a recipient where only a messaging service is named
    """
    to, service, callback = _one(form, "To"), _one(form, "MessagingServiceSid"), _one(form, "StatusCallback")
    if not to:
        raise Wrong(21604)
    if not _one(form, "From") and not service:
        raise Wrong(21603)
    if callback and not _URL.fullmatch(callback):
        raise Wrong(21609)
    if not PHONE.fullmatch(phone_of(to)):
        raise Wrong(21211)
    phone = sender(_one(form, "From"), to)
    if phone == phone_of(to):
        raise Wrong(63031)
    rest: dict[str, Any] = {"phone": phone, "to": phone_of(to), "service": service, "callback": callback}
    return _content(form, contents, rest) if _one(form, "ContentSid") else _plain(form, rest)


def as_content(kind: str, media: dict[str, Any], caption: str) -> dict[str, Any]:
    """Write a file as it crosses the network: Twilio gives documents neither a name nor a caption.

    Source: twilio.com/docs/whatsapp/guidance-whatsapp-media-messages, "Filenames and Captions"
    """
    said: dict[str, Any] = {"type": kind, "media": media}
    return said | {"caption": caption} if caption and kind in {"image", "video"} else said


def _plain(form: Form, rest: dict[str, Any]) -> Draft:
    text, media, place = _one(form, "Body"), list(form.get("MediaUrl", ())), _place(_one(form, "PersistentAction"))
    if not text and not media and place is None:
        raise Wrong(21619)
    if len(text) > _LONGEST:
        raise Wrong(21617)
    if len(media) > 1:
        raise Wrong(21623)
    if media and not _URL.fullmatch(media[0]):
        raise Wrong(21620)
    return Draft(text=text, media=media[0] if media else "", body=place, **rest)


def _content(form: Form, contents: Contents, rest: dict[str, Any]) -> Draft:
    try:
        content = contents.get(_one(form, "ContentSid"))
    except Wrong:
        raise Wrong(21655) from None
    said = render(content, variables(_one(form, "ContentVariables")))
    return Draft(text=said.text, body=said.body, media=said.media, content=content, offered=said.offered, **rest)


def _place(action: str) -> dict[str, Any] | None:
    found = _PLACE.fullmatch(action)
    if found is None:
        return None
    place: dict[str, Any] = {"type": "location", "latitude": float(found[1]), "longitude": float(found[2])}
    return place | ({"name": found[3]} if found[3] else {})


def _one(form: Form, name: str) -> str:
    return form[name][-1] if form.get(name) else ""

"""Our contents as the form Twilio takes. Source: https://www.twilio.com/docs/messaging/api/message-resource"""

import json
from typing import Final

from wafleet.domain.message import (
    Audio,
    Content,
    Document,
    Image,
    Location,
    Sticker,
    Template,
    Text,
    Video,
    WithMedia,
)
from wafleet.transports.base import Outgoing, RefusedContent

KINDS: Final = frozenset({"text", "location", "image", "video", "audio", "document", "sticker", "template"})
LONGEST: Final = 1600  # characters of a body: https://www.twilio.com/docs/errors/21617
LARGEST: Final = (
    16 * 1024 * 1024
)  # bytes of a file: https://www.twilio.com/docs/whatsapp/guidance-whatsapp-media-messages

Form = dict[str, str]


def form(out: Outgoing) -> Form:
    """Write what a message says. Raises RefusedContent for what Twilio cannot carry.

    Twilio's API has no way to quote an earlier message: an answer goes out without it.
    """
    match out.content:
        case Text():
            return {"Body": _fits(out.content.text)}
        case Location():
            return _location(out.content)
        case Template():
            return _template(out.content)
        case Image() | Video() | Audio() | Document() | Sticker():
            return _file(out.content, out.link)
        case _:
            raise RefusedContent("unsupported", "Twilio sends text, files, places and templates")


def body(content: Content) -> str | None:
    """Return the text that Twilio's list shows for a content; None: only Twilio knows it."""
    match content:
        case Text():
            return content.text
        case Image() | Video() | Document():
            return content.caption
        case Audio() | Sticker():
            return ""
        case Location():
            return _location(content)["Body"]
        case _:
            return None


def files(content: Content) -> int | None:
    """Return how many files Twilio's list shows for a content; None: only Twilio knows it."""
    match content:
        case Template():
            return None
        case _:
            return 1 if isinstance(content, WithMedia) else 0


def _fits(text: str) -> str:
    if len(text) > LONGEST:
        raise RefusedContent("too_long", f"{len(text)} characters; Twilio takes {LONGEST}")
    return text


def _location(place: Location) -> Form:
    """Coordinates go as a "persistent action"; a body must stand beside it.

    Source: https://www.twilio.com/docs/whatsapp/message-features#location-messages-with-whatsapp
    """
    at = f"{_degrees(place.latitude)},{_degrees(place.longitude)}"
    label = (place.address or place.name).replace("|", " ")
    return {
        "Body": place.name or place.address or at,
        "PersistentAction": f"geo:{at}|{label}" if label else f"geo:{at}",
    }


def _degrees(value: float) -> str:
    return f"{value:.7f}".rstrip("0").rstrip(".")


def _template(template: Template) -> Form:
    if not template.name.startswith("HX"):
        raise RefusedContent("template_missing", f"{template.name!r} is no content SID: Twilio's begin with HX")
    if template.media is not None:
        raise RefusedContent("unsupported", "at Twilio the file's address fills a blank of the template")
    filled = {"ContentVariables": json.dumps(template.variables, ensure_ascii=False)} if template.variables else {}
    return {"ContentSid": template.name} | filled


def _file(content: WithMedia, link: str) -> Form:
    if not link:
        raise RefusedContent("media_unfetched", "Twilio fetches files itself: `public_url` must be set")
    caption = _fits(body(content) or "")
    return {"MediaUrl": link} | ({"Body": caption} if caption else {})

"""Writes messages as the Cloud API takes them.

Source: https://developers.facebook.com/documentation/business-messaging/whatsapp/messages
"""

from typing import Any, Final

from wafleet.domain.message import (
    Audio,
    Buttons,
    Choices,
    ContactCard,
    Content,
    Document,
    Image,
    Location,
    Option,
    Reaction,
    Sticker,
    Template,
    Text,
    Video,
    WithMedia,
)
from wafleet.transports.base import Outgoing
from wafleet.transports.meta.identity import addressed

Json = dict[str, Any]

# Source: the same, "Interactive reply buttons messages" and "Interactive list messages"; what is longer is cut
TITLE: Final = 20  # characters on a button
ROW: Final = 24  # of a row's title in a list
BELOW: Final = 72  # of the words below it
EDGE: Final = 60  # of header and footer
_MARKS: Final = {"image/": "image", "video/": "video"}


class Unwritable(ValueError):
    """The Cloud API has no way to say this."""


def write(out: Outgoing, file: str) -> Json:
    """Write one message. It carries our id of it, which every receipt names.

    file  Meta's id of the file that the content carries; empty: it carries none
    Raises Unwritable, and ValueError for a recipient who is neither phone nor id of Meta.
    """
    kind, said = _said(out.content, out, file)
    letter: Json = {
        "messaging_product": "whatsapp",
        "recipient_type": "individual",
        **addressed(out.to),
        "type": kind,
        kind: said,
        "biz_opaque_callback_data": str(out.id),
    }
    if out.about is not None and not isinstance(out.content, Reaction):
        letter["context"] = {"message_id": out.about.provider_id}
    return letter


def reading(message: str, *, typing: bool = False) -> Json:
    """Write that a customer's message was read, and all before it; with `typing`, that somebody answers now."""
    seen: Json = {"messaging_product": "whatsapp", "status": "read", "message_id": message}
    return seen | {"typing_indicator": {"type": "text"}} if typing else seen


def _said(content: Content, out: Outgoing, file: str) -> tuple[str, Any]:
    match content:
        case Text():
            return "text", {"body": content.text, "preview_url": "://" in content.text}
        case Location():
            return "location", _location(content)
        case ContactCard():
            return "contacts", [_card(content)]
        case Reaction() if out.about is not None:
            return "reaction", {"message_id": out.about.provider_id, "emoji": content.emoji}
        case Buttons() | Choices():
            return "interactive", _buttons(content) if isinstance(content, Buttons) else _choices(content)
        case Template() | Image() | Video() | Audio() | Document() | Sticker():
            return ("template", _template(content, file)) if isinstance(content, Template) else _file(content, file)
        case _:
            raise Unwritable(f"the Cloud API has no way to send {type(content).__name__.lower()}s")


def _location(content: Location) -> Json:
    place: Json = {"latitude": content.latitude, "longitude": content.longitude}
    return place | _filled(name=content.name, address=content.address)


def _card(content: ContactCard) -> Json:
    digits = content.phone.removeprefix("+")
    first, _, last = content.name.partition(" ")
    return {
        "name": {"formatted_name": content.name, "first_name": first or content.name} | _filled(last_name=last),
        "phones": [{"phone": content.phone, "type": "CELL"} | ({"wa_id": digits} if digits.isdecimal() else {})],
    }


def _file(content: WithMedia, file: str) -> tuple[str, Json]:
    said: Json = {"id": file}
    match content:
        case Image():
            return "image", said | _filled(caption=content.caption)
        case Video():
            return "video", said | _filled(caption=content.caption)
        case Document():
            return "document", said | _filled(caption=content.caption, filename=content.media.name)
        case Audio():
            return "audio", said | ({"voice": True} if content.voice else {})
        case Sticker():
            return "sticker", said


def _buttons(content: Buttons) -> Json:
    buttons = [{"type": "reply", "reply": {"id": o.id, "title": o.title[:TITLE]}} for o in content.options]
    return _interactive(content, "button", {"buttons": buttons})


def _choices(content: Choices) -> Json:
    rows = [_row(option) for option in content.options]
    return _interactive(content, "list", {"button": content.button[:TITLE], "sections": [{"rows": rows}]})


def _row(option: Option) -> Json:
    return {"id": option.id, "title": option.title[:ROW]} | _filled(description=option.description[:BELOW])


def _interactive(content: Buttons | Choices, kind: str, action: Json) -> Json:
    said: Json = {"type": kind, "body": {"text": content.text}, "action": action}
    if content.header:
        said["header"] = {"type": "text", "text": content.header[:EDGE]}
    if content.footer:
        said["footer"] = {"text": content.footer[:EDGE]}
    return said


def _template(content: Template, file: str) -> Json:
    """Write a template. Its variables fill the body's blanks; `header.1` fills the header's, `button.0` a link's."""
    said: Json = {"name": content.name, "language": {"code": content.language or "en_US"}}
    components = _header(content, file) + _body(content) + _links(content)
    return said | ({"components": components} if components else {})


def _header(content: Template, file: str) -> list[Json]:
    if content.media is None:
        blanks = _named(content, "header.")
        return [{"type": "header", "parameters": _blanks(blanks)}] if blanks else []
    kind = next((name for mark, name in _MARKS.items() if content.media.mime.startswith(mark)), "document")
    shown = {"id": file} | (_filled(filename=content.media.name) if kind == "document" else {})
    return [{"type": "header", "parameters": [{"type": kind, kind: shown}]}]


def _body(content: Template) -> list[Json]:
    blanks = {n: said for n, said in content.variables.items() if not n.startswith(("header.", "button."))}
    return [{"type": "body", "parameters": _blanks(blanks)}] if blanks else []


def _links(content: Template) -> list[Json]:
    return [
        {"type": "button", "sub_type": "url", "index": place, "parameters": [{"type": "text", "text": said}]}
        for place, said in _named(content, "button.").items()
    ]


def _named(content: Template, prefix: str) -> dict[str, str]:
    return {n.removeprefix(prefix): said for n, said in content.variables.items() if n.startswith(prefix)}


def _blanks(blanks: dict[str, str]) -> list[Json]:
    """Write what fills blanks: numbered ones in order, others by their names."""
    if all(name.isdecimal() for name in blanks):
        return [{"type": "text", "text": blanks[name]} for name in sorted(blanks, key=int)]
    return [{"type": "text", "parameter_name": name, "text": said} for name, said in blanks.items()]


def _filled(**said: str) -> Json:
    """Leave out what is empty: Meta refuses some empty texts."""
    return {name: value for name, value in said.items() if value}

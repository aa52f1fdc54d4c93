"""What customers write, out of the forms Twilio sends."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from wafleet.domain.inbound import Inbound
from wafleet.domain.message import (
    Audio,
    Choice,
    Content,
    Document,
    Image,
    Location,
    Media,
    Sticker,
    Text,
    Unsupported,
    Video,
)
from wafleet.transports.calls import Unreadable
from wafleet.transports.twilio.media import reference

MOST_FILES: Final = 10  # https://www.twilio.com/docs/messaging/guides/webhook-request, NumMedia
_PLAIN: Final = frozenset({"", "text", "image", "audio", "video", "document", "sticker", "location", "button"})

# What an ordinary message has, and what is read out of it. Whatever else comes is kept as it is: Twilio adds
# parameters without notice.
_READ: Final = frozenset(
    {
        "AccountSid",
        "Address",
        "ApiVersion",
        "Body",
        "ButtonPayload",
        "ButtonText",
        "ButtonType",
        "ChannelMetadata",
        "From",
        "Label",
        "Latitude",
        "ListId",
        "ListTitle",
        "Longitude",
        "MessageSid",
        "MessageStatus",
        "MessageType",
        "MessagingServiceSid",
        "NumMedia",
        "NumSegments",
        "OriginalRepliedMessageSender",
        "OriginalRepliedMessageSid",
        "ProfileName",
        "ReferralNumMedia",
        "SmsMessageSid",
        "SmsSid",
        "SmsStatus",
        "To",
        "WaId",
    }
)


def phone(address: str) -> str:
    """Return the number, or other name, in an address such as `whatsapp:+966500000001`."""
    return address.removeprefix("whatsapp:").strip()


def inbound(form: Mapping[str, str], *, at: datetime) -> list[Inbound]:
    """Read one form: one message, or one for each file where there are several. Raises Unreadable.

    at  when it came: Twilio tells no time
    """
    name = form.get("MessageSid") or form.get("SmsSid") or ""
    if not name or not phone(form.get("From", "")):
        raise Unreadable("A message of Twilio has MessageSid and From; this has not")
    files = min(_number(form.get("NumMedia", "")), MOST_FILES)
    return [
        Inbound(
            provider_id=name if i == 0 else f"{name}/{i}",
            identity=phone(form["From"]),
            name=form.get("ProfileName", ""),
            content=content,
            at=at,
            about=form.get("OriginalRepliedMessageSid", ""),
            file=reference(_mime(form, i), form.get(f"MediaUrl{i}", "")) if files else "",
            raw=_raw(form, content, files),
        )
        for i, content in enumerate(_contents(form, files))
    ]


def _contents(form: Mapping[str, str], files: int) -> list[Content]:
    if files > 0:
        return [_file(form, i) for i in range(files)]
    return [_place(form) or _choice(form) or _words(form)]


def _file(form: Mapping[str, str], i: int) -> Content:
    mime, words = _mime(form, i), form.get("Body", "") if i == 0 else ""
    media = Media(id="", mime=mime)
    kind = form.get("MessageType", "")
    if kind == "sticker":
        return Sticker(media)
    match mime.partition("/")[0]:
        case "image" if kind != "document":
            return Image(media, words)
        case "video" if kind != "document":
            return Video(media, words)
        case "audio" if kind != "document":
            return Audio(media, voice=mime == "audio/ogg")  # what is spoken into a phone comes as Opus in Ogg
        case _:
            return Document(media, words)


def _mime(form: Mapping[str, str], i: int) -> str:
    return form.get(f"MediaContentType{i}", "").partition(";")[0].strip().lower()


def _place(form: Mapping[str, str]) -> Content | None:
    if not form.get("Latitude") or not form.get("Longitude"):
        return None
    try:
        latitude, longitude = float(form["Latitude"]), float(form["Longitude"])
    except ValueError:
        return None
    if not (-90 <= latitude <= 90 and -180 <= longitude <= 180):
        return None
    return Location(latitude, longitude, name=form.get("Label", ""), address=form.get("Address", ""))


def _choice(form: Mapping[str, str]) -> Content | None:
    if form.get("ListId"):
        return Choice(form["ListId"], form.get("ListTitle", "") or form.get("Body", ""))
    title = form.get("ButtonText", "")
    chosen = form.get("ButtonPayload", "") or title
    return Choice(chosen, title or form.get("Body", "")) if chosen else None


def _words(form: Mapping[str, str]) -> Content:
    return Text(form["Body"]) if form.get("Body") else Unsupported(dict(form))


def _raw(form: Mapping[str, str], content: Content, files: int) -> dict[str, Any] | None:
    if isinstance(content, Unsupported):
        return dict(form)
    read = _READ.union(*({f"MediaUrl{i}", f"MediaContentType{i}"} for i in range(files))) if files else _READ
    more = {name: value for name, value in form.items() if name not in read}
    if form.get("MessageType", "") not in _PLAIN and not isinstance(content, Choice):
        more["MessageType"] = form["MessageType"]
    return more or None


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 9 else 0

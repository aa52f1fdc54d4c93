"""Messages as a gateway writes them, in wafleet's words.

A message has words (`body`), a file (`media`), a place or cards; it does not say what kind it is. The engines behind a
gateway add what they know in `_data`, each in its own way, and where that helps it is used: whether sound was spoken,
whether a picture is a sticker, what was chosen, who hides behind an id.
Source: https://waha.devlike.pro/docs/how-to/receive-messages/ and /events/
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final, cast

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
    media,
)
from wafleet.transports.gateway import cards
from wafleet.transports.gateway.names import bare, identity

Payload = Mapping[str, Any]

_STICKER: Final = frozenset({"sticker", "stickerMessage"})
_SPOKEN: Final = frozenset({"ptt"})
_SECONDS: Final = 10_000_000_000  # a larger time is one in milliseconds
_LONGEST: Final = 65_536  # characters of a text that are kept


def message(payload: Payload, *, at: datetime) -> Inbound | None:
    """Read a message of a customer. None: it is not one of a person.

    at  when it was told, for messages without a time
    """
    who, id = sender(payload), bare(payload.get("id"))
    if not (who and id):
        return None
    said = content(payload)
    file = _kept_at(payload) if media(said) is not None else ""
    return Inbound(
        provider_id=id,
        identity=who,
        name=_called(payload),
        content=said,
        at=time(payload.get("timestamp"), at),
        about=answered(payload),
        file=file,
        raw=dict(payload) if media(said) is not None and not file else None,  # the gateway fetched no file
    )


def sender(payload: Payload) -> str:
    """Return who wrote; empty where it was no person. A phone is preferred to the id that hides it."""
    who = identity(payload.get("from"))
    if not who.startswith("lid:"):
        return who
    return next((named for one in _also_known(payload) if (named := identity(one)).startswith("+")), who)


def content(payload: Payload) -> Content:
    """Read what a message says; what is not understood is kept whole."""
    body = payload.get("body")
    words = body[:_LONGEST] if isinstance(body, str) else ""
    if isinstance(place := payload.get("location"), dict):
        return _location(cast("Payload", place)) or _whole(payload)
    if isinstance(found := payload.get("vCards"), list) and found:
        return cards.read(str(cast("list[object]", found)[0]))
    if payload.get("hasMedia"):
        return _file(payload, words)
    if chosen := _text_of(payload, "selectedButtonId", "selectedRowId", "selectedButtonID"):
        return Choice(chosen, words)
    return Text(words) if words else _whole(payload)


def answered(payload: Payload) -> str:
    """Return WhatsApp's name of the message that this one answers; empty: none."""
    return bare(payload.get("replyTo"))


def time(said: object, otherwise: datetime) -> datetime:
    """Read a time in seconds or milliseconds, as the engines write it."""
    if not isinstance(said, int | float) or isinstance(said, bool) or said <= 0:
        return otherwise
    try:
        return datetime.fromtimestamp(said / 1000 if said > _SECONDS else said, UTC)
    except (OverflowError, OSError, ValueError):
        return otherwise


def _location(place: Payload) -> Location | None:
    try:
        latitude, longitude = float(place["latitude"]), float(place["longitude"])
    except (LookupError, OverflowError, TypeError, ValueError):
        return None
    if not (-90 <= latitude <= 90 and -180 <= longitude <= 180):
        return None
    title = next((str(place[key]) for key in ("description", "title", "name") if place.get(key)), "")
    name, _, below = title.partition("\n")
    return Location(latitude, longitude, name, str(place.get("address") or below))


def _kept_at(payload: Payload) -> str:
    file = payload.get("media")
    url = cast("Payload", file).get("url") if isinstance(file, dict) else None
    return url if isinstance(url, str) else ""


def _file(payload: Payload, words: str) -> Content:
    told = payload.get("media")
    said: Payload = cast("Payload", told) if isinstance(told, dict) else {}
    mime = str(said.get("mimetype") or _text_of(payload, "mimetype") or "")
    name = str(said.get("filename") or "")
    file = Media("", mime, _size(payload), name)
    kinds = _kinds(payload)
    if mime == "image/webp" and (not kinds or kinds & _STICKER):
        return Sticker(file)
    if "documentMessage" in kinds or "document" in kinds or name:
        return Document(file, words)
    match mime.partition("/")[0]:
        case "image":
            return Image(file, words)
        case "video":
            return Video(file, words)
        case "audio":
            return Audio(file, voice=bool(kinds & _SPOKEN) or _spoken(payload) or "opus" in mime)
        case _:
            return Document(file, words)


def _size(payload: Payload) -> int:
    found = next((v for k, v in _inner(payload) if k in {"size", "fileLength"} and v), 0)
    try:
        return max(int(found), 0)
    except (OverflowError, TypeError, ValueError):  # "1e999" is a number, too
        return 0


def _spoken(payload: Payload) -> bool:
    return any(key in {"ptt", "PTT"} and value is True for key, value in _inner(payload))


def _kinds(payload: Payload) -> set[str]:
    """What the engine behind the gateway calls this message: its `type`, or the names of its parts."""
    found = {key for key, _ in _inner(payload) if key.endswith("Message")}
    return found | {value for key, value in _inner(payload) if key == "type" and isinstance(value, str)}


def _called(payload: Payload) -> str:
    return _text_of(payload, "notifyName", "pushName", "PushName")


def _also_known(payload: Payload) -> Iterator[object]:
    wanted = {"senderPn", "remoteJidAlt", "participantPn", "SenderAlt"}
    return (value for key, value in _inner(payload) if key in wanted)


def _text_of(payload: Payload, *names: str) -> str:
    return next((value for key, value in _inner(payload) if key in names and isinstance(value, str)), "")


def _inner(payload: Payload, depth: int = 5) -> Iterator[tuple[str, Any]]:
    """Walk through what the engine added, outermost first."""
    level: list[Payload] = [cast("Payload", data)] if isinstance(data := payload.get("_data"), dict) else []
    for _ in range(depth):
        yield from ((key, value) for one in level for key, value in one.items())
        level = [cast("Payload", v) for one in level for v in one.values() if isinstance(v, dict)]


def _whole(payload: Payload) -> Unsupported:
    return Unsupported(dict(payload))

"""Reads customers' messages out of Meta's webhooks: contents of ours, and nothing is lost on the way.

Source: https://developers.facebook.com/documentation/business-messaging/whatsapp/webhooks/reference/messages
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, cast

from wafleet.domain.inbound import Inbound
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
)
from wafleet.transports.meta.identity import identity
from wafleet.transports.web import now, obj, objs, text

Json = dict[str, Any]

_ENVELOPE: Final = frozenset({"id", "from", "timestamp", "type", "context"})
_CONTEXT: Final = frozenset({"id", "from"})
_HIDES: Final = ("user_id", "parent_user_id", "wa_id", "identity_key_hash")


@dataclass(frozen=True, slots=True)
class _Read:
    """What one message says."""

    content: Content
    about: str = ""  # Meta's name of the message it answers, changes or takes back
    file: str = ""  # where Meta keeps its file
    keep: frozenset[str] = field(default_factory=frozenset[str])  # parts that say more than `content` can


def message(said: Json, contacts: list[Json]) -> Inbound:
    """Read one message of a customer. What is not understood is kept whole, as `Unsupported`.

    contacts  the senders that came with it, as Meta describes them
    Raises LookupError, TypeError or ValueError where it lacks a name of its own or a sender.
    """
    who = sender(said, contacts)
    known = identity(said.get("from"), who.get("wa_id"), said.get("from_user_id"), who.get("user_id"))
    if not known:
        raise ValueError("a message without a sender")
    read = _content(said)
    return Inbound(
        provider_id=text(said["id"]),
        identity=known,
        name=_name(who),
        content=read.content,
        about=read.about or _answered(said),
        at=moment(said.get("timestamp")),
        file=read.file,
        notice=said.get("type") == "system",
        raw=_raw(said, who, read),
    )


def sender(said: Json, contacts: list[Json]) -> Json:
    """Return the contact that wrote a message: by phone, by id, or because there is no other."""
    named = {str(said[key]) for key in ("from", "from_user_id") if said.get(key)}
    for one in contacts:
        if {str(one.get("wa_id")), str(one.get("user_id"))} & named:
            return one
    return contacts[0] if len(contacts) == 1 else {}


def moment(seconds: object) -> datetime:
    """Read a time of Meta's, in seconds; one that cannot be is now."""
    try:
        return datetime.fromtimestamp(int(str(seconds)), UTC)
    except (ValueError, OverflowError, OSError):
        return now()


def _name(who: Json) -> str:
    profile = who.get("profile")
    found = cast("Json", profile) if isinstance(profile, dict) else {}
    return str(found.get("name") or found.get("username") or "")


def _answered(said: Json) -> str:
    context = said.get("context")
    return str(cast("Json", context).get("id") or "") if isinstance(context, dict) else ""


def _content(said: Json) -> _Read:
    reader = _READERS.get(str(said.get("type")))
    if reader is None:
        return _Read(Unsupported(said))
    try:
        return reader(said)
    except (LookupError, OverflowError, TypeError, ValueError):
        return _Read(Unsupported(said))


def _raw(said: Json, who: Json, read: _Read) -> Json | None:
    """Keep what the content cannot hold: adverts, products and forwards it refers to, and who hides behind a name."""
    if isinstance(read.content, Unsupported):
        kept: Json = {}
    else:
        kept = {key: part for key, part in said.items() if key not in _ENVELOPE and key != said["type"]}
        kept |= {key: said[key] for key in read.keep}
    context = said.get("context")
    if isinstance(context, dict) and not _CONTEXT.issuperset(cast("Json", context)):
        kept["context"] = context
    kept |= {key: who[key] for key in _HIDES if who.get(key) and str(who[key]) != str(said.get("from"))}
    profile = who.get("profile")
    if isinstance(profile, dict) and cast("Json", profile).get("username"):
        kept["username"] = cast("Json", profile)["username"]
    return kept or None


# --- contents ---------------------------------------------------------------------------------------------------------


def _text(said: Json) -> _Read:
    return _Read(Text(str(obj(said["text"])["body"])))


def _image(said: Json) -> _Read:
    part = obj(said["image"])
    return _Read(Image(_media(part), _caption(part)), file=_file(part))


def _video(said: Json) -> _Read:
    part = obj(said["video"])
    return _Read(Video(_media(part), _caption(part)), file=_file(part))


def _audio(said: Json) -> _Read:
    part = obj(said["audio"])
    return _Read(Audio(_media(part), bool(part.get("voice"))), file=_file(part))


def _document(said: Json) -> _Read:
    part = obj(said["document"])
    return _Read(Document(_media(part), _caption(part)), file=_file(part))


def _sticker(said: Json) -> _Read:
    part = obj(said["sticker"])
    return _Read(Sticker(_media(part)), file=_file(part))


def _media(part: Json) -> Media:
    """Describe a file that is still at Meta."""
    return Media("", str(part.get("mime_type") or "").partition(";")[0].strip(), 0, str(part.get("filename") or ""))


def _file(part: Json) -> str:
    """Say where Meta keeps a file, and what it must turn out to be: its id, and its hash as far as that is told."""
    return f"{text(part['id'])} {part.get('sha256') or ''}".strip()


def _caption(part: Json) -> str:
    return str(part.get("caption") or "")


def _location(said: Json) -> _Read:
    part = obj(said["location"])
    latitude, longitude = float(part["latitude"]), float(part["longitude"])
    if not (-90 <= latitude <= 90 and -180 <= longitude <= 180):
        raise ValueError("this is nowhere")
    place = Location(latitude, longitude, str(part.get("name") or ""), str(part.get("address") or ""))
    return _Read(place, keep=frozenset({"location"}) if part.get("url") else frozenset())


def _contacts(said: Json) -> _Read:
    first = objs(said["contacts"])[0]
    name = first.get("name")
    phones = objs(first.get("phones") or [])
    called = str(obj(name).get("formatted_name") or "") if name else ""
    return _Read(ContactCard(called, _phone(phones)), keep=frozenset({"contacts"}))


def _phone(phones: list[Json]) -> str:
    if not phones:
        return ""
    known = phones[0].get("wa_id")
    return f"+{known}" if known else str(phones[0].get("phone") or "")


def _reaction(said: Json) -> _Read:
    part = obj(said["reaction"])
    return _Read(Reaction("", str(part.get("emoji") or "")), text(part["message_id"]))


def _edit(said: Json) -> _Read:
    part = obj(said["edit"])
    new = obj(part["message"])
    words = obj(new[text(new["type"])])
    new_words = words["body"] if new["type"] == "text" else words.get("caption") or ""
    return _Read(Edit("", str(new_words)), text(part["original_message_id"]))


def _revoke(said: Json) -> _Read:
    return _Read(Deletion(""), text(obj(said["revoke"])["original_message_id"]))


def _button(said: Json) -> _Read:
    part = obj(said["button"])
    words = str(part.get("text") or "")
    return _Read(Choice(str(part.get("payload") or words), words))


def _interactive(said: Json) -> _Read:
    part = obj(said["interactive"])
    if part.get("type") not in {"button_reply", "list_reply"}:
        return _Read(Unsupported(said))
    chosen = obj(part[str(part["type"])])
    more = frozenset({"interactive"}) if chosen.get("description") else frozenset[str]()
    return _Read(Choice(text(chosen["id"]), str(chosen.get("title") or "")), keep=more)


_READERS: Final[Mapping[str, Callable[[Json], _Read]]] = {
    "text": _text,
    "image": _image,
    "video": _video,
    "audio": _audio,
    "document": _document,
    "sticker": _sticker,
    "location": _location,
    "contacts": _contacts,
    "reaction": _reaction,
    "edit": _edit,
    "revoke": _revoke,
    "button": _button,
    "interactive": _interactive,
}  # others, such as order, system and unsupported, are kept whole

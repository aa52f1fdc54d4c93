"""What a request asks Meta to send: read, and checked as the Cloud API does before it accepts it.

Source: developers.facebook.com/documentation/business-messaging/whatsapp/reference (messages API).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, cast

from wafleet.simulator.model import PHONE
from wafleet.simulator.standins.meta.errors import Wrong
from wafleet.simulator.standins.meta.model import Book, Templates

Json = dict[str, Any]

_LONGEST: Final = 4_096
_MOST_BUTTONS: Final = 3
_MOST_ROWS: Final = 10
FILES: Final = frozenset({"image", "video", "audio", "document", "sticker"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """One message to send."""

    to: str
    data: str
    text: str = ""
    body: Json | None = None
    kind: str = "text"
    media: str = ""  # id of a file at Meta
    link: str = ""  # ... or where to fetch it
    template: bool = False
    offered: str = ""


class Reader:
    """Read requests of one business account."""

    def __init__(self, templates: Templates, book: Book) -> None:
        self._templates, self._book = templates, book
        self._kinds: Mapping[str, Callable[[Draft, Json], Draft]] = {
            "text": self._text,
            "location": self._location,
            "contacts": self._contacts,
            "reaction": self._reaction,
            "interactive": self._interactive,
            "template": self._template,
            **dict.fromkeys(FILES, self._file),
        }

    def read(self, said: Json) -> Draft:
        """Read one message. Raises Wrong."""
        if said.get("messaging_product") != "whatsapp":
            raise Wrong(100, "The parameter messaging_product is required.")
        kind = str(said.get("type") or "text")
        if kind not in self._kinds:
            raise Wrong(100, f"Param type must be one of {', '.join(self._kinds)}")
        draft = Draft(to=self._recipient(said), data=str(said.get("biz_opaque_callback_data") or ""), kind=kind)
        return self._about(self._kinds[kind](draft, _object(said, kind)), said)

    def _recipient(self, said: Json) -> str:
        """Return the phone of whom a message is for, named by a phone or by Meta's id."""
        if said.get("recipient") and not said.get("to"):
            said["to"] = self._book.phone_of(str(said["recipient"])) or "?"
        if not said.get("to"):
            raise Wrong(131008, "The parameter to is required.")
        to = "+" + "".join(c for c in str(said["to"]) if c.isdecimal())
        if not PHONE.fullmatch(to):
            raise Wrong(131009, "Recipient is not valid")
        return to

    def _about(self, draft: Draft, said: Json) -> Draft:
        """Keep what the message answers, under the network's name."""
        context = said.get("context")
        world = self._book.world_of(str(cast(Json, context).get("message_id"))) if isinstance(context, dict) else ""
        if not world:
            return draft
        body = draft.body if draft.body is not None else {"type": "text", "text": draft.text}
        return replace(draft, body=body | {"reply_to": world})

    def _text(self, draft: Draft, part: Json) -> Draft:
        words = _string(part, "body")
        if len(words) > _LONGEST:
            raise Wrong(100, f"Param text['body'] must be at most {_LONGEST} characters long.")
        return replace(draft, text=words)

    def _file(self, draft: Draft, part: Json) -> Draft:
        id, link = str(part.get("id") or ""), str(part.get("link") or "")
        if bool(id) == bool(link):
            raise Wrong(131009, "Either id or link must be given, not both")
        body: Json = {"type": draft.kind, "media": {}}
        if part.get("caption") and draft.kind in {"image", "video", "document"}:
            body["caption"] = str(part["caption"])
        if part.get("filename"):
            body["media"]["name"] = str(part["filename"])
        if part.get("voice"):
            body["voice"] = True
        return replace(draft, body=body, media=id, link=link)

    def _location(self, draft: Draft, part: Json) -> Draft:
        try:
            place: Json = {"latitude": float(part["latitude"]), "longitude": float(part["longitude"])}
        except (LookupError, TypeError, ValueError):
            raise Wrong(131009, "Latitude and longitude must be numbers") from None
        named = {name: str(part[name]) for name in ("name", "address") if part.get(name)}
        return replace(draft, body={"type": "location", **place, **named})

    def _contacts(self, draft: Draft, part: Json) -> Draft:
        cards = cast("list[Json]", part["contacts"])
        first = cards[0] if cards else {}
        name, phones = cast(Json, first.get("name") or {}), cast("list[Json]", first.get("phones") or [])
        if not name.get("formatted_name"):
            raise Wrong(131009, "A contact needs a formatted name")
        phone = str(phones[0].get("phone", "")) if phones else ""
        return replace(draft, body={"type": "contact", "name": str(name["formatted_name"]), "phone": phone})

    def _reaction(self, draft: Draft, part: Json) -> Draft:
        world = self._book.world_of(_string(part, "message_id"))
        if not world:
            raise Wrong(131009, "Message to react to not found")
        return replace(draft, body={"type": "reaction", "message": world, "emoji": str(part.get("emoji") or "")})

    def _interactive(self, draft: Draft, part: Json) -> Draft:
        action, text = _object(part, "action"), _string(_object(part, "body"), "text")
        match part.get("type"):
            case "button":
                replies = [_object(b, "reply") for b in _objects(action, "buttons", _MOST_BUTTONS)]
                options = [{"id": _string(r, "id"), "title": _string(r, "title")} for r in replies]
                body: Json = {"type": "buttons", "text": text, "options": options}
            case "list":
                rows = [r for s in _objects(action, "sections", _MOST_ROWS) for r in _objects(s, "rows", _MOST_ROWS)]
                options = [{k: str(r[k]) for k in ("id", "title", "description") if r.get(k)} for r in rows]
                if len(rows) > _MOST_ROWS:
                    raise Wrong(131009, "Total row count exceeds 10")
                body = {"type": "choices", "text": text, "button": _string(action, "button"), "options": options}
            case _:
                return replace(draft, text=text)
        for place in ("header", "footer"):
            if words := cast(Json, part.get(place) or {}).get("text"):
                body[place] = str(words)
        return replace(draft, body=body, offered=str(body["type"]))

    def _template(self, draft: Draft, part: Json) -> Draft:
        language = _string(_object(part, "language"), "code")
        template = self._templates.get(_string(part, "name"), language)
        if template is None or template.status != "APPROVED":
            raise Wrong(132001, f"template name ({part.get('name')}) does not exist in {language}")
        given: dict[str, str] = {}
        for component in cast("list[Json]", part.get("components") or []):
            if str(component.get("type")).lower() == "body":
                for place, one in enumerate(cast("list[Json]", component.get("parameters") or []), 1):
                    given[str(one.get("parameter_name") or place)] = str(one.get("text") or "")
        blanks = template.blanks()
        if len(given) != len(blanks):
            detail = f"body: number of localizable_params ({len(given)}) does not match the expected ({len(blanks)})"
            raise Wrong(132000, detail)
        return replace(draft, text=template.filled(given), template=True)


def _object(said: Json, name: str) -> Json:
    found = said.get(name)
    if name == "contacts" and isinstance(found, list):
        return {"contacts": found}
    if not isinstance(found, dict):
        raise Wrong(131008, f"The parameter {name} is required.")
    return cast(Json, found)


def _objects(said: Json, name: str, most: int) -> list[Json]:
    found = said.get(name)
    if not isinstance(found, list) or not 1 <= len(cast("list[Any]", found)) <= most:
        raise Wrong(131009, f"There must be 1 to {most} {name}")
    return cast("list[Json]", found)


def _string(said: Json, name: str) -> str:
    found = said.get(name)
    if not isinstance(found, str) or not found:
        raise Wrong(131008, f"The parameter {name} is required.")
    return found

"""Contents of Twilio's Content API: templates, and questions with answers to choose from.

Source: twilio.com/docs/content/content-types-overview; a content may be written outside the window once WhatsApp has
approved it, which here happens at once.
"""

import json
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from wafleet.simulator.standins.twilio.errors import Wrong
from wafleet.simulator.standins.twilio.model import new_sid

_BLANK: Final = re.compile(r"\{\{\s*([\w.]+)\s*\}\}")
APPROVED: Final = "approved"


class Content(msgspec.Struct, kw_only=True):
    """One content, and whether WhatsApp approved it as a template."""

    sid: str
    account_sid: str
    name: str
    language: str
    types: dict[str, dict[str, Any]]
    variables: dict[str, str]
    at: float
    status: str = "unsubmitted"
    category: str = "UTILITY"

    def shown(self, base: str) -> dict[str, Any]:
        """Return the resource as the API has it."""
        url, created = f"{base}/v1/Content/{self.sid}", _iso(self.at)
        return {
            "sid": self.sid,
            "account_sid": self.account_sid,
            "friendly_name": self.name,
            "language": self.language,
            "variables": self.variables,
            "types": self.types,
            "url": url,
            "date_created": created,
            "date_updated": created,
            "links": {
                "approval_create": f"{url}/ApprovalRequests/whatsapp",
                "approval_fetch": f"{url}/ApprovalRequests",
            },
        }

    def approval(self) -> dict[str, Any]:
        """Return how its approval stands, as the API has it."""
        return {
            "name": self.name,
            "category": self.category,
            "content_type": next(iter(self.types), ""),
            "status": self.status,
            "rejection_reason": "",
            "allow_category_change": True,
        }


class Rendered(msgspec.Struct):
    """What a customer gets to see of a content."""

    text: str
    body: dict[str, Any] | None = None  # where it is more than text
    media: str = ""  # link to a file
    offered: str = ""


class Contents:
    """The contents of an account."""

    def __init__(self, account_sid: str) -> None:
        self._account_sid = account_sid
        self._contents: dict[str, Content] = {}

    def create(self, asked: Mapping[str, Any], at: float) -> Content:
        """Take a new content. Raises Wrong."""
        types = asked.get("types")
        if not isinstance(types, dict) or not types:
            raise Wrong(20422)
        content = Content(
            sid=new_sid("HX", at)[0],
            account_sid=self._account_sid,
            name=str(asked.get("friendly_name") or ""),
            language=str(asked.get("language") or "en"),
            types=msgspec.convert(types, dict[str, dict[str, Any]]),
            variables=msgspec.convert(asked.get("variables") or {}, dict[str, str]),
            at=at,
        )
        self._contents[content.sid] = content
        return content

    def __iter__(self) -> Iterator[Content]:
        return iter(list(self._contents.values()))

    def get(self, sid: str) -> Content:
        """Return a content. Raises Wrong when there is none."""
        if sid not in self._contents:
            raise Wrong(20404)
        return self._contents[sid]

    def remove(self, sid: str) -> None:
        self.get(sid)
        del self._contents[sid]


def variables(written: str) -> dict[str, str]:
    """Read ContentVariables. Raises Wrong."""
    try:
        return msgspec.convert(json.loads(written or "{}"), dict[str, str])
    except (ValueError, msgspec.ValidationError):
        raise Wrong(21656) from None


def render(content: Content, given: Mapping[str, str]) -> Rendered:
    """Fill in the blanks; what is not given has the content's own example. Raises Wrong."""
    filled = _filled(content.types, {**content.variables, **given})
    kind = max(filled, key=lambda k: k != "twilio/text")
    said = filled[kind]
    text = str(said.get("body") or said.get("title") or "")
    match kind:
        case "twilio/quick-reply" | "whatsapp/card" | "twilio/card" | "twilio/call-to-action":
            return _offering(text, "buttons", said.get("actions") or [], said)
        case "twilio/list-picker":
            return _offering(text, "choices", said.get("items") or [], said)
        case "twilio/location":
            place = {"type": "location", "latitude": float(said["latitude"]), "longitude": float(said["longitude"])}
            return Rendered("", place | ({"name": said["label"]} if said.get("label") else {}))
        case _:
            media = said.get("media") or [""]
            return Rendered(text, media=str(media[0] if isinstance(media, list) else media))  # pyright: ignore[reportUnknownArgumentType]


def _offering(text: str, offered: str, items: list[dict[str, Any]], said: Mapping[str, Any]) -> Rendered:
    options = [
        {"id": str(item.get("id") or item.get("title", "")), "title": str(item.get("title") or item.get("item", ""))}
        for item in items
    ]
    body: dict[str, Any] = {"type": offered, "text": text, "options": options}
    if offered == "choices":
        body["button"] = str(said.get("button") or "")
    return Rendered(text, body, offered=offered)


def _filled(value: Any, given: Mapping[str, str]) -> Any:
    match value:
        case str():
            return _BLANK.sub(lambda blank: given.get(blank[1], blank[0]), value)
        case dict():
            return {name: _filled(one, given) for name, one in value.items()}  # pyright: ignore[reportUnknownVariableType]
        case list():
            return [_filled(one, given) for one in value]  # pyright: ignore[reportUnknownVariableType]
        case _:
            return value


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

"""Lists of the templates that Meta approved for a business account, kept for a while."""

import re
import time
from collections.abc import Callable
from typing import Any, Final, cast

from wafleet.transports import web
from wafleet.transports.meta.graph import Graph

FRESH_S: Final = 600.0
_PAGE: Final = "100"
_MOST_PAGES: Final = 60  # a business account has 6,000 templates at most. Source: "Templates", limits
_FIELDS: Final = "name,language,status,category,components"
_BLANK: Final = re.compile(r"\{\{\s*([A-Za-z0-9_]+)\s*\}\}")
Json = dict[str, Any]


class Templates:
    """What each business account's list was when it was last asked for."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._known: dict[str, tuple[float, list[Json]]] = {}

    async def all(self, graph: Graph, business: str) -> list[Json]:
        """Return a business account's templates. Raises what `Graph` raises."""
        asked, known = self._known.get(business, (-FRESH_S, []))
        if self._clock() - asked < FRESH_S:
            return known
        found = await _listed(graph, business)
        self._known[business] = self._clock(), found
        return found

    def forget(self, business: str) -> None:
        """Take note that a template of this account changed."""
        self._known.pop(business, None)


async def _listed(graph: Graph, business: str) -> list[Json]:
    found: list[Json] = []
    after = ""
    for _ in range(_MOST_PAGES):
        page = await graph.get(
            f"{business}/message_templates", fields=_FIELDS, limit=_PAGE, **({"after": after} if after else {})
        )
        found += [_template(one) for one in web.objs(page["data"])]
        paging = cast("Json", page.get("paging") or {})
        after = str(cast("Json", paging.get("cursors") or {}).get("after") or "")
        if not after or not paging.get("next"):
            break
    return found


def _template(said: Json) -> Json:
    """Describe one template: its words, and what must be given to fill it."""
    parts = {str(part.get("type") or "").upper(): part for part in web.objs(said.get("components") or [])}
    header, body = parts.get("HEADER", {}), str(parts.get("BODY", {}).get("text") or "")
    return {
        "name": web.text(said["name"]),
        "language": str(said.get("language") or ""),
        "status": str(said.get("status") or ""),
        "category": str(said.get("category") or ""),
        "text": body,
        "header": str(header.get("format") or ""),  # TEXT, or the kind of file it wants
        "variables": [*_header_blanks(header), *dict.fromkeys(_BLANK.findall(body)), *_link_blanks(parts)],
    }


def _header_blanks(header: Json) -> list[str]:
    return [f"header.{name}" for name in dict.fromkeys(_BLANK.findall(str(header.get("text") or "")))]


def _link_blanks(parts: dict[str, Json]) -> list[str]:
    buttons = web.objs(parts.get("BUTTONS", {}).get("buttons") or [])
    return [f"button.{place}" for place, one in enumerate(buttons) if _BLANK.search(str(one.get("url") or ""))]

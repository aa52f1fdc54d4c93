"""Lists of an account's contents at Twilio, with WhatsApp's word on each as a template, kept for a while.

Source: https://www.twilio.com/docs/content/content-api-resources#fetch-content-and-approval-status
"""

import re
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final, cast

from wafleet.transports import web
from wafleet.transports.remedies import http_errors
from wafleet.transports.twilio.errors import PROVIDER, TABLE, told

FRESH_S: Final = 600.0
_PAGE: Final = 100
_PAGES: Final = 60
_BLANK: Final = re.compile(r"\{\{\s*([\w.]+)\s*\}\}")
Json = dict[str, Any]
Ask = Callable[[str], Awaitable[Json]]  # asks for one page; raises what httpx raises


class Templates:
    """What each account's list was when it was last asked for."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._known: dict[str, tuple[float, list[Json]]] = {}

    async def all(self, ask: Ask, *, base: str, account: str) -> list[Json]:
        """Return an account's contents. Raises SendError."""
        asked, known = self._known.get(account, (-FRESH_S, []))
        if self._clock() - asked < FRESH_S:
            return known
        with http_errors(PROVIDER, table=TABLE, read=told):
            found = await _listed(ask, base)
        self._known[account] = self._clock(), found
        return found


async def _listed(ask: Ask, base: str) -> list[Json]:
    found: list[Json] = []
    url = f"{base}/v1/ContentAndApprovals?PageSize={_PAGE}"
    for _ in range(_PAGES):
        page = await ask(url)
        found += [_template(one) for one in web.objs(page["contents"])]
        following = web.obj(page.get("meta") or {}).get("next_page_url")
        if not isinstance(following, str) or not web.under(base, following):
            break
        url = following
    return found


def _template(said: Json) -> Json:
    """Describe one content: its words, and what must be given to fill it."""
    kinds = cast("Json", said.get("types") or {})
    shown = [web.obj(one) for one in kinds.values()]
    approval = web.obj(said.get("approval_requests") or {})
    blanks = _BLANK.findall(repr(shown))
    return {
        "name": web.text(said["sid"]),
        "language": str(said.get("language") or ""),
        "status": str(approval.get("status") or ""),
        "category": str(approval.get("category") or ""),
        "text": next((str(one[name]) for one in shown for name in ("body", "title") if one.get(name)), ""),
        "header": "media" if any(one.get("media") for one in shown) else "",
        "variables": list(dict.fromkeys([*blanks, *web.obj(said.get("variables") or {})])),
    }

"""What customers wrote lately, out of Twilio's list: for requests to us that nobody here could take.

The list says less than a request does: no name, no button that was touched, no place. Words and files are all there.
Source: https://www.twilio.com/docs/messaging/api/message-resource#retrieve-a-list-of-messages
"""

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any, Final

import httpx

from wafleet.domain.inbound import Inbound
from wafleet.transports import web
from wafleet.transports.base import MaybeSent
from wafleet.transports.twilio.finding import SLACK, created
from wafleet.transports.twilio.reading import inbound

PAGE: Final = 200  # messages of a list's page
PAGES: Final = 10  # the newest of these are looked through

Ask = Callable[[str], Awaitable[dict[str, Any]]]  # asks for one page; raises SendError


async def lately(ask: Ask, *, messages: str, phone: str, since: datetime) -> list[Inbound]:
    """List what customers wrote to a sender since then, oldest first. Raises SendError.

    messages  address of the list
    """
    of = {"To": f"whatsapp:{phone}", "DateSent>": f"{since:%Y-%m-%d}", "PageSize": PAGE}
    url, found = httpx.URL(messages, params=of), list[Inbound]()
    for _ in range(PAGES):
        page = await ask(str(url))
        try:
            for one in web.objs(page["messages"]):
                if _is_a_customers(one) and (at := created(one)) >= since - SLACK:
                    found += reversed(inbound(await _form(ask, messages, one), at=at))
        except (LookupError, TypeError, ValueError) as e:
            raise MaybeSent("no_answer", f"Twilio's list cannot be read: {e!r}") from e
        following = str(page.get("next_page_uri") or "")
        if not following or not web.under(messages, str(httpx.URL(messages).join(following))):
            break
        url = httpx.URL(messages).join(following)
    return found[::-1]


def _is_a_customers(resource: Mapping[str, Any]) -> bool:
    coming = str(resource.get("direction", "")).startswith("inbound")
    return coming and str(resource.get("from", "")).startswith("whatsapp:")


async def _form(ask: Ask, messages: str, resource: Mapping[str, Any]) -> dict[str, str]:
    """Write a listed message as Twilio's request would have told it."""
    sid = web.text(resource["sid"])
    form = {
        "MessageSid": sid,
        "From": web.text(resource["from"]),
        "To": str(resource.get("to") or ""),
        "Body": str(resource.get("body") or ""),
        "NumMedia": str(resource.get("num_media") or "0"),
    }
    if form["NumMedia"] != "0":
        address = f"{messages.removesuffix('.json')}/{sid}/Media"
        for i, file in enumerate(web.objs((await ask(f"{address}.json"))["media_list"])):
            form[f"MediaUrl{i}"] = f"{address}/{web.text(file['sid'])}"
            form[f"MediaContentType{i}"] = str(file.get("content_type") or "")
    return form

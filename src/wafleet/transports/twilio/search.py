"""Looks through Twilio's list of a sender's messages for those whose answer never came."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import httpx

from wafleet.domain.ids import MessageId
from wafleet.transports import web
from wafleet.transports.base import Doubt, Found, MaybeSent
from wafleet.transports.twilio import finding
from wafleet.transports.twilio.finding import Listed, tellable

PAGE: Final = 200  # messages of a list's page
PAGES: Final = 20  # that far back is looked, then Twilio cannot tell

Ask = Callable[[str], Awaitable[dict[str, Any]]]  # asks for one page of the list; raises SendError


class Memory:
    """The names Twilio lately gave to messages of this node, and which of ours they are."""

    def __init__(self, most: int = 20_000) -> None:
        self.names: dict[str, MessageId] = {}
        self._most = most

    def keep(self, sid: str, message: MessageId) -> None:
        """Remember one more; the oldest is forgotten when there are too many."""
        self.names[sid] = message
        if len(self.names) > self._most:
            del self.names[next(iter(self.names))]


class Search:
    """Finds messages of one sender.

    messages   address of the list
    settled_s  a request may still be carried out for so long after it was written
    """

    def __init__(self, ask: Ask, *, messages: str, phone: str, memory: Memory, settled_s: float) -> None:
        self._ask, self._messages, self._phone = ask, messages, phone
        self._memory, self._settled_s = memory, settled_s

    async def find(self, doubts: Sequence[Doubt]) -> dict[MessageId, Found | None]:
        """Return what became of messages; one of which nobody can tell is left out. Raises SendError.

        A request that was written may still be carried out, so "not there" is an answer only some time later, and only
        where nothing in the list of that person could be the message. Two messages of the same words to the same person
        within two seconds may be taken for each other, where neither this process nor `doubts` knows the name of one.
        """
        known = self._memory.names | {one.provider_id: one.id for one in doubts if one.provider_id}
        found = await self._named([one for one in doubts if one.provider_id], known)
        unnamed = [one for one in doubts if not one.provider_id and tellable(one)]
        absent = await self._unnamed(unnamed, known, found)
        if absent and (wait := self._still_under_way(unnamed, absent)) > 0:
            await asyncio.sleep(wait)
            absent = await self._unnamed([one for one in unnamed if one.id in absent], known, found)
        for message, one in found.items():
            self._memory.keep(one.provider_id, message)
        return found | absent

    async def _named(self, doubts: Sequence[Doubt], known: Mapping[str, MessageId]) -> dict[MessageId, Found]:
        """Look for messages whose names are known in one list of all recipients."""
        if not doubts:
            return {}
        listed, _ = await self._listed({}, min(map(finding.earliest, doubts)))
        return finding.matched(doubts, listed, named=known)

    async def _unnamed(
        self, doubts: Sequence[Doubt], known: Mapping[str, MessageId], found: dict[MessageId, Found]
    ) -> dict[MessageId, None]:
        """Look for messages in each recipient's list: what is there goes into `found`. Return what is not."""
        absent: dict[MessageId, None] = {}
        for to in dict.fromkeys(one.to for one in doubts):
            mine = [one for one in doubts if one.to == to]
            listed, whole = await self._listed({"To": f"whatsapp:{to}"}, min(map(finding.earliest, mine)))
            found |= finding.matched(mine, listed, named=known)
            taken = known.keys() | {one.provider_id for one in found.values()}
            left = [one for one in mine if one.id not in found and whole]
            absent |= {one.id: None for one in left if not finding.open_to_doubt(one, listed, taken=taken)}
        return absent

    async def _listed(self, of: Mapping[str, str], since: datetime) -> tuple[list[Listed], bool]:
        """Read the list, newest first, back to a time; say whether it was reached.

        It is not narrowed by DateSent: a message that waits at Twilio has none yet.
        """
        listed: list[Listed] = []
        url = httpx.URL(self._messages, params={**of, "From": f"whatsapp:{self._phone}", "PageSize": PAGE})
        for _ in range(PAGES):
            page = await self._ask(str(url))
            try:
                here = [one for one in map(finding.listed, web.objs(page["messages"])) if one is not None]
            except (LookupError, TypeError, ValueError) as e:
                raise MaybeSent("no_answer", f"Twilio's list cannot be read: {e!r}") from e
            listed += here
            following = page.get("next_page_uri")
            if not following or any(one.at < since for one in here):
                return listed, True
            url = httpx.URL(self._messages).join(str(following))
            if not web.under(self._messages, str(url)):
                raise MaybeSent("no_answer", f"Twilio's list goes on elsewhere: {url}")
        return listed, False

    def _still_under_way(self, doubts: Sequence[Doubt], absent: Mapping[MessageId, None]) -> float:
        last = max(one.since for one in doubts if one.id in absent and one.since is not None)
        return (last + timedelta(seconds=self._settled_s) - web.now()).total_seconds()

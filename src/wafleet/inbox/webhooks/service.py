"""Where networks call: /hooks/{transport}/{account}. What a call says is committed before it is answered.

Any node takes any call, whether it holds the account or not. Plain ASGI, beside the API: thousands of calls a second
come in bursts, each proves itself by its signature, and no caller is slowed down for what another one does.

    404  no such account on this transport       403  the signature is wrong: nothing of it is stored
    413  over 3 MB                               503  busy, or the database is away: the network calls again
    415  neither form nor JSON                   400  not what the network's documents describe
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

import structlog
from prometheus_client import Counter
from starlette.types import Receive, Scope, Send

from wafleet.accounts import OF_BUSINESS, Callee, Callees
from wafleet.domain.errors import NotFound, Unavailable
from wafleet.domain.ids import AccountId, TenantId
from wafleet.domain.inbound import Inbound, Receipt
from wafleet.inbox.webhooks import http as callers
from wafleet.inbox.webhooks.http import Answer, Gone, Place
from wafleet.inbox.webhooks.time_limit import Patience
from wafleet.transports.calls import Call, Calls, Forged, News, Of, Sign

log = structlog.get_logger(__name__)
PREFIX: Final = callers.PREFIX
MOST_HELD: Final = 200_000_000  # bytes of bodies that are in memory at a time
MOST_WAITING: Final = 20_000  # messages that wait to be stored; beyond, networks shall wait
STORED_S: Final = 10.0  # networks wait about 15 s for an answer, and call again
AGAIN_S: Final = 1.0  # for a wrong signature an account is read anew at most this often

answered = Counter("wafleet_hook_calls_total", "Calls of networks, by how they were answered", ["transport", "status"])
useless = Counter("wafleet_hook_left_total", "What calls said that is of no use here", ["transport", "kind"])

Stored = asyncio.Future[bool]


class Takers(NamedTuple):
    """Whoever stores what calls say; each future is done after the commit."""

    inbound: Callable[[TenantId, AccountId, Inbound], Stored]
    receipt: Callable[[AccountId, Receipt], Stored]
    sign: Callable[[AccountId, str, Sign], Stored]
    waiting: Callable[[], int]  # how much is not stored yet


class Hooks:
    """The ASGI app that takes calls.

    calls       by transport: those whose networks call us
    public_url  how the world reaches this wafleet, since that is what networks sign; none: as each request says itself
    """

    def __init__(
        self, *, calls: Mapping[str, Calls], callees: Callees, takers: Takers, public_url: str | None = None
    ) -> None:
        self._calls, self._callees, self._takers = calls, callees, takers
        self._public_url, self._room = public_url or "", callers.Room(MOST_HELD)
        self._reading, self._storing = Patience(callers.BODY_S), Patience(STORED_S)
        self._counters: dict[tuple[str, int], Counter] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one call."""
        transport = "none"
        try:
            place = callers.placed(scope, self._calls)
            transport = place.transport
            news = await self._taken(place, scope, receive)
        except Gone:
            return
        except Exception as error:
            answer = callers.refusal(error)
        else:
            answer = Answer(200, news.answer, news.content_type)
        self._count(transport, answer.status)
        await callers.answer(send, answer)

    def _count(self, transport: str, status: int) -> None:
        counter = self._counters.get((transport, status))
        if counter is None:
            counter = self._counters[transport, status] = answered.labels(transport, str(status))
        counter.inc()

    async def _taken(self, place: Place, scope: Scope, receive: Receive) -> News:
        """Take a call. Nothing is read of one for an account that nobody has: it costs as little as it can."""
        callers.check_announced(scope)
        callee = await self._called(place)
        if self._takers.waiting() > MOST_WAITING:
            raise Unavailable("Too much is under way: call again in a moment", code="busy")
        with self._room.share() as take:
            body = await callers.body_of(scope, receive, self._reading, take)
            call = callers.call_of(scope, body, public_url=self._public_url, message=place.message)
            return await self._stored(call, callee)

    async def _called(self, place: Place) -> Callee:
        callee = self._callees.known(place.transport, place.account)
        if callee is None and (callee := await self._callees.find(place.transport, place.account)) is None:
            raise NotFound("There is no such account here: copy the address anew from the account's page")
        return callee

    async def _stored(self, call: Call, callee: Callee) -> News:
        callee = await self._proven(call, callee)
        news = self._calls[callee.transport].read(call, callee.settings)
        if not news.said and not news.left:
            self._callees.heard(callee, inbound=False)
            return news
        meant = await self._meant(call, callee, news.said)
        stored = [self._take(to, one.what) for tos, one in zip(meant, news.said, strict=True) for to in tos]
        wrote = any(isinstance(one.what, Inbound) for one in news.said)
        for to in {callee.account: callee, **{to.account: to for tos in meant for to in tos}}.values():
            self._callees.heard(to, inbound=wrote)
        for kind, n in news.left.items():
            useless.labels(callee.transport, kind).inc(n)
        await self._committed(stored)
        return news

    async def _proven(self, call: Call, callee: Callee) -> Callee:
        """Return the account whose credentials prove the call, read anew where they may be older. Raises Forged."""
        try:
            self._calls[callee.transport].check(call, callee.credentials, callee.settings)
        except Forged as error:
            if self._callees.age(callee) > AGAIN_S:
                again = await self._callees.find(callee.transport, callee.account, anew=True)
                if again is not None:
                    return await self._proven(call, again)
            self._callees.refused(callee, error.sentence)
            raise
        return callee

    async def _meant(self, call: Call, callee: Callee, said: Sequence[Of]) -> list[Sequence[Callee]]:
        """Return the accounts that each thing is about.

        One address may serve all numbers of a provider's account. News of other numbers goes to those accounts whose
        own credentials prove the call as well, and to no others. News of a business account that no account names is
        about the one that was called, where that does not say whose it is.
        """
        own, of = (callee,), dict[str, Sequence[Callee]]()
        for number in {one.number for one in said} - callee.names - {""}:
            others = await self._callees.named(callee.transport, number)
            of[number] = [one for one in others if self._proves(call, one)]
            if not of[number] and number.startswith(OF_BUSINESS) and not callee.business:
                of[number] = own
            if not of[number]:
                useless.labels(callee.transport, "unknown_number").inc()
                log.warning("call_for_unknown_number", account=str(callee.account), number=number[:40])
        return [of.get(one.number, own) for one in said]

    def _proves(self, call: Call, callee: Callee) -> bool:
        try:
            self._calls[callee.transport].check(call, callee.credentials, callee.settings)
        except Forged:
            return False
        return True

    def _take(self, to: Callee, what: Inbound | Receipt | Sign) -> Stored:
        match what:
            case Inbound():
                return self._takers.inbound(to.tenant, to.account, what)
            case Receipt():
                return self._takers.receipt(to.account, what)
            case Sign():
                return self._takers.sign(to.account, to.transport, what)

    async def _committed(self, stored: Sequence[Stored]) -> None:
        """Return once all is committed. Raises what kept it from that, and Unavailable after some seconds."""
        try:
            await self._storing.wait(_all(stored))
        except TimeoutError:
            for one in stored:
                one.add_done_callback(_look)  # it may still be stored; the repeated call then changes nothing
            raise Unavailable("It was not stored in time: call again in a moment", code="busy") from None


async def _all(stored: Sequence[Stored]) -> None:
    """Return when all are done. Raises the first exception, and leaves none unseen."""
    failed: Exception | None = None
    for one in stored:
        try:
            await one
        except Exception as error:
            failed = failed or error
    if failed is not None:
        raise failed


def _look(stored: Stored) -> None:
    if not stored.cancelled():
        stored.exception()

"""What is asked of WhatsApp besides messages reaches the session, wherever it is held."""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from tests.live.rig import Rig, RunningNode, until

from wafleet.accounts import ANSWERED, ASKED, Asks
from wafleet.accounts.asks import service as asks_module
from wafleet.config import KeepAliveSettings
from wafleet.domain.errors import Conflict, Invalid, Late
from wafleet.domain.ids import AccountId
from wafleet.domain.inbound import Inbound
from wafleet.domain.message import Text
from wafleet.engine.clock import SystemClock
from wafleet.engine.wakes import Wakes
from wafleet.tenants import Caller
from wafleet.transports.base import NotSent, Transport
from wafleet.transports.simulated import Simulated

PHONE = "+971500000001"
CALLER = Caller.local("test")
ABLE = replace(Simulated.capabilities, asks=frozenset({"typing", "read", "lookup", "templates"}))


@dataclass
class Answering:
    """A session that answers questions; `known` are on WhatsApp."""

    known: frozenset[str] = frozenset({"+447700900001"})
    asked: list[Any] = field(default_factory=list[Any])
    trouble: Exception | None = None

    async def lookup(self, phones: Sequence[str]) -> Mapping[str, bool]:
        self.asked.append(list(phones))
        if self.trouble is not None:
            raise self.trouble
        return {phone: phone in self.known for phone in phones if not phone.endswith("9")}

    async def typing(self, to: str, on: bool, *, newest: str = "") -> None:
        self.asked.append((to, on, newest) if newest else (to, on))

    async def read(self, identity: str, provider_ids: Sequence[str]) -> None:
        self.asked.append((identity, list(provider_ids)))

    async def templates(self) -> list[dict[str, Any]]:
        return [{"name": "order_ready", "language": "en", "variables": ["1"]}]

    async def close(self) -> None: ...

    async def ping(self) -> None: ...


class Able:
    """A transport that says it can answer questions."""

    capabilities = ABLE


Setting = tuple[RunningNode, Asks, Answering, AccountId]


@asynccontextmanager
async def asked_over(rig: Rig, dsn: str, *, here: bool) -> AsyncGenerator[Setting]:
    """A node that holds an account, and somebody who asks: in the same process, or from another node."""
    account, node = await rig.account(PHONE), await rig.start(keep_alive=KeepAliveSettings(every_s=60))
    await until(lambda: rig.state(account), lambda seen: seen == ("online", ""))
    held, session = node.live.holdings._held[account], Answering()  # pyright: ignore[reportPrivateUsage]
    assert held.live is not None
    held.live.session = session  # type: ignore[assignment]  # pyright: ignore[reportAttributeAccessIssue]
    theirs = Wakes(dsn)
    mine = theirs if here else Wakes(dsn)
    theirs.subscribe(ASKED, lambda ids: node.live.asked(None if ids is None else [AccountId(UUID(i)) for i in ids]))

    def answered(id: UUID) -> None:
        theirs.wake(ANSWERED, str(id))

    node.live._asking._answered = answered  # pyright: ignore[reportPrivateUsage]
    running = [asyncio.create_task(one.run()) for one in {theirs, mine}]
    transports: dict[str, Transport] = {"simulator": Able()}  # type: ignore[dict-item]  # pyright: ignore[reportAssignmentType]
    if not here:
        await asyncio.sleep(0.3)  # until both listen
    try:
        yield node, Asks(rig.db, SystemClock(), wakes=mine, transports=transports), session, account
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


@pytest.mark.parametrize("here", [True, False])
async def test_numbers_are_looked_up_once_a_day_wherever_the_session_is(rig: Rig, dsn: str, here: bool) -> None:
    async with asked_over(rig, dsn, here=here) as (_, asks, session, account):
        phones = ["00447700900001", "+447700900002", "+447700900009"]
        seen = {"+447700900001": True, "+447700900002": False, "+447700900009": None}
        assert await asks.lookup(CALLER, account, phones) == seen
        assert await asks.lookup(CALLER, account, phones) == seen
        assert session.asked == [list(seen), ["+447700900009"]]


async def test_customers_see_that_somebody_writes_and_what_was_read(rig: Rig, dsn: str) -> None:
    async with asked_over(rig, dsn, here=True) as (_, asks, session, account):
        await asks.typing(CALLER, account, to="00447700900001", on=True)
        await asks.typing(CALLER, account, to="lid:12345", on=False)
        await asks.tell_read(CALLER, account, identity="+447700900001", provider_ids=["A", "B"])

        async def asked() -> list[Any]:
            return session.asked

        wanted = [("+447700900001", True), ("lid:12345", False), ("+447700900001", ["A", "B"])]
        await until(asked, lambda seen: seen == wanted)


@pytest.mark.parametrize("who", ["+447700900001", "bsuid:US.13491208655302741918"])
async def test_whoever_wrote_is_shown_typing_as_an_answer_to_their_newest_message(rig: Rig, dsn: str, who: str) -> None:
    async with asked_over(rig, dsn, here=True) as (node, asks, session, account):
        for n, customer in enumerate((who, who, "+447700900002")):
            told = Inbound(provider_id=f"wamid.{n}", identity=customer, content=Text("hi"), at=datetime.now(UTC))
            await node.inbox.accept(rig.tenant, account, told)
        await asks.typing(CALLER, account, to=who, on=True)
        await asks.typing(CALLER, account, to="+447700900003", on=True)
        assert session.asked == [(who, True, "wamid.1"), ("+447700900003", True)]


async def test_a_question_that_is_told_of_many_times_is_asked_once(rig: Rig, dsn: str) -> None:
    async with asked_over(rig, dsn, here=True) as (node, asks, session, account):
        for _ in range(5):
            await asks.typing(CALLER, account, to="+447700900001", on=True)
            for _ in range(10):
                node.live.asked([account])
        await asks.lookup(CALLER, account, ["+447700900001"])
        assert session.asked == [("+447700900001", True)] * 5 + [["+447700900001"]]


async def test_approved_templates_are_listed_wherever_the_session_is(rig: Rig, dsn: str) -> None:
    async with asked_over(rig, dsn, here=False) as (_, asks, session, account):
        assert await asks.templates(CALLER, account) == await session.templates()


async def test_what_whatsapp_refuses_or_never_answers_is_one_sentence(
    rig: Rig, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with asked_over(rig, dsn, here=True) as (node, asks, session, account):
        session.trouble = NotSent("throttled", "rate-overlimit")
        with pytest.raises(Conflict, match="WhatsApp did not do this: rate-overlimit"):
            await asks.lookup(CALLER, account, ["+447700900001"])
        monkeypatch.setattr(asks_module, "PATIENCE_S", 0.2)
        await node.kill()
        rig.nodes.remove(node)
        with pytest.raises(Late, match="try again in a moment"):
            await asks.lookup(CALLER, account, ["+447700900001"])


async def test_what_a_transport_cannot_do_and_who_is_not_connected_is_said_before_asking(rig: Rig, dsn: str) -> None:
    async with asked_over(rig, dsn, here=True) as (_, asks, session, account):
        asks._transports = {"simulator": Simulated.within(rig.world)}  # pyright: ignore[reportPrivateUsage]
        with pytest.raises(Invalid, match="cannot look numbers up") as refused:
            await asks.lookup(CALLER, account, ["+447700900001"])
        assert refused.value.code == "cannot_do"
        asks._transports = {"simulator": Able()}  # type: ignore[dict-item]  # pyright: ignore
        rig.fault(PHONE, "logged_out")
        await until(lambda: rig.state(account), lambda seen: seen[0] == "logged_out")
        with pytest.raises(Conflict, match="ask once it is online"):
            await asks.typing(CALLER, account, to="+447700900001", on=True)
        assert session.asked == []

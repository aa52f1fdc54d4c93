"""A listener that keeps what it heard, and an account on a simulated network."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from wafleet.domain.ids import AccountId, MessageId, new_id
from wafleet.domain.inbound import Inbound, Receipt
from wafleet.domain.message import Content, Text, words
from wafleet.simulator.manners import Manners
from wafleet.simulator.orders import Say, StartFault
from wafleet.simulator.world import World
from wafleet.transports.base import Number, Outgoing, Pairing, Session
from wafleet.transports.calls import Sign
from wafleet.transports.simulated import Simulated

PHONE, LAYLA = "+966500000001", "+971550000001"
QUICK = Manners(login_s=(0, 0), answer_s=(0, 0), delivered_s=(0.01, 0.01), read_s=(0.01, 0.01), read_share=1.0)


@dataclass
class Heard:
    """Everything one session's owner was told."""

    inbound: list[Inbound] = field(default_factory=list[Inbound])
    receipts: list[Receipt] = field(default_factory=list[Receipt])
    secrets: list[bytes] = field(default_factory=list[bytes])
    ends: list[tuple[str, str, datetime | None]] = field(default_factory=list[tuple[str, str, datetime | None]])
    pairings: list[Pairing] = field(default_factory=list[Pairing])
    signs: list[Sign] = field(default_factory=list[Sign])
    seen: list[datetime] = field(default_factory=list[datetime])  # when the phone was in touch

    def received(self, inbound: Inbound) -> None:
        self.inbound.append(inbound)

    def receipt(self, receipt: Receipt) -> None:
        self.receipts.append(receipt)

    def phone_seen(self, at: datetime) -> None:
        self.seen.append(at)

    def sign(self, sign: Sign) -> None:
        self.signs.append(sign)

    def credentials(self, secret: bytes) -> None:
        self.secrets.append(secret)

    def closed(self, reason: str, detail: str = "", until: datetime | None = None) -> None:
        self.ends.append((reason, detail, until))

    def pairing(self, pairing: Pairing) -> None:
        self.pairings.append(pairing)

    @property
    def texts(self) -> list[str]:
        return [words(one.content) for one in self.inbound]

    @property
    def reasons(self) -> list[str]:
        return [reason for reason, _, _ in self.ends]

    @property
    def states(self) -> list[str]:
        return [one.state.value for one in self.receipts]


@dataclass
class Held:
    """One account on a network, with its session open."""

    world: World
    transport: Simulated
    number: Number
    secret: bytes
    session: Session
    heard: Heard

    async def open(self) -> tuple[Session, Heard]:
        """Open another session of the same account."""
        heard = Heard()
        return await self.transport.open(self.number, self.secret, heard), heard

    async def send(self, content: Content | str = "hello", *, to: str = LAYLA) -> str:
        return await self.session.send(outgoing(content, to=to))

    def fault(self, kind: str, **how: Any) -> None:
        self.world.start_fault(StartFault(account=PHONE, kind=kind, **how))

    def say(self, text: str) -> str:
        return self.world.say(Say(customer=LAYLA, account=PHONE, text=text, name="Layla"))


def number(phone: str = PHONE) -> Number:
    return Number(AccountId(new_id()), phone)


def outgoing(content: Content | str = "hello", *, to: str = LAYLA) -> Outgoing:
    return Outgoing(MessageId(new_id()), to, Text(content) if isinstance(content, str) else content)


async def held(world: World, transport: Simulated, phone: str = PHONE) -> Held:
    """Link an account and open its session."""
    secret, heard, account = world.link(phone), Heard(), number(phone)
    return Held(world, transport, account, secret, await transport.open(account, secret, heard), heard)


async def until(wanted: Callable[[], object], *, limit_s: float = 20) -> None:
    """Look again and again until it is so; fail when it never is."""
    deadline = asyncio.get_running_loop().time() + limit_s
    found = wanted()
    while not found and asyncio.get_running_loop().time() < deadline:
        await asyncio.sleep(0.005)
        found = wanted()
    assert found

"""One way to reach WhatsApp under test: its transport, the network behind it, and an account it speaks for."""

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, ClassVar, Final

import msgspec
import pytest
from tests.contracts.examples import EXAMPLES
from tests.transports.heard import Heard, number, until

from wafleet.domain.ids import MessageId, new_id
from wafleet.domain.message import Content, Media, Sending, Template, Text, media, words
from wafleet.simulator import frames
from wafleet.simulator.faults import FAULTS
from wafleet.simulator.local import Local
from wafleet.simulator.orders import Say, StartFault
from wafleet.simulator.world import World
from wafleet.transports.base import (
    About,
    Capabilities,
    LinkListener,
    Number,
    Outgoing,
    Pairing,
    RefusedRecipient,
    SendError,
    Session,
    Transport,
)

PHONE, OTHER, LAYLA, OMAR = "+966500000001", "+966500000002", "+971550000001", "+971550000002"
UNANSWERED: Final = frozenset({"lost_answers", "hidden"})  # faults after which somebody waits for an answer in vain


class Subject(ABC):
    """What a transport must bring to be put through the suite. A new one writes this class and its line in conftest."""

    transport: Transport
    capabilities: ClassVar[Capabilities]
    patience_s = 10.0  # how long anything may take that has to come
    acknowledges = True  # what customers write counts as taken once `acknowledge` names it, not when it was heard
    knows_what_never_left = True  # `find` says None of a message that it was never given, in every session
    refuses_later = False  # a message is taken first; a receipt tells that WhatsApp refused it
    lists_what_it_took = False  # ... and `find` has it even where nobody knows what WhatsApp made of it
    says_how_long = False  # whoever is throttled is told exactly when to try again
    to_strangers = "reach_out_lock"  # the reason, where first messages to strangers are refused
    to_nobody = "not_on_whatsapp"  # ... and to those who are not there
    ending, end = "logged_out", "logged_out"  # a fault that ends an account of this transport alone, and its reason
    swallows: ClassVar[frozenset[str]] = frozenset({"mute"})  # faults in which what was taken goes nowhere
    keeps_files = False  # the network keeps customers' files: they are fetched by `fetch`
    wrong = b""  # credentials that the network refuses
    answers_first: ClassVar[frozenset[str]] = frozenset()  # contents whose answer comes before they go anywhere
    alike: ClassVar[frozenset[str]] = frozenset()  # contents without words: a network without our ids mistakes them
    hears: ClassVar[frozenset[str]]  # contents of customers that arrive: those it can send, unless told otherwise
    leaves: ClassVar[Mapping[str, Content]] = {}  # what arrives of contents that it cannot carry whole ...
    arrives: ClassVar[Mapping[str, Content]] = {}  # ... and of those customers send

    def __init__(self, world: World) -> None:
        self.world = world

    def __init_subclass__(cls) -> None:
        if "hears" not in cls.__dict__:
            cls.hears = cls.capabilities.contents

    @abstractmethod
    async def credentials(self, number: Number) -> bytes:
        """Make the number an account of the network; return what opens it."""

    @abstractmethod
    def scan(self, phone: str, shown: Pairing) -> None:
        """Be the person who links a phone: confirm what is shown."""

    def file(self, content: bytes) -> str:
        """Put a file where customers' messages may name it; return its id."""
        return sha256(content).hexdigest()

    def file_named(self, phone: str) -> str:
        """Return the reference of a file, as a message of a customer might have it."""
        raise NotImplementedError

    def say_unknown(self, account: str) -> None:
        """Have a customer send something that wafleet has no words for."""
        self.world.say(Say(customer=LAYLA, account=account, text="", body={"type": "poll", "options": ["yes", "no"]}))

    def fault(self, account: str, kind: str) -> StartFault:
        """Say how to strike with a fault so that it is felt soon, and is over soon."""
        return StartFault(account=account, kind=kind, seconds=0.05, lasts=0.3)

    @classmethod
    def feels(cls, fault: str) -> bool:
        """Whether accounts of this transport notice this fault of the network."""
        return not FAULTS[fault].providers

    def template(self) -> str:
        """Return the name of a template in English that says `{{1}}, your order is ready`."""
        return "order_ready"

    def named(self, world: str) -> str:
        """Return what the transport's network calls a message that the world calls so."""
        return world

    def of_the_world(self, name: str) -> str:
        """Return what the world calls a message that the transport's network calls so."""
        return name

    def hurry(self, on: bool = True) -> None:
        """Let the network give up soon on what gets no answer, where it waits for one itself; else as always."""
        return

    async def well(self, phone: str) -> None:
        """Return once the network has noticed itself that its trouble with a number is over."""
        return

    def away(self) -> None:
        """Let the network be out of reach."""
        self.world.start_fault(StartFault(account=PHONE, kind="disconnect", lasts=100.0))

    def back(self) -> None:
        """Let the network be within reach again."""
        self.world.trouble.end(PHONE, "disconnect")

    async def link(self, number: Number, shown: LinkListener) -> bytes:
        assert self.transport.capabilities.linking
        linking: Any = self.transport
        return await linking.link(number, shown)

    async def unlink(self, number: Number, credentials: bytes) -> None:
        linking: Any = self.transport
        await linking.unlink(number, credentials)

    async def open(self, phone: str = PHONE) -> "Holder":
        """Make an account and open its session."""
        account = number(phone)
        holder = Holder(self, account, await self.credentials(account))
        await holder.open()
        return holder

    async def until(self, wanted: Any) -> None:
        await until(wanted, limit_s=self.patience_s)


@dataclass(frozen=True)
class Across:
    """With which transports a promise is tried: see `only` and `across`."""

    where: Callable[..., bool]
    name: str = ""
    values: tuple[str, ...] = ()


def only(where: "Callable[[type[Subject]], bool]") -> pytest.MarkDecorator:
    """Try a promise with those transports alone for which `where` holds."""
    return pytest.mark.across(Across(where))


def across(where: "Callable[[type[Subject], str], bool]", **values: Iterable[str]) -> pytest.MarkDecorator:
    """Try a promise with each transport and each value for which `where` holds.

    values  the name of one parameter, and what it may be
    """
    ((name, each),) = values.items()
    return pytest.mark.across(Across(where, name, tuple(each)))


@dataclass
class Holder:
    """Who owns an account: its sessions, one after another, and what each of them told."""

    subject: Subject
    number: Number
    first_secret: bytes
    sessions: list[Session] = field(default_factory=list[Session])
    heards: list[Heard] = field(default_factory=list[Heard])
    sent: dict[MessageId, Outgoing] = field(default_factory=dict[MessageId, Outgoing])

    @property
    def phone(self) -> str:
        return self.number.phone

    @property
    def world(self) -> World:
        return self.subject.world

    @property
    def session(self) -> Session:
        return self.sessions[-1]

    @property
    def heard(self) -> Heard:
        return self.heards[-1]

    @property
    def secret(self) -> bytes:
        """The newest credentials."""
        told = [secret for heard in self.heards for secret in heard.secrets]
        return told[-1] if told else self.first_secret

    async def open(self) -> Session:
        """Open a session, after or beside the former one."""
        heard = Heard()
        session = await self.subject.transport.open(self.number, self.secret, heard)
        self.sessions.append(session)
        self.heards.append(heard)
        return session

    async def send(self, content: Content | str = "hello", *, to: str = LAYLA, **more: Any) -> str:
        return await self.session.send(self.outgoing(content, to=to, **more))

    def example(self, kind: str) -> Content:
        """Return an example of a kind of content that this account can send."""
        content = EXAMPLES[kind]
        if isinstance(content, Template):
            return Template(self.subject.template(), content.language, content.variables)
        return content

    def outgoing(
        self, content: Content | str = "hello", *, to: str = LAYLA, about: About | None = None, file: bytes = b""
    ) -> Outgoing:
        """Make a message; it is remembered."""
        content = Text(content) if isinstance(content, str) else content
        out = Outgoing(MessageId(new_id()), to, content, about, file)
        self.sent[out.id] = out
        return out

    def say(self, text: str = "", *, customer: str = LAYLA, body: Content | None = None) -> str:
        """Have a customer write; return the network's id of it."""
        raw = None if body is None else msgspec.to_builtins(body)
        return self.world.say(Say(customer=customer, account=self.phone, text=text, name="Layla", body=raw))

    async def refused(self, *, to: str = LAYLA) -> str:
        """Return the reason for which a message to somebody is refused: at once, or later where that is its way."""
        out = self.outgoing(to=to)
        if not self.subject.refuses_later:
            with pytest.raises(RefusedRecipient) as refused:
                await self.session.send(out)
            return refused.value.reason
        name = await self.session.send(out)
        await self.subject.until(lambda: out.id in self.failed)
        (told,) = [one for one in self.heard.receipts if one.provider_id == name and one.state is Sending.FAILED]
        return told.reason

    @property
    def failed(self) -> set[MessageId | None]:
        """Messages that were taken, and of which a receipt says that they did not reach anybody."""
        return {one.message for heard in self.heards for one in heard.receipts if one.state is Sending.FAILED}

    async def ends(self) -> None:
        """Return once the session has ended by itself. Its owner asks for that now and then, and has things to send."""
        deadline = time.monotonic() + self.subject.patience_s
        while not self.heard.ends:
            assert time.monotonic() < deadline, "the session did not end"
            with suppress(ConnectionError, SendError):
                await self.session.ping()
                await self.send("anybody?")
            await asyncio.sleep(0.02)

    def fault(self, kind: str, **how: Any) -> None:
        if kind in UNANSWERED:
            self.subject.hurry()
        self.world.start_fault(StartFault(account=self.phone, kind=kind, **how))

    async def hears(self, *texts: str) -> None:
        """Return once these were heard, in this order, and nothing else; each may have come more than once."""
        await self.subject.until(lambda: len(self._each()) >= len(texts))
        assert self._each() == list(texts), self.heard.inbound

    def _each(self) -> list[str]:
        """The words of each message that was heard, by its name on the network."""
        return list({i.provider_id: words(i.content) for i in self.heard.inbound}.values())

    def crossed(self) -> int:
        """How many different messages of this account crossed the network."""
        return self.world.ledger(self.phone)[0].sent


@dataclass
class Peer:
    """Somebody else's number on the same network, and what it was told as the network carried it."""

    wire: Local
    said: list[frames.Said] = field(default_factory=list[frames.Said])

    @classmethod
    async def at(cls, world: World, phone: str = OTHER) -> "Peer":
        peer = cls(Local(world))
        await peer.wire.login(phone, world.link(phone), _Ears(peer.said), 5.0)
        return peer

    @property
    def contents(self) -> Sequence[Content]:
        """What arrived, in wafleet's words."""
        return [msgspec.convert(one.body, Content) if one.body else Text(one.text) for one in self.said]


class _Ears:
    def __init__(self, said: list[frames.Said]) -> None:
        self._said = said

    def said(self, said: frames.Said) -> None:
        self._said.append(said)

    def receipt(self, receipt: frames.Receipt) -> None: ...
    def secret(self, credentials: bytes) -> None: ...
    def closed(self, reason: str, detail: str, wait: float) -> None: ...


def plain(content: Content) -> Content:
    """Return a content without the ids of other messages, which each side has its own of."""
    told = msgspec.to_builtins(content)
    told.pop("reply_to", None)
    if "message" in told:
        told["message"] = ""
    if (file := media(content)) is not None and type(content).__name__ != "Document":
        told["media"] = msgspec.to_builtins(Media(file.id, file.mime, file.size))  # only documents travel with a name
    return msgspec.convert(told, Content)

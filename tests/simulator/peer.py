"""A client of a world that stands still between calls: everything said is heard at once."""

from collections.abc import Sequence
from itertools import count
from typing import TypeVar
from uuid import UUID, uuid5

from wafleet.simulator import frames
from wafleet.simulator.clock import ManualClock
from wafleet.simulator.frames import Message
from wafleet.simulator.manners import Manners
from wafleet.simulator.orders import Say, StartFault
from wafleet.simulator.switchboard import Line
from wafleet.simulator.world import World

M = TypeVar("M", bound=Message)

ONE, TWO = "+966500000001", "+966500000002"
LAYLA, OMAR = "+971550000001", "+971550000002"
PROMPT = Manners(login_s=(0, 0), answer_s=(0, 0), delivered_s=(0.1, 0.1), read_s=(1, 1), read_share=1.0)


def ref(number: int) -> bytes:
    """The n-th name a sender gives; they grow."""
    return number.to_bytes(8) + uuid5(UUID(int=0), str(number)).bytes[8:]


def still(manners: Manners = PROMPT, *, seed: int = 1, **others: object) -> World:
    return World(seed=seed, clock=ManualClock(), manners=manners, **others)  # pyright: ignore[reportArgumentType]


def say(world: World, text: str, *, customer: str = LAYLA, account: str = ONE) -> str:
    return world.say(Say(customer=customer, account=account, text=text))


def fault(world: World, kind: str, account: str = ONE, **how: object) -> None:
    world.start_fault(StartFault(account=account, kind=kind, **how))  # pyright: ignore[reportArgumentType]


class Peer:
    """One connection to a world, with everything it heard."""

    def __init__(self, world: World) -> None:
        self.world, self.heard = world, list[Message]()
        self._numbers = count(1)
        self._line = Line(world, self.heard.extend, lambda flush: flush())

    def tell(self, *messages: Message) -> None:
        self._line.take(messages)

    def login(self, phone: str = ONE, credentials: bytes | None = None) -> int:
        """Log in with the right credentials unless others are given; return the session's number."""
        n = next(self._numbers)
        if credentials is None:
            credentials = self.world.account(phone).credentials or b""
        self.tell(frames.Login(n, n, phone, credentials))
        self.world.advance(0)
        return n

    def send(self, session: int, text: str = "hello", *, to: str = LAYLA, as_: bytes | None = None) -> bytes:
        """Send a message and return the sender's name for it."""
        n = next(self._numbers)
        name = as_ or ref(n)
        self.tell(frames.Send(n, session, name, to, text))
        self.world.advance(0)
        return name

    def find(self, session: int, *refs: bytes) -> frames.Found:
        self.tell(frames.Find(next(self._numbers), session, list(refs)))
        self.world.advance(0.05)
        return self.of(frames.Found)[-1]

    def link(self, phone: str = ONE) -> int:
        n = next(self._numbers)
        self.tell(frames.Link(n, phone))
        return n

    def acknowledge(self, session: int, ids: Sequence[str]) -> None:
        self.tell(frames.Acknowledge(session, list(ids)))

    def lose(self) -> None:
        self._line.lost()

    def of(self, kind: type[M]) -> list[M]:
        return [m for m in self.heard if type(m) is kind]

    @property
    def lines(self) -> list[str]:
        """What customers wrote, each message once however often it was pushed."""
        return list({m.id: m.text for m in self.of(frames.Said)}.values())

    @property
    def texts(self) -> list[str]:
        return [m.text for m in self.of(frames.Said)]


def online(world: World, phone: str = ONE) -> tuple[Peer, int]:
    """Link an account and log it in."""
    world.link(phone)
    peer = Peer(world)
    return peer, peer.login(phone)

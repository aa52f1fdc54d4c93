"""A scenario: who lives in the network, how they behave, and what goes wrong when. Written as YAML:

seed: 7
manners: {auto_scan_s: 2}           # phones scan by themselves
accounts: ["+971501110001"]         # linked by whoever runs them; named here for customers and faults
customers:                          # each as in `behaviour.Persona`
  - {phone: "+971552220001", name: Layla, accounts: ["+971501110001"], script: [Hello, Is it still available?]}
crowd:                              # customers made up on the spot
  - {count: 20, accounts: ["+971501110001"], topic: property, language: en, chats_per_minute: 2, replies: 0.5}
faults:                             # each once, at its time
  - {at: 30s, account: "+971501110001", kind: deaf}
weather:                            # and some, now and then
  - {every: 7s, kinds: [disconnect, latency], lasts: 10s}
"""

from contextlib import suppress
from itertools import count, islice
from pathlib import Path

import msgspec

from wafleet.simulator.behaviour import Persona
from wafleet.simulator.duration import seconds
from wafleet.simulator.faults import EVERYONE, FAULTS
from wafleet.simulator.manners import Manners
from wafleet.simulator.model import Impossible
from wafleet.simulator.orders import StartFault
from wafleet.simulator.talk import NAMES, TOPICS
from wafleet.simulator.world import World

HARMLESS = (  # what a fleet should heal by itself, without losing a message and without a person
    "disconnect",
    "latency",
    "receipts_late",
    "receipts_repeated",
    "receipts_shuffled",
    "duplicates",
    "lost_answers",
    "throttled",
    "deaf",
    "silent",
    "replaced",
)


class Crowd(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Customers who are made up: names that fit the language, each writing to one of the accounts."""

    count: int
    accounts: list[str]
    topic: str = "small_talk"
    language: str = "en"
    chats_per_minute: float = 1.0
    replies: float = 0.3
    prefix: str = "+97155"  # their phones begin like this


class TimedFault(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One fault at its time after the start."""

    at: str | float
    account: str = EVERYONE
    kind: str
    lasts: str | float | None = None
    seconds: float | None = None
    share: float = 1.0
    detail: str = ""


class Weather(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A fault every now and then, of a random kind, on a random account."""

    every: str | float
    kinds: list[str] = msgspec.field(default_factory=lambda: list(HARMLESS))
    accounts: list[str] = []  # all there are when empty
    lasts: str | float = "10s"


class Scenario(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything a network begins with."""

    seed: int | None = None
    manners: Manners = Manners()
    accounts: list[str] = []
    customers: list[Persona] = []
    crowd: list[Crowd] = []
    faults: list[TimedFault] = []
    weather: list[Weather] = []


def load(path: Path) -> Scenario:
    """Read a scenario file. Raises ValueError saying what is wrong and where."""
    try:
        return check(msgspec.yaml.decode(path.read_bytes(), type=Scenario))
    except (msgspec.MsgspecError, ValueError) as e:
        raise ValueError(f"{path} is not a scenario: {e}") from e


def dump(scenario: Scenario) -> bytes:
    """Write a scenario as YAML that `load` reads."""
    return msgspec.yaml.encode(scenario)


def check(scenario: Scenario) -> Scenario:
    """Return the scenario if every name in it is known. Raises ValueError."""
    kinds = [f.kind for f in scenario.faults] + [k for w in scenario.weather for k in w.kinds]
    topics = [c.topic for c in (*scenario.customers, *scenario.crowd)]
    languages = [c.language for c in (*scenario.customers, *scenario.crowd)]
    for what, given, known in (("fault", kinds, FAULTS), ("topic", topics, TOPICS), ("language", languages, NAMES)):
        unknown = sorted(set(given) - set(known))
        if unknown:
            raise ValueError(f"there is no {what} {unknown[0]!r}; there are {', '.join(known)}")
    for fault in scenario.faults:
        seconds(fault.at)
        seconds(fault.lasts or 0)
    if any(not seconds(w.every) > 0 or not w.kinds for w in scenario.weather):
        raise ValueError("weather needs a time above 0 and at least one kind")
    if any(not c.accounts for c in (*scenario.customers, *scenario.crowd)):
        raise ValueError("every customer needs an account to write to")
    return scenario


def play(world: World, scenario: Scenario) -> None:
    """Put a scenario's customers and faults into a world; they go on from now."""
    for persona in scenario.customers:
        world.add(persona)
    taken = {persona.phone for persona in scenario.customers}
    for crowd in scenario.crowd:
        free = (phone for i in count(1) if (phone := f"{crowd.prefix}{i:07d}") not in taken)
        for place, phone in enumerate(islice(free, crowd.count)):
            taken.add(phone)
            world.add(_person(crowd, place, phone))
    for fault in scenario.faults:
        world.agenda.after(seconds(fault.at), _strike, world, _order(fault))
    for weather in scenario.weather:
        world.agenda.after(seconds(weather.every), _change, world, scenario, weather)


def _person(crowd: Crowd, place: int, phone: str) -> Persona:
    names = NAMES[crowd.language]
    return Persona(
        phone=phone,
        name=names[place % len(names)],
        accounts=[crowd.accounts[place % len(crowd.accounts)]],
        chats_per_minute=crowd.chats_per_minute,
        topic=crowd.topic,
        language=crowd.language,
        replies=crowd.replies,
    )


def _order(fault: TimedFault) -> StartFault:
    lasts = None if fault.lasts is None else seconds(fault.lasts)
    return StartFault(fault.account, fault.kind, lasts, fault.seconds, fault.share, fault.detail)


def _strike(world: World, order: StartFault) -> None:
    with suppress(Impossible):  # there is nothing yet that it could strike
        world.start_fault(order)


def _change(world: World, scenario: Scenario, weather: Weather) -> None:
    accounts = weather.accounts or scenario.accounts or world.phones
    if accounts:
        kind = world.random.choice(weather.kinds)
        account = EVERYONE if kind == "restart" else world.random.choice(accounts)
        _strike(world, StartFault(account, kind, seconds(weather.lasts)))
    world.agenda.after(seconds(weather.every), _change, world, scenario, weather)

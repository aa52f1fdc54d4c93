"""Chat commands: what permitted people may ask an account by writing to it.

A new command is one function with a sentence for the help:

    @command("ping", "is wafleet there, and how fast", "هل النظام يعمل وبأي سرعة")
    def ping(asked: Asked, rest: str) -> str: ...
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from wafleet.domain.account import explain

SHOWN_UNWELL: Final = 5
_MARKS: Final = "\u200e\u200f\u202a-\u202e\u2066-\u2069"  # that keyboards put around mixed directions
_WRITTEN: Final = re.compile(rf"[\s{_MARKS}]*!\s*(?P<name>[^\W\d_][\w-]*)[\s{_MARKS}]*(?P<rest>.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Unwell:
    """An account that should be online and is not."""

    name: str
    state: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetNow:
    """How a tenant's fleet is at this moment."""

    states: Mapping[str, int] = field(default_factory=dict[str, int])  # accounts per state
    waiting: int = 0  # messages queued
    unwell: tuple[Unwell, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a command may know: who answers, and how things are."""

    node: str
    account: str  # the name of the number that was written to
    lag: timedelta  # from the commit of the question to this moment
    fleet: FleetNow = FleetNow()


Run = Callable[[Asked, str], str]


@dataclass(frozen=True, slots=True)
class Command:
    name: str
    english: str
    arabic: str
    run: Run


COMMANDS: Final[dict[str, Command]] = {}


def command(name: str, english: str, arabic: str, *aliases: str) -> Callable[[Run], Run]:
    """Enter a function into the table of commands, under its name and its aliases."""

    def enter(run: Run) -> Run:
        COMMANDS.update(dict.fromkeys((name, *aliases), Command(name, english, arabic, run)))
        return run

    return enter


def parse(words: str) -> tuple[str, str] | None:
    """Read `!name rest` as people type it; None when it is no command, such as `!!!`."""
    found = _WRITTEN.fullmatch(words)
    return None if found is None else (found["name"].casefold(), found["rest"].strip())


def answer(name: str, rest: str, asked: Asked) -> str:
    """Run a command and return the reply; one nobody knows is answered with the way to the help."""
    known = COMMANDS.get(name)
    if known is None:
        return (
            f"There is no command !{name[:40]}. Send !help for the list.\nلا يوجد أمر بهذا الاسم. أرسل !help للقائمة."
        )
    return known.run(asked, rest)


@command("ping", "is wafleet there, and how fast", "هل النظام يعمل وبأي سرعة")
def ping(asked: Asked, rest: str) -> str:
    return f"pong from {asked.account} on node {asked.node}, after {_ms(asked.lag)} ms"


@command("status", "how the fleet is and what waits", "حالة الأرقام والرسائل المنتظرة", "حالة")
def status(asked: Asked, rest: str) -> str:
    """Summarise the tenant's fleet in a few lines: counts, what waits, and who is not well."""
    fleet = asked.fleet
    counts = ", ".join(f"{n} {state.replace('_', ' ')}" for state, n in sorted(fleet.states.items()))
    lines = [f"{_many(sum(fleet.states.values()), 'account')}: {counts or 'none'}"]
    lines.append(f"{_many(fleet.waiting, 'message')} waiting to be sent")
    for one in fleet.unwell[:SHOWN_UNWELL]:
        lines.append(f"- {one.name} is {one.state.replace('_', ' ')}. {explain(one.reason).sentence}")
    if len(fleet.unwell) > SHOWN_UNWELL:
        lines.append(f"- and {len(fleet.unwell) - SHOWN_UNWELL} more")
    return "\n".join(lines)


@command("help", "this list", "هذه القائمة", "مساعدة")
def help_(asked: Asked, rest: str) -> str:
    once = {one.name: one for one in COMMANDS.values()}
    return "\n".join(f"!{one.name}: {one.english}\n{one.arabic}" for one in once.values())


def _ms(lag: timedelta) -> int:
    return max(0, round(lag.total_seconds() * 1000))


def _many(n: int, thing: str) -> str:
    return f"{n} {thing}" if n == 1 else f"{n} {thing}s"

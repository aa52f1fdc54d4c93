"""Customers: some follow a script, some chat whenever they like, some answer what they are told."""

from random import Random

import msgspec

from wafleet.simulator import talk
from wafleet.simulator.deliveries import Deliveries
from wafleet.simulator.manners import Span
from wafleet.simulator.orders import CustomerLine
from wafleet.simulator.state import State

_PATIENCE = 1_000  # chatting customers give up on an account with so many messages waiting
_THINKING = 0.5  # share of the time until an answer in which nothing is typed yet


class Line(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One line of a script."""

    say: str
    after: float = 1.0  # seconds after the answer to the line before
    patience: float = 30.0  # seconds; without an answer by then the next line follows all the same


class Persona(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who a customer is and how they behave; the three ways of behaving may be mixed."""

    phone: str
    name: str = ""
    accounts: list[str]  # whom they write to
    script: list[Line | str] = []
    repeat: bool = False  # begin the script again when it is over
    chats_per_minute: float = 0.0
    topic: str = "small_talk"  # a key of `talk.TOPICS`
    language: str = "en"  # en or ar
    replies: float = 0.0  # the chance of an answer to a message of the account
    reply_after_s: Span = (1.0, 6.0)


class Customer:
    """One persona at work."""

    def __init__(self, persona: Persona) -> None:
        self.persona = persona
        self.said = self.heard = self.step = 0
        self.waits = False  # for the answer to its last line


class People:
    """All customers, and when they speak."""

    def __init__(self, state: State, deliveries: Deliveries) -> None:
        self._state, self._deliveries = state, deliveries
        self._customers: dict[str, Customer] = {}

    @property
    def count(self) -> int:
        return len(self._customers)

    def add(self, persona: Persona) -> None:
        """Let a customer live; one with the same phone goes."""
        customer = self._customers[persona.phone] = Customer(persona)
        if persona.script:
            self._state.agenda.after(_line(persona, 0).after, self._next_line, customer, 0)
        if persona.chats_per_minute > 0:
            self._later_chat(customer)

    def remove(self, phone: str) -> None:
        self._customers.pop(phone, None)

    def heard(self, account: str, phone: str, text: str) -> None:
        """Let a customer hear what an account wrote."""
        customer = self._customers.get(phone)
        if customer is None:
            return
        customer.heard += 1
        persona, agenda = customer.persona, self._state.agenda
        if customer.waits:
            customer.waits = False
            agenda.after(_line(persona, customer.step).after, self._next_line, customer, customer.step)
        elif persona.replies and self._state.random.random() < persona.replies:
            wait = self._state.span(persona.reply_after_s)
            agenda.after(wait * _THINKING, self._type, customer, account)
            agenda.after(wait, self._reply, customer, account)

    def lines(self) -> list[CustomerLine]:
        return [
            CustomerLine(phone=p, name=c.persona.name, accounts=c.persona.accounts, said=c.said, heard=c.heard)
            for p, c in self._customers.items()
        ]

    def _say(self, customer: Customer, phone: str, text: str) -> None:
        account, persona = self._state.accounts.get(phone), customer.persona
        if account is None or len(account.waiting) >= _PATIENCE or self._customers.get(persona.phone) is not customer:
            return
        customer.said += 1
        self._deliveries.offer(account, persona.phone, persona.name, text)

    def _next_line(self, customer: Customer, step: int) -> None:
        persona = customer.persona
        if step != customer.step or self._customers.get(persona.phone) is not customer:
            return
        line = _line(persona, step)
        self._say(customer, persona.accounts[0], line.say)
        customer.step += 1
        if customer.step >= len(persona.script):
            if not persona.repeat:
                return
            customer.step = 0
        customer.waits = True
        self._state.agenda.after(line.patience, self._lose_patience, customer, customer.step)

    def _lose_patience(self, customer: Customer, step: int) -> None:
        if customer.waits and customer.step == step:
            customer.waits = False
            self._next_line(customer, step)

    def _later_chat(self, customer: Customer) -> None:
        gap = self._state.random.expovariate(customer.persona.chats_per_minute / 60.0)
        self._state.agenda.after(gap, self._chat, customer)

    def _chat(self, customer: Customer) -> None:
        if self._customers.get(customer.persona.phone) is customer:
            self._say(customer, self._state.random.choice(customer.persona.accounts), self._words(customer))
            self._later_chat(customer)

    def _type(self, customer: Customer, account: str) -> None:
        if devices := self._state.devices_of(account):
            devices.type(customer.persona.phone, account)

    def _reply(self, customer: Customer, account: str) -> None:
        self._say(customer, account, self._words(customer))

    def _words(self, customer: Customer) -> str:
        return words(self._state.random, customer.persona.topic, customer.persona.language)


def _line(persona: Persona, step: int) -> Line:
    line = persona.script[step]
    return Line(say=line) if isinstance(line, str) else line


def words(random: Random, topic: str, language: str) -> str:
    """Pick something a customer says about a topic."""
    return random.choice(talk.TOPICS[topic][language])

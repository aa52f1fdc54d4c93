"""Handles what customers write: chat commands are answered."""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Final, Protocol
from uuid import UUID

import structlog
from prometheus_client import Counter

from wafleet.domain.events import Kind
from wafleet.domain.ids import AccountId, MessageId, TenantId
from wafleet.domain.message import Text
from wafleet.engine.bus import Logged
from wafleet.engine.consumer import Consumer
from wafleet.engine.db import Db, Tx
from wafleet.flows import store
from wafleet.flows.commands import COMMANDS, Asked, FleetNow, answer, parse
from wafleet.flows.store import Question
from wafleet.outbox import Draft

log = structlog.get_logger(__name__)
commands = Counter("wafleet_commands_total", "Chat commands, by what became of them", ["command", "outcome"])

BUSY: Final = 10  # events in one turn: more will come
BREATH_S: Final = 0.03

SORRY: Final = "Sorry, that did not work; it has been noted. Please try again.\nعذرا، لم ينجح ذلك. حاول مرة أخرى."


class Queue(Protocol):
    """What flows need of the outbox."""

    async def enqueue(self, tx: Tx, drafts: Sequence[Draft]) -> list[MessageId]: ...

    def wake(self, accounts: Iterable[AccountId]) -> None: ...


class Flows:
    """Answers what customers write: each message is handled once, and its reply queued in the same transaction.

    node  the name by which `!ping` says who answered
    """

    def __init__(self, db: Db, *, outbox: Queue, node: str) -> None:
        self._db, self._outbox, self._node = db, outbox, node
        self._consumer = Consumer(db, "flows", self._handle, start="beginning")
        self._replied: set[AccountId] = set()

    async def turn(self) -> None:
        """Handle all that came in, and wake the lanes of the accounts that answer.

        While many write, it collects for a moment before the next turn: few large turns cost less than many small ones.
        """
        try:
            handled = await self._consumer.turn()
        finally:
            self._wake()
        if handled >= BUSY:
            await asyncio.sleep(BREATH_S)

    def _wake(self) -> None:
        replied, self._replied = self._replied, set()
        if replied:
            self._outbox.wake(replied)

    async def _handle(self, tx: Tx, events: Sequence[Logged]) -> None:
        received = [one for one in events if one.kind == Kind.MESSAGE_RECEIVED]
        if not received:
            return
        asked = await store.questions(tx, [UUID(one.data["message"]) for one in received])
        replies = await self._replies(tx, asked)
        if replies:
            await self._outbox.enqueue(tx, replies)
            self._replied.update(one.account for one in replies)
        await store.count_handled(
            tx,
            [
                (TenantId(one.tenant), AccountId(one.account), one.at)
                for one in received
                if one.tenant is not None and one.account is not None
            ],
        )

    async def _replies(self, tx: Tx, asked: Sequence[Question]) -> list[Draft]:
        given = [(one, read) for one in asked if (read := parse(one.words)) is not None]
        permitted = [(one, name, rest) for one, (name, rest) in given if one.permitted]
        for one, (name, _) in given:
            if not one.permitted:
                _refused(one, name)
        fleets = await store.fleets(tx, {one.tenant for one, _, _ in permitted}) if permitted else {}
        return [self._reply(one, name, rest, fleets[one.tenant]) for one, name, rest in permitted]

    def _reply(self, question: Question, name: str, rest: str, fleet: FleetNow) -> Draft:
        asked = Asked(node=self._node, account=question.account_name, lag=question.lag, fleet=fleet)
        try:
            text, outcome = answer(name, rest, asked), "answered"
        except Exception:
            log.exception("command_failed", command=_label(name), account=str(question.account))
            text, outcome = SORRY, "failed"
        commands.labels(_label(name), outcome).inc()
        return Draft(
            account=question.account,
            tenant=question.tenant,
            to=question.identity,
            content=Text(text=text),
            key=f"reply:{question.id}",
        )


def _refused(question: Question, name: str) -> None:
    """Whoever is not permitted gets no answer, so that nobody learns that a number listens to commands."""
    commands.labels(_label(name), "refused").inc()
    log.info("command_refused", command=_label(name), account=str(question.account))


def _label(name: str) -> str:
    """Only names from the table: a customer's words belong neither into logs nor into metrics."""
    return COMMANDS[name].name if name in COMMANDS else "unknown"

"""One connection's end in the network: its frames go to the world, and what the world says goes back."""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from wafleet.simulator import frames
from wafleet.simulator.desk import Desk
from wafleet.simulator.frames import Message
from wafleet.simulator.linking import Attempt
from wafleet.simulator.model import Impossible, Session
from wafleet.simulator.world import World

log = logging.getLogger(__name__)

Deliver = Callable[[Sequence[Message]], None]
Soon = Callable[[Callable[[], None]], object]


class Line:
    """Many accounts over one connection.

    deliver  takes what the world said during one turn
    soon     has a call happen once the present turn is over
    """

    def __init__(self, world: World, deliver: Deliver, soon: Soon) -> None:
        self._world, self._desk, self._deliver, self._soon = world, Desk(world), deliver, soon
        self._sessions: dict[int, Session] = {}
        self._attempts: dict[int, Attempt] = {}
        self._out: list[Message] = []
        self._flushing = self._lost = False
        self._duties: Mapping[type[Message], Callable[[Any], None]] = {
            frames.Login: self._login,
            frames.Send: self._send,
            frames.Acknowledge: self._acknowledge,
            frames.Find: self._find,
            frames.Ping: self._ping,
            frames.Leave: self._leave,
            frames.Link: self._link,
            frames.Cancel: self._cancel,
            frames.Unlink: lambda m: world.linking.unlink(m, self.emit),
            frames.Command: self._command,
        }

    def take(self, messages: Sequence[Message]) -> None:
        """Let the world have what the connection said, in order."""
        duties = self._duties
        for message in messages:
            duties[type(message)](message)
        self._flush_soon()

    def emit(self, message: Message) -> None:
        """Say something to the connection, together with all else of this turn."""
        if not self._lost:
            self._out.append(message)
            self._flush_soon()

    def lost(self) -> None:
        """The connection is gone: its sessions and attempts end without a word."""
        self._lost = True
        self._out.clear()
        for session in self._sessions.values():
            self._world.sessions.leave(session, "network")
        for attempt in self._attempts.values():
            self._world.linking.cancel(attempt)

    def _flush_soon(self) -> None:
        if not self._flushing:
            self._flushing = True
            self._soon(self._flush)

    def _flush(self) -> None:
        self._flushing = False
        self._world.commit()
        if self._out and not self._lost:
            out, self._out = self._out, []
            self._deliver(out)

    def _login(self, asked: frames.Login) -> None:
        self._sessions[asked.session] = self._world.sessions.login(asked, self.emit)

    def _send(self, asked: frames.Send) -> None:
        session = self._sessions.get(asked.session)
        if session is None:
            self.emit(frames.Refused(asked.n, "not_open", "no such session"))
        else:
            self._world.sending.send(session, asked)

    def _acknowledge(self, said: frames.Acknowledge) -> None:
        session = self._sessions.get(said.session)
        if session is not None:
            self._world.deliveries.acknowledge(session, said.ids)

    def _find(self, asked: frames.Find) -> None:
        session = self._sessions.get(asked.session)
        if session is None:
            self.emit(frames.Refused(asked.n, "not_open", "no such session"))
        else:
            self._world.sending.find(session, asked)

    def _ping(self, asked: frames.Ping) -> None:
        session = self._sessions.get(asked.session)
        if session is None:
            self.emit(frames.Refused(asked.n, "not_open", "no such session"))
        else:
            self._world.sending.ping(session, asked)

    def _leave(self, said: frames.Leave) -> None:
        session = self._sessions.pop(said.session, None)
        if session is not None:
            self._world.sessions.leave(session)

    def _link(self, asked: frames.Link) -> None:
        self._attempts = {n: a for n, a in self._attempts.items() if not a.over}
        self._attempts[asked.n] = self._world.linking.link(asked, self.emit)

    def _cancel(self, said: frames.Cancel) -> None:
        attempt = self._attempts.pop(said.n, None)
        if attempt is not None:
            self._world.linking.cancel(attempt)

    def _command(self, asked: frames.Command) -> None:
        try:
            value = self._desk.carry_out(asked.order)
        except Impossible as e:
            self.emit(frames.Refused(asked.n, "impossible", str(e)))
        except Exception as e:
            log.exception("an order failed")
            self.emit(frames.Refused(asked.n, "failed", repr(e)))
        else:
            self.emit(frames.Result(asked.n, msgspec.to_builtins(value, builtin_types=(bytes,))))

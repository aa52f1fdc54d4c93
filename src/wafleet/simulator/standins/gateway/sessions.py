"""The sessions of a gateway: started, linked, stopped, as WAHA's are.

A gateway learns its phone from the phone that scans. The simulated network must know it before: it stands in the
session's metadata (`phone`), or is the session's name, or comes with the request for a pairing code.
Source: https://waha.devlike.pro/docs/how-to/sessions/
"""

import asyncio
import re
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from wafleet.simulator.frames import Shown
from wafleet.simulator.orders import Adopt
from wafleet.simulator.standins.gateway.model import (
    FAILED,
    PASSKEY,
    SCAN,
    STARTING,
    STOPPED,
    WORKING,
    Session,
    Wrong,
    wrong,
)
from wafleet.simulator.standins.numbers import Numbers
from wafleet.simulator.wire import Gone, NoAnswer, Refusal

_LINK_S: Final = 600.0  # the network ends an attempt long before
_ORDER_S: Final = 15.0
_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,54}")
_DIGITS: Final = re.compile(r"\+?([1-9][0-9]{6,14})")


class Sessions:
    """All sessions of one gateway.

    told  is called with a session whose status changed
    """

    def __init__(self, numbers: Numbers, told: Callable[[Session], None]) -> None:
        self._numbers, self._told = numbers, told
        self._sessions: dict[str, Session] = {}
        self._linking: dict[str, asyncio.Task[None]] = {}

    async def close(self) -> None:
        """End every attempt to link."""
        tasks = list(self._linking.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # finding one

    @property
    def all(self) -> list[Session]:
        return list(self._sessions.values())

    def get(self, name: str) -> Session:
        """Return a session. Raises Wrong."""
        if (session := self._sessions.get(name)) is None:
            raise wrong(404, f'Session "{name}" does not exist', "Not Found")
        return session

    def working(self, name: str) -> Session:
        """Return a session that works. Raises Wrong."""
        session = self.get(name)
        if session.status != WORKING:
            raise self.not_working(session)
        return session

    def not_working(self, session: Session, expected: str = WORKING) -> Wrong:
        """Say that a session has another status than a request needs."""
        words = "Session status is not as expected. Try again later or restart the session"
        status = STARTING if session.status == expected else session.status
        return Wrong(422, {"error": words, "session": session.name, "status": status, "expected": [expected]})

    def with_phone(self, phone: str) -> Session | None:
        return next((one for one in self._sessions.values() if one.phone == phone), None)

    # changing one

    def make(self, name: str, config: Mapping[str, Any], *, start: bool = True) -> Session:
        """Make a session. Raises Wrong."""
        if not _NAME.fullmatch(name):
            raise wrong(400, "name must be a string of letters, digits, - and _")
        if name in self._sessions:
            raise wrong(422, f"Session '{name}' already exists. Use PUT to update it.", "Unprocessable Entity")
        session = self._sessions[name] = Session(name, _phone(name, config), dict(config))
        if start:
            self.start(session)
        return session

    async def take(self, name: str, phone: str, config: Mapping[str, Any] | None = None) -> Session:
        """Make a session whose phone is linked already; one that is there becomes so."""
        if (former := self._sessions.get(name)) is not None:
            await self.stop(former)
        session = self._sessions[name] = Session(name, phone, dict(config or {}))
        session.credentials = await self._adopted(phone)
        self.start(session)
        return session

    def start(self, session: Session) -> None:
        """Start a session; one that is running stays as it is."""
        if session.status not in {STOPPED, FAILED}:
            return
        self.move(session, STARTING)
        if session.credentials:
            self._numbers.hold(session.phone, session.credentials)
        else:
            self._link(session)

    async def stop(self, session: Session) -> None:
        """Stop a session; its phone stays linked."""
        await self._cancel(session)
        self._numbers.drop(session.phone)
        self.move(session, STOPPED)

    async def restart(self, session: Session) -> None:
        await self.stop(session)
        self.start(session)

    async def log_out(self, session: Session) -> None:
        """Remove the device from its phone; a session that was running waits for a new link."""
        was = session.status
        await self.stop(session)
        credentials, session.credentials = session.credentials, b""
        if credentials:
            try:
                await (await self._numbers.wire()).unlink(session.phone, credentials, _ORDER_S)
            except (Refusal, NoAnswer, Gone, OSError) as error:
                raise Wrong(500, {"statusCode": 500, "exception": {"message": str(error)}}) from error
        if was != STOPPED:
            self.start(session)

    async def delete(self, session: Session) -> None:
        await self.log_out(session)
        await self.stop(session)
        del self._sessions[session.name]

    def logged_out(self, session: Session) -> None:
        """The phone removed this device: it must be linked again."""
        session.credentials = b""
        self.move(session, FAILED)
        asyncio.get_running_loop().call_soon(self._again, session)

    async def code(self, session: Session, phone: str) -> str:
        """Return the pairing code that is shown for a session. Raises Wrong."""
        if session.status != SCAN:
            raise self.not_working(session, SCAN)
        if phone.lstrip("+") != session.phone.lstrip("+"):
            session.phone = f"+{phone.lstrip('+')}"
            await self._cancel(session)
            self._link(session)
            async with asyncio.timeout(_ORDER_S):
                while not session.code:  # noqa: ASYNC110 - it is shown by the network
                    await asyncio.sleep(0.01)
        return session.code

    def move(self, session: Session, status: str) -> None:
        """Change a session's status, and tell. That a new code is shown is told as well."""
        if session.status == status != SCAN:
            return
        session.status = status
        session.history.append({"status": status, "timestamp": time.time_ns() // 1_000_000})
        del session.history[:-3]
        self._told(session)

    # linking

    def _again(self, session: Session) -> None:
        if session.status == FAILED and not session.credentials and session.name in self._sessions:
            self._numbers.drop(session.phone)
            self.start(session)

    def _link(self, session: Session) -> None:
        session.qr = session.code = ""
        self._linking[session.name] = asyncio.create_task(self._linked(session), name=f"link {session.name}")

    async def _linked(self, session: Session) -> None:
        def shown(said: Shown) -> None:
            session.qr, session.code = said.qr, said.code
            self.move(session, SCAN)

        if not session.phone:
            return self.move(session, FAILED)
        try:
            wire = await self._numbers.wire()
            session.credentials = await wire.link(session.phone, shown, _LINK_S)
            session.credentials = await self._adopted(session.phone)
        except Refusal as refused:
            return self.move(session, PASSKEY if refused.reason == "passkey" else FAILED)
        except (NoAnswer, Gone, OSError):
            return self.move(session, FAILED)
        self.move(session, STARTING)
        return self._numbers.hold(session.phone, session.credentials)

    async def _adopted(self, phone: str) -> bytes:
        return await (await self._numbers.wire()).command(Adopt(phone), _ORDER_S)

    async def _cancel(self, session: Session) -> None:
        if (task := self._linking.pop(session.name, None)) is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def _phone(name: str, config: Mapping[str, Any]) -> str:
    metadata: Mapping[str, Any] = config.get("metadata") or {}
    found = _DIGITS.fullmatch(str(metadata.get("phone") or "")) or _DIGITS.fullmatch(name)
    return f"+{found[1]}" if found else ""

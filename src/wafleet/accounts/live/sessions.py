"""Opens, restarts, links and closes the sessions of the accounts this node holds."""

import asyncio
import dataclasses
import random
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, cast

import structlog

from wafleet.accounts.live import rules
from wafleet.accounts.live.gate import gate_of
from wafleet.accounts.live.held import Held
from wafleet.accounts.live.keyring import Keyring, Opened
from wafleet.accounts.live.linker import Linker
from wafleet.accounts.live.listener import Ears
from wafleet.accounts.live.live import Live, Traffic
from wafleet.accounts.live.outdated import Outdated
from wafleet.accounts.live.rules import Pulse
from wafleet.accounts.live.states import States
from wafleet.accounts.live.store import Row
from wafleet.config import SessionsSettings
from wafleet.domain.account import Desired, State
from wafleet.domain.ids import AccountId
from wafleet.engine.clock import Clock
from wafleet.engine.leases import Node
from wafleet.engine.secrets import SecretError
from wafleet.transports.base import Linking, Number, OpenError, Transport
from wafleet.transports.calls import Sign

log = structlog.get_logger(__name__)
CLOSE_LIMIT_S = 3.0
MOVED_S = 0.3
REMOVE_AGAIN_S = 30.0  # between tries to remove a device from its phone's list
_WORKING = frozenset({State.ONLINE, State.DEGRADED, State.CONNECTING, State.RECOVERING})
_AT_REST = frozenset({State.LOGGED_OUT, State.DISABLED, State.NEW})


class Sessions:
    """This node's live sessions. `converge` brings one account to what its row asks for.

    Everything done with one account is done by one task at a time; the last thing it does is to look again.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        node: Node,
        states: States,
        keyring: Keyring,
        linker: Linker,
        outdated: Outdated,
        transports: Mapping[str, Transport],
        traffic: Traffic,
        settings: SessionsSettings,
        held: Mapping[AccountId, Held],
        signed: Callable[[AccountId, str, Sign], object] = lambda account, transport, sign: None,
    ) -> None:
        self._clock, self._node, self._states, self._linker = clock, node, states, linker
        self._signed = signed
        self._keyring, self._outdated = keyring, outdated
        self._transports, self._traffic, self._settings, self._held = transports, traffic, settings, held
        self._retry_later: Callable[[Held, float], None] = lambda held, seconds: None
        self._release: Callable[[Held], Awaitable[None]] = _nobody
        self._closing = set[asyncio.Task[None]]()
        self._gates = {kind: gate_of(kind, settings, clock) for kind in transports}

    def answer_to(
        self, *, retry_later: Callable[[Held, float], None], release: Callable[[Held], Awaitable[None]]
    ) -> None:
        """Say who brings an account back after some seconds, and who gives its lease back."""
        self._retry_later, self._release = retry_later, release

    def converge(self, held: Held) -> None:
        """Start whatever the account needs now; nothing when it is as it should be or something is under way."""
        if held.dropped or held.stale:
            return
        if held.busy():
            if self._linker.abandoned(held):
                cast("asyncio.Task[None]", held.work).cancel()
        elif (work := self._needed(held)) is not None:
            self._begin(held, work)

    def _needed(self, held: Held) -> Coroutine[Any, Any, None] | None:
        row = held.row
        if row.state is State.LINKING:
            return self._link(held)
        if _at_rest(row):
            return self._retire(held) if self._clock.monotonic() >= held.rest_until else None
        if held.live is None:
            return self._open(held) if rules.should_open(row, self._clock.now()) else None
        if row.state is State.BLOCKED and row.reason != "starting":  # the network said so elsewhere
            return self._rest(held, held.live)
        if row.state not in _WORKING:  # a person asked for a new connection
            return self._reopen(held, held.live)
        return None if held.note is None else self._write_note(held, *held.note)

    def drop(self, held: Held) -> None:
        """Let go of an account whose lease is lost: another node runs it, so nothing is written."""
        held.dropped = True
        if held.work is not None:
            held.work.cancel()
        if (live := self._detach(held)) is not None:
            held.work = asyncio.create_task(self._close(live))

    def lapsing(self) -> bool:
        """Tell whether this node's leases may soon be another's."""
        return rules.lapsing(sure_s=self._node.sure_s, lease_s=self._node.ttl.total_seconds())

    def lapse(self, held: Held) -> None:
        """Close a session that no two nodes may have. Once the lease is sure again, the account is looked at anew."""
        if held.lapsed or held.link_under_way or not self._is_exclusive(held):
            return
        held.lapsed = held.stale = True
        if held.work is not None:
            held.work.cancel()
        if (live := self._detach(held)) is not None:
            log.warning("session_lapsed", account=str(held.row.id))
            self._begin(held, self._close(live))

    async def hand_over(self, held: Held, reason: str = "handover") -> None:
        """Close an account's session in good order, so that another node or a later start can take it."""
        if held.work is not None:
            held.work.cancel()
            await asyncio.wait([held.work])
        was_live = self._detach(held)
        if was_live is not None:
            await self._close(was_live)
            await self._clear(held, was_live.transport)
            await self._states.move(held, State.OFFLINE, reason)

    def restart(self, live: Live, reason: str, detail: str) -> None:
        """Close a session that does not do its work, and open it anew."""
        held = self._holder(live)
        if held is not None and not held.busy():
            self._begin(held, self._restart(held, live, reason, detail))

    def trouble(self, live: Live, reason: str, detail: str) -> None:
        """Say that an account works, but not well; an empty reason says that it is well again."""
        held = self._holder(live)
        if held is not None:
            held.note = (State.DEGRADED if reason else State.ONLINE, reason, detail)
            self.converge(held)

    def ended(self, live: Live, reason: str, detail: str, until: datetime | None) -> None:
        """Take note that the network ended a session."""
        held = self._holder(live)
        live.closed, live.ended = True, (reason, detail, until)
        if held is None:
            return
        self._detach(held)
        if held.work is not None:
            held.work.cancel()
        self._begin(held, self._down(held, reason, detail, until))

    def renewed(self, live: Live, secret: bytes) -> None:
        """Keep credentials that the network changed."""
        held = self._held.get(live.account)
        if held is not None and held.live in {None, live}:
            self._keyring.renew(held, secret, transport=live.transport)

    def signed(self, live: Live, sign: Sign) -> None:
        """Keep what the network said of an account. What it means for a session it said by opening or refusing it."""
        self._signed(live.account, live.transport, dataclasses.replace(sign, reason=""))

    def now(self) -> float:
        return self._clock.monotonic()

    def _begin(self, held: Held, work: Coroutine[Any, Any, None]) -> None:
        held.begin(self._then_look(held, work))

    async def _open(self, held: Held) -> None:
        async with self._gates[held.row.transport].passing():
            if wait_s := self._outdated.wait_s(held.row.transport):
                return await self._hold_back(held, wait_s)
            if not await self._states.move(held, State.CONNECTING, "starting"):
                return None
            if self._is_exclusive(held) and self.lapsing():
                held.stale = True
                return None
            try:
                keys = await self._keyring.open(held)
            except SecretError as error:
                return await self._down(held, "credentials_lost", str(error))
            if keys.transport != held.row.transport:  # it was moved a moment ago: look at all of it again
                return self._retry_later(held, MOVED_S)
            return await self._try(held, self._new_live(held, keys), keys)

    async def _try(self, held: Held, live: Live, keys: Opened) -> None:
        try:
            await self._connect(held, live, keys)
        except OpenError as error:
            await self._close(live)
            await self._down(held, error.reason, error.detail, error.until)
        except TimeoutError:
            await self._close(live)
            await self._down(held, "connect_timeout", "")
        else:
            await self._online(held, live)

    async def _connect(self, held: Held, live: Live, keys: Opened) -> None:
        transport = self._transports[held.row.transport]
        async with asyncio.timeout(self._settings.connect_limit_s):
            live.session = await transport.open(live.number, keys.credentials, Ears(live, self._traffic, self))
        try:
            await self._traffic.opened(live)
        except BaseException:  # nobody else knows of it yet
            await self._surely_close(live)
            raise

    async def _hold_back(self, held: Held, wait_s: float) -> None:
        """Let an account wait whose client is refused anyway."""
        wait = _spread(wait_s)
        await self._states.move(held, State.OFFLINE, "outdated", retry_in=wait)
        self._try_again(held, wait)

    async def _let_in(self, kind: str) -> None:
        if await self._outdated.accepted(kind):
            for one in list(self._held.values()):
                if one.row.transport == kind and one.row.reason == "outdated" and one.live is None:
                    one.row.retry_at = None
                    self.converge(one)

    async def _online(self, held: Held, live: Live) -> None:
        if live.closed:
            return await self._down(held, *(live.ended or ("network", "", None)))
        held.live, held.online_at, held.proven = live, self._clock.monotonic(), True
        if not await self._states.move(held, State.ONLINE):
            self._detach(held)
            await self._close(live)
        else:
            await self._let_in(held.row.transport)
        return None

    async def _restart(self, held: Held, live: Live, reason: str, detail: str) -> None:
        await self._states.move(held, State.DEGRADED, reason, detail)
        await self._reopen(held, live)

    async def _reopen(self, held: Held, live: Live) -> None:
        if held.live is live:
            self._detach(held)
            await self._leave(held, live)
        await self._open(held)

    async def _rest(self, held: Held, live: Live) -> None:
        self._detach(held)
        await self._close(live)
        if held.row.retry_at is not None:
            self._retry_later(held, (held.row.retry_at - self._clock.now()).total_seconds())

    async def _write_note(self, held: Held, to: State, reason: str, detail: str) -> None:
        held.note = None
        if held.live is not None and (held.row.state, held.row.reason) != (to, reason):
            await self._states.move(held, to, reason, detail)

    async def _down(self, held: Held, reason: str, detail: str, until: datetime | None = None) -> None:
        failures = rules.failures_before(held.failures, lasted=held.lasted(self._clock.monotonic()))
        held.failures = failures + 1
        wait = rules.retry_in(
            reason,
            failures=failures,
            until=until,
            now=self._clock.now(),
            first=timedelta(seconds=self._settings.backoff_first_s),
            most=timedelta(seconds=self._settings.backoff_most_s),
        )
        if reason == "outdated" and await self._outdated.refused(held.row.transport):
            wait = _spread(self._outdated.left_s(held.row.transport))
        await self._states.move(held, rules.leads_to(reason), reason, detail, retry_in=wait)
        if wait is not None:
            self._try_again(held, wait)

    def _try_again(self, held: Held, wait: timedelta) -> None:
        held.row.retry_at = self._clock.now() + wait
        self._retry_later(held, wait.total_seconds())

    async def _link(self, held: Held) -> None:
        if (live := self._detach(held)) is not None:
            await self._leave(held, live)
        held.link_deadline = held.row.deadline_at
        transport = self._transports[held.row.transport]
        keyed = transport.capabilities.keyed
        if keyed and not held.row.linked:
            return await self._linker.failed(held, "credentials_missing", "")
        try:
            keys = await self._keyring.to_link(held, keyed=keyed)
        except SecretError as error:
            return await self._linker.failed(held, "credentials_lost", str(error))
        number = dataclasses.replace(self._number(held, keys.settings), credentials=keys.credentials)
        return await self._linker.link(held, cast("Linking", transport), number)

    async def _retire(self, held: Held) -> None:
        """Close what should not run, remove the device where it was unlinked, and give the lease back."""
        live = self._detach(held)
        if held.row.remove_until is not None and not await self._removed(held, live):
            held.rest_until = self._clock.monotonic() + REMOVE_AGAIN_S
            return self._retry_later(held, REMOVE_AGAIN_S)
        if live is not None:
            await self._close(live)
        await self._clear(held, held.row.transport if live is None else live.transport)
        if not _at_rest(held.row):  # a person wants it again by now
            return None
        return await self._release(held)

    async def _leave(self, held: Held, live: Live) -> None:
        """Close a session; where the account has moved to another transport, leave nothing of it here."""
        await self._close(live)
        if live.transport != held.row.transport:
            await self._clear(held, live.transport)

    async def _clear(self, held: Held, kind: str) -> None:
        """Once the credentials of a closed session are stored, its transport needs to keep nothing of it here."""
        await self._keyring.settled(held)
        kept = getattr(self._transports[kind], "kept", None)
        if held.stored and kept is not None:
            await kept(held.row.id, held.stored)
        held.stored = b""

    async def _removed(self, held: Held, live: Live | None) -> bool:
        """Remove the device from the phone's list; False: it is to be tried again."""
        transport = self._transports[held.row.transport]
        if not hasattr(transport, "unlink"):
            return True
        number = live.number if live is not None else self._number(held, held.row.settings)
        done = await self._linker.unlink(held, cast("Linking", transport), number)
        if not done and live is not None:
            await self._close(live)
        return done

    async def _close(self, live: Live) -> None:
        live.closed = True
        with suppress(Exception):  # it may never have been open
            async with asyncio.timeout(CLOSE_LIMIT_S):
                await live.session.close()

    async def _surely_close(self, live: Live) -> None:
        """See a session closed, however often the caller is cancelled."""
        closing = asyncio.create_task(self._close(live), name=f"close {live.account}")
        self._closing.add(closing)  # a task that nobody keeps may vanish
        closing.add_done_callback(self._closing.discard)
        await asyncio.shield(closing)

    def _detach(self, held: Held) -> Live | None:
        live, held.live, held.note = held.live, None, None
        if live is not None:
            live.closed = True
            self._traffic.closed(live)
        return live

    async def _then_look(self, held: Held, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except Exception as error:
            log.exception("account_work_failed", account=str(held.row.id), error=str(error))
            failed = self._linker.failed if held.row.state is State.LINKING else self._down
            await failed(held, "unready", repr(error))
        held.work = None
        self.converge(held)

    def _new_live(self, held: Held, keys: Opened) -> Live:
        return Live(
            row=held.row,
            number=self._number(held, keys.settings),
            transport=held.row.transport,
            lease=held.lease,
            capabilities=self._transports[held.row.transport].capabilities,
            pulse=Pulse(opened=self._clock.monotonic()),
            sure=lambda: self._node.sure_s > 0,
            restart=self.restart,
            trouble=self.trouble,
        )

    def _is_exclusive(self, held: Held) -> bool:
        kind = held.row.transport if held.live is None else held.live.transport
        return self._transports[kind].capabilities.exclusive

    def _holder(self, live: Live) -> Held | None:
        held = self._held.get(live.account)
        return held if held is not None and held.live is live else None

    def _number(self, held: Held, settings: Mapping[str, object]) -> Number:
        return Number(id=held.row.id, phone=held.row.phone, settings=settings)


def _at_rest(row: Row) -> bool:
    return row.deleted or row.desired is Desired.STOPPED or row.state in _AT_REST


def _spread(wait_s: float) -> timedelta:
    return timedelta(seconds=wait_s + random.uniform(0, min(wait_s, 2)))


async def _nobody(held: Held) -> None:
    """Stand in until `answer_to` is called."""

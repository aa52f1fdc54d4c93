"""Opens, restarts, links and closes the sessions of the accounts this node holds."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, cast

import structlog

from wafleet.accounts.live import rules
from wafleet.accounts.live.held import Held
from wafleet.accounts.live.linker import Linker
from wafleet.accounts.live.listener import Ears
from wafleet.accounts.live.live import Live, Traffic
from wafleet.accounts.live.rules import Signs
from wafleet.accounts.live.states import States
from wafleet.config import SessionsSettings
from wafleet.domain.account import Desired, State
from wafleet.domain.ids import AccountId
from wafleet.engine.clock import Clock
from wafleet.engine.leases import Node
from wafleet.engine.secrets import SecretError, Secrets
from wafleet.transports.base import Linking, Number, OpenError, Transport

log = structlog.get_logger(__name__)
CLOSE_LIMIT_S = 3.0
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
        secrets: Secrets,
        linker: Linker,
        transports: Mapping[str, Transport],
        traffic: Traffic,
        settings: SessionsSettings,
        held: Mapping[AccountId, Held],
    ) -> None:
        self._clock, self._node, self._states, self._secrets, self._linker = clock, node, states, secrets, linker
        self._transports, self._traffic, self._settings, self._held = transports, traffic, settings, held
        self._retry_later: Callable[[Held, float], None] = lambda held, seconds: None
        self._release: Callable[[Held], Awaitable[None]] = _nobody
        self._gates = {kind: asyncio.Semaphore(self._concurrency(kind)) for kind in transports}

    def answer_to(
        self, *, retry_later: Callable[[Held, float], None], release: Callable[[Held], Awaitable[None]]
    ) -> None:
        """Say who brings an account back after some seconds, and who gives its lease back."""
        self._retry_later, self._release = retry_later, release

    def converge(self, held: Held) -> None:
        """Start whatever the account needs now; nothing when it is as it should be or something is under way."""
        if held.dropped:
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
        if row.deleted or row.desired is Desired.STOPPED or row.state in _AT_REST:
            return self._retire(held)
        if held.live is None:
            return self._open(held) if rules.should_open(row, self._clock.now()) else None
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

    async def hand_over(self, held: Held, reason: str = "handover") -> None:
        """Close an account's session in good order, so that another node or a later start can take it."""
        if held.work is not None:
            held.work.cancel()
            await asyncio.wait([held.work])
        was_live = self._detach(held)
        if was_live is not None:
            await self._close(was_live)
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
            held.secret = secret
            held.keeping = asyncio.create_task(self._linker.keep(held, secret, reason="renewed"))

    def now(self) -> float:
        return self._clock.monotonic()

    def _begin(self, held: Held, work: Coroutine[Any, Any, None]) -> None:
        held.begin(self._then_look(held, work))

    async def _open(self, held: Held) -> None:
        async with self._gates[held.row.transport]:
            if not await self._states.move(held, State.CONNECTING, "starting"):
                return
            live = self._new_live(held)
            try:
                held.secret = self._secrets.decrypt(held.row.credentials or b"", about=held.row.id.bytes)
                await self._connect(held, live)
            except OpenError as error:
                await self._close(live)
                await self._down(held, error.reason, error.detail, error.until)
            except TimeoutError:
                await self._down(held, "connect_timeout", "")
            except SecretError as error:
                await self._down(held, "credentials_lost", str(error))
            else:
                await self._online(held, live)
            await self._gap(held)

    async def _connect(self, held: Held, live: Live) -> None:
        transport = self._transports[held.row.transport]
        async with asyncio.timeout(self._settings.connect_limit_s):
            live.session = await transport.open(live.number, held.secret, Ears(live, self._traffic, self))
        await self._traffic.opened(live)

    async def _online(self, held: Held, live: Live) -> None:
        if live.closed:
            return await self._down(held, *(live.ended or ("network", "", None)))
        held.live, held.failures = live, 0
        if not await self._states.move(held, State.ONLINE):
            self._detach(held)
            await self._close(live)
        return None

    async def _restart(self, held: Held, live: Live, reason: str, detail: str) -> None:
        await self._states.move(held, State.DEGRADED, reason, detail)
        await self._reopen(held, live)

    async def _reopen(self, held: Held, live: Live) -> None:
        if held.live is live:
            self._detach(held)
            await self._close(live)
        await self._open(held)

    async def _write_note(self, held: Held, to: State, reason: str, detail: str) -> None:
        held.note = None
        if held.live is not None and (held.row.state, held.row.reason) != (to, reason):
            await self._states.move(held, to, reason, detail)

    async def _down(self, held: Held, reason: str, detail: str, until: datetime | None = None) -> None:
        wait = rules.retry_in(
            reason,
            failures=held.failures,
            until=until,
            now=self._clock.now(),
            first=timedelta(seconds=self._settings.backoff_first_s),
            most=timedelta(seconds=self._settings.backoff_most_s),
        )
        held.failures += 1
        await self._states.move(held, rules.leads_to(reason), reason, detail, retry_in=wait)
        if wait is not None:
            held.row.retry_at = self._clock.now() + wait
            self._retry_later(held, wait.total_seconds())

    async def _link(self, held: Held) -> None:
        if (live := self._detach(held)) is not None:
            await self._close(live)
        transport = self._transports[held.row.transport]
        await self._linker.link(held, cast("Linking", transport), self._number(held))

    async def _retire(self, held: Held) -> None:
        """Close what should not run, remove the device where it was unlinked, and give the lease back."""
        live = self._detach(held)
        if live is not None:
            if held.row.reason == "unlinked" and hasattr(self._transports[held.row.transport], "unlink"):
                await self._linker.unlink(held, cast("Linking", self._transports[held.row.transport]), live.number)
            await self._close(live)
        await self._release(held)

    async def _close(self, live: Live) -> None:
        live.closed = True
        with suppress(Exception):  # it may never have been open
            async with asyncio.timeout(CLOSE_LIMIT_S):
                await live.session.close()

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
            await self._down(held, "unready", repr(error))
        held.work = None
        self.converge(held)

    def _new_live(self, held: Held) -> Live:
        return Live(
            row=held.row,
            number=self._number(held),
            lease=held.lease,
            capabilities=self._transports[held.row.transport].capabilities,
            signs=Signs(opened=self._clock.monotonic()),
            sure=lambda: self._node.sure_s > 0,
            restart=self.restart,
            trouble=self.trouble,
        )

    def _holder(self, live: Live) -> Held | None:
        held = self._held.get(live.account)
        return held if held is not None and held.live is live else None

    def _number(self, held: Held) -> Number:
        return Number(id=held.row.id, phone=held.row.phone, settings=held.row.settings)

    def _concurrency(self, kind: str) -> int:
        return self._settings.device_concurrency if kind == "device" else self._settings.concurrency

    async def _gap(self, held: Held) -> None:
        gap = self._settings.device_gap_s if held.row.transport == "device" else self._settings.gap_ms / 1000
        if gap:
            await self._clock.sleep(gap)


async def _nobody(held: Held) -> None:
    """Stand in until `answer_to` is called."""

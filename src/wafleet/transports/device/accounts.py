"""The linked accounts of this node: at most one worker's client per account, whoever asks for what and when."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Collection, Coroutine, Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast

from wafleet.clientlib.protos import registration
from wafleet.config import DevicesSettings
from wafleet.domain.ids import AccountId
from wafleet.transports.base import KeepsMedia, LinkListener, Listener, Number, OpenError
from wafleet.transports.device.alive import PATIENCE_S
from wafleet.transports.device.ears import Gone
from wafleet.transports.device.endpoint import way
from wafleet.transports.device.files import InUse, Store, Unreadable, header, left
from wafleet.transports.device.keeper import Keeper
from wafleet.transports.device.linked import Linked, first
from wafleet.transports.device.linking import Attempt, unlink
from wafleet.transports.device.session import DeviceSession
from wafleet.transports.device.telling import without_password
from wafleet.transports.device.worker.reading import message_id
from wafleet.transports.device.worker.store import spooled

log = logging.getLogger(__name__)

OPEN_S: Final = 40.0
ADOPTED_S: Final = 60.0  # for how long a phone that was linked just now waits for its session to be opened
CONFIRMED_S: Final = 0.5  # for us to hear what the phone confirmed in the moment when an attempt was cancelled
PAIRED_S: Final = 6.0  # for a phone that has confirmed to come online and go, when nobody wants the link any more
EARLIER: Final = "-earlier"  # behind the folder's name: devices that are just being removed from their phones' lists
EARLIER_S: Final = 60.0
_CHROME: Final = registration.DeviceProps.CHROME


@dataclass(frozen=True, slots=True)
class _Fresh:
    """A phone that was linked, while its session is not opened yet."""

    linked: Linked
    former: bytes  # credentials of the device it takes the place of
    timer: asyncio.TimerHandle

    def is_of(self, credentials: bytes) -> bool:
        with contextlib.suppress(Unreadable):
            return header(credentials).lineage.tag == self.linked.store.lineage.tag
        return False


class Accounts:
    """Opens, links and unlinks accounts. Of one account, one thing at a time.

    A phone lists a device from the moment it confirms. So that its list holds one device of ours and not several:
    - linked anew, the earlier device is unlinked, once the new one's credentials are stored;
    - an attempt that nobody wants any more unlinks itself if the phone had confirmed;
    - what dies between the phone's confirmation and storing the credentials leaves a device that nobody has the keys
      of: only the phone can remove it.
    """

    def __init__(
        self,
        *,
        root: Path,
        settings: DevicesSettings,
        keep_media: KeepsMedia,
        kind: str = "plain",
        patience_s: float = PATIENCE_S,
    ) -> None:
        self._root, self._settings, self._keep_media, self._kind = root, settings, keep_media, kind
        self._earlier = root.with_name(root.name + EARLIER)
        self._keeper = Keeper(settings, patience_s=patience_s)
        self._turns: dict[AccountId, asyncio.Lock] = {}
        self._sessions: dict[AccountId, DeviceSession] = {}
        self._fresh: dict[AccountId, _Fresh] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._endings: dict[Path, asyncio.Future[None]] = {}  # by the folder that is held until then

    async def open(self, number: Number, credentials: bytes, listener: Listener) -> DeviceSession:
        """Open the account's session. Raises OpenError."""
        async with self._turn(number.id):
            fresh = self._adopted(number.id, credentials)
            if fresh is None:
                taken = await self._end_earlier(number.id, stored=credentials)
                return await self._resumed(number, credentials, listener, taken)
            session = await self._tried(number, fresh.linked, listener)
            if fresh.former:
                self._beside(self._remove_earlier(number, fresh.former), "remove an earlier device")
            return session

    async def link(self, number: Number, shown: LinkListener) -> bytes:
        """Link a phone; return its credentials. Raises OpenError.

        The device of `number.credentials`, where there is one, is unlinked once the new session is opened.
        """
        async with self._turn(number.id):
            await self._end_earlier(number.id, stored=number.credentials)
            attempt = Attempt(number.phone, shown)
            linked = attempt.linked = Linked(self._taken(number.id), on_qr=attempt.qr)
            try:
                with _named():
                    await linked.store.fresh()
                    await self._start(number, linked)
                    await attempt.run()
                    credentials = await linked.store.copy()
            except BaseException:
                await self._surely(linked.store.folder, _abandon(linked))
                raise
            self._keep_for_opening(number, linked)
            return credentials

    async def unlink(self, number: Number, credentials: bytes) -> None:
        """Remove the device from its phone's list, and its store from this disk. Raises OpenError."""
        async with self._turn(number.id):
            session = self._sessions.get(number.id)
            if session is not None and not session.is_over and session.linked.online:
                await unlink(session.linked)
                await session.close()
            else:
                await self._end_earlier(number.id, stored=credentials)
                await self._unlinked(number, credentials, self._taken(number.id))
            await Store(self._root, number.id).forget_all()

    def session(self, account: AccountId) -> DeviceSession | None:
        """Return the account's session; None where it has none here."""
        return self._sessions.get(account)

    async def kept(self, account: AccountId, credentials: bytes) -> None:
        """Learn that these credentials are stored: a folder is not needed any more where it holds nothing newer."""
        async with self._turn(account):
            session = self._sessions.get(account)
            if (session is None or session.is_over) and account not in self._fresh:
                with contextlib.suppress(Unreadable, InUse):
                    await Store(self._root, account).remove_if(credentials)

    async def close(self) -> None:
        """End every account in good order."""
        for account in {*self._sessions, *self._fresh}:
            async with self._turn(account):
                await self._end_earlier(account)
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=PAIRED_S)
        await self._keeper.close()

    async def sweep(self) -> None:
        """Remove the folders of earlier devices that a killed process left here."""
        for account in left(self._earlier):
            await Store(self._earlier, account).forget_all()

    # steps

    async def _restored(self, store: Store, credentials: bytes) -> Linked:
        linked = Linked(store)
        try:
            with _named():
                await linked.store.restore(credentials)
                linked.unanswered.update(header(credentials).open)
                linked.names.update((id, ref) for ref, id in linked.unanswered.items())
                await asyncio.to_thread(linked.recall)
        except BaseException:
            linked.store.let_go()
            raise
        return linked

    async def _resumed(
        self, number: Number, credentials: bytes, listener: Listener, taken: Collection[str]
    ) -> DeviceSession:
        """Open a session out of the folder where that goes on; out of the credentials where it turns out damaged."""
        linked = await self._restored(self._taken(number.id), credentials)
        goes_on = linked.store.continues
        try:
            return await self._tried(number, linked, listener, taken)
        except OpenError as error:
            if not (goes_on and (linked.shown.is_set() or linked.damaged)):
                raise
            log.warning("an account's folder is damaged: its stored credentials are used", extra={"why": str(error)})
        return await self._tried(number, await self._restored(self._taken(number.id), credentials), listener, taken)

    async def _tried(
        self, number: Number, linked: Linked, listener: Listener, taken: Collection[str] = ()
    ) -> DeviceSession:
        session = DeviceSession(
            number, linked, listener, keep_media=self._keep_media, checkpoint_s=self._settings.checkpoint_s
        )
        try:
            await self._open(session, number, taken)
        except BaseException as error:
            session.give_up()
            await self._given_up(linked, lost=_is_lost(error, linked))
            raise
        self._sessions[number.id] = session
        return session

    async def _open(self, session: DeviceSession, number: Number, taken: Collection[str]) -> None:
        linked = session.linked
        new = linked.connected.is_set()
        with _named():
            for _, code, data in await asyncio.to_thread(list, spooled(linked.store.folder)):
                if message_id(data) not in taken:
                    session.spoke(code, data)
            if not new:
                await self._start(number, linked)
                session.acknowledge([*taken, *session.taken])  # until now there was nobody to tell
                await self._until_connected(linked)
        if linked.ending is not None:
            raise OpenError(linked.ending.reason, linked.ending.detail, linked.ending.until)
        linked.hear(session)
        session.begin(phone_seen=new)

    async def _start(self, number: Number, linked: Linked) -> None:
        own = _own_settings(number)
        to = way(self._settings.emulator, kind=self._kind, proxy=own.get("proxy"))
        folder = linked.store.folder
        linked.client = await self._keeper.client(
            folder=folder, program=to.program, ears=linked, proxy=to.proxy, ca=to.ca
        )
        props = registration.DeviceProps(os=own.get("name") or self._settings.name, platformType=_CHROME)
        linked.client.connect(props=props.SerializeToString())

    async def _until_connected(self, linked: Linked) -> None:
        try:
            async with asyncio.timeout(OPEN_S):
                await first(linked.connected, linked.over, linked.shown)
        except TimeoutError:
            raise OpenError("connect_timeout") from None
        if linked.shown.is_set():
            raise OpenError("logged_out", "WhatsApp knows nothing of this device any more")

    async def _remove_earlier(self, number: Number, credentials: bytes) -> None:
        """Unlink a device whose place another one has taken. Tried once: no session depends on it."""
        store = Store(self._earlier, number.id)
        try:
            async with asyncio.timeout(EARLIER_S):
                await self._unlinked(number, credentials, store.take())
        except (InUse, OpenError, OSError, TimeoutError) as error:
            log.warning("the phone still lists the device that was linked before", extra={"why": str(error)})
        finally:
            await store.forget_all()

    async def _unlinked(self, number: Number, credentials: bytes, store: Store) -> None:
        linked = await self._restored(store, credentials)
        try:
            with _named():
                await self._start(number, linked)
                await self._until_connected(linked)
            if linked.ending is not None:
                if linked.ending.lost:
                    return
                raise OpenError(linked.ending.reason, linked.ending.detail, linked.ending.until)
            await unlink(linked)
        finally:
            await self._given_up(linked, lost=False)

    # who is there

    @contextlib.asynccontextmanager
    async def _turn(self, account: AccountId) -> AsyncGenerator[None]:
        async with self._turns.setdefault(account, asyncio.Lock()):
            if (ending := self._endings.get(Store(self._root, account).folder)) is not None:
                await asyncio.wait([ending])
            yield

    def _taken(self, account: AccountId) -> Store:
        try:
            return Store(self._root, account).take()
        except InUse as error:
            raise OpenError("in_use", str(error)) from error

    def _adopted(self, account: AccountId, credentials: bytes) -> _Fresh | None:
        fresh = self._fresh.get(account)
        if fresh is None or fresh.linked.ending is not None or not fresh.is_of(credentials):
            return None
        fresh.timer.cancel()
        return self._fresh.pop(account)

    def _keep_for_opening(self, number: Number, linked: Linked) -> None:
        timer = asyncio.get_running_loop().call_later(ADOPTED_S, self._not_opened, number.id)
        self._fresh[number.id] = _Fresh(linked, number.credentials, timer)

    def _not_opened(self, account: AccountId) -> None:
        async def end() -> None:
            async with self._turn(account):
                await self._end_fresh(account)

        self._beside(end(), "a link nobody opened")

    def _beside(self, work: Coroutine[None, None, None], name: str) -> None:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _end_earlier(self, account: AccountId, *, stored: bytes = b"") -> set[str]:
        """End what still runs of this account; when this returns, nothing of it can send any more.

        stored  its credentials as they are stored, where they are known
        Returns the ids of messages that were stored of late.
        """
        await self._end_fresh(account, stored=stored)
        session = self._sessions.pop(account, None)
        if session is None:
            return set()
        await self._surely(session.linked.store.folder, session.close())
        return set(session.taken)

    async def _end_fresh(self, account: AccountId, *, stored: bytes = b"") -> None:
        fresh = self._fresh.pop(account, None)
        if fresh is None:
            return
        fresh.timer.cancel()
        if stored and not fresh.is_of(stored):  # nobody kept its credentials
            await self._surely(fresh.linked.store.folder, _abandon(fresh.linked))
        else:
            await self._given_up(fresh.linked, lost=False)

    async def _given_up(self, linked: Linked, *, lost: bool) -> None:
        """End what did not come to a session."""
        await self._surely(linked.store.folder, _end(linked, lost=lost))

    async def _surely(self, folder: Path, ending: Coroutine[None, None, None]) -> None:
        """See an ending through, however often its caller is cancelled: whoever has the next turn waits for it."""
        task = self._endings[folder] = asyncio.ensure_future(ending)
        task.add_done_callback(lambda _: self._endings.pop(folder, None))
        await asyncio.shield(task)


async def _abandon(linked: Linked) -> None:
    """End a link that nobody wants any more; a phone that had confirmed it is to list no device for it."""
    if linked.shown.is_set() and not linked.removed:
        await _within(CONFIRMED_S, linked.paired, linked.refused, linked.over)
    if linked.phone and not linked.removed and not linked.pairing_error:
        with contextlib.suppress(OpenError, TimeoutError):  # whoever links anew waits for this
            async with asyncio.timeout(PAIRED_S):
                await first(linked.connected, linked.over)
                await unlink(linked)
    await _end(linked, lost=True)


async def _within(limit_s: float, *events: asyncio.Event) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(limit_s):
            await first(*events)


async def _end(linked: Linked, *, lost: bool) -> None:
    paired = linked.connected.is_set()
    try:
        await (linked.stop() if paired else linked.kill())  # the library's pairing ends with its process only
        if lost:
            await linked.store.forget()
    finally:
        linked.store.let_go()


def _is_lost(error: BaseException, linked: Linked) -> bool:
    ended = linked.damaged or (linked.ending is not None and linked.ending.lost)
    return ended or (isinstance(error, OpenError) and error.reason == "logged_out")


def _own_settings(number: Number) -> Mapping[str, str]:
    own = number.settings.get("device")
    return cast("Mapping[str, str]", own) if isinstance(own, Mapping) else {}


@contextlib.contextmanager
def _named() -> Generator[None]:
    """Name what went wrong on the way by the codes of `domain.account.REASONS`."""
    try:
        yield
    except Unreadable as error:
        raise OpenError("credentials_lost", str(error)) from error
    except Gone as error:
        raise OpenError("worker_crashed", without_password(str(error))) from error
    except OSError as error:
        raise OpenError("unready", f"the account's folder: {error}") from error

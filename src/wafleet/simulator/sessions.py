"""Logins: one session per account at a time; a new one replaces the old one, which can do nothing any more."""

from wafleet.simulator.deliveries import Deliveries
from wafleet.simulator.faults import FAULTS, LOGIN_FAILURES, Fault, Reach
from wafleet.simulator.frames import Closed, Done, Login, Refused, Secret
from wafleet.simulator.journal import Linked, Unlinked
from wafleet.simulator.model import Account, Emit, Session
from wafleet.simulator.state import State

_OF_SESSIONS = tuple(name for name, kind in FAULTS.items() if kind.reach is Reach.SESSION)
_TAKEN_AGAIN_S = 1.0
_REFUSING = ("banned", "locked", "outdated", "login_failure", "disconnect", "abort", "refuse_start")
_CALLED = {"disconnect": "network", "abort": "network", "refuse_start": "throttled"}


class Sessions:
    """Open and end sessions."""

    def __init__(self, state: State, deliveries: Deliveries) -> None:
        self._state, self._deliveries = state, deliveries

    def login(self, asked: Login, emit: Emit) -> Session:
        """Open a session; the answer follows. The one returned is dead if the login was refused."""
        state = self._state
        account = state.accounts.get(asked.phone) or Account(asked.phone)
        session = Session(account, asked.session, emit)
        delay = state.span(state.manners.login_s)
        refusal = self._refusal(account, asked)
        if refusal is not None:
            session.ended = refusal.reason
            state.agenda.after(delay, emit, refusal)
            return session
        self._use(account, asked.credentials)
        self._replace(account)
        account.session, session.opening = session, asked.n
        slow = state.board.on(account.phone, "slow_start")
        state.agenda.after(slow.seconds if slow else delay, self._open, session)
        return session

    def _refusal(self, account: Account, asked: Login) -> Refused | None:
        state = self._state
        if state.away_until > state.now():
            return Refused(asked.n, "network", "the network is away", state.away_until - state.now())
        if not account.credentials or asked.credentials not in (account.credentials, account.former):
            return Refused(asked.n, "logged_out", "these credentials belong to no linked device")
        for kind in _REFUSING:
            fault = state.board.on(account.phone, kind)
            if fault:
                wait = fault.seconds if kind == "refuse_start" else (fault.until or state.now()) - state.now()
                return Refused(asked.n, _reason(fault), fault.detail, wait)
        return None

    def _use(self, account: Account, credentials: bytes) -> None:
        if account.former is not None and credentials == account.credentials:
            account.former = None
            self._state.record(Linked(account.phone, credentials))

    def _replace(self, account: Account) -> None:
        if account.session is not None:
            account.counts.replaced += 1
            self._state.counted(account)
            if account.session.silent and (devices := self._state.devices_of(account.phone)):
                devices.recover(account.phone)
            self.end(account.session, "replaced", "another login of this account")
        for kind in _OF_SESSIONS:
            self._state.board.remove(account.phone, kind)

    def _open(self, session: Session) -> None:
        if session.ended or session.opening is None:
            return
        session.emit(Done(session.opening))
        session.opening, session.live = None, True
        self._deliveries.resume(session)
        if self._state.board.on(session.account.phone, "replaced"):
            self._state.agenda.after(_TAKEN_AGAIN_S, self.end, session, "replaced", "another program took the session")

    def end(self, session: Session, reason: str, detail: str = "", wait: float = 0.0) -> None:
        """End a session from the network's side and say why; what it was still waiting for stays unanswered."""
        opening, live = session.opening, session.live
        if self.leave(session, reason):
            if live:
                session.emit(Closed(session.number, reason, detail, wait))
            elif opening is not None:
                session.emit(Refused(opening, reason, detail, wait))

    def leave(self, session: Session, reason: str = "left") -> bool:
        """End a session without a word; False if it had ended before."""
        if session.ended:
            return False
        session.ended, session.live, session.opening = reason, False, None
        session.backlog.clear()
        session.pushed.clear()
        if session.account.session is session:
            session.account.session = None
        return True

    def link(self, account: Account) -> bytes:
        """Give an account's new device its credentials; those of an earlier device no longer count."""
        account.credentials, account.former = self._secret(), None
        self._state.record(Linked(account.phone, account.credentials))
        if account.session is not None:
            self.end(account.session, "replaced", "the account was linked again")
        return account.credentials

    def rotate(self, account: Account) -> None:
        """Change the credentials; the former ones stay good until the new ones are used."""
        account.credentials, account.former = self._secret(), account.credentials
        self._state.record(Linked(account.phone, account.credentials, account.former))
        if account.session is not None and account.session.live:
            account.session.emit(Secret(account.session.number, account.credentials))

    def log_out(self, account: Account, detail: str = "the phone removed this device") -> None:
        """Forget an account's credentials; its messages stay and wait."""
        account.credentials = account.former = None
        self._state.record(Unlinked(account.phone))
        if account.session is not None:
            self.end(account.session, "logged_out", detail)

    def _secret(self) -> bytes:
        return b"simulated:" + self._state.random.randbytes(32)


def _reason(fault: Fault) -> str:
    if fault.kind == "login_failure":
        return LOGIN_FAILURES.get(fault.detail, "network")
    return _CALLED.get(fault.kind, fault.kind)

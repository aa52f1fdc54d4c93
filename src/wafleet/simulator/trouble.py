"""Start faults, let them strike, and end them."""

from collections.abc import Callable, Iterable, Iterator, Mapping

from wafleet.simulator.deliveries import Deliveries
from wafleet.simulator.faults import BAN_REASONS, EVERYONE, FAULTS, LOGIN_FAILURES, Fault, Reach
from wafleet.simulator.linking import Linking
from wafleet.simulator.model import Account, Impossible, Session
from wafleet.simulator.orders import StartFault
from wafleet.simulator.sessions import Sessions
from wafleet.simulator.state import State

FOR_GOOD = "for_good"  # the detail of a ban that never ends
_LASTING = (Reach.MESSAGES, Reach.SESSION, Reach.LINKING)


class Trouble:
    """What goes wrong, on one account or on all."""

    def __init__(self, state: State, sessions: Sessions, linking: Linking, deliveries: Deliveries) -> None:
        self._state, self._sessions, self._linking, self._deliveries = state, sessions, linking, deliveries
        self._strikes: Mapping[str, Callable[[Account, Fault], None]] = {
            "disconnect": lambda a, f: self._end(a, "network", "the connection broke", f),
            "replaced": lambda a, f: self._end(a, "replaced", "another program took the session", f),
            "abort": lambda a, f: self._end(a, "network", "the connection was torn down", f),
            "stream_error": lambda a, f: self._end(a, "stream_error", f"stream error {f.detail}", f),
            "login_failure": lambda a, f: self._end(a, "network", "the connection broke", f),
            "banned": lambda a, f: self._end(a, "banned", f.detail, f),
            "locked": lambda a, f: self._end(a, "locked", "403 locked until its owner opens WhatsApp", f),
            "outdated": lambda a, f: self._end(a, "outdated", "405 client outdated", f),
            "restart": lambda a, f: self._end(a, "network", "the network restarts", f),
            "logged_out": lambda a, _: self._sessions.log_out(a),
        }

    def start(self, order: StartFault) -> Fault:
        """Begin a fault now. Raises Impossible when there is no such fault or nothing it could strike."""
        fault = self._fault(order)
        kind, accounts = FAULTS[fault.kind], self._accounts(fault)
        if kind.devices and not any(self._state.devices_of(a.phone) for a in accounts):
            raise Impossible(f"Only linked devices feel {fault.kind}, and there is none on {fault.account}")
        if kind.providers and fault.account != EVERYONE and not any(a.provided for a in accounts):
            raise Impossible(f"Only numbers at a provider feel {fault.kind}, and {fault.account} is none")
        if kind.reach is Reach.SESSION:
            self._ail(fault, accounts)
        if fault.until is not None or kind.reach in _LASTING or fault.detail == FOR_GOOD:
            self._keep(fault)
        if fault.kind == "restart":
            self._go_away(fault.until or 0.0)
        strike = self._strikes.get(fault.kind)
        for account in accounts:
            if not self._feel(account, fault) and strike:
                strike(account, fault)
        return fault

    def end(self, account: str, kind: str) -> Fault:
        """End a fault before its time. Raises Impossible when it is not under way."""
        fault = self._state.board.remove(account, kind)
        if fault is None:
            raise Impossible(f"No fault {kind!r} is under way on {account}")
        self._ended(fault)
        return fault

    def active(self) -> list[Fault]:
        return [f for f in self._state.board if f.until is None or f.until > self._state.now()]

    def _fault(self, order: StartFault) -> Fault:
        kind = FAULTS.get(order.kind)
        if kind is None:
            raise Impossible(f"There is no fault {order.kind!r}; there are {', '.join(FAULTS)}")
        if order.kind == "restart" and order.account != EVERYONE:
            raise Impossible("A restart strikes the whole network: give * as the account")
        lasts = order.lasts if order.lasts is not None else kind.lasts
        if kind.reach is Reach.LINK or order.detail == FOR_GOOD:
            lasts = None
        detail = order.detail or kind.detail
        if order.kind == "login_failure" and detail not in LOGIN_FAILURES:
            raise Impossible(f"A login fails with one of the codes {', '.join(LOGIN_FAILURES)}, and {detail} is none")
        now = self._state.now()
        return Fault(
            kind=order.kind,
            account=order.account,
            since=now,
            until=None if lasts is None else now + lasts,
            seconds=kind.seconds if order.seconds is None else order.seconds,
            share=order.share,
            detail=f"{detail} {BAN_REASONS[detail]}" if detail in BAN_REASONS else detail,
        )

    def _accounts(self, fault: Fault) -> list[Account]:
        if fault.account == EVERYONE:
            return list(self._state.accounts.values())
        found = self._state.accounts.get(fault.account)
        if found is None and FAULTS[fault.kind].reach is not Reach.LINKING:
            raise Impossible(f"No account {fault.account} in this network: link it first")
        return [found] if found else []

    def _go_away(self, until: float) -> None:
        self._state.away_until = until
        self._linking.end_all("network", "the network restarts")
        if self._state.companions is not None:
            self._state.companions.restart()

    def _feel(self, account: Account, fault: Fault) -> bool:
        devices = self._state.devices_of(account.phone)
        return devices is not None and devices.feel(account.phone, fault)

    def _keep(self, fault: Fault) -> None:
        self._state.board.put(fault)
        if fault.until is not None:
            self._state.agenda.at(fault.until, self._expire, fault)

    def _expire(self, fault: Fault) -> None:
        if any(f is fault for f in self._state.board):
            self._state.board.remove(fault.account, fault.kind)
            self._ended(fault)

    def _ended(self, fault: Fault) -> None:
        if fault.kind == "restart":
            self._state.away_until = 0.0
        if FAULTS[fault.kind].reach is Reach.SESSION:
            for session in _open(self._accounts(fault)):
                setattr(session, fault.kind, False)
                self._deliveries.push(session)
                self._deliveries.catch_up(session)
                if fault.kind == "silent" and (devices := self._state.devices_of(session.account.phone)):
                    devices.recover(session.account.phone)

    def _ail(self, fault: Fault, accounts: Iterable[Account]) -> None:
        sessions = list(_open(accounts))
        if not sessions:
            raise Impossible(f"No session is open that could go {fault.kind}")
        for session in sessions:
            setattr(session, fault.kind, True)

    def _end(self, account: Account, reason: str, detail: str, fault: Fault) -> None:
        wait = 0.0 if fault.until is None else fault.until - self._state.now()
        if account.session is not None:
            self._sessions.end(account.session, reason, detail, wait)


def _open(accounts: Iterable[Account]) -> Iterator[Session]:
    return (a.session for a in accounts if a.session is not None and a.session.live)

"""Linking a phone: a QR code that changes until somebody scans it."""

from base64 import b64encode

from wafleet.simulator.frames import Done, Link, Linked, Message, Refused, Shown, Unlink
from wafleet.simulator.model import PHONE, Emit, Impossible
from wafleet.simulator.sessions import Sessions
from wafleet.simulator.state import State

_LETTERS = "ABCDEFGHJKLMNPQRSTVWXYZ123456789"  # what WhatsApp's pairing codes are made of


class Attempt:
    """One program that shows a QR code and waits."""

    def __init__(self, asked: Link, emit: Emit, code: str) -> None:
        self.phone, self.n, self._emit, self.code = asked.phone, asked.n, emit, code
        self.qr = ""  # the newest one shown
        self.over = False

    def tell(self, message: Message) -> None:
        if not self.over:
            self._emit(message)

    def finish(self, message: Message) -> None:
        """Say the last word of this attempt; there is only one."""
        self.tell(message)
        self.over = True


def letters(code: str) -> str:
    """Return a pairing code as it is compared, however it was typed."""
    return "".join(code.split()).replace("-", "").upper()


class Linking:
    """The attempts under way, one per phone."""

    def __init__(self, state: State, sessions: Sessions) -> None:
        self._state, self._sessions = state, sessions
        self._attempts: dict[str, Attempt] = {}
        self.passkey = state.manners.passkey

    def link(self, asked: Link, emit: Emit) -> Attempt:
        """Begin to link a phone; a former attempt for it is over."""
        self.end(asked.phone, "link_cancelled", "another program began to link this phone")
        attempt = Attempt(asked, emit, "".join(self._state.random.choices(_LETTERS, k=8)))
        reason = self._refusal(asked.phone)
        if reason:
            attempt.finish(Refused(asked.n, *reason))
            return attempt
        self._attempts[asked.phone] = attempt
        self._show(attempt)
        manners, agenda = self._state.manners, self._state.agenda
        hasty = self._state.board.on(asked.phone, "qr_expiry")
        agenda.after(hasty.seconds if hasty else manners.link_s, self._expire, attempt)
        if manners.auto_scan_s is not None:
            agenda.after(manners.auto_scan_s, self._scan, attempt)
        return attempt

    def cancel(self, attempt: Attempt) -> None:
        """End an attempt whose program has gone; nothing more is told."""
        attempt.over = True
        if self._attempts.get(attempt.phone) is attempt:
            del self._attempts[attempt.phone]

    def scan(self, phone: str, *, qr: str = "", code: str = "") -> None:
        """Scan the code with the phone, or type one. Raises Impossible when none, or another, is shown."""
        attempt = self._attempts.get(phone)
        if attempt is None:
            raise Impossible(f"Nobody is linking {phone} now: start linking it, then scan")
        if (qr and qr != attempt.qr) or (code and letters(code) != attempt.code):
            raise Impossible(f"That is not what is shown for {phone} now: take the newest code")
        self._scan(attempt)

    def end(self, phone: str, reason: str, detail: str = "") -> None:
        """End the attempt for a phone, if there is one, and say why."""
        attempt = self._attempts.pop(phone, None)
        if attempt:
            attempt.finish(Refused(attempt.n, reason, detail))

    def end_all(self, reason: str, detail: str = "") -> None:
        for phone in list(self._attempts):
            self.end(phone, reason, detail)

    def unlink(self, asked: Unlink, emit: Emit) -> None:
        """Remove the device that has these credentials; one that is gone already is fine."""
        if self._state.away_until > self._state.now():
            emit(Refused(asked.n, "network", "the network is away"))
            return
        account = self._state.accounts.get(asked.phone)
        if account and account.credentials and asked.credentials in (account.credentials, account.former):
            self._sessions.log_out(account, "this device was unlinked")
        emit(Done(asked.n))

    @property
    def phones(self) -> list[str]:
        """The phones that are being linked now."""
        return list(self._attempts)

    def _refusal(self, phone: str) -> tuple[str, str, float] | None:
        state = self._state
        if not PHONE.fullmatch(phone):
            return "link_refused", f"{phone} is not a phone number", 0.0
        if state.away_until > state.now():
            return "network", "the network is away", state.away_until - state.now()
        for kind in ("banned", "locked", "outdated"):
            if fault := state.board.on(phone, kind):
                return kind, fault.detail, (fault.until or state.now()) - state.now()
        return None

    def _show(self, attempt: Attempt) -> None:
        if attempt.over:
            return
        parts = [b64encode(self._state.random.randbytes(32)).decode() for _ in range(4)]
        seconds = self._state.manners.qr_s
        attempt.qr = "2@" + ",".join(parts)
        attempt.tell(Shown(attempt.n, attempt.qr, f"{attempt.code[:4]}-{attempt.code[4:]}", seconds))
        self._state.agenda.after(seconds, self._show, attempt)

    def _scan(self, attempt: Attempt) -> None:
        if attempt.over:
            return
        if self.passkey:
            self.end(attempt.phone, "passkey", "the phone asks for a passkey")
            return
        del self._attempts[attempt.phone]
        attempt.finish(Linked(attempt.n, self._sessions.link(self._state.account(attempt.phone))))

    def _expire(self, attempt: Attempt) -> None:
        if not attempt.over:
            self.end(attempt.phone, "link_expired", "nobody scanned the code")

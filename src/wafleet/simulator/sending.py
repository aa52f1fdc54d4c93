"""From accounts to customers: a message crosses when its frame arrives; answer and receipts follow."""

from collections import deque
from collections.abc import Callable
from typing import Final

from wafleet.simulator.deliveries import Deliveries
from wafleet.simulator.frames import DELIVERED, READ, Done, Find, Found, Ping, Receipt, Refused, Send, Taken
from wafleet.simulator.journal import Crossed, Letter
from wafleet.simulator.memory import Crossing
from wafleet.simulator.model import PHONE, Account, Session
from wafleet.simulator.restore import cross
from wafleet.simulator.state import State

Heard = Callable[[str, str, str], None]  # account, customer, text

NOBODY: Final = "+99900"  # no number that begins like this is on WhatsApp
_LONGEST: Final = 4_096  # characters of a text
_LATE: Final = 5_000  # receipts kept for an account that is away
_ERRORS: Final = {"463": "reach_out_lock", "429": "throttled"}  # the rest have no name of their own
_PREFIX: Final = "3EB0"  # what WhatsApp's own ids begin with


class Sending:
    """Let messages of accounts cross the network."""

    def __init__(self, state: State, deliveries: Deliveries, heard: Heard) -> None:
        self._state, self._deliveries, self._heard = state, deliveries, heard

    def send(self, session: Session, asked: Send) -> None:
        """Take one message. A session that has ended is refused, so nothing of it can still be under way."""
        if not session.live:
            session.emit(Refused(asked.n, session.ended or "not_open", "the session has ended"))
            return
        if session.silent or self._refused(session, asked):
            return
        if session.mute:
            self._swallow(session, asked)
            return
        board, phone = self._state.board, session.account.phone
        if board.any and board.hits(phone, "hidden"):
            self._cross(session.account, asked, times=self._state.random.getrandbits(1), hidden=True)
            return
        crossing = self._cross(session.account, asked)
        if board.any and session.account.provided and (ill := board.hits(phone, "ill_answers")):
            self._answer(session, Refused(asked.n, "ill_answer", ill.detail))
        elif not (board.any and board.hits(phone, "lost_answers")):
            self._answer(session, Taken(asked.n, crossing.id))
        self._follow(session.account, asked, crossing)

    def find(self, session: Session, asked: Find) -> None:
        """Tell what became of messages; what is hidden or long forgotten is left out."""
        memory, known, absent = self._state.memory, list[tuple[bytes, str, int]](), list[bytes]()
        for ref in asked.refs:
            crossing = memory.get(ref)
            if crossing is None or crossing.account != session.account.phone:
                if crossing is not None or memory.is_certain_of(ref):
                    absent.append(ref)
            elif not crossing.hidden:
                known.append((ref, crossing.id, crossing.state))
        self._reply(session, asked.n, Found(asked.n, known, absent))

    def ping(self, session: Session, asked: Ping) -> None:
        if not (session.live and self._state.board.on(session.account.phone, "pings_muted")):
            self._reply(session, asked.n, Done(asked.n))

    def follow_again(self, fresh: list[tuple[bytes, Crossing]]) -> None:
        """Deliver what had crossed shortly before the network stopped: its receipts may not have been told."""
        state = self._state
        for ref, crossing in fresh:
            if not crossing.hidden:
                account, delay = state.account(crossing.account), state.span(state.manners.delivered_s)
                letter = None if state.memory.has_offered(crossing.id) else crossing.letter
                state.agenda.after(delay, self._delivered_again, account, ref, crossing, letter)

    def _reply(self, session: Session, n: int, answer: Found | Done) -> None:
        if not session.live:
            session.emit(Refused(n, session.ended or "not_open", "the session has ended"))
        elif not session.silent:
            self._answer(session, answer)

    def _refused(self, session: Session, asked: Send) -> bool:
        state, account = self._state, session.account
        refusal = _impossible(asked) or (self._fault(account, asked) if state.board.any else None)
        if refusal is None:
            return False
        if refusal.reason == "throttled":
            account.counts.throttled += 1
        else:
            account.counts.refused += 1
        state.counted(account)
        self._answer(session, refusal)
        return True

    def _fault(self, account: Account, asked: Send) -> Refused | None:
        board = self._state.board
        if fault := board.hits(account.phone, "throttled"):
            return Refused(asked.n, "throttled", fault.detail or "429 rate-overlimit", fault.seconds)
        if asked.to not in (account.knows or ()) and board.hits(account.phone, "reach_out_lock"):
            return Refused(asked.n, "reach_out_lock", "463 reach-out time lock")
        if account.provided and (fault := board.hits(account.phone, "provider_error")):
            return Refused(asked.n, "provider_error", fault.detail)
        if fault := board.hits(account.phone, "ack_error"):
            return Refused(asked.n, _ERRORS.get(fault.detail, "refused"), f"{fault.detail} error in the answer")
        return None

    def _swallow(self, session: Session, asked: Send) -> None:
        session.account.counts.muted += 1
        self._state.counted(session.account)
        self._answer(session, Taken(asked.n, self._state.name(_PREFIX)))

    def _cross(self, account: Account, asked: Send, *, times: int = 1, hidden: bool = False) -> Crossing:
        state = self._state
        id = _given(asked.ref) or state.name(_PREFIX)
        own = asked.to == account.phone
        letter = None if own or hidden else self._letter(asked)
        record = Crossed(account.phone, asked.ref, id, state.number, state.now(), times, hidden, own, letter)
        state.record(record)
        if "#" in asked.text and times:
            self._check_order(account, asked)
        return cross(state, account, record)

    def _letter(self, asked: Send) -> Letter | None:
        return Letter(asked.to, asked.text, asked.body) if asked.to in self._state.accounts else None

    def _check_order(self, account: Account, asked: Send) -> None:
        digits = asked.text.rpartition("#")[2]
        if not (digits.isascii() and digits.isdecimal() and len(digits) < 10):
            return
        if account.numbered is None:
            account.numbered = {}
        last, number = account.numbered.get(asked.to, -1), int(digits)
        if number < last:
            account.counts.out_of_order += 1
            self._state.counted(account)
        else:
            account.numbered[asked.to] = number

    def _answer(self, session: Session, answer: Taken | Refused | Found | Done) -> None:
        state, board, phone = self._state, self._state.board, session.account.phone
        delay = state.span(state.manners.answer_s)
        if board.any:
            for kind in ("latency", "slow_answers") if type(answer) is Taken else ("latency",):
                fault = board.hits(phone, kind)
                delay += fault.seconds if fault else 0.0
        state.agenda.after(delay, self._tell, session, answer)

    def _tell(self, session: Session, answer: Taken | Refused | Found | Done) -> None:
        if session.live and not session.silent:
            session.emit(answer)

    def _follow(self, account: Account, asked: Send, crossing: Crossing) -> None:
        state, agenda, manners = self._state, self._state.agenda, self._state.manners
        delivered = state.span(manners.delivered_s)
        if state.board.any:
            for kind in ("latency", "receipts_late"):
                fault = state.board.hits(account.phone, kind)
                delivered += fault.seconds if fault else 0.0
            if fault := state.board.hits(account.phone, "receipts_shuffled"):
                agenda.after(0.0, self._receipt, account, asked.ref, crossing, READ)
                agenda.after(delivered + fault.seconds, self._delivered, account, asked, crossing)
                return
        agenda.after(delivered, self._delivered, account, asked, crossing)
        if manners.read_share and state.random.random() < manners.read_share:
            read = delivered + state.span(manners.read_s)
            agenda.after(read, self._receipt, account, asked.ref, crossing, READ)

    def _delivered(self, account: Account, asked: Send, crossing: Crossing) -> None:
        self._receipt(account, asked.ref, crossing, DELIVERED)
        if crossing.canary:
            self._deliveries.echo(account, crossing.id, asked.text, asked.body)
            return
        other = self._state.accounts.get(asked.to)
        if other is not None:
            self._hand_over(account, crossing, Letter(asked.to, asked.text, asked.body))
        else:
            self._heard(account.phone, asked.to, asked.text)

    def _delivered_again(self, account: Account, ref: bytes, crossing: Crossing, letter: Letter | None) -> None:
        self._receipt(account, ref, crossing, DELIVERED)
        if letter is not None:
            self._hand_over(account, crossing, letter)

    def _hand_over(self, account: Account, crossing: Crossing, letter: Letter) -> None:
        crossing.letter, other = None, self._state.account(letter.to)
        self._deliveries.offer(other, account.phone, "", letter.text, letter.body, id=crossing.id)

    def _receipt(self, account: Account, ref: bytes, crossing: Crossing, state: int) -> None:
        crossing.state = max(crossing.state, state)
        board = self._state.board
        times = 2 if board.any and board.hits(account.phone, "receipts_repeated") else 1
        for _ in range(times):
            session = account.session
            receipt = Receipt(0, ref, crossing.id, state, self._state.now())
            if session is not None and session.hears:
                receipt.session = session.number
                session.emit(receipt)
            else:
                self._keep(account, receipt)

    def _keep(self, account: Account, receipt: Receipt) -> None:
        if account.late is None:
            account.late = deque(maxlen=_LATE)
        account.late.append(receipt)


def _given(ref: bytes) -> str:
    """Return the network's name for a message where its sender, a linked device, gave it; empty: the network does."""
    return ref.decode("ascii") if ref.startswith(_PREFIX.encode()) and ref.isalnum() else ""


def _impossible(asked: Send) -> Refused | None:
    if not PHONE.fullmatch(asked.to) or asked.to.startswith(NOBODY):
        return Refused(asked.n, "not_on_whatsapp", f"{asked.to} is not on WhatsApp")
    if len(asked.text) > _LONGEST:
        return Refused(asked.n, "too_long", f"{len(asked.text)} characters; the longest text has {_LONGEST}")
    return None

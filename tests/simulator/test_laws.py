"""The ledger's law, whatever happens in whatever order."""

from contextlib import suppress

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.simulator.peer import LAYLA, OMAR, ONE, Peer, fault, ref, say, still

from wafleet.simulator import frames
from wafleet.simulator.faults import FAULTS
from wafleet.simulator.manners import Manners
from wafleet.simulator.model import Impossible
from wafleet.simulator.orders import LedgerLine
from wafleet.simulator.world import World

DO = st.one_of(
    st.tuples(st.just("send"), st.integers(1, 30)),
    st.tuples(st.just("say"), st.sampled_from([LAYLA, OMAR])),
    st.tuples(st.just("acknowledge"), st.integers(1, 5)),
    st.tuples(st.just("fault"), st.sampled_from(sorted(FAULTS))),
    st.tuples(st.just("end"), st.sampled_from(sorted(FAULTS))),
    st.tuples(st.just("wait"), st.floats(0, 30)),
    st.tuples(st.just("login"), st.booleans()),
    st.tuples(st.just("link"), st.none()),
)


class Story:
    """One account, and what its owner can know."""

    def __init__(self) -> None:
        self.world: World = still(Manners())
        self.world.link(ONE)
        self.peer = Peer(self.world)
        self.session = self.peer.login()
        self.tried: set[bytes] = set()
        self.again: set[bytes] = set()

    def do(self, what: str, how: object) -> None:
        match what, how:
            case "send", int(number):
                name = ref(number)
                (self.again if name in self.tried else self.tried).add(name)
                self.peer.send(self.session, as_=name)
            case "say", str(customer):
                say(self.world, "hello", customer=customer)
            case "acknowledge", int(many):
                self.peer.acknowledge(self.session, [m.id for m in self.peer.of(frames.Said)[-many:]])
            case "fault", str(kind):
                self.trouble(kind)
            case "end", str(kind):
                self.end(kind)
            case "wait", float(seconds):
                self.world.advance(seconds)
            case "login", _:
                self.session = self.peer.login()
            case _:
                self.world.link(ONE)

    def trouble(self, kind: str) -> None:
        try:
            fault(self.world, kind, "*" if kind == "restart" else ONE, lasts=20.0)
        except Impossible:
            assert FAULTS[kind].reach.name == "SESSION" or FAULTS[kind].devices or FAULTS[kind].providers

    def end(self, kind: str) -> None:
        with suppress(Impossible):  # it was not under way
            self.world.trouble.end(ONE, kind)


@settings(max_examples=200, deadline=None)
@given(st.lists(DO, min_size=15, max_size=80))
def test_every_message_is_counted_once_wherever_it_is(story: list[tuple[str, object]]) -> None:
    told = Story()
    for what, how in story:
        told.do(what, how)
        line = told.world.ledger(ONE)[0]
        assert line.offered == line.received + line.waiting
        assert line.sent_twice <= line.sent <= len(told.tried)
        assert line.sent_twice <= len(told.again)

    refs = {r.ref: r for r in told.world.refs(ONE)}
    assert set(refs) <= told.tried
    assert line_of(told).sent == sum(r.times > 0 for r in refs.values())
    assert line_of(told).sent_twice == sum(r.times > 1 for r in refs.values())
    assert line_of(told).hidden == sum(r.hidden for r in refs.values())
    offers = told.world.offers(ONE)
    assert len(offers) == line_of(told).offered
    assert sum(o.acknowledged for o in offers) == line_of(told).received


@settings(max_examples=100, deadline=None)
@given(st.lists(DO, min_size=10, max_size=60))
def test_once_all_is_well_the_next_session_learns_everything(story: list[tuple[str, object]]) -> None:
    told = Story()
    for what, how in story:
        told.do(what, how)
    told.world.advance(60)
    for f in told.world.trouble.active():
        told.world.trouble.end(f.account, f.kind)
    told.world.link(ONE)
    told.peer.heard.clear()
    session = told.peer.login()
    told.world.advance(1)
    waiting = {o.id for o in told.world.offers(ONE) if not o.acknowledged}
    assert {m.id for m in told.peer.of(frames.Said)} == waiting
    found = told.peer.find(session, *sorted(told.tried))
    hidden = {r.ref for r in told.world.refs(ONE) if r.hidden}
    crossed = {r.ref for r in told.world.refs(ONE)} - hidden
    assert {r for r, _, _ in found.known} == crossed
    assert set(found.absent) == told.tried - crossed - hidden


def line_of(story: Story) -> LedgerLine:
    return story.world.ledger(ONE)[0]

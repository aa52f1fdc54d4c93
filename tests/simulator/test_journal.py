"""What survives the simulator's own death."""

import errno
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.simulator.peer import LAYLA, OMAR, ONE, TWO, Peer, fault, online, ref, say, still

from wafleet.simulator import frames
from wafleet.simulator.journal import Journal, Linked
from wafleet.simulator.world import World


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.journal"


def busy(path: Path) -> World:
    """A world in which something of every kind has happened."""
    world = still(journal=path)
    peer, session = online(world)
    name = peer.send(session, as_=ref(1))
    peer.send(session, as_=name)
    peer.send(session, "canary", to=ONE)
    peer.send(session, to="nobody")
    fault(world, "hidden")
    peer.send(session, as_=ref(2))
    world.trouble.end(ONE, "hidden")
    ids = [say(world, f"line {i}") for i in range(4)]
    peer.acknowledge(session, ids[:2])
    world.advance(10)
    world.link("+966500000003")
    world.sessions.log_out(world.account("+966500000003"))
    world.commit()
    return world


def told(world: World) -> object:
    """Everything a world can be asked about its past."""
    return (
        world.ledger(),
        [(r.ref, r.times, r.hidden) for r in world.refs(ONE)],
        world.offers(ONE),
        {p: (world.account(p).credentials, world.account(p).former, world.account(p).knows) for p in world.phones},
        list(world.account(ONE).waiting),
    )


def test_everything_counted_survives_a_crash(path: Path) -> None:
    before = busy(path)
    after = still(journal=path)
    assert told(after) == told(before)


def test_customers_messages_that_waited_are_delivered_after_a_crash(path: Path) -> None:
    busy(path)
    world = still(journal=path)
    peer = Peer(world)
    session = peer.login()
    assert peer.texts == ["line 2", "line 3"]
    peer.acknowledge(session, [m.id for m in peer.of(frames.Said)])
    assert world.ledger(ONE)[0].received == 4


def test_receipts_that_were_under_way_are_told_after_a_crash(path: Path) -> None:
    world = still(journal=path)
    peer, session = online(world)
    name = peer.send(session)
    world.commit()
    world = still(journal=path)
    peer = Peer(world)
    session = peer.login()
    world.advance(1)
    assert [(r.ref, r.state) for r in peer.of(frames.Receipt)] == [(name, frames.DELIVERED)]
    assert [s for _, _, s in peer.find(session, name).known] == [frames.DELIVERED]


@pytest.mark.parametrize("rewritten", [False, True])
@pytest.mark.parametrize("passed_s", [0.0, 0.2])
def test_a_message_between_accounts_is_delivered_once_whenever_the_network_dies(
    path: Path, passed_s: float, rewritten: bool
) -> None:
    world = still(journal=path)
    peer, session = online(world)
    world.link(TWO)
    peer.tell(frames.Send(99, session, b"3EB0C0FFEE", TWO, "", {"type": "poll", "name": "Lunch?"}))
    world.advance(passed_s)
    world.commit()
    if rewritten:
        world.rewrite()
    for _ in range(2):
        world = still(journal=path)
        world.advance(1)
        world.commit()
    other = Peer(world)
    other.login(TWO)
    assert [(m.id, m.sender, m.body) for m in other.of(frames.Said)] == [
        ("3EB0C0FFEE", ONE, {"type": "poll", "name": "Lunch?"})
    ]
    assert world.ledger(TWO)[0].offered == 1


def test_names_are_never_given_twice_across_a_crash(path: Path) -> None:
    world = busy(path)
    before = {o.id for o in world.offers(ONE)}
    world = still(journal=path)
    say(world, "new")
    assert len({o.id for o in world.offers(ONE)}) == len(before) + 1


def test_a_network_founded_anew_has_other_names(tmp_path: Path) -> None:
    ids = set[str]()
    for folder in map(str, range(8)):
        world = still(journal=tmp_path / folder / "ledger.journal")
        world.link(ONE)
        ids.add(say(world, "hello"))
    assert len(ids) > 1


@pytest.mark.parametrize("cut", [1, 5, 9])
def test_a_torn_tail_is_cut_off_and_writing_goes_on_behind_the_last_whole_block(path: Path, cut: int) -> None:
    world = busy(path)
    say(world, "torn")
    world.commit()
    path.write_bytes(path.read_bytes()[:-cut])
    world = still(journal=path)
    assert world.ledger(ONE)[0].offered == 4
    say(world, "after")
    world.commit()
    assert still(journal=path).ledger(ONE)[0].offered == 5


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_damage_anywhere_loses_only_what_lies_behind_it(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("journal") / "j"
    journal = Journal(path)
    ends = [0]
    for i in range(8):
        journal.add(Linked(f"+96650000000{i}", b"secret"))
        journal.flush()
        ends.append(journal.size)
    journal.close()
    content = bytearray(path.read_bytes())
    at = data.draw(st.integers(0, len(content) - 1))
    content[at] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)
    journal = Journal(path)
    whole = sum(end <= at for end in ends) - 1
    assert len(list(journal.replay())) == whole
    assert path.stat().st_size == ends[whole]
    journal.close()


def test_a_full_disk_leaves_no_torn_block_and_what_was_meant_is_written_later(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, write = busy(path), os.write
    world.link(ONE)  # so that nobody is online to whom it would have to be told at once
    world.commit()
    say(world, "no room")
    room = path.stat().st_size + 20

    def half(file: int, block: bytes) -> int:
        if os.lseek(file, 0, os.SEEK_CUR) >= room:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(file, block[:20])

    monkeypatch.setattr(os, "write", half)
    for _ in range(3):
        with pytest.raises(OSError, match="No space"):
            world.commit()
    with pytest.raises(OSError, match="No space"):
        world.rewrite()
    monkeypatch.undo()
    assert [f.name for f in path.parent.iterdir()] == [path.name]
    say(world, "room again")
    world.commit()
    assert still(journal=path).ledger(ONE)[0].offered == 6


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("send"), st.integers(1, 8)),
        st.tuples(st.just("say"), st.sampled_from([LAYLA, OMAR])),
        st.tuples(st.just("acknowledge"), st.integers(1, 4)),
        st.tuples(st.just("hide"), st.booleans()),
        st.tuples(st.just("rewrite"), st.none()),
        st.tuples(st.just("crash"), st.none()),
    ),
    min_size=5,
    max_size=40,
)


@given(STEPS)
@settings(max_examples=80, deadline=None)
def test_a_world_that_crashes_and_rewrites_its_journal_tells_the_same_as_one_that_does_not(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, object]]
) -> None:
    path = tmp_path_factory.mktemp("journal") / "j"
    steady, shaken = still(), still(journal=path)
    shaken._state.found(steady._state.epoch)  # so that both give the same names
    for world in (steady, shaken):
        world.link(ONE)
    calm, peer = Peer(steady), Peer(shaken)
    calm_session, session = calm.login(), peer.login()
    for what, how in steps:
        if what == "crash":
            shaken.commit()
            shaken = still(journal=path)
            peer = Peer(shaken)
            session = peer.login()
        elif what == "rewrite":
            shaken.rewrite()
        else:
            do(steady, calm, calm_session, what, how)
            do(shaken, peer, session, what, how)
    assert counted(steady) == counted(shaken)


def do(world: World, peer: Peer, session: int, what: str, how: object) -> None:
    match what, how:
        case "send", int(number):
            peer.send(session, as_=ref(number))
        case "say", str(customer):
            say(world, "hello", customer=customer)
        case "acknowledge", int(many):
            waiting = [o.id for o in world.offers(ONE) if not o.acknowledged]
            peer.acknowledge(session, waiting[:many])
        case _:
            fault(world, "duplicates")


def counted(world: World) -> object:
    lines = world.ledger()
    for line in lines:
        line.repeated = 0  # a crash makes deliveries repeat; that is no difference
    return lines, world.refs(ONE), world.offers(ONE)


def test_a_journal_that_grew_is_written_short(path: Path) -> None:
    world = busy(path)
    for _ in range(2000):
        id = say(world, "x" * 200)
        world.deliveries.acknowledge(world.account(ONE).session or pytest.fail("offline"), [id])
    world.commit()
    long, before = path.stat().st_size, told(world)
    world.rewrite()
    assert path.stat().st_size < long / 3
    assert told(still(journal=path)) == before

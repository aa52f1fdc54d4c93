"""What crosses the network in both directions, and what the ledger says of it."""

from tests.simulator.peer import LAYLA, OMAR, ONE, TWO, Peer, fault, online, ref, say, still

from wafleet.simulator import frames
from wafleet.simulator.manners import Manners


def test_a_message_is_answered_then_delivered_then_read() -> None:
    world = still()
    peer, session = online(world)
    name = peer.send(session)
    taken = peer.of(frames.Taken)[0]
    world.advance(5)
    receipts = peer.of(frames.Receipt)
    assert [r.state for r in receipts] == [frames.DELIVERED, frames.READ]
    assert {(r.ref, r.id) for r in receipts} == {(name, taken.id)}
    assert peer.find(session, name, ref(10**6)) == frames.Found(
        peer.of(frames.Found)[0].n, [(name, taken.id, frames.READ)], [ref(10**6)]
    )


def test_a_name_that_crosses_twice_is_counted_as_sent_twice() -> None:
    world = still()
    peer, session = online(world)
    name = peer.send(session)
    peer.send(session, as_=name)
    peer.send(session, as_=name)
    line = world.ledger()[0]
    assert (line.sent, line.sent_twice) == (1, 1)
    assert [(r.ref, r.times) for r in world.refs(ONE)] == [(name, 3)]


def test_a_later_number_before_an_earlier_one_is_out_of_order() -> None:
    world = still()
    peer, session = online(world)
    for to, number in [(LAYLA, 1), (LAYLA, 3), (OMAR, 1), (LAYLA, 2), (LAYLA, 4)]:
        peer.send(session, f"line #{number}", to=to)
    assert world.ledger()[0].out_of_order == 1


def test_recipients_without_whatsapp_and_endless_texts_are_refused() -> None:
    world = still()
    peer, session = online(world)
    peer.send(session, to="+999001234567")
    peer.send(session, to="Layla")
    peer.send(session, "x" * 4097)
    assert [r.reason for r in peer.of(frames.Refused)] == ["not_on_whatsapp", "not_on_whatsapp", "too_long"]
    line = world.ledger()[0]
    assert (line.sent, line.refused) == (0, 3)


def test_messages_wait_while_the_account_is_away_and_come_in_order() -> None:
    world = still()
    world.link(ONE)
    for i in range(5):
        say(world, f"line {i}")
        say(world, f"line {i}", customer=OMAR)
    peer = Peer(world)
    peer.login()
    assert peer.texts == [f"line {i}" for i in range(5) for _ in "xx"]


def test_what_is_not_acknowledged_is_pushed_again_after_the_next_login() -> None:
    world = still()
    peer, session = online(world)
    ids = [say(world, f"line {i}") for i in range(3)]
    peer.acknowledge(session, ids[:1])
    again = Peer(world)
    again.login()
    assert again.texts == ["line 1", "line 2"]
    line = world.ledger()[0]
    assert (line.offered, line.received, line.waiting, line.repeated) == (3, 1, 2, 2)


def test_what_is_not_acknowledged_is_pushed_again_after_a_while() -> None:
    world = still()
    peer, session = online(world)
    id = say(world, "hello")
    world.advance(19)
    assert peer.texts == ["hello"]
    world.advance(2)
    assert peer.texts == ["hello", "hello"]
    peer.acknowledge(session, [id, id, "unknown"])
    world.advance(100)
    assert peer.texts == ["hello", "hello"]
    assert world.ledger()[0].received == 1
    assert [(o.id, o.acknowledged) for o in world.offers(ONE)] == [(id, True)]


def test_a_slow_receiver_is_not_drowned() -> None:
    world = still(Manners(unacknowledged=10))
    world.link(ONE)
    peer = Peer(world)
    session = peer.login()
    world.advance(1)
    ids = [say(world, f"line {i}") for i in range(25)]
    assert len(peer.texts) == 10
    peer.acknowledge(session, ids[:10])
    assert peer.texts == [f"line {i}" for i in range(20)]
    peer.acknowledge(session, ids[10:20])
    assert peer.texts == [f"line {i}" for i in range(25)]


def test_hidden_messages_cross_or_not_and_nobody_is_told() -> None:
    world = still()
    peer, session = online(world)
    fault(world, "hidden")
    names = [peer.send(session) for _ in range(40)]
    world.advance(60)
    line = world.ledger()[0]
    assert line.hidden == 40
    assert 0 < line.sent < 40
    assert not peer.of(frames.Receipt)
    world.trouble.end(ONE, "hidden")
    found = peer.find(session, *names)
    assert not found.known
    assert not found.absent
    assert sum(r.times for r in world.refs(ONE)) == line.sent


def test_the_ledger_forgets_names_but_not_counts_and_never_denies_what_it_forgot() -> None:
    world = still(remember=10)
    peer, session = online(world)
    names = [peer.send(session, as_=ref(i)) for i in range(100, 135)]
    assert world.ledger()[0].sent == 35
    found = peer.find(session, *names, ref(99), ref(10**6))
    assert [r for r, _, _ in found.known] == names[-len(found.known) :]
    assert 10 <= len(found.known) < 25
    assert found.absent == [ref(10**6)]


def test_a_location_arrives_as_it_was_sent() -> None:
    world = still()
    peer, _ = online(world)
    place = {"type": "location", "latitude": 25.2, "longitude": 55.27}
    world.deliveries.offer(world.account(ONE), LAYLA, "Layla", "", place)
    assert [(m.name, m.body) for m in peer.of(frames.Said)] == [("Layla", place)]


def test_two_accounts_call_one_message_by_the_same_name_and_the_ledger_counts_each_crossing() -> None:
    world = still()
    peer, session = online(world)
    world.link(TWO)
    name = peer.send(session, to=TWO)
    world.advance(1)
    taken = peer.of(frames.Taken)[0].id
    assert [line.id for line in world.offers(TWO)] == [taken]

    peer.send(session, to=TWO, as_=name)  # crosses again: two messages on the other phone
    other = Peer(world)
    there = other.login(TWO)
    world.advance(1)
    said = [one.id for one in other.of(frames.Said)]
    assert len(set(said)) == 2
    assert said[0] == taken
    other.acknowledge(there, said)
    line = world.ledger(TWO)[0]
    assert (line.offered, line.received, line.waiting) == (2, 2, 0)


def test_a_message_keeps_the_name_that_a_linked_device_gave_it() -> None:
    world = still()
    peer, session = online(world)
    world.link(TWO)
    peer.send(session, to=TWO, as_=b"3EB0C0FFEE0123456789")
    world.advance(1)
    assert peer.of(frames.Taken)[0].id == "3EB0C0FFEE0123456789"
    assert [line.id for line in world.offers(TWO)] == ["3EB0C0FFEE0123456789"]

"""Customers, loads and scenario files."""

import re
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.simulator.peer import LAYLA, ONE, PROMPT, TWO, Peer, online, still

from wafleet.simulator import frames
from wafleet.simulator.behaviour import Line, Persona
from wafleet.simulator.duration import seconds
from wafleet.simulator.orders import StartLoad
from wafleet.simulator.scenario import Crowd, Scenario, TimedFault, Weather, check, dump, load, play
from wafleet.simulator.talk import NAMES, TOPICS
from wafleet.simulator.world import World

ARABIC = re.compile(r"[\u0600-\u06ff]")


def test_a_script_goes_on_when_it_is_answered() -> None:
    world = still()
    peer, session = online(world)
    world.add(Persona(phone=LAYLA, name="Layla", accounts=[ONE], script=["Hello", Line(say="Price?", after=5), "Bye"]))
    world.advance(10)
    assert peer.lines == ["Hello"]
    assert peer.of(frames.Said)[0].name == "Layla"
    peer.send(session, "Hello Layla")
    world.advance(4.5)
    assert peer.lines == ["Hello"]
    world.advance(1)
    assert peer.lines == ["Hello", "Price?"]
    peer.send(session, "A hundred")
    world.advance(200)
    assert peer.lines == ["Hello", "Price?", "Bye"]
    assert [(c.said, c.heard) for c in world.people.lines()] == [(3, 2)]


def test_a_script_loses_patience_and_goes_on() -> None:
    world = still()
    peer, _ = online(world)
    world.add(Persona(phone=LAYLA, accounts=[ONE], script=["Hello", "Anybody?"], repeat=True))
    world.advance(1 + 30 + 30 + 15)
    assert peer.lines == ["Hello", "Anybody?", "Hello"]


def test_customers_chat_at_their_rate_in_their_language() -> None:
    world = still(remember=10_000)
    peer, session = online(world)
    world.add(Persona(phone=LAYLA, accounts=[ONE], chats_per_minute=6, topic="restaurant", language="ar"))
    for _ in range(60):
        world.advance(60)
        peer.acknowledge(session, [m.id for m in peer.of(frames.Said)])
    assert 300 <= len(peer.lines) <= 420
    assert all(ARABIC.search(line) for line in peer.lines)


def test_customers_answer_with_their_chance_and_give_up_on_a_dead_number() -> None:
    world = still()
    peer, session = online(world)
    world.add(Persona(phone=LAYLA, accounts=[ONE], replies=0.5))
    for i in range(100):
        peer.send(session, f"offer {i}")
    world.advance(30)
    assert 30 <= world.ledger()[0].offered <= 70
    peer.lose()
    world.add(Persona(phone=LAYLA, accounts=[ONE], chats_per_minute=600))
    world.advance(3600)
    assert world.ledger()[0].waiting == 1000


def test_a_load_writes_so_many_messages_at_its_rate_to_everybody_in_turn() -> None:
    world = still()
    one, two = online(world)[0], online(world, TWO)[0]
    world.loads.start(StartLoad(rate=50, total=120, customers=3))
    world.advance(1.0)
    assert 45 <= len(one.lines) + len(two.lines) <= 50
    world.advance(5)
    assert len(one.lines) == len(two.lines) == 60
    by_customer = Counter(m.sender for m in one.of(frames.Said))
    assert sorted(by_customer.values()) == [20, 20, 20]
    for customer in by_customer:
        numbers = [int(m.text.split("#")[1]) for m in one.of(frames.Said) if m.sender == customer]
        assert numbers == list(range(1, 21))
    assert [(x.said, x.left, x.running) for x in world.loads.lines()] == [(120, 0, False)]


def test_a_load_without_measure_leaves_time_for_the_rest() -> None:
    world = still(remember=100_000)
    online(world)
    world.loads.start(StartLoad(rate=1e9, lasts=0.001, total=12_000))
    world.advance(0.03)
    assert 0 < world.ledger()[0].offered <= 10_000
    world.advance(1)
    assert world.ledger()[0].offered == 12_000


def test_a_load_ends_with_its_time_or_when_it_is_stopped() -> None:
    world = still()
    online(world)
    world.loads.start(StartLoad(rate=10, lasts=2))
    world.advance(10)
    assert world.ledger()[0].offered == 20
    running = world.loads.start(StartLoad(rate=10, lasts=1000))
    world.advance(1)
    world.loads.stop(running.id)
    offered = world.ledger()[0].offered
    world.advance(10)
    assert world.ledger()[0].offered == offered


def test_a_scenario_brings_its_customers_faults_and_weather() -> None:
    world = still()
    online(world)
    online(world, TWO)
    scenario = Scenario(
        accounts=[ONE, TWO],
        customers=[Persona(phone=LAYLA, accounts=[ONE], script=["Hello"])],
        crowd=[Crowd(count=6, accounts=[ONE, TWO], language="ar", topic="property", chats_per_minute=10)],
        faults=[TimedFault(at="5s", account=ONE, kind="latency", lasts="3s")],
        weather=[Weather(every="7s", kinds=["receipts_late", "throttled"], lasts="2s")],
    )
    play(world, check(scenario))
    assert len(world.people.lines()) == 7
    seen: list[tuple[float, str]] = []
    for second in range(60):
        world.advance(1)
        seen += [(second + 1, f.kind) for f in world.trouble.active()]
    assert [s for s, kind in seen if kind == "latency"] == [5, 6, 7]
    assert {s % 7 for s, kind in seen if kind != "latency"} == {0, 1}
    assert {kind for _, kind in seen} == {"latency", "receipts_late", "throttled"}
    assert world.ledger(TWO)[0].offered > 10


def test_the_same_seed_brings_the_same_day() -> None:
    def day(seed: int) -> list[str]:
        world = World(seed=seed, clock=still().clock, manners=PROMPT)
        peer: Peer = online(world)[0]
        crowd = Crowd(count=5, accounts=[ONE], chats_per_minute=10)
        play(world, Scenario(crowd=[crowd], weather=[Weather(every=7)]))
        world.advance(300)
        return [repr(m) for m in peer.heard]

    assert day(3) == day(3)
    assert day(3) != day(4)


def test_a_scenario_file_is_read_as_it_was_written(tmp_path: Path) -> None:
    scenario = Scenario(
        seed=7,
        accounts=[ONE],
        customers=[Persona(phone=LAYLA, name="ليلى", accounts=[ONE], script=["Hi", Line(say="Yes", patience=3)])],
        crowd=[Crowd(count=2, accounts=[ONE])],
        faults=[TimedFault(at=30, kind="outdated")],
        weather=[Weather(every="7s")],
    )
    path = tmp_path / "day.yaml"
    path.write_bytes(dump(scenario))
    assert load(path) == scenario


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("wether: []", "wether"),
        ("faults: [{at: 5s, kind: earthquake}]", "earthquake"),
        ("weather: [{every: soon}]", "length of time"),
        ("weather: [{every: 0}]", "above 0"),
        ("weather: [{every: 5s, kinds: []}]", "at least one kind"),
        ("crowd: [{count: 1, accounts: [], topic: weather}]", "topic"),
        ("crowd: [{count: 1, accounts: []}]", "account"),
        ("crowd: [{count: many, accounts: []}]", "count"),
        ("customers: [{phone: x, accounts: [y], language: fr}]", "language"),
        ("{", "is not a scenario"),
    ],
)
def test_a_wrong_scenario_file_is_refused_with_the_reason(tmp_path: Path, text: str, complaint: str) -> None:
    path = tmp_path / "day.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=complaint):
        load(path)


def test_the_talk_is_in_the_language_it_says() -> None:
    for topic in TOPICS.values():
        assert set(topic) == set(NAMES) == {"en", "ar"}
        assert all(ARABIC.search(line) for line in topic["ar"])
        assert not any(ARABIC.search(line) for line in topic["en"])


@given(st.floats(0, 1e6).map(lambda x: round(x, 3)), st.sampled_from(["ms", "s", "m", "h", "d"]))
def test_lengths_of_time_are_read_in_their_unit(number: float, unit: str) -> None:
    factor = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}[unit]
    assert seconds(f"{number:.3f} {unit}") == pytest.approx(number * factor)


@pytest.mark.parametrize("wrong", ["", "5 weeks", "-5s", "s", "1e3s"])
def test_other_lengths_of_time_are_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match="write it like"):
        seconds(wrong)

"""Rules that stand-ins enforce, by the provider's own examples."""

from wafleet.simulator.clock import ManualClock
from wafleet.simulator.standins.rules import Pairs


def test_a_burst_to_one_person_is_paid_back_in_full_before_the_next_message() -> None:
    clock = ManualClock()
    pairs = Pairs(clock, gap_s=6, burst=45)
    assert [pairs.take("Layla") for _ in range(20)] == [0.0] * 20
    clock.set(clock() + 119)
    assert pairs.take("Layla") == 1.0
    assert pairs.take("Omar") == 0.0
    clock.set(clock() + 1)
    assert pairs.take("Layla") == 0.0


def test_no_more_go_at_once_than_may() -> None:
    pairs = Pairs(ManualClock(), gap_s=6, burst=2)
    assert [pairs.take("Layla") for _ in range(3)] == [0.0, 0.0, 12.0]


def test_one_in_every_gap_goes_for_ever_also_where_the_way_takes_longer_and_shorter() -> None:
    clock = ManualClock()
    pairs = Pairs(clock, gap_s=6, burst=1)
    for late in (0.1, 0.0, 0.05, 0.0):
        clock.set(clock() + late)
        assert pairs.take("Layla") == 0.0
        clock.set(clock() + 6 - late)

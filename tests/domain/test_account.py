from wafleet.domain.account import DEADLINES, MOVES, REASONS, State, explain


def test_every_state_can_be_left_and_can_be_reached() -> None:
    assert set(MOVES) == set(State)
    reached = {after for moves in MOVES.values() for after in moves}
    assert reached == set(State)
    assert all(MOVES[state] for state in State)


def test_a_state_that_must_not_last_has_a_deadline_and_an_allowed_exit() -> None:
    for state, (limit, to, reason) in DEADLINES.items():
        assert limit.total_seconds() > 0
        assert to in MOVES[state]
        assert reason in REASONS


def test_every_reason_is_a_sentence_with_a_next_step() -> None:
    for reason in REASONS.values():
        assert reason.sentence.endswith(".")
        assert reason.next_step.endswith(".")


def test_a_reason_nobody_knows_is_shown_as_it_is() -> None:
    assert "'E-4711'" in explain("E-4711").sentence

from datetime import timedelta

import pytest

from wafleet.flows.commands import COMMANDS, Asked, FleetNow, Unwell, answer, parse

ASKED = Asked(node="n1", account="Sales", lag=timedelta(milliseconds=12.4))


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("!ping", ("ping", "")),
        (" !PING  ", ("ping", "")),
        ("\u200f! status now please", ("status", "now please")),
        ("!verify-goraha\n+966500000001", ("verify-goraha", "+966500000001")),
        ("!مساعدة", ("مساعدة", "")),
        ("!ping\u200f", ("ping", "")),
        ("!!!", None),
        ("!", None),
        ("!5", None),
        ("hello !ping", None),
        ("", None),
    ],
)
def test_commands_are_read_as_people_type_them(written: str, read: tuple[str, str] | None) -> None:
    assert parse(written) == read


def test_ping_says_who_answered_and_how_fast() -> None:
    assert answer("ping", "", ASKED) == "pong from Sales on node n1, after 12 ms"


def test_status_counts_the_fleet_and_says_what_is_wrong_in_words() -> None:
    fleet = FleetNow(
        states={"online": 2, "logged_out": 1}, waiting=1, unwell=(Unwell("Manager", "logged_out", "logged_out"),)
    )
    said = answer("status", "", Asked(node="n1", account="Sales", lag=timedelta(), fleet=fleet))
    assert said == (
        "3 accounts: 1 logged out, 2 online\n1 message waiting to be sent\n"
        "- Manager is logged out. The phone removed this device."
    )


def test_status_stays_short_in_a_large_fleet_and_true_in_an_empty_one() -> None:
    many = FleetNow(states={"offline": 12}, unwell=tuple(Unwell(f"n{i}", "offline", "network") for i in range(12)))
    lines = answer("status", "", Asked(node="n", account="a", lag=timedelta(), fleet=many)).splitlines()
    assert lines[-1] == "- and 7 more"
    assert len(lines) == 8
    assert answer("حالة", "", ASKED).startswith("0 accounts: none\n0 messages waiting")


def test_help_lists_every_command_once_in_english_and_arabic() -> None:
    lines = answer("help", "", ASKED).splitlines()
    assert {line.split(":")[0] for line in lines[::2]} == {f"!{one.name}" for one in COMMANDS.values()}
    assert all(any("\u0600" <= letter <= "\u06ff" for letter in line) for line in lines[1::2])
    assert answer("مساعدة", "", ASKED) == answer("help", "", ASKED)


def test_an_unknown_command_leads_to_the_help() -> None:
    assert "!help" in answer("halp", "", ASKED)

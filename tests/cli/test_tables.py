"""What stands on a terminal: nothing steers it, nothing overflows it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from wafleet.cli import tables
from wafleet.cli.linking import blocks
from wafleet.cli.tables import END_ISOLATE, ISOLATE, safe, screen, table


@given(st.text())
def test_a_safe_text_is_one_line_without_control_characters(text: str) -> None:
    shown = safe(text)
    assert not [c for c in shown if ord(c) < 32 or 127 <= ord(c) < 160 or c in "\u202a\u202b\u202d\u202e"]
    assert shown.count(ISOLATE) == shown.count(END_ISOLATE) <= 1


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_a_table_never_overflows_its_terminal(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    tables.screen.cache_clear()
    rows = [("المطعم السعيد في حي العليا" * 2, "+966551110001", "a long sentence about it" * 3, 7)]
    with screen().capture() as caught:
        screen().print(table("NAME", "PHONE", "WORDS", "N", rows=rows, right=["N"], firm=["PHONE"], spare=["WORDS"]))
    tables.screen.cache_clear()
    lines = caught.get().splitlines()
    assert max(map(cell_len, lines)) <= width
    assert "+966551110001" in lines[2]
    assert lines[2].count(ISOLATE) == lines[2].count(END_ISOLATE) == 1


def test_a_code_is_drawn_whole_with_a_light_border() -> None:
    lines = blocks("https://example.com/abc").splitlines()
    assert len({len(line) for line in lines}) == 1
    assert len(lines[0]) <= 2 * len(lines)
    assert set(lines[0]) == {"█"}

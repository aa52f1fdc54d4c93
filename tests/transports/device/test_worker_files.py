"""The worker's two files: what was on its way out, and what came in and is not stored yet."""

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wafleet.transports.device.worker.reading import MESSAGE
from wafleet.transports.device.worker.store import JOURNAL, SPOOL, Journal, Spool, journal, spooled


def event(id: str, more: bytes = b"") -> bytes:
    """An event of the library, as far as a worker reads it: field 1, and in it field 2."""
    info = b"\x12" + bytes([len(id)]) + id.encode()
    return b"\x0a" + bytes([len(info)]) + info + b"\x18\x01" + more


def kept(folder: Path) -> list[tuple[int, int, bytes]]:
    return [*spooled(folder)]


def test_what_is_stored_leaves_the_spool_and_the_rest_stays_in_order(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    for id in "ABC":
        spool.add(MESSAGE, event(id))
    spool.drop(["B"])
    spool.close()
    again = Spool(tmp_path)
    assert [data for _, _, data in kept(tmp_path)] == [event("A"), event("B"), event("C")]
    again.drop(["B"])
    again.drop(["A", "C"])
    again.close()
    assert not kept(tmp_path)
    assert (tmp_path / SPOOL).stat().st_size == 0


@given(st.integers(min_value=0, max_value=200))
def test_a_record_that_was_cut_short_is_as_if_it_never_came(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    folder = tmp_path_factory.mktemp("spool")
    spool = Spool(folder)
    sizes = [
        spool.add(MESSAGE, event(str(n), b"\x22\x14" + b"x" * 20)) and (folder / SPOOL).stat().st_size for n in range(4)
    ]
    spool.close()
    whole = (folder / SPOOL).read_bytes()
    (folder / SPOOL).write_bytes(whole[:cut])
    assert len(kept(folder)) == sum(size <= cut for size in sizes)
    again = Spool(folder)
    again.add(MESSAGE, event("after"))
    again.close()
    assert kept(folder)[-1][2] == event("after")
    assert all(one[0] < two[0] for one, two in pairwise(kept(folder)))


def test_a_spool_that_is_never_empty_does_not_grow_for_ever(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    large = b"\x22\x80\x80\x20" + b"x" * 2**19  # half a megabyte
    spool.add(MESSAGE, event("stays"))
    for n in range(20):
        spool.add(MESSAGE, event(str(n), large))
        spool.drop([str(n)])
    spool.close()
    assert (tmp_path / SPOOL).stat().st_size < 5 * 2**20
    assert kept(tmp_path)[0][2] == event("stays")


def test_the_journal_says_what_left_and_what_became_of_it(tmp_path: Path) -> None:
    one = Journal(tmp_path)
    one.leaves("a", "3EB0A")
    one.taken("a", "3EB0A")
    one.leaves("b", "3EB0B")
    one.failed("b", "server returned\nerror 463")
    one.close()
    with (tmp_path / JOURNAL).open("ab") as file:
        file.write(b"> c 3EB")  # the worker died here
    assert [*journal(tmp_path)] == [
        (">", "a", "3EB0A"),
        ("<", "a", "3EB0A"),
        (">", "b", "3EB0B"),
        ("!", "b", "server returned error 463"),
    ]
    again = Journal(tmp_path)
    again.leaves("d", "3EB0D")
    again.close()
    assert [*journal(tmp_path)][-1] == (">", "d", "3EB0D")


def test_a_long_journal_keeps_its_newer_half(tmp_path: Path) -> None:
    (tmp_path / JOURNAL).write_bytes(b"".join(b"> ref-%06d 3EB0%026d\n" % (n, n) for n in range(40_000)))
    Journal(tmp_path).close()
    left = [*journal(tmp_path)]
    assert left[-1][1] == "ref-039999"
    assert 5_000 < len(left) < 20_000
    assert left[0][2] == f"3EB0{40_000 - len(left):026d}"


def test_an_account_without_files_has_nothing_under_way(tmp_path: Path) -> None:
    assert not kept(tmp_path)
    assert not [*journal(tmp_path)]

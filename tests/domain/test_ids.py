import time
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import pytest

from wafleet.domain.ids import new_id


def test_ids_sort_in_the_order_they_were_made() -> None:
    ids = [new_id() for _ in range(10_000)]
    assert ids == sorted(ids)
    assert len(set(ids)) == len(ids)
    assert {one.version for one in ids} == {7}


def test_ids_still_grow_when_the_clock_is_set_back(monkeypatch: pytest.MonkeyPatch) -> None:
    before = new_id()
    real = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: real() - 7_200_000_000_000)
    assert new_id() > before


def test_threads_never_make_the_same_id() -> None:
    with ThreadPoolExecutor(4) as threads:
        made = [one for some in threads.map(_some, range(4)) for one in some]
    assert len(set(made)) == len(made)


def _some(_: int) -> list[UUID]:
    return [new_id() for _ in range(2_000)]

"""A slice is a house with a front door: what stands behind it is its own business."""

import grimp
import pytest


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    return grimp.build_graph("wafleet")


NO_SLICES = {"wafleet.emulator"}  # a program of its own: its front door must not load the client library


def slices(graph: grimp.ImportGraph) -> list[str]:
    stored = {child for child in graph.find_children("wafleet") if f"{child}.store" in graph.modules}
    return sorted(stored - NO_SLICES)


def test_the_product_has_slices(graph: grimp.ImportGraph) -> None:
    assert {"wafleet.accounts", "wafleet.inbox", "wafleet.outbox", "wafleet.tenants"} <= set(slices(graph))


def test_nobody_outside_a_slice_imports_anything_behind_its_front_door(graph: grimp.ImportGraph) -> None:
    intruders: list[str] = []
    for house in slices(graph):
        inside = {house} | graph.find_descendants(house)
        for room in inside - {house, f"{house}.routes"}:
            intruders += [
                f"{outsider} imports {room}" for outsider in graph.find_modules_that_directly_import(room) - inside
            ]
    assert not sorted(intruders), "\n".join(sorted(intruders))

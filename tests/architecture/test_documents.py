"""The documents say what the product does: nothing is missing, stale, or linked to nowhere."""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer
from docs import generate
from tests.architecture.source import ROOT

from wafleet.cli import app
from wafleet.config import describe
from wafleet.domain.account import REASONS
from wafleet.domain.errors import WafleetError
from wafleet.domain.events import Kind

LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)(?:\s+\"[^\"]*\")?\)")
FENCE = re.compile(r"^```.*?^```", re.S | re.M)
PLACES = re.compile(r"/work/|/root/|127\.0\.0\.1:\d{5}")


def documents() -> list[Path]:
    return sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def page(name: str) -> str:
    return (generate.PAGES / name).read_text("utf-8")


@cache
def stale() -> list[Path]:
    return generate.stale()


@pytest.mark.parametrize("name", generate.REFERENCE)
def test_a_reference_page_is_what_the_code_says(name: str) -> None:
    path = generate.PAGES / name
    assert path not in stale(), f"{name} differs from the code: run `make reference`"


def test_every_setting_is_documented_with_its_meaning() -> None:
    assert not [one.name for one in describe() if f"`{one.name}`" not in page("settings.md") or not one.description]


def test_every_event_is_documented() -> None:
    assert not [kind for kind in Kind if f"`{kind}`" not in page("events.md")]


def test_every_reason_is_documented() -> None:
    assert not [code for code in REASONS if code and f"`{code}`" not in page("reasons.md")]


def test_every_error_code_is_documented() -> None:
    errors = [WafleetError, *_below(WafleetError)]
    assert not [one.code for one in errors if f"`{one.code}`" not in page("errors.md")]


def _below(root: type[WafleetError]) -> Iterator[type[WafleetError]]:
    for one in root.__subclasses__():
        if one.__module__.startswith("wafleet."):
            yield one
            yield from _below(one)


def test_every_command_is_documented_and_says_what_it_does() -> None:
    words = page("commands.md")
    found = [*_commands(typer.main.get_command(app), "wafleet")]
    assert found
    assert not [name for name, help in found if f"## `{name}`" not in words or not help]


def _commands(command: Any, name: str) -> Iterator[tuple[str, str]]:
    inner = getattr(command, "commands", {})
    if not inner and not command.hidden:
        yield name, command.help
    for word, one in inner.items():
        yield from _commands(one, f"{name} {word}")


def test_every_link_between_documents_leads_somewhere() -> None:
    broken = [
        f"{document.relative_to(ROOT)} -> {target}"
        for document in documents()
        for target in LINK.findall(FENCE.sub("", document.read_text("utf-8")))
        if not _leads_somewhere(document, target)
    ]
    assert not broken, "\n".join(broken)


def _leads_somewhere(document: Path, target: str) -> bool:
    if re.match(r"[a-z]+:", target):
        return True
    path, _, anchor = target.partition("#")
    there = (document.parent / path) if path else document
    if not there.exists():
        return False
    return not anchor or anchor in _anchors(there.read_text("utf-8"))


def _anchors(text: str) -> set[str]:
    heads = re.findall(r"^#+\s+(.*)$", FENCE.sub("", text), re.M)
    return {re.sub(r"[^\w\- ]", "", head.lower()).strip().replace(" ", "-") for head in heads}


def test_every_document_can_be_reached_from_the_readme() -> None:
    reached: set[Path] = set()
    waiting = [ROOT / "README.md"]
    while waiting:
        document = waiting.pop()
        if document in reached:
            continue
        reached.add(document)
        targets = LINK.findall(FENCE.sub("", document.read_text("utf-8")))
        paths = [(document.parent / target.partition("#")[0]).resolve() for target in targets if ":" not in target]
        waiting += [path for path in paths if path.suffix == ".md" and path.exists()]
    lost = [str(document.relative_to(ROOT)) for document in documents() if document not in reached]
    assert not lost, "\n".join(lost)


def test_no_document_names_a_place_on_one_machine() -> None:
    assert not [str(document) for document in documents() if PLACES.search(document.read_text("utf-8"))]

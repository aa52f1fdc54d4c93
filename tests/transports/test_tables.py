"""Every code of every provider leads somewhere that is explained, and stands in the reference."""

import ast
from pathlib import Path

import pytest
from docs import generate

import wafleet.outbox
import wafleet.transports
from wafleet.domain.account import REASONS
from wafleet.domain.failures import FAILURES
from wafleet.transports.base import RefusedAccount, SendError
from wafleet.transports.remedies import Table

TABLES = dict(generate.tables())


def test_every_provider_with_codes_has_a_table() -> None:
    assert {"meta", "twilio"} <= set(TABLES)


@pytest.mark.parametrize("provider", TABLES)
def test_every_code_has_a_reason_that_is_explained(provider: str) -> None:
    table: Table = TABLES[provider]
    for code, one in table.items():
        assert one.reason in FAILURES, code
        assert not one.account or one.account in REASONS, code
        assert one.error is not RefusedAccount or one.reason in REASONS, f"{code}: the account shows this reason"


@pytest.mark.parametrize("provider", TABLES)
def test_every_code_stands_in_the_reference(provider: str) -> None:
    page = (generate.PAGES / "failures.md").read_text("utf-8").partition(f"### {provider.capitalize()}\n")[2]
    for code, one in TABLES[provider].items():
        assert f"| `{code}` | {one.error.__name__} | `{one.reason}` |" in page


def _kinds(error: type[SendError]) -> set[str]:
    return {error.__name__}.union(*(_kinds(one) for one in error.__subclasses__()))


def test_every_reason_that_is_given_in_the_code_is_explained() -> None:
    raised = _kinds(SendError)
    given = {
        f"{file.name}:{call.lineno}": call.args[0].value
        for folder in (*wafleet.transports.__path__, *wafleet.outbox.__path__)
        for file in Path(folder).rglob("*.py")
        for call in ast.walk(ast.parse(file.read_text("utf-8")))
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in raised
        if call.args and isinstance(call.args[0], ast.Constant)
    }
    assert len(given) > 20
    assert {where: reason for where, reason in given.items() if reason not in FAILURES} == {}

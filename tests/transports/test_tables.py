"""Every code of every provider leads somewhere that is explained, and stands in the reference."""

import pytest
from docs import generate

from wafleet.domain.account import REASONS
from wafleet.domain.failures import FAILURES
from wafleet.transports.base import RefusedAccount
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

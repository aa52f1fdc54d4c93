"""The fleet as a file, applied by a command."""

import io
from pathlib import Path

import pytest
from tests.cli.commands import Shell
from tests.cli.served import Served

FILE = """
tenants:
  - name: Nakheel Motors
    accounts:
      - {phone: "+971 50 222 0001", name: Showroom, transport: simulator, role: primary}
      - {phone: "+971502220002", name: "ورشة", transport: simulator, settings: {pace: {per_second: 2}}}
  - name: Nakheel Rent
    accounts: []
"""


@pytest.fixture
def file(tmp_path: Path, at_served: Served) -> Path:
    path = tmp_path / "fleet.yaml"
    path.write_text(FILE, "utf-8")
    return path


def actions(changes: list[dict[str, str]]) -> list[tuple[str, str]]:
    return [(one["action"], one["name"]) for one in changes]


def test_a_file_is_shown_first_applied_then_and_changes_nothing_again(file: Path, shell: Shell) -> None:
    shown = shell("apply", file, "--dry-run")
    assert shown.status == 0
    assert "+ Showroom +971502220001" in shown.out
    assert "dry run" in shown.out
    assert shell("accounts", "show", "Showroom").status == 1

    first = shell("apply", file, "--json").json()
    assert actions(first["changes"]) == [
        ("create", "Nakheel Motors"),
        ("create", "Nakheel Rent"),
        ("create", "Showroom"),
        ("create", "ورشة"),
    ]
    assert {one["action"] for one in shell("apply", file, "--json").json()["changes"]} == {"unchanged"}

    file.write_text(FILE.replace("name: Showroom", "name: Showroom 1"), "utf-8")
    assert 'name: "Showroom" -> "Showroom 1"' in shell("apply", file).out

    file.write_text("tenants: [{name: Nakheel Motors, accounts: [{phone: '+971502220001'}]}]", "utf-8")
    assert "1 are not in the file and stay" in shell("apply", file).out
    refused = shell("apply", file, "--prune")
    assert (refused.status, "--yes" in refused.err, "ورشة" in refused.err) == (2, True, True)
    assert "1 deleted" in shell("apply", file, "--prune", "--yes").out
    assert shell("accounts", "show", "+971502220002").status == 1
    assert shell("accounts", "delete", "+971502220001", "--yes").status == 0


@pytest.mark.parametrize(
    ("text", "status", "sentence"),
    [
        ("tenants: [{name: X, accounts: [{phone: '12'}]}]", 1, "tenants[0].accounts[0].phone"),
        ("tenants: [{name: X, acounts: []}]", 1, "tenants[0].acounts"),
        ("tenants: [{name: X, accounts: [{phone: '+971502220009', name: Y, transport: pigeon}]}]", 1, "pigeon"),
        ("- no\n- fleet", 1, ""),
        ("a: [", 1, ""),
        ("", 1, ""),
    ],
)
def test_a_wrong_file_is_one_sentence_and_changes_nothing(
    file: Path, shell: Shell, text: str, status: int, sentence: str
) -> None:
    file.write_text(text, "utf-8")
    before = shell("accounts", "list", "--json").out
    ran = shell("apply", file)
    assert (ran.status, ran.out) == (status, "")
    assert ran.err.startswith("wafleet: ")
    assert sentence in ran.err
    assert shell("accounts", "list", "--json").out == before


def test_a_file_that_is_not_there_is_one_sentence(at_served: Served, shell: Shell) -> None:
    ran = shell("apply", "nowhere.yaml")
    assert (ran.status, "nowhere.yaml" in ran.err) == (1, True)


def test_bots_of_an_older_system_are_imported_and_what_is_left_is_said(
    at_served: Served, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    bots = '[{"name": "Old sales", "phone": "971502220005", "role": "sales", "sessionPath": "./s", "colour": "red"}]'
    monkeypatch.setattr("sys.stdin", io.StringIO(bots))
    ran = shell("import-bots", "-", "--tenant", "Sharq Brokers")
    assert ran.status == 0
    assert "+ Old sales +971502220005" in ran.out
    assert "colour" in ran.err
    assert shell("accounts", "show", "Old sales", "--json").json()["role"] == "sales"
    assert shell("accounts", "delete", "Old sales", "--yes").status == 0

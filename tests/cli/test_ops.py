"""Commands on the database itself, while wafleet is stopped."""

import socket
from pathlib import Path
from types import SimpleNamespace

import pytest
from tests.cli.commands import Shell

OFFICE = "Sharq Brokers"


@pytest.fixture
def office(installation: Path, shell: Shell) -> Path:
    assert shell("tenant", "create", OFFICE).status == 0
    return installation


def test_a_token_is_printed_alone_so_that_a_script_can_take_it(office: Path, shell: Shell) -> None:
    ran = shell("token", "create", "--tenant", OFFICE, "--scopes", "read,send")
    assert ran.status == 0
    assert ran.out.strip().startswith("wf_")
    assert len(ran.out.split()) == 1
    assert "shown this once" in ran.err


def test_a_token_as_json_holds_its_secret_its_scopes_and_its_end(office: Path, shell: Shell) -> None:
    words = ("--tenant", OFFICE.lower(), "--scopes", "read,send", "--name", "orders", "--expires", "30d", "--json")
    made = shell("token", "create", *words).json()
    assert made["token"].startswith("wf_")
    assert (made["scopes"], made["name"]) == (["read", "send"], "orders")
    assert made["expires_at"] > made["created_at"]
    listed = shell("token", "list", "--json").lines()
    assert [(one["id"], one["hint"], "token" in one) for one in listed] == [(made["id"], made["token"][-4:], False)]


def test_a_revoked_token_says_so_in_the_list(office: Path, shell: Shell) -> None:
    made = shell("token", "create", "--json").json()
    assert "revoked" not in shell("token", "list").out
    assert shell("token", "revoke", made["id"]).status == 0
    shown = shell("token", "list").out
    assert "revoked" in shown
    assert "the whole fleet" in shown


@pytest.mark.parametrize(
    ("words", "status", "sentence"),
    [
        (("token", "create", "--tenant", "Nowhere"), 1, "There is no tenant 'Nowhere'"),
        (("token", "create", "--scopes", "reed"), 2, "'reed' is no scope"),
        (("token", "create", "--scopes", ""), 1, "Name at least one scope"),
        (("token", "create", "--expires", "soon"), 2, "no duration"),
        (("token", "create", "--accounts", "Nobody"), 1, "There is no such account"),
        (("token", "revoke", "12"), 2, "valid UUID"),
        (("token", "revoke", "01a1fc84-5495-7000-b8ae-e943cb700064"), 1, "There is no token"),
        (("tenant", "create", " sharq brokers "), 1, "already a tenant"),
        (("tenant", "create", ""), 1, "name"),
        (("user", "create", "not an address", "--tenant", OFFICE), 1, "e-mail address"),
        (("user", "create", "ada@example.com"), 1, "Say in which tenant"),
        (("user", "create", "ada@example.com", "--tenant", OFFICE, "--role", "king"), 2, "no role"),
        (("user", "disable", "bob@example.com"), 1, "There is no user"),
    ],
)
def test_a_mistake_is_one_sentence_and_a_status(
    office: Path, shell: Shell, words: tuple[str, ...], status: int, sentence: str
) -> None:
    ran = shell(*words)
    assert ran.status == status
    assert sentence in " ".join(ran.err.replace("│", " ").split())
    assert not ran.out


def test_a_user_is_added_with_a_password_shown_once_and_disabled_again(office: Path, shell: Shell) -> None:
    made = shell("user", "create", "ada@example.com", "--tenant", OFFICE, "--role", "operator", "--json").json()
    assert len(made["password"]) >= 12
    assert made["user"]["memberships"][0]["role"] == "operator"
    assert f"operator of {OFFICE}" in shell("user", "list").out
    assert shell("user", "set-password", "ADA@example.com", "--json").json()["password"] != made["password"]
    assert shell("user", "disable", "ada@example.com").status == 0
    assert shell("user", "list", "--json").lines()[0]["disabled"] is True
    assert shell("user", "enable", "ada@example.com").status == 0
    assert shell("user", "list", "--json").lines()[0]["disabled"] is False


def test_a_password_can_come_from_standard_input(office: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    import io

    monkeypatch.setattr("sys.stdin", io.StringIO("three plain words\n"))
    ran = shell("user", "create", "ada@example.com", "--platform-admin", "--password-stdin")
    assert (ran.status, "three plain words" in ran.out) == (0, False)


def test_a_current_schema_stays_as_it_is(installation: Path, shell: Shell) -> None:
    done = shell("migrate", "--json").json()
    assert shell("migrate", "--json").json() == {"before": done["after"], "after": done["after"]}


def test_the_master_key_is_rotated_and_the_old_one_kept(office: Path, shell: Shell) -> None:
    assert "stored yet" in shell("doctor").out
    first = shell("keys", "rotate", "--json").json()
    assert first["keys"] == 1
    key, old = Path(first["new"]), Path(first["old"])
    assert key.read_text() != old.read_text()
    assert key.stat().st_mode & 0o077 == old.stat().st_mode & 0o077 == 0
    assert "can be read" in shell("doctor").out


def test_a_rotation_that_was_killed_halfway_is_ended_by_the_next(office: Path, shell: Shell) -> None:
    before = Path(shell("keys", "rotate", "--json").json()["old"])
    key = office / "master.key"
    key.rename(office / "master.key.next")  # as if it had been killed before the file was put in its place
    before.rename(key)
    said = shell("doctor")
    assert said.status == 1
    assert "run it again" in said.out
    assert shell("keys", "rotate").status == 0
    assert "can be read" in shell("doctor").out


def test_a_key_from_the_environment_is_rotated_into_a_file_for_its_owner(
    office: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WAFLEET_MASTER_KEY", "ab" * 32)
    done = shell("keys", "rotate", "--json").json()
    assert "WAFLEET_MASTER_KEY" in done["next"]
    assert "bad" in shell("doctor").out
    monkeypatch.setenv("WAFLEET_MASTER_KEY", Path(done["new"]).read_text().strip())
    assert "can be read" in shell("doctor").out
    assert shell("keys", "rotate", "--json").json()["keys"] == 1


def test_the_doctor_finds_a_setting_that_is_spelt_wrong(
    installation: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WAFLEET_PROT", "1")
    ran = shell("doctor", "--json")
    assert ran.status == 1
    assert [(one["subject"], one["level"]) for one in ran.lines()] == [("settings", "bad")]
    assert "did you mean WAFLEET_PORT" in ran.lines()[0]["says"]


def test_the_doctor_finds_a_port_that_another_program_uses(
    installation: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        other.listen()
        monkeypatch.setenv("WAFLEET_PORT", str(other.getsockname()[1]))
        monkeypatch.setattr("wafleet.cli.doctor_machine.PATIENCE_S", 0.2)
        ran = shell("doctor")
    assert ran.status == 1
    assert "used by another program" in ran.out


def test_the_doctor_finds_a_key_that_others_may_read(office: Path, shell: Shell) -> None:
    key = Path(shell("keys", "rotate", "--json").json()["new"])
    key.chmod(0o644)
    ran = shell("doctor")
    assert (ran.status, f"chmod 600 {key}" in ran.out) == (1, True)


def test_the_doctor_finds_a_database_that_is_away(
    installation: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WAFLEET_DATABASE_URL", "postgresql://127.0.0.1:1/nothing")
    ran = shell("doctor", "--json")
    assert ran.status == 1
    assert ran.lines()[-1]["subject"] == "database"
    assert (shell("token", "list").status, shell("migrate").status) == (4, 4)


def test_a_full_disk_is_told_before_it_hurts(installation: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    def nearly_full(path: Path) -> SimpleNamespace:
        assert path.exists()
        return SimpleNamespace(free=4096)

    monkeypatch.setattr("shutil.disk_usage", nearly_full)
    ran = shell("doctor", "--json")
    assert {one["subject"]: one["level"] for one in ran.lines()}["disk"] == "bad"


def test_help_imports_neither_the_database_nor_the_server() -> None:
    import subprocess
    import sys

    asked = (
        "import sys, wafleet.cli; print(*(m for m in ('psycopg', 'fastapi', 'httpx', 'pydantic') if m in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    assert not done.stdout.split()

"""`wafleet sim` against a simulator that runs, and against one that does not."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.simulator.peer import LAYLA, ONE, still
from typer.testing import CliRunner

from wafleet.cli.sim import sim
from wafleet.simulator.address import FILE
from wafleet.simulator.faults import FAULTS
from wafleet.simulator.orders import LedgerLine

Say = Callable[..., tuple[int, str]]


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """A data folder in which an account was linked before, and a customer's message waits."""
    world = still(journal=tmp_path / "simulator" / "ledger.journal")
    world.link(ONE)
    world.deliveries.offer(world.account(ONE), LAYLA, "Layla", "hello")
    world.close()
    return tmp_path


@pytest.fixture
def run(data_dir: Path) -> Say:
    """Run a command; return its exit status and everything it printed."""

    def run(*words: str) -> tuple[int, str]:
        result = CliRunner().invoke(sim, list(words), env={"WAFLEET_DATA_DIR": str(data_dir)})
        return result.exit_code, result.output

    return run


@pytest.fixture
def running(data_dir: Path) -> Iterator[None]:
    command = "import sys; from wafleet.cli.sim import sim; sim(['serve', '--data-dir', sys.argv[1], '--json'])"
    process = subprocess.Popen([sys.executable, "-c", command, str(data_dir)], stdout=subprocess.PIPE)
    address = data_dir / "simulator" / FILE
    deadline = time.monotonic() + 10
    while not address.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    yield
    process.terminate()
    printed, _ = process.communicate(timeout=10)
    assert process.returncode == 0
    assert json.loads(printed)["pid"] == process.pid


def test_without_a_simulator_one_sentence_says_how_to_start_it(run: Say) -> None:
    status, printed = run("status")
    assert status == 4
    assert printed.count("\n") == 1
    assert "wafleet sim serve" in printed


@pytest.mark.usefixtures("running")
def test_the_ledger_is_an_array_of_one_object_per_account(run: Say) -> None:
    status, printed = run("ledger", "--json", "--check")
    assert status == 0
    lines: list[dict[str, Any]] = json.loads(printed)
    assert [list(line) for line in lines] == [list(LedgerLine.__struct_fields__)]
    assert (lines[0]["account"], lines[0]["offered"], lines[0]["waiting"]) == (ONE, 1, 1)
    assert ONE in run("ledger", "00966 50 000 0001")[1]


@pytest.mark.usefixtures("running")
def test_a_customer_says_something_and_status_shows_it(run: Say) -> None:
    status, printed = run("say", "+971 55 000 0001", "whatsapp:+966500000001", "مرحبا", "--json")
    assert status == 0
    assert json.loads(printed)["customer"] == LAYLA
    found = json.loads(run("status", "--json")[1])
    assert (found["linked"], found["online"], found["accounts"][0]["waiting"]) == (1, 0, 2)
    assert "0 of 1 linked accounts online" in run("status")[1]


@pytest.mark.usefixtures("running")
def test_faults_are_started_listed_and_ended(run: Say) -> None:
    assert run("faults")[1] == "nothing there\n"
    status, printed = run("fault", ONE, "latency", "--for", "5m", "--delay", "200ms", "--json")
    assert status == 0
    fault = json.loads(printed)
    assert (fault["kind"], fault["seconds"]) == ("latency", 0.2)
    assert fault["until"] - fault["since"] == pytest.approx(300)
    assert run("fault", "*", "receipts_late")[0] == 0
    assert {f["account"] for f in json.loads(run("faults", "--json")[1])} == {ONE, "*"}
    assert FAULTS["latency"].sentence in run("faults")[1]
    assert run("fault", ONE, "latency", "--end")[0] == 0
    assert run("fault", ONE, "latency", "--end")[0] == 1


@pytest.mark.usefixtures("running")
def test_a_load_is_started_and_stopped(run: Say) -> None:
    status, printed = run("load", "100", "--total", "5", "--account", ONE, "--json")
    assert status == 0
    assert json.loads(printed)["accounts"] == 1
    assert run("load", "1", "--stop")[0] == 0


@pytest.mark.usefixtures("running")
def test_what_cannot_be_done_is_said_in_a_sentence(run: Say) -> None:
    for words, status, sentence in (
        (["say", "layla", ONE, "hi"], 2, "not a phone number"),
        (["say", LAYLA, "+966500000099", "hi"], 1, "link it first"),
        (["fault", ONE, "flood"], 1, "There is no fault"),
        (["fault", ONE, "latency", "--for", "soon"], 2, "length of time"),
        (["link", ONE], 1, "Nobody is linking"),
        (["load", "0", "--total", "1"], 1, "rate above 0"),
        (["serve"], 1, "already running"),
    ):
        code, printed = run(*words)
        assert (words, code) == (words, status)
        assert sentence in " ".join(printed.replace("│", " ").split())


def test_the_help_names_every_fault(run: Say) -> None:
    printed = run("fault", "--help")[1]
    assert [kind for kind in FAULTS if kind not in printed] == []

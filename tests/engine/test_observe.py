import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path

import msgspec
import prometheus_client
import psycopg
import pytest
import structlog

from wafleet.engine import observe

log = structlog.get_logger("wafleet.tests")


@pytest.fixture
def lines(tmp_path: Path) -> Iterator[Path]:
    root = logging.getLogger()
    level = root.level
    observe.start_logs(tmp_path / "logs", console="off")
    yield tmp_path / "logs" / "wafleet.log"
    observe.start_logs(None, console="off")
    logging.captureWarnings(capture=False)
    root.setLevel(level)
    structlog.reset_defaults()


def written(path: Path) -> list[dict[str, object]]:
    return [msgspec.json.decode(line) for line in path.read_bytes().splitlines()]


def test_each_line_in_the_file_is_one_json_object_with_time_level_and_origin(lines: Path) -> None:
    log.info("account_online", account="a1", after_s=1.5)
    [line] = written(lines)
    assert line["event"] == "account_online"
    assert (line["account"], line["after_s"], line["level"]) == ("a1", 1.5, "info")
    assert line["logger"] == "wafleet.tests"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+Z", str(line["timestamp"]))


def test_facts_of_a_request_are_on_every_line_logged_within_it(lines: Path) -> None:
    with observe.about(request_id="r1", account="a1"):
        logging.getLogger("somebody.else").warning("careful")
    log.info("later")
    assert [(line.get("request_id"), line.get("account")) for line in written(lines)] == [("r1", "a1"), (None, None)]


@pytest.mark.parametrize(
    "key",
    ["text", "words", "content", "body", "password", "token", "api_token", "Authorization", "master_key", "raw_body"],
)
def test_words_and_secrets_are_hidden_at_any_depth(lines: Path, key: str) -> None:
    log.info("thing", **{key: "hush-hush"})
    log.info("thing", nested={"list": [{key: "hush-hush"}]}, raw=b"hush-hush")
    assert "hush-hush" not in lines.read_text()


def test_plain_facts_whose_names_only_resemble_secrets_stay(lines: Path) -> None:
    log.info("thing", body_limit_kb=5, token_id="t1", wordsmith="w")
    assert (line := written(lines)[0])["body_limit_kb"] == 5
    assert (line["token_id"], line["wordsmith"]) == ("t1", "w")


def test_a_database_error_is_logged_without_the_row_it_quotes(lines: Path, server: str) -> None:
    written_by_a_customer = "hush\nhush\n\nhush"
    with psycopg.connect(server) as conn:
        conn.execute("create temp table t (words text check (length(words) < 3))")
        try:
            conn.execute("insert into t values (%s)", (written_by_a_customer,))
        except psycopg.Error as error:
            log.exception("write_failed", error=str(error))
            logging.getLogger("plain").exception("failed: %s", error)
    text = lines.read_text()
    assert "hush" not in text  # neither in the message nor in the traceback
    assert text.count("violates check constraint") >= 4
    assert "test_observe.py" in json.loads(text.splitlines()[0])["exception"]


def test_libraries_are_quiet_and_their_warnings_come_through_the_same_pipeline(lines: Path) -> None:
    for name in ("uvicorn.error", "psycopg.pool", "httpx"):
        logging.getLogger(name).info("chatter")
        logging.getLogger(name).warning("trouble in %s", name)
    assert [line["event"] for line in written(lines)] == [
        "trouble in uvicorn.error",
        "trouble in psycopg.pool",
        "trouble in httpx",
    ]


def test_the_files_are_rotated(lines: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(observe, "FILE_BYTES", 2000)
    observe.start_logs(lines.parent, console="off")
    for n in range(200):
        log.info("line", n=n)
    files = sorted(lines.parent.glob("wafleet.log*"))
    assert len(files) == 5
    assert all(file.stat().st_size <= 2000 for file in files)


def test_starting_logs_twice_writes_each_line_once(lines: Path) -> None:
    observe.start_logs(lines.parent, console="off")
    log.info("once")
    assert len(written(lines)) == 1


def test_a_log_that_cannot_be_written_is_counted_and_nobody_fails(lines: Path) -> None:
    lines.mkdir()
    before = observe.log_lines_lost._value.get()
    log.info("lost")
    assert observe.log_lines_lost._value.get() == before + 1


def test_the_console_is_readable_and_without_colour_when_it_is_not_a_terminal(
    lines: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    observe.start_logs(None, console="auto")
    log.info("account_online", account="a1")
    shown = capsys.readouterr().err
    assert "account_online" in shown
    assert "account=a1" in shown
    assert "\x1b" not in shown
    observe.start_logs(None, console="json")
    log.info("account_online", account="a1")
    assert json.loads(capsys.readouterr().err)["account"] == "a1"


def test_lines_below_the_level_are_not_written(lines: Path) -> None:
    observe.start_logs(lines.parent, level="WARNING", console="off")
    log.info("small")
    log.warning("big")
    assert [line["event"] for line in written(lines)] == ["big"]


def test_a_pool_shows_among_the_metrics_while_it_is_open() -> None:
    with observe.watched_pool("main", lambda: {"pool_size": 4, "pool_available": 3}):
        shown = prometheus_client.generate_latest().decode()
        assert 'wafleet_pool{pool="main",what="size"} 4.0' in shown
        assert 'wafleet_pool{pool="main",what="available"} 3.0' in shown
    assert 'pool="main"' not in prometheus_client.generate_latest().decode()

from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from wafleet.config import OutboxSettings, Settings, SettingsError, describe, load


def read(folder: Path, environ: Mapping[str, str] | None = None, **files: str) -> Settings:
    for name, text in files.items():
        (folder / {"dotenv": ".env", "toml": "wafleet.toml"}[name]).write_text(text)
    return load(environ or {}, folder=folder)


def refused(folder: Path, environ: Mapping[str, str] | None = None, **files: str) -> str:
    with pytest.raises(SettingsError) as error:
        read(folder, environ, **files)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_without_anything_given_the_defaults_hold(tmp_path: Path) -> None:
    settings = read(tmp_path)
    assert (settings.host, settings.port, settings.admin_email) == ("127.0.0.1", 8420, "admin@wafleet.local")
    assert settings.database_url is None
    assert settings.data_dir.name == "wafleet"
    assert settings == Settings()


def test_the_environment_wins_over_dotenv_and_that_over_the_file(tmp_path: Path) -> None:
    settings = read(
        tmp_path,
        {"WAFLEET_OUTBOX__BATCH": "3"},
        dotenv="WAFLEET_OUTBOX__BATCH=2\nWAFLEET_OUTBOX__BURST=20\nPATH_OF_ANOTHER_PROGRAM=x\n",
        toml="port = 1000\n[outbox]\nbatch = 1\nburst = 10\njitter = 0.5\n",
    )
    assert settings.port == 1000
    assert settings.outbox == OutboxSettings(batch=3, burst=20, jitter=0.5)


def test_a_command_line_option_wins_over_all(tmp_path: Path) -> None:
    assert load({"WAFLEET_PORT": "1"}, folder=tmp_path, port=2, host=None).port == 2
    with pytest.raises(SettingsError, match=r"^--port=99999 on the command line cannot be used: it must be at most"):
        load({}, folder=tmp_path, port=99999)


def test_every_plain_name_is_read(tmp_path: Path) -> None:
    settings = read(
        tmp_path,
        {
            "WAFLEET_HOST": "0.0.0.0",
            "WAFLEET_DATA_DIR": "~/fleet",
            "WAFLEET_DATABASE_URL": "postgresql://u:p@h/d",
            "WAFLEET_MASTER_KEY": "k" * 44,
            "WAFLEET_ADMIN_PASSWORD": "long enough",
            "WAFLEET_ADMIN_EMAIL": "a@b.example",
            "WAFLEET_URL": "http://127.0.0.1:8420/",
            "WAFLEET_TOKEN": "t",
            "WAFLEET_TEST_DATABASE_URL": "host=/tmp user=x",
            "WAFLEET_LOG_LEVEL": "DEBUG",
            "WAFLEET_PUBLIC_URL": "https://fleet.example.com",
            "WAFLEET_NODE__ROLES": "api, duties",
        },
    )
    assert settings.data_dir == Path.home() / "fleet"
    assert settings.url == "http://127.0.0.1:8420"
    assert settings.log_level == "debug"
    assert settings.node.roles == {"api", "duties"}
    assert settings.token is not None
    assert settings.token.get_secret_value() == "t"


def test_an_empty_variable_counts_as_not_given_and_none_takes_a_value_back(tmp_path: Path) -> None:
    toml = "[outbox]\ndaily_cap = 5\n"
    assert read(tmp_path, {"WAFLEET_OUTBOX__DAILY_CAP": "", "WAFLEET_PORT": " "}, toml=toml).outbox.daily_cap == 5
    assert read(tmp_path, {"WAFLEET_OUTBOX__DAILY_CAP": "none"}, toml=toml).outbox.daily_cap is None


def test_the_file_may_have_another_name(tmp_path: Path) -> None:
    (tmp_path / "other.toml").write_text("port = 7\n")
    assert read(tmp_path, {"WAFLEET_CONFIG": "other.toml"}, toml="port = 8\n").port == 7
    assert "names" in refused(tmp_path, {"WAFLEET_CONFIG": "missing.toml"})


@pytest.mark.parametrize(
    ("source", "text", "sentence"),
    [
        ("env", "WAFLEET_PROT", "WAFLEET_PROT in the environment is no setting of wafleet: did you mean WAFLEET_PORT?"),
        ("dotenv", "WAFLEET_OUTBOX__BATHC=1", "in .env is no setting of wafleet: did you mean WAFLEET_OUTBOX__BATCH?"),
        ("dotenv", "WAFLEET_OUTBOX=1", "WAFLEET_OUTBOX in .env is no setting of wafleet"),
        ("toml", "[outbox]\nbatsh = 1", "is no setting of wafleet: did you mean outbox.batch?"),
        ("toml", "[outbocks]\nbatch = 1", "is no setting of wafleet: did you mean outbox.batch?"),
        ("toml", "zzz = 1", "is no setting of wafleet: remove it; `wafleet doctor` lists every setting."),
    ],
)
def test_an_unknown_name_is_an_error_that_names_the_nearest(
    tmp_path: Path, source: str, text: str, sentence: str
) -> None:
    files = {} if source == "env" else {source: text}
    told = refused(tmp_path, {text: "1"} if source == "env" else {}, **files)
    assert sentence in told


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("WAFLEET_PORT", "70000", "WAFLEET_PORT='70000' in the environment cannot be used: it must be at most 65535"),
        ("WAFLEET_PORT", "http", "it must be a whole number (port they listen on; 0 takes any free one)."),
        ("WAFLEET_OUTBOX__JITTER", "-1", "it must be at least 0"),
        ("WAFLEET_OUTBOX__PER_SECOND", "fast", "it must be a number"),
        ("WAFLEET_CONSOLE__ENABLED", "perhaps", "it must be true or false"),
        ("WAFLEET_DATABASE_URL", "mysql://x:hush@y", "it must be like postgresql://user:password@host:5432/database"),
        ("WAFLEET_PUBLIC_URL", "fleet", "it must be like https://fleet.example.com"),
        ("WAFLEET_ADMIN_PASSWORD", "hush", "it must have a length of at least 8"),
        ("WAFLEET_ADMIN_EMAIL", "me", "it must match"),
        ("WAFLEET_NODE__ROLES", "api,cook", "it must be 'api', 'lanes' or 'duties'"),
        ("WAFLEET_NODE__RENEW_S", "4", "WAFLEET_NODE__RENEW_S must be at most half of WAFLEET_NODE__LEASE_S"),
        ("WAFLEET_LOG_LEVEL", "loud", "'debug', 'info', 'warning' or 'error'"),
    ],
)
def test_a_wrong_value_is_one_sentence_with_name_place_and_rule_and_no_secret(
    tmp_path: Path, name: str, value: str, sentence: str
) -> None:
    told = refused(tmp_path, {name: value})
    assert name in told
    assert sentence in told
    assert "hush" not in told


def test_a_file_nobody_can_read_is_one_sentence(tmp_path: Path) -> None:
    assert "cannot be read" in refused(tmp_path, toml="port = = 1")


def test_settings_and_their_sections_cannot_be_changed() -> None:
    settings = Settings()
    for part in (settings, settings.outbox):
        with pytest.raises(ValidationError, match="frozen"):
            setattr(part, "batch" if isinstance(part, OutboxSettings) else "port", 5)


def test_secrets_do_not_show_when_settings_are_printed(tmp_path: Path) -> None:
    names = [one.name for one in describe() if one.secret and "URL" not in one.name]
    settings = read(tmp_path, dict.fromkeys(names, "hush-hush-hush") | {"WAFLEET_DATABASE_URL": "postgresql://hush@h"})
    assert "hush" not in repr(settings)
    assert len(names) >= 3


def test_each_setting_is_described_and_its_default_is_allowed(tmp_path: Path) -> None:
    settings = list(describe())
    assert len({one.name for one in settings}) == len(settings) > 50
    for one in settings:
        assert one.description, one.name
        assert one.type, one.name
        if isinstance(one.default, int | float | str):
            read(tmp_path, {one.name: str(one.default)})


@given(st.dictionaries(st.text(max_size=12), st.text(max_size=12), max_size=4), st.sampled_from(["", "OUTBOX__"]))
def test_variables_of_other_programs_never_matter_and_unknown_ones_of_ours_are_always_refused(
    environ: dict[str, str], section: str
) -> None:
    nowhere = Path("/nonexistent")
    assert load({f"X{name}": value for name, value in environ.items()}, folder=nowhere) == Settings()
    if environ:
        with pytest.raises(SettingsError, match="is no setting of wafleet"):
            load({f"WAFLEET_{section}?{name}": value for name, value in environ.items()}, folder=nowhere)

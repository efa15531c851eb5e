"""The settings in force, and where they come from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tillroll import config
from tillroll.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def _directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_nothing_given_gives_the_defaults() -> None:
    found = config.load({}, {})
    assert found.settings == config.Settings()
    assert set(found.origins.values()) == {"default"}


def test_flags_come_before_the_environment_before_the_file(tmp_path: Path) -> None:
    (tmp_path / "tillroll.toml").write_text('port = 1\nhost = "file"\ndata = "file"\n')
    found = config.load({"data": "flag", "host": None}, {"TILLROLL_HOST": "variable", "TILLROLL_DATA": "variable"})
    assert (found.settings.port, found.settings.host, found.settings.data) == (1, "variable", "flag")
    assert (found.origins["port"], found.origins["host"], found.origins["data"]) == (
        "tillroll.toml",
        "TILLROLL_HOST",
        "--data",
    )


@pytest.mark.parametrize("by", ["flag", "variable"])
def test_the_file_can_be_named(tmp_path: Path, by: str) -> None:
    path = tmp_path / "other.toml"
    path.write_text("port = 5\n")
    given = config.load({"config": str(path)}, {}) if by == "flag" else config.load({}, {"TILLROLL_CONFIG": str(path)})
    assert given.settings.port == 5


def test_the_environment_gives_each_type_as_text() -> None:
    found = config.load(
        {},
        {
            "TILLROLL_PORT": "99",
            "TILLROLL_LOG_JSON": "true",
            "TILLROLL_FRESHNESS_S": "2.5",
            "TILLROLL_SEND_TOKENS": "a, b,",
        },
    ).settings
    assert (found.port, found.log_json, found.freshness_s, found.send_tokens) == (99, True, 2.5, ("a", "b"))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("prot = 1", "prot: unknown setting in tillroll.toml. Did you mean port"),
        ("port = 70000", "port: 70000 from tillroll.toml: Expected `int` <= 65535"),
        ('port = "x"', "port: 'x' from tillroll.toml: Expected `int`"),
        ('log_level = "loud"', "It is: debug, info, warning or error"),
        ("port", "this is not TOML"),
    ],
)
def test_a_wrong_file_names_the_setting_and_the_remedy(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "tillroll.toml").write_text(text)
    with pytest.raises(ConfigError) as raised:
        config.load({}, {})
    assert told in str(raised.value)


def test_a_misspelt_variable_is_refused_and_a_foreign_one_is_not() -> None:
    with pytest.raises(ConfigError, match="Did you mean TILLROLL_PORT"):
        config.load({}, {"TILLROLL_PROT": "1"})
    assert config.load({}, {"TILLROLL_SERVICE_HOST": "10.0.0.1"}).settings == config.Settings()


def test_a_file_that_was_named_must_be_there() -> None:
    with pytest.raises(ConfigError, match=r"missing\.toml: the configuration file cannot be read"):
        config.load({"config": "missing.toml"}, {})


def test_secrets_are_not_shown() -> None:
    found = config.load({}, {"TILLROLL_TOKEN": "secret", "TILLROLL_READ_TOKENS": "secret"})
    assert "secret" not in str(found.shown())
    assert {row.setting for row in found.shown() if row.value == "(set)"} == {"token", "read_tokens"}


@pytest.mark.parametrize("name", ["send_tokens", "read_tokens", "tokens_file"])
def test_tokens_that_are_named_and_not_there_are_an_error(tmp_path: Path, name: str) -> None:
    for text in ("", " , ", ",") if name != "tokens_file" else ("",):
        with pytest.raises(ConfigError, match="tillroll token"):
            config.load({}, {f"TILLROLL_{name.upper()}": text})
    with pytest.raises(ConfigError, match="tillroll token"):
        config.load({name: ""} if name == "tokens_file" else {name: []}, {})
    (tmp_path / "tillroll.toml").write_text(f"{name} = {[] if name != 'tokens_file' else ''!r}\n")
    with pytest.raises(ConfigError, match=r"tillroll\.toml sets it"):
        config.load({}, {})


def test_files_that_hold_tokens_are_known(tmp_path: Path) -> None:
    (tmp_path / "tillroll.toml").write_text('read_tokens = ["a"]\ntokens_file = "keys"\n')
    assert config.load({}, {}).files_with_secrets() == {"tillroll.toml", "keys"}
    assert config.load({}, {"TILLROLL_READ_TOKENS": "a"}).files_with_secrets() == {"keys"}
    assert config.load({"tokens_file": "other"}, {"TILLROLL_SEND_TOKENS": "a"}).files_with_secrets() == {
        "tillroll.toml",
        "other",
    }


def test_every_setting_is_described() -> None:
    assert all(config.descriptions()[row.setting] for row in config.load({}, {}).shown())


def test_the_kept_fields_are_a_table_of_the_file_a_list_of_the_environment_and_a_flag(tmp_path: Path) -> None:
    (tmp_path / "tillroll.toml").write_text('[events]\nkeep = ["country", "date ", \'"a,b"\']\n')
    assert config.load({}, {}).settings.events_keep == ("country", "date ", '"a,b"')
    variables = {"TILLROLL_EVENTS_KEEP": "country, customer.country"}
    assert config.load({}, variables).settings.events_keep == ("country", "customer.country")
    assert config.load({"events_keep": "x"}, variables).settings.events_keep == ("x",)
    assert config.load({}, {"TILLROLL_EVENTS_KEEP": ""}).settings.events_keep == ()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('[events]\nkeep = ["date"]', "date is a field of every event"),
        ('[events]\nkeep = ["a", "a"]', "twice"),
        ('[events]\nkeep = ["a..b"]', "not a valid field name"),
        ('[events]\nkeep = "a..b"', "events_keep"),
        ("[events]\nkeep = 1", "events_keep"),
        ('[events]\nkeeps = ["a"]', "events_keep"),
        ('[event]\nkeep = ["a"]', "unknown setting"),
        ("events = 1", "unknown setting"),
    ],
)
def test_a_wrong_list_of_kept_fields_is_told(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "tillroll.toml").write_text(text)
    with pytest.raises(ConfigError, match=told):
        config.load({}, {})

"""docs/cli.md names every subcommand, flag, setting and exit code that there is."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tillroll import config, errors
from tillroll.cli.main import COMMANDS, load_command

DOCS = Path(__file__).parents[2] / "docs"
CLI = (DOCS / "cli.md").read_text()
COMMON = {"--config", "--data", "--url", "--token", "--json", "--help", "--version"}  # the last is the root's


def section(command: str) -> str:
    match = re.search(rf"^## tillroll {re.escape(command)}\n(.*?)(?=^## |\Z)", CLI, re.DOTALL | re.MULTILINE)
    assert match is not None, f"docs/cli.md has no section of {command}"
    return match[1]


def flags_of(command: Any) -> set[str]:
    own = {option for parameter in command.params for option in parameter.opts if option.startswith("--")}
    return own.union(*(flags_of(each) for each in getattr(command, "commands", {}).values()))


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_flag_is_documented(name: str) -> None:
    text = section(name)
    command = load_command(name)
    missing = {flag for flag in flags_of(command) - COMMON if not re.search(rf"{flag}\b", text)}
    assert not missing
    for subcommand in getattr(command, "commands", {}):
        assert f"`{subcommand}" in text


def test_the_commands_that_ask_a_server_are_documented() -> None:
    found = {name for name in COMMANDS if "--url" in flags_of(load_command(name))}
    listed = re.search(r"^## A server instead of a store\n.*?\n\n(.*?)\n\n", CLI, re.DOTALL | re.MULTILINE)
    assert listed is not None
    assert set(re.findall(r"`(\w+)`", listed[1])) == found


def test_no_flag_is_documented_that_there_is_not() -> None:
    known = COMMON.union(*(flags_of(load_command(name)) for name in COMMANDS))
    assert set(re.findall(r"--[a-z][a-z-]*", CLI)) <= known


def test_every_setting_is_documented_with_its_variable_and_default() -> None:
    for row in config.load({}, {}).shown():
        name = row.setting
        line = next((line for line in CLI.splitlines() if line.startswith(f"| `{name}` |")), "")
        assert f"`{config.PREFIX}{name.upper()}`" in line, name
        default = str(row.value).lower() if isinstance(row.value, bool) else str(row.value).removesuffix(".0")
        if row.value not in {"", ()}:
            assert f"`{default}`" in line, name


def test_every_exit_code_is_documented() -> None:
    classes = [
        each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, errors.TillrollError)
    ]
    for code in {each.exit_code for each in classes} | {0, 3, 130, 141}:
        assert f"\n| {code} | " in CLI

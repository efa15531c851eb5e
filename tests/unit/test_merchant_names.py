"""The file of merchants' names: what it may be, and that it is read again."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tillroll.errors import ConfigError
from tillroll.web import names
from tillroll.web.names import MerchantNames

if TYPE_CHECKING:
    from pathlib import Path

FILE = '\ufeffid,name\r\nm-1,Kaffe & Kaka\r\nm-2,"Büro, Engel"\r\n\r\nm-3,kaffebar\r\n'


@pytest.fixture
def path(tmp_path: Path) -> Path:
    found = tmp_path / "names.csv"
    found.write_text(FILE, newline="")
    return found


def test_names_are_found_by_id_and_ids_by_name(path: Path) -> None:
    found = MerchantNames(str(path))
    assert found.of(["m-1", "m-2", "other"]) == {"m-1": "Kaffe & Kaka", "m-2": "Büro, Engel"}
    assert found.find("KAF", 10) == ["m-1", "m-3"]
    assert found.find("engel", 10) == ["m-2"]
    assert found.find("k", 1) == ["m-1"]


def test_no_file_is_no_names() -> None:
    found = MerchantNames("")
    assert (bool(found), found.of(["m-1"]), found.find("m", 10)) == (False, {}, [])


def test_file_is_read_again_when_it_changes_and_a_broken_one_changes_nothing(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(names, "_LOOK_S", -1.0)
    found = MerchantNames(str(path))
    path.write_text("m-1,Another name\n")
    assert found.of(["m-1", "m-2"]) == {"m-1": "Another name"}
    path.write_text("m-1,A,B\n")
    assert found.of(["m-1"]) == {"m-1": "Another name"}
    os.remove(path)  # noqa: PTH107 the file of an operator who moves it
    assert found.of(["m-1"]) == {"m-1": "Another name"}


@pytest.mark.parametrize(
    "text", ["m-1\n", "m-1,a,b\n", "m-1,\n", ",a\n", "m-1,\x1b[31mred\n", 'm-1,"open\n', "m-1,a\u202eb\n"]
)
def test_a_line_that_is_no_id_and_name_is_told_with_its_number(tmp_path: Path, text: str) -> None:
    path = tmp_path / "names.csv"
    path.write_text(f"id,name\n{text}")
    with pytest.raises(ConfigError, match=r"merchants: .*(line 2 of|cannot be read)"):
        MerchantNames(str(path))


def test_a_file_that_is_not_there_or_not_utf_8_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        MerchantNames(str(tmp_path / "none.csv"))
    path = tmp_path / "names.csv"
    path.write_bytes(b"m-1,caf\xe9\n")
    with pytest.raises(ConfigError, match="cannot be read"):
        MerchantNames(str(path))

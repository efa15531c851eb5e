"""The simulation of load: what it holds, what it does not, and why."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from bench import scale, scale_services
from bench.scale import Load, simulate

if TYPE_CHECKING:
    from pathlib import Path

LIGHT = Load(rate=100, merchants=50, batch=50, functions=2, seconds=130)


def test_a_light_load_is_held_and_fresh() -> None:
    found = simulate(LIGHT)
    assert found.held
    assert 20 < found.readable_p50_s < 60
    assert found.readable_p99_s < 90
    assert (found.gave_up, found.timed_out, found.refused) == (0, 0, 0)


def test_a_load_comes_out_the_same_each_time() -> None:
    load = LIGHT._replace(functions=5, seconds=65)
    assert simulate(load) == simulate(load)


@pytest.mark.parametrize(
    ("load", "why"),
    [
        (LIGHT._replace(rate=400, batch=5, seconds=40), "commits come one after another"),
        (LIGHT._replace(seconds=250, fold_megabytes=1), "the fold has no processor"),
    ],
)
def test_what_is_too_much_is_not_held(load: Load, why: str) -> None:
    assert not simulate(load).held, why


def test_a_partition_that_takes_too_little_is_not_held(monkeypatch: pytest.MonkeyPatch) -> None:
    few = scale_services.Assumption(5, "units/s", "planted")
    monkeypatch.setitem(scale_services.ASSUMPTIONS, "partition writes", few)
    found = simulate(LIGHT._replace(seconds=120))
    assert not found.held
    assert found.refused


def test_what_came_of_it_is_written_with_what_was_assumed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "found.json"
    small = ["--rate", "100", "--merchants", "50", "--batch", "50", "--functions", "2,3", "--seconds", "62"]
    scale.run([*small, "--json", str(path)])
    written = json.loads(path.read_text())
    assert [each["functions"] for each in written["loads"]] == [2, 3]
    assert all(each["source"] for each in written["assumptions"].values())
    assert "races lost" in capsys.readouterr().out

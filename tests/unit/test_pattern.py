"""Patterns that are compiled at their first use."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from tillroll.core.pattern import pattern

_SHOW = """
import re, re._compiler
compiled = []
compile_ = re._compiler.compile
re._compiler.compile = lambda text, flags=0: compiled.append(text) or compile_(text, flags)
from tillroll.core import body, chunk, csv_events, dimension, grammar, kept, naming, question, rows, spans, text
own = {each for module in (body, chunk, csv_events, dimension, grammar, kept, naming, question, rows, spans, text)
       for each in (getattr(held, "_text", None) for held in vars(module).values()) if isinstance(each, (str, bytes))}
print(len(own) > 20, sorted(map(repr, own.intersection(compiled))))
"""


def test_a_pattern_does_what_a_compiled_one_does_each_time_it_is_asked() -> None:
    for text, flags, subject in ((r"(\d+)-(b?)", 0, "12-b 7-"), (r"(\d+)-(b)", re.IGNORECASE, "12-B"), (r"\d", 0, "x")):
        lazy, compiled = pattern(text, flags), re.compile(text, flags)
        for _ in range(2):
            for name in ("match", "fullmatch", "search"):
                found, wanted = getattr(lazy, name)(subject), getattr(compiled, name)(subject)
                assert (found and found.groups()) == (wanted and wanted.groups())
            assert lazy.sub("_", subject) == compiled.sub("_", subject)
            assert [each.span() for each in lazy.finditer(subject)] == [
                each.span() for each in compiled.finditer(subject)
            ]
    assert pattern(rb"\x00[a-c]").fullmatch(b"\x00b")
    assert pattern("a", re.DOTALL).flags & re.DOTALL


def test_what_is_wrong_with_a_pattern_is_told_at_its_first_use() -> None:
    wrong = pattern("(")
    for _ in range(2):
        with pytest.raises(re.error, match="unterminated subpattern"):
            wrong.match("(")


def test_the_core_compiles_none_of_its_patterns_when_it_is_loaded() -> None:
    shown = subprocess.run([sys.executable, "-c", _SHOW], check=True, capture_output=True, text=True)
    assert shown.stdout == "True []\n"

"""One word, one meaning: names that were retired stay out of the code and of what people read."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
READ = [
    path
    for room in ("src", "docs", "native", "bench")
    for path in sorted((ROOT / room).rglob("*"))
    if path.suffix in {".py", ".pyi", ".c", ".h", ".js", ".html", ".md", ".yaml"} and "vendor" not in path.parts
] + [ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
# What was said before, and what is said now.
RETIRED = {
    r"\bWay\b|\bways: ": "groupings",
    r"\bsort_out\b|\b_sort_out\b": "classify",
    r"(?i)unsure": "fallback",
    r"\b[Rr]eception\b": "BodyReader",
    r"\bclass Wrong\b": "InvalidText",
    r"\bresidue\b": "inner_code",
    r"\bclass Intake\b|\bIntake\(": "GroupCommit",
    r"\bclass Kept\b|\.settle\(|\bdef settle\b|may be settled": "StoredRejection, discard",
    r"\bBuries\b(?! nothing)": "DeadLetterSink",
    r"\bclass (Look|Letter|_Crew)\b": "Sample, OutgoingMessage, _SenderPool",
    r"\bwhole: bytes": "single",
    r"\bdef ask\b": "parse_query, request",
    r"\b_tell\b": "what it does",
    r"How it stands|Give one up|given? up for good": "Service status, Discard a rejected event",
    r"\bclass (State|Protocol|Body)\b(?!\(msgspec)": "a name that says whose",
    r"\bREPORTS\b": "Reports(FIVE), where it is needed",
    r"cannot be what was meant|is ever dropped by itself|a sleeper\b": "plain English",
}


@pytest.mark.parametrize("pattern", RETIRED)
def test_a_retired_word_is_gone(pattern: str) -> None:
    found = re.compile(pattern)
    places = [
        f"{path.relative_to(ROOT)}: {line.strip()[:100]}"
        for path in READ
        for line in path.read_text(encoding="utf-8").splitlines()
        if found.search(line)
    ]
    assert not places, f"say {RETIRED[pattern]}:\n" + "\n".join(places)


def test_the_words_are_looked_for_everywhere() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "src", "docs"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.split()
    texts = {name for name in listed if name.endswith((".py", ".md", ".js")) and "/vendor/" not in name}
    assert texts <= {path.relative_to(ROOT).as_posix() for path in READ}

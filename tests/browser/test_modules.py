"""The page's files belong together: what is fetched early is what is needed, and nothing is loaded from elsewhere."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

import tillroll

STATIC = Path(tillroll.__file__).parent / "web" / "static"
WEIGHT_BYTES_MAX = 300_000


def needed(module: str) -> set[str]:
    """Return a module and all that it imports, as names under js/."""
    found: set[str] = set()
    todo = [module]
    while todo:
        name = todo.pop()
        if name not in found:
            found.add(name)
            imported = re.findall(r'^(?:import|export) .*?from "(\.[^"]+)\.js"', _text(f"js/{name}.js"), re.MULTILINE)
            todo += [os.path.normpath(Path(name).parent / one) for one in imported]
    return found


def _text(path: str) -> str:
    return (STATIC / path).read_text()


@pytest.mark.parametrize("view", ["overview", "report", "operations"])
def test_what_a_view_needs_is_fetched_with_the_page(view: str) -> None:
    listed = re.search(rf"^  {view}: (\[.*\]),$", _text("js/early.js"), re.MULTILINE)
    assert listed
    assert set(json.loads(listed[1])) == needed(f"views/{view}") - needed("main")


def test_what_the_page_needs_is_fetched_with_it() -> None:
    preloaded = re.findall(r'<link rel="modulepreload" href="/static/js/(.*)\.js">', _text("index.html"))
    assert set(preloaded) == needed("main") - {"main"}


def test_nothing_comes_from_elsewhere_and_no_style_or_script_is_inline() -> None:
    page = _text("index.html")
    assert not re.search(r"\sstyle=|\son[a-z]+=|<style|<script(?![^>]*\ssrc=)", page)
    for path in [page, *(path.read_text() for path in STATIC.glob("*s/*.*s"))]:
        assert not re.search(r"""(?:src|href|url\(|from|import)[\s=("']*https?://""", path)


def test_page_is_light() -> None:
    parts = [STATIC / "index.html", STATIC / "favicon.svg"]
    for folder in ("js", "css", "vendor/uplot", "vendor/inter"):
        parts += [path for path in (STATIC / folder).rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in parts) < WEIGHT_BYTES_MAX  # and half of that, compressed

"""The page's files belong together: what is fetched early is what is needed, and nothing is loaded from elsewhere."""

from __future__ import annotations

import gzip
import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import tillroll

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Page
    from tests.browser.process import Server

STATIC = Path(tillroll.__file__).parent / "web" / "static"
WEIGHT_BYTES_MAX = 150_000  # compressed; the font is beside it, and kept by the browser


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


VIEWS = ("overview", "report", "operations", "reports", "purchases")


@pytest.mark.parametrize("view", VIEWS)
def test_what_a_view_needs_is_fetched_with_the_page(view: str) -> None:
    listed = re.search(rf"^  {view}: (\[.*\]),$", _text("js/early.js"), re.MULTILINE)
    assert listed
    assert set(json.loads(listed[1])) == needed(f"views/{view}") - needed("main")


def test_what_the_page_needs_is_fetched_with_it() -> None:
    preloaded = re.findall(r'<link rel="modulepreload" href="/static/js/(.*)\.js">', _text("index.html"))
    assert set(preloaded) == needed("main") - {"main"}


def test_parameters_of_a_view_are_documented_with_all_their_values() -> None:
    document = (Path(__file__).parents[2] / "docs" / "frontends.md").read_text()
    state, span = _text("js/state.js"), _text("js/span.js")
    choices = {name: json.loads(values) for name, values in re.findall(r"^  (\w+): (\[.*\]),$", state, re.MULTILINE)}
    presets = span[span.index("const PRESETS") : span.index("export const PRESET_NAMES")]
    choices["range"] = re.findall(r'^  "?([\w-]+)"?: \{', presets, re.MULTILINE)
    choices["compare"] = json.loads(span.partition("COMPARISONS = ")[2].partition(";")[0])
    assert set(choices) == {"range", "grain", "compare", "measure", "order"}
    for name, values in choices.items():
        [row] = re.findall(rf"^\| `{name}` \| (.*) \|$", document, re.MULTILINE)
        assert re.findall("`([^`]*)`", row) == values, name


def test_nothing_comes_from_elsewhere_and_no_style_or_script_is_inline() -> None:
    page = _text("index.html")
    assert not re.search(r"\sstyle=|\son[a-z]+=|<style|<script(?![^>]*\ssrc=)", page)
    for path in [page, *(path.read_text() for path in STATIC.glob("*s/*.*s"))]:
        assert not re.search(r"""(?:src|href|url\(|from|import)[\s=("']*https?://""", path)


def test_page_is_light() -> None:
    parts = [STATIC / "index.html", STATIC / "favicon.svg"]
    for folder in ("js", "css", "vendor/uplot"):
        parts += [path for path in (STATIC / folder).rglob("*") if path.is_file()]
    assert sum(len(gzip.compress(path.read_bytes(), 6)) for path in parts) < WEIGHT_BYTES_MAX


def colors(theme: int) -> dict[str, tuple[int, ...]]:
    """Return the colours of a theme (0 light, 1 dark) by their names."""
    pairs = re.findall(r"--([a-z0-9-]+): light-dark\(#([0-9a-f]{6}), #([0-9a-f]{6})\)", _text("css/tokens.css"))
    return {name: tuple(bytes.fromhex(both[theme])) for name, *both in pairs}


def contrast(one: tuple[int, ...], other: tuple[int, ...]) -> float:
    """Return the contrast of two colours (WCAG 2.2, relative luminance)."""

    def luminance(color: tuple[int, ...]) -> float:
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (part / 255 for part in color)]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", [0, 1])
def test_colors_stand_out(theme: int) -> None:
    found = colors(theme)
    texts = {
        (text, ground): 4.5 for text in ("ink", "muted", "accent", "good", "bad") for ground in ("ground", "surface")
    }
    texts |= {(f"on-{name}", name): 4.5 for name in ("method-1", "method-2", "method-3", "accent")}
    parts = {(name, "surface"): 3.0 for name in found if re.fullmatch(r"(bracket|method|outcome|series)-\d", name)}
    assert len(parts) == 20
    weak = {pair: contrast(found[pair[0]], found[pair[1]]) for pair in texts | parts}
    assert {pair: value for pair, value in weak.items() if value < (texts | parts)[pair]} == {}


LOADED = "performance.getEntriesByType('resource').filter((one) => one.name.includes('/static/'))"


def test_second_visit_asks_for_no_file_of_the_page_again(open_page: Callable[..., Page], fresh_server: Server) -> None:
    modules = [f"/js/{module}.js" for module in set().union(*(needed(f"views/{view}") for view in VIEWS))]
    all_loaded = f"modules => modules.every((module) => {LOADED}.some(({{ name }}) => name.endsWith(module)))"
    page = open_page(fresh_server.url)
    page.wait_for_function(all_loaded, arg=modules)  # those of other views too, which are fetched after the first
    page.goto(f"{fresh_server.url}/healthz")
    page.goto(fresh_server.url)
    page.wait_for_function(all_loaded, arg=modules)
    assert [one["name"] for one in page.evaluate(LOADED) if one["transferSize"]] == []

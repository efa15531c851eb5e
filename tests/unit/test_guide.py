"""The guides in the product: all of docs/, with links that lead somewhere, and nothing of a text taken for HTML."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tillroll.web.guide import FOLDER, INDEX, Guide, Guides

if TYPE_CHECKING:
    from collections.abc import Iterator

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def guides() -> Guides:
    return Guides()


def links(guides: Guides) -> Iterator[tuple[str, str]]:
    for name, guide in guides.all.items():
        for href in re.findall(r'<a href="([^"]*)"', guide.body):
            yield name, href


def test_every_file_of_docs_is_a_guide_and_the_index_names_each(guides: Guides) -> None:
    names = {path.stem for path in DOCS.glob("*.md")}
    assert FOLDER.resolve() == DOCS
    assert set(guides.all) == names
    named = set(re.findall(r'href="/guide/([a-z0-9-]+)"', guides.all[INDEX].body))
    assert named == names - {INDEX}


def test_every_link_between_guides_leads_to_a_heading_that_is_there(guides: Guides) -> None:
    anchors = {name: {section.anchor for section in guide.sections} for name, guide in guides.all.items()}
    lost = []
    count = 0
    for name, href in links(guides):
        page, _, anchor = href.partition("#")
        if "://" in page:
            continue
        count += 1
        target = name if not page else page.removeprefix("/guide").removeprefix("/") or INDEX
        if target not in anchors or (anchor and anchor not in anchors[target]):
            lost.append((name, href))
    assert lost == []
    assert count > 40


def test_anchors_are_those_of_the_pages_themselves_and_none_is_there_twice(guides: Guides) -> None:
    for guide in guides.all.values():
        ids = re.findall(r'<h\d id="([^"]*)"', guide.body)
        assert ids == [section.anchor for section in guide.sections]
        assert len(set(ids)) == len(ids)


def test_text_of_a_guide_is_never_html() -> None:
    hostile = "<img src=x onerror=alert(1)>"
    guide = Guide("x", f"# {hostile}\n\n{hostile}\n\n| a |\n|---|\n| {hostile} |\n\n[a](javascript:alert(1))\n")
    assert "<img" not in guide.body
    assert 'href="javascript' not in guide.body
    assert guide.title == hostile
    guides = Guides()
    guides.__dict__["all"] = {INDEX: guide}
    assert "<img src=x" not in guides.page(INDEX)


def test_the_index_has_the_words_of_each_section(guides: Guides) -> None:
    rows = json.loads(guides.index)
    (found,) = [row for row in rows if row["href"] == "/guide/operations#tokens"]
    assert found["title"] == "Tokens"
    assert "token" in found["text"]
    assert all(row["text"] == "" or row["text"].isprintable() or "\n" in row["text"] for row in rows)

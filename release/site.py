"""Build a site of the guides from docs/: `python -m release.site [FOLDER]`.

A file of the sources has no address there: it is named and not linked. A warning, a link that leads nowhere, or what
the site would fetch from elsewhere fails it.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote, urlsplit

from tests.aws.fetch_environments import install

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT: Final = Path(__file__).parents[1]
DOCS: Final = ROOT / "docs"
_OF_SOURCES: Final = re.compile(r"\[([^\]]*)\]\(\.\./[^)]*\)")
_HEADING: Final = re.compile(r"(?m)^## (.*)$|^- \[([^\]]*)\]\(([a-z0-9-]+\.md)\)")
_PALETTE: Final = '[[project.theme.palette]]\nscheme = "{}"\ntoggle.icon = "{}"\ntoggle.name = "{}"\n'


def main(words: list[str]) -> int:
    """Build into the directory named, and say what is wrong with it."""
    target = Path(words[0] if words else ROOT / "build" / "site").resolve()
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder)
        (source / "docs").mkdir()
        for path in DOCS.glob("*.md"):
            (source / "docs" / path.name).write_text(_OF_SOURCES.sub(r"\1", path.read_text("utf-8")), "utf-8")
        (source / "zensical.toml").write_text(_settings((DOCS / "index.md").read_text("utf-8")), "utf-8")
        command = [str(install("zensical") / "bin" / "zensical"), "build", "--clean", "--strict"]
        built = subprocess.run(command, cwd=source, check=False, capture_output=True, text=True)
        if built.returncode:
            print(built.stdout + built.stderr, file=sys.stderr)
            return 1
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(source / "site", target)
    problems = list(check(target))
    for problem in problems:
        print(problem, file=sys.stderr)
    print(f"{len(list(target.rglob('*.html')))} pages in {target}")
    return 1 if problems else 0


def _settings(index: str) -> str:
    """Return the settings of the generator, with the order of the pages that the index has."""
    nav: list[dict[str, Any]] = [{"Guides": "index.md"}]
    for group, title, page in _HEADING.findall(index):
        if group:
            nav.append({group: []})
        else:
            next(iter(nav[-1].values())).append({title: page})
    palettes = _PALETTE.format("default", "lucide/sun", "Dark") + _PALETTE.format("slate", "lucide/moon", "Light")
    features = ["navigation.sections", "navigation.footer", "content.code.copy", "toc.follow", "search.highlight"]
    lines = [
        'site_name = "Tillroll"',
        'site_description = "Purchases, counted exactly"',
        'docs_dir = "docs"',
        'site_dir = "site"',
        f"nav = {_toml(nav)}",
        "[project.theme]",
        "font = false",
        f"features = {json.dumps(features)}",
    ]
    return "[project]\n" + "\n".join(lines) + "\n" + palettes


def _toml(value: Any) -> str:
    """Return lists and tables of text as TOML."""
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{json.dumps(name)} = {_toml(each)}' for name, each in value.items())} }}"
    return json.dumps(value)


class _Page(HTMLParser):
    """The addresses in a page: where its links lead, what it fetches, and the places in it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.fetched: list[str] = []
        self.places: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        self.places.add(found.get("id", ""))
        if "href" in found:
            (self.links if tag == "a" else self.fetched).append(found["href"])
        if "src" in found:
            self.fetched.append(found["src"])


def check(site: Path) -> Iterator[str]:
    """Yield what is wrong with a built site: links that lead nowhere, and what it would fetch from elsewhere."""
    pages = {path: _Page(path.read_text("utf-8")) for path in site.rglob("*.html") if path.name != "404.html"}
    for path, page in pages.items():
        name = path.relative_to(site)
        for href in page.fetched:
            if urlsplit(href).netloc:
                yield f"{name} fetches {href}"
        for href in page.links:
            parts = urlsplit(href)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            target = target / "index.html" if target.is_dir() else target
            if not target.exists():
                yield f"{name}: there is nothing at {href}"
            elif parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].places:
                yield f"{name}: there is no such place: {href}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

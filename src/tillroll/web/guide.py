"""The guides of docs/ as pages of the server, with an index to search in: no network is needed."""

from __future__ import annotations

import html
import re
from functools import cache, cached_property
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec
from starlette.exceptions import HTTPException
from starlette.responses import Response

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from markdown_it.token import Token
    from starlette.requests import Request

    from tillroll.web.state import ServerState
    from tillroll.web.static import StaticPages

FOLDER: Final = Path(__file__).parent / "guide"
INDEX: Final = "index"
_SCROLLED: Final = '<div class="wide" tabindex="0" role="region" aria-label="Table {}"><table>'
_LINK: Final = re.compile(r"\(([a-z0-9-]+)\.md\)")


class Section(NamedTuple):
    """A heading with what stands under it, as text."""

    level: int
    title: str
    anchor: str
    text: str


class Guide:
    """One guide, rendered."""

    def __init__(self, name: str, markdown: str, titles: Mapping[str, str] = {}) -> None:
        """`titles` are those of all guides: a link that says no more than a file says the title of that."""
        from markdown_it import MarkdownIt  # noqa: PLC0415 only when somebody reads

        self.name = name
        parser = MarkdownIt("commonmark", {"html": False}).enable("table")
        tokens = parser.parse(markdown)
        self.sections = list(_sections(tokens))
        anchors = iter(self.sections)
        for token in tokens:
            if token.type == "heading_open":
                token.attrSet("id", next(anchors).anchor)
            for child in token.children or ():
                _mend(child)
                if child.content.endswith(".md"):
                    child.content = titles.get(child.content.removesuffix(".md"), child.content)
        body: str = parser.renderer.render(tokens, parser.options, {})
        # What is wider than the page is scrolled, also with the keys alone.
        numbers = count(1)
        body = re.sub("<table>", lambda _: _SCROLLED.format(next(numbers)), body)
        self.body = body.replace("</table>", "</table></div>").replace("<pre>", '<pre tabindex="0">')

    @property
    def title(self) -> str:
        """The heading of all."""
        return self.sections[0].title


def _sections(tokens: Sequence[Token]) -> Iterator[Section]:
    """Yield each heading with the text up to the next, and an anchor as other renderers of Markdown give it."""
    taken: dict[str, int] = {}
    level, title = 0, ""
    texts: list[str] = []
    for index, token in enumerate(tokens):
        if token.type == "heading_open":
            if level:
                yield Section(level, title, _anchor(title, taken), " ".join(texts))
            level, title, texts = int(token.tag[1]), _text(tokens[index + 1]), []
        elif token.type in {"inline", "fence", "code_block"} and tokens[index - 1].type != "heading_open":
            texts.append(_text(token))
    yield Section(level, title, _anchor(title, taken), " ".join(texts))


def _text(token: Token) -> str:
    return "".join(child.content or " " for child in token.children) if token.children else token.content


def _anchor(title: str, taken: dict[str, int]) -> str:
    slug = re.sub(r"\s", "-", re.sub(r"[^\w\s-]", "", title.lower()))
    taken[slug] = taken.get(slug, -1) + 1
    return f"{slug}-{taken[slug]}" if taken[slug] else slug


def _mend(token: Token) -> None:
    """Have a link between guides lead to the page, and one to a file of the sources be the name of that file."""
    if token.type != "link_open":
        return
    page, mark, anchor = str(token.attrGet("href")).partition("#")
    if page.endswith(".md") and "/" not in page:
        token.attrSet("href", f"/guide/{page.removesuffix('.md')}{mark}{anchor}".replace(f"/{INDEX}", ""))
    elif "://" in page:
        token.attrSet("rel", "noreferrer")
    elif page:
        token.attrs = {"title": "A file of the source archive", "class": "source-file"}


class Guides:
    """All guides, rendered when the first is asked for."""

    @cached_property
    def all(self) -> dict[str, Guide]:
        """The guides by name, in the order in which the index names them."""
        order = _LINK.findall((FOLDER / f"{INDEX}.md").read_text("utf-8"))
        texts = {path.stem: path.read_text("utf-8") for path in sorted(FOLDER.glob("*.md"))}
        titles = {name: text.partition("\n")[0].removeprefix("# ") for name, text in texts.items()}
        return {name: Guide(name, texts[name], titles) for name in dict.fromkeys((INDEX, *order, *texts))}

    @cached_property
    def index(self) -> bytes:
        """What a page searches in, as JSON."""
        rows = [
            {
                "page": guide.title,
                "title": section.title,
                "href": f"{_address(name)}#{section.anchor}",
                "text": section.text,
            }
            for name, guide in self.all.items()
            for section in guide.sections
        ]
        return msgspec.json.encode(rows)

    @cache  # noqa: B019 as many as there are guides, for as long as the server
    def page(self, name: str) -> str:
        """Return a guide as a page of HTML."""
        guide = self.all[name]
        return _PAGE.format(
            title=html.escape(guide.title),
            guides="".join(self._entry(other, here=other == name) for other in self.all),
            contents="".join(
                f'<li><a href="#{section.anchor}">{html.escape(section.title)}</a></li>'
                for section in guide.sections
                if section.level == 2
            ),
            body=guide.body,
        )

    def _entry(self, name: str, *, here: bool) -> str:
        current = ' aria-current="page"' if here else ""
        return f'<li><a href="{_address(name)}"{current}>{html.escape(self.all[name].title)}</a></li>'


def _address(name: str) -> str:
    return "/guide" if name == INDEX else f"/guide/{name}"


class GuideRoutes:
    """Serves the guides."""

    def __init__(self, state: ServerState, pages: StaticPages) -> None:
        self._state = state
        self._pages = pages
        self._guides = Guides()

    async def page(self, request: Request) -> Response:
        """GET /guide, and /guide/{name}."""
        name = request.path_params.get("name", INDEX)
        guides = await self._state.read(lambda: self._guides.all)
        if name not in guides or (name == INDEX and "name" in request.path_params):
            raise HTTPException(404)
        return await self._pages.answer(request, self._guides.page(name))

    async def index(self, _: Request) -> Response:
        """GET /guide/index.json."""
        index = await self._state.read(lambda: self._guides.index)
        return Response(index, media_type="application/json", headers=_CACHED)


_CACHED: Final[dict[str, Any]] = {"Cache-Control": "no-cache"}
_PAGE: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>{title} · Tillroll guide</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<link rel="icon" href="/static/favicon.svg" type="image/svg+xml">
<link rel="stylesheet" href="/static/css/tokens.css">
<link rel="stylesheet" href="/static/guide/guide.css">
<script src="/static/guide/theme.js"></script>
<script src="/static/guide/guide.js" type="module"></script>
</head>
<body>
<a class="skip" href="#main">Skip to the content</a>
<header class="bar">
<a class="brand" href="/"><img src="/static/favicon.svg" alt="" width="24" height="24">Tillroll</a>
<nav aria-label="Places">
<a href="/">Reports</a><a href="/guide" aria-current="true">Guide</a><a href="/docs">API</a>
</nav>
<div class="search"><label for="search" class="sr">Search the guides</label>
<input id="search" type="search" placeholder="Search the guides" autocomplete="off" spellcheck="false">
<div id="found" role="status" hidden></div></div>
</header>
<div class="columns">
<nav class="guides" aria-label="Guides"><details open><summary>Guides</summary><ul>{guides}</ul></details></nav>
<main id="main" tabindex="-1">{body}</main>
<nav class="contents" aria-label="On this page"><h2>On this page</h2><ul>{contents}</ul></nav>
</div>
</body>
</html>
"""

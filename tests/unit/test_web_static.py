"""A file of the page is kept by a browser as long as its address holds for its content, and for that alone."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING

from starlette.requests import Request

from tillroll.web.static import StaticPages

if TYPE_CHECKING:
    from pathlib import Path

    from starlette.responses import Response

PAGE = '<script src="/static/js/a.js"></script><script src="/static/js/b.js"></script>'


def pages_in(folder: Path) -> StaticPages:
    (folder / "js").mkdir(parents=True)
    for name, text in {"index.html": PAGE, "js/a.js": "import './b.js'", "js/b.js": "b"}.items():
        (folder / name).write_text(text)
    return StaticPages(folder)


def stamp_in(pages: StaticPages) -> str:
    request = Request({"type": "http", "method": "GET", "headers": []})
    html = bytes(asyncio.run(pages.answer(request, PAGE)).body).decode()
    (stamp,) = set(re.findall(r'"/static/([0-9a-f]{16})/js/[ab]\.js"', html))
    assert html == PAGE.replace("/static/", f"/static/{stamp}/")
    return str(stamp)


def file_of(pages: StaticPages, path: str) -> Response:
    return asyncio.run(pages.files.get_response(path, {"method": "GET", "headers": []}))


def is_kept(pages: StaticPages, path: str) -> bool:
    told = file_of(pages, path).headers["cache-control"]
    return {"public, max-age=31536000, immutable": True, "no-cache": False}[told]


def test_address_of_the_content_is_kept_and_others_are_asked_for_each_time(tmp_path: Path) -> None:
    pages = pages_in(tmp_path)
    stamp = stamp_in(pages)
    assert is_kept(pages, f"{stamp}/js/b.js")
    for other in ("js/b.js", "0123456789abcdef/js/b.js"):
        assert not is_kept(pages, other)
        assert file_of(pages, other).body == b"b"


def test_change_of_one_file_changes_the_addresses_of_all_and_ends_what_the_old_ones_promise(tmp_path: Path) -> None:
    pages = pages_in(tmp_path)
    old = stamp_in(pages)
    (tmp_path / "js/b.js").write_text("other")
    assert not is_kept(pages, f"{old}/js/b.js"), "also before the page is asked for again"
    new = stamp_in(pages)
    assert new != old
    for name in ("js/a.js", "js/b.js"):
        assert is_kept(pages, f"{new}/{name}")
        assert not is_kept(pages, f"{old}/{name}")
    (tmp_path / "js/b.js").write_text("b")
    assert stamp_in(pages) == old


def test_servers_with_the_same_files_name_the_same_addresses_whoever_sent_the_page(tmp_path: Path) -> None:
    one, other = pages_in(tmp_path / "one"), pages_in(tmp_path / "other")
    assert is_kept(other, f"{stamp_in(one)}/js/a.js")
    (tmp_path / "one/index.html").write_text(PAGE + " ")
    assert not is_kept(other, f"{asyncio.run(one.files.stamp())}/js/a.js")

"""The page's files, compressed: a page names each by an address of its content, which browsers keep."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import FileResponse, Response
from starlette.staticfiles import NotModifiedResponse, StaticFiles

from tillroll.web.answers import answer, takes
from tillroll.web.validators import validated

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from starlette.requests import Request

_WORTH: Final = 0.9  # of its size, that a file has at most when it is compressed
_STAMP_BYTES: Final = 8
_STAMPED: Final = re.compile(r"([0-9a-f]{16})/(.+)")
_ASKED_EACH_TIME: Final = "no-cache"
_KEPT: Final = "public, max-age=31536000, immutable"


class StaticPages:
    """Serves a directory of files, and pages with an address of their own that need them."""

    def __init__(self, directory: Path) -> None:
        self.files = _Files(directory)

    def page(self, name: str) -> Callable[[Request], Awaitable[Response]]:
        """Return the route of one of the files as a page."""

        async def route(request: Request) -> Response:
            if "range" in request.headers:  # a part is of the file as it is
                return await self.files.get_response(name, request.scope)
            return await self.answer(request, await self.files.text(name))

        return route

    async def answer(self, request: Request, html: str) -> Response:
        """Return a page, in which each file's address is that of its content of now."""
        html = html.replace('"/static/', f'"/static/{await self.files.stamp()}/')
        found = answer(request, html.encode(), "text/html; charset=utf-8", {"Vary": "Accept-Encoding"})
        found = validated(request, found)
        found.headers["Cache-Control"] = _ASKED_EACH_TIME
        return found


class _Read(NamedTuple):
    """A file as it was when it was read: the page is fifty of them, and a new reader wants all at once."""

    changed: tuple[int, int]
    headers: dict[str, str]
    body: bytes
    packed: bytes | None  # None where that would save nothing

    def response(self, *, packed: bool) -> Response:
        """Return the file, compressed if that is wanted and there: with another tag, as a strong one must have."""
        if not packed or self.packed is None:
            return Response(self.body, headers=self.headers)
        tag = self.headers["etag"].removesuffix('"') + '-gzip"'
        length = str(len(self.packed))
        return Response(
            self.packed, headers=self.headers | {"etag": tag, "content-encoding": "gzip", "content-length": length}
        )


def _read(path: Path) -> _Read:
    stat = path.stat()
    body = path.read_bytes()
    packed = gzip.compress(body, mtime=0)
    headers = {**FileResponse(path, stat_result=stat).headers, "vary": "Accept-Encoding"}
    is_smaller = len(packed) < _WORTH * len(body)
    return _Read((stat.st_mtime_ns, stat.st_size), headers, body, packed if is_smaller else None)


class _Files(StaticFiles):
    """Files known by name before anyone asks: no path that a sender makes up comes near the file system.

    An address with the stamp of other content, as a page of another release has it, is that of the file of now.
    """

    def __init__(self, directory: Path) -> None:
        super().__init__(directory=directory)
        paths = sorted(path for path in directory.rglob("*") if path.is_file())
        self._files = {path.relative_to(directory).as_posix(): path for path in paths}
        self._held: dict[Path, _Read] = {}
        self._changed: dict[Path, tuple[int, int]] = {}
        self._stamp = ""

    async def stamp(self) -> str:
        """Return what stands for the content of all files: they load each other, so they change together."""
        changed = {path: _changed(path) for path in self._files.values()}
        if changed != self._changed:
            self._stamp = await asyncio.to_thread(self._hash)
            self._changed = changed
        return self._stamp

    async def text(self, name: str) -> str:
        """Return what stands in a file."""
        return (await self._whole(self._files[name])).body.decode()

    async def get_response(self, path: str, scope: Any) -> Response:
        stamped = _STAMPED.fullmatch(path)
        file = self._files.get(stamped[2] if stamped else path)
        if file is None:
            raise HTTPException(404)
        if scope["method"] not in {"GET", "HEAD"}:
            raise HTTPException(405, headers={"Allow": "GET, HEAD"})
        headers = Headers(scope=scope)
        if "range" in headers:
            response = self.file_response(file, file.stat(), scope)
        else:
            response = (await self._whole(file)).response(packed=takes(headers.get("accept-encoding", ""), "gzip"))
        is_kept = stamped is not None and await self._is_of_now(file, stamped[1])
        response.headers["Cache-Control"] = _KEPT if is_kept else _ASKED_EACH_TIME
        return NotModifiedResponse(response.headers) if self.is_not_modified(response.headers, headers) else response

    async def _is_of_now(self, file: Path, stamp: str) -> bool:
        held = self._stamp or await self.stamp()
        return stamp == held and self._changed[file] == _changed(file)

    async def _whole(self, file: Path) -> _Read:
        """Return a file, read again only when it was changed."""
        held = self._held.get(file)
        if held is None or held.changed != _changed(file):
            held = self._held[file] = await asyncio.to_thread(_read, file)
        return held

    def _hash(self) -> str:
        contents = [f"{name} {hashlib.sha256(path.read_bytes()).hexdigest()}\n" for name, path in self._files.items()]
        return hashlib.blake2b("".join(contents).encode(), digest_size=_STAMP_BYTES).hexdigest()


def _changed(path: Path) -> tuple[int, int]:
    """Return what is another once a file was changed; it takes microseconds."""
    stat = path.stat()
    return stat.st_mtime_ns, stat.st_size

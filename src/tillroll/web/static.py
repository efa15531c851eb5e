"""The page's files, compressed, with validators: a browser asks again each time, and is told when nothing changed."""

from __future__ import annotations

import asyncio
import gzip
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import FileResponse, Response
from starlette.staticfiles import NotModifiedResponse, StaticFiles

from tillroll.web.answers import takes

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from starlette.requests import Request

_WORTH: Final = 0.9  # of its size, that a file has at most when it is compressed


class StaticPages:
    """Serves a directory of files, and some of them as pages with an address of their own."""

    def __init__(self, directory: Path) -> None:
        self.files = _Files(directory)

    def page(self, name: str) -> Callable[[Request], Awaitable[Response]]:
        """Return the route of one of the files."""

        async def answer(request: Request) -> Response:
            return await self.files.get_response(name, request.scope)

        return answer


class _Read(NamedTuple):
    """A file as it was when it was read: the page is fifty of them, and a new reader wants all at once."""

    stamp: tuple[int, int]
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
    headers = {**FileResponse(path, stat_result=stat).headers, "cache-control": "no-cache", "vary": "Accept-Encoding"}
    is_smaller = len(packed) < _WORTH * len(body)
    return _Read((stat.st_mtime_ns, stat.st_size), headers, body, packed if is_smaller else None)


class _Files(StaticFiles):
    """Files known by name before anyone asks: no path that a sender makes up comes near the file system."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory=directory)
        self._files = {path.relative_to(directory).as_posix(): path for path in directory.rglob("*") if path.is_file()}
        self._held: dict[Path, _Read] = {}

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        response = super().file_response(*args, **kwargs)
        response.headers["Cache-Control"] = "no-cache"
        return response

    async def get_response(self, path: str, scope: Any) -> Response:
        file = self._files.get(path)
        if file is None:
            raise HTTPException(404)
        if scope["method"] not in {"GET", "HEAD"}:
            raise HTTPException(405, headers={"Allow": "GET, HEAD"})
        headers = Headers(scope=scope)
        if "range" in headers:
            return self.file_response(file, file.stat(), scope)
        read = await self._whole(file)
        response = read.response(packed=takes(headers.get("accept-encoding", ""), "gzip"))
        return NotModifiedResponse(response.headers) if self.is_not_modified(response.headers, headers) else response

    async def _whole(self, file: Path) -> _Read:
        """Return a file, read again only when it was changed."""
        stat, held = file.stat(), self._held.get(file)  # noqa: ASYNC240 microseconds, for a file that is in use
        if held is None or held.stamp != (stat.st_mtime_ns, stat.st_size):
            held = self._held[file] = await asyncio.to_thread(_read, file)
        return held

"""The page's files, with validators: a browser asks again each time, and is told when nothing changed."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING, Any

from starlette.exceptions import HTTPException
from starlette.staticfiles import StaticFiles

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from starlette.requests import Request
    from starlette.responses import Response


class StaticPages:
    """Serves a directory of files, and some of them as pages with an address of their own."""

    def __init__(self, directory: Path) -> None:
        self.files = _Files(directory=directory)

    def page(self, name: str) -> Callable[[Request], Awaitable[Response]]:
        """Return the route of one of the files."""

        async def answer(request: Request) -> Response:
            return await self.files.get_response(name, request.scope)

        return answer


class _Files(StaticFiles):
    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        response = super().file_response(*args, **kwargs)
        response.headers["Cache-Control"] = "no-cache"
        return response

    async def get_response(self, path: str, scope: Any) -> Response:
        full_path, found = self.lookup_path(path)
        if found is None or not stat.S_ISREG(found.st_mode) or scope["method"] not in {"GET", "HEAD"}:
            allowed = {"Allow": "GET, HEAD"}
            if found is not None and stat.S_ISREG(found.st_mode):
                raise HTTPException(405, headers=allowed)
            raise HTTPException(404)
        return self.file_response(full_path, found, scope)

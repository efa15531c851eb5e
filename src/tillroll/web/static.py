"""The page's files, with validators: a browser asks again each time, and is told when nothing changed."""

from __future__ import annotations

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
        self.files = _Files(directory)

    def page(self, name: str) -> Callable[[Request], Awaitable[Response]]:
        """Return the route of one of the files."""

        async def answer(request: Request) -> Response:
            return await self.files.get_response(name, request.scope)

        return answer


class _Files(StaticFiles):
    """Files known by name before anyone asks: no path that a sender makes up comes near the file system."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory=directory)
        self._files = {path.relative_to(directory).as_posix(): path for path in directory.rglob("*") if path.is_file()}

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
        return self.file_response(file, file.stat(), scope)

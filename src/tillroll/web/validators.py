"""Entity tags: a reader who has an answer already is told that nothing changed (RFC 9110, 8.8 and 13.1)."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from starlette.responses import Response

if TYPE_CHECKING:
    from starlette.requests import Request

_TAG_BYTES: Final = 16


def validated(request: Request, response: Response) -> Response:
    """Return an answer with its tag, or 304 when the reader has it.

    The tag is a hash of the bytes that are sent, and of the headers that say what they are: the same content has the
    same tag on every server and after every restart; compressed it has another, as a strong tag must.
    """
    if response.status_code != 200:
        return response
    hashed = hashlib.blake2b(response.body, digest_size=_TAG_BYTES)
    for name, value in sorted(response.raw_headers):
        hashed.update(b"\n%s:%s" % (name, value))
    tag = f'"{hashed.hexdigest()}"'
    response.headers["ETag"] = tag
    response.headers["Cache-Control"] = "private, no-cache"  # kept by the reader alone, who asks each time
    if not _is_among(tag, request.headers.getlist("if-none-match")):
        return response
    headers = {name: value for name, value in response.headers.items() if not name.startswith("content-")}
    return Response(status_code=304, headers=headers)


def _is_among(tag: str, fields: list[str]) -> bool:
    known = [part.strip() for field in fields for part in field.split(",")]
    return "*" in known or tag in [each.removeprefix("W/") for each in known]

"""Bodies of requests: read and decompressed with a bound on each step, whatever the sender claims or intends."""

from __future__ import annotations

import sys
import zlib
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from tillroll.web.problem import Problem

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    Receive = Callable[[], Awaitable[Any]]

ENCODINGS: Final = ("identity", "gzip", "zstd")
_PIECE_BYTES: Final = 1 << 20
_FED_BYTES: Final = 1 << 16
_MEMBERS_MAX: Final = 1_000
_GZIP_WINDOW: Final = 31  # 15 bits, and a gzip header (zlib's inflateInit2)
_ZSTD_WINDOW_LOG_MAX: Final = 25  # 32 MiB: what a decoder may be made to allocate; level 19 asks for 8 MiB
_HELD_BYTES_MAX: Final = 128 * 2**20  # of all bodies that have come in part, or wait to be looked into


class BodyReader:
    """Reads bodies, and knows how much of them has come and waits: for its rest, or to be looked into."""

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self.held = 0

    async def read(self, receive: Receive, declared: bytes | None, bytes_max: int | None = None) -> bytes:
        """Return a request's whole body, of at most so many bytes. `declared` is its Content-Length.

        Raises:
            Problem: it is, or says that it will be, larger than is taken; or all that come at once are.
            ClientLeftError: the sender is gone.
        """
        bytes_max = self._bytes_max if bytes_max is None else bytes_max
        if declared is not None and int(declared) > bytes_max:
            raise too_large(bytes_max)
        message = await receive()
        if message["type"] == "http.request" and not message["more_body"]:
            body: bytes = message["body"]
            if len(body) > bytes_max:
                raise too_large(bytes_max)
            return body
        return await self._read_on(message, receive, bytes_max)

    async def _read_on(self, message: Any, receive: Receive, bytes_max: int) -> bytes:
        pieces = bytearray()
        try:
            while True:
                if message["type"] != "http.request":
                    raise ClientLeftError
                piece = message["body"]
                pieces += piece
                self.held += len(piece)
                if len(pieces) > bytes_max:
                    raise too_large(bytes_max)
                if not message["more_body"]:
                    return bytes(pieces)
                self._refuse_too_much()
                message = await receive()
        finally:
            self.held -= len(pieces)

    @contextmanager
    def holding(self, size: int) -> Iterator[None]:
        """Count so many bytes as held, for the body's time.

        Raises:
            Problem: too many are held already.
        """
        self.held += size
        try:
            self._refuse_too_much()
            yield
        finally:
            self.held -= size

    def _refuse_too_much(self) -> None:
        if self.held > _HELD_BYTES_MAX:
            detail = f"{self.held} bytes of bodies are being received. Send again in a second"
            raise Problem("overloaded", detail, headers={"Retry-After": "1", "Connection": "close"})


class ClientLeftError(Exception):
    """Nobody waits for an answer any more."""


def too_large(bytes_max: int) -> Problem:
    """Return the problem of a body that is too large. The connection is closed, for more of it may come."""
    detail = f"The body is larger than the limit of {bytes_max} bytes. Send it in parts, or import it as a file"
    return Problem("too_large", detail, headers={"Connection": "close"})


def encoding_of(header: bytes | None) -> str:
    """Return which of ENCODINGS a Content-Encoding header names.

    Raises:
        Problem: none of them.
    """
    names = [part.strip().lower() for part in (header or b"").decode("latin-1").split(",")]
    name = ", ".join(name for name in names if name not in {"", "identity"}) or "identity"
    name = "gzip" if name == "x-gzip" else name
    if name not in ENCODINGS:
        detail = f"The Content-Encoding {name!r} is not one of {', '.join(ENCODINGS)}"
        raise Problem("unknown_encoding", detail, headers={"Accept-Encoding": ", ".join(ENCODINGS)})
    return name


def decompress(data: bytes, encoding: str, bytes_max: int) -> bytes:
    """Return what a compressed body holds: all its members or frames, never holding much more than `bytes_max`.

    Raises:
        Problem: it is not of the encoding, ends early, or holds more than `bytes_max`.
    """
    out = bytearray()
    member = _gzip_member if encoding == "gzip" else _zstd_frame
    at = members = 0
    try:
        while at < len(data):
            members += 1
            if members > _MEMBERS_MAX:
                detail = f"The body is more than {_MEMBERS_MAX} {encoding} streams in a row. Compress it as one"
                raise Problem("bad_encoding", detail)
            at = member(data, at, bytes_max, out)
            if encoding == "gzip" and not data[at:].strip(b"\0"):  # what fills a block of a tape, or of a tar
                break
    except (zlib.error, zstd.ZstdError) as error:
        detail = f"The body is not {encoding}, as its Content-Encoding says ({error})"
        raise Problem("bad_encoding", detail) from error
    return bytes(out)


def _gzip_member(data: bytes, at: int, bytes_max: int, out: bytearray) -> int:
    """Decompress one member onto `out`, and return where the next begins."""
    inflate = zlib.decompressobj(_GZIP_WINDOW)
    waiting = b""
    while not inflate.eof:
        if not waiting:
            waiting = data[at : at + _FED_BYTES]
            at += len(waiting)
        fed = len(waiting)
        piece = inflate.decompress(waiting, _piece_bytes(out, bytes_max))
        waiting = inflate.unconsumed_tail
        _append(out, piece, bytes_max)
        if not (fed or piece or inflate.eof):
            raise _cut_off("gzip")
    return at - len(inflate.unused_data)


def _zstd_frame(data: bytes, at: int, bytes_max: int, out: bytearray) -> int:
    """Decompress one frame onto `out`, and return where the next begins."""
    options: dict[int, int] = {zstd.DecompressionParameter.window_log_max: _ZSTD_WINDOW_LOG_MAX}
    expand = zstd.ZstdDecompressor(options=options)
    while not expand.eof:
        fed = data[at : at + _FED_BYTES] if expand.needs_input else b""
        at += len(fed)
        piece = expand.decompress(fed, _piece_bytes(out, bytes_max))
        _append(out, piece, bytes_max)
        if not (fed or piece or expand.eof):
            raise _cut_off("zstd")
    return at - len(expand.unused_data)


def _piece_bytes(out: bytearray, bytes_max: int) -> int:
    return min(_PIECE_BYTES, bytes_max + 1 - len(out))


def _append(out: bytearray, piece: bytes, bytes_max: int) -> None:
    out += piece
    if len(out) > bytes_max:
        raise too_large(bytes_max)


def _cut_off(encoding: str) -> Problem:
    return Problem("bad_encoding", f"The {encoding} body ends early. Send all of it")

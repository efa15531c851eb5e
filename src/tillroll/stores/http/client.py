"""A client of a server's HTTP interface: one connection, and problems as errors."""

from __future__ import annotations

import http.client
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import quote, urlencode

import msgspec

from tillroll.connection import connect, path_of
from tillroll.errors import ServerError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from email.message import Message

_TIMEOUT_S: Final = 300  # some questions read the whole journal
_PIECE_BYTES: Final = 1 << 20
_EXIT_CODES: Final = {400: 2, 404: 2, 409: 5, 422: 3}  # as the command has them on a store; else 4


class Answer(NamedTuple):
    """What a server answers: its headers, and its body as JSON; None where there is none."""

    headers: Message
    value: Any


class Client:
    """Asks one server. Not for use from several threads at once."""

    def __init__(self, url: str, token: str) -> None:
        """Connect when something is asked.

        Raises:
            ConfigError: the address is not one of HTTP.
        """
        self.url = url.rstrip("/")
        self._connection = connect(self.url, _TIMEOUT_S)
        self._response: http.client.HTTPResponse | None = None  # the last one
        self._path = path_of(self.url)
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    def close(self) -> None:
        """Release the connection."""
        self._connection.close()

    def request(
        self,
        method: str,
        path: Sequence[str],
        parameters: Mapping[str, Any] | None = None,
        body: bytes | None = None,
        kind: Any = Any,
    ) -> Answer:
        """Return the answer to a request, of a kind. The path is encoded; parameters may have several values.

        Raises:
            ServerError: the server is not there, or refuses.
        """
        response = self._request(method, path, parameters or {}, body)
        data = self._read(response)
        self._check(response, data)
        return Answer(response.headers, msgspec.json.decode(data, type=kind) if data else None)

    def lines(self, path: Sequence[str], parameters: Mapping[str, Any]) -> Iterator[bytes]:
        """Yield whole lines of an answer, about a MiB at a time.

        Raises:
            ServerError: the server refuses, or the answer breaks off.
        """
        response = self._request("GET", path, parameters, None)
        if response.status != http.client.OK:
            self._check(response, self._read(response))
        rest = b""
        while piece := self._read(response, _PIECE_BYTES):
            whole, end, rest = (rest + piece).rpartition(b"\n")
            if end:
                yield whole + end
        if rest:
            yield rest

    def _request(
        self, method: str, path: Sequence[str], parameters: Mapping[str, Any], body: bytes | None
    ) -> http.client.HTTPResponse:
        target = self._path + "".join(f"/{quote(part, safe='')}" for part in path)
        if parameters:
            target += "?" + urlencode(parameters, doseq=True, quote_via=quote)
        headers = self._headers | ({"Content-Type": "application/json"} if body is not None else {})
        if self._response is not None and not self._response.isclosed():  # nobody reads the rest of it
            self._connection.close()
        may_be_stale = self._connection.sock is not None
        while True:
            try:
                self._connection.request(method, target, body, headers)
                self._response = self._connection.getresponse()
            except (OSError, http.client.HTTPException) as error:
                self._connection.close()
                if not (may_be_stale and isinstance(error, ConnectionError)):
                    raise self._lost(error) from error
                may_be_stale = False  # the server has closed it meanwhile; what is asked here may be asked twice
            else:
                return self._response

    def _read(self, response: http.client.HTTPResponse, size: int | None = None) -> bytes:
        try:
            return response.read(size)
        except (OSError, http.client.HTTPException) as error:
            raise self._lost(error) from error

    def _lost(self, error: Exception) -> ServerError:
        self._connection.close()
        problem = str(error) or type(error).__name__
        return ServerError(f"{self.url}: no answer ({problem}). Check that the server runs there", 4)

    def _check(self, response: http.client.HTTPResponse, data: bytes) -> None:
        """Raise what a server says that it cannot do; the code is the problem's own."""
        if response.status < http.client.BAD_REQUEST:
            return
        try:
            problem = msgspec.json.decode(data, type=_Problem)
        except msgspec.DecodeError:
            told = data[:200].decode(errors="replace")
            raise ServerError(f"{self.url}: the server answers {response.status}: {told}", 4) from None
        message = problem.detail
        if problem.code.startswith("token_"):
            message = f"{self.url}: {problem.detail}. Give the token as TILLROLL_TOKEN, or with --token"
        raise ServerError(message, _EXIT_CODES.get(response.status, 4), problem.code, data)


class _Problem(msgspec.Struct):
    code: str
    detail: str

"""The wire to DynamoDB: signed HTTP/1.1 requests over kept connections, many at a time. The store's only I/O.

A fold is thousands of small updates, and boto3 spends some 2 ms of CPU on each. Here each of several connections has a
request under way, and gets the next as soon as its reply is there: the waiting overlaps without threads, no request
waits for a slow one, and each costs little more than its signature. How many are under way follows what the service
takes, as TCP does: one more for each round without a refusal, half of them after one that was refused for its rate.
"""

from __future__ import annotations

import binascii
import hashlib
import hmac
import select
import socket
import ssl
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import urlsplit

from tillroll.errors import StoreError
from tillroll.stores.dynamodb.calls import Fault, ReplyLost, Throttled, Unreachable
from tillroll.stores.dynamodb.tunnel import open_tunnel, read_proxy

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_CONTENT_TYPE: Final = "application/x-amz-json-1.0"
_SERVICE: Final = "dynamodb"
_TARGET: Final = "DynamoDB_20120810."
CONNECTIONS_MAX: Final = 128
_WIDTH: Final = 32.0  # under way at first
_PAUSE_S: Final = 0.005  # once a single request is too many; doubled up to
_PAUSE_S_MAX: Final = 0.1
_REFUSED_S_MAX: Final = 2.0  # then what is refused for its rate is given back: whoever asked may have a deadline
_CONNECT_S: Final = 5.0
_REPLY_S: Final = 15.0
_REPLY_BYTES_MAX: Final = 1 << 26  # BatchGetItem returns 16 MB, in base64 and JSON


class Credentials(NamedTuple):
    """What requests are signed with."""

    access_key: str
    secret_key: str
    token: str | None


class Request(NamedTuple):
    """An operation's name and its JSON."""

    operation: str
    body: bytes


class Reply(NamedTuple):
    """An HTTP status and the JSON that came with it; of one that is no success, by what AWS finds it in its logs."""

    status: int
    body: bytes
    request_id: str = ""


class Signer:
    """Signs requests by AWS Signature Version 4, keeping everything that does not change from call to call.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
    """

    def __init__(self, host: str, region: str, credentials: Callable[[], Credentials]) -> None:
        self._host = host
        self._region = region
        self._credentials = credentials
        self._second = -1
        self._key: tuple[str, str] = ("", "")
        self._signing_key = b""
        self._prepared: dict[str, tuple[bytes, bytes]] = {}
        self._to_sign = b""
        self._lock = threading.Lock()

    def request(self, request: Request, now_s: float) -> bytes:
        """Return a whole HTTP request, signed as of a time in seconds since 1970."""
        with self._lock:
            second = int(now_s)
            if second != self._second:
                self._prepare(second)
            head, canonical = self._prepared.get(request.operation) or self._prepare_operation(request.operation)
            digest = hashlib.sha256(canonical + hashlib.sha256(request.body).hexdigest().encode()).hexdigest()
            signature = hmac.digest(self._signing_key, self._to_sign + digest.encode(), "sha256").hex()
        return b"%b%b\r\nContent-Length: %d\r\n\r\n%b" % (head, signature.encode(), len(request.body), request.body)

    def _prepare(self, second: int) -> None:
        self._second = second
        self._prepared.clear()
        self._stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(second))
        self._now = self._credentials()
        day = self._stamp[:8]
        self._scope = f"{day}/{self._region}/{_SERVICE}/aws4_request"
        if (day, self._now.secret_key) != self._key:
            key = f"AWS4{self._now.secret_key}".encode()
            for part in (day, self._region, _SERVICE, "aws4_request"):
                key = hmac.digest(key, part.encode(), "sha256")
            self._signing_key = key
            self._key = (day, self._now.secret_key)
        self._to_sign = f"AWS4-HMAC-SHA256\n{self._stamp}\n{self._scope}\n".encode()

    def _prepare_operation(self, operation: str) -> tuple[bytes, bytes]:
        headers = [
            ("content-type", _CONTENT_TYPE),
            ("host", self._host),
            ("x-amz-date", self._stamp),
            ("x-amz-target", _TARGET + operation),
        ]
        if self._now.token:
            headers.insert(3, ("x-amz-security-token", self._now.token))
        names = ";".join(name for name, _ in headers)
        canonical = "POST\n/\n\n" + "".join(f"{name}:{value}\n" for name, value in headers) + f"\n{names}\n"
        head = "POST / HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in headers)
        credential = f"{self._now.access_key}/{self._scope}"
        head += f"authorization: AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={names}, Signature="
        prepared = self._prepared[operation] = (head.encode(), canonical.encode())
        return prepared


class Connections:
    """Kept connections to one endpoint, used by any number of threads."""

    def __init__(self, endpoint: str, signer: Signer, ca_file: str | None = None, proxy: str | None = None) -> None:
        """Use an endpoint, by a proxy's tunnel if one is given and the endpoint is https.

        `ca_file` holds the certificates to trust instead of the system's.

        Raises:
            StoreError: the proxy's address is none.
        """
        url = urlsplit(endpoint)
        self._secure = url.scheme == "https"
        self._address = (url.hostname or "", url.port or (443 if self._secure else 80))
        self._proxy = read_proxy(proxy) if proxy and self._secure else None
        self._signer = signer
        self._tls: ssl.SSLContext | None = None
        self._ca_file = ca_file
        self._idle: list[_Connection] = []
        self._lock = threading.Lock()
        self._width = _WIDTH  # what was right last time; threads that overwrite each other's do no harm

    def make(self, requests: Sequence[Request]) -> list[Reply | Fault]:
        """Make requests, many at a time; return replies and faults in their order.

        What of several is refused for its rate is asked again for a moment.
        """
        work = _Work(requests, self._width)
        while work.waiting or work.under_way:
            while work.waiting and len(work.under_way) < max(1, int(work.width)):
                index = work.waiting.popleft()
                connection = self._send(requests[index])
                if isinstance(connection, Fault):
                    work.replies[index] = connection
                    if isinstance(connection, Unreachable):  # nor would the others be
                        work.give_up(connection)
                else:
                    work.begin(index, connection)
            for index, connection in work.ready():
                self._take_reply(work, index, connection)
        self._width = work.width
        return work.replies  # type: ignore[return-value] # each has one now

    def _take_reply(self, work: _Work, index: int, connection: _Connection) -> None:
        try:
            reply, kept = connection.read()
        except (OSError, ValueError) as error:
            connection.close()
            work.replies[index] = ReplyLost(f"no reply from {self._address[0]}: {error}")
            return
        work.end(index, reply)
        if kept:
            with self._lock:
                self._idle.append(connection)
        else:
            connection.close()

    def _send(self, request: Request) -> _Connection | Fault:
        data = self._signer.request(request, time.time())
        try:
            connection = self._take()
        except socket.gaierror as error:
            host = self._address[0] if self._proxy is None else self._proxy.address[0]
            problem = f"there is no address for {host} ({error})"
            raise StoreError(problem, "Check the region or endpoint in the store's address, and the network") from error
        except OSError as error:
            return Unreachable(f"no connection to {self._address[0]}: {error}")
        try:
            connection.socket.sendall(data)
        except OSError as error:
            connection.close()
            return ReplyLost(f"the connection to {self._address[0]} broke: {error}")
        return connection

    def _take(self) -> _Connection:
        while True:
            with self._lock:
                connection = self._idle.pop() if self._idle else None
            if connection is None:
                return self._open()
            if not connection.is_spent():
                return connection
            connection.close()

    def _open(self) -> _Connection:
        address = self._address if self._proxy is None else self._proxy.address
        plain = socket.create_connection(address, _CONNECT_S)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        plain.settimeout(_REPLY_S)
        if not self._secure:
            return _Connection(plain)
        with self._lock:
            self._tls = self._tls or ssl.create_default_context(cafile=self._ca_file)
        try:
            if self._proxy is not None:
                open_tunnel(plain, self._proxy, self._address)
            return _Connection(self._tls.wrap_socket(plain, server_hostname=self._address[0]))
        except (OSError, StoreError):
            plain.close()
            raise

    def close(self) -> None:
        """Close what is idle."""
        with self._lock:
            for connection in self._idle:
                connection.close()
            self._idle.clear()


class _Work:
    """Some requests: those that wait, those under way, and the replies; and how many may be under way."""

    def __init__(self, requests: Sequence[Request], width: float) -> None:
        self.replies: list[Reply | Fault | None] = [None] * len(requests)
        self.waiting = deque(range(len(requests)))
        self.under_way: dict[int, tuple[int, _Connection]] = {}  # by descriptor
        self.width = width
        self._poll = select.poll()  # select() knows descriptors below 1,024 alone
        self._ends_at = time.monotonic() + _REFUSED_S_MAX if len(requests) > 1 else 0.0
        self._cut_at = 0.0
        self._pause_s = _PAUSE_S

    def begin(self, index: int, connection: _Connection) -> None:
        """Note that a request was sent."""
        descriptor = connection.socket.fileno()
        self.under_way[descriptor] = index, connection
        self._poll.register(descriptor, select.POLLIN)

    def ready(self) -> list[tuple[int, _Connection]]:
        """Wait for replies; return those that came. When none comes in time all that is under way is lost."""
        if not self.under_way:
            return []
        found = [descriptor for descriptor, _ in self._poll.poll(_REPLY_S * 1_000)]
        if not found:
            for index, connection in self.under_way.values():
                connection.close()
                self.replies[index] = ReplyLost(f"no reply in {_REPLY_S:g} s")
            self.under_way.clear()
        for descriptor in found:
            self._poll.unregister(descriptor)
        return [self.under_way.pop(descriptor) for descriptor in found]

    def end(self, index: int, reply: Reply) -> None:
        """Note a reply. One that says that it was too much is asked for again later, by fewer at a time."""
        self.replies[index] = reply
        if not _is_refused(reply):
            self.width = min(self.width + 1 / self.width, CONNECTIONS_MAX)
            self._pause_s = max(self._pause_s / 2, _PAUSE_S)
            return
        now = time.monotonic()
        if now - self._cut_at > _PAUSE_S:  # those that were sent together are one sign
            self._cut_at = now
            self.width = max(1.0, self.width / 2)
        if now >= self._ends_at:
            if self.width <= 1:
                self.give_up(Throttled("others before it were refused for their rate"))
            return
        self.waiting.append(index)
        if self.width <= 1:
            time.sleep(self._pause_s)
            self._pause_s = min(2 * self._pause_s, _PAUSE_S_MAX)

    def give_up(self, fault: Fault) -> None:
        """Have what waits share a fault."""
        for index in self.waiting:
            self.replies[index] = fault
        self.waiting.clear()


def _is_refused(reply: Reply) -> bool:
    return reply.status == 400 and (b"Throughput" in reply.body or b"Throttl" in reply.body)


class _Connection:
    """One connection, which has at most one request under way."""

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock
        self._last = time.monotonic()

    def is_spent(self) -> bool:
        """Tell whether the other side has closed it, as far as can be seen; looked for only after a pause."""
        if time.monotonic() - self._last < 1:
            return False
        poll = select.poll()  # select() knows descriptors below 1,024 alone
        poll.register(self.socket, select.POLLIN)
        return bool(poll.poll(0))

    def read(self) -> tuple[Reply, bool]:
        """Return the reply to the request under way, and whether the connection can be used again.

        Raises:
            OSError: it did not come whole.
        """
        data = self.socket.recv(65_536)
        while (end := data.find(b"\r\n\r\n")) < 0:
            data += self._more(len(data))
        head = data[:end].lower()
        if not head.startswith(b"http/1.1 "):
            raise OSError("this is not a reply of DynamoDB")
        length = _header(head, b"\r\ncontent-length:")
        rest = data[end + 4 :]
        if length is not None:
            body = self._body(rest, int(length))
        elif _header(head, b"\r\ntransfer-encoding:") == b"chunked":
            body = self._pieces(rest)
        else:
            raise OSError("a reply of DynamoDB does not say how long it is")
        crc = _header(head, b"\r\nx-amz-crc32:")
        if crc is not None and int(crc) != binascii.crc32(body):
            raise OSError("the reply is damaged")
        self._last = time.monotonic()
        status = int(head[9:12])
        request_id = b"" if status == 200 else _header(head, b"\r\nx-amzn-requestid:") or b""
        reply = Reply(status, body, request_id.decode("latin-1").upper())
        return reply, _header(head, b"\r\nconnection:") != b"close"

    def _body(self, rest: bytes, length: int) -> bytes:
        if len(rest) > length or length > _REPLY_BYTES_MAX:
            raise OSError(f"a reply says {length} bytes and has more, or is too large")
        parts = [rest]
        left = length - len(rest)
        while left > 0:
            parts.append(self.socket.recv(min(left, 1 << 20)))
            if not parts[-1]:
                raise ConnectionResetError("the reply broke off")
            left -= len(parts[-1])
        return b"".join(parts)

    def _pieces(self, rest: bytes) -> bytes:
        """Return a body that comes in pieces, each after its length (RFC 9112, 7.1)."""
        data = bytearray(rest)
        body = bytearray()
        at = 0
        while True:
            while (end := data.find(b"\r\n", at)) < 0:
                data += self._more(0)
            size = int(data[at:end].partition(b";")[0], 16)
            start, stop = end + 2, end + 2 + size
            if len(body) + size > _REPLY_BYTES_MAX:
                raise OSError("a reply is too large")
            while len(data) < stop + 2:
                data += self._more(0)
            body += data[start:stop]
            at = stop + 2
            if size == 0:
                return bytes(body)

    def _more(self, so_far: int) -> bytes:
        data = self.socket.recv(262_144)
        if not data or so_far > 65_536:
            raise ConnectionResetError("the reply broke off")
        return data

    def close(self) -> None:
        """Close it."""
        self.socket.close()


def _header(head: bytes, name: bytes) -> bytes | None:
    at = head.find(name)
    if at < 0:
        return None
    start = at + len(name)
    end = head.find(b"\r\n", start)
    return head[start : end if end >= 0 else None].strip()

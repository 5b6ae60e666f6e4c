"""One HTTP request as exact bytes, and whatever comes back: no client library mends what is sent.

Invariant: an exchange ends by its deadline; an answer that comes before the request is sent whole is still read.
"""

import contextlib
import http.client
import io
import json
import select
import socket
import time
from dataclasses import dataclass, field

PIECE_BYTES = 256 * 1024


@dataclass
class Answer:
    """What came back: status 0 where the connection was closed, or the deadline passed, without an answer."""

    status: int
    headers: dict = field(default_factory=dict)
    body: bytes = b""
    seconds: float = 0.0
    timed_out: bool = False

    def problem(self):
        """The problem document; none where the answer is none."""
        if not self.headers.get("content-type", "").startswith("application/problem+json"):
            return None
        try:
            document = json.loads(self.body)
        except ValueError:
            return None
        wanted = {"type", "title", "status", "detail"}
        return document if wanted <= document.keys() and document["status"] == self.status else None


class _Received:
    """Bytes with the one method that the standard library's parser asks a socket for."""

    def __init__(self, received):
        self._received = received

    def makefile(self, *_, **__):
        return io.BytesIO(self._received)


def request_bytes(method, target, host, headers=(), body=b""):
    """A request with exactly these headers, `Host`, `Connection: close`, and the length unless it is told otherwise."""
    pairs = [("Host", host), ("Connection", "close"), *headers]
    told = {name.lower() for name, _ in pairs}
    if not told & {"content-length", "transfer-encoding"}:
        pairs.append(("Content-Length", str(len(body))))
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in pairs)]
    return "\r\n".join(lines).encode("utf-8", "surrogateescape") + b"\r\n\r\n" + body


def _talk(connection, request, deadline, end_of_request):
    """Send and receive at once; the received bytes, and whether the deadline cut it off."""
    left, received = memoryview(request), bytearray()
    while True:
        remaining = deadline - time.monotonic()
        if remaining <= 0:
            return bytes(received), True
        readable, writable, _ = select.select([connection], [connection] if left else [], [], remaining)
        try:
            if readable:
                piece = connection.recv(PIECE_BYTES)
                if not piece:
                    return bytes(received), False
                received += piece
            if writable and left:
                left = left[connection.send(left[:PIECE_BYTES]) :]
                if not left and end_of_request:
                    # A server that has closed the connection meanwhile needs no word of its end.
                    with contextlib.suppress(OSError):
                        connection.shutdown(socket.SHUT_WR)
        except BlockingIOError:
            continue
        except (ConnectionResetError, BrokenPipeError):
            left = memoryview(b"")
            if not received and readable:
                return b"", False


def exchange(address, request, seconds, end_of_request=False) -> Answer:
    """Send these bytes on a connection of their own and read until its end.

    `end_of_request` closes the sending side after the last byte, as a client that dies does.
    """
    started = time.monotonic()
    with socket.create_connection(address, timeout=seconds) as connection:
        connection.setblocking(False)
        received, timed_out = _talk(connection, request, started + seconds, end_of_request)
    taken = time.monotonic() - started
    try:
        response = http.client.HTTPResponse(_Received(received))
        response.begin()
        headers = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, headers, response.read(), taken, timed_out)
    except (http.client.HTTPException, ValueError, OSError):
        return Answer(0, {}, received, taken, timed_out)

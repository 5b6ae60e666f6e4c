"""A proxy before an S3 server that does to requests what networks and stores do: each by its chance, from a seed.

The requests go on as they came, headers included: the signature is over the proxy's own host, which the store behind it
does not check. With one request after another a seed gives the same faults again; side by side, their order differs.
"""

import http.client
import random
import socket
import struct
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

UPSTREAM_SECONDS = 60
HANG_SECONDS = 8
SLOW_BYTES_PER_SECOND = 1024
SLOW_SECONDS = 4
DROPPED_HEADERS = {"transfer-encoding", "connection", "content-length", "keep-alive"}
# Shares of all requests, in the order in which they are tried.
CHANCES = {
    "unavailable": 0.05,
    "error-after-apply": 0.02,
    "drop-after-apply": 0.02,
    "hang-before-apply": 0.005,
    "hang-after-apply": 0.005,
    "slow": 0.01,
    "truncated": 0.02,
}
# Of the writes that must find nothing there: they are few, and alone in being answered so.
CONFLICT_CHANCE = 0.05


def _error(code):
    return f'<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code><Message>{code}</Message></Error>'.encode()


class FaultProxy:
    """Listens on a free port of this machine while it is entered."""

    def __init__(self, upstream, seed):
        self.counts = dict.fromkeys((*CHANCES, "conflict", "refused"), 0)
        self.requests = 0
        self.faulty = self.down = False
        self.ended = threading.Event()
        parts = urlsplit(upstream)
        self.upstream = (parts.hostname, parts.port)
        self._seed, self._lock = seed, threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"proxy": self}))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def fault(self, method, headers):
        """What befalls this request, if anything."""
        with self._lock:
            self.requests += 1
            if self.down:
                self.counts["refused"] += 1
                return "refused"
            if not self.faulty:
                return None
            chance = random.Random(f"{self._seed} {self.requests}")
            found = self._drawn(chance.random())
            if found is None and "if-none-match" in headers and chance.random() < CONFLICT_CHANCE:
                found = "conflict"
            if found == "truncated" and method != "GET":
                return None
            if found:
                self.counts[found] += 1
            return found

    def _drawn(self, chance):
        for name, share in CHANCES.items():
            if chance < share:
                return name
            chance -= share
        return None

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    proxy = None

    def log_message(self, *_):
        """The store behind keeps a log of its own."""

    def _serve(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        fault = self.proxy.fault(self.command, {name.lower() for name in self.headers})
        if fault == "refused":
            return self._drop()
        if fault == "unavailable":
            return self._answer(503, [("Content-Type", "application/xml")], _error("SlowDown"))
        if fault == "conflict":
            return self._answer(409, [("Content-Type", "application/xml")], _error("ConditionalRequestConflict"))
        if fault == "hang-before-apply":
            return self._hang()
        status, headers, content = self._forward(body)
        if fault == "error-after-apply":
            return self._answer(500, [("Content-Type", "application/xml")], _error("InternalError"))
        if fault == "drop-after-apply":
            return self._drop()
        if fault == "hang-after-apply":
            return self._hang()
        return self._answer(status, headers, content, fault)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _serve

    def _forward(self, body):
        connection = http.client.HTTPConnection(*self.proxy.upstream, timeout=UPSTREAM_SECONDS)
        try:
            connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                connection.putheader(name, value)
            connection.endheaders(body or None)
            response = connection.getresponse()
            return response.status, response.getheaders(), response.read()
        finally:
            connection.close()

    def _answer(self, status, headers, content, fault=None):
        kept = [(name, value) for name, value in headers if name.lower() not in DROPPED_HEADERS]
        lengths = [value for name, value in headers if name.lower() == "content-length"]
        length = lengths[0] if self.command == "HEAD" and lengths else str(len(content))
        self.send_response_only(status)
        for name, value in [*kept, ("Content-Length", length)]:
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        try:
            self._send(content, fault)
        except OSError:
            self.close_connection = True

    def _send(self, content, fault):
        if fault == "truncated" and content:
            self.wfile.write(content[: len(content) // 2])
            self.wfile.flush()
            return self._drop()
        if fault == "slow":
            for _ in range(SLOW_SECONDS):
                self.wfile.write(content[:SLOW_BYTES_PER_SECOND])
                self.wfile.flush()
                content = content[SLOW_BYTES_PER_SECOND:]
                if not content or self.proxy.ended.wait(1):
                    break
        self.wfile.write(content)

    def _hang(self):
        """Say nothing for a while; the client has given up by then, or learns that nobody is there."""
        self.proxy.ended.wait(HANG_SECONDS)
        self._drop()

    def _drop(self):
        """Close without an answer, as a machine does that is gone: by a reset."""
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        # The file objects of the handler hold the socket open until it returns.
        self.connection.shutdown(socket.SHUT_RDWR)

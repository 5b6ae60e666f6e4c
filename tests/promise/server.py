"""Servers of the figures: started, killed and started again by their own process, on one lake.

Invariant: whoever calls a server waits for a running one with a bound, and learns that it was replaced meanwhile.
"""

import os
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "clients"))

from sluice_client import Lake, ndjson, table_path  # noqa: E402
from sluice_server import LISTENING, Process, Server, clean_environment, wait_for  # noqa: E402

__all__ = ["Lake", "Process", "Server", "Site", "ndjson", "table_path", "wait_for"]

ANSWER_SECONDS = 60
END_SECONDS = 5
READY_SECONDS = 60
SETTLE_SECONDS = 60
OPEN_STATES = ("landed", "committing")

# Servers on this machine are never behind a proxy, whatever the way to the package index is.
for name in ("NO_PROXY", "no_proxy"):
    os.environ[name] = "127.0.0.1,localhost"


class Caller(Lake):
    """A lake whose callers keep their connections, one for each thread: the client must not be what is slow."""

    def __init__(self, url):
        super().__init__(url)
        self._of_thread = threading.local()

    def request(self, method, path, headers=None, **arguments):
        session = getattr(self._of_thread, "session", None)
        if session is None:
            session = self._of_thread.session = requests.Session()
            session.trust_env = False
            # A kept connection may be closed at any time; what only reads is then asked again, as every client does.
            session.mount("http://", HTTPAdapter(max_retries=Retry(connect=0, read=2, allowed_methods=["GET"])))
        arguments.setdefault("timeout", ANSWER_SECONDS)
        return session.request(method, self.url + path, headers={**self._headers, **(headers or {})}, **arguments)


@dataclass
class Recovery:
    """How long a start took, in seconds: until it was ready, and until nothing of before was left unfinished."""

    ready: float
    settled: float
    resumed: int
    under_load: bool
    unsettled: int


class Site:
    """One lake and the servers on it, which come and go; what callers see of it is the newest generation."""

    def __init__(self, binary, data_dir: Path, environment=None, servers=1):
        self.data_dir = data_dir
        self._binary, self._environment, self._count = binary, environment or {}, servers
        self._servers, self._callers = [], []
        self._changed = threading.Condition()
        self.generation, self.broken = 0, 0
        self._open = False

    def launch(self, **environment):
        """A process that is not waited for."""
        command = [self._binary, "serve", "--data-dir", self.data_dir, "--listen", "127.0.0.1:0"]
        return Process(command, LISTENING.pattern, clean_environment(**{**self._environment, **environment}))

    def start(self, let_in=True, **environment):
        """Start the servers and wait until each says that it is ready; the seconds that it took."""
        begun = time.monotonic()
        self._servers = [self.launch(**environment) for _ in range(self._count)]
        urls = [server.wait_until_ready(READY_SECONDS).group(1).rstrip("/") for server in self._servers]
        self._callers = [Caller(url) for url in urls]
        for caller in self._callers:
            wait_for(lambda: caller.request("GET", "/readyz").ok, READY_SECONDS, "a started server is ready")
        if let_in:
            self.let_in()
        return time.monotonic() - begun

    def let_in(self):
        """Tell the callers that they can go on."""
        with self._changed:
            self.generation += 1
            self._open = True
            self._changed.notify_all()

    def kill(self):
        """SIGKILL to every server."""
        with self._changed:
            self._open = False
        for server in self._servers:
            server.kill()

    def stop(self):
        with self._changed:
            self._open = False
        for server in self._servers:
            if server.running:
                status = server.stop()
                assert status == 0, f"the server ended with status {status}:\n{server.log_tail()}"

    def end_kindly(self):
        """Ask every server to end, and wait until it has."""
        for server in self._servers:
            server.terminate()
            server.wait()

    def ends_by_itself(self):
        """Whether no server is left in a moment, though nobody ended them."""
        try:
            wait_for(lambda: not any(server.running for server in self._servers), END_SECONDS, "the server has ended")
        except AssertionError:
            return False
        return True

    def exit_status(self):
        """That of the last start's one server, which has ended."""
        (server,) = self._servers
        return server.wait()

    def caller(self, newer_than=0, number=0):
        """The generation and a server of it, as soon as there is one that is newer than what the caller had."""
        with self._changed:
            found = self._changed.wait_for(lambda: self._open and self.generation > newer_than, READY_SECONDS)
            assert found, f"no server after generation {newer_than}; the last one said:\n{self.log_tail()}"
            return self.generation, self._callers[number % len(self._callers)]

    def note_broken(self, generation):
        """Whether a connection of this generation broke because of a kill; one that did not is counted."""
        with self._changed:
            killed = not self._open or self.generation != generation
            self.broken += not killed
            return killed

    @property
    def lake(self):
        return self._callers[0]

    @property
    def running(self):
        return bool(self._servers) and all(server.running for server in self._servers)

    @property
    def pids(self):
        return [server.pid for server in self._servers]

    def log_tail(self):
        return "\n".join(server.log_tail() for server in self._servers)

    def unfinished(self, tables):
        """The ids of the uploads that landed and have no outcome."""
        found = []
        for table in tables:
            entries = self.lake.pages(f"{table_path(table)}/uploads", page_size=200)
            found += [entry["upload_id"] for entry in entries if entry["status"] in OPEN_STATES]
        return found

    def recover(self, tables, under_load=True, seconds=SETTLE_SECONDS):
        """Start after a kill, and wait until every upload that was cut off has its outcome, or the time is up."""
        begun = time.monotonic()
        ready = self.start(let_in=False)
        cut_off = self.unfinished(tables)
        if under_load:
            self.let_in()
        left = [upload for upload in cut_off if not self._settles(upload, begun + seconds)]
        settled = time.monotonic() - begun
        if not under_load:
            self.let_in()
        return Recovery(ready, settled, len(cut_off), under_load, len(left))

    def _settles(self, upload, deadline):
        """Whether it has an outcome by then."""
        try:
            return wait_for(lambda: self._is_settled(upload), max(0.0, deadline - time.monotonic()), upload)
        except AssertionError:
            return False

    def _is_settled(self, upload):
        return self.lake.get(f"/api/v1/uploads/{upload}").json()["status"] not in OPEN_STATES

    def settle(self, tables):
        """Wait until no upload is without an outcome."""
        wait_for(lambda: not self.unfinished(tables), SETTLE_SECONDS, "every upload has its outcome")

"""F14: SQL that kills or stalls an unguarded engine, four at a time, while health is polled and files are uploaded.

What a statement answers is its own affair as long as it is no fault of the server; what is measured is everybody else.
"""

import concurrent.futures
import http.client
import os
import random
import resource
import threading
import time
from urllib.parse import urlsplit

import requests
from f14_statements import SHORT, STATEMENTS
from process_tree import MEBIBYTE, MemoryWatch, memory_bytes
from server import Lake, Server, wait_for

CLIENTS = 4
ANSWER_SECONDS = 60
ADMISSION_SECONDS = 30
CALM_SECONDS = 60
HEALTH_BAR_SECONDS = 0.1
HEALTH_EVERY_SECONDS = 0.02
UPLOAD_EVERY_SECONDS = 0.2
NUMBERS = 10_000
TABLE, UPLOADS = "killers.numbers", "killers.uploads"
ADDRESS_SPACE_BYTES = 12 << 30
SHOWN = 20
# A statement is given up after this time, so that the short form ends within its own.
TIMEOUT_SECONDS = {False: 5, True: 20}


def percentile(values, share):
    return sorted(values)[min(len(values) - 1, int(len(values) * share))] if values else float("inf")


class Beside:
    """Something that is done again and again in a thread of its own while the statements run."""

    def __init__(self, act, every_seconds):
        self.seconds, self.failures = [], []
        self._act, self._every = act, every_seconds
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self):
        while not self._ended.wait(self._every):
            begun = time.monotonic()
            try:
                self._act()
            except (requests.RequestException, AssertionError) as failure:
                self.failures.append(str(failure)[:300])
            self.seconds.append(time.monotonic() - begun)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._ended.set()
        self._thread.join(ANSWER_SECONDS)


class Standing:
    """A server, and another one on the same lake where a statement has ended it, so that the others are tried too."""

    def __init__(self, start):
        self._start, self.exits = start, []
        self._lock, self.under_way = threading.Lock(), set()
        self.watch = None
        self._begin()

    def _begin(self):
        self.server = self._start()
        if self.watch:
            self.watch.pid = self.server.pid
        # A server that wants this much has failed, and must not take the machine along.
        resource.prlimit(self.server.pid, resource.RLIMIT_AS, (ADDRESS_SPACE_BYTES, ADDRESS_SPACE_BYTES))
        self.lake = Lake(self.server.url)
        self._polling = http.client.HTTPConnection(urlsplit(self.server.url).netloc, timeout=ANSWER_SECONDS)

    def revive(self):
        with self._lock:
            if not self.server.running:
                said = [line for line in self.server.log_tail().splitlines() if "memory allocation" in line or "overflow" in line]
                self.exits.append(f"while {sorted(self.under_way)} ran: {said[-2:]}")
                self._begin()

    def poll(self):
        """One question about health, on a connection that is kept: what is timed is the server."""
        try:
            self._polling.request("GET", "/healthz")
            answer = self._polling.getresponse()
            answer.read()
        except (OSError, http.client.HTTPException) as failure:
            self._polling.close()
            raise AssertionError(f"no answer about health: {failure!r}") from failure
        assert answer.status == 200, answer.status


class Killers:
    """The statements, what they were answered, and what was wrong with that."""

    def __init__(self, standing, timeout_seconds):
        self.standing, self.timeout_seconds = standing, timeout_seconds
        self.wrong, self.slowest, self.answers = [], (0.0, ""), {}
        self._lock, self._pause = threading.Lock(), threading.Event()

    def run(self, name):
        with self._lock:
            self.standing.under_way.add(name)
        deadline = time.monotonic() + ADMISSION_SECONDS
        while True:
            begun = time.monotonic()
            status, text, waits = self._ask(STATEMENTS[name])
            taken = time.monotonic() - begun
            # Turned away is not tried: each statement is to reach the engine's guards.
            if status != 429 or time.monotonic() > deadline:
                break
            self._pause.wait(float(waits or 1))
        self.standing.revive()
        with self._lock:
            self.standing.under_way.discard(name)
            self.answers[name] = (status, round(taken, 2))
            self.slowest = max(self.slowest, (round(taken, 2), name))
            if status in (0, 429) or status >= 500 and not (status == 503 and waits):
                self.wrong.append(f"{name}: {status} {text!r} after {taken:.1f} s")


    def _ask(self, sql):
        """The status, the beginning of the answer, and what it says about another try."""
        try:
            answer = self.standing.lake.request("POST", "/api/v1/queries", json={"sql": sql}, timeout=ANSWER_SECONDS)
            return answer.status_code, answer.text[:200], answer.headers.get("Retry-After")
        except requests.RequestException as failure:
            return 0, str(failure)[:200], None


def measure(run):
    """PROMISE_ONLY narrows the statements to those whose names hold it."""
    only = os.environ.get("PROMISE_ONLY", "")
    names = [name for name in (STATEMENTS if run.long else SHORT) if only in name]
    random.Random(f"{run.seed} F14").shuffle(names)
    timeout = TIMEOUT_SECONDS[run.long]
    environment = {"SLUICE_QUERY__TIMEOUT_SECONDS": str(timeout), "RUST_BACKTRACE": "0"}
    standing = Standing(lambda: Server(run.binary, run.folder / "F14", environment=environment))
    try:
        _run(standing, names, timeout, run.report)
    finally:
        if standing.server.running:
            standing.server.stop()


def _prepare(lake):
    lake.upload(TABLE, b"n\n" + b"".join(b"%d\n" % number for number in range(NUMBERS)), format="csv")
    lake.upload(UPLOADS, b"id\n0\n", format="csv")
    assert lake.row(f"SELECT sum(n) AS s FROM {TABLE}")["s"] == NUMBERS * (NUMBERS - 1) // 2


def _run(standing, names, timeout, report):
    killers, uploaded = Killers(standing, timeout), [0]

    def upload():
        uploaded[0] += 1
        standing.lake.upload(UPLOADS, b"id\n%d\n" % uploaded[0], key=f"killers-{uploaded[0]}", format="csv")

    _prepare(standing.lake)
    before = memory_bytes(standing.server.pid)
    with MemoryWatch(2 * before) as watch:
        standing.watch = watch
        watch.pid = standing.server.pid
        with Beside(standing.poll, HEALTH_EVERY_SECONDS) as health, Beside(upload, UPLOAD_EVERY_SECONDS) as uploads:
            with concurrent.futures.ThreadPoolExecutor(CLIENTS) as clients:
                list(clients.map(killers.run, names))
        # Of a server that ended, its memory says nothing.
        calm = _calm(standing.server, before) if not standing.exits else float("inf")
        calm = calm if standing.server.running else float("inf")
    standing.revive()
    _tell(report, killers, health, uploads)
    for line in standing.exits[:SHOWN]:
        report.note(f"an exit: {line}")
    report.equal("F14.server_exits", len(standing.exits), 0)
    report.equal("F14.uploads_missing", uploaded[0] + 1 - standing.lake.count(UPLOADS), 0)
    report.info("F14.memory_before_mib", before / MEBIBYTE)
    report.info("F14.memory_peak_mib", watch.peak_mib)
    report.at_most("F14.memory_after_mib", calm / MEBIBYTE, round(_bar(before) / MEBIBYTE, 1))


def _bar(before):
    return before * 1.1 + 100 * MEBIBYTE


def _calm(server, before):
    """The memory of the tree once it is back, or when that was waited for long enough."""
    try:
        wait_for(lambda: memory_bytes(server.pid) <= _bar(before), CALM_SECONDS, "the memory is given back")
    except AssertionError:
        pass
    return memory_bytes(server.pid)


def _tell(report, killers, health, uploads):
    for title, lines in (("a fault", killers.wrong), ("health", health.failures), ("an upload", uploads.failures)):
        for line in lines[:SHOWN]:
            report.note(f"{title}: {line}")
    late = [f"{name} {seconds} s" for name, (_, seconds) in killers.answers.items() if seconds > 2 * killers.timeout_seconds + 2]
    statuses = [status for status, _ in killers.answers.values()]
    report.note(f"answers: { {status: statuses.count(status) for status in sorted(set(statuses))} }; slowest {killers.slowest}")
    report.note(f"much later than their timeout of {killers.timeout_seconds} s: {late}")
    report.at_least("F14.statements", len(killers.answers), 40)
    report.equal("F14.faults_of_the_server", len(killers.wrong), 0)
    report.below("F14.health_p99_seconds", round(percentile(health.seconds, 0.99), 4), HEALTH_BAR_SECONDS)
    report.info("F14.health_max_seconds", round(max(health.seconds), 3))
    report.equal("F14.health_failures", len(health.failures), 0)
    report.at_least("F14.uploads", len(uploads.seconds), 1)
    report.equal("F14.upload_failures", len(uploads.failures), 0)
    report.info("F14.upload_p99_seconds", percentile(uploads.seconds, 0.99))

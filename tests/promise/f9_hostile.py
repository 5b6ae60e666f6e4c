"""F9: hostile files of every format, as raw bodies, compressed ones and forms, against one server that must not mind.

Each is answered within its time, with rows that other readers see too or with a problem that names what is wrong;
nothing of a refused file is in a table, and good uploads in between are taken as ever.
"""

import concurrent.futures
import itertools
import multiprocessing
import os
import random
import resource
import threading
import uuid
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import f9_oracle as oracle
from f9_corpus import corpus
from f9_wire import Answer, exchange, request_bytes
from process_tree import MEBIBYTE, MemoryWatch, mapped_file_bytes
from server import Lake, Server

ANSWER_SECONDS = 10
# An answer that takes longer is a failure; it is waited for a little more, so that its time can be told.
GIVE_UP_SECONDS = 15
MEMORY_BAR_MIB = 600
ADDRESS_SPACE_BYTES = 6 << 30
CLIENTS = 4
GOOD_EVERY = 10
STANDING_EVERY = 5
LARGEST_JUDGED_BYTES = 1 << 20
SHOWN = 12
# A body that stops coming is cut off well within the time for an answer.
ENVIRONMENT = {"SLUICE_INGEST__IDLE_SECONDS": "3", "RUST_BACKTRACE": "0"}
STANDING, GOOD = "hostile.standing", "hostile.good"


@dataclass
class Findings:
    """What went wrong, each as a line of text, and what is counted."""

    slowest: tuple = (0.0, "")
    exits: list = field(default_factory=list)
    server_faults: list = field(default_factory=list)
    slow: list = field(default_factory=list)
    nameless: list = field(default_factory=list)
    unanswered: list = field(default_factory=list)
    committed: list = field(default_factory=list)
    good_failed: list = field(default_factory=list)
    wrong: list = field(default_factory=list)
    accepted: list = field(default_factory=list)
    statuses: dict = field(default_factory=dict)
    good_rows: int = 0
    standing_rows: int = 0


class Hostility:
    """One server under all cases."""

    def __init__(self, start, watch):
        self._start, self.watch, self.found = start, watch, Findings()
        self._lock, self._under_way, self._count = threading.Lock(), set(), 0
        self._begin()

    def _begin(self):
        """Start a server on a lake of its own: what ended the last one may end the next one on the same lake too."""
        self.server = self._start()
        # A server that wants this much has failed, and must not take the machine along.
        resource.prlimit(self.server.pid, resource.RLIMIT_AS, (ADDRESS_SPACE_BYTES, ADDRESS_SPACE_BYTES))
        self.watch.pid = self.server.pid
        self.lake = Lake(self.server.url)
        parts = urlsplit(self.server.url)
        self.address, self.host = (parts.hostname, parts.port), parts.netloc
        self.lake.upload(STANDING, b"only_here\n1\n", format="csv")
        self.lake.upload(GOOD, b"id,text\n1,first\n", format="csv")
        self.found.good_rows = self.found.standing_rows = 1
        self.found.accepted.clear()

    def _exchange(self, request, hangs_up=False):
        """The answer; where the server has ended, that is noted, and another one takes its place for what is left."""
        try:
            answer = exchange(self.address, request, GIVE_UP_SECONDS, hangs_up)
        except ConnectionRefusedError:
            answer = Answer(0)
        self.revive()
        return answer

    def revive(self):
        """Note a server that has ended, and begin another one."""
        with self._lock:
            if not self.server.running:
                words = [line for line in self.server.log_tail().splitlines() if "memory allocation" in line or "overflow" in line]
                self.found.exits.append(f"while {sorted(self._under_way)} were under way: {words[:2]}")
                self._begin()

    def run(self, case):
        name = f"{case.family} {case.name}"
        with self._lock:
            self._count += 1
            number = self._count
            self._under_way.add(name)
            self.watch.now = ", ".join(self._under_way)
        table = STANDING if number % STANDING_EVERY == 0 else f"hostile.t_{uuid.uuid4().hex[:12]}"
        request = case.request(table.replace(".", "/"), self.host)
        answer = self._exchange(request, case.hangs_up)
        with self._lock:
            self._under_way.discard(name)
            self._note(case, table, answer)
        if answer.status >= 400 and table != STANDING:
            there = self._exchange(request_bytes("GET", path_of(table), self.host))
            if there.status != 404:
                self.found.committed.append(f"{name}: refused, yet {table} answers {there.status} {there.body[:200]!r}")
        if number % GOOD_EVERY == 0:
            self._good(number)

    def _note(self, case, table, answer: Answer):
        found, told = self.found, f"{case.family} {case.name}: {answer.status} {answer.body[:300]!r} after {answer.seconds:.1f} s"
        found.statuses[answer.status] = found.statuses.get(answer.status, 0) + 1
        found.slowest = max(found.slowest, (round(answer.seconds, 2), f"{case.family} {case.name}"))
        if answer.seconds > ANSWER_SECONDS:
            found.slow.append(told)
        if answer.status >= 500:
            found.server_faults.append(told)
        elif answer.status >= 400:
            problem = answer.problem()
            bare = case.family == "http" and not answer.body
            if not bare and (problem is None or problem["type"].endswith(":internal")):
                found.nameless.append(told)
        elif answer.status == 201:
            self._accepted(case, table, answer)
        elif not (answer.status == 0 and case.family == "http"):
            found.unanswered.append(told)

    def _accepted(self, case, table, answer):
        receipt = oracle.json.loads(answer.body)
        if table == STANDING and not case.path:
            self.found.standing_rows += receipt["rows_committed"]
        elif case.plain and receipt["bytes_received"] <= LARGEST_JUDGED_BYTES:
            self.found.accepted.append((case, table, receipt))

    def _good(self, number):
        body = b"id,text\n" + b"".join(b"%d,row\n" % (number * 100 + row) for row in range(20))
        request = request_bytes("POST", f"{path_of(GOOD)}/uploads?format=csv", self.host, [], body)
        answer = self._exchange(request)
        with self._lock:
            if answer.status == 201 and answer.seconds <= ANSWER_SECONDS:
                self.found.good_rows += 20
            else:
                self.found.good_failed.append(f"after {number}: {answer.status} {answer.body[:200]!r} in {answer.seconds:.1f} s")

    def judge_all(self):
        """Compare what was taken with what other readers see; a reader that a file kills says nothing."""
        judged = unjudged = set_aside = 0
        context = multiprocessing.get_context("spawn")
        pool = concurrent.futures.ProcessPoolExecutor(1, context)
        for case, table, receipt in self.found.accepted:
            location = self.lake.describe(table)["location"]
            try:
                if receipt["rows_quarantined"]:
                    aside = self.lake.describe(receipt["quarantine_table"])["location"]
                    verdict = oracle.judge_counts(location, aside, receipt)
                    set_aside += verdict == oracle.COUNTED
                else:
                    verdict = pool.submit(oracle.judge, location, case.format, case.plain(), receipt).result(60)
            except concurrent.futures.process.BrokenProcessPool:
                pool, verdict = concurrent.futures.ProcessPoolExecutor(1, context), oracle.UNJUDGED
            except Exception as failure:  # noqa: BLE001: the replay of a table that came out of a hostile file
                verdict = f"the table cannot be read: {failure!r}"
            judged += verdict == oracle.EQUAL
            unjudged += verdict == oracle.UNJUDGED
            if verdict not in (oracle.EQUAL, oracle.UNJUDGED, oracle.COUNTED):
                self.found.wrong.append(f"{case.family} {case.name} ({table}): {verdict}")
        pool.shutdown()
        return judged, unjudged, set_aside


def path_of(table):
    return f"/api/v1/tables/{table.replace('.', '/')}"


def run_all(hostility, cases):
    """The heavy ones one after the other, so that the memory of each is its own; then the others side by side."""
    for case in (case for case in cases if case.heavy):
        hostility.run(case)
    with concurrent.futures.ThreadPoolExecutor(CLIENTS) as clients:
        for done in clients.map(hostility.run, (case for case in cases if not case.heavy)):
            assert done is None


def measure(run):
    """PROMISE_ONLY narrows the cases to those whose family and name hold it."""
    only = os.environ.get("PROMISE_ONLY", "")
    cases = [case for case in corpus(run.seed, run.long) if only in f"{case.family} {case.name}"]
    random.Random(f"{run.seed} order").shuffle(cases)
    lakes = (run.folder / f"F9-{number}" for number in itertools.count())
    with MemoryWatch(MEMORY_BAR_MIB << 20) as watch:
        hostility = Hostility(lambda: Server(run.binary, next(lakes), environment=ENVIRONMENT), watch)
        try:
            run_all(hostility, cases)
            tell(run.report, hostility, watch, cases)
        finally:
            if hostility.server.running:
                hostility.server.stop()


def tell(report, hostility, watch, cases):
    found = hostility.found
    hostility.revive()
    program_bytes = mapped_file_bytes(hostility.server.pid)
    judged, unjudged, set_aside = hostility.judge_all()
    standing_is_right = hostility.lake.count(STANDING) == found.standing_rows
    good_is_right = hostility.lake.count(GOOD) == found.good_rows
    for title, lines in vars(found).items():
        if title != "accepted" and isinstance(lines, list):
            for line in lines[:SHOWN]:
                report.note(f"{title}: {line}")
    report.note(f"answers by status: {dict(sorted(found.statuses.items()))}; slowest: {found.slowest[1]}")
    for name, peak_bytes in sorted(watch.above.items(), key=lambda entry: -entry[1])[:SHOWN]:
        report.note(f"{peak_bytes >> 20} MiB of memory at {name}")
    report.at_least("F9.cases", len(cases), 400)
    report.equal("F9.server_exits", len(found.exits), 0)
    report.equal("F9.answers_5xx", len(found.server_faults), 0)
    report.equal("F9.without_answer", len(found.unanswered), 0)
    report.at_most("F9.slowest_seconds", found.slowest[0], ANSWER_SECONDS)
    report.at_most("F9.peak_memory_mib", watch.peak_mib, MEMORY_BAR_MIB)
    report.info("F9.program_pages_mib", round(program_bytes / MEBIBYTE, 1))
    report.equal("F9.refusals_without_a_reason", len(found.nameless), 0)
    report.equal("F9.refused_yet_committed", len(found.committed) + int(not standing_is_right), 0)
    report.equal("F9.good_uploads_failed", len(found.good_failed) + int(not good_is_right), 0)
    report.equal("F9.taken_and_wrong", len(found.wrong), 0)
    report.at_least("F9.taken_and_equal_to_other_readers", judged, 1)
    report.info("F9.taken_and_unjudged", unjudged)
    report.info("F9.taken_with_rows_set_aside", set_aside)

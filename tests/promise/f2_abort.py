"""F2: the server ends abruptly right before or right after each of its durability steps, one step a case.

A case is a new lake and one scenario: a first upload that makes the table, a second one, the second one again with its
key, and one that is answered before its commit; then a kind end. Wherever the server stops, it is started again without
the shim, and every upload is sent with its key until it is acknowledged; those that were acknowledged before must give
the same receipt. Writes of bytes are steps in the long form only.
"""

import concurrent.futures
import threading
from dataclasses import dataclass

import requests
from clients import deliver, note, send_once
from model import ACCEPTED, ACKED, Model
from shims import compiled
from verify import Findings, judge_all

TABLE = "abort.one"
SHORT_CASES = 50
AT_ONCE = 2
CRASH_STATUS = 137
MODES = ("before", "after")


@dataclass
class Outcome:
    """How one case went."""

    crashed: bool
    other_receipts: int
    findings: Findings
    steps: list


class Case:
    """One lake, and the step at which its server stops; step 0 is none."""

    def __init__(self, run, library, step, mode):
        self.name = f"F2/{step}-{mode}"
        self.site = run.site(self.name)
        folder = self.site.data_dir.parent
        folder.mkdir(parents=True)
        self._log = folder / "steps"
        self._cross = run.cross
        self.shim = {"LD_PRELOAD": str(library), "CRASH_ROOT": str(folder), "CRASH_LOG": str(self._log)}
        self.shim |= {"CRASH_AT": str(step), "CRASH_WHEN": mode}
        self.shim |= {"CRASH_WRITES": "1"} if run.long else {}
        model = self.model = Model(run.random("F2"))
        self.uploads = [model.new(TABLE, 500, 1000, format=format) for format in ("csv", "ndjson")]
        self.uploads.append(model.new(TABLE, 500, 1000, format="parquet", respond_async=True))

    def _play(self):
        """The scenario; ends early where the server does."""
        try:
            self.site.start(**self.shim)
            first, second, last = self.uploads
            for upload in (first, second, second, last):
                if send_once(self.site.lake, upload) is None:
                    return
            self.site.settle([TABLE])
        except (AssertionError, requests.ConnectionError):
            # Whether it was the shim that ended the server is asked by its status; its sockets are closed before it
            # has ended.
            if not self.site.ends_by_itself():
                raise
            return
        self.site.end_kindly()

    def run(self):
        self._play()
        status = self.site.exit_status()
        assert status in (0, CRASH_STATUS), f"{self.name}: the server ended with {status}:\n{self.site.log_tail()}"
        before = {upload.number: upload.receipt["upload_id"] for upload in self.uploads if upload.receipt}
        self.site.start()
        now = {upload.number: self._receipt(upload) for upload in self.uploads}
        other = sum(now[number] != receipt for number, receipt in before.items())
        self.site.settle([TABLE])
        findings = judge_all(self.site, self.model, self._cross)
        findings.lines = [f"{self.name}: {line}; {self.steps()[-1:]}" for line in findings.lines]
        self.site.kill()
        return Outcome(status == CRASH_STATUS, other, findings, self.steps())

    def _receipt(self, upload):
        """The id of the upload, whoever is asked and however often."""
        if upload.state == ACKED:
            answer = self.site.lake.send(upload.table, upload.encode(), upload.headers, upload.key, format=upload.format)
            note(upload, answer)
        else:
            deliver(self.site, upload)
        assert upload.state in (ACKED, ACCEPTED)
        return upload.receipt["upload_id"]

    def steps(self):
        return self._log.read_text().splitlines() if self._log.exists() else []


def choose(run, steps):
    """All cases, or as many as the short form has time for, evenly over the steps from a random one on."""
    cases = [(step, mode) for step in range(1, steps + 1) for mode in MODES]
    if run.long:
        return cases
    stride = max(1, len(cases) // SHORT_CASES)
    # An even stride would meet one of the two modes only.
    stride += stride % 2 == 0
    return cases[run.random("F2 offset").randrange(stride) :: stride]


def measure(run):
    run.folder.joinpath("F2").mkdir()
    library = compiled("crash", run.folder / "F2")
    counted = Case(run, library, 0, "before").run()
    total, outcomes, lock = Findings(), [], threading.Lock()

    def one(case):
        outcome = Case(run, library, *case).run()
        with lock:
            outcomes.append(outcome)
            total.add(outcome.findings)

    cases = choose(run, len(counted.steps))
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(one, cases))
    calls = [line.split()[1] for line in counted.steps]
    run.report.note(", ".join(f"{calls.count(call)} x {call}" for call in sorted(set(calls))))
    run.report.at_least("F2.steps", len(counted.steps), 100)
    run.report.equal("F2.cases", len(outcomes), len(cases))
    # The order of what runs side by side is not the same every time, so the last steps may not come.
    run.report.at_least("F2.cases_crashed_percent", 100 * sum(outcome.crashed for outcome in outcomes) / len(outcomes), 90)
    run.report.equal("F2.receipts_that_changed", sum(outcome.other_receipts for outcome in outcomes), 0)
    total.tell(run.report, "F2")

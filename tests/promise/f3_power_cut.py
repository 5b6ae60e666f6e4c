"""F3: after a power cut only synced bytes and names are left; every acknowledged row is among them, once.

`shadow.py` says what a cut leaves. Each cut hits a server under load at a random instant; the next server starts on what
was left, and the cut after that hits it. After each cut the tables are read before anybody sends anything again.
A control shows that a missing sync is seen: where those of the Delta log count for nothing, rows must be lost.
"""

import shutil
import threading

from clients import Crowd, deliver
from model import ACKED, OPEN, Model
from server import wait_for
from shadow import EAGER, STRICT, Shadow
from shims import compiled
from verify import CrossCheck, Findings, judge_all

CLIENTS = 8
SHORT_CUTS, LONG_CUTS = 10, 100
CUTS_PER_LAKE = 5
CLIENT_SECONDS = 60
# A control without an acknowledged upload could not lose any.
CONTROL_ACKED = 5
ASYNC = 0.2


class Lake:
    """One lake through a few cuts."""

    def __init__(self, run, library, number):
        self._library, self.number = library, number
        self.site = run.site(f"F3/lake-{number}/tree")
        self.root = self.site.data_dir.parent
        # The folder exists, the data folder in it does not: the server must make its name durable.
        self.root.mkdir(parents=True)
        self.random = run.random("F3", number)
        self.model = Model(run.random("F3 model", number))
        self._cross = run.cross
        self._lock = threading.Lock()

    def cut(self, number, **shim):
        """Load, cut, start again on what is left; gives what is wrong then."""
        mode = STRICT if shim else self.random.choice((STRICT, EAGER))
        folder = self.root.with_name(f"shadow-{number}")
        shadow = Shadow(self._library, self.root, folder)
        self.site.start(**shadow.environment, **shim)
        self._load(f"cuts.table_{number}", CONTROL_ACKED if shim else 0)
        shadow.rebuild(mode)
        shutil.rmtree(folder)
        self.site.start()
        if not shim:
            # A server that finds its log without what was committed takes nothing into the table, and does not settle.
            self.site.settle(self.model.tables())
        findings = judge_all(self.site, self.model, self._cross)
        findings.lines = [f"lake {self.number}, cut {number} ({mode}): {line}" for line in findings.lines]
        self.site.kill()
        return findings

    def _load(self, table, acked):
        """Clients at work for a random time, and until so many uploads are acknowledged."""
        stop, again = threading.Event(), [upload for upload in self.model.uploads if upload.state == OPEN]

        def next_upload():
            with self._lock:
                if again:
                    return again.pop()
                older = self.model.tables()
                chosen = self.random.choice(older) if older and self.random.random() < 0.5 else table
                return self.model.new(chosen, 500, 20_000, respond_async=self.random.random() < ASYNC)

        def work(number):
            while not stop.is_set():
                deliver(self.site, next_upload(), number, stop)

        crowd = Crowd(CLIENTS, work).start()
        threading.Event().wait(self.random.uniform(0.2, 2.0))
        wait_for(lambda: self.model.count(ACKED) >= acked, CLIENT_SECONDS, f"{acked} uploads are acknowledged")
        stop.set()
        self.site.kill()
        crowd.join(CLIENT_SECONDS)


def control(run, library):
    """How many acknowledged rows are lost where the syncs of the Delta log do not count."""
    run.cross, kept = CrossCheck(), run.cross
    lost = Lake(run, library, "control").cut(0, SHADOW_FORGET="/_delta_log").lost_rows
    run.cross = kept
    return lost


def measure(run):
    run.folder.joinpath("F3").mkdir()
    library = compiled("shadow", run.folder / "F3")
    cuts = LONG_CUTS if run.long else SHORT_CUTS
    total, done, acked = Findings(), 0, 0
    while done < cuts:
        lake = Lake(run, library, done // CUTS_PER_LAKE)
        for number in range(CUTS_PER_LAKE):
            findings = lake.cut(number)
            promised, findings.promised_rows = findings.promised_rows, 0
            total.add(findings)
            done += 1
        total.promised_rows += promised
        acked += sum(upload.promised for upload in lake.model.uploads)
    run.report.equal("F3.cuts", done, cuts)
    run.report.at_least("F3.acked_uploads", acked, cuts)
    run.report.at_least("F3.rows_lost_by_control_without_syncs", control(run, library), 1)
    total.tell(run.report, "F3")

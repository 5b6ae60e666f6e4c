"""F8: eight clients fill the disk to its last bytes; the server says so, lives, answers reads, and goes on with new space.

The disk is a small tmpfs, so this needs the right to mount. A ballast file lies on it, which is removed in the end; the
server is not told, nor started again.
"""

import os
import subprocess
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote, urlparse

from clients import Crowd, deliver, send_once
from log_replay import Replay
from model import ACKED, Model
from sluice_client import PROBLEM_FIELDS

DISK_BYTES, BALLAST_BYTES = 64 << 20, 24 << 20
CLIENTS = 8
LARGEST_BYTES, SMALLEST_BYTES = 1_000_000, 500
FILL_SECONDS, RECOVER_SECONDS, READ_SECONDS = 120, 60, 10
# A disk on which a small upload does not fit any more is full.
FULL_BYTES = 256 << 10
REFUSALS = (507, 503)
TABLE = "full.one"
ENVIRONMENT = {"SLUICE_INGEST__MIN_FREE_BYTES": "1", "SLUICE_INGEST__RETRY_SECONDS": "1"}


@contextmanager
def small_disk(folder: Path):
    """A tmpfs on the folder."""
    folder.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES},mode=0700", "tmpfs", str(folder)]
    done = subprocess.run(mount, capture_output=True, text=True)
    assert done.returncode == 0, f"this figure needs the right to mount a tmpfs: {done.stderr}"
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def free_bytes(folder):
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize


class Filling:
    """Clients that send smaller and smaller uploads until not even the smallest is taken."""

    def __init__(self, site, model):
        self._site, self._model = site, model
        self._lock = threading.Lock()
        self.statuses, self.nameless, self.unheard, self.refused = {}, 0, 0, []

    def work(self, number):
        size, deadline = LARGEST_BYTES, time.monotonic() + FILL_SECONDS
        while size >= SMALLEST_BYTES:
            assert time.monotonic() < deadline, f"the disk is not full after {FILL_SECONDS} s"
            format = ("csv", "ndjson")[number % 2]
            upload = self._model.new(TABLE, size, size * 1.2, format=format, gzipped=False, respond_async=number == 3)
            answer = send_once(self._site.lake, upload)
            self._note(upload, answer)
            if not upload.promised:
                size /= 2

    def _note(self, upload, answer):
        with self._lock:
            if answer is None:
                # The server may refuse before it has read the body; that must not keep the client from hearing it.
                self.unheard += 1
                self.refused.append(upload)
                return
            self.statuses[answer.status_code] = self.statuses.get(answer.status_code, 0) + 1
            if not upload.promised:
                self.refused.append(upload)
                kind = answer.headers.get("Content-Type", "")
                named = kind.startswith("application/problem+json") and PROBLEM_FIELDS <= answer.json().keys()
                self.nameless += not named


def reads_go_on(site):
    """Health, a description and a query, on the full disk; how long the slowest took."""
    slowest = 0.0
    for ask in (lambda: site.lake.get("/healthz"), lambda: site.lake.describe(TABLE), lambda: site.lake.count(TABLE)):
        begun = time.monotonic()
        ask()
        slowest = max(slowest, time.monotonic() - begun)
    return slowest


def empty_files(location):
    """Files of the log without bytes; that a live data file has the size that the log says is seen to by the replay."""
    folder = Path(unquote(urlparse(location).path))
    empty = [path for path in (folder / "_delta_log").glob("*.json") if path.stat().st_size == 0]
    return len(empty) + sum(add["size"] == 0 for add in Replay(location).live.values())


def fill(run, site, model, report):
    filling = Filling(site, model)
    Crowd(CLIENTS, filling.work).start().join(FILL_SECONDS + 60)
    left = free_bytes(site.data_dir)
    report.info("F8.answers", dict(sorted(filling.statuses.items())))
    report.at_most("F8.free_bytes_when_full", left, FULL_BYTES)
    report.at_least("F8.uploads_refused", len(filling.refused), CLIENTS)
    other = sum(count for status, count in filling.statuses.items() if status not in (201, 202, *REFUSALS))
    report.equal("F8.answers_of_another_kind", other, 0)
    report.equal("F8.connections_broken_without_answer", filling.unheard, 0)
    report.equal("F8.refusals_without_problem", filling.nameless, 0)
    report.below("F8.slowest_read_seconds", reads_go_on(site), READ_SECONDS)
    report.equal("F8.empty_files_when_full", empty_files(site.lake.describe(TABLE)["location"]), 0)
    return filling.refused


def measure(run):
    with small_disk(run.folder / "F8") as disk:
        try:
            _measure(run, disk)
        finally:
            run.end()


def _measure(run, disk):
    report, model, site = run.report, Model(run.random("F8")), run.site("F8", ENVIRONMENT)
    ballast = disk / "ballast"
    ballast.write_bytes(bytes(BALLAST_BYTES))
    site.start()
    deliver(site, model.new(TABLE))
    pids = site.pids
    refused = fill(run, site, model, report)
    # What was answered with 202 can wait for space.
    run.judge("F8.full", site, model, due=(ACKED,))

    ballast.unlink()
    begun = time.monotonic()

    def again(number):
        for upload in refused[number::CLIENTS]:
            deliver(site, upload, number)

    Crowd(CLIENTS, again).start().join(RECOVER_SECONDS)
    site.settle([TABLE])
    report.below("F8.seconds_until_all_are_taken", time.monotonic() - begun, RECOVER_SECONDS)
    report.equal("F8.same_process", int(site.running and site.pids == pids), 1)
    run.judge("F8", site, model)
    site.stop()

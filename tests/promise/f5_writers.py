"""F5: 64 writers add to one table, through as many servers as there are on its lake: all is there, once, and fast enough.

What is not acknowledged when the time is up counts as missing, and is in the table whole or not at all. How fast is told
beside delta-rs on the same machine, right before. The server makes 20 to 28 times as many commits a second (2 cores, 36 to 54
where delta-rs makes 2, most of whose time goes in its pauses after conflicts).
"""

import threading
import time

import f5_rival
from clients import Crowd, NotAnswered, deliver
from model import ACKED, Model
from verify import judge

WRITERS = 64
UPLOADS_EACH = 50
MAX_SECONDS = 600
TIMES_DELTA_RS = 10
TABLE = "writers.one"


class Writers:
    """Each sends its uploads one after the other, until the time is up."""

    def __init__(self, site, model):
        self._site = site
        self._stop = threading.Event()
        self._uploads = [[model.new(TABLE, 200, 2000) for _ in range(UPLOADS_EACH)] for _ in range(WRITERS)]
        self._left = threading.Semaphore(0)
        for upload in model.uploads:
            upload.encode()

    def _write(self, number):
        try:
            for upload in self._uploads[number]:
                if self._stop.is_set():
                    return
                deliver(self._site, upload, number, self._stop)
        except NotAnswered:
            if not self._stop.is_set():
                raise
        finally:
            self._left.release()

    def run(self, seconds):
        """How long they took; where the time is up, the server is killed under them."""
        begun = time.monotonic()
        crowd = Crowd(WRITERS, self._write).start()
        for _ in range(WRITERS):
            if not self._left.acquire(timeout=max(0.0, begun + seconds - time.monotonic())):
                break
        taken = time.monotonic() - begun
        self._stop.set()
        self._site.kill()
        crowd.join(30)
        return taken


def measure(run):
    model, site = Model(run.random("F5")), run.site("F5", servers=run.servers)
    writers = Writers(site, model)
    rival = f5_rival.commits_per_second(run.folder / "F5-rival")
    site.start()
    # The table is made before the clock runs: how that goes when all want to is another figure.
    deliver(site, model.new(TABLE, 200, 2000))
    location = site.lake.describe(TABLE)["location"]
    taken = writers.run(MAX_SECONDS)
    acked = model.count(ACKED) - 1
    run.report.info("F5.servers", run.servers)
    run.report.equal("F5.acked_uploads", acked, WRITERS * UPLOADS_EACH)
    run.report.info("F5.commits_per_second", acked / taken)
    run.report.info("F5.delta_rs_commits_per_second", rival)
    run.report.at_least("F5.times_delta_rs", acked / taken / rival, TIMES_DELTA_RS)
    judge(model, TABLE, location, run.cross).tell(run.report, "F5")

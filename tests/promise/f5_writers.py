"""F5: 64 writers add to one table, through as many servers as there are on its lake: all is there, once, and fast enough."""

import time

from clients import Crowd, deliver
from model import Model

WRITERS = 64
UPLOADS_EACH = 50
SECONDS = 400
COMMITS_PER_SECOND = 40
TABLE = "writers.one"


def measure(run, servers=1):
    model, site = Model(run.random("F5")), run.site("F5", servers=servers)
    uploads = [[model.new(TABLE, 200, 2000) for _ in range(UPLOADS_EACH)] for _ in range(WRITERS)]
    for upload in model.uploads:
        upload.encode()
    site.start()
    # The table is made before the clock runs: how that goes when all want to is another figure.
    deliver(site, model.new(TABLE, 200, 2000))

    def write(number):
        for upload in uploads[number]:
            deliver(site, upload, number)

    begun = time.monotonic()
    Crowd(WRITERS, write).start().join(SECONDS)
    taken = time.monotonic() - begun
    run.report.equal("F5.acked_uploads", sum(upload.promised for upload in model.uploads), WRITERS * UPLOADS_EACH + 1)
    run.judge("F5", site, model)
    run.report.info("F5.servers", servers)
    run.report.at_least("F5.commits_per_second", WRITERS * UPLOADS_EACH / taken, COMMITS_PER_SECOND)
    site.stop()

"""F1: the server is killed again and again at random instants while 16 clients upload; nothing acknowledged is lost.

Some kills hit a server that is still starting. Some recoveries have the server for themselves, some run beside the clients'
load. Most uploads carry a key and are sent until they are acknowledged; some ask for an answer before the commit, whose rows
must be there in the end; some carry no key, are sent once, and are there whole or not at all.
"""

import threading
import time

from clients import Crowd, deliver
from model import ACCEPTED, ACKED, OPEN, Model

CLIENTS = 16
SHORT_KILLS, LONG_KILLS = 20, 200
# A new table is begun every so many kills, so that kills hit its creation too.
KILLS_PER_TABLE = 2
# How much of the load goes to the newest table; the others share the rest.
NEWEST = 0.5
KEYLESS, ASYNC = 0.1, 0.15
KILLS_WHILE_STARTING = 0.2
LAST_CLIENT_SECONDS = 180
RECOVERY_SECONDS = 5
# A recovery that takes longer has failed; the next kill does not wait for it.
GIVE_UP_SECONDS = 10


class Load:
    """What the clients send: batches into one of the tables so far, until it is told to end."""

    def __init__(self, run, site):
        self._random, self._site = run.random("F1 load"), site
        self.model = Model(run.random("F1 model"))
        self.tables = []
        self._lock, self._enough = threading.Lock(), threading.Event()

    def begin_table(self):
        self.tables.append(f"kills.table_{len(self.tables)}")

    def end(self):
        self._enough.set()

    def _next(self):
        with self._lock:
            newest = self._random.random() < NEWEST
            table = self.tables[-1] if newest else self._random.choice(self.tables)
            kind = self._random.random()
        keyless = {"key": None} if kind < KEYLESS else {}
        return self.model.new(table, respond_async=kind > 1 - ASYNC, **keyless)

    def work(self, number):
        while not self._enough.is_set():
            deliver(self._site, self._next(), number)


def kill_while_starting(site, instants):
    """A start that does not get far."""
    process = site.launch()
    threading.Event().wait(instants.uniform(0, 0.4))
    process.kill()


def rounds(run, site, load):
    """Kill, and start again; gives what each recovery took."""
    instants, recoveries = run.random("F1 instants"), []
    for kill in range(LONG_KILLS if run.long else SHORT_KILLS):
        if kill % KILLS_PER_TABLE == 0:
            load.begin_table()
        if kill == 0:
            site.start()
            crowd = Crowd(CLIENTS, load.work).start()
        threading.Event().wait(instants.uniform(0.05, 1.5))
        site.kill()
        if instants.random() < KILLS_WHILE_STARTING:
            kill_while_starting(site, instants)
        recoveries.append(site.recover(load.tables, instants.random() < 0.5, GIVE_UP_SECONDS))
    load.end()
    crowd.join(LAST_CLIENT_SECONDS)
    return recoveries


def tell_recoveries(report, recoveries):
    report.below("F1.slowest_ready_seconds", max(recovery.ready for recovery in recoveries), RECOVERY_SECONDS)
    for name, under_load in (("alone", False), ("under_load", True)):
        chosen = [recovery for recovery in recoveries if recovery.under_load == under_load]
        slowest = max(chosen, key=lambda recovery: recovery.settled)
        report.info(f"F1.resumed_in_slowest_recovery_{name}", f"{slowest.resumed}, unsettled {slowest.unsettled}")
        over = sum(recovery.settled >= RECOVERY_SECONDS for recovery in chosen)
        report.info(f"F1.recoveries_{name}_over_bar", f"{over} of {len(chosen)}")
        report.below(f"F1.slowest_recovery_{name}_seconds", slowest.settled, RECOVERY_SECONDS)


def measure(run):
    site = run.site("F1")
    load = Load(run, site)
    recoveries = rounds(run, site, load)
    site.settle(load.tables)
    uploads = load.model.uploads
    run.report.at_least("F1.kills", len(recoveries), LONG_KILLS if run.long else SHORT_KILLS)
    run.report.info("F1.uploads", len(uploads))
    run.report.info("F1.uploads_resumed", sum(recovery.resumed for recovery in recoveries))
    run.report.info("F1.connections_broken_without_a_kill", site.broken)
    run.report.info("F1.uploads_answered_202", load.model.count(ACCEPTED))
    run.report.equal("F1.keyed_uploads_not_acked", sum(u.state == OPEN and u.key is not None for u in uploads), 0)
    run.report.at_least("F1.acked_uploads", load.model.count(ACKED), len(recoveries))
    tell_recoveries(run.report, recoveries)
    begun = time.monotonic()
    run.judge("F1", site, load.model)
    run.report.info("F1.judging_seconds", time.monotonic() - begun)
    site.stop()

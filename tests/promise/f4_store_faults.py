"""F4: S3 that fails in every way, and is away for a while: 16 clients upload through a fault proxy before LocalStack.

Each upload has a key and is tried until it is taken or finally refused. In the end the faults stop, and the tables,
read by the replay of their logs, hold the rows of every upload that was taken once, and no row of any other.
"""

import collections
import concurrent.futures
import json
import os
import random
import socket
import tempfile
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

import requests
from conftest import CREDENTIALS, PROJECT, LocalStack
from f4_proxy import FaultProxy
from f14_killers import percentile
from log_replay import Replay
from server import Lake, Process, Server, clean_environment, table_path, wait_for

CLIENTS = 16
UPLOADS = {False: 150, True: 1_000}
TABLES = 4
ANSWER_BAR_SECONDS = 20
ANSWER_SECONDS = 60
UPLOAD_SECONDS = 180
SETTLE_SECONDS = 90
OUTAGE_SECONDS = 10
OUTAGE_CLIENTS = 4
OPEN_STATES = ("landed", "committing")
SHOWN = 15
RAW, CURATED = "promise-raw", "promise-curated"
# Waits that fit the length of this test; a server that does not know them waits as it does.
SHORT_WAITS = {
    "SLUICE_STORAGE__S3__TIMEOUTS__REQUEST_SECONDS": "3",
    "SLUICE_STORAGE__BREAKER__OPEN_SECONDS": "3",
}
SOON = {"SLUICE_INGEST__RETRY_SECONDS": "2", "RUST_BACKTRACE": "0", "NO_COLOR": "1"}


class Uploads:
    """What the clients sent, and what became of it."""

    def __init__(self, server, seed):
        self.lake, self.seed = Lake(server.url), seed
        self.seconds, self.statuses = [], collections.Counter()
        self.acked, self.refused, self.undecided, self.odd = {}, {}, {}, []
        self._lock = threading.Lock()
        self._pause = threading.Event()

    def run(self, number):
        """Try one upload until it is decided, or its time is over."""
        rows, (body, form) = self._body(number)
        table, key = f"faults.t{number % TABLES}", f"{self.seed}-{number}"
        deadline = time.monotonic() + UPLOAD_SECONDS
        while time.monotonic() < deadline:
            status, answer, headers, waits = self.attempt(table, body, form, key)
            if status in (201, 202):
                return self._decided(self.acked, number, (table, rows))
            if 400 <= status < 500 and status not in (408, 409, 425, 429):
                self.odd.append(f"upload {number}: {status} {answer[:200]}")
                return self._decided(self.refused, number, (table, rows))
            self._pause.wait(min(waits, 2))
        return self._decided(self.undecided, number, (table, rows))

    def attempt(self, table, body, form, key):
        """One request: its status (0 where there is no answer), text, headers, and how long to wait before another."""
        begun = time.monotonic()
        try:
            path, headers = f"{table_path(table)}/uploads", {"Idempotency-Key": key}
            answer = self.lake.request("POST", path, headers, data=body, params={"format": form}, timeout=ANSWER_SECONDS)
            status, text, headers = answer.status_code, answer.text, answer.headers
        except requests.RequestException as failure:
            status, text, headers = 0, str(failure), {}
        with self._lock:
            self.seconds.append(time.monotonic() - begun)
            self.statuses[status] += 1
            if status >= 500 and not (status == 503 and "Retry-After" in headers) or status == 0:
                self.odd.append(f"{key}: {status} {text[:250]}")
        return status, text, headers, float(headers.get("Retry-After", 1))

    def _decided(self, outcome, number, what):
        with self._lock:
            outcome[number] = what

    def _body(self, number):
        chance = random.Random(f"{self.seed} upload {number}")
        rows = [f"{number}-{row}" for row in range(chance.choice((1, 20, 400)))]
        if chance.random() < 0.5:
            return rows, (("id,value\n" + "".join(f"{row},{at}\n" for at, row in enumerate(rows))).encode(), "csv")
        lines = (json.dumps({"id": row, "value": at}) for at, row in enumerate(rows))
        return rows, (("\n".join(lines) + "\n").encode(), "ndjson")


def start_localstack(folder):
    """The process and what the client tests know it as."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = clean_environment(PORT=str(port), LOCALSTACK_STATE=str(folder))
    process = Process([PROJECT / "localstack" / "start"], r"^Ready\.", environment)
    # The first start installs.
    process.wait_until_ready(300)
    return process, LocalStack(process, f"http://127.0.0.1:{port}")


def start_server(binary, data_dir, environment, report):
    """A server with short waits, or, where it knows none, with its own."""
    try:
        return Server(binary, data_dir, environment=environment | SHORT_WAITS | SOON)
    except AssertionError as failure:
        if "unknown field" not in str(failure):
            raise
        report.note("the server has no settings for the waits of S3: each hanging request lasts until the proxy ends it")
        return Server(binary, data_dir, environment=environment | SOON)


def measure(run):
    """PROMISE_ONLY is `faults` or `outage`, where only one of the two is wanted."""
    folder = run.folder / "F4"
    folder.mkdir()
    process, store = start_localstack(folder / "localstack")
    try:
        for bucket in (RAW, CURATED):
            store.client("s3").create_bucket(Bucket=bucket)
        with FaultProxy(store.endpoint, run.seed) as proxy:
            environment = store.server_environment(f"s3://{RAW}/zone", f"s3://{CURATED}/zone")
            environment["SLUICE_STORAGE__S3__ENDPOINT"] = proxy.url
            server = start_server(run.binary, folder / "data", environment, run.report)
            try:
                _measure(server, proxy, store, run)
            finally:
                if server.running:
                    server.stop()
    finally:
        process.stop()


def _measure(server, proxy, store, run):
    uploads, count, report = Uploads(server, run.seed), UPLOADS[run.long], run.report
    only = os.environ.get("PROMISE_ONLY", "")
    if only in "faults":
        with_faults(uploads, proxy, count, report)
    if only in "outage":
        through_an_outage(uploads, proxy, count, report)
    settled = _settle(uploads.lake)
    for line in uploads.odd[:SHOWN]:
        report.note(line)
    for line in [line for line in server.log_tail().splitlines() if "a request failed" in line][-SHOWN:]:
        report.note(f"the server said: {line[-400:]}")
    report.note(f"answers by status: {dict(uploads.statuses)}; requests to the store: {proxy.requests}; faults: {proxy.counts}")
    lost, doubled, false = compare(uploads, store, report)
    report.equal("F4.server_exits", int(not server.running), 0)
    report.equal("F4.acked_rows_lost", lost, 0)
    report.equal("F4.rows_doubled", doubled, 0)
    report.equal("F4.rows_that_nobody_was_promised", false, 0)
    report.equal("F4.uploads_undecided", len(uploads.undecided), 0)
    report.equal("F4.good_uploads_refused", len(uploads.refused), 0)
    report.equal("F4.answers_that_are_no_503_with_retry_after", len(uploads.odd), 0)
    report.equal("F4.uploads_unsettled", settled, 0)


def with_faults(uploads, proxy, count, report):
    begun = time.monotonic()
    proxy.faulty = True
    with concurrent.futures.ThreadPoolExecutor(CLIENTS) as clients:
        list(clients.map(uploads.run, range(count)))
    proxy.faulty = False
    report.at_least("F4.uploads_acked", len(uploads.acked), count)
    report.at_least("F4.faults", sum(proxy.counts.values()), count // 5)
    report.below("F4.answer_p99_seconds", percentile(uploads.seconds, 0.99), ANSWER_BAR_SECONDS)
    report.info("F4.answer_max_seconds", max(uploads.seconds))
    report.info("F4.uploads_per_second", len(uploads.acked) / (time.monotonic() - begun))


def through_an_outage(uploads, proxy, count, report):
    """Uploads that begin while the store is away, and all of them decided after it is back."""
    before = len(uploads.seconds)
    statuses = collections.Counter(uploads.statuses)
    proxy.down = True
    back = threading.Timer(OUTAGE_SECONDS, lambda: setattr(proxy, "down", False))
    back.start()
    begun = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(OUTAGE_CLIENTS) as clients:
        list(clients.map(uploads.run, range(count, count + OUTAGE_CLIENTS)))
    ended = time.monotonic()
    back.join()
    report.info("F4.outage_answers", dict(uploads.statuses - statuses))
    report.at_least("F4.outage_answers_503", (uploads.statuses - statuses)[503], 1)
    report.below("F4.outage_slowest_answer_seconds", max(uploads.seconds[before:]), ANSWER_BAR_SECONDS)
    report.below("F4.outage_recovery_seconds", max(0.0, ended - begun - OUTAGE_SECONDS), ANSWER_BAR_SECONDS)


def _settle(lake):
    """How many uploads have no outcome although the faults are over and they were waited for."""

    def unsettled():
        found = 0
        for number in range(TABLES):
            answer = lake.request("GET", f"{table_path(f'faults.t{number}')}/uploads", params={"page_size": 1000})
            items = answer.json()["items"] if answer.status_code == 200 else []
            found += sum(entry["status"] in OPEN_STATES for entry in items)
        return found

    try:
        wait_for(lambda: unsettled() == 0, SETTLE_SECONDS, "every upload has its outcome")
    except AssertionError:
        pass
    return unsettled()


def compare(uploads, store, report):
    """Acked rows that are missing, rows that are there twice, and rows of uploads that were not acked."""
    lost = doubled = false = 0
    for number in range(TABLES):
        table = f"faults.t{number}"
        promised = {row for name, rows in uploads.acked.values() if name == table for row in rows}
        if not promised:
            continue
        found = collections.Counter(_rows(store, uploads.lake.describe(table)["location"]))
        lost += len(promised - found.keys())
        doubled += sum(count - 1 for count in found.values())
        false += len(found.keys() - promised)
        report.note(f"{table}: {sum(found.values())} rows, {len(promised)} promised")
    return lost, doubled, false


def _rows(store, location):
    """The ids of a table in a bucket, copied to this machine and replayed there."""
    place = urlsplit(location)
    client, prefix = store.client("s3"), place.path.strip("/") + "/"
    with tempfile.TemporaryDirectory(prefix="sluice-f4-read-") as folder:
        for page in client.get_paginator("list_objects_v2").paginate(Bucket=place.netloc, Prefix=prefix):
            for entry in page.get("Contents", []):
                target = Path(folder) / entry["Key"].removeprefix(prefix)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(client.get_object(Bucket=place.netloc, Key=entry["Key"])["Body"].read())
        return Replay(Path(folder).as_uri()).table().column("id").to_pylist()

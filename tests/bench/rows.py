#!/usr/bin/env python3
"""How many rows a second many clients with small batches get committed and synced, and how long each waits.

Usage: rows.py --binary target/release/sluice [--seconds 10] [--clients 64] [--batch 10] [--rate ROWS_PER_SECOND]
                                                                         (with the Python of the client tests)

Two turns over HTTP with kept connections: first every client sends its next batch when the last one was answered, which
gives the rate; then they send at 70 % of that rate (or of --rate) by the clock, each batch timed from the moment when it
was due. An answer comes after original, data files, Delta log and catalog are synced; what the receipts say is counted in
the table afterwards. The rivals append the same batches from as many threads to the same disk: Python's deltalake (one
Delta commit a batch, not synced), SQLite and DuckDB (one synced transaction a batch).
"""

import argparse
import json
import multiprocessing
import os
import shutil
import socket
import sqlite3
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "clients"))

import requests  # noqa: E402
from sluice_server import Server  # noqa: E402

PROCESSES = 4
SHARE = 0.7
PATH = "/api/v1/tables/bench/events/rows"


def row(number):
    return {
        "id": number,
        "at": f"2026-03-{number % 28 + 1:02}T{number // 3600 % 24:02}:{number // 60 % 60:02}:{number % 60:02}.125Z",
        "device": f"device-{number % 997}",
        "value": number % 10_007 / 8,
        "ok": number % 3 == 0,
    }


def batch(client, turn, size):
    first = (client * 1_000_000 + turn) * size
    return [row(first + at) for at in range(size)]


class Connection:
    """HTTP/1.1 over one kept connection, no more than is needed to ask and to understand the answer."""

    def __init__(self, host, port):
        self._host = f"{host}:{port}".encode()
        self._socket = socket.create_connection((host, port), timeout=60)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def post(self, body, key=None):
        extra = b"idempotency-key: %s\r\n" % key if key else b""
        head = b"POST %s HTTP/1.1\r\nhost: %s\r\ncontent-type: application/x-ndjson\r\n%scontent-length: %d\r\n\r\n"
        self._socket.sendall(head % (PATH.encode(), self._host, extra, len(body)) + body)
        answer = self._socket.recv(65536)
        while (end := answer.find(b"\r\n\r\n")) < 0:
            answer += self._more()
        length = int(answer[:end].lower().split(b"content-length:")[1].split(b"\r\n")[0])
        while len(answer) < end + 4 + length:
            answer += self._more()
        return int(answer[9:12]), answer[end + 4 :]

    def _more(self):
        piece = self._socket.recv(65536)
        if not piece:
            raise ConnectionError("the server closed the connection")
        return piece


def client(number, address, plan, results):
    """One client's batches until the end: by the clock where there is an interval, one after the other else."""
    connection = Connection(*address)
    waits, committed, refused, turn = [], 0, 0, 0
    interval, begin, end = plan["interval"], plan["begin"], plan["begin"] + plan["seconds"]
    time.sleep(max(0, begin - time.time()))
    due = begin + (interval or 0) * (number / plan["clients"])
    while True:
        now = time.time()
        if interval and now < due:
            time.sleep(due - now)
        asked = due if interval else now
        if asked >= end:
            break
        rows = batch(plan["offset"] + number, turn, plan["batch"])
        body = "\n".join(json.dumps(row) for row in rows).encode()
        key = b"%d-%d" % (plan["offset"] + number, turn) if plan["keys"] else None
        if not interval:
            asked = time.time()
        status, answer = connection.post(body, key)
        waits.append(time.time() - asked)
        if status == 201:
            committed += json.loads(answer)["rows_committed"]
        else:
            refused += 1
        turn += 1
        due += interval or 0
    results.append((waits, committed, refused))


def clients_of_process(numbers, address, plan, pipe):
    results = []
    threads = [threading.Thread(target=client, args=(number, address, plan, results)) for number in numbers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    pipe.send(results)


def drive(address, plan):
    """All clients, in a few processes, since one Python would be the bottleneck."""
    plan = {**plan, "begin": time.time() + 1}
    pipes = []
    for share in range(PROCESSES):
        receiver, sender = multiprocessing.Pipe(duplex=False)
        numbers = range(share, plan["clients"], PROCESSES)
        process = multiprocessing.Process(target=clients_of_process, args=(numbers, address, plan, sender))
        process.start()
        pipes.append((process, receiver))
    results = [result for _, receiver in pipes for result in receiver.recv()]
    for process, _ in pipes:
        process.join()
    if len(results) != plan["clients"]:
        raise SystemExit(f"{plan['clients'] - len(results)} clients broke off")
    waits = sorted(wait for waits, _, _ in results for wait in waits)
    return {
        "rows": sum(committed for _, committed, _ in results),
        "refused": sum(refused for _, _, refused in results),
        "rate": sum(committed for _, committed, _ in results) / plan["seconds"],
        "p50_ms": 1000 * statistics.median(waits),
        "p99_ms": 1000 * waits[int(len(waits) * 0.99)],
        "max_ms": 1000 * waits[-1],
    }


def rows_in_table(url):
    answer = requests.post(f"{url}/api/v1/queries", json={"sql": "SELECT count(*) AS n FROM bench.events"}, timeout=600)
    return answer.json()["rows"][0]["n"]


def computing_seconds(pid):
    """What the process has computed so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure_sluice(options, folder):
    server = Server(options.binary, folder / "sluice", environment=dict(pair.split("=", 1) for pair in options.set))
    try:
        where = urlsplit(server.url)
        address = (where.hostname, where.port)
        Connection(*address).post(json.dumps(row(0)).encode())
        plan = {"clients": options.clients, "batch": options.batch, "seconds": options.seconds, "keys": options.keys}
        before = computing_seconds(server.pid)
        full = drive(address, {**plan, "interval": None, "offset": 1})
        computed = computing_seconds(server.pid) - before
        rate = SHARE * (options.rate or full["rate"])
        interval = options.clients * options.batch / rate
        paced = drive(address, {**plan, "interval": interval, "offset": 1 + options.clients})
        said, found = 1 + full["rows"] + paced["rows"], rows_in_table(server.url)
        if said != found:
            raise SystemExit(f"the receipts say {said} rows, and the table has {found}")
        metrics = requests.get(f"{server.url}/metrics", timeout=60).text
    finally:
        server.stop()
    print_line("sluice, as fast as they go", "original, data, log, catalog synced", full)
    print_line(f"sluice at {rate:,.0f} rows/s", "original, data, log, catalog synced", paced)
    groups = next(line.split()[1] for line in metrics.splitlines() if line.startswith("data_lake_rows_group_rows_count"))
    print(f"the server computed {1e6 * computed / full['rows']:.1f} µs a row, {computed / options.seconds:.2f} cores")
    print(f"{said:,} rows in the table, as the receipts say; {groups} commits", flush=True)


def rival(options, append):
    """The same batches from as many threads, each time through this function; failures are counted, not repeated."""
    waits, failed, lock = [], [], threading.Lock()
    end = time.time() + options.seconds

    def run(number):
        turn = 0
        while time.time() < end:
            rows, begun = batch(number, turn, options.batch), time.time()
            try:
                append(rows)
                with lock:
                    waits.append(time.time() - begun)
            except Exception as error:
                with lock:
                    failed.append(str(error))
            turn += 1

    threads = [threading.Thread(target=run, args=(number,)) for number in range(options.clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    waits.sort()
    return {
        "rate": len(waits) * options.batch / options.seconds,
        "refused": len(failed),
        "p50_ms": 1000 * statistics.median(waits) if waits else float("nan"),
        "p99_ms": 1000 * waits[int(len(waits) * 0.99)] if waits else float("nan"),
        "max_ms": 1000 * waits[-1] if waits else float("nan"),
    }


def measure_deltalake(options, folder):
    import pyarrow
    from deltalake import write_deltalake

    path = str(folder / "deltalake")
    write_deltalake(path, pyarrow.Table.from_pylist([row(0)]))
    append = lambda rows: write_deltalake(path, pyarrow.Table.from_pylist(rows), mode="append")  # noqa: E731
    print_line("deltalake appends", "nothing synced", rival(options, append))


def measure_sqlite(options, folder):
    path, local = folder / "rows.db", threading.local()
    columns = "id INTEGER, at TEXT, device TEXT, value REAL, ok INTEGER"
    first = sqlite3.connect(path)
    first.execute("PRAGMA journal_mode = WAL")
    first.execute(f"CREATE TABLE events ({columns})")

    def append(rows):
        if not hasattr(local, "database"):
            local.database = sqlite3.connect(path, timeout=60)
            local.database.execute("PRAGMA synchronous = FULL")
        with local.database:
            local.database.executemany("INSERT INTO events VALUES (:id, :at, :device, :value, :ok)", rows)

    print_line("SQLite inserts", "its log synced", rival(options, append))


def measure_duckdb(options, folder):
    import duckdb

    database = duckdb.connect(str(folder / "rows.duckdb"))
    database.execute('CREATE TABLE events (id BIGINT, "at" TIMESTAMPTZ, device TEXT, value DOUBLE, ok BOOLEAN)')
    local = threading.local()

    def append(rows):
        if not hasattr(local, "cursor"):
            local.cursor = database.cursor()
        values = [value for row in rows for value in row.values()]
        marks = ", ".join(["(?, ?, ?, ?, ?)"] * len(rows))
        local.cursor.execute(f"INSERT INTO events VALUES {marks}", values)

    print_line("DuckDB inserts", "its log synced", rival(options, append))


def print_line(what, level, result):
    print(
        f"{what:32} {result['rate']:>9,.0f} rows/s   p50 {result['p50_ms']:7.1f} ms   p99 {result['p99_ms']:7.1f} ms   "
        f"max {result['max_ms']:7.1f} ms   failed {result['refused']}   ({level})",
        flush=True,
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--batch", type=int, default=10, help="rows of one request")
    parser.add_argument("--rate", type=float, help="the rate whose 70 %% are sent by the clock; else the measured one")
    parser.add_argument("--keys", action="store_true", help="every request has an idempotency key")
    parser.add_argument("--set", action="append", default=[], metavar="SLUICE_…=value", help="a setting of the server")
    parser.add_argument("--no-rivals", action="store_true")
    parser.add_argument("--folder", type=Path, help="where the tables are written; a new one below it")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(dir=options.folder, prefix="rows-"))
    print(f"{options.clients} clients, batches of {options.batch} rows, {options.seconds:g} s each", flush=True)
    try:
        measure_sluice(options, folder)
        if not options.no_rivals:
            measure_deltalake(options, folder)
            measure_sqlite(options, folder)
            measure_duckdb(options, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()

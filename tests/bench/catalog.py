#!/usr/bin/env python3
"""How long the catalog takes to answer in a lake with many tables.

Usage: catalog.py --binary target/release/sluice [--tables 100000] [--seconds 10] [--lake FOLDER]
       tests/with-postgres catalog.py …          the same on PostgreSQL       (with the Python of the client tests)

Makes the tables over HTTP by declaring their schemas: each is a real one, with a Delta log of its own; a folder that is
named is kept, and used again. Then four turns of requests by the clock, each timed from the moment when it was due: one
table (1,000 a second, any of them), a page of the list, a search for a whole word that many tables have, and one for a
word with a slip. A last line asks the database alone for the row of a table, one question after the other: what no
catalog on it can be faster than.
"""

import argparse
import asyncio
import json
import math
import os
import random
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "clients"))

from sluice_server import Server  # noqa: E402

CONNECTIONS = 32
MAKERS = 16
TOPICS = ["orders", "customers", "payments", "shipments", "sessions", "clicks", "refunds", "invoices", "stock", "prices"]
COLUMNS = ["id", "created_at", "amount", "currency", "status", "country", "channel", "email", "note", "source"]


def name(number):
    return f"n{number % 100:02}", f"{TOPICS[number % len(TOPICS)]}_{number:06}"


def declaration(number):
    columns = [{"name": "id", "type": "long"}]
    columns += [{"name": COLUMNS[(number + at) % len(COLUMNS)] + f"_{at}", "type": "string"} for at in range(9)]
    return json.dumps({"columns": columns}).encode()


class Connection:
    """HTTP/1.1 over one kept connection, no more than is needed to ask and to understand the answer."""

    def __init__(self, url):
        parts = urlsplit(url)
        self._address, self._host = (parts.hostname, parts.port), parts.netloc

    async def open(self):
        self._reader, self._writer = await asyncio.open_connection(*self._address)
        return self

    async def ask(self, method, path, body=b""):
        head = f"{method} {path} HTTP/1.1\r\nhost: {self._host}\r\ncontent-type: application/json\r\n"
        self._writer.write(head.encode() + b"content-length: %d\r\n\r\n" % len(body) + body)
        answer = await self._reader.readuntil(b"\r\n\r\n")
        length = int(answer.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        text = await self._reader.readexactly(length)
        status = int(answer[9:12])
        if status >= 300:
            raise SystemExit(f"{method} {path} is answered with {status}: {text[:300]!r}")
        return text


async def make(url, tables):
    """Declare the tables; doing it again changes nothing."""
    connections = [await Connection(url).open() for _ in range(MAKERS)]
    numbers = iter(range(tables))

    async def work(connection):
        for number in numbers:
            namespace, table = name(number)
            await connection.ask("PUT", f"/api/v1/tables/{namespace}/{table}/schema", declaration(number))

    await asyncio.gather(*map(work, connections))


async def by_the_clock(url, rate, seconds, path):
    """The times of requests that are due at this rate, in ms; a request waits for a connection if need be."""
    free = asyncio.Queue()
    for _ in range(CONNECTIONS):
        free.put_nowait(await Connection(url).open())
    times, started = [], time.perf_counter()

    async def one(due):
        connection = await free.get()
        await connection.ask("GET", path())
        times.append((time.perf_counter() - due) * 1000)
        free.put_nowait(connection)

    tasks = []
    for number in range(int(rate * seconds)):
        due = started + number / rate
        await asyncio.sleep(max(0, due - time.perf_counter()))
        tasks.append(asyncio.create_task(one(due)))
    await asyncio.gather(*tasks)
    return times, len(times) / (time.perf_counter() - started)


def row(what, times, rate):
    times.sort()
    at = lambda share: times[min(len(times) - 1, math.ceil(len(times) * share) - 1)]  # noqa: E731
    print(f"| {what} | {rate:,.0f} | {at(0.5):.2f} | {at(0.99):.2f} | {times[-1]:.1f} |", flush=True)


async def measure(url, tables, seconds):
    chosen = random.Random(20130101)

    def one():
        namespace, table = name(chosen.randrange(tables))
        return f"/api/v1/tables/{namespace}/{table}"

    def page():
        return f"/api/v1/tables?namespace=n{chosen.randrange(100):02}&page_size=100"

    def word():
        return f"/api/v1/search?q={chosen.choice(TOPICS)}&page_size=20"

    def slip():
        text = chosen.choice(TOPICS)
        return f"/api/v1/search?q={text[:2]}{text[3:]}+{chosen.randrange(tables):06}&page_size=20"

    print("| request | a second | p50 ms | p99 ms | longest ms |\n|---|---|---|---|---|")
    for what, rate, path in [
        ("one table", 1000, one),
        ("a page of 100 tables", 50, page),
        ("a word that a tenth of the tables has", 20, word),
        ("a word with a slip, and a number", 50, slip),
    ]:
        await by_the_clock(url, rate, 1, path)
        row(what, *await by_the_clock(url, rate, seconds, path))


def roofline(database, lake, tables):
    """The row of a table, from the database alone."""
    chosen, times = random.Random(1), []
    names = [".".join(name(chosen.randrange(tables))) for _ in range(2000)]
    if database:
        script = "".join(f"SELECT * FROM tables WHERE name = '{text}' AND state = 'active';\n" for text in names)
        done = subprocess.run(["psql", database, "-qAt", "-c", "\\timing on", "-f", "-"], input=script, text=True,
                              capture_output=True, check=True)  # fmt: skip
        times = [float(line.split()[1]) for line in done.stdout.splitlines() if line.startswith("Time:")]
    else:
        connection = sqlite3.connect(f"file:{lake}/catalog.db?mode=ro", uri=True)
        for text in names:
            started = time.perf_counter()
            connection.execute("SELECT * FROM tables WHERE name = ? AND state = 'active'", (text,)).fetchone()
            times.append((time.perf_counter() - started) * 1000)
    row("the row of a table, the database alone", times, 1000 * len(times) / sum(times))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", type=Path, required=True)
    parser.add_argument("--tables", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--lake", type=Path)
    arguments = parser.parse_args()
    database = os.environ.get("SLUICE_TEST_POSTGRES")
    with tempfile.TemporaryDirectory() as scratch:
        lake = arguments.lake or Path(scratch) / "lake"
        environment = {"SLUICE_CATALOG__URL": database} if database else {}
        server = Server(arguments.binary, lake, environment=environment)
        started = time.perf_counter()
        asyncio.run(make(server.url, arguments.tables))
        taken = time.perf_counter() - started
        print(f"{arguments.tables:,} tables on {'PostgreSQL' if database else 'SQLite'}, declared in {taken:.0f} s")
        asyncio.run(measure(server.url, arguments.tables, arguments.seconds))
        server.stop()
        roofline(database, lake, arguments.tables)


if __name__ == "__main__":
    main()

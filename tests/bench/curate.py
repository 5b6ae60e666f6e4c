#!/usr/bin/env python3
"""How fast a pipeline makes a curated table, and how much memory that takes; beside DuckDB with the same SQL.

Usage: curate.py --binary target/release/sluice [--size-mb 400] [--rounds 3]    (with the Python of the client tests)

Both read the data files of one raw table, in turns, from the page cache. Sluice's time is the client's: from the wish for a
run until its end over HTTP, with the rows committed, their lineage told and everything synced. DuckDB writes one Parquet
file (zstd), in a process of its own whose imports are not counted, and syncs nothing. The rows of both are compared.
"""

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "clients"))

from other_readers import duckdb_connection  # noqa: E402
from sluice_server import Server  # noqa: E402
from upload import MIB, make_file, memory  # noqa: E402

PIPELINES = {
    "summary": "SELECT station, day, count(*) AS readings, avg(temperature) AS mean, max(count) AS most, min(at) AS first "
    "FROM raw.readings GROUP BY station, day",
    "mended": "SELECT id, at, day, station, device, temperature * 1.8 + 32 AS fahrenheit, count, upper(comment) AS comment "
    "FROM raw.readings WHERE valid",
    "ranked": "SELECT id, station, temperature, row_number() OVER (PARTITION BY station ORDER BY temperature, id) AS place, "
    "temperature - lag(temperature) OVER (PARTITION BY station ORDER BY at, id) AS change FROM raw.readings",
}


def call(server, method, path, body=None, headers=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{server.url}{path}", data, method=method, headers=headers or {})
    if body is not None:
        request.add_header("Content-Type", "application/json")
    with urllib.request.urlopen(request, timeout=120) as answer:
        return json.load(answer)


def worker_peak(pid):
    """The most memory that one of the server's children has had."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return max((memory(child, "VmHWM") for child in children), default=0)


def run_sluice(server, name):
    """The seconds, and the most memory of the server and of the process that runs its SQL."""
    Path(f"/proc/{server.pid}/clear_refs").write_text("5")
    started = time.monotonic()
    run = call(server, "POST", f"/api/v1/pipelines/{name}/runs", headers={"Prefer": "wait=60"})
    while run["status"] == "RUNNING":
        time.sleep(0.05)
        run = call(server, "GET", f"/api/v1/runs/{run['run_id']}")
    seconds = time.monotonic() - started
    if run["status"] != "SUCCESS":
        raise SystemExit(f"{name} did not go through: {run}")
    return seconds, memory(server.pid, "VmHWM") + worker_peak(server.pid)


def run_rival(sql, location, target):
    """What DuckDB's process does."""
    connection = duckdb_connection()
    connection.execute("CREATE SCHEMA raw")
    files = sorted(str(path) for path in Path(location).rglob("*.parquet") if "_delta_log" not in path.parts)
    connection.execute(f"CREATE VIEW raw.readings AS SELECT * FROM read_parquet({files!r})")
    started = time.monotonic()
    connection.execute(f"COPY ({sql}) TO '{target}' (FORMAT parquet, COMPRESSION zstd)")
    seconds = time.monotonic() - started
    print(json.dumps([seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024]))


def same_rows(location, target):
    """How many rows one of the two has and the other has not; means may differ in their last digits."""
    connection = duckdb_connection()
    sides = f"FROM delta_scan('{location}')", f"FROM read_parquet('{target}')"
    columns = [row[0] for row in connection.execute(f"DESCRIBE SELECT * {sides[1]}").fetchall()]
    types = dict(connection.execute(f"SELECT column_name, column_type FROM (DESCRIBE SELECT * {sides[1]})").fetchall())
    told = ", ".join(f"round({name}, 6)" if types[name] == "DOUBLE" else name for name in columns)
    left, right = (f"SELECT {told} {side}" for side in sides)
    return connection.execute(
        f"SELECT (SELECT count(*) FROM ({left} EXCEPT ALL {right})) + (SELECT count(*) FROM ({right} EXCEPT ALL {left}))"
    ).fetchone()[0]


def compare(options):
    cache = Path(os.environ.get("SLUICE_CACHE") or Path.home() / ".cache" / "sluice") / "bench"
    cache.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix="curate-", dir=cache))
    try:
        rows = make_file(scratch / "readings.csv", options.size_mb)
        print(f"{rows} rows, {options.size_mb} MB of CSV, {os.cpu_count()} cores, medians of {options.rounds} rounds")
        server = Server(options.binary, scratch / "data")
        try:
            measure(options, server, scratch)
        finally:
            server.stop()
    finally:
        shutil.rmtree(scratch)


def measure(options, server, scratch):
    url = f"{server.url}/api/v1/tables/raw/readings/uploads?format=csv"
    subprocess.run(["curl", "-sSf", "-T", scratch / "readings.csv", "-X", "POST", url], check=True, stdout=subprocess.DEVNULL)
    location = call(server, "GET", "/api/v1/tables/raw/readings")["location"].removeprefix("file://")
    for name, sql in PIPELINES.items():
        body = {"sql": sql, "target": f"curated.{name}", "mode": "overwrite"}
        call(server, "PUT", f"/api/v1/pipelines/{name}", body)
        ours, theirs = [], []
        target = scratch / f"{name}.parquet"
        for _ in range(options.rounds):
            ours.append(run_sluice(server, name))
            done = subprocess.run([sys.executable, __file__, "--rival", sql, location, target], capture_output=True, text=True)
            if done.returncode != 0:
                raise SystemExit(f"DuckDB failed: {done.stderr}")
            theirs.append(json.loads(done.stdout))
        made = call(server, "GET", f"/api/v1/tables/curated/{name}")["location"].removeprefix("file://")
        if different := same_rows(made, target):
            raise SystemExit(f"{name}: {different} rows differ")
        (ours_s, ours_b), (theirs_s, theirs_b) = (
            [statistics.median(figure[at] for figure in figures) for at in (0, 1)] for figures in (ours, theirs)
        )
        print(
            f"{name:<8} sluice {ours_s:6.2f} s {ours_b / MIB:5.0f} MiB   duckdb {theirs_s:6.2f} s {theirs_b / MIB:5.0f} MiB   "
            f"ratio {ours_s / theirs_s:.2f}"
        )


def main():
    if sys.argv[1:2] == ["--rival"]:
        return run_rival(*sys.argv[2:])
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", type=Path, required=True, help="the release build of sluice")
    parser.add_argument("--size-mb", type=int, default=400, help="of the CSV that the raw table is made of")
    parser.add_argument("--rounds", type=int, default=3)
    return compare(parser.parse_args())


if __name__ == "__main__":
    main()

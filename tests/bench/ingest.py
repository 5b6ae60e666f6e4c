#!/usr/bin/env python3
"""How fast a file becomes a committed table: Sluice, DuckDB, Polars and deltalake in turn, on the same files and disk.

Usage: ingest.py --binary target/release/sluice [--rounds 5] [--scale 0.28] [--input lineitem.csv ...]
with a Python that has tpchgen-cli, duckdb, polars, deltalake and pyarrow.

Sluice's time is the client's: curl over HTTP until the receipt, with the original kept in the raw zone, SHA-256 of it
and of the data files, and everything synced; its CPU seconds and memory are those of the server and its children.
The rivals read from the page cache, sync nothing and keep no original; each runs in a process of its own, whose start
and imports are not counted. Whoever made a table, its rows and sums are compared with the others'.
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
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "clients"))

import flights  # noqa: E402
from sluice_server import Server  # noqa: E402

MIB = 1 << 20
RIVALS = ["duckdb", "polars", "deltalake"]
INPUTS = ["lineitem.csv", "lineitem.ndjson", "flights.csv"]
SUMS = {
    "lineitem": "count(*), sum(l_orderkey), sum(l_quantity), round(sum(l_extendedprice)), sum(length(l_comment)), "
    "min(l_shipdate)::DATE::VARCHAR, max(l_receiptdate)::DATE::VARCHAR",
    "flights": "count(*), sum(distance), sum(day), count(DISTINCT tailnum), min(carrier)",
}
TICKS = os.sysconf("SC_CLK_TCK")
SAMPLE_SECONDS = 0.01


def make_inputs(folder, scale):
    """The files, made once for each scale."""
    folder.mkdir(parents=True, exist_ok=True)
    csv, ndjson = folder / "lineitem.csv", folder / "lineitem.ndjson"
    if not csv.is_file():
        part = folder / "part"
        tool = Path(sys.executable).parent / "tpchgen-cli"
        made = ["csv", "--scale-factor", str(scale), "--tables", "lineitem", "--output-dir", str(part), "--quiet"]
        subprocess.run([tool, *made], check=True, stderr=subprocess.DEVNULL)
        (part / "lineitem.csv").replace(csv)
        part.rmdir()
    if not ndjson.is_file():
        import duckdb

        duckdb.sql(f"COPY (FROM read_csv('{csv}')) TO '{ndjson}.part' (FORMAT json)")
        Path(f"{ndjson}.part").replace(ndjson)
    link = folder / "flights.csv"
    if not link.exists():
        cache = Path(os.environ.get("SLUICE_CACHE") or Path.home() / ".cache" / "sluice")
        link.symlink_to(flights.fetch(cache / "data"))


def family(pid):
    """The process and its children."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(member for child in children for member in family(int(child)))]


def cpu_and_memory(pid):
    """CPU seconds and resident bytes of a process and its children; of one that just ended, nothing."""
    seconds = resident = 0
    for member in family(pid):
        try:
            fields = Path(f"/proc/{member}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        seconds += (int(fields[11]) + int(fields[12])) / TICKS
        resident += int(fields[21]) * os.sysconf("SC_PAGE_SIZE")
    return seconds, resident


class Watch(threading.Thread):
    """Samples how much memory a server and its children hold."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self.pid, self.peak, self._over = pid, 0, threading.Event()

    def run(self):
        while not self._over.wait(SAMPLE_SECONDS):
            self.peak = max(self.peak, cpu_and_memory(self.pid)[1])

    def stop(self):
        self._over.set()
        self.join()
        return self.peak


def run_sluice(binary, path, folder):
    """One upload to a fresh lake."""
    null_values = "&null_values=NA" if path.name.startswith("flights") else ""
    server = Server(binary, folder / "data")
    try:
        cpu_before, idle = cpu_and_memory(server.pid)
        watch = Watch(server.pid)
        watch.start()
        url = f"{server.url}/api/v1/tables/bench/rows/uploads?format={path.suffix[1:]}{null_values}"
        command = ["curl", "--silent", "--show-error", "--fail-with-body", "--request", "POST"]
        client_before = resource.getrusage(resource.RUSAGE_CHILDREN)
        started = time.monotonic()
        done = subprocess.run([*command, "--upload-file", path, url], capture_output=True, text=True)
        wall = time.monotonic() - started
        client = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = cpu_and_memory(server.pid)[0] - cpu_before
        peak = watch.stop()
    finally:
        server.stop()
    if done.returncode != 0:
        raise SystemExit(f"the upload failed: {done.stdout}{done.stderr}")
    client_cpu = client.ru_utime + client.ru_stime - client_before.ru_utime - client_before.ru_stime
    return {"wall": wall, "cpu": cpu, "client_cpu": client_cpu, "peak": peak, "idle": idle}


def run_rival(name, path, folder):
    """What the rival's process does."""
    csv, nulls = path.suffix == ".csv", "NA" if path.name.startswith("flights") else ""
    if name == "duckdb":
        import duckdb

        reader = f"read_csv('{path}', nullstr='{nulls}')" if csv else f"read_json('{path}')"
        work = lambda: duckdb.sql(f"COPY (FROM {reader}) TO '{folder}/rows.parquet' (FORMAT parquet, COMPRESSION zstd)")
    elif name == "polars":
        import polars

        scan = (
            (lambda: polars.scan_csv(path, try_parse_dates=True, null_values=[nulls]))
            if csv
            else (lambda: polars.scan_ndjson(path))
        )
        work = lambda: scan().sink_parquet(folder / "rows.parquet", compression="zstd")
    else:
        import deltalake
        import pyarrow.csv
        import pyarrow.json

        convert = pyarrow.csv.ConvertOptions(null_values=[nulls], strings_can_be_null=True)
        read = (lambda: pyarrow.csv.read_csv(path, convert_options=convert)) if csv else lambda: pyarrow.json.read_json(path)
        work = lambda: deltalake.write_deltalake(folder / "table", read())
    before, started = resource.getrusage(resource.RUSAGE_SELF), time.monotonic()
    work()
    wall, after = time.monotonic() - started, resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    # Of this program alone: what `getrusage` says is no less than what the parent held when it started it.
    peak = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
    print(json.dumps({"wall": wall, "cpu": cpu, "peak": peak * 1024}))


def start_rival(name, path, folder):
    command = [sys.executable, __file__, "--rival", name, path, folder]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"{name} failed: {done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def sums(path, folder):
    """Figures of the rows in the Parquet files below a folder."""
    import duckdb

    query = f"SELECT {SUMS[path.stem]} FROM read_parquet('{folder}/**/*.parquet')"
    return duckdb.sql(query).fetchall()


def measure(options, path, scratch):
    """Every side's runs, in alternation."""
    figures, found = {name: [] for name in ["sluice", *RIVALS]}, {}
    for round in range(options.rounds):
        # Nobody always comes after the same one, whose memory and files the system is still busy with.
        names = list(figures)
        for name in names[round % len(names) :] + names[: round % len(names)]:
            runs, folder = figures[name], scratch / f"{name}-{round}"
            folder.mkdir()
            path.read_bytes()
            if name == "sluice":
                runs.append(run_sluice(options.binary, path, folder))
            else:
                runs.append(start_rival(name, path, folder))
            found.setdefault(name, sums(path, folder))
            shutil.rmtree(folder)
    if len({str(row) for row in found.values()}) != 1:
        raise SystemExit(f"the tables differ: {found}")
    return figures


def report(path, figures):
    def median(name, key):
        return statistics.median(run[key] for run in figures[name])

    fastest = min(median(rival, "wall") for rival in RIVALS)
    print(f"\n{path.name}, {path.stat().st_size / 1e6:.0f} MB, {len(figures['sluice'])} rounds, {os.cpu_count()} cores")
    print(f"{'':<10} {'median s':>9} {'best s':>8} {'CPU s':>7} {'peak MiB':>9} {'of the fastest rival':>21}")
    for name, runs in figures.items():
        best, peak = min(run["wall"] for run in runs), max(run["peak"] for run in runs)
        print(
            f"{name:<10} {median(name, 'wall'):9.2f} {best:8.2f} {median(name, 'cpu'):7.2f} {peak / MIB:9.0f} "
            f"{median(name, 'wall') / fastest:21.2f}"
        )
    over = max(run["peak"] - run["idle"] for run in figures["sluice"])
    print(f"sluice over idle: {over / MIB:.0f} MiB; its client took {median('sluice', 'client_cpu'):.2f} CPU s more")


def main():
    if sys.argv[1:2] == ["--rival"]:
        name, path, folder = sys.argv[2:]
        return run_rival(name, Path(path), Path(folder))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", type=Path, required=True, help="the release build of sluice")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--scale", type=float, default=0.28, help="of TPC-H; 0.28 makes 212 MB of CSV")
    parser.add_argument("--input", action="append", choices=INPUTS, help="default: all")
    options = parser.parse_args()
    cache = Path(os.environ.get("SLUICE_CACHE") or Path.home() / ".cache" / "sluice") / "bench"
    inputs = cache / f"tpch-{options.scale}"
    make_inputs(inputs, options.scale)
    scratch = Path(tempfile.mkdtemp(prefix="ingest-", dir=cache))
    try:
        for name in options.input or INPUTS:
            report(inputs / name, measure(options, inputs / name, scratch))
    finally:
        shutil.rmtree(scratch)


if __name__ == "__main__":
    main()

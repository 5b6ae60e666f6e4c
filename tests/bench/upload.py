#!/usr/bin/env python3
"""How fast a CSV file becomes a committed table, and how much memory that takes; beside Arrow and delta-rs in Python.

Usage: upload.py --binary target/release/sluice --size-mb 200 [--runs 3]    (with the Python of the client tests)

Both sides read the same file from the page cache and write to the same disk, in turns. Sluice's time is the
client's: curl over HTTP until the receipt, with the original kept in the raw zone and everything synced. The rival
reads the file with pyarrow.csv and appends with deltalake in a process of its own; its imports are not counted.
"""

import argparse
import json
import os
import random
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "clients"))

from sluice_server import Server  # noqa: E402

HEADER = "id,at,day,station,device,temperature,count,valid,comment\n"
BLOCK_ROWS = 5_000
WORDS = "north,south,east wind,calm,gusty,rain at noon,fog,clear sky,hail,snow".split(",")
MIB = 1 << 20


def block(first, random_source):
    """Rows of mixed columns: whole numbers, moments, days, few and many texts, floats, truth, gaps and quotes."""
    lines = []
    for id in range(first, first + BLOCK_ROWS):
        number = random_source.getrandbits(48)
        second, minute, day = id % 60, id // 60 % 60, id // 86_400 % 28 + 1
        comment = WORDS[number % 10]
        if number % 4 == 0:
            comment = f'"{comment}, then {WORDS[number // 16 % 10]}"'
        temperature = "" if number % 50 == 0 else f"{number % 60_000 / 1000 - 20:.3f}"
        lines.append(
            f"{id},2024-03-{day:02}T{id // 3600 % 24:02}:{minute:02}:{second:02}.{number % 1000:03}Z,2024-03-{day:02},"
            f"station-{number % 97},{number:012x},{temperature},{number % 1_000_000_007},"
            f"{'true' if number & 1 else 'false'},{comment}\n"
        )
    return "".join(lines).encode()


def make_file(path, size_mb):
    """Write the file of that size in MB (10^6 bytes, and the rest of a block), always the same; its number of rows."""
    random_source, rows = random.Random(size_mb), 0
    with open(path, "wb") as file:
        file.write(HEADER.encode())
        while file.tell() < size_mb * 1_000_000:
            file.write(block(rows, random_source))
            rows += BLOCK_ROWS
    return rows


def memory(pid, field):
    """A figure of a process in bytes: VmRSS is what it holds, VmHWM the most since the last reset."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    raise SystemExit(f"no {field} for process {pid}")


def upload(server, path, table, rows):
    """Seconds, and the most memory over what the server holds when idle."""
    idle = memory(server.pid, "VmRSS")
    Path(f"/proc/{server.pid}/clear_refs").write_text("5")
    url = f"{server.url}/api/v1/tables/bench/{table}/uploads?format=csv"
    started = time.monotonic()
    command = ["curl", "--silent", "--show-error", "--fail-with-body", "--request", "POST", "--upload-file", path, url]
    done = subprocess.run(command, capture_output=True, text=True)
    seconds = time.monotonic() - started
    if done.returncode != 0 or json.loads(done.stdout)["rows_committed"] != rows:
        raise SystemExit(f"the upload failed: {done.stdout}{done.stderr}")
    return seconds, memory(server.pid, "VmHWM"), idle


def rival(path, folder, rows):
    """Seconds and the most memory of the same file through pyarrow and deltalake."""
    command = [sys.executable, __file__, "--rival", path, folder]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"the rival failed: {done.stderr}")
    outcome = json.loads(done.stdout)
    if outcome["rows"] != rows:
        raise SystemExit(f"the rival has {outcome['rows']} of {rows} rows")
    return outcome["seconds"], outcome["peak"], outcome["idle"]


def run_rival(path, folder):
    """What the rival's process does."""
    import deltalake
    import pyarrow.csv

    idle = memory("self", "VmRSS")
    started = time.monotonic()
    table = pyarrow.csv.read_csv(path)
    deltalake.write_deltalake(folder, table, mode="append")
    seconds = time.monotonic() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"seconds": seconds, "peak": peak, "idle": idle, "rows": table.num_rows}))


def report(name, size_bytes, figures):
    """Print one side's runs and give its median in seconds."""
    for run, (seconds, peak, idle) in enumerate(figures, 1):
        print(
            f"{name:<8} run {run}: {seconds:7.2f} s  {size_bytes / 1e6 / seconds:7.1f} MB/s  "
            f"idle {idle / MIB:6.0f} MiB  peak {peak / MIB:6.0f} MiB  over idle {(peak - idle) / MIB:6.0f} MiB"
        )
    return statistics.median(seconds for seconds, _, _ in figures)


def compare(options):
    cache = Path(os.environ.get("SLUICE_CACHE") or Path.home() / ".cache" / "sluice") / "bench"
    cache.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix="run-", dir=cache))
    path = scratch / "rows.csv"
    rows = make_file(path, options.size_mb)
    size_bytes = path.stat().st_size
    print(f"{size_bytes} bytes, {rows} rows, {os.cpu_count()} cores")
    server = Server(options.binary, scratch / "data")
    ours, theirs = [], []
    try:
        first_idle = memory(server.pid, "VmRSS")
        for run in range(options.runs):
            ours.append(upload(server, path, f"run_{run}", rows))
            theirs.append(rival(path, scratch / f"rival-{run}", rows))
    finally:
        server.stop()
        shutil.rmtree(scratch)
    sluice, python = report("sluice", size_bytes, ours), report("python", size_bytes, theirs)
    over = max(peak for _, peak, _ in ours) - first_idle
    print(f"sluice: median {size_bytes / 1e6 / sluice:.1f} MB/s, at most {over / MIB:.0f} MiB over the first idle")
    print(f"python: median {size_bytes / 1e6 / python:.1f} MB/s; sluice takes {sluice / python:.2f} times its time")


def main():
    if sys.argv[1:2] == ["--rival"]:
        return run_rival(*sys.argv[2:])
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", type=Path, required=True, help="the release build of sluice")
    parser.add_argument("--size-mb", type=int, default=200, help="size of the file in MB")
    parser.add_argument("--runs", type=int, default=3)
    return compare(parser.parse_args())


if __name__ == "__main__":
    main()

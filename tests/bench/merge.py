#!/usr/bin/env python3
"""How fast rows are merged into a table by their key, and how much memory that takes; beside delta-rs in Python.

Usage: merge.py --binary target/release/sluice [--rows 5000000] [--source 1000000] [--runs 1]
       (with the Python of the client tests)

Both sides hold the same table and merge the same CSV file, half of whose keys the table has, spread over all of it.
Sluice's time is the client's: curl over HTTP until the receipt, with the original kept and everything synced. The rival
reads the file with pyarrow.csv and merges with deltalake in a process of its own; its imports are not counted.
"""

import argparse
import json
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "clients"))

from other_readers import duckdb_connection  # noqa: E402
from sluice_server import Server  # noqa: E402
from upload import MIB, memory  # noqa: E402


def make_files(folder, rows, source):
    """The table's rows in their order, and the rows to merge: every n-th key of the table, and as many beyond it."""
    step = max(1, 2 * rows // source)
    random_source = random.Random(rows)

    def write(path, ids, tag):
        with open(path, "w") as file:
            file.write("id,station,at,reading,note\n")
            for id in ids:
                noise = random_source.getrandbits(40)
                day, second = id % 28 + 1, id % 60
                file.write(
                    f"{id},station-{noise % 97},2024-03-{day:02}T{id // 3600 % 24:02}:00:{second:02},"
                    f"{noise % 10_000_000 / 1000},{tag}-{noise:010x}\n"
                )

    write(folder / "table.csv", range(rows), "old")
    matching = list(range(0, rows, step))[: source // 2]
    ids = matching + list(range(rows, rows + source - len(matching)))
    random_source.shuffle(ids)
    write(folder / "source.csv", ids, "new")
    return len(matching), len(ids) - len(matching)


def send(server, path, query):
    """The receipt, the seconds, and the most memory of the server while it worked, and before."""
    idle = memory(server.pid, "VmRSS")
    Path(f"/proc/{server.pid}/clear_refs").write_text("5")
    url = f"{server.url}/api/v1/tables/bench/merged/uploads?format=csv{query}"
    command = ["curl", "--silent", "--show-error", "--fail-with-body", "--request", "POST", "--upload-file", path, url]
    started = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True)
    seconds = time.monotonic() - started
    if done.returncode != 0:
        raise SystemExit(f"the upload failed: {done.stdout}{done.stderr}")
    return json.loads(done.stdout), seconds, memory(server.pid, "VmHWM"), idle


def run_rival(folder):
    """What the rival's process does."""
    import deltalake
    import pyarrow.csv

    idle = memory("self", "VmRSS")
    started = time.monotonic()
    source = pyarrow.csv.read_csv(f"{folder}/source.csv")
    merge = deltalake.DeltaTable(f"{folder}/rival").merge(
        source, "target.id = source.id", source_alias="source", target_alias="target"
    )
    done = merge.when_matched_update_all().when_not_matched_insert_all().execute()
    seconds = time.monotonic() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    counts = (done["num_target_rows_updated"], done["num_target_rows_inserted"])
    print(json.dumps({"seconds": seconds, "peak": peak, "idle": idle, "counts": counts}))


def make_rival_table(folder):
    import deltalake
    import pyarrow.csv

    deltalake.write_deltalake(f"{folder}/rival", pyarrow.csv.read_csv(f"{folder}/table.csv"))


def rival(folder, role):
    done = subprocess.run([sys.executable, __file__, role, str(folder)], capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"the rival failed: {done.stderr}")
    return done.stdout


def check(location, expected):
    """The merged table as DuckDB reads it: every key once, and the new value where there is one."""
    sql = "SELECT count(*), count(DISTINCT id), count(*) FILTER (note LIKE 'new-%') FROM delta_scan(?)"
    found = duckdb_connection().execute(sql, [location]).fetchone()
    if found != expected:
        raise SystemExit(f"{location} has {found}, not {expected}")


def report(name, seconds, peak, idle):
    over = (peak - idle) / MIB
    print(f"{name:<8} {seconds:7.2f} s  idle {idle / MIB:6.0f} MiB  peak {peak / MIB:6.0f} MiB  over idle {over:6.0f} MiB")


def compare(options):
    cache = Path(os.environ.get("SLUICE_CACHE") or Path.home() / ".cache" / "sluice") / "bench"
    cache.mkdir(parents=True, exist_ok=True)
    for _ in range(options.runs):
        scratch = Path(tempfile.mkdtemp(prefix="merge-", dir=cache))
        try:
            compare_once(options, scratch)
        finally:
            shutil.rmtree(scratch)


def compare_once(options, scratch):
    matching, new = make_files(scratch, options.rows, options.source)
    print(f"{matching} rows update and {new} rows join {options.rows}, {os.cpu_count()} cores")
    expected = (options.rows + new, options.rows + new, matching + new)
    server = Server(options.binary, scratch / "data")
    try:
        _, seconds, peak, idle = send(server, scratch / "table.csv", "")
        report("(table)", seconds, peak, idle)
        receipt, seconds, peak, _ = send(server, scratch / "source.csv", "&mode=merge&merge_keys=id")
        report("sluice", seconds, peak, idle)
        if (receipt["rows_updated"], receipt["rows_inserted"]) != (matching, new):
            raise SystemExit(f"other counts than expected: {receipt}")
    finally:
        server.stop()
    location = next((scratch / "data" / "raw" / "tables").rglob("_delta_log")).parent
    check(str(location), expected)
    rival(scratch, "--make-rival")
    told = json.loads(rival(scratch, "--rival"))
    report("python", told["seconds"], told["peak"], told["idle"])
    check(str(scratch / "rival"), expected)
    print(f"sluice takes {seconds / told['seconds']:.2f} times the time of python")


def main():
    if sys.argv[1:2] == ["--rival"]:
        return run_rival(sys.argv[2])
    if sys.argv[1:2] == ["--make-rival"]:
        return make_rival_table(sys.argv[2])
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", type=Path, required=True, help="the release build of sluice")
    parser.add_argument("--rows", type=int, default=5_000_000, help="rows of the table")
    parser.add_argument("--source", type=int, default=1_000_000, help="rows to merge")
    parser.add_argument("--runs", type=int, default=1)
    return compare(parser.parse_args())


if __name__ == "__main__":
    main()

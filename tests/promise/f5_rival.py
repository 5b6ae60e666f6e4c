"""What F5 is held against: delta-rs alone, with processes that append to one table and no server between them.

Every process has started before the clock does; what delta-rs gives up after its retries is not counted.
"""

import subprocess
import sys
import time

PROCESSES = 24
SECONDS = 20
ROWS = 10


def commits_per_second(folder):
    """Commits a second of all processes together, to a table that is there already."""
    table = str(folder / "table")
    _append(table)
    command = [sys.executable, __file__, table]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    processes = [subprocess.Popen(command, **pipes) for _ in range(PROCESSES)]
    try:
        for process in processes:
            if process.stdout.readline().strip() != "ready":
                raise RuntimeError("a process of delta-rs did not start")
        begun = time.monotonic()
        for process in processes:
            process.stdin.write("go\n")
            process.stdin.flush()
        done = [int(process.communicate(timeout=10 * SECONDS)[0]) for process in processes]
        return sum(done) / (time.monotonic() - begun)
    finally:
        for process in processes:
            process.kill()
            process.wait()


def _append(table):
    """Whether rows were added."""
    import pyarrow
    from deltalake import write_deltalake
    from deltalake.exceptions import DeltaError

    rows = pyarrow.table({"id": list(range(ROWS)), "text": [f"row {number}" for number in range(ROWS)]})
    try:
        write_deltalake(table, rows, mode="append")
    except DeltaError:
        return False
    return True


def _work(table):
    import deltalake  # noqa: F401
    import pyarrow  # noqa: F401

    print("ready", flush=True)
    sys.stdin.readline()
    done, until = 0, time.monotonic() + SECONDS
    while time.monotonic() < until:
        done += _append(table)
    print(done)


if __name__ == "__main__":
    _work(sys.argv[1])

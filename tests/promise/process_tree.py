"""The memory that a server takes together with every process that it started, as Linux accounts it.

What counts is what only their end would give back: anonymous memory, pages that several of them share counted
once. Pages of the program's own file are left out: they are the page cache's, which the kernel takes back when
it wants, and a development build has about 200 MiB of them mapped at rest, several times as much as the one that is
shipped. They are told beside it.
"""

import contextlib
import os
import threading
from pathlib import Path

MEBIBYTE = 1 << 20
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def members(root_pid):
    """The process and all its descendants that exist now."""
    found, open_pids = [], [root_pid]
    while open_pids:
        pid = open_pids.pop()
        found.append(pid)
        # It may end while it is looked at.
        with contextlib.suppress(OSError):
            for thread in list(Path(f"/proc/{pid}/task").glob("*/children")):
                with contextlib.suppress(OSError):
                    open_pids.extend(map(int, thread.read_text().split()))
    return found


def _upper_bound_bytes(pids):
    """The anonymous memory with shared pages counted in every process: cheap to ask for, never too little."""
    total = 0
    for pid in pids:
        try:
            _, resident, of_files, *_ = map(int, Path(f"/proc/{pid}/statm").read_text().split())
            total += (resident - of_files) * PAGE_BYTES
        except OSError:
            continue
    return total


def memory_bytes(root_pid, unless_below=0):
    """The memory that the tree takes; 0 where it is certainly below a bound."""
    return _sizes(root_pid, unless_below, "Pss_Anon:")


def mapped_file_bytes(root_pid):
    """The pages of files, the program's own above all, that the tree has mapped."""
    return _sizes(root_pid, 0, "Pss_File:")


def _sizes(root_pid, unless_below, kind):
    total, pids = 0, members(root_pid)
    if unless_below and _upper_bound_bytes(pids) <= unless_below:
        return 0
    for pid in pids:
        try:
            rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
        except OSError:
            continue
        total += sum(int(line.split()[1]) * 1024 for line in rollup.splitlines() if line.startswith(kind))
    return total


class MemoryWatch:
    """Samples a tree in the background, and keeps its peak, and what went on while it was above a bar."""

    def __init__(self, bar_bytes, every_seconds=0.05):
        self.pid, self.now = None, ""
        self.peak_bytes, self.above = 0, {}
        self._bar, self._every = bar_bytes, every_seconds
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self):
        while not self._ended.wait(self._every):
            if self.pid is not None:
                self._sample(memory_bytes(self.pid, min(self.peak_bytes, self._bar)), self.now)

    def _sample(self, sample_bytes, during):
        self.peak_bytes = max(self.peak_bytes, sample_bytes)
        if sample_bytes > self._bar:
            self.above[during] = max(self.above.get(during, 0), sample_bytes)

    @property
    def peak_mib(self):
        return round(self.peak_bytes / MEBIBYTE, 1)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._ended.set()
        self._thread.join(10)

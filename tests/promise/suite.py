"""Runs the figures that are named, or all of them, and ends with 1 where one missed its bar.

A figure is a module with `measure(run: Run)`; it says what it found through `run.report`.
"""

import argparse
import importlib
import os
import random
import shutil
import sys
import tempfile
import time
import traceback
from dataclasses import dataclass, field
from pathlib import Path

from model import PROMISED
from report import Report
from server import Site
from verify import CrossCheck, judge_all

# In the order in which they run; F16 comes last, for it tells of the tables of all others.
FIGURES = {
    "F0": "f0_oracle",
    "F1": "f1_kill",
    "F2": "f2_abort",
    "F3": "f3_power_cut",
    "F4": "f4_store_faults",
    "F5": "f5_writers",
    "F6": "f6_walk",
    "F7": "f7_creates",
    "F8": "f8_disk_full",
    "F9": "f9_hostile",
    "F11": "f11_corruption",
    "F14": "f14_killers",
    "F16": "f16_readers",
}

TOLD_CHARACTERS = 4000


@dataclass
class Run:
    """What a figure is given."""

    binary: Path
    seed: int
    long: bool
    servers: int
    folder: Path
    report: Report = field(default_factory=Report)
    cross: CrossCheck = field(default_factory=CrossCheck)
    _sites: list = field(default_factory=list)

    def random(self, *name):
        """Chance that can be had again by the seed."""
        return random.Random(f"{self.seed} {' '.join(map(str, name))}")

    def site(self, name, environment=None, servers=1):
        """A new lake; its server is not started."""
        site = Site(self.binary, self.folder / name / "data", environment, servers)
        self._sites.append(site)
        return site

    def end(self):
        """Kill what a figure that broke off left running."""
        for site in self._sites:
            site.kill()
        self._sites.clear()

    def judge(self, figure, site, model, due=PROMISED):
        """Compare every table with the uploads that are due, and say what was found."""
        findings = judge_all(site, model, self.cross, due)
        findings.tell(self.report, figure)
        return findings


def measure(name, run):
    """A figure that cannot be measured is one that missed its bar."""
    begun = time.monotonic()
    try:
        importlib.import_module(FIGURES[name]).measure(run)
    except Exception:  # whatever stops one figure must not keep the others from being measured
        run.report.note(traceback.format_exc(chain=False)[:TOLD_CHARACTERS])
        run.report.equal(f"{name}.broken_off", 1, 0)
    finally:
        run.end()
    run.report.info(f"{name}.seconds", time.monotonic() - begun)


def arguments():
    parser = argparse.ArgumentParser(description="The figures that prove the promise")
    parser.add_argument("--long", action="store_true", help="all kills, cuts and rounds, not only some")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--servers", type=int, default=2, help="how many servers share the lake of F5 and of F7")
    parser.add_argument("figures", nargs="*", metavar="figure", help=" ".join(FIGURES))
    asked = parser.parse_args()
    if unknown := set(asked.figures) - set(FIGURES):
        parser.error(f"no such figure: {' '.join(sorted(unknown))}; there are {' '.join(FIGURES)}")
    return asked


def main():
    asked = arguments()
    binary = Path(os.environ.get("SLUICE_BINARY", ""))
    if not os.access(binary, os.X_OK) or binary.is_dir():
        sys.exit(f"SLUICE_BINARY must name the server's binary, not {str(binary)!r}")
    folder = Path(tempfile.mkdtemp(prefix="sluice-promise-"))
    run = Run(binary.resolve(), asked.seed, asked.long, asked.servers, folder)
    print(f"# seed {asked.seed}", flush=True)
    for name in asked.figures or FIGURES:
        measure(name, run)
    if run.report.failed:
        sys.exit(f"failed: {' '.join(run.report.failed)}\nthe lakes are kept in {folder}; seed {asked.seed}")
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()

"""F11: storage that rots: one thing at a time is spoiled in a copy of a lake, and `sluice scrub` must find it.

Then `sluice repair` runs, and every table must read equal to what was uploaded, by the replay of its log, unless repair
said of it that it cannot. Scrub and repair print one line of JSON for each finding, `{table, kind, path or version,
detail}`, and end with 0 where there is none, with 1 where there are; a line of repair's has `"repaired": false` where
the thing stays as it is. The lake as it was must be found clean.
"""

import collections
import json
import random
import shutil
import subprocess
from pathlib import Path
from urllib.parse import unquote, urlparse

from log_replay import read_with_replay
from server import clean_environment, wait_for

CASES = {False: 60, True: 300}
COMMAND_SECONDS = 60
TABLES, UPLOADS, ROWS = 3, 8, 40
CHECKPOINT_AFTER = 5
CHECKPOINT_SECONDS = 30
SETTINGS = {"SLUICE_INGEST__UPKEEP__TABLES__CHECKPOINT_EVERY_VERSIONS": str(CHECKPOINT_AFTER + 1)}
SHOWN = 15


class Tables:
    """A lake as it was left: where each table is, below the folder of the data, and its rows."""

    def __init__(self, site):
        self.data_dir, self.places, self.rows = site.data_dir, {}, {}
        site.start()
        for number in range(TABLES):
            self._fill(site.lake, f"rot.t{number}", {"partition_by": "part"} if number == 1 else {})
        site.stop()

    def _fill(self, lake, table, options):
        self.rows[table] = []
        for upload in range(UPLOADS):
            rows = [(f"{upload}-{row}", upload * row, f"p{row % 3}") for row in range(ROWS)]
            body = "id,value,part\n" + "".join(f"{one},{two},{three}\n" for one, two, three in rows)
            lake.upload(table, body.encode(), format="csv", **options)
            self.rows[table] += rows
            if upload == CHECKPOINT_AFTER:
                location = lake.describe(table)["location"]
                hint = Path(unquote(urlparse(location).path)) / "_delta_log" / "_last_checkpoint"
                wait_for(hint.exists, CHECKPOINT_SECONDS, "the server writes a checkpoint")
        folder = Path(unquote(urlparse(location).path))
        self.places[table] = folder.relative_to(self.data_dir.resolve())

    def mismatches(self, data_dir):
        """The tables of a copy that do not read as they should, each with the reason."""
        found = {}
        for table, place in self.places.items():
            try:
                rows = read_with_replay((data_dir / place).resolve().as_uri()).select(["id", "value", "part"]).to_pylist()
            except Exception as failure:  # noqa: BLE001: a spoiled table fails in every way there is
                found[table] = repr(failure)
                continue
            if collections.Counter(tuple(row.values()) for row in rows) != collections.Counter(self.rows[table]):
                found[table] = f"{len(rows)} rows, which are not those that were uploaded"
        return found


def _flip(path, chance):
    data = bytearray(path.read_bytes())
    at = chance.randrange(len(data) * 8)
    data[at // 8] ^= 1 << at % 8
    path.write_bytes(data)


def _cut(path, chance):
    path.write_bytes(path.read_bytes()[: chance.randrange(path.stat().st_size)])


def _empty(path, chance):
    path.write_bytes(b"")


def _zero(path, chance):
    path.write_bytes(bytes(path.stat().st_size))


def _delete(path, chance):
    path.unlink()


def _garbage(path, chance):
    path.write_bytes(chance.randbytes(200))


def _tear(path, chance):
    """Whole lines, but not all of them: what a reader takes for a commit."""
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[: chance.randrange(1, len(lines))]))


def _beyond(path, chance):
    path.write_text(json.dumps(json.loads(path.read_text()) | {"version": 10_000}))


def _repeat(path, chance):
    """A commit that adds the files of another one, which readers may count again."""
    newest = max(path.parent.glob("[0-9]*.json"))
    (path.parent / f"{int(newest.stem) + 1:020}.json").write_bytes(path.read_bytes())


def _stray(path, chance):
    newest = max(path.parent.glob("[0-9]*.json"))
    (path.parent / f"{int(newest.stem) + 1:020}.json").write_bytes(chance.randbytes(200))


DATA, NEWEST, MIDDLE, CHECKPOINT, LAST = "data file", "newest commit", "middle commit", "checkpoint", "_last_checkpoint"
# What is spoiled, how, and how often among the cases.
KINDS = [
    (DATA, _flip, 30), (DATA, _cut, 8), (DATA, _delete, 6), (DATA, _empty, 3), (DATA, _zero, 3), (DATA, _garbage, 2),
    (NEWEST, _tear, 4), (NEWEST, _cut, 4), (NEWEST, _empty, 4), (NEWEST, _delete, 4), (NEWEST, _flip, 3), (NEWEST, _zero, 2),
    (MIDDLE, _tear, 3), (MIDDLE, _cut, 3), (MIDDLE, _empty, 3), (MIDDLE, _delete, 3), (MIDDLE, _flip, 3),
    (CHECKPOINT, _flip, 4), (CHECKPOINT, _cut, 3), (CHECKPOINT, _empty, 3),
    (LAST, _garbage, 2), (LAST, _beyond, 2), (LAST, _empty, 2), (NEWEST, _stray, 3), (NEWEST, _repeat, 3),
]  # fmt: skip


def _target(folder, what, chance):
    log = folder / "_delta_log"
    commits = sorted(log.glob("[0-9]*.json"))
    found = {
        DATA: lambda: sorted(path for path in folder.rglob("*.parquet") if "_delta_log" not in path.parts),
        NEWEST: lambda: commits[-1:],
        MIDDLE: lambda: commits[1:-1],
        CHECKPOINT: lambda: sorted(log.glob("*.checkpoint.parquet")),
        LAST: lambda: [log / "_last_checkpoint"],
    }[what]()
    return chance.choice(found)


def cases(seed, count):
    """(number, kind, its chance): each kind once at least, the others by their weight."""
    chance = random.Random(f"{seed} F11")
    drawn = KINDS + chance.choices(KINDS, [weight for _, _, weight in KINDS], k=count - len(KINDS))
    for number, kind in enumerate(drawn):
        yield number, kind, random.Random(f"{seed} F11 {number}")


def command(binary, verb, data_dir):
    """The status of the command and its findings."""
    done = subprocess.run(
        [binary, verb, "--data-dir", data_dir], env=clean_environment(), capture_output=True, text=True, timeout=COMMAND_SECONDS
    )
    findings = [json.loads(line) for line in done.stdout.split("\n") if line.strip()]
    assert done.returncode in (0, 1), f"sluice {verb} ended with {done.returncode}: {done.stderr[-500:]}"
    assert all({"table", "kind", "detail"} <= finding.keys() for finding in findings), findings
    return done.returncode, findings


class Rot:
    """The cases one after the other, and what they came to."""

    def __init__(self, run, tables):
        self.binary, self.folder, self.tables, self.seed = run.binary, run.folder / "F11", tables, run.seed
        self.unfound, self.wrong, self.unrepairable, self.repaired = [], [], [], 0

    def copy(self, name):
        copy = self.folder / name
        shutil.copytree(self.tables.data_dir, copy)
        return copy

    def is_clean(self):
        copy = self.copy("clean")
        return command(self.binary, "scrub", copy) == (0, []) and not self.tables.mismatches(copy)

    def run(self, number, kind, chance):
        what, spoil, _ = kind
        copy, table = self.copy(f"case-{number}"), chance.choice(sorted(self.tables.places))
        path = _target(copy / self.tables.places[table], what, chance)
        name = f"case {number}: {spoil.__name__[1:]} of {what} {path.relative_to(copy)}"
        spoil(path, chance)
        status, findings = command(self.binary, "scrub", copy)
        if status != 1 or table not in {finding["table"] for finding in findings}:
            self.unfound.append(f"{name}: status {status}, {findings}")
        self._repair(name, copy)
        shutil.rmtree(copy)

    def _repair(self, name, copy):
        _, findings = command(self.binary, "repair", copy)
        given_up = {finding["table"] for finding in findings if finding.get("repaired") is False}
        mismatches = self.tables.mismatches(copy)
        silent = {table: why for table, why in mismatches.items() if table not in given_up}
        if silent:
            self.wrong.append(f"{name}: {silent}")
        elif mismatches:
            self.unrepairable.append(f"{name}: {sorted(mismatches)}")
        else:
            self.repaired += 1


def measure(run):
    rot = Rot(run, Tables(run.site("F11", SETTINGS)))
    run.report.equal("F11.clean_lake_found_clean", int(rot.is_clean()), 1)
    count = CASES[run.long]
    for number, kind, chance in cases(run.seed, count):
        rot.run(number, kind, chance)
    for title in ("unfound", "wrong", "unrepairable"):
        for line in getattr(rot, title)[:SHOWN]:
            run.report.note(f"{title}: {line}")
    run.report.equal("F11.found", count - len(rot.unfound), count)
    run.report.equal("F11.wrong_after_repair", len(rot.wrong), 0)
    run.report.at_least("F11.repaired", rot.repaired, 1)
    run.report.info("F11.said_to_be_beyond_repair", len(rot.unrepairable))

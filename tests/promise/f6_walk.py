"""F6: three processes append, merge, delete, overwrite, compact, cluster, add columns and maintain one table at random.

Each tells the version that a step of its made, and how. A model (rows by id) plays the steps in the order of the
versions; at every tenth version, and at the newest, an independent replay of the log must give the model's rows. The
replay also refuses a log that adds a file twice or removes one that is not live.
"""

import json
import subprocess

from log_replay import Replay

PROCESSES = 3
SHORT_STEPS, LONG_STEPS = 60, 1000
COMPARED_EVERY = 10
SECONDS_A_STEP = 5


class Table:
    """The rows by id, as the steps leave them."""

    def __init__(self):
        self.rows = {}

    def play(self, step):
        getattr(self, step["op"].replace("-", "_"))(step)

    def append(self, step):
        for row in step["rows"]:
            assert row["id"] not in self.rows, f"id {row['id']} is there already"
            self.rows[row["id"]] = row

    def merge(self, step):
        for row in step["rows"]:
            if row["id"] in self.rows:
                if step["matched"] == "update":
                    # What the source has no column for stays.
                    self.rows[row["id"]] = {**self.rows[row["id"]], **row}
                elif step["matched"] == "delete":
                    del self.rows[row["id"]]
            elif step["insert"]:
                self.rows[row["id"]] = row

    def delete(self, step):
        def goes(row):
            return row["v"] % step["modulus"] == step["rest"] and row["p"] == step["partition"] and row["v"] < step["below"]

        self.rows = {number: row for number, row in self.rows.items() if not goes(row)}

    def overwrite(self, step):
        inside = step["partition"]
        self.rows = {number: row for number, row in self.rows.items() if inside is not None and row["p"] != inside}
        self.append(step)

    def compact(self, _):
        pass

    z_order = compact
    add_column = compact


def in_order(rows, columns):
    return sorted((tuple(row.get(column) for column in columns) for row in rows), key=lambda row: row[0])


def walk(run, folder, steps):
    binary = run.binary.with_name("table-walk")
    command = [[binary, folder, str(run.seed % 100_000), str(process), str(steps)] for process in range(PROCESSES)]
    running = [subprocess.Popen(each, stdout=subprocess.PIPE, text=True) for each in command]
    told, failed = [], 0
    for process in running:
        out, _ = process.communicate(timeout=60 + steps * SECONDS_A_STEP)
        failed += process.returncode != 0
        told += [json.loads(line) for line in out.splitlines()]
    return told, failed


def measure(run):
    folder = run.folder / "F6"
    folder.mkdir()
    told, failed = walk(run, folder, LONG_STEPS if run.long else SHORT_STEPS)
    location = (folder / "raw/tables/walk").as_uri()
    steps = {step["version"]: step for step in told if step.get("version") is not None}
    newest = Replay(location).version
    run.report.equal("F6.processes_that_failed", failed, 0)
    run.report.equal("F6.versions_nobody_told", newest - len(steps), 0)
    run.report.at_least("F6.versions", newest, SHORT_STEPS)
    run.report.info("F6.steps", {op: sum(step["op"] == op for step in told) for op in sorted({step["op"] for step in told})})
    run.report.info("F6.steps_given_up", [step["error"] for step in told if "error" in step])
    table, compared, wrong = Table(), 0, 0
    for version in range(1, newest + 1):
        table.play(steps[version])
        if version % COMPARED_EVERY and version != newest:
            continue
        replay = Replay(location, version)
        columns = [field["name"] for field in replay.schema["fields"]]
        found = in_order(replay.table().to_pylist(), columns)
        compared += 1
        if found != in_order(table.rows.values(), columns):
            wrong += 1
            run.report.note(f"version {version} ({steps[version]['op']}) does not have the rows of the model")
    run.report.at_least("F6.versions_compared", compared, newest // COMPARED_EVERY)
    run.report.equal("F6.versions_unlike_the_model", wrong, 0)
    run.cross.compare(location, Replay(location).table())

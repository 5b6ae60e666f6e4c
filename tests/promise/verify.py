"""The tables as readers see them, compared with the model row for row.

The verdict comes from the replay of the log, which shares no code with the server's Delta library; DuckDB's delta
extension and `deltalake` must see the same rows, or the table counts as a mismatch.
"""

import threading
from dataclasses import dataclass, field

import numpy
import pyarrow as pa
import pyarrow.compute as pc
from log_replay import Replay
from model import PROMISED, ROW_BITS, SCHEMA
from other_readers import read_with_deltalake, read_with_duckdb, sorted_rows

SHOWN = 10


@dataclass
class Findings:
    """What is wrong with tables, in rows and uploads, and lines that name it."""

    promised_rows: int = 0
    lost_rows: int = 0
    duplicate_rows: int = 0
    partial_uploads: int = 0
    foreign_rows: int = 0
    unreadable: int = 0
    lines: list = field(default_factory=list)

    def add(self, other):
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)

    def tell(self, report, figure):
        """One line for each value; the figure's promise is kept where all of them are 0."""
        for line in self.lines[:SHOWN]:
            report.note(line)
        report.at_least(f"{figure}.acked_rows", self.promised_rows, 1)
        report.equal(f"{figure}.acked_rows_lost", self.lost_rows, 0)
        report.equal(f"{figure}.duplicate_rows", self.duplicate_rows, 0)
        report.equal(f"{figure}.partial_uploads", self.partial_uploads, 0)
        report.equal(f"{figure}.rows_nobody_sent", self.foreign_rows, 0)
        report.equal(f"{figure}.tables_unreadable", self.unreadable, 0)


class CrossCheck:
    """Readers against each other: DuckDB and deltalake must see what the replay sees."""

    def __init__(self):
        self.compared, self.mismatches, self.lines = 0, 0, []
        self._lock = threading.Lock()

    def compare(self, location, replayed):
        wrong = [f"{name}: {told}" for name, told in self._differences(location, replayed)]
        with self._lock:
            self.compared += 1
            self.mismatches += bool(wrong)
            self.lines += [f"{location}: {line}" for line in wrong]

    def _differences(self, location, replayed):
        if not replayed.num_columns:
            yield "replay", "a table without columns"
            return
        expected = _in_order(replayed, replayed.schema)
        for name, read in (("DuckDB", read_with_duckdb), ("deltalake", read_with_deltalake)):
            try:
                rows = _in_order(read(location), replayed.schema)
            except Exception as error:  # whatever a reader stumbles over is what is looked for
                yield name, f"{type(error).__name__}: {error}"
                continue
            if not rows.equals(expected):
                yield name, f"{rows.num_rows} rows, not the {expected.num_rows} of the replay, or other values"


def _in_order(table, schema):
    """Sorted by the id where it is one, for that is quick; else by all columns."""
    if schema.equals(SCHEMA):
        return table.select(schema.names).cast(schema).sort_by([("id", "ascending")]).combine_chunks()
    return sorted_rows(table, schema)


def judge(model, table, location, cross, due=PROMISED) -> Findings:
    """One table against the uploads whose rows are due; a location of None is a table that is not there."""
    found, uploads = Findings(), model.of(table)
    found.promised_rows = sum(upload.rows for upload in uploads if upload.state in due)
    rows = SCHEMA.empty_table()
    if location is not None:
        try:
            rows = Replay(location).table()
            rows = rows.select(SCHEMA.names).cast(SCHEMA)
        except (AssertionError, OSError, KeyError, ValueError, pa.ArrowException) as error:
            found.unreadable += 1
            found.lines.append(f"{location}: {type(error).__name__}: {error}")
            rows = SCHEMA.empty_table()
        else:
            cross.compare(location, rows)
    _compare(found, uploads, rows, due)
    found.lines = [f"{table}: {line}" for line in found.lines]
    return found


def _compare(found, uploads, rows, due):
    ids = rows["id"].to_numpy()
    distinct = numpy.unique(ids)
    found.duplicate_rows = len(ids) - len(distinct)
    numbers, counts = numpy.unique(distinct >> ROW_BITS, return_counts=True)
    present = dict(zip(numbers.tolist(), counts.tolist(), strict=True))
    for upload in uploads:
        there = present.get(upload.number, 0)
        missing, is_due = upload.rows - there, upload.state in due
        found.lost_rows += missing if is_due else 0
        found.partial_uploads += bool(there and missing)
        if missing and (there or is_due):
            told = f"{there} of {upload.rows} rows are there"
            found.lines.append(f"upload {upload.number} ({upload.state}, key {upload.key}): {told}")
    found.foreign_rows = _foreign_rows(uploads, present, rows, ids)
    for name, value in (("doubled", found.duplicate_rows), ("nobody sent", found.foreign_rows)):
        if value:
            found.lines.append(f"{value} rows {name}; uploads {_named(ids, name)[:SHOWN]}")


def _named(ids, name):
    """The uploads of doubled rows; of others nothing is known."""
    distinct, counts = numpy.unique(ids, return_counts=True)
    return numpy.unique(distinct[counts > 1] >> ROW_BITS).tolist() if name == "doubled" else []


def _foreign_rows(uploads, present, rows, ids):
    """Rows of which no upload is like that: an id that was never given out, or another value than was sent."""
    expected = [upload.rows_table() for upload in uploads if present.get(upload.number)]
    if not expected:
        return len(ids)
    expected = pa.concat_tables(expected).sort_by([("id", "ascending")])
    expected_ids = expected["id"].to_numpy()
    places = numpy.searchsorted(expected_ids, ids).clip(max=len(expected_ids) - 1)
    twins = expected.take(pa.array(places))
    same = [pc.fill_null(pc.equal(rows[name], twins[name]), False) for name in SCHEMA.names]
    return len(ids) - (pc.sum(pc.and_(pc.and_(same[0], same[1]), same[2])).as_py() or 0)


def judge_all(site, model, cross, due=PROMISED) -> Findings:
    """Every table of the model, by the location that the server gives."""
    total = Findings()
    for table in model.tables():
        namespace, name = table.split(".")
        answer = site.lake.request("GET", f"/api/v1/tables/{namespace}/{name}")
        assert answer.status_code in (200, 404), f"{table}: {answer.status_code} {answer.text[:500]}"
        location = answer.json()["location"] if answer.status_code == 200 else None
        total.add(judge(model, table, location, cross, due))
    return total

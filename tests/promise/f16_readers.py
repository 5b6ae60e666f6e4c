"""F16: every table that the figures made is read equal by DuckDB, by deltalake, and by the replay of its log.

On top come tables with what the figures' own rows do not have: partitions with awkward values, nulls, all types.
"""

import datetime
import decimal
import io

import pyarrow as pa
import pyarrow.parquet
from log_replay import read_with_replay
from server import table_path

ROWS = 500


def all_types(random):
    """A Parquet file with every type that comes through, every seventh value missing."""
    day, moment = datetime.date(2024, 2, 29), datetime.datetime(2024, 2, 29, 23, 59, 59, 999_999)
    columns = {
        "id": (pa.int64(), lambda row: row),
        "small": (pa.int16(), lambda row: row - 250),
        "middle": (pa.int32(), lambda row: random.randrange(-(1 << 31), 1 << 31)),
        "real": (pa.float64(), lambda row: random.gauss(0, 1e9)),
        "flag": (pa.bool_(), lambda row: row % 2 == 0),
        "text": (pa.string(), lambda row: f"Zeile {row} \t\"'\\ 東京"),
        "day": (pa.date32(), lambda row: day + datetime.timedelta(days=row)),
        "moment": (pa.timestamp("us", "UTC"), lambda row: moment + datetime.timedelta(hours=row)),
        "price": (pa.decimal128(18, 3), lambda row: decimal.Decimal(random.randrange(10**15)).scaleb(-3)),
    }
    arrays = []
    for name, (kind, value) in columns.items():
        values = [None if name != "id" and row % 7 == 3 else value(row) for row in range(ROWS)]
        arrays.append(pa.array(values, kind))
    out = io.BytesIO()
    pyarrow.parquet.write_table(pa.table(arrays, names=list(columns)), out)
    return out.getvalue()


def partitioned():
    values = ("plain", "with space", "a/b", "50%", "ü", "a=b", "", "東京", "#1", "quote'd")
    lines = [f'{row},"{values[row % len(values)]}",{row % 3}' for row in range(ROWS)]
    return ("id,part,other\n" + "\n".join(lines) + "\n").encode()


def own_tables(run):
    random = run.random("F16")
    site = run.site("F16")
    site.start()
    site.lake.upload("readers.types", all_types(random), format="parquet")
    site.lake.upload("readers.types", all_types(random), format="parquet")
    site.lake.upload("readers.parts", partitioned(), format="csv", partition_by="part,other")
    for table, rows in (("readers.types", 2 * ROWS), ("readers.parts", ROWS)):
        location = site.lake.get(table_path(table)).json()["location"]
        replayed = read_with_replay(location)
        assert replayed.num_rows == rows, f"{table}: {replayed.num_rows} rows"
        run.cross.compare(location, replayed)
    site.stop()


def measure(run):
    own_tables(run)
    for line in run.cross.lines[:20]:
        run.report.note(line)
    run.report.at_least("F16.tables_compared", run.cross.compared, 2)
    run.report.equal("F16.mismatches", run.cross.mismatches, 0)

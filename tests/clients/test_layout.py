"""How files are laid out, as other programs see them: folders, order, filters, statistics, and plain tables."""

import re
from pathlib import Path

import duckdb
import pyarrow.dataset
import pyarrow.parquet
import pytest
from deltalake import DeltaTable
from other_readers import duckdb_connection
from sluice_client import ndjson, table_path

NASTY = [
    "plain",
    "a=b",
    "x/y",
    "..",
    "100%",
    "%2F",
    "%20",
    "a b+c",
    "Zürich 日本 😈",
    "q'\"`",
    "back\\slash",
    "{[]}^|~",
    "semi;colon:?*#&<>",
    "tab\there",
    "01",
    "1.5",
    "-3",
    "true",
    " lead and trail ",
]
DATA_FILE = re.compile(r"data_\d{8}_\d{6}_\d{6}\.parquet")


def folder(lake, table):
    location = lake.get(table_path(table)).json()["location"]
    return location.removeprefix("file://")


def rows_of(values):
    return [{"p": value, "v": number} for number, value in enumerate([*values, None])]


def by_value(rows):
    return sorted(((row["p"], row["v"]) for row in rows), key=lambda row: row[1])


def test_nasty_partition_values_reach_every_reader_of_a_delta_table(lake, table):
    rows = rows_of(NASTY)
    lake.upload(table, ndjson(rows), format="ndjson", partition_by="p")
    expected = by_value(rows)
    place = folder(lake, table)
    assert by_value(lake.query(f"SELECT p, v FROM {table}")["rows"]) == expected
    arrow = DeltaTable(place).to_pyarrow_table()
    assert by_value(arrow.to_pylist()) == expected
    found = duckdb_connection().execute("SELECT p, v FROM delta_scan(?) ORDER BY v", [place]).fetchall()
    assert found == expected
    for value, number in [(row["p"], row["v"]) for row in rows if row["p"] is not None]:
        quoted = value.replace("'", "''")
        assert lake.query(f"SELECT v FROM {table} WHERE p = '{quoted}'")["rows"] == [{"v": number}]
        assert DeltaTable(place).to_pyarrow_table(filters=[("p", "=", value)]).column("v").to_pylist() == [number]


def test_nasty_partition_values_reach_every_reader_of_a_plain_table(lake, table):
    rows = rows_of(NASTY)
    lake.upload(table, ndjson(rows), format="ndjson", partition_by="p", table_format="parquet")
    expected = by_value(rows)
    place = folder(lake, table)
    assert by_value(lake.query(f"SELECT p, v FROM {table}")["rows"]) == expected
    files = sorted(path.name for path in Path(place).rglob("*.parquet"))
    assert len(files) == len(set(files)) == len(rows) and all(map(DATA_FILE.fullmatch, files))
    duck = duckdb.connect()
    scan = f"read_parquet('{place}**/*.parquet', hive_partitioning = true, hive_types_autocast = false)"
    assert duck.execute(f"SELECT p, v FROM {scan} ORDER BY v").fetchall() == expected
    partitioning = pyarrow.dataset.partitioning(pyarrow.schema([("p", pyarrow.string())]), flavor="hive")
    arrow = pyarrow.dataset.dataset(place, format="parquet", partitioning=partitioning).to_table()
    assert by_value(arrow.to_pylist()) == expected


def test_a_plain_table_reads_as_the_same_rows_elsewhere(lake, table):
    text = "id,date,amount\n1,2024-01-05,1.5\n2,2024-01-05,2.5\n3,2024-01-15,3\n4,2024-12-01,4\n5,,5\n"
    lake.upload(table, text.encode(), format="csv", partition_by="year,month,day", table_format="parquet")
    place = folder(lake, table)
    files = list(Path(place).rglob("*.parquet"))
    assert len(files) == 4
    for path in files:
        assert pyarrow.parquet.ParquetFile(path).schema_arrow.names == ["id", "date", "amount"]
    sql = "SELECT sum(amount) AS s, count(*) AS n FROM {} WHERE year = 2024 AND month = 1"
    scan = f"read_parquet('{place}**/*.parquet', hive_partitioning = true)"
    assert duckdb.sql(sql.format(scan)).fetchall() == [(7.0, 3)]
    assert lake.row(sql.format(table)) == {"s": 7.0, "n": 3}
    assert pyarrow.dataset.dataset(place, partitioning="hive").to_table().num_rows == 5


def test_sorted_rows_and_filters_help_other_readers(lake, table):
    count = 20_000
    rows = [{"id": (number * 7919) % count, "key": f"key-{number}"} for number in range(count)]
    lake.upload(table, ndjson(rows), format="ndjson", sort_by="id", bloom_filter="key", row_group_rows=5000)
    (path,) = DeltaTable(folder(lake, table)).file_uris()
    file = pyarrow.parquet.ParquetFile(path)
    assert file.metadata.num_row_groups == 4
    assert [str(column.column_index) for column in file.metadata.row_group(0).sorting_columns] == ["0"]
    assert file.read(["id"]).column("id").to_pylist() == sorted(row["id"] for row in rows)
    probe = "SELECT DISTINCT row_group_id FROM parquet_bloom_probe(?, 'key', ?) WHERE NOT bloom_filter_excludes"
    hits = duckdb.execute(probe, [path, "key-123"]).fetchall()
    assert len(hits) == 1
    misses = sum(len(duckdb.execute(probe, [path, f"other-{number}"]).fetchall()) for number in range(100))
    assert misses <= 20
    assert duckdb.execute("SELECT id FROM read_parquet(?) WHERE key = 'key-123'", [path]).fetchall() == [
        ((123 * 7919) % count,)
    ]


@pytest.mark.parametrize("table_format", ["delta", "parquet"])
def test_derived_partitions_are_those_of_the_database(lake, table, table_format):
    moments = ["2024-02-29T23:59:59Z", "1969-12-31T23:00:00Z", "2024-03-01T00:30:00+02:00", None]
    rows = [{"id": number, "ts": moment} for number, moment in enumerate(moments)]
    partition_by = "year(ts),month(ts),day(ts),hour(ts)"
    lake.upload(table, ndjson(rows), format="ndjson", partition_by=partition_by, table_format=table_format)
    ours = lake.query(f"SELECT id, year, month, day, hour FROM {table} ORDER BY id")["rows"]
    assert [tuple(row.values()) for row in ours] == [
        (0, 2024, 2, 29, 23),
        (1, 1969, 12, 31, 23),
        (2, 2024, 2, 29, 22),
        (3, None, None, None, None),
    ]
    if table_format == "delta":
        arrow = DeltaTable(folder(lake, table)).to_pyarrow_table().sort_by("id")
        assert [tuple(row[name] for name in ("id", "year", "month", "day", "hour")) for row in arrow.to_pylist()] == [
            tuple(row.values()) for row in ours
        ]


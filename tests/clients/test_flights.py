"""The main job on a real file: what Sluice says of the flights is what everybody else says of them."""

import hashlib
import json
import subprocess

import duckdb
import flights
import pandas as pd
import pyarrow as pa
import pyarrow.csv as pa_csv
import pytest
from log_replay import read_with_replay
from other_readers import read_with_deltalake, read_with_duckdb, sorted_rows
from sluice_client import check_receipt, table_path

TABLE = "nyc.flights"
TEXTS = {"carrier", "tailnum", "origin", "dest"}
MOMENT = "time_hour"


@pytest.fixture(scope="module")
def receipt(server, flights_csv):
    """The receipt of the file, streamed by curl."""
    url = f"{server.url}{table_path(TABLE)}/uploads?format=csv&null_values=NA&partition_by=month"
    curl = [
        "curl",
        "--silent",
        "--show-error",
        "--fail-with-body",
        "--request",
        "POST",
        "--upload-file",
        flights_csv,
        url,
    ]
    done = subprocess.run(curl, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return check_receipt(json.loads(done.stdout))


@pytest.fixture(scope="module")
def frame(flights_csv):
    """The file as pandas reads it."""
    return pd.read_csv(flights_csv, na_values=["NA"], keep_default_na=False, parse_dates=[MOMENT])


@pytest.fixture(scope="module")
def truth(flights_csv):
    """The file as Arrow reads it, with the types that it should get."""
    kinds = {name: pa.string() for name in TEXTS} | {MOMENT: pa.timestamp("us", tz="UTC")}
    with open(flights_csv) as file:
        names = file.readline().strip().split(",")
    types = {name: kinds.get(name, pa.int64()) for name in names}
    options = pa_csv.ConvertOptions(column_types=types, null_values=["NA"], strings_can_be_null=True)
    table = pa_csv.read_csv(flights_csv, convert_options=options)
    assert table.num_rows == flights.ROWS
    return sorted_rows(table, pa.schema(types))


def aggregates(name):
    """SQL that sums a column up; every engine understands it."""
    extremes = [f'min("{name}") AS "min_{name}"', f'max("{name}") AS "max_{name}"']
    distinct = f'count(DISTINCT "{name}") AS "distinct_{name}"'
    numbers = [] if name in TEXTS or name == MOMENT else [f'sum("{name}") AS "sum_{name}"']
    return [f'count(*) - count("{name}") AS "nulls_{name}"', distinct, *extremes, *numbers]


def comparable(row):
    """Moments as moments, whole numbers as whole numbers."""
    return {name: _comparable(name, value) for name, value in row.items()}


def _comparable(name, value):
    if name in (f"min_{MOMENT}", f"max_{MOMENT}"):
        return pd.to_datetime(value, utc=True)
    return value if isinstance(value, str) else int(value)


def test_the_receipt_accounts_for_every_row_and_byte(receipt, flights_csv):
    data = flights_csv.read_bytes()
    assert receipt["table"] == TABLE
    assert receipt["format"] == "csv"
    assert receipt["rows_received"] == receipt["rows_committed"] == flights.ROWS
    assert receipt["bytes_received"] == len(data)
    assert receipt["sha256"] == hashlib.sha256(data).hexdigest() == flights.SHA256


def test_the_original_bytes_come_back(receipt, lake, flights_csv):
    content = lake.get(f"/api/v1/uploads/{receipt['upload_id']}/content").content
    assert content == flights_csv.read_bytes()


def test_the_types_are_those_of_the_data(receipt, lake, truth):
    view = lake.describe(TABLE)
    assert view["partition_by"] == ["month"]
    assert view["rows"] == flights.ROWS
    delta_types = {column["name"]: column["delta_type"] for column in view["columns"]}
    names = {pa.int64(): "long", pa.string(): "string", pa.timestamp("us", tz="UTC"): "timestamp"}
    assert delta_types == {field.name: names[field.type] for field in truth.schema}
    assert [column["name"] for column in view["columns"] if column["partition"]] == ["month"]


def test_there_is_one_partition_a_month(receipt, lake):
    rows = lake.rows(f"SELECT month, count(*) AS n FROM {TABLE} GROUP BY month ORDER BY month")
    assert [row["month"] for row in rows] == list(range(1, 13))
    assert sum(row["n"] for row in rows) == flights.ROWS


def test_sql_says_what_pandas_says(receipt, lake, frame):
    answer = comparable(lake.row(f"SELECT {', '.join(sum(map(aggregates, frame.columns), []))} FROM {TABLE}"))
    expected = {}
    for name, column in frame.items():
        present = column.dropna()
        expected |= {
            f"nulls_{name}": column.isna().sum(),
            f"distinct_{name}": present.nunique(),
            f"min_{name}": present.min(),
            f"max_{name}": present.max(),
        }
        if name not in TEXTS and name != MOMENT:
            expected[f"sum_{name}"] = present.sum()
    assert answer == comparable(expected)
    assert frame.isna().any(axis=1).sum() == 9_430


def test_sql_says_what_duckdb_says(receipt, lake, frame, flights_csv):
    chosen = ", ".join(sum(map(aggregates, frame.columns), []))
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    source = "read_csv(?, header = true, nullstr = 'NA', sample_size = -1)"
    (expected,) = connection.execute(f"SELECT {chosen} FROM {source}", [str(flights_csv)]).to_arrow_table().to_pylist()
    assert comparable(lake.row(f"SELECT {chosen} FROM {TABLE}")) == comparable(expected)


def test_python_deltalake_reads_every_row_as_it_is(receipt, lake, truth):
    read = read_with_deltalake(lake.describe(TABLE)["location"])
    assert sorted_rows(read, truth.schema).equals(truth)


def test_duckdb_reads_every_row_as_it_is(receipt, lake, truth):
    read = read_with_duckdb(lake.describe(TABLE)["location"])
    assert sorted_rows(read, truth.schema).equals(truth)


def test_a_month_is_read_from_its_own_file(receipt, lake, frame):
    whole = lake.query(f"SELECT sum(distance) AS total FROM {TABLE}")
    month = lake.query(f"SELECT sum(distance) AS total FROM {TABLE} WHERE month = 1")
    assert month["rows"][0]["total"] == frame.loc[frame["month"] == 1, "distance"].sum()
    assert (whole["files_scanned"], month["files_scanned"]) == (12, 1)
    assert 0 < month["bytes_scanned"] < whole["bytes_scanned"]
    assert month["tables"] == {TABLE: receipt["version"]}


def test_a_replay_of_the_log_reads_equal_rows(receipt, lake, truth):
    read = read_with_replay(lake.describe(TABLE)["location"])
    assert sorted_rows(read, truth.schema).equals(sorted_rows(truth, truth.schema))

"""Tables that uploads change, and those that do not let them, as other readers see them."""

import io

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from other_readers import read_with_deltalake, read_with_duckdb
from sluice_client import check_problem, ndjson, table_path

READERS = pytest.mark.parametrize("read", [read_with_deltalake, read_with_duckdb])


def set_contract(lake, table, **terms):
    response = lake.request("PUT", f"{table_path(table)}/contract", json=terms)
    assert response.status_code == 200, response.text[:1000]


def rows_of(read, lake, table):
    return read(lake.describe(table)["location"]).sort_by("id").to_pylist()


@READERS
def test_columns_come_with_the_upload_that_has_them(lake, table, read):
    lake.upload(table, b"day,id\n2024-01-01,1\n", format="csv", partition_by="day")
    receipt = lake.upload(table, ndjson([{"day": "2024-01-02", "id": 2, "place": {"x": 1.5}}]), format="ndjson")
    assert receipt["schema"]["changes"]["added"] == [{"column": "place", "type": "struct<x:double>"}]
    lake.upload(table, ndjson([{"day": "2024-01-02", "id": 3, "place": {"y": "b"}}]), format="ndjson")
    found = [(row["id"], str(row["day"]), row["place"]) for row in rows_of(read, lake, table)]
    assert found == [
        (1, "2024-01-01", None),
        (2, "2024-01-02", {"x": 1.5, "y": None}),
        (3, "2024-01-02", {"x": None, "y": "b"}),
    ]
    history = lake.get(f"{table_path(table)}/schema/history").json()["items"]
    assert history[1]["upload_id"] == receipt["upload_id"]


@READERS
def test_types_get_wider_with_the_upload_that_needs_it(lake, table, read):
    def parquet(data_type, *values):
        sink = io.BytesIO()
        pq.write_table(pa.table({"id": pa.array(values, data_type)}), sink)
        return sink.getvalue()

    lake.upload(table, parquet(pa.int16(), 1, None), format="parquet")
    receipt = lake.upload(table, parquet(pa.int64(), 1 << 40), format="parquet")
    assert receipt["schema"]["changes"]["widened"] == [{"column": "id", "from": "short", "to": "long"}]
    values = read(lake.describe(table)["location"]).column("id").to_pylist()
    assert sorted(values, key=lambda value: value or 0) == [None, 1, 1 << 40]


def test_a_frozen_table_says_what_it_lacks(lake, table):
    lake.upload(table, b"id,name\n1,a\n", format="csv")
    set_contract(lake, table, columns="freeze", types="freeze")
    check_problem(lake.send(table, b"id,title\n1,a\n", format="csv"), 422, "title", "name may be the same column")
    check_problem(lake.send(table, b"id,name\nx,a\n2,b\n", format="csv"), 422, "column id", "long", "string")
    assert lake.describe(table)["version"] == 0


@READERS
def test_rows_that_break_a_rule_are_in_quarantine_and_nowhere_else(lake, table, read):
    lake.upload(table, b"id,balance\n1,5.5\n", format="csv")
    rule = {"name": "sane", "column": "balance", "check": {"minimum": 0}, "message": "balance must be non-negative"}
    set_contract(lake, table, rules=[rule])
    receipt = lake.upload(table, b"id,balance\n2,-5\n3,7\n", format="csv")
    assert (receipt["rows_committed"], receipt["rows_quarantined"]) == (1, 1)
    assert [row["id"] for row in rows_of(read, lake, table)] == [1, 3]
    (bad,) = read(lake.describe(f"{table}__quarantine")["location"]).to_pylist()
    assert (bad["rule"], bad["upload_id"], bad["row_number"]) == ("sane", receipt["upload_id"], 1)
    assert "balance must be non-negative" in bad["reason"]
    set_contract(lake, table)
    replay = lake.request("POST", f"{table_path(table)}/quarantine/replay", json={"upload_id": receipt["upload_id"]})
    assert replay.status_code == 200, replay.text
    assert [row["id"] for row in rows_of(read, lake, table)] == [1, 2, 3]


def test_arrow_is_taken_by_small_writes(lake, table):
    rows = pa.table({"id": pa.array([1, 2], pa.int64()), "at": pa.array([None, 0], pa.timestamp("ns", "UTC"))})
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, rows.schema) as writer:
        writer.write_table(rows)
    headers = {"Content-Type": "application/vnd.apache.arrow.stream"}
    response = lake.request("POST", f"{table_path(table)}/rows", headers, data=sink.getvalue())
    assert (response.status_code, response.json()["rows_committed"]) == (201, 2), response.text
    assert lake.rows(f"SELECT id FROM {table} ORDER BY id") == [{"id": 1}, {"id": 2}]

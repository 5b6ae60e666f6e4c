"""Tables that were merged into, overwritten and deduplicated, as other readers see them."""

import concurrent.futures

import pyarrow as pa
import pytest
from log_replay import read_with_replay
from other_readers import read_with_deltalake, read_with_duckdb, sorted_rows
from sluice_client import check_problem, ndjson

SCHEMA = pa.schema({"id": pa.int64(), "part": pa.string(), "value": pa.int64()})


def rows_of(ids, value):
    return [{"id": id, "part": f"p{id % 3}", "value": value} for id in ids]


def assert_read_alike(lake, table, expected):
    """Sluice, delta-rs, DuckDB and a replay of the log see just these rows."""
    expected = sorted_rows(pa.Table.from_pylist(expected, SCHEMA), SCHEMA)
    location = lake.describe(table)["location"]
    path = location.removeprefix("file://")
    for found in (read_with_deltalake(location), read_with_duckdb(path), read_with_replay(path)):
        assert sorted_rows(found, SCHEMA).equals(expected)
    rows = lake.rows(f"SELECT id, part, value FROM {table}", row_limit=len(expected) + 1)
    assert sorted_rows(pa.Table.from_pylist(rows, SCHEMA), SCHEMA).equals(expected)


@pytest.mark.parametrize("partition_by", ["", "part"])
def test_other_readers_see_what_a_merge_left(lake, table, partition_by):
    lake.upload(table, ndjson(rows_of(range(300), 0)), format="ndjson", partition_by=partition_by)
    merge = {"format": "ndjson", "mode": "merge", "merge_keys": "id"}
    receipt = lake.upload(table, ndjson(rows_of(range(200, 400), 1)), **merge)
    counts = [receipt[f"rows_{what}"] for what in ("inserted", "updated", "deleted")]
    assert counts == [100, 100, 0]
    gone = [{"id": id, "gone": True} for id in range(0, 100)]
    receipt = lake.upload(table, ndjson(gone), **merge, delete_when="gone")
    assert receipt["rows_deleted"] == 100
    # Only one column: the others keep what they have.
    lake.upload(table, ndjson({"id": id, "value": 2} for id in range(390, 400)), **merge)
    expected = rows_of(range(100, 200), 0) + rows_of(range(200, 390), 1) + rows_of(range(390, 400), 2)
    assert_read_alike(lake, table, expected)


def test_upserts_of_one_key_at_once_leave_one_row(lake, table):
    merge = {"format": "ndjson", "mode": "merge", "merge_keys": "id"}
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        futures = [
            pool.submit(lake.upload, table, ndjson(rows_of([1], value)), **merge)
            for value in range(8)
        ]
        receipts = [future.result() for future in futures]
    newest = max(range(8), key=lambda value: receipts[value]["version"])
    assert sorted(receipt["version"] for receipt in receipts) == list(range(8))
    assert_read_alike(lake, table, rows_of([1], newest))


def test_rows_that_are_there_are_not_added_again(lake, table):
    for _ in range(2):
        lake.upload(table, ndjson(rows_of([1, 2, 2, 3], 0)), format="ndjson", dedup_keys="id")
    assert_read_alike(lake, table, rows_of([1, 2, 3], 0))


def test_partitions_are_overwritten_and_others_stay(lake, table):
    lake.upload(table, ndjson(rows_of(range(30), 0)), format="ndjson", partition_by="part")
    again = [row for row in rows_of(range(60), 1) if row["part"] == "p1"]
    lake.upload(table, ndjson(again), format="ndjson", mode="overwrite_partitions")
    expected = [row for row in rows_of(range(30), 0) if row["part"] != "p1"] + again
    assert_read_alike(lake, table, expected)
    lake.upload(table, ndjson(rows_of([7], 7)), format="ndjson", mode="overwrite")
    assert_read_alike(lake, table, rows_of([7], 7))


def test_a_table_that_must_not_exist_is_left_alone(lake, table):
    lake.upload(table, ndjson(rows_of([1], 1)), format="ndjson", mode="error_if_exists")
    answer = lake.send(table, ndjson(rows_of([2], 2)), format="ndjson", mode="error_if_exists")
    assert check_problem(answer, 409)["type"].endswith(":table-exists")
    assert_read_alike(lake, table, rows_of([1], 1))

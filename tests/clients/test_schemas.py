"""Schemas that change: declared, evolved and widened tables as other readers see them."""

import datetime
import decimal

import pyarrow as pa
import pytest
from other_readers import read_with_deltalake, read_with_duckdb, sorted_rows
from sluice_client import check_problem, ndjson, new_table, table_path

READERS = pytest.mark.parametrize("read", [read_with_deltalake, read_with_duckdb])


def declare(lake, table, columns, status=200, **fields):
    columns = [{"name": name, "type": type_name} for name, type_name in columns]
    response = lake.request("PUT", f"{table_path(table)}/schema", json={"columns": columns, **fields})
    assert response.status_code == status, response.text[:1000]
    return response.json()


def check_rows(read, lake, table, expected):
    found = read(lake.describe(table)["location"])
    assert sorted_rows(found, expected.schema).equals(sorted_rows(expected, expected.schema)), found.to_pylist()


@READERS
def test_a_table_that_is_declared_is_empty_to_every_reader(lake, table, read):
    columns = [("id", "int64"), ("name", "str"), ("day", "date"), ("price", "decimal(10,2)"), ("tags", "array<string>")]
    declare(lake, table, columns, 201, partition_by=["day"])
    found = read(lake.describe(table)["location"])
    assert (found.num_rows, set(found.column_names)) == (0, {name for name, _ in columns})


@READERS
def test_columns_that_came_later_are_missing_in_older_rows(lake, table, read):
    lake.upload(table, ndjson([{"id": 1, "place": {"x": 1.5}}]), format="ndjson")
    declare(lake, table, [("id", "long"), ("place", "struct<x:double,y:string>"), ("note", "string")])
    lake.upload(table, ndjson([{"id": 2, "place": {"x": 2.5, "y": "b"}, "note": "n"}]), format="ndjson")
    found = read(lake.describe(table)["location"]).sort_by("id")
    assert found.to_pylist() == [
        {"id": 1, "place": {"x": 1.5, "y": None}, "note": None},
        {"id": 2, "place": {"x": 2.5, "y": "b"}, "note": "n"},
    ]
    assert lake.rows(f"SELECT id, note FROM {table} ORDER BY id")[0]["note"] is None


@READERS
def test_widened_types_are_read_with_every_value(lake, table, read):
    declare(lake, table, [("small", "short"), ("i", "integer"), ("f", "float"), ("d", "decimal(5,2)"), ("at", "date")], 201)
    lake.upload(table, b"small,i,f,d,at\n-32768,2147483647,1.5,-1.25,2024-01-31\n,,,,\n", format="csv")
    wider = [("small", "long"), ("i", "double"), ("f", "double"), ("d", "decimal(10,4)"), ("at", "timestamp_ntz")]
    assert declare(lake, table, wider)["table_version"] == 2
    lake.upload(table, b"small,i,f,d,at\n99999999999,0.5,0.1,1.1234,2024-01-31T10:00:00\n", format="csv")
    expected = pa.table(
        {
            "small": pa.array([-32768, None, 99999999999], pa.int64()),
            "i": pa.array([2147483647.0, None, 0.5], pa.float64()),
            "f": pa.array([1.5, None, 0.1], pa.float64()),
            "d": pa.array([decimal.Decimal("-1.25"), None, decimal.Decimal("1.1234")], pa.decimal128(10, 4)),
            "at": pa.array(
                [datetime.datetime(2024, 1, 31), None, datetime.datetime(2024, 1, 31, 10)], pa.timestamp("us")
            ),
        }
    )
    check_rows(read, lake, table, expected)
    changes = next(lake.pages(f"{table_path(table)}/schema/history"))["changes"]
    assert [change["column"] for change in changes["widened"]] == ["small", "i", "f", "d", "at"]


@READERS
def test_a_table_of_two_partition_columns_evolves(lake, table, read):
    lake.upload(table, b"n,p,q\n1,a/b,1\n2,,2\n3,c,\n", format="csv", partition_by="p,q")
    declare(lake, table, [("n", "decimal(20,0)"), ("p", "string"), ("q", "long"), ("new", "string")])
    lake.upload(table, "n,p,q,new\n4,,,ü\n5,a/b,1,\n".encode(), format="csv")
    expected = pa.table(
        {
            "n": pa.array([decimal.Decimal(n) for n in (1, 2, 3, 4, 5)], pa.decimal128(20, 0)),
            "p": pa.array(["a/b", None, "c", None, "a/b"]),
            "q": pa.array([1, 2, None, None, 1], pa.int64()),
            "new": pa.array([None, None, None, "ü", None], pa.string()),
        }
    )
    check_rows(read, lake, table, expected)
    problem = lake.request("PUT", f"{table_path(table)}/schema", json={"columns": [{"name": "n", "type": "long"}]})
    check_problem(problem, 409, "n")


def test_a_contract_is_asked_for_and_told(lake, table):
    lake.upload(table, b"id,balance\n1,2.5\n", format="csv")
    rule = {"name": "sane", "column": "balance", "check": {"minimum": 0}, "message": "balance must be non-negative"}
    path = f"{table_path(table)}/contract"
    assert lake.request("PUT", path, json={"rules": [rule], "max_bad_fraction": 0.1}).status_code == 200
    assert lake.get(path).json()["rules"] == [{**rule, "action": "quarantine"}]
    check_problem(lake.request("PUT", path, json={"rules": [{**rule, "check": {"matches": "x"}}]}), 422, "sane")
    check_problem(lake.request("PUT", f"{table_path(new_table())}/contract", json={}), 404)

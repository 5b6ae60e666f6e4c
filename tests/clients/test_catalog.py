"""What the catalog tells of tables, and their life: described, listed, deleted, restored, seen as they were."""

import csv
import io

import pyarrow as pa
import pytest
from sluice_client import check_problem, ndjson, new_table, table_path


def test_a_table_is_described(lake, table):
    receipt = lake.upload(table, b"id,name,part\n1,a,x\n2,b,y\n", format="csv", partition_by="part")
    view = lake.describe(table)
    assert view["name"] == table
    assert (view["zone"], view["format"], view["partition_by"]) == ("raw", "delta", ["part"])
    assert (view["version"], view["rows"], view["files"]) == (receipt["version"], 2, 2)
    assert view["size_bytes"] > 0
    assert view["location"].startswith("file:///")
    assert view["owner"]
    assert view["created_at"] <= view["updated_at"]
    columns = [
        (column["name"], column["delta_type"], column["nullable"], column["partition"]) for column in view["columns"]
    ]
    assert sorted(columns) == [
        ("id", "long", True, False),
        ("name", "string", True, False),
        ("part", "string", True, True),
    ]
    assert {column["name"]: column["arrow_type"] for column in view["columns"]}["id"] == "Int64"


def test_names_do_not_depend_on_case(lake, table):
    lake.upload(table.upper(), b"id\n1\n", format="csv")
    assert lake.describe(table.upper())["name"] == table


def test_a_description_can_be_changed(lake, table):
    lake.upload(table, b"id\n1\n", format="csv")
    text = "Was steht hier? 🦀"
    assert lake.request("PATCH", table_path(table), json={"description": text}).status_code == 200
    assert lake.describe(table)["description"] == text
    check_problem(lake.request("PATCH", table_path(table), json={"owner_": "x"}), range(400, 500))
    check_problem(lake.request("PATCH", table_path(new_table()), json={"description": "x"}), 404)


def test_listings_come_in_pages_that_together_are_whole(lake):
    made = {new_table("pages") for _ in range(5)}
    for table in made:
        lake.upload(table, b"id\n1\n", format="csv")
    names = [view["name"] for view in lake.pages("/api/v1/tables", page_size=2)]
    assert made <= set(names)
    assert len(names) == len(set(names))
    assert names == [view["name"] for view in lake.pages("/api/v1/tables")]
    assert "pages" in [namespace["name"] for namespace in lake.pages("/api/v1/namespaces", page_size=1)]


@pytest.mark.parametrize("params", [{"page_size": "0"}, {"page_size": "-1"}, {"page_size": "x"}, {"page_token": "zz"}])
def test_a_page_that_cannot_be_is_refused(lake, params):
    check_problem(lake.request("GET", "/api/v1/tables", params=params), range(400, 500))


def test_uploads_versions_and_schema_are_histories(lake, table):
    receipts = [lake.upload(table, ndjson([{"id": id}]), format="ndjson") for id in range(3)]
    uploads = list(lake.pages(f"{table_path(table)}/uploads", page_size=2))
    assert {upload["upload_id"] for upload in uploads} == {receipt["upload_id"] for receipt in receipts}
    assert all(upload["status"] == "committed" for upload in uploads)
    versions = [entry["version"] for entry in lake.pages(f"{table_path(table)}/versions", page_size=2)]
    assert {receipt["version"] for receipt in receipts} <= set(versions)
    assert len(versions) == len(set(versions))
    (schema,) = lake.pages(f"{table_path(table)}/schema/history")
    assert schema["upload_id"] == receipts[0]["upload_id"]
    assert [(column["name"], column["delta_type"]) for column in schema["columns"]] == [("id", "long")]


def test_a_preview_is_bounded(lake, table):
    lake.upload(table, ndjson({"id": id} for id in range(100)), format="ndjson")
    answer = lake.get(f"{table_path(table)}/preview", params={"limit": 7}).json()
    assert len(answer["rows"]) == 7
    assert {row["id"] for row in answer["rows"]} <= set(range(100))
    check_problem(lake.request("GET", f"{table_path(table)}/preview", params={"limit": "all"}), range(400, 500))


def test_a_deleted_table_is_gone_until_it_is_restored(lake, table):
    lake.upload(table, b"id\n1\n", format="csv")
    assert lake.request("DELETE", table_path(table)).status_code == 204
    for path in ("", "/schema/history", "/versions", "/preview"):
        check_problem(lake.request("GET", table_path(table) + path), 404)
    check_problem(lake.request("DELETE", table_path(table)), 404)
    check_problem(lake.send_query(f"SELECT * FROM {table}"), range(400, 500))
    assert table not in [view["name"] for view in lake.pages("/api/v1/tables")]

    assert lake.request("POST", f"{table_path(table)}/restore").status_code == 200
    assert lake.rows(f"SELECT id FROM {table}") == [{"id": 1}]
    lake.upload(table, b"id\n2\n", format="csv")
    assert lake.count(table) == 2


def test_a_table_is_seen_as_it_was(lake, table):
    receipts = [lake.upload(table, ndjson([{"id": id}]), format="ndjson") for id in range(3)]
    for count, receipt in enumerate(receipts, 1):
        answer = lake.query(f"SELECT count(*) AS n FROM {table}", versions={table: receipt["version"]})
        assert answer["rows"] == [{"n": count}]
        assert answer["tables"] == {table: receipt["version"]}
    absent = receipts[-1]["version"] + 1
    check_problem(lake.send_query(f"SELECT * FROM {table}", versions={table: absent}), range(400, 500), str(absent))


def test_answers_come_as_json_csv_and_arrow(lake, table):
    rows = [{"id": 9_007_199_254_740_993, "name": 'a,"b"\nü'}, {"id": 2, "name": "x"}]
    lake.upload(table, ndjson(rows), format="ndjson")
    sql = f"SELECT id, name FROM {table} ORDER BY id DESC"
    answer = lake.query(sql)
    assert answer["rows"] == rows
    assert [column["name"] for column in answer["columns"]] == ["id", "name"]
    assert (answer["row_count"], answer["truncated"]) == (2, False)
    assert answer["files_scanned"] == 1
    assert answer["bytes_scanned"] > 0
    assert answer["elapsed_ms"] >= 0

    text = lake.send_query(sql, accept="text/csv")
    assert text.headers["Content-Type"].startswith("text/csv")
    read = list(csv.DictReader(io.StringIO(text.content.decode(), newline="")))
    assert read == [{"id": str(row["id"]), "name": row["name"]} for row in rows]

    arrow = lake.send_query(sql, accept="application/vnd.apache.arrow.stream")
    assert arrow.headers["Content-Type"].startswith("application/vnd.apache.arrow.stream")
    with pa.ipc.open_stream(arrow.content) as stream:
        assert stream.read_all().to_pylist() == rows

    check_problem(lake.send_query(sql, accept="image/png"), range(400, 500))


def test_an_answer_is_bounded_and_says_so(lake, table):
    lake.upload(table, ndjson({"id": id} for id in range(100)), format="ndjson")
    answer = lake.query(f"SELECT id FROM {table}", row_limit=10)
    assert (len(answer["rows"]), answer["row_count"], answer["truncated"]) == (10, 10, True)
    answer = lake.query(f"SELECT id FROM {table}", row_limit=100)
    assert (len(answer["rows"]), answer["truncated"]) == (100, False)


def test_tables_are_joined(lake):
    left, right = new_table(), new_table()
    lake.upload(left, b"id,name\n1,a\n2,b\n", format="csv")
    lake.upload(right, b"id,n\n1,10\n1,20\n", format="csv")
    sql = f"SELECT l.name, sum(r.n) AS n FROM {left} l LEFT JOIN {right} r ON l.id = r.id GROUP BY l.name ORDER BY 1"
    assert lake.rows(sql) == [{"name": "a", "n": 30}, {"name": "b", "n": None}]
    assert set(lake.query(sql)["tables"]) == {left, right}

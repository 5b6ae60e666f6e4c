"""What cannot be taken is refused with a reason, commits nothing, and is not lost."""

import http.client
import io
import json
import urllib.parse

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sluice_client import Lake, check_problem, table_path

CLIENT_FAULT = range(400, 500)
LIMIT_BYTES = 100_000
LONGEST = b"a\n" + b"1\n" * (LIMIT_BYTES // 2 - 1)


def wide_csv(columns):
    return ",".join(f"c{number}" for number in range(columns)).encode() + b"\n" + b"1," * (columns - 1) + b"1\n"


def wide_parquet(columns):
    sink = io.BytesIO()
    pq.write_table(pa.table({f"c{number}": [1] for number in range(columns)}), sink)
    return sink.getvalue()


def deep_json(depth):
    return b'{"a":' * depth + b"1" + b"}" * depth + b"\n"


def cut_parquet():
    sink = io.BytesIO()
    pq.write_table(pa.table({"id": list(range(1000))}), sink)
    return sink.getvalue()[:-9]


STRICT = {"max_bad_rows": "0"}

# Each: the body, the headers, the options, what the detail must name.
UNREADABLE = {
    "gzip-that-is-none": (b"id\n1\n", {"Content-Encoding": "gzip"}, {"format": "csv"}, ["gzip"]),
    "gzip-cut-short": (
        b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03",
        {"Content-Encoding": "gzip"},
        {"format": "csv"},
        [],
    ),
    "zstd-that-is-none": (b"id\n1\n", {"Content-Encoding": "zstd"}, {"format": "csv"}, ["zstd"]),
    "csv-short-row": (b"a,b,c\n1,2,3\n4,5\n", {}, {"format": "csv", **STRICT}, ["line 3", "2", "3"]),
    "csv-long-row": (b"a,b\n1,2\n1,2,3\n", {}, {"format": "csv", **STRICT}, ["line 3"]),
    "csv-not-utf8": (b"a\nok\n\xff\xfe\n", {}, {"format": "csv", **STRICT}, ["line 3"]),
    "csv-wide": (wide_csv(2001), {}, {"format": "csv"}, ["column"]),
    "ndjson-broken": (b'{"a":1}\n{"a":\n', {}, {"format": "ndjson", **STRICT}, ["line 2"]),
    "ndjson-no-object": (b'{"a":1}\n[1]\n', {}, {"format": "ndjson", **STRICT}, ["line 2"]),
    "ndjson-deep": (deep_json(65), {}, {"format": "ndjson"}, []),
    "ndjson-very-deep": (deep_json(100_000), {}, {"format": "ndjson"}, []),
    "json-broken": (b'[{"a":1},\n{"a":}]', {}, {"format": "json", **STRICT}, ["line 2"]),
    "json-cut-short": (b'[{"a":1}', {}, {"format": "json"}, []),
    "json-deep": (b"[" + deep_json(65).strip() + b"]", {}, {"format": "json"}, []),
    "json-wide": (json.dumps([{f"c{n}": n for n in range(2001)}]).encode(), {}, {"format": "json"}, ["column"]),
    "parquet-that-is-none": (b"PAR1 but not really PAR1", {}, {"format": "parquet"}, []),
    "parquet-cut-short": (cut_parquet(), {}, {"format": "parquet"}, []),
    "parquet-wide": (wide_parquet(2001), {}, {"format": "parquet"}, ["column"]),
}


def check_kept(lake, problem, body):
    """The failed upload stands in the ledger with its reason, and its bytes can be had."""
    entry = lake.get(f"/api/v1/uploads/{problem['upload_id']}").json()
    assert entry["status"] == "failed"
    assert entry["failure"]["detail"] == problem["detail"]
    assert entry["failure"]["type"] == problem["type"]
    content = lake.get(f"/api/v1/uploads/{problem['upload_id']}/content", headers={"Accept-Encoding": "identity"})
    assert content.content == body


@pytest.mark.parametrize("name", UNREADABLE)
def test_what_cannot_be_read_makes_no_table_and_is_kept(lake, table, name):
    body, headers, options, words = UNREADABLE[name]
    problem = check_problem(lake.send(table, body, headers, **options), CLIENT_FAULT, *words)
    check_problem(lake.request("GET", table_path(table)), 404)
    check_kept(lake, problem, body)


@pytest.mark.parametrize("name", UNREADABLE)
def test_what_cannot_be_read_leaves_a_table_as_it_is(lake, table, name):
    body, headers, options, _ = UNREADABLE[name]
    receipt = lake.upload(table, b"a\n1\n", format="csv")
    problem = check_problem(lake.send(table, body, headers, **options), CLIENT_FAULT)
    view = lake.describe(table)
    assert (view["version"], view["rows"]) == (receipt["version"], 1)
    assert lake.rows(f"SELECT a FROM {table}") == [{"a": 1}]
    check_kept(lake, problem, body)


def test_a_late_bad_row_commits_none_of_the_good_ones(lake, table):
    good = b"".join(b"%d,x\n" % number for number in range(200_000))
    body = b"a,b\n" + good + b"1\n"
    problem = check_problem(lake.send(table, body, format="csv", **STRICT), CLIENT_FAULT, "line 200002")
    check_problem(lake.request("GET", table_path(table)), 404)
    check_kept(lake, problem, body)


@pytest.mark.parametrize(
    ("body", "options", "words"),
    [
        (b"id,day\n2,2024-01-02\nx7,2024-01-03\n", {"format": "csv"}, ["2", "id", "x7"]),
        (b"id,day\n2,never\n", {"format": "csv"}, ["1", "day", "never"]),
        (b'{"id":1.5,"day":"2024-01-02"}\n', {"format": "ndjson"}, ["id", "1.5"]),
        (b'{"id":"three","day":"2024-01-02"}\n', {"format": "ndjson"}, ["id", "three"]),
        (b'[{"id":2},{"id":true}]', {"format": "json"}, ["id", "true"]),
    ],
)
def test_a_value_that_does_not_fit_is_named(lake, table, body, options, words):
    receipt = lake.upload(table, b"id,day\n1,2024-01-01\n", format="csv")
    problem = check_problem(lake.send(table, body, **options, **STRICT), 422, *words)
    view = lake.describe(table)
    assert (view["version"], view["rows"]) == (receipt["version"], 1)
    check_kept(lake, problem, body)


def test_another_partitioning_is_refused(lake, table):
    lake.upload(table, b"id,part\n1,a\n", format="csv", partition_by="part")
    check_problem(lake.send(table, b"id,part\n2,b\n", format="csv", partition_by="id"), 422, "part", "id")
    assert lake.count(table) == 1


def test_a_partition_column_must_exist(lake, table):
    check_problem(lake.send(table, b"id\n1\n", format="csv", partition_by="absent"), CLIENT_FAULT, "absent")
    check_problem(lake.request("GET", table_path(table)), 404)


@pytest.mark.parametrize(
    ("headers", "options", "statuses"),
    [
        ({}, {"format": "xlsx"}, CLIENT_FAULT),
        ({}, {}, CLIENT_FAULT),
        ({"Content-Type": "application/pdf"}, {}, CLIENT_FAULT),
        ({"Content-Encoding": "br"}, {"format": "csv"}, CLIENT_FAULT),
        ({}, {"format": "csv", "delimiter": "ab"}, CLIENT_FAULT),
        ({}, {"format": "csv", "header": "perhaps"}, CLIENT_FAULT),
        ({"Idempotency-Key": "k" * 10_000}, {"format": "csv"}, CLIENT_FAULT),
        ({"Content-Type": "multipart/form-data"}, {"format": "csv"}, CLIENT_FAULT),
        ({"Content-Type": "multipart/form-data; boundary=x"}, {"format": "csv"}, CLIENT_FAULT),
    ],
)
def test_a_request_that_cannot_be_understood_makes_no_table(lake, table, headers, options, statuses):
    check_problem(lake.send(table, b"id\n1\n", headers, **options), statuses)
    check_problem(lake.request("GET", table_path(table)), 404)


@pytest.mark.parametrize("format_name", ["csv", "ndjson", "json", "parquet"])
def test_an_empty_body_is_refused(lake, table, format_name):
    check_problem(lake.send(table, b"", format=format_name), CLIENT_FAULT, "empty")
    check_problem(lake.request("GET", table_path(table)), 404)


def test_an_empty_part_of_a_form_is_refused(lake, table):
    response = lake.request("POST", f"{table_path(table)}/uploads", files={"file": ("rows.csv", b"")})
    check_problem(response, CLIENT_FAULT, "empty")


# Sent as they are: client libraries would tidy some of them up.
ILLEGAL = [
    "..",
    ".",
    "%2e%2e",
    "a%2Fb",
    "..%2F..%2Fetc",
    "a%00b",
    "a%20b",
    "a.b",
    "-a",
    "n%C3%A4h",
    "%E2%80%AEa",
    "a" * 300,
]


@pytest.mark.parametrize("place", ["{}/t", "ns/{}"])
@pytest.mark.parametrize("name", ILLEGAL)
def test_an_illegal_name_is_refused(server, lake, place, name):
    before = {view["name"] for view in lake.pages("/api/v1/tables")}
    address = urllib.parse.urlsplit(server.url)
    connection = http.client.HTTPConnection(address.hostname, address.port, timeout=30)
    connection.request("POST", f"/api/v1/tables/{place.format(name)}/uploads?format=csv", b"id\n1\n")
    response = connection.getresponse()
    problem = json.loads(response.read())
    connection.close()
    assert response.status in CLIENT_FAULT
    assert response.getheader("Content-Type").startswith("application/problem+json")
    assert problem["status"] == response.status
    assert {view["name"] for view in lake.pages("/api/v1/tables")} == before


@pytest.fixture(scope="module")
def small_lake(module_servers):
    """A server that takes only short bodies."""
    return Lake(module_servers.start(environment={"SLUICE_INGEST__MAX_BODY_BYTES": str(LIMIT_BYTES)}).url)


def test_the_longest_body_is_taken(small_lake, table):
    assert small_lake.upload(table, LONGEST, format="csv")["bytes_received"] == LIMIT_BYTES


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_over_the_limit_is_refused(small_lake, table, chunked):
    body = LONGEST + b"1"
    sent = iter([body[:50_000], body[50_000:]]) if chunked else body
    check_problem(small_lake.send(table, sent, format="csv"), 413, str(LIMIT_BYTES))
    check_problem(small_lake.request("GET", table_path(table)), 404)


def test_a_form_over_the_limit_is_refused(small_lake, table):
    response = small_lake.request("POST", f"{table_path(table)}/uploads", files={"file": ("rows.csv", LONGEST + b"1")})
    check_problem(response, 413)
    check_problem(small_lake.request("GET", table_path(table)), 404)


@pytest.mark.parametrize(
    "sql",
    [
        "",
        "SELEC 1",
        "SELECT 1; SELECT 2",
        "SELECT * FROM test.absent_table",
        "DROP TABLE test.x",
        "INSERT INTO test.x VALUES (1)",
        "CREATE TABLE x AS SELECT 1",
        "CREATE EXTERNAL TABLE x STORED AS CSV LOCATION '/etc/passwd'",
        "COPY (SELECT 1) TO '/tmp/sluice-must-not-write.csv'",
        "SET datafusion.execution.batch_size = 1",
        "SELECT * FROM '/etc/passwd'",
        "SELECT " + "+".join(["1"] * 20_000),
        " UNION ALL ".join(["SELECT 1"] * 5_000),
        "SELECT " + "(" * 5_000 + "1" + ")" * 5_000,
        "SELECT length(repeat('x', 2000000000))",
    ],
    ids=lambda sql: sql[:30],
)
def test_sql_that_is_not_a_bounded_read_is_refused(lake, sql):
    check_problem(lake.send_query(sql), CLIENT_FAULT)
    assert lake.row("SELECT 1 AS one") == {"one": 1}


def test_other_failures_are_problems_too(lake):
    check_problem(lake.request("GET", "/api/v1/nothing-here"), 404)
    check_problem(lake.request("PUT", "/api/v1/tables"), 405)
    check_problem(
        lake.request("POST", "/api/v1/queries", {"Content-Type": "application/json"}, data=b"{"), CLIENT_FAULT
    )
    check_problem(lake.request("POST", "/api/v1/queries", json={"sequel": "SELECT 1"}), CLIENT_FAULT)
    check_problem(lake.request("GET", "/api/v1/uploads/not-an-id"), CLIENT_FAULT)
    check_problem(lake.request("GET", "/api/v1/uploads/01890000-0000-7000-8000-000000000000"), 404)

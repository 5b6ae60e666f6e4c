"""Every format by every road, with real clients; and the promise that a repeated upload is committed once."""

import concurrent.futures
import csv
import datetime
import gzip
import hashlib
import io
import json
import subprocess
import uuid
from urllib.parse import urlencode

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from log_replay import read_with_replay
from other_readers import read_with_deltalake, read_with_duckdb
from sluice_client import check_problem, check_receipt, ndjson, new_table, table_path

UTC = datetime.UTC
SCHEMA = pa.schema(
    {
        "id": pa.int64(),
        "big": pa.int64(),
        "price": pa.float64(),
        "open": pa.bool_(),
        "day": pa.date32(),
        "seen": pa.timestamp("us", tz="UTC"),
        "name": pa.string(),
    }
)
NAMES = ["plain", "naïve, “quoted”", 'a "b" c', "two\nlines", "日本語 🦀", "Zürich"]
ROWS = [
    {
        "id": number,
        "big": 9_007_199_254_740_993 + number,
        "price": None if number % 7 == 0 else number + 0.25,
        "open": number % 2 == 0,
        "day": datetime.date(2024, 2, 29) + datetime.timedelta(days=number),
        "seen": datetime.datetime(2024, 1, 31, 12, 30, 59, 123456, UTC) + datetime.timedelta(hours=number),
        "name": NAMES[number % len(NAMES)],
    }
    for number in range(500)
]


def delimited(delimiter):
    text = io.StringIO()
    writer = csv.DictWriter(text, SCHEMA.names, delimiter=delimiter, lineterminator="\n")
    writer.writeheader()
    for row in ROWS:
        writer.writerow({**row, "open": str(row["open"]).lower(), "seen": row["seen"].isoformat()})
    return text.getvalue().encode()


def json_rows():
    return [json.loads(json.dumps(row, default=lambda moment: moment.isoformat())) for row in ROWS]


def parquet():
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(ROWS, SCHEMA), sink, row_group_size=100)
    return sink.getvalue()


FORMATS = {
    "csv": (delimited(","), "csv", "text/csv", {}),
    "tab": (delimited("\t"), "csv", "application/octet-stream", {"format": "csv", "delimiter": "\t"}),
    "ndjson": (ndjson(json_rows()), "ndjson", "application/x-ndjson", {}),
    "json": (json.dumps(json_rows()).encode(), "json", "application/json", {}),
    "parquet": (parquet(), "parquet", "application/vnd.apache.parquet", {}),
}
ENCODINGS = {
    "identity": (lambda data: data, "", {}),
    "gzip": (gzip.compress, ".gz", {"Content-Encoding": "gzip"}),
    "zstd": (zstandard.ZstdCompressor().compress, ".zst", {"Content-Encoding": "zstd"}),
}
ROADS = ["requests-raw", "requests-chunked", "requests-form", "curl-raw", "curl-form"]


def send(lake, road, table, body, upload, tmp_path):
    """The receipt of an upload on this road; forms say by the file's name what the body is."""
    path, params = f"{table_path(table)}/uploads", dict(upload["params"])
    if road.endswith("form"):
        headers = {}
        # A name that ends in .tab is a CSV file, with a delimiter to be told.
        params.pop("format", None)
    else:
        headers = {"Content-Type": upload["type"], **upload["headers"]}
    if road == "requests-form":
        response = lake.request("POST", path, headers, params=params, files={"file": (upload["name"], body)})
    elif road == "requests-raw":
        response = lake.request("POST", path, headers, params=params, data=body)
    elif road == "requests-chunked":
        pieces = (body[start : start + 4096] for start in range(0, len(body), 4096))
        response = lake.request("POST", path, headers, params=params, data=pieces)
    else:
        return curl(lake, road, path, body, upload["name"], headers, params, tmp_path)
    assert response.status_code == 201, response.text
    assert response.headers["Location"] == f"/api/v1/uploads/{response.json()['upload_id']}"
    return response.json()


def curl(lake, road, path, body, name, headers, params, tmp_path):
    file = tmp_path / name
    file.write_bytes(body)
    how = ["--form", f"file=@{file}"] if road == "curl-form" else ["--data-binary", f"@{file}"]
    said = [word for key, value in headers.items() for word in ("--header", f"{key}: {value}")]
    command = [
        "curl",
        "--silent",
        "--show-error",
        "--fail-with-body",
        *how,
        *said,
        f"{lake.url}{path}?{urlencode(params)}",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("road", ROADS)
@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("format_name", FORMATS)
def test_a_file_arrives_whole(lake, table, tmp_path, format_name, encoding, road):
    data, format, media_type, params = FORMATS[format_name]
    encode, ending, headers = ENCODINGS[encoding]
    body = encode(data)
    upload = {"type": media_type, "headers": headers, "params": params, "name": f"rows.{format_name}{ending}"}
    receipt = check_receipt(send(lake, road, table, body, upload, tmp_path))

    assert (receipt["table"], receipt["format"]) == (table, format)
    assert receipt["rows_received"] == receipt["rows_committed"] == len(ROWS)
    assert receipt["bytes_received"] == len(body)
    assert receipt["sha256"] == hashlib.sha256(body).hexdigest()
    content = lake.get(f"/api/v1/uploads/{receipt['upload_id']}/content", headers={"Accept-Encoding": "identity"})
    assert content.content == body
    read = read_with_deltalake(lake.describe(table)["location"]).select(SCHEMA.names).cast(SCHEMA)
    assert read.sort_by("id").to_pylist() == ROWS


def test_the_ledger_knows_the_upload(lake, table):
    receipt = lake.upload(table, b"id\n1\n", format="csv", file_name="../../etc/passwd.csv")
    entry = lake.get(f"/api/v1/uploads/{receipt['upload_id']}").json()
    assert entry["status"] == "committed"
    assert entry["receipt"] == receipt
    listed = list(lake.pages(f"{table_path(table)}/uploads"))
    assert [upload["upload_id"] for upload in listed] == [receipt["upload_id"]]
    assert "passwd" not in receipt["raw_object"]


def test_whole_numbers_are_never_rounded(lake, table):
    numbers = [9_007_199_254_740_993, -9_007_199_254_740_993, 2**63 - 1, -(2**63), 0]
    lake.upload(table, ndjson({"n": number} for number in numbers), format="ndjson")
    assert [row["n"] for row in lake.rows(f"SELECT n FROM {table} ORDER BY n")] == sorted(numbers)
    location = lake.describe(table)["location"]
    for read in (read_with_deltalake, read_with_duckdb, read_with_replay):
        assert sorted(read(location)["n"].to_pylist()) == sorted(numbers)


def test_moments_keep_zone_and_microseconds(lake, table):
    lake.upload(
        table,
        b"day,here,there\n"
        b"2024-02-29,2024-02-29 23:59:59.999999,2024-02-29T23:59:59.999999+02:00\n"
        b"1969-12-31,1969-12-31 00:00:00.000001,1969-12-31T23:00:00.000001-01:00\n",
        format="csv",
    )
    expected = [
        {
            "day": datetime.date(1969, 12, 31),
            "here": datetime.datetime(1969, 12, 31, 0, 0, 0, 1),
            "there": datetime.datetime(1970, 1, 1, 0, 0, 0, 1, UTC),
        },
        {
            "day": datetime.date(2024, 2, 29),
            "here": datetime.datetime(2024, 2, 29, 23, 59, 59, 999999),
            "there": datetime.datetime(2024, 2, 29, 21, 59, 59, 999999, UTC),
        },
    ]
    location = lake.describe(table)["location"]
    for read in (read_with_deltalake, read_with_duckdb, read_with_replay):
        rows = sorted(read(location).to_pylist(), key=lambda row: row["day"])
        rows = [{**row, "there": row["there"].astimezone(UTC)} for row in rows]
        assert rows == expected


def test_text_keeps_every_character(lake, table):
    texts = [
        "",
        " padded ",
        "ﷺ",
        "e\u0301 is not é",
        "🏳️‍🌈",
        "\u202eright to left",
        "NULL",
        "null",
        "NaN",
        "007",
        "+49123",
    ]
    lake.upload(table, ndjson({"id": at, "text": text} for at, text in enumerate(texts)), format="ndjson")
    assert [row["text"] for row in lake.rows(f"SELECT text FROM {table} ORDER BY id")] == texts
    rows = read_with_duckdb(lake.describe(table)["location"]).sort_by("id")
    assert rows["text"].to_pylist() == texts


def test_the_options_of_csv_are_heeded(lake, table):
    body = b"1;'a;b';-\n2;;x\n"
    options = {"format": "csv", "header": "false", "delimiter": ";", "quote": "'", "null_values": "-,none"}
    receipt = lake.upload(table, body, **options, empty_as_null="false")
    assert receipt["rows_committed"] == 2
    rows = read_with_deltalake(lake.describe(table)["location"]).to_pylist()
    assert sorted(tuple(row.values()) for row in rows) == [(1, "a;b", None), (2, "", "x")]


def test_partitions_are_folders_with_hostile_values_made_harmless(lake, table):
    values = ["a/b", "..", "100%", "a=b", "ü", "", " "]
    lake.upload(table, ndjson({"part": value, "n": 1} for value in values), format="ndjson", partition_by="part")
    rows = read_with_deltalake(lake.describe(table)["location"]).to_pylist()
    # Delta cannot tell an empty partition value from a missing one.
    assert sorted(row["part"] or "" for row in rows) == sorted(values)
    assert lake.row(f"SELECT n FROM {table} WHERE part = 'a/b'") == {"n": 1}


def test_a_second_upload_adds_to_the_first(lake, table):
    first = lake.upload(table, b"id\n1\n2\n", format="csv")
    second = lake.upload(table, ndjson([{"id": 3}]), format="ndjson")
    assert second["version"] > first["version"]
    assert [row["id"] for row in lake.rows(f"SELECT id FROM {table} ORDER BY id")] == [1, 2, 3]


def test_a_repeated_upload_is_committed_once(lake, table):
    key, body = uuid.uuid4().hex, b"id\n1\n2\n"
    first = lake.send(table, body, key=key, format="csv")
    again = lake.send(table, body, key=key, format="csv")
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.json() == first.json()
    assert "Idempotent-Replayed" not in first.headers
    assert again.headers["Idempotent-Replayed"] == "true"
    assert lake.count(table) == 2
    assert lake.describe(table)["version"] == first.json()["version"]


def test_a_key_is_for_one_body(lake, table):
    key = uuid.uuid4().hex
    first = lake.upload(table, b"id\n1\n", key=key, format="csv")
    check_problem(lake.send(table, b"id\n2\n", key=key, format="csv"), 422, "Idempotency-Key")
    assert lake.rows(f"SELECT id FROM {table}") == [{"id": 1}]
    assert lake.describe(table)["version"] == first["version"]


def test_a_failed_upload_fails_the_same_way_again(lake, table):
    key, body = uuid.uuid4().hex, b"a,b\n1,2\n3\n"
    options = {"format": "csv", "max_bad_rows": "0"}
    first = check_problem(lake.send(table, body, key=key, **options), range(400, 500))
    again = check_problem(lake.send(table, body, key=key, **options), first["status"])
    assert (again["type"], again["detail"], again["upload_id"]) == (first["type"], first["detail"], first["upload_id"])


def test_uploads_that_race_with_one_key_are_committed_once(lake, table):
    key, body = uuid.uuid4().hex, ndjson({"id": number} for number in range(1000))

    def race(_):
        return lake.send(table, body, key=key, format="ndjson")

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(race, range(8)))
    # One that comes while another is under way is told to come again.
    for answer in answers:
        if answer.status_code != 201:
            check_problem(answer, 409)
    ids = {answer.json()["upload_id"] for answer in answers if answer.status_code == 201}
    assert len(ids) == 1
    assert lake.upload(table, body, key=key, format="ndjson")["upload_id"] in ids
    assert lake.count(table) == 1000


def test_first_uploads_that_race_make_one_table(lake):
    table = new_table()
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        receipts = list(pool.map(lambda id: lake.upload(table, ndjson([{"id": id}]), format="ndjson"), range(8)))
    assert len({receipt["upload_id"] for receipt in receipts}) == 8
    assert [row["id"] for row in lake.rows(f"SELECT id FROM {table} ORDER BY id")] == list(range(8))
    for read in (read_with_duckdb, read_with_replay):
        assert sorted(read(lake.describe(table)["location"])["id"].to_pylist()) == list(range(8))

"""The same lake on S3: zones in buckets of the real LocalStack, read back by other clients."""

import concurrent.futures
import csv
import io
import itertools
import json
import urllib.parse

import flights
import pytest
from conftest import CREDENTIALS
from other_readers import read_with_deltalake
from sluice_client import Lake, ndjson, new_table, table_path

ROWS = 5_000


@pytest.fixture(scope="module")
def s3(localstack):
    client = localstack.client("s3")
    for bucket in ("lake-raw", "lake-curated"):
        client.create_bucket(Bucket=bucket)
    return client


@pytest.fixture(scope="module")
def environment(localstack, s3):
    return localstack.server_environment("s3://lake-raw/zone", "s3://lake-curated/zone")


@pytest.fixture(scope="module")
def s3_lake(module_servers, environment):
    return Lake(module_servers.start(environment=environment).url)


@pytest.fixture(scope="module")
def storage_options(localstack):
    return {
        "AWS_ENDPOINT_URL": localstack.endpoint,
        "AWS_ALLOW_HTTP": "true",
        "AWS_REGION": CREDENTIALS["region_name"],
        "AWS_ACCESS_KEY_ID": CREDENTIALS["aws_access_key_id"],
        "AWS_SECRET_ACCESS_KEY": CREDENTIALS["aws_secret_access_key"],
    }


@pytest.fixture(scope="module")
def some_flights(flights_csv):
    """The header and rows from all over the year, as a CSV file and as rows of text."""
    with open(flights_csv) as file:
        lines = [next(file), *itertools.islice(file, 0, None, flights.ROWS // ROWS)]
    text = "".join(lines)
    return text.encode(), list(csv.DictReader(io.StringIO(text)))


def objects(s3, url):
    """Every object below an S3 URL: its key and bytes."""
    place = urllib.parse.urlsplit(url)
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=place.netloc, Prefix=place.path.strip("/") + "/")
    for entry in itertools.chain.from_iterable(page.get("Contents", []) for page in pages):
        yield entry["Key"], s3.get_object(Bucket=place.netloc, Key=entry["Key"])["Body"].read()


def test_a_file_becomes_a_table_in_a_bucket(s3_lake, s3, some_flights, storage_options):
    body, expected = some_flights
    table = new_table("nyc")
    receipt = s3_lake.upload(table, body, format="csv", null_values="NA", partition_by="month")
    assert receipt["rows_committed"] == len(expected)

    raw = urllib.parse.urlsplit(receipt["raw_object"])
    assert (raw.scheme, raw.netloc) == ("s3", "lake-raw")
    assert s3.get_object(Bucket=raw.netloc, Key=raw.path.lstrip("/"))["Body"].read() == body
    assert s3_lake.get(f"/api/v1/uploads/{receipt['upload_id']}/content").content == body

    row = s3_lake.row(f"SELECT count(*) AS n, sum(distance) AS total, count(dep_time) AS flown FROM {table}")
    assert row["n"] == len(expected)
    assert row["total"] == sum(int(flight["distance"]) for flight in expected)
    assert row["flown"] == sum(flight["dep_time"] != "NA" for flight in expected)
    january = s3_lake.query(f"SELECT sum(distance) AS total FROM {table} WHERE month = 1")
    assert january["files_scanned"] == 1

    location = s3_lake.describe(table)["location"]
    assert location.startswith("s3://lake-raw/zone/")
    read = read_with_deltalake(location, storage_options)
    assert read.num_rows == len(expected)
    tails = [None if flight["tailnum"] == "NA" else flight["tailnum"] for flight in expected]
    assert sorted(map(str, read["tailnum"].to_pylist())) == sorted(map(str, tails))


def test_first_uploads_that_race_make_one_table(s3_lake, s3):
    table = new_table()
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        receipts = list(pool.map(lambda id: s3_lake.upload(table, ndjson([{"id": id}]), format="ndjson"), range(8)))
    assert len({receipt["upload_id"] for receipt in receipts}) == 8
    assert [row["id"] for row in s3_lake.rows(f"SELECT id FROM {table} ORDER BY id")] == list(range(8))
    log = [data for key, data in objects(s3, s3_lake.describe(table)["location"]) if key.endswith(".json")]
    actions = [json.loads(line) for data in log for line in data.splitlines()]
    assert sum("metaData" in action for action in actions) == 1
    assert sum("add" in action for action in actions) >= 1


def test_a_table_outlives_its_server(servers, environment):
    table = new_table()
    first = servers.start(environment=environment)
    Lake(first.url).upload(table, b"id\n1\n", format="csv")
    first.stop()
    second = Lake(servers.start(first.data_dir, environment=environment).url)
    second.upload(table, b"id\n2\n", format="csv")
    assert [row["id"] for row in second.rows(f"SELECT id FROM {table} ORDER BY id")] == [1, 2]


def test_what_cannot_be_read_is_kept_in_the_bucket(s3_lake):
    table, body = new_table(), b"a,b\n1\n"
    response = s3_lake.send(table, body, format="csv")
    assert 400 <= response.status_code < 500, response.text
    assert s3_lake.get(f"/api/v1/uploads/{response.json()['upload_id']}/content").content == body
    assert s3_lake.request("GET", table_path(table)).status_code == 404


def test_a_bucket_that_does_not_exist_is_told_at_the_start(servers, localstack):
    environment = localstack.server_environment("s3://no-such-bucket/zone", "s3://lake-curated/zone")
    with pytest.raises(AssertionError, match="no-such-bucket|NoSuchBucket"):
        servers.start(environment=environment)

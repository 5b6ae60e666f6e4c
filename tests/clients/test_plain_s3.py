"""Plain tables in a bucket: the keys, the metadata of the objects, and what reads them back."""

import collections
import datetime
import re

import pyarrow.dataset
import pyarrow.fs
import pytest
from conftest import CREDENTIALS
from sluice_client import Lake, check_problem

BUCKET = "my-data-lake-bucket"
COMPANY_BUCKET = "my-company-data-lake"
KEY = re.compile(r"(.*)/data_\d{8}_\d{6}_\d{6}\.parquet")
SALES = "id,date\n1,2024-01-05\n2,2024-01-05\n3,2024-01-15\n4,2024-12-01\n"
MISSING = "__HIVE_DEFAULT_PARTITION__"


@pytest.fixture(scope="module")
def s3(localstack):
    client = localstack.client("s3")
    for bucket in (BUCKET, COMPANY_BUCKET, "curated-a", "curated-b"):
        client.create_bucket(Bucket=bucket)
    return client


@pytest.fixture(scope="module")
def s3_lake(module_servers, localstack, s3):
    environment = localstack.server_environment(f"s3://{BUCKET}", "s3://curated-a")
    return Lake(module_servers.start(environment=environment).url)


@pytest.fixture(scope="module")
def company_lake(module_servers, localstack, s3):
    environment = localstack.server_environment(f"s3://{COMPANY_BUCKET}", "s3://curated-b")
    environment["SLUICE_INGEST__PLAIN_TABLES__PREFIX"] = "raw-data"
    return Lake(module_servers.start(environment=environment).url)


def objects(s3, bucket, prefix):
    """The metadata of every object of the table, by its folder; the key must be as it should."""
    found = collections.defaultdict(list)
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for entry in page.get("Contents", []):
            match = KEY.fullmatch(entry["Key"])
            assert match, entry["Key"]
            found[match[1]].append(s3.head_object(Bucket=bucket, Key=entry["Key"])["Metadata"])
    return dict(found)


def dataset(localstack, place):
    """The files below a place as pyarrow sees them."""
    filesystem = pyarrow.fs.S3FileSystem(
        access_key=CREDENTIALS["aws_access_key_id"],
        secret_key=CREDENTIALS["aws_secret_access_key"],
        region=CREDENTIALS["region_name"],
        endpoint_override=localstack.endpoint.removeprefix("http://"),
        scheme="http",
    )
    return pyarrow.dataset.dataset(place, filesystem=filesystem, format="parquet", partitioning="hive")


def test_sales_by_day(s3_lake, s3, localstack):
    options = {"format": "csv", "table_format": "parquet", "partition_by": "year,month,day"}
    s3_lake.upload("shop.sales", SALES.encode(), **options)
    found = objects(s3, BUCKET, "data-lake/sales/")
    records = {folder: [metadata["records"] for metadata in all_of] for folder, all_of in found.items()}
    assert records == {
        "data-lake/sales/year=2024/month=1/day=5": ["2"],
        "data-lake/sales/year=2024/month=1/day=15": ["1"],
        "data-lake/sales/year=2024/month=12/day=1": ["1"],
    }
    for folder, (metadata,) in found.items():
        assert metadata["table"] == "sales"
        assert metadata["partition"] == folder.removeprefix("data-lake/sales/")
        datetime.datetime.fromisoformat(metadata["created_at"])
        assert set(metadata) == {"table", "partition", "records", "created_at"}
    assert s3_lake.count("shop.sales") == 4
    january = s3_lake.rows("SELECT id FROM shop.sales WHERE year = 2024 AND month = 1 ORDER BY id")
    assert january == [{"id": 1}, {"id": 2}, {"id": 3}]
    assert s3_lake.rows("SELECT id FROM shop.sales WHERE year = 1999") == []
    s3_lake.upload("shop.sales", b"id,date\n5,\n", format="csv")
    path = f"data-lake/sales/year={MISSING}/month={MISSING}/day={MISSING}"
    assert [metadata["records"] for metadata in objects(s3, BUCKET, path)[path]] == ["1"]
    assert s3_lake.rows("SELECT id, year FROM shop.sales WHERE year IS NULL") == [{"id": 5, "year": None}]
    seen = dataset(localstack, f"{BUCKET}/data-lake/sales")
    rows = [tuple(row[name] for name in ("id", "year", "month", "day")) for row in seen.to_table().to_pylist()]
    assert sorted(rows, key=lambda row: row[0]) == [
        (1, 2024, 1, 5),
        (2, 2024, 1, 5),
        (3, 2024, 1, 15),
        (4, 2024, 12, 1),
        (5, None, None, None),
    ]
    assert all(fragment.physical_schema.names == ["id", "date"] for fragment in seen.get_fragments())


def test_orders_by_date_and_region(company_lake, s3):
    text = (
        "order_id,customer_id,order_date,amount,region\n"
        "1,101,2024-01-15,150.0,US\n2,102,2024-01-15,200.0,EU\n3,103,2024-01-16,100.0,US\n"
        "4,104,2024-01-15,250.0,EU\n5,105,2024-01-16,125.0,US\n"
    )
    options = {"format": "csv", "table_format": "parquet", "partition_by": "order_date,region"}
    company_lake.upload("shop.orders", text.encode(), **options)
    assert set(objects(s3, COMPANY_BUCKET, "raw-data/orders/")) == {
        "raw-data/orders/order_date=2024-01-15/region=US",
        "raw-data/orders/order_date=2024-01-15/region=EU",
        "raw-data/orders/order_date=2024-01-16/region=US",
    }
    sql = (
        "SELECT region, SUM(amount) AS total_sales FROM shop.orders "
        "WHERE order_date >= '2024-01-01' GROUP BY region ORDER BY total_sales DESC"
    )
    assert company_lake.rows(sql) == [
        {"region": "EU", "total_sales": 450.0},
        {"region": "US", "total_sales": 375.0},
    ]


def test_a_table_without_partitions_is_one_folder(company_lake, s3):
    company_lake.upload("shop.flat", b"a\n1\n2\n", format="csv", table_format="parquet")
    ((folder, (metadata,)),) = objects(s3, COMPANY_BUCKET, "raw-data/flat/").items()
    assert (folder, metadata["table"], metadata["records"]) == ("raw-data/flat", "flat", "2")


def test_more_objects_than_a_listing_has(s3_lake):
    for start in (0, 600):
        rows = "".join(f"{number},{number}\n" for number in range(start, start + 600))
        body = f"p,v\n{rows}".encode()
        s3_lake.upload("shop.many", body, format="csv", table_format="parquet", partition_by="p")
    assert s3_lake.describe("shop.many")["files"] == 1200
    assert s3_lake.row("SELECT count(*) AS n, sum(v) AS s FROM shop.many") == {"n": 1200, "s": sum(range(1200))}
    assert s3_lake.rows("SELECT v FROM shop.many WHERE p = 12") == [{"v": 12}]


def test_a_plain_table_takes_appends_of_its_own_kind_only(s3_lake):
    s3_lake.upload("shop.kind", b"a\n1\n", format="csv", table_format="parquet")
    answer = s3_lake.send("shop.kind", b"a\n1\n", format="csv", table_format="delta")
    check_problem(answer, 422, "table_format")

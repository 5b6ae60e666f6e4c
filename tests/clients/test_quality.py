"""Suites over HTTP: written by Great Expectations or by hand, asked of uploads and of tables."""

import io

import pandas
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from other_readers import read_with_deltalake
from sluice_client import check_problem, ndjson, table_path

SALES_COLUMNS = [
    "order_id",
    "customer_id",
    "product_id",
    "quantity",
    "unit_price",
    "total_amount",
    "order_date",
    "status",
]
SALES = b"""order_id,customer_id,product_id,quantity,unit_price,total_amount,order_date,status
ORD-20240101-120000,CUST001,PROD001,2,25.50,51.00,2024-01-01,confirmed
ORD-20240101-120001,CUST002,PROD002,1,15.99,15.99,2024-01-01,shipped
ORD-20240101-120002,CUST001,PROD003,3,30.00,90.00,2024-01-01,confirmed
"""


def expectation(kind, **kwargs):
    return {"expectation_type": f"expect_{kind}", "kwargs": kwargs, "meta": {}}


def sales_suite():
    """The twenty expectations of the sales data, as Great Expectations 0.x writes them."""
    types = {"order_id": "str", "customer_id": "str", "quantity": "int", "unit_price": "float", "total_amount": "float"}
    ranges = {"quantity": (1, 1000), "unit_price": (0.01, 10000), "total_amount": (0.01, 100000)}
    states = ["pending", "confirmed", "shipped", "delivered", "cancelled"]
    expectations = [
        expectation("table_columns_to_match_ordered_list", column_list=SALES_COLUMNS),
        *(expectation("column_values_to_be_of_type", column=name, type_=type_) for name, type_ in types.items()),
        *(
            expectation("column_values_to_not_be_null", column=name)
            for name in ("order_id", "customer_id", "product_id", "total_amount")
        ),
        expectation("column_values_to_be_unique", column="order_id"),
        *(
            expectation("column_values_to_be_between", column=name, min_value=least, max_value=most)
            for name, (least, most) in ranges.items()
        ),
        expectation("column_values_to_be_in_set", column="status", value_set=states),
        expectation("column_values_to_match_regex", column="order_id", regex=r"^ORD-\d{8}-\d{6}$"),
        expectation(
            "column_pair_values_A_to_be_greater_than_B", column_A="total_amount", column_B="unit_price", or_equal=True
        ),
        expectation("column_values_to_be_between", column="order_date", min_value="2020-01-01", max_value="2030-01-01"),
        expectation("column_mean_to_be_between", column="total_amount", min_value=10, max_value=500),
        expectation("column_stdev_to_be_between", column="total_amount", min_value=1, max_value=200),
    ]
    return {"expectation_suite_name": "sales_data_quality", "expectations": expectations, "data_asset_type": None}


def put_suite(lake, table, suite):
    response = lake.request("PUT", f"{table_path(table)}/quality", json=suite)
    assert response.status_code == 200, response.text[:1000]
    return response.json()


def check(lake, table, **params):
    response = lake.request("POST", f"{table_path(table)}/quality/check", params=params)
    assert response.status_code == 200, response.text[:1000]
    return response.json()


def rule(kind, action="warn", **kwargs):
    return {"kind": f"expect_{kind}", "action": action, "kwargs": kwargs}


def test_the_sales_suite_of_great_expectations_is_kept_by_its_sample(lake, table):
    lake.upload(table, SALES, format="csv")
    assert len(put_suite(lake, table, sales_suite())["rules"]) == 20
    found = check(lake, table)
    assert found["success"] is True
    assert found["statistics"] == {
        "evaluated_expectations": 20,
        "successful_expectations": 20,
        "unsuccessful_expectations": 0,
        "success_percent": 100.0,
    }
    mean, stdev = (result["result"]["observed_value"] for result in found["results"][-2:])
    assert (round(mean, 2), round(stdev, 2)) == (52.33, 37.02)
    assert found["scores"]["data_quality_score"] == 100.0


def test_one_wrong_order_id_breaks_one_expectation(lake, table):
    lake.upload(table, SALES, format="csv")
    put_suite(lake, table, sales_suite())
    lake.upload(table, SALES.replace(b"ORD-20240101-120000", b"X"), format="csv", mode="overwrite")
    found = check(lake, table)
    assert (found["success"], found["statistics"]["unsuccessful_expectations"]) == (False, 1)
    (broken,) = [result for result in found["results"] if not result["success"]]
    assert broken["expectation_config"]["expectation_type"] == "expect_column_values_to_match_regex"
    assert (broken["result"]["unexpected_count"], broken["result"]["partial_unexpected_list"]) == (1, ["X"])


def test_a_suite_goes_out_and_comes_back_as_great_expectations_writes_it(lake, table):
    lake.upload(table, SALES, format="csv")
    put_suite(lake, table, sales_suite())
    ours = lake.get(f"{table_path(table)}/quality").json()
    theirs = lake.get(f"{table_path(table)}/quality", params={"format": "great_expectations"}).json()
    assert {expectation["type"] for expectation in theirs["expectations"]} == {one["kind"] for one in ours["rules"]}
    assert put_suite(lake, table, theirs) == ours


@pytest.mark.parametrize(("valid", "publishable"), [(989, False), (990, True)])
def test_a_critical_table_is_published_from_99_percent_on(lake, table, valid, publishable):
    lake.upload(table, ndjson([{"n": 0}]), format="ndjson")
    rules = [rule("column_values_to_be_between", column="n", max_value=valid)]
    put_suite(lake, table, {"name": "gate", "criticality": "critical", "rules": rules})
    receipt = lake.upload(table, ndjson([{"n": number} for number in range(1, 1001)]), format="ndjson")
    scores = receipt["quality"]["scores"]
    assert (scores["data_quality_score"], scores["publishable"]) == (valid / 10, publishable)
    assert lake.get(f"{table_path(table)}/quality/verdict").json()["publishable"] is publishable


def test_a_million_rows_with_fifty_thousand_invalid_ones_have_the_score_95(lake, table):
    def parquet(numbers):
        sink = io.BytesIO()
        pq.write_table(pa.table({"n": numbers}), sink)
        return sink.getvalue()

    lake.upload(table, parquet(pa.array([1], pa.int64())), format="parquet")
    rules = [rule("column_values_to_be_between", "quarantine", column="n", min_value=0)]
    put_suite(lake, table, {"name": "score", "rules": rules})
    numbers = pa.array([-1 if row % 20 == 0 else row for row in range(1_000_000)], pa.int64())
    receipt = lake.upload(table, parquet(numbers), format="parquet")
    assert (receipt["rows_committed"], receipt["rows_quarantined"]) == (950_000, 50_000)
    assert receipt["quality"]["scores"]["data_quality_score"] == 95.0
    assert read_with_deltalake(lake.describe(f"{table}__quarantine")["location"]).num_rows == 50_000


@pytest.mark.parametrize(
    ("suite", "field"),
    [
        ({"name": "s"}, "rules"),
        ({"name": "s", "rules": [{"kind": "expect_magic"}]}, "rules[0].kind"),
        ({"name": "s", "rules": [rule("column_to_exist", column="id", size=1)]}, "rules[0].kwargs.size"),
        ({"name": "s", "rules": [rule("column_values_to_not_be_null", "explode", column="id")]}, "rules[0].action"),
        ({"name": "s", "rules": [rule("column_values_to_be_unique", "quarantine", column="id")]}, "rules[0].action"),
        ({"expectations": []}, "expectation_suite_name"),
        ({"name": "s", "rules": [], "minimum_score": 1000}, "minimum_score"),
    ],
)
def test_a_suite_that_cannot_be_is_refused_by_its_field(lake, table, suite, field):
    lake.upload(table, b"id\n1\n", format="csv")
    check_problem(lake.request("PUT", f"{table_path(table)}/quality", json=suite), 422, field)
    assert lake.get(f"{table_path(table)}/quality").json()["rules"] == []


def test_a_profile_is_that_of_pandas(lake, table):
    frame = pandas.DataFrame({"v": [1.5, None, 2.5, 100.0, 0.0, 7.25], "c": ["a", "b", "a", None, "c", "a"]})
    lake.upload(table, frame.to_csv(index=False).encode(), format="csv")
    profile = lake.get(f"{table_path(table)}/profile").json()
    numbers, texts = profile["columns"]
    expected = {
        "mean": frame.v.mean(),
        "std": frame.v.std(),
        "min": frame.v.min(),
        "max": frame.v.max(),
        "median": frame.v.median(),
        "q25": frame.v.quantile(0.25),
        "q75": frame.v.quantile(0.75),
        "unique": frame.v.nunique(),
        "zero": (frame.v == 0).sum(),
    }
    assert {name: numbers["numeric"][name] for name in expected} == pytest.approx(expected)
    assert numbers["missing"] == {"count": 1, "percentage": pytest.approx(100 / 6)}
    counts = frame.c.value_counts().to_dict()
    assert {one["value"]: one["count"] for one in texts["categorical"]["top"]} == counts
    assert (texts["categorical"]["most_frequent"], profile["rows"]) == ("a", len(frame))

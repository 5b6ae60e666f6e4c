"""What becomes of old data, asked for over HTTP and looked at with boto3, deltalake and DuckDB."""

import datetime
import time

import deltalake
import pytest
from other_readers import read_with_duckdb
from sluice_client import Lake, check_problem, new_table

RULES = "/api/v1/lifecycle/rules"
COLDER = [
    {"after": "30d", "storage_class": "STANDARD_IA"},
    {"after": "90d", "storage_class": "GLACIER"},
    {"after": "365d", "storage_class": "DEEP_ARCHIVE"},
]
SOON_SECONDS = 60


@pytest.fixture
def lake(servers):
    return Lake(servers.start().url)


@pytest.fixture
def s3(localstack):
    client = localstack.client("s3")
    for bucket in ("lifecycle-raw", "lifecycle-curated"):
        client.create_bucket(Bucket=bucket)
    return client


@pytest.fixture
def s3_lake(servers, localstack, s3):
    environment = localstack.server_environment("s3://lifecycle-raw/zone", "s3://lifecycle-curated/zone")
    return Lake(servers.start(environment=environment).url)


def define(lake, name, scope, action, status=201, **fields):
    answer = lake.request("PUT", f"{RULES}/{name}", json={"scope": scope, "action": action, **fields})
    assert answer.status_code == status, answer.text
    return answer.json()


def plan(lake, **params):
    answer = lake.request("POST", "/api/v1/lifecycle/plan", params=params)
    assert answer.status_code == 201, answer.text
    return lake.get(f"/api/v1/lifecycle/plans/{answer.json()['plan_id']}", params={"page_size": 1000}).json()


def wait_until(what, look):
    """What `look` gives as soon as it gives something."""
    deadline = time.monotonic() + SOON_SECONDS
    while time.monotonic() < deadline:
        found = look()
        if found:
            return found
        time.sleep(0.1)
    raise AssertionError(f"not in time: {what}")


def apply(lake, planned):
    path = f"/api/v1/lifecycle/plans/{planned['plan_id']}"
    answer = lake.request("POST", f"{path}/apply")
    assert answer.status_code == 202, answer.text

    def applied():
        found = lake.get(path, params={"page_size": 1000}).json()
        return found if found["state"] == "applied" else None

    return wait_until("a plan is applied", applied)


def plan_of(lake, action):
    """A plan with an item of this action: a rule may have to wait for its second."""

    def found():
        planned = plan(lake)
        return planned if any(item["action"] == action and not item.get("refusal") for item in planned["items"]) else None

    return wait_until(f"a plan with {action}", found)


def test_the_planner_makes_the_bytes_of_uploads_colder_with_age(lake):
    receipt = lake.upload(new_table("raw"), b"id\n1\n", format="csv")
    lake.upload(new_table("other"), b"id\n1\n", format="csv")
    define(lake, "transition-to-ia", {"prefix": "raw/uploads/raw/"}, {"transition": {"steps": COLDER}})
    landed_at = datetime.datetime.fromisoformat(receipt["landed_at"])
    expected = {29: None, 30: "STANDARD_IA", 89: "STANDARD_IA", 90: "GLACIER", 364: "GLACIER", 365: "DEEP_ARCHIVE"}
    for days, storage_class in expected.items():
        as_of = landed_at + datetime.timedelta(days=days, seconds=1)
        items = plan(lake, as_of=as_of.isoformat().replace("+00:00", "Z"))["items"]
        assert [item["parameters"]["to"] for item in items] == ([storage_class] if storage_class else []), days
        assert all(item["upload_id"] == receipt["upload_id"] and item["simulated"] for item in items)
    assert items[0]["saved_usd_per_month"] > 0 and items[0]["rule"] == "transition-to-ia"


def test_old_rows_are_gone_for_every_reader_and_time_travel_reaches_them(lake):
    table = new_table()
    lake.upload(table, b"id,day\n1,2001-01-01\n2,2999-01-01\n", format="csv")
    define(lake, "old", {"table": table}, {"expire_rows": {"column": "day", "after": "7y"}})
    planned = plan(lake)
    (item,) = planned["items"]
    assert (item["action"], item["table"], item["state"]) == ("expire_rows", table, "pending")
    assert lake.count(table) == 2
    done = apply(lake, planned)
    assert (done["done"], done["failed"], done["items"][0]["state"]) == (1, 0, "done")
    location = lake.describe(table)["location"]
    assert read_with_duckdb(location).num_rows == lake.count(table) == 1
    delta = deltalake.DeltaTable(location)
    assert delta.to_pyarrow_table()["id"].to_pylist() == [2]
    delta.load_as_version(0)
    assert sorted(delta.to_pyarrow_table()["id"].to_pylist()) == [1, 2]
    assert apply(lake, planned) == done
    assert plan(lake)["items"] == []
    runs = [run for run in lake.pages("/api/v1/lifecycle/runs") if run["cause"] == "request"]
    assert [run["plan_id"] for run in runs] == [planned["plan_id"]]


def test_retention_that_is_demanded_and_a_hold_are_visible_in_the_plan(lake):
    table = new_table("bank")
    lake.upload(table, b"id,day\n1,2019-01-01\n2,2001-01-01\n", format="csv", partition_by="day")
    define(lake, "short", {"table": table}, {"expire_rows": {"column": "day", "after": "30d"}})
    define(lake, "trading", {"namespace": "bank"}, {"retain": {"for": "20y"}})
    (item,) = plan(lake)["items"]
    overridden = ["short", "settings.zones.standardized"]
    assert (item["path"], item["rule"], item["overridden"]) == ("2001-01-01", "trading", overridden)
    define(lake, "case-7", {"namespace": "bank"}, {"legal_hold": {"reason": "case 7"}})
    (item,) = plan(lake)["items"]
    assert (item["rule"], item["overridden"], item["state"]) == ("case-7", ["trading", *overridden], "refused")
    assert "case 7" in item["refusal"]


def test_rules_are_defined_changed_listed_and_deleted(lake):
    made = define(lake, "a", "lake", {"purge_deleted": {"after": "30d"}})
    changed = define(lake, "a", "lake", {"purge_deleted": {"after": "60d"}}, 200, enabled=False)
    assert changed["created_at"] == made["created_at"] and not changed["enabled"]
    define(lake, "b", {"zone": "curated"}, {"retain": {"for": "infinite"}})
    assert [rule["name"] for rule in lake.pages(RULES, page_size=1)] == ["a", "b"]
    assert lake.get(f"{RULES}/a").json() == changed
    assert lake.request("DELETE", f"{RULES}/a").status_code == 204
    check_problem(lake.request("DELETE", f"{RULES}/a"), 404)
    check_problem(lake.request("GET", f"{RULES}/a"), 404)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"scope": "lake", "action": {"expire_objects": {"after": "0d"}}}, "action.expire_objects.after"),
        ({"scope": "lake", "action": {"retain": {"for": "-1y"}}}, "action.retain.for"),
        ({"scope": "lake", "action": {"burn": {"after": "1d"}}}, "action"),
        ({"scope": {"planet": "x"}, "action": {"retain": {"for": "1d"}}}, "scope"),
        ({"scope": "lake", "action": {"versions": {"vacuum_after": "1d"}}}, "action.versions.vacuum_after"),
        ({"scope": "lake", "action": {"transition": {"steps": list(reversed(COLDER))}}}, "action.transition.steps"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused_by_field(lake, body, field):
    check_problem(lake.request("PUT", f"{RULES}/r", json=body), 422, field)
    assert list(lake.pages(RULES)) == []


def test_the_bucket_runs_its_rules_itself_and_those_of_others_stay(s3_lake, s3):
    foreign = {
        "ID": "theirs",
        "Filter": {"And": {"Prefix": "logs/", "Tags": [{"Key": "a", "Value": "b & c"}]}},
        "Status": "Enabled",
        "Expiration": {"Days": 7},
    }
    s3.put_bucket_lifecycle_configuration(Bucket="lifecycle-raw", LifecycleConfiguration={"Rules": [foreign]})

    def rules():
        found = s3.get_bucket_lifecycle_configuration(Bucket="lifecycle-raw")["Rules"]
        return {rule["ID"]: rule for rule in found}

    theirs = rules()["theirs"]
    define(s3_lake, "transition-to-ia", {"prefix": "raw-data/"}, {"transition": {"steps": COLDER}}, run_by="bucket")
    define(s3_lake, "originals", {"zone": "raw"}, {"expire_objects": {"after": "3650d"}}, run_by="bucket")
    planned = plan(s3_lake)
    assert {item["path"] for item in planned["items"]} == {"sluice-transition-to-ia", "sluice-originals"}
    assert rules().keys() == {"theirs"}, "a plan changes nothing"
    done = apply(s3_lake, planned)
    assert done["done"] == 2, done["items"]
    found = rules()
    assert found["theirs"] == theirs
    ours = found["sluice-transition-to-ia"]
    assert (ours["Filter"], ours["Status"]) == ({"Prefix": "raw-data/"}, "Enabled")
    assert ours["Transitions"] == [
        {"Days": 30, "StorageClass": "STANDARD_IA"},
        {"Days": 90, "StorageClass": "GLACIER"},
        {"Days": 365, "StorageClass": "DEEP_ARCHIVE"},
    ]
    assert (found["sluice-originals"]["Filter"], found["sluice-originals"]["Expiration"]["Days"]) == (
        {"Prefix": "zone/uploads/"},
        3650,
    )
    assert plan(s3_lake)["items"] == [], "again is a no-op"

    assert s3_lake.request("DELETE", f"{RULES}/originals").status_code == 204
    planned = plan(s3_lake)
    assert [item["action"] for item in planned["items"]] == ["remove_bucket_rule"]
    apply(s3_lake, planned)
    assert rules().keys() == {"theirs", "sluice-transition-to-ia"} and rules()["theirs"] == theirs


def test_the_bucket_is_never_told_to_archive_where_tables_lie(s3_lake, s3):
    define(s3_lake, "everything", {"prefix": "zone/"}, {"transition": {"steps": COLDER}}, run_by="bucket")
    planned = plan(s3_lake)
    (item,) = planned["items"]
    assert (item["state"], "zone/uploads/" in item["refusal"]) == ("refused", True), item
    assert apply(s3_lake, planned)["done"] == 0
    found = s3.get_bucket_lifecycle_configuration(Bucket="lifecycle-raw")["Rules"]
    assert "sluice-everything" not in {rule["ID"] for rule in found}


def test_objects_of_a_bucket_change_their_class_and_archived_ones_say_so(s3_lake, s3):
    table = new_table("cold")
    receipt = s3_lake.upload(table, b"id\n1\n", format="csv")
    key = receipt["raw_object"].split("/", 3)[3]
    content = f"/api/v1/uploads/{receipt['upload_id']}/content"
    scope = {"namespace": "cold"}
    steps = [{"after": "1s", "storage_class": "STANDARD_IA"}]
    define(s3_lake, "cold", scope, {"transition": {"steps": steps}})
    done = apply(s3_lake, plan_of(s3_lake, "transition"))
    assert done["done"] == 1 and not done["items"][0]["simulated"], done
    assert s3.head_object(Bucket="lifecycle-raw", Key=key)["StorageClass"] == "STANDARD_IA"
    assert s3_lake.get(content).content == b"id\n1\n"

    steps = [{"after": "1s", "storage_class": "GLACIER"}]
    define(s3_lake, "cold", scope, {"transition": {"steps": steps}}, 200)
    done = apply(s3_lake, plan_of(s3_lake, "transition"))
    assert done["done"] == 1, done
    assert s3.head_object(Bucket="lifecycle-raw", Key=key)["StorageClass"] == "GLACIER"
    check_problem(s3_lake.request("GET", content), 409, "GLACIER")
    assert s3_lake.count(table) == 1, "no file of a table is touched"

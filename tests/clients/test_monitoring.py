"""Runs, freshness and service levels, as an orchestrator and whoever is on call see them."""

import datetime
import hashlib
import json
import uuid

import requests
from prometheus_lines import metric
from sluice_client import Lake, check_problem, new_table, table_path
from sluice_server import wait_for

HEALTH_FIELDS = {
    "pipeline_name", "time_period_hours", "total_runs", "successful_runs", "failed_runs", "success_rate",
    "avg_duration_seconds", "avg_records_processed", "avg_data_quality_score", "last_run_status", "last_run_time",
    "alerts",
}  # fmt: skip


def report(lake, pipeline, status=201, key=None, **fields):
    headers = {"Idempotency-Key": key} if key else {}
    response = lake.request("POST", "/api/v1/runs", headers, json={"pipeline_name": pipeline, **fields})
    assert response.status_code == status, response.text
    return response.json()


def change(lake, run, **fields):
    return lake.request("PATCH", f"/api/v1/runs/{run['run_id']}", json=fields)


def new_pipeline():
    return f"daily_etl_{uuid.uuid4().hex[:8]}"


def test_an_orchestrator_reports_a_run_step_by_step_and_it_ends_once(lake):
    pipeline = new_pipeline()
    run = report(lake, pipeline, key="dag-run-1")
    assert report(lake, pipeline, status=200, key="dag-run-1")["run_id"] == run["run_id"]
    for step in range(1, 6):
        fields = {"records_processed": step * 1000, "records_failed": step * 2, "quality_score": 99.5 - step * 0.1}
        assert change(lake, run, **fields).status_code == 200
    ended = change(lake, run, status="SUCCESS").json()
    assert (ended["records_processed"], ended["records_failed"], ended["quality_score"]) == (5000, 10, 99.0)
    assert (ended["success_rate"], ended["status"]) == (99.8, "SUCCESS")
    assert ended["run_date"] == datetime.datetime.now(datetime.UTC).date().isoformat()
    assert ended["execution_time"] >= 0
    assert change(lake, run, status="SUCCESS").json() == ended
    check_problem(change(lake, run, records_processed=5001), 409, "ended")
    assert lake.get(f"/api/v1/runs/{run['run_id']}").json() == ended
    text = lake.get("/metrics").text
    for name, value in {
        "pipeline_started_total": 1,
        "pipeline_records_processed": 5000,
        "pipeline_records_failed": 10,
        "pipeline_data_quality_score": 99,
        "pipeline_success_rate": 99.8,
    }.items():
        assert metric(text, name, pipeline_name=pipeline) == value
    assert metric(text, "pipeline_completed_total", pipeline_name=pipeline, status="SUCCESS") == 1
    assert run["run_id"] not in text


def test_what_cannot_be_is_refused_by_its_field(lake):
    pipeline = new_pipeline()
    post = lambda **body: lake.request("POST", "/api/v1/runs", json=body)  # noqa: E731
    check_problem(post(pipeline_name="a b"), 422, "pipeline_name")
    check_problem(post(pipeline_name=pipeline, status="DONE"), 422, "status")
    check_problem(post(pipeline_name=pipeline, records_processed=-1), 422, "records_processed")
    check_problem(post(pipeline_name=pipeline, records_processed=1, records_failed=2), 422, "records_failed")
    check_problem(post(pipeline_name=pipeline, quality_score=101), 422, "quality_score")
    check_problem(post(pipeline_name=pipeline, error="x" * 5000), 422, "error")
    check_problem(post(pipeline_name=pipeline, started_at="2999-01-01T00:00:00Z"), 422, "started_at")
    check_problem(post(pipeline_name=pipeline, table="no-namespace"), 422, "table")
    check_problem(post(pipeline_name=pipeline, colour="red"), 422, "colour")
    check_problem(lake.request("GET", "/api/v1/runs?status=DONE"), 400, "status")
    check_problem(lake.request("GET", "/api/v1/runs?since=yesterday"), 400, "since")
    assert list(lake.pages("/api/v1/runs", pipeline=pipeline)) == []


def test_one_listing_has_uploads_runs_of_sources_and_reports(servers, tmp_path):
    drop = tmp_path / "drop"
    drop.mkdir()
    server = servers.start(environment={"SLUICE_SOURCES__FOLDERS": f'["{drop}"]'})
    lake, table = Lake(server.url), new_table()
    lake.upload(table, b"id\n1\n2\n", {"Content-Type": "text/csv"})
    lake.upload(table, b"id\n3\n4,5\n", {"Content-Type": "text/csv"})
    assert lake.send(table, b"id\nx\n", {"Content-Type": "text/csv"}).status_code == 422
    source = {"table": table, "folder": {"location": str(drop)}}
    assert lake.request("PUT", "/api/v1/sources/sales_data_pipeline", json=source).status_code == 201
    begun = lake.request("POST", "/api/v1/sources/sales_data_pipeline/runs").json()
    lake.get(f"/api/v1/sources/sales_data_pipeline/runs/{begun['run_id']}", params={"wait_seconds": 60})
    report(lake, "airflow", table=table, status=201)

    runs = list(lake.pages("/api/v1/runs", table=table, page_size=2))
    told = [(run["kind"], run["pipeline_name"], run["status"]) for run in runs]
    assert told == [
        ("external", "airflow", "RUNNING"),
        ("source", "sales_data_pipeline", "SUCCESS"),
        ("upload", table, "FAILED"),
        ("upload", table, "WARNING"),
        ("upload", table, "SUCCESS"),
    ]
    (run,) = lake.pages("/api/v1/runs", pipeline="sales_data_pipeline")
    assert {"pipeline_name", "run_date", "status", "records_processed", "execution_time"} <= run.keys()
    (failed,) = lake.pages("/api/v1/runs", pipeline=table, status="FAILED")
    assert failed["error"] and failed["execution_time"] >= 0
    (partly,) = lake.pages("/api/v1/runs", pipeline=table, status="WARNING")
    assert (partly["records_processed"], partly["records_failed"], partly["quality_score"]) == (2, 1, 50)


def test_health_sums_up_twelve_runs(lake):
    pipeline = new_pipeline()
    for number in range(12):
        status = "SUCCESS" if number < 10 else "FAILED"
        figures = {"records_processed": 45_000, "duration_seconds": 1850.5, "quality_score": 97.5}
        body = {"pipeline_name": pipeline, "status": status, **figures}
        assert lake.request("POST", "/api/v1/runs", json=body).status_code == 201
    health = lake.get("/api/v1/runs/health", params={"pipeline": pipeline}).json()
    assert health.keys() == HEALTH_FIELDS
    assert (health["total_runs"], health["successful_runs"], health["failed_runs"]) == (12, 10, 2)
    assert (health["success_rate"], health["avg_duration_seconds"]) == (83.33, 1850.5)
    assert (health["avg_records_processed"], health["avg_data_quality_score"]) == (45_000, 97.5)
    assert (health["last_run_status"], health["time_period_hours"]) == ("FAILED", 24)
    check_problem(lake.request("GET", f"/api/v1/runs/health?pipeline={new_pipeline()}"), 404)


def test_a_table_is_as_fresh_as_it_is_expected_to_be(lake, table):
    lake.upload(table, b"id\n1\n", {"Content-Type": "text/csv"})
    path = f"{table_path(table)}/freshness"
    assert lake.get(path).json()["status"] == "UNKNOWN"
    expected = lake.request("PUT", path, json={"expected_every": "60m"})
    assert (expected.status_code, expected.json()["status"]) == (201, "UNKNOWN")
    found = lake.get(path).json()
    assert (found["status"], found["expected_frequency_minutes"]) == ("FRESH", 60)
    assert 0 <= found["staleness_minutes"] < 10
    assert lake.request("PUT", path, json={"expected_every": "1s"}).status_code == 200
    wait_for(lambda: lake.get(path).json()["status"] == "VERY_STALE", 30, "it is very stale")
    assert any(one["table"] == table for one in lake.pages("/api/v1/freshness", page_size=7))
    check_problem(lake.request("PUT", path, json={"expected_every": "0m"}), 422, "expected_every")
    assert lake.request("DELETE", path).status_code == 204
    check_problem(lake.request("DELETE", path), 404)


def test_nineteen_of_twenty_keep_to_the_default_and_not_to_98(lake):
    default, daily = new_pipeline(), new_pipeline()
    targets = {"min_success_rate": 98, "max_duration_seconds": 1800, "min_quality_score": 98}
    path = f"/api/v1/sla/definitions/{daily}"
    assert lake.request("PUT", path, json=targets).status_code == 201
    for pipeline in (default, daily):
        for number in range(20):
            status = "FAILED" if number == 7 else "SUCCESS"
            body = {"pipeline_name": pipeline, "status": status, "duration_seconds": 600}
            assert lake.request("POST", "/api/v1/runs", json=body).status_code == 201
    of = lambda pipeline: lake.get("/api/v1/sla", params={"pipeline": pipeline}).json()["pipeline_sla_status"][pipeline]  # noqa: E731
    assert of(default)["success_rate"] == {"actual": 95, "target": 95, "compliant": True}
    assert of(default)["overall_compliant"]
    assert of(daily)["success_rate"] == {"actual": 95, "target": 98, "compliant": False}
    assert not of(daily)["overall_compliant"] and of(daily)["avg_duration"]["compliant"]
    check_problem(lake.request("PUT", path, json={"min_success_rate": 101}), 422, "min_success_rate")
    assert lake.request("DELETE", path).status_code == 204
    assert of(daily)["overall_compliant"]


def test_an_upload_of_a_thousand_bytes_and_one_that_fails_are_counted(servers):
    lake, table = Lake(servers.start().url), new_table()
    body = b"id\n" + b"123456789\n" * 99 + b"123456\n"
    assert len(body) == 1000
    lake.upload(table, body, {"Content-Type": "text/csv"})
    assert lake.send(table, b"id\nx\n", {"Content-Type": "text/csv"}).status_code == 422
    text = lake.get("/metrics").text
    assert metric(text, "data_lake_bytes_ingested_total", table=table, format="csv") == 1000
    assert metric(text, "data_lake_ingest_latency_seconds_count") == 1
    assert metric(text, "data_lake_ingest_errors_total") == 1
    for bound in ("0.1", "0.5", "1.0", "2.0", "5.0", "+Inf"):
        assert metric(text, "data_lake_ingest_latency_seconds_bucket", le=bound) is not None, bound
    for bound in ("10.0", "30.0", "60.0", "120.0", "300.0", "+Inf"):
        assert metric(text, "data_lake_processing_duration_seconds_bucket", le=bound) is not None, bound
    assert metric(text, "data_lake_processing_errors_total") == 0


def test_who_is_confined_to_a_namespace_sees_no_other_runs_and_no_rules(servers, tmp_path):
    keys = {"all": None, "confined": ["mine"]}
    lines = []
    for name, namespaces in keys.items():
        digest = hashlib.sha256(name.encode()).hexdigest()
        lines += ["[[auth.keys]]", f'name = "{name}"', f'secret_sha256 = "{digest}"', 'actions = ["read", "append", "manage"]']
        lines += [f"namespaces = {json.dumps(namespaces)}"] if namespaces else []
    file = tmp_path / "keys.toml"
    file.write_text("\n".join(lines))
    server = servers.start(arguments=["--config", file])
    owner, confined = Lake(server.url, "all"), Lake(server.url, "confined")
    foreign = report(owner, "theirs", table="hr.staff")
    homeless = report(owner, "nobodys")
    own = report(confined, "ours", table="mine.orders")
    assert [run["run_id"] for run in confined.pages("/api/v1/runs")] == [own["run_id"]]
    for run in (foreign, homeless):
        check_problem(confined.request("GET", f"/api/v1/runs/{run['run_id']}"), 404)
        check_problem(change(confined, run, status="FAILED"), 404)
    check_problem(confined.request("POST", "/api/v1/runs", json={"pipeline_name": "x"}), 403)
    check_problem(confined.request("POST", "/api/v1/runs", json={"pipeline_name": "x", "table": "hr.staff"}), 404)
    for path in ("/api/v1/alerts/rules", "/api/v1/alerts/channels", "/api/v1/sla/definitions"):
        check_problem(confined.request("GET", path), 403)
    assert requests.get(f"{server.url}/api/v1/runs", timeout=30).status_code == 401

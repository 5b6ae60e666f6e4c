"""Pipelines as an orchestrator drives them: triggered, polled and tried again, on a server that is killed in between."""

import json
import sqlite3
import threading
import time
import uuid

import pytest
import requests
from other_readers import read_with_duckdb
from sluice_client import Lake, check_problem, ndjson, new_table
from sluice_server import wait_for

ROWS = 40_000


def define(lake, name, **body):
    response = lake.request("PUT", f"/api/v1/pipelines/{name}", json=body)
    assert response.status_code in (200, 201), response.text
    return response.json()


def trigger(lake, name, key=None, wait=60):
    headers = {**({"Idempotency-Key": key} if key else {}), **({"Prefer": f"wait={wait}"} if wait else {})}
    response = lake.request("POST", f"/api/v1/pipelines/{name}/runs", headers)
    assert response.status_code == 202, response.text
    assert response.headers["Location"] == f"/api/v1/runs/{response.json()['run_id']}"
    return response.json()


def wait_for_end(lake, run):
    def ended():
        seen = lake.get(f"/api/v1/runs/{run['run_id']}").json()
        return seen if seen["status"] != "RUNNING" else None

    return wait_for(ended, 120, "the run ends")


@pytest.fixture
def name():
    return f"p_{uuid.uuid4().hex[:12]}"


@pytest.fixture
def source(lake):
    table = new_table("raw")
    lake.upload(table, ndjson({"id": n, "amount": n % 100 - 20} for n in range(1000)), format="ndjson")
    return table


def test_raw_rows_become_a_curated_table_that_other_readers_open(lake, name, source):
    target = new_table("curated")
    expressions = ["id", "amount", "amount*2 AS double_amount"]
    define(lake, name, inputs=[source], expressions=expressions, filter="amount > 0", target=target)
    run = trigger(lake, name)
    assert (run["status"], run["rows_in"], run["version_out"]) == ("SUCCESS", 1000, 0), run
    assert run["versions_in"] == {source: 0}
    rows = read_with_duckdb(lake.describe(target)["location"])
    assert rows.num_rows == run["rows_out"] == 790
    assert rows.column_names == ["id", "amount", "double_amount"]
    again = trigger(lake, name)
    assert again["version_out"] == 1
    assert lake.count(target) == lake.count(f"{target} VERSION AS OF 0") == 790
    runs = list(lake.pages(f"/api/v1/pipelines/{name}/runs", page_size=1))
    assert [listed["run_id"] for listed in runs] == [again["run_id"], run["run_id"]]
    flows = lake.get("/api/v1/lineage", params={"asset": target}).json()["items"]
    assert any(flow["source_version"] == 0 for flow in flows), flows


def test_bad_sql_is_refused_at_its_line_and_column(lake, name, source):
    body = {"inputs": [source], "sql": f"SELECT id,\n  amont\nFROM {source}", "target": new_table("curated")}
    response = lake.request("PUT", f"/api/v1/pipelines/{name}", json=body)
    check_problem(response, 422, "line 2", "column 3", "amont")
    lake.get(f"/api/v1/pipelines/{name}", 404)


def test_a_cycle_is_refused_by_the_names_on_it(lake, name, source):
    target, other = new_table("curated"), f"{name}_back"
    define(lake, name, sql=f"SELECT id FROM {source}", target=target)
    trigger(lake, name)
    body = {"sql": f"SELECT id FROM {target}", "target": source}
    response = lake.request("PUT", f"/api/v1/pipelines/{other}", json=body)
    check_problem(response, 422, name, other)


def test_a_task_that_is_tried_again_gets_its_run_again(lake, name, source):
    target, key = new_table("curated"), "manual__2026-01-31T00:00:00+00:00"
    define(lake, name, sql=f"SELECT id FROM {source}", target=target, mode="append")
    first, second = trigger(lake, name, key), trigger(lake, name, key)
    assert first["run_id"] == second["run_id"] and second["status"] == "SUCCESS"
    assert lake.count(target) == 1000


def test_runs_that_are_asked_for_at_once_do_not_overlap(lake, name, source):
    target = new_table("curated")
    define(lake, name, sql=f"SELECT id FROM {source}", target=target, mode="append")
    answers = []

    def ask():
        answers.append(lake.request("POST", f"/api/v1/pipelines/{name}/runs", {"Prefer": "wait=60"}))

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    began = [answer.json() for answer in answers if answer.status_code == 202]
    refused = [answer for answer in answers if answer.status_code == 409]
    assert began and len(began) + len(refused) == 6
    ended = [wait_for_end(lake, run) for run in began]
    assert all(run["status"] == "SUCCESS" for run in ended), ended
    assert sorted(run["version_out"] for run in ended) == list(range(len(began)))
    assert lake.count(target) == 1000 * len(began)


ENDLESS = (
    "SELECT a.x * b.y AS n FROM generate_series(1, 100000) AS a(x), generate_series(1, 100000) AS b(y) "
    "WHERE a.x * b.y % 9999991 = 3"
)


def test_a_cancelled_run_leaves_its_target_as_it_was(lake, name):
    target = new_table("curated")
    define(lake, name, sql="SELECT CAST(7 AS BIGINT) AS n", target=target)
    trigger(lake, name)
    define(lake, name, sql=ENDLESS, target=target)
    run = trigger(lake, name, wait=None)
    assert run["status"] == "RUNNING"
    response = lake.request("POST", f"/api/v1/runs/{run['run_id']}/cancel", {"Prefer": "wait=30"})
    assert (response.status_code, response.json()["status"]) == (202, "CANCELLED"), response.text
    assert lake.rows(f"SELECT n FROM {target}") == [{"n": 7}]
    assert lake.describe(target)["version"] == 0


def killed_in_the_middle(servers, **more):
    """A server that was killed while a run reads; the folder, the run and the target."""
    server = servers.start()
    lake, source, target = Lake(server.url), new_table("raw"), new_table("curated")
    lake.upload(source, ndjson({"id": n} for n in range(ROWS)), format="ndjson")
    sql = f"SELECT id FROM {source}"
    define(lake, "doomed", sql=sql, target=target, mode="append", **more)
    assert trigger(lake, "doomed")["version_out"] == 0
    slow = (
        f"SELECT o.id FROM {source} o CROSS JOIN generate_series(1, 60) AS s(x) "
        "GROUP BY o.id HAVING count(DISTINCT s.x * o.id) > 0"
    )
    define(lake, "doomed", sql=slow, target=target, mode="append", **more)
    run = trigger(lake, "doomed", wait=None)
    wait_for(lambda: lake.get(f"/api/v1/runs/{run['run_id']}").json()["attempts"] == 1, 60, "the run has begun")
    server.kill()
    return server.data_dir, run, target, sql


def test_a_run_that_was_cut_off_fails_cleanly_and_the_next_one_commits_once(servers):
    data_dir, run, target, sql = killed_in_the_middle(servers, retries=0)
    lake = Lake(servers.start(data_dir).url)
    ended = wait_for_end(lake, run)
    assert ended["status"] == "FAILED" and "cut off" in ended["error"], ended
    assert lake.describe(target)["version"] == 0
    assert lake.count(target) == ROWS
    define(lake, "doomed", sql=sql, target=target, mode="append")
    assert trigger(lake, "doomed")["version_out"] == 1
    assert lake.row(f"SELECT count(*) AS n, count(DISTINCT id) AS d FROM {target}") == {"n": 2 * ROWS, "d": ROWS}
    assert read_with_duckdb(lake.describe(target)["location"]).num_rows == 2 * ROWS


def test_a_run_that_was_cut_off_is_resumed_and_commits_once(servers):
    data_dir, run, target, _ = killed_in_the_middle(servers)
    lake = Lake(servers.start(data_dir).url)
    wait_for(lambda: lake.get(f"/api/v1/runs/{run['run_id']}").json()["attempts"] == 2, 60, "the run is resumed")
    ended = wait_for_end(lake, run)
    assert (ended["status"], ended["version_out"], ended["rows_out"]) == ("SUCCESS", 1, ROWS), ended
    assert lake.row(f"SELECT count(*) AS n, count(DISTINCT id) AS d FROM {target}") == {"n": 2 * ROWS, "d": ROWS}


def test_a_run_that_was_cut_off_behind_its_commit_is_not_committed_again(servers):
    server = servers.start()
    lake, source, target = Lake(server.url), new_table("raw"), new_table("curated")
    lake.upload(source, b"id\n1\n2\n", format="csv")
    define(lake, "orders", sql=f"SELECT id FROM {source}", target=target, mode="append")
    trigger(lake, "orders")
    run = trigger(lake, "orders")
    server.kill()
    # The catalog as it is between the commit and the end of the run.
    with sqlite3.connect(server.data_dir / "catalog.db") as catalog:
        sql = "UPDATE curated_runs SET status = 'RUNNING', ended_at = NULL, figures = NULL WHERE id = ?"
        assert catalog.execute(sql, [run["run_id"]]).rowcount == 1
        catalog.execute("DELETE FROM log_entries WHERE version = 1 AND content LIKE ?", [f"%{run['run_id']}%"])
    catalog.close()
    lake = Lake(servers.start(server.data_dir).url)
    ended = wait_for_end(lake, run)
    assert (ended["status"], ended["version_out"], ended["rows_out"]) == ("SUCCESS", 1, 2), ended
    assert ended["attempts"] == 1, "it was not tried again"
    assert lake.count(target) == 4
    assert trigger(lake, "orders")["version_out"] == 2


def test_times_that_no_server_saw_come_to_one_run(servers):
    server = servers.start()
    lake, source, target = Lake(server.url), new_table("raw"), new_table("curated")
    lake.upload(source, b"id\n1\n2\n", format="csv")
    cron = {"cron": "0 6 1 1 *", "time_zone": "Europe/Zurich"}
    made = define(lake, "yearly", sql=f"SELECT id FROM {source}", target=target, mode="append", schedule=cron)
    server.kill()
    # The catalog of a server that was off for years.
    with sqlite3.connect(server.data_dir / "catalog.db") as catalog:
        missed = "2020-01-01T05:00:00.000000000Z"
        assert catalog.execute("UPDATE pipelines SET next_run_at = ? WHERE next_run_at > ?", [missed, missed]).rowcount
    catalog.close()
    lake = Lake(servers.start(server.data_dir).url)
    runs = wait_for(lambda: list(lake.pages("/api/v1/pipelines/yearly/runs")), 60, "the missed run begins")
    assert wait_for_end(lake, runs[0])["status"] == "SUCCESS"
    assert lake.get("/api/v1/pipelines/yearly").json()["next_run_at"] == made["next_run_at"]
    assert [run["cause"] for run in lake.pages("/api/v1/pipelines/yearly/runs")] == ["schedule"]
    assert lake.count(target) == 2


def test_an_incremental_run_that_was_cut_off_behind_its_commit_reads_nothing_twice(servers):
    server = servers.start()
    lake, source, target = Lake(server.url), new_table("raw"), new_table("curated")
    lake.upload(source, b"id\n1\n2\n", format="csv")
    define(lake, "orders", sql=f"SELECT id FROM {source}", target=target, mode="append", incremental=[source])
    trigger(lake, "orders")
    lake.upload(source, b"id\n3\n", format="csv")
    run = trigger(lake, "orders")
    assert (run["rows_in"], run["versions_since"], run["version_out"]) == (1, {source: 0}, 1), run
    server.kill()
    # The catalog as it is between the commit and the end of the run.
    with sqlite3.connect(server.data_dir / "catalog.db") as catalog:
        sql = "UPDATE curated_runs SET status = 'RUNNING', ended_at = NULL, figures = NULL WHERE id = ?"
        assert catalog.execute(sql, [run["run_id"]]).rowcount == 1
        catalog.execute("DELETE FROM log_entries WHERE version = 1 AND content LIKE ?", [f"%{run['run_id']}%"])
    catalog.close()
    lake = Lake(servers.start(server.data_dir).url)
    ended = wait_for_end(lake, run)
    assert (ended["status"], ended["version_out"], ended["rows_out"]) == ("SUCCESS", 1, 1), ended
    lake.upload(source, b"id\n4\n", format="csv")
    assert trigger(lake, "orders")["rows_in"] == 1
    assert [row["id"] for row in lake.rows(f"SELECT id FROM {target} ORDER BY id")] == [1, 2, 3, 4]


def test_a_server_that_is_killed_again_and_again_brings_every_new_row_once(servers):
    server = servers.start()
    lake, source, target = Lake(server.url), new_table("raw"), new_table("curated")
    lake.upload(source, ndjson({"id": n} for n in range(1000)), format="ndjson")
    define(lake, "orders", sql=f"SELECT id FROM {source}", target=target, mode="append", incremental=[source], retries=10)
    for at in range(1, 9):
        lake.upload(source, ndjson({"id": at * 1000 + n} for n in range(1000)), format="ndjson")
        response = lake.request("POST", "/api/v1/pipelines/orders/runs")
        assert response.status_code in (202, 409), response.text
        # From before the run has read anything to after it has ended.
        time.sleep(at * 0.06)
        server.kill()
        server = servers.start(server.data_dir)
        lake = Lake(server.url)
    for run in lake.pages("/api/v1/pipelines/orders/runs"):
        assert wait_for_end(lake, run)["status"] == "SUCCESS", run
    assert trigger(lake, "orders")["status"] == "SUCCESS"
    assert lake.row(f"SELECT count(*) AS n, count(DISTINCT id) AS d FROM {target}") == {"n": 9000, "d": 9000}
    assert trigger(lake, "orders")["rows_in"] == 0
    assert read_with_duckdb(lake.describe(target)["location"]).num_rows == 9000


def test_a_full_refresh_is_asked_for_in_the_body(lake, name, source):
    target = new_table("curated")
    define(lake, name, sql=f"SELECT id FROM {source}", target=target, mode="append", incremental=[source])
    trigger(lake, name)
    url = f"/api/v1/pipelines/{name}/runs"
    response = lake.request("POST", url, {"Prefer": "wait=60"}, json={"full_refresh": True})
    assert (response.status_code, response.json()["full_refresh"]) == (202, True), response.text
    assert lake.count(target) == 1000
    check_problem(lake.request("POST", url, json={"full_refesh": True}), 422, "full_refesh")


def test_a_run_that_needs_too_much_memory_fails_and_the_server_goes_on(lake, name, source):
    target = new_table("curated")
    greedy = (
        f"SELECT array_agg(CAST(t.id * s.x AS VARCHAR) || repeat('y', 1000)) AS a FROM {source} t "
        "CROSS JOIN generate_series(1, 100000) AS s(x)"
    )
    define(lake, name, sql=greedy, target=target, retries=0)
    ended = trigger(lake, name)
    assert ended["status"] == "FAILED" and ended["error"], json.dumps(ended)
    lake.describe(target, 404)
    assert requests.get(f"{lake.url}/healthz", timeout=10).ok

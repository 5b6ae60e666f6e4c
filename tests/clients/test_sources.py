"""Sources that pull, driven as an orchestrator does it: an API of Python's own server, folders, and S3 prefixes."""

import concurrent.futures
import gzip
import http.server
import io
import json
import threading
import urllib.parse
import uuid

import pyarrow
import pyarrow.parquet
import pytest
import requests
from conftest import CREDENTIALS
from other_readers import read_with_duckdb
from sluice_client import Lake, check_problem, ndjson, new_table
from sluice_server import wait_for

ORDERS = [
    {"id": number, "order_value": f"{number}.50", "created_at": f"2024-01-{number % 28 + 1:02}T00:00:00Z"}
    for number in range(250)
]
TOKEN = "t0ken-of-the-orders-api"


class OrdersAPI:
    """Orders by pages, with failures that a test asks for."""

    def __init__(self):
        self.requests = []
        self.failures = {}
        self.hold = threading.Event()
        self.hold.set()
        self.reached = threading.Event()
        api = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                api.answer(self)

            def log_message(self, *_):
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.host = f"127.0.0.1:{self._server.server_port}"
        self.url = f"http://{self.host}/orders"

    def answer(self, handler):
        query = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(handler.path).query))
        self.requests.append(query)
        self.reached.set()
        self.hold.wait(60)
        page, limit = int(query["page"]), int(query["limit"])
        if handler.headers["Authorization"] != f"Bearer {TOKEN}":
            return self.send(handler, 401, {})
        if self.failures.get(page, 0) > 0:
            self.failures[page] -= 1
            return self.send(handler, 503, {})
        wanted = [order for order in ORDERS if order["created_at"] >= query.get("start_date", "")]
        return self.send(handler, 200, {"data": wanted[(page - 1) * limit : page * limit]})

    @staticmethod
    def send(handler, status, body):
        content = json.dumps(body).encode()
        handler.send_response(status)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content)

    def pages(self):
        return [int(query["page"]) for query in self.requests]

    def end(self):
        self.hold.set()
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def api():
    api = OrdersAPI()
    yield api
    api.end()


def environment(api=None, folders=(), **more):
    """The settings that let sources reach these."""
    return {
        "SLUICE_SOURCES__FOLDERS": json.dumps([str(folder) for folder in folders]),
        "SLUICE_SOURCES__HTTP__HOSTS": json.dumps([api.host] if api else []),
        "SLUICE_SOURCES__HTTP__TOKEN_VARIABLES": json.dumps(["ORDERS_*"]),
        "ORDERS_TOKEN": TOKEN,
        **more,
    }


def define(lake, name, **body):
    response = lake.request("PUT", f"/api/v1/sources/{name}", json=body)
    assert response.status_code in (200, 201), response.text
    return response.json()


def orders_source(api, table, **http_settings):
    settings = {"url": api.url, "token": {"env": "ORDERS_TOKEN"}, "paging": {"page": {}}, "query": {"status": "all"}}
    return {"table": table, "http": {**settings, **http_settings}, "options": {"record_path": "data"}}


def trigger(lake, name, key=None):
    """What one task of an orchestrator does: trigger, then wait; with the same key the same run."""
    headers = {"Idempotency-Key": key} if key else {}
    response = lake.request("POST", f"/api/v1/sources/{name}/runs", headers)
    assert response.status_code == 202, response.text
    return wait_for_run(lake, name, response.json()["run_id"])


def wait_for_run(lake, name, run_id):
    def ended():
        run = lake.get(f"/api/v1/sources/{name}/runs/{run_id}", params={"wait_seconds": 30}).json()
        return run if run["state"] != "running" else None

    return wait_for(ended, 120, f"the end of the run {run_id}")


def test_an_api_whose_second_page_fails_twice_lands_once(servers, api):
    lake, table = Lake(servers.start(environment=environment(api)).url), new_table()
    api.failures = {2: 2}
    define(lake, "orders", **orders_source(api, table))
    run = trigger(lake, "orders")
    assert (run["state"], run["pages"], run["rows_committed"]) == ("succeeded", 3, 250), run
    assert api.pages() == [1, 2, 2, 2, 3]
    assert all(query["limit"] == "100" and query["status"] == "all" for query in api.requests)
    assert lake.row(f"SELECT count(*) AS n, count(DISTINCT id) AS ids FROM {table}") == {"n": 250, "ids": 250}
    assert len(read_with_duckdb(lake.describe(table)["location"])) == 250


def test_three_failures_fail_the_run_and_commit_nothing(servers, api):
    server = servers.start(environment=environment(api))
    lake, table = Lake(server.url), new_table()
    api.failures = {2: 3}
    define(lake, "orders", **orders_source(api, table))
    run = trigger(lake, "orders", key="first")
    assert (run["state"], run["upload_ids"]) == ("failed", []), run
    assert "page 2" in run["failure"]["detail"] and "503" in run["failure"]["detail"]
    lake.describe(table, 404)
    assert trigger(lake, "orders", key="first") == run, "the same key is the same run"
    assert trigger(lake, "orders", key="second")["rows_committed"] == 250
    assert TOKEN not in server.log_tail() + json.dumps(list(lake.pages("/api/v1/sources/orders/runs")))


def test_runs_are_incremental(servers, api):
    lake, table = Lake(servers.start(environment=environment(api)).url), new_table()
    source = orders_source(api, table, watermark={"column": "created_at", "param": "start_date"})
    source["options"] |= {"dedup_keys": "id"}
    define(lake, "orders", **source)
    first = trigger(lake, "orders")
    assert first["watermark_after"] == max(order["created_at"] for order in ORDERS)
    again = trigger(lake, "orders")
    newest = sum(order["created_at"] == first["watermark_after"] for order in ORDERS)
    assert (again["watermark_before"], again["rows_deduplicated"]) == (first["watermark_after"], newest)
    assert (again["rows_committed"], lake.count(table)) == (0, 250)
    assert api.requests[-1]["start_date"] == first["watermark_after"]


def test_a_server_killed_in_the_midst_of_the_pages_goes_on_with_its_run(servers, api, tmp_path):
    settings, data_dir, table = environment(api), tmp_path / "data", new_table()
    server = servers.start(data_dir, environment=settings)
    lake = Lake(server.url)
    define(lake, "orders", **orders_source(api, table))
    api.hold.clear()
    run_id = lake.request("POST", "/api/v1/sources/orders/runs").json()["run_id"]
    assert api.reached.wait(30)
    server.kill()
    api.hold.set()
    lake = Lake(servers.start(data_dir, environment=settings).url)
    run = wait_for_run(lake, "orders", run_id)
    assert (run["state"], lake.count(table)) == ("succeeded", 250), run


def parquet_gz(rows):
    buffer = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), buffer)
    return gzip.compress(buffer.getvalue())


def drop(folder, **settings):
    return {"location": str(folder), "settle_seconds": 0, **settings}


def test_a_folder_of_several_formats(servers, tmp_path):
    folder = tmp_path / "drop"
    (folder / "2024").mkdir(parents=True)
    (folder / "a.csv").write_text("id\n1\n2\n")
    (folder / "2024" / "b.ndjson").write_bytes(ndjson([{"id": 3}]))
    (folder / "2024" / "c.parquet.gz").write_bytes(parquet_gz([{"id": 4}, {"id": 5}]))
    lake, table = Lake(servers.start(environment=environment(folders=[tmp_path])).url), new_table()
    define(lake, "drop", table=table, folder=drop(folder))
    run = trigger(lake, "drop")
    assert (run["state"], run["files_taken"], run["rows_committed"]) == ("succeeded", 3, 5), run
    assert trigger(lake, "drop")["files_taken"] == 0
    (folder / "d.csv").write_text("id\n6\n")
    (folder / "e.parquet").write_bytes(b"PAR1 and no more")
    run = trigger(lake, "drop")
    assert (run["state"], run["files_taken"], run["files_failed"]) == ("succeeded", 1, 1), run
    states = {pull["position"]: pull for pull in lake.pages(f"/api/v1/sources/drop/runs/{run['run_id']}/pulls")}
    assert states["d.csv"]["state"] == "committed" and "failure" in states["e.parquet"]
    assert lake.row(f"SELECT sum(id) AS ids FROM {table}")["ids"] == 21
    outside = lake.request("PUT", "/api/v1/sources/etc", json={"table": table, "folder": {"location": "/etc"}})
    check_problem(outside, 422, "sources.folders")


def test_a_server_killed_again_and_again_takes_every_file_once(servers, tmp_path):
    folder, data_dir, table = tmp_path / "drop", tmp_path / "data", new_table()
    folder.mkdir()
    files, rows_each = 120, 50
    for number in range(files):
        rows = [{"file": number, "row": row} for row in range(rows_each)]
        (folder / f"{number}.ndjson").write_bytes(ndjson(rows))
    settings = environment(folders=[folder])
    server = servers.start(data_dir, environment=settings)
    define(Lake(server.url), "drop", table=table, folder=drop(folder, max_files=10_000))
    run_id = Lake(server.url).request("POST", "/api/v1/sources/drop/runs").json()["run_id"]
    for kill in range(4):
        lake = Lake(server.url)

        def some_are_taken(lake=lake, least=(kill + 1) * 15):
            return lake.get(f"/api/v1/sources/drop/runs/{run_id}").json()["files_taken"] >= least

        wait_for(some_are_taken, 60, "some files in the table")
        server.kill()
        server = servers.start(data_dir, environment=settings)
    lake = Lake(server.url)
    run = wait_for_run(lake, "drop", run_id)
    assert (run["state"], run["files_taken"], run["files_failed"]) == ("succeeded", files, 0), run
    assert trigger(lake, "drop")["files_taken"] == 0
    row = lake.row(f"SELECT count(*) AS n, count(DISTINCT file * 1000 + \"row\") AS ids FROM {table}")
    assert row == {"n": files * rows_each, "ids": files * rows_each}


def test_two_servers_with_a_schedule_take_every_file_once(servers, tmp_path):
    folder, data_dir, table = tmp_path / "drop", tmp_path / "data", new_table()
    folder.mkdir()
    settings = environment(folders=[folder])
    lakes = [Lake(servers.start(data_dir, environment=settings).url) for _ in range(2)]
    define(lakes[0], "drop", table=table, folder=drop(folder), every_seconds=1)
    for number in range(30):
        partial = folder / f".{uuid.uuid4().hex}"
        partial.write_bytes(ndjson([{"id": number}]))
        partial.rename(folder / f"{number}.ndjson")

    def run_now(lake):
        return lake.request("POST", "/api/v1/sources/drop/runs").status_code

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert set(pool.map(run_now, lakes * 10)) <= {202, 409}

    def all_there():
        response = lakes[1].send_query(f"SELECT count(*) AS n FROM {table}")
        return response.status_code == 200 and response.json()["rows"][0]["n"] >= 30

    wait_for(all_there, 60, "all files in the table")
    trigger_when_free(lakes[1], "drop")
    assert lakes[0].row(f"SELECT count(*) AS n, count(DISTINCT id) AS ids FROM {table}") == {"n": 30, "ids": 30}


def trigger_when_free(lake, name):
    """A run that begins after every other one has ended."""

    def begun():
        response = lake.request("POST", f"/api/v1/sources/{name}/runs")
        return response.json() if response.status_code == 202 else None

    return wait_for_run(lake, name, wait_for(begun, 60, "a run of its own")["run_id"])


def test_a_prefix_of_a_bucket(servers, localstack, tmp_path):
    s3 = localstack.client("s3")
    s3.create_bucket(Bucket="inbox")
    for key, body in {
        "orders/a.csv": b"id\n1\n2\n",
        "orders/2024/b.csv.gz": gzip.compress(b"id\n3\n"),
        "orders/note.txt": b"not matched",
        "other/c.csv": b"id\n666\n",
    }.items():
        s3.put_object(Bucket="inbox", Key=key, Body=body)
    settings = {
        "SLUICE_STORAGE__S3__ENDPOINT": localstack.endpoint,
        "SLUICE_STORAGE__S3__REGION": CREDENTIALS["region_name"],
        "SLUICE_STORAGE__S3__ACCESS_KEY_ID": CREDENTIALS["aws_access_key_id"],
        "SLUICE_STORAGE__S3__SECRET_ACCESS_KEY": CREDENTIALS["aws_secret_access_key"],
        "SLUICE_STORAGE__S3__ALLOW_HTTP": "true",
        "SLUICE_SOURCES__BUCKETS": '["inbox"]',
    }
    lake, table = Lake(servers.start(environment=settings).url), new_table()
    define(lake, "inbox", table=table, folder={"location": "s3://inbox/orders", "pattern": "**/*.csv*"})
    run = trigger(lake, "inbox")
    assert (run["state"], run["files_taken"], run["rows_committed"]) == ("succeeded", 2, 3), run
    assert trigger(lake, "inbox")["files_taken"] == 0
    s3.put_object(Bucket="inbox", Key="orders/a.csv", Body=b"id\n1\n2\n9\n")
    s3.put_object(Bucket="inbox", Key="orders/z.csv", Body=b"id\n4\n")
    run = trigger(lake, "inbox")
    assert (run["files_taken"], run["files_changed"]) == (1, 1), run
    assert lake.row(f"SELECT sum(id) AS ids FROM {table}")["ids"] == 10
    refused = {"table": table, "folder": {"location": "s3://curated-a/x"}}
    check_problem(lake.request("PUT", "/api/v1/sources/x", json=refused), 422, "sources.buckets")


def test_an_api_that_is_not_there_is_told(servers, api):
    lake, table = Lake(servers.start(environment=environment(api)).url), new_table()
    source = orders_source(api, table, tries=1)
    define(lake, "orders", **source)
    api.end()
    with pytest.raises(requests.ConnectionError):
        requests.get(api.url, timeout=5)
    run = trigger(lake, "orders")
    assert run["state"] == "failed" and "page 1" in run["failure"]["detail"], run

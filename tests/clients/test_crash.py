"""A server that is killed in the middle of uploads: what its clients ask for again is in the table exactly once."""

import concurrent.futures
import threading
import uuid

import pytest
import requests
from log_replay import read_with_replay
from other_readers import read_with_duckdb
from sluice_client import Lake, check_receipt, ndjson, new_table
from sluice_server import wait_for
from test_operations import Dialogue

UPLOADS = 30
ROWS_EACH = 200
CLIENTS = 6


class Workload:
    """Uploads with keys into one table, sent by several clients at once."""

    def __init__(self):
        self.table = new_table("crash")
        self.uploads = [
            (uuid.uuid4().hex, ndjson({"upload": upload, "row": row} for row in range(ROWS_EACH)))
            for upload in range(UPLOADS)
        ]
        self.receipts = {}

    def send(self, lake, upload, done=lambda: None):
        key, body = self.uploads[upload]
        try:
            response = lake.send(self.table, body, key=key, format="ndjson")
        except requests.RequestException:
            return
        if response.status_code == 201:
            self.receipts[upload] = check_receipt(response.json())
            done()

    def retry(self, lake, upload):
        """The answer, once the server has resumed what it found."""
        key, body = self.uploads[upload]

        def settled():
            response = lake.send(self.table, body, key=key, format="ndjson")
            return response if response.status_code != 409 else None

        return wait_for(settled, 60, "an upload that was under way is settled")


@pytest.mark.parametrize("kill_after", [1, 4, 9, 17])
def test_a_killed_server_commits_everything_exactly_once(servers, kill_after):
    work, server = Workload(), servers.start()
    half_sent = Dialogue(server.url, work.table, 1000, uuid.uuid4().hex)
    half_sent.send(b"upload,row\n-1,-1\n")
    lake, enough = Lake(server.url), threading.Semaphore(0)
    with concurrent.futures.ThreadPoolExecutor(CLIENTS) as pool:
        sent = [pool.submit(work.send, lake, upload, enough.release) for upload in range(UPLOADS)]
        for _ in range(kill_after):
            assert enough.acquire(timeout=60), "the uploads do not go on"
        server.kill()
        concurrent.futures.wait(sent)
    half_sent.close()
    before = dict(work.receipts)
    assert kill_after <= len(before) < UPLOADS

    lake = Lake(servers.start(server.data_dir).url)
    for upload in range(UPLOADS):
        response = work.retry(lake, upload)
        assert response.status_code == 201, response.text
        if upload in before:
            assert response.headers["Idempotent-Replayed"] == "true"
            assert response.json() == before[upload]

    view = lake.describe(work.table)
    assert view["rows"] == UPLOADS * ROWS_EACH
    sql = f"SELECT upload, count(*) AS n, count(DISTINCT row) AS d FROM {work.table} GROUP BY upload ORDER BY upload"
    assert lake.rows(sql) == [{"upload": upload, "n": ROWS_EACH, "d": ROWS_EACH} for upload in range(UPLOADS)]
    for read in (read_with_duckdb, read_with_replay):
        assert read(view["location"]).num_rows == UPLOADS * ROWS_EACH


def test_a_server_that_is_killed_again_and_again_loses_nothing(servers):
    work, data_dir = Workload(), None
    for round in range(4):
        server = servers.start(data_dir)
        data_dir, lake, enough = server.data_dir, Lake(server.url), threading.Semaphore(0)
        with concurrent.futures.ThreadPoolExecutor(CLIENTS) as pool:
            missing = [upload for upload in range(UPLOADS) if upload not in work.receipts]
            sent = [pool.submit(work.send, lake, upload, enough.release) for upload in missing]
            for _ in range(min(3, len(missing))):
                assert enough.acquire(timeout=60), f"the uploads do not go on in round {round}"
            server.kill()
            concurrent.futures.wait(sent)
    lake = Lake(servers.start(data_dir).url)
    assert all(work.retry(lake, upload).status_code == 201 for upload in range(UPLOADS))
    sql = f"SELECT count(*) AS n, count(DISTINCT upload * {ROWS_EACH} + row) AS d FROM {work.table}"
    assert lake.row(sql) == {"n": UPLOADS * ROWS_EACH, "d": UPLOADS * ROWS_EACH}
    assert read_with_replay(lake.describe(work.table)["location"]).num_rows == UPLOADS * ROWS_EACH

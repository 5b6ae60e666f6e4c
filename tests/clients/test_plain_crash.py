"""A server that is killed while plain tables are written: every upload is there once, in the lake and in the folder."""

import concurrent.futures
import threading
import uuid

import pyarrow.dataset
import pytest
import requests
from sluice_client import Lake, ndjson, new_table
from sluice_server import wait_for

UPLOADS = 30
PARTITIONS = 8
ROWS_EACH = 40
CLIENTS = 6
OPTIONS = {"format": "ndjson", "table_format": "parquet", "partition_by": "part"}


def send(lake, table, key, body):
    """Whether the upload was committed, as far as its client knows."""
    try:
        return lake.send(table, body, key=key, **OPTIONS).status_code == 201
    except requests.RequestException:
        return False


@pytest.mark.parametrize("kill_after", [1, 3, 8, 15, 22])
def test_a_killed_server_leaves_a_folder_without_doubles(servers, kill_after):
    table, server = new_table("crash"), servers.start()
    uploads = {
        uuid.uuid4().hex: ndjson({"upload": number, "row": row, "part": row % PARTITIONS} for row in range(ROWS_EACH))
        for number in range(UPLOADS)
    }
    lake, committed = Lake(server.url), threading.Semaphore(0)

    def run(key, body):
        if send(lake, table, key, body):
            committed.release()

    with concurrent.futures.ThreadPoolExecutor(CLIENTS) as pool:
        sent = [pool.submit(run, key, body) for key, body in uploads.items()]
        for _ in range(kill_after):
            assert committed.acquire(timeout=60), "the uploads do not go on"
        server.kill()
        concurrent.futures.wait(sent)

    lake = Lake(servers.start(server.data_dir).url)
    for key, body in uploads.items():
        wait_for(lambda key=key, body=body: send(lake, table, key, body), 60, "an upload is settled")
    view = lake.describe(table)
    assert (view["rows"], view["files"]) == (UPLOADS * ROWS_EACH, UPLOADS * PARTITIONS)
    assert view["version"] == UPLOADS - 1
    sql = f"SELECT count(*) AS n, count(DISTINCT upload * 1000 + row) AS d FROM {table}"
    assert lake.row(sql) == {"n": UPLOADS * ROWS_EACH, "d": UPLOADS * ROWS_EACH}
    # Who lists the folder sees what was cut off only until it is done again, under the same names.
    folder = pyarrow.dataset.dataset(view["location"].removeprefix("file://"), partitioning="hive")
    assert folder.count_rows() == UPLOADS * ROWS_EACH
    assert len(folder.files) == UPLOADS * PARTITIONS

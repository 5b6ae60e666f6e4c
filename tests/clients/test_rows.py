"""Small writes by many clients: what is answered is in the table once, also when the server is killed in between."""

import concurrent.futures
import json
import threading
import time
import uuid

import pytest
import requests
from log_replay import read_with_replay
from other_readers import read_with_duckdb
from sluice_client import Lake, check_problem, new_table, table_path
from sluice_server import wait_for

THREADS = 16
BATCHES = 25
ROWS_EACH = 10
RECEIPT_FIELDS = {
    "upload_id", "table", "version", "rows_received", "rows_committed", "rows_quarantined", "rows_deduplicated",
    "rows_rejected", "committed_at", "duration_ms",
}  # fmt: skip


def batch(thread, number):
    return [{"thread": thread, "batch": number, "row": row} for row in range(ROWS_EACH)]


def check_rows_receipt(receipt, rows=ROWS_EACH):
    assert receipt.keys() >= RECEIPT_FIELDS, RECEIPT_FIELDS - receipt.keys()
    assert receipt["rows_received"] == receipt["rows_committed"] == rows, receipt
    return receipt


def assert_exactly_once(lake, table, threads, batches):
    sql = f"SELECT count(*) AS n, count(DISTINCT thread * 1000000 + batch * 1000 + row) AS d FROM {table}"
    rows = threads * batches * ROWS_EACH
    assert lake.row(sql) == {"n": rows, "d": rows}
    location = lake.describe(table)["location"]
    for read in (read_with_duckdb, read_with_replay):
        assert read(location).num_rows == rows


def test_many_threads_write_into_one_table_and_share_its_commits(lake):
    table = new_table("rows")

    def write(thread):
        with requests.Session() as session:
            for number in range(BATCHES):
                # Every second one as an array, every other one as lines.
                rows = batch(thread, number)
                body = json.dumps(rows) if number % 2 else "\n".join(map(json.dumps, rows))
                response = session.post(f"{lake.url}{table_path(table)}/rows", data=body, timeout=60)
                assert response.status_code == 201, response.text
                check_rows_receipt(response.json())

    with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(write, range(THREADS)))
    assert_exactly_once(lake, table, THREADS, BATCHES)
    assert lake.describe(table)["version"] < THREADS * BATCHES / 2


def test_rows_are_what_they_say_or_refused_with_their_place(lake):
    path = f"{table_path(new_table('rows'))}/rows"
    sent = {"id": 1, "text": "ü\n\"x\"", "at": "2026-01-31T10:00:00.123456Z", "list": [1, 2], "object": {"a": None, "b": 1.5}}
    response = lake.request("POST", path, json=sent)
    assert response.status_code == 201, response.text
    mixed = [{"id": 2}, {"id": "two"}]
    check_problem(lake.request("POST", path, params={"max_bad_rows": 0}, json=mixed), 422, "row 2", '"id"', "two")
    receipt = lake.request("POST", path, json=mixed).json()
    assert (receipt["rows_committed"], receipt["rows_quarantined"]) == (1, 1)
    check_problem(lake.request("POST", path, data=b"x" * (2 << 20)), 413, "/uploads")
    check_problem(lake.request("POST", path, data="a,b", headers={"Content-Type": "text/csv"}), 415, "text/csv")


class Channel:
    """A client of a channel, which goes on from what the server tells after every disturbance."""

    def __init__(self, table, name):
        self.path = f"{table_path(table)}/channels/{name}"
        self.rows = f"{table_path(table)}/rows"
        self.name = name
        self.answered = 0

    def open(self, lake):
        def opened():
            response = lake.request("PUT", self.path)
            return response.json() if response.status_code == 200 else None

        return wait_for(opened, 60, "the channel opens")

    def write(self, lake, thread, batches):
        """Send the batches that are missing; says whether all of them were answered."""
        try:
            channel = self.open(lake)
            for number in range(channel["last_committed_offset"] or 0, batches):
                place = {"channel": self.name, "offset": number + 1, "epoch": channel["epoch"]}
                response = lake.request("POST", self.rows, params=place, json=batch(thread, number))
                assert response.status_code == 201, response.text
                self.answered = number + 1
        except (requests.RequestException, AssertionError):
            return False
        return True


@pytest.mark.parametrize("kills", [1, 4])
def test_channels_are_exactly_once_through_kills(servers, kills):
    table, data_dir = new_table("rows"), None
    channels = [Channel(table, f"c{thread}") for thread in range(THREADS)]
    for round in range(kills + 1):
        server = servers.start(data_dir)
        data_dir, lake = server.data_dir, Lake(server.url)
        with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
            written = [pool.submit(channel.write, lake, thread, BATCHES) for thread, channel in enumerate(channels)]
            if round < kills:
                goal = (round + 1) * BATCHES * THREADS // (kills + 1)
                wait_for(lambda goal=goal: sum(channel.answered for channel in channels) >= goal, 60, "they go on")
                server.kill()
                concurrent.futures.wait(written)
            else:
                assert all(done.result() for done in written)
    assert_exactly_once(lake, table, THREADS, BATCHES)
    for channel in channels:
        assert lake.get(channel.path).json()["last_committed_offset"] == BATCHES


def test_two_servers_serve_the_channels_of_one_that_is_killed(servers):
    table = new_table("rows")
    doomed = servers.start()
    other = servers.start(doomed.data_dir)
    channels = [Channel(table, f"c{thread}") for thread in range(THREADS)]
    with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
        written = [
            pool.submit(channel.write, Lake(doomed.url), thread, BATCHES) for thread, channel in enumerate(channels)
        ]
        wait_for(lambda: sum(channel.answered for channel in channels) > BATCHES * THREADS / 3, 60, "they go on")
        doomed.kill()
        concurrent.futures.wait(written)
        lake = Lake(other.url)
        written = [pool.submit(channel.write, lake, thread, BATCHES) for thread, channel in enumerate(channels)]
        assert all(done.result() for done in written)
    assert_exactly_once(lake, table, THREADS, BATCHES)


def test_keys_are_exactly_once_through_kills(servers):
    table, data_dir, answered = new_table("rows"), None, {}
    keys = {(thread, number): uuid.uuid4().hex for thread in range(THREADS) for number in range(BATCHES)}
    lock = threading.Lock()

    def send(lake, thread):
        for number in range(BATCHES):
            if (thread, number) in answered:
                continue
            headers, deadline = {"Idempotency-Key": keys[thread, number]}, time.monotonic() + 60
            try:
                while True:
                    response = lake.request("POST", f"{table_path(table)}/rows", headers, json=batch(thread, number))
                    if response.status_code != 409 or time.monotonic() > deadline:
                        break
            except requests.RequestException:
                return
            assert response.status_code == 201, response.text
            with lock:
                answered[thread, number] = check_rows_receipt(response.json())

    for kills in range(3):
        server = servers.start(data_dir)
        data_dir, lake = server.data_dir, Lake(server.url)
        with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
            sent = [pool.submit(send, lake, thread) for thread in range(THREADS)]
            if kills < 2:
                goal = (kills + 1) * len(keys) // 3
                wait_for(lambda goal=goal: len(answered) >= goal, 60, "the requests go on")
                server.kill()
            for done in concurrent.futures.as_completed(sent):
                done.result()
    assert len(answered) == len(keys)
    assert_exactly_once(lake, table, THREADS, BATCHES)
    for place in [(0, 0), (THREADS - 1, BATCHES - 1)]:
        headers = {"Idempotency-Key": keys[place]}
        again = lake.request("POST", f"{table_path(table)}/rows", headers, json=batch(*place))
        assert again.headers["Idempotent-Replayed"] == "true"
        assert again.json()["version"] == answered[place]["version"]

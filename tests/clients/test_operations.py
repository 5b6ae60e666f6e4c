"""What an operator relies on: health, metrics, the end of a server whether kind or not, the command line."""

import csv
import io
import json
import re
import socket
import subprocess
import urllib.parse
import uuid

import pytest
import requests
from sluice_client import Lake, check_receipt, new_table, table_path
from sluice_server import clean_environment, wait_for

SAMPLE = re.compile(r"^(\w+)(?:\{(.*)\})? (\S+)")
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


def samples(text):
    """Every sample of a Prometheus exposition: (name, labels) to value."""
    found = {}
    for line in text.splitlines():
        if match := SAMPLE.match(line):
            name, labels, value = match.groups()
            found[name, frozenset(LABEL.findall(labels or ""))] = float(value)
    return found


def run(binary, *arguments):
    """The command line, to its end."""
    command = [str(word) for word in (binary, *arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, env=clean_environment())


def ok(done):
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_health_and_readiness(lake):
    assert lake.get("/healthz").status_code == 200
    assert lake.get("/readyz").status_code == 200


def test_documents_are_served_without_the_internet(lake):
    assert lake.get("/openapi.json").json()["openapi"].startswith("3.1")
    page = lake.get("/docs")
    assert page.headers["Content-Type"].startswith("text/html")
    assert not re.findall(r"""(?:src|href)=["'](?:https?:)?//""", page.text)


def test_metrics_after_one_upload_and_one_failure(servers):
    lake = Lake(servers.start().url)
    body = b"id\n1\n2\n"
    lake.upload("ops.measured", body, format="csv")
    assert lake.send("ops.measured", b"id,b\n1\n", format="csv").status_code in range(400, 500)
    found = samples(lake.get("/metrics").text)

    labels = frozenset({("table", "ops.measured"), ("format", "csv")})
    assert found["data_lake_bytes_ingested_total", labels] == len(body)
    assert found["data_lake_ingest_errors_total", frozenset()] == 1
    name = "data_lake_ingest_latency_seconds"
    assert found[f"{name}_count", frozenset()] == 1
    assert found[f"{name}_sum", frozenset()] > 0
    buckets = {dict(labels)["le"]: value for (sample, labels), value in found.items() if sample == f"{name}_bucket"}
    assert sorted(map(float, buckets)) == [0.1, 0.5, 1.0, 2.0, 5.0, float("inf")]
    assert buckets["+Inf"] == 1


class Dialogue:
    """An upload over a bare socket, which can stop half-way."""

    def __init__(self, url, table, length, key):
        address = urllib.parse.urlsplit(url)
        self._socket = socket.create_connection((address.hostname, address.port), timeout=60)
        self._answer = self._socket.makefile("rb")
        head = (
            f"POST {table_path(table)}/uploads?format=csv HTTP/1.1\r\nHost: {address.netloc}\r\n"
            f"Content-Type: text/csv\r\nContent-Length: {length}\r\nIdempotency-Key: {key}\r\n"
            "Expect: 100-continue\r\n\r\n"
        )
        self._socket.sendall(head.encode())
        # The server asks for the body once it is reading it.
        assert self._answer.readline().startswith(b"HTTP/1.1 100"), "the server does not ask for the body"
        assert self._answer.readline() == b"\r\n"

    def send(self, data):
        self._socket.sendall(data)

    def answer(self):
        """The status and the body."""
        status = int(self._answer.readline().split()[1])
        length = 0
        while (line := self._answer.readline().strip().lower()) != b"":
            if line.startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        return status, json.loads(self._answer.read(length))

    def close(self):
        self._answer.close()
        self._socket.close()


def is_closed(url):
    """Whether the server takes no more work."""
    try:
        return requests.get(f"{url}/readyz", timeout=10).status_code == 503
    except requests.ConnectionError:
        return True


def test_a_kind_end_finishes_what_was_begun(servers):
    server, table = servers.start(), new_table()
    body = b"id\n" + b"".join(b"%d\n" % number for number in range(50_000))
    dialogue = Dialogue(server.url, table, len(body), uuid.uuid4().hex)
    dialogue.send(body[:1000])
    server.terminate()
    wait_for(lambda: is_closed(server.url), 30, "a server that was told to end refuses new work")
    assert server.running
    dialogue.send(body[1000:])
    status, receipt = dialogue.answer()
    dialogue.close()
    assert status == 201, receipt
    assert check_receipt(receipt)["rows_committed"] == 50_000
    server.stop()
    lake = Lake(servers.start(server.data_dir).url)
    assert lake.count(table) == 50_000


def test_two_servers_on_the_same_data_serve_one_lake(servers):
    first = servers.start()
    second = Lake(servers.start(first.data_dir).url)
    first, table = Lake(first.url), new_table()
    first.upload(table, b"id\n1\n", format="csv")
    second.upload(table, b"id\n2\n", format="csv")
    assert first.count(table) == second.count(table) == 2


def test_an_address_for_everybody_needs_authentication(binary, tmp_path):
    done = run(binary, "serve", "--data-dir", tmp_path / "data", "--listen", "0.0.0.0:0")
    assert done.returncode != 0
    assert "auth" in (done.stdout + done.stderr).lower()


def test_a_setting_that_does_not_exist_is_refused(binary, tmp_path):
    config = tmp_path / "sluice.toml"
    config.write_text("[storage]\nraw_uri = 'file:///x'\n")
    done = run(binary, "serve", "--config", config, "--data-dir", tmp_path / "data", "--listen", "127.0.0.1:0")
    assert done.returncode != 0
    assert "raw_uri" in done.stdout + done.stderr


@pytest.fixture
def rows_csv(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text('id,month,note\n1,1,"a,b"\n2,1,NA\n9007199254740993,2,ü\n')
    return path


def test_the_command_line_uploads(binary, server, lake, table, rows_csv):
    options = ["--format", "csv", "--null-values", "NA", "--partition-by", "month"]
    said = ok(run(binary, "upload", rows_csv, "--table", table, "--server", server.url, *options))
    view = lake.describe(table)
    assert (view["rows"], view["partition_by"]) == (3, ["month"])
    (upload,) = lake.pages(f"{table_path(table)}/uploads")
    assert upload["upload_id"] in said
    assert lake.row(f"SELECT count(*) AS n FROM {table} WHERE note IS NULL") == {"n": 1}
    content = lake.get(f"/api/v1/uploads/{upload['upload_id']}/content").content
    assert content == rows_csv.read_bytes()


def test_the_command_line_queries(binary, server, lake, table, rows_csv):
    lake.upload(table, rows_csv.read_bytes(), format="csv", null_values="NA")
    query = [binary, "query", f"SELECT id, note FROM {table} ORDER BY id", "--server", server.url, "--output"]
    expected = [(1, "a,b"), (2, None), (9_007_199_254_740_993, "ü")]

    read = csv.DictReader(io.StringIO(ok(run(*query, "csv")), newline=""))
    assert [(int(row["id"]), row["note"] or None) for row in read] == expected
    answer = json.loads(ok(run(*query, "json")))
    rows = answer["rows"] if isinstance(answer, dict) else answer
    assert [(row["id"], row["note"]) for row in rows] == expected
    shown = ok(run(*query, "table"))
    assert all(word in shown for word in ("id", "note", "a,b", "9007199254740993", "ü"))


def test_the_command_line_tells_what_went_wrong(binary, server, table, tmp_path):
    bad = tmp_path / "bad.csv"
    bad.write_text("a,b\n1\n")
    for arguments, word in (
        (["upload", bad, "--table", table, "--server", server.url], "line 2"),
        (["upload", tmp_path / "absent.csv", "--table", table, "--server", server.url], "absent.csv"),
        (["upload", bad, "--table", "no-dot", "--server", server.url], "no-dot"),
        (["query", "SELECT * FROM test.absent_table", "--server", server.url], "absent_table"),
        (["query", "SELECT 1", "--server", "http://127.0.0.1:1"], "127.0.0.1:1"),
    ):
        done = run(binary, *arguments)
        assert done.returncode != 0, arguments
        assert word in done.stderr, (arguments, done.stderr)
        assert "panicked" not in done.stderr

"""Uploads straight to the store: the client puts the bytes into a bucket of the real LocalStack by a signed request."""

import base64
import hashlib
import urllib.parse

import pytest
import requests
from sluice_client import Lake, check_problem, check_receipt, table_path

BODY = b"id,name\n" + b"".join(b"%d,name of %d\n" % (row, row) for row in range(50_000))
ROWS = 50_000


@pytest.fixture(scope="module")
def direct_lake(module_servers, localstack):
    client = localstack.client("s3")
    for bucket in ("direct-raw", "direct-curated"):
        client.create_bucket(Bucket=bucket)
    environment = localstack.server_environment("s3://direct-raw/zone", "s3://direct-curated/zone")
    server = module_servers.start(environment=environment)
    lake = Lake(server.url)
    lake.server = server
    return lake


def announce(lake, table, status=201, params=None, **fields):
    fields = {"size_bytes": len(BODY), **fields}
    params = {"file_name": "names.csv", **(params or {})}
    response = lake.request("POST", f"{table_path(table)}/uploads/presigned", json=fields, params=params)
    assert response.status_code == status, response.text
    return response


def put(direct, body=BODY, headers=None):
    return requests.request(
        direct["method"], direct["url"], data=body, headers=direct["headers"] if headers is None else headers, timeout=60
    )


def complete(lake, direct, **headers):
    return lake.request("POST", direct["complete"], headers)


def test_bytes_that_a_client_puts_are_committed_once(direct_lake, table, localstack):
    sha256 = hashlib.sha256(BODY).hexdigest()
    response = announce(direct_lake, table, sha256=sha256.upper())
    direct = response.json()
    assert response.headers["Location"] == f"/api/v1/uploads/{direct['upload_id']}"
    view = direct_lake.get(response.headers["Location"]).json()
    assert (view["status"], view["progress"]["bytes_total"]) == ("receiving", len(BODY))
    check_problem(complete(direct_lake, direct), 422, "not there")
    assert put(direct).status_code == 200
    receipt = check_receipt(complete(direct_lake, direct).json())
    assert (receipt["rows_committed"], receipt["sha256"]) == (ROWS, sha256)
    again = complete(direct_lake, direct)
    assert (again.status_code, again.json(), again.headers["Idempotent-Replayed"]) == (201, receipt, "true")
    assert direct_lake.count(table) == ROWS
    key = urllib.parse.unquote(urllib.parse.urlsplit(receipt["raw_object"]).path.lstrip("/"))
    stored = localstack.client("s3").get_object(Bucket="direct-raw", Key=key)
    assert stored["Body"].read() == BODY
    assert direct_lake.get(f"/api/v1/uploads/{direct['upload_id']}/content").content == BODY


def test_an_object_that_is_there_is_not_written_over(direct_lake, table):
    direct = announce(direct_lake, table).json()
    assert put(direct).status_code == 200
    assert put(direct, b"id,name\n1,x\n").status_code == 412
    assert complete(direct_lake, direct).status_code == 201
    assert put(direct, b"id,name\n1,x\n").status_code == 412
    assert direct_lake.get(f"/api/v1/uploads/{direct['upload_id']}/content").content == BODY


def test_a_signed_request_is_bound_to_one_key_and_method_and_ends(direct_lake, table):
    direct = announce(direct_lake, table).json()
    query = urllib.parse.parse_qs(urllib.parse.urlsplit(direct["url"]).query)
    assert query["X-Amz-Expires"] == ["900"]
    assert query["X-Amz-SignedHeaders"] == ["host;if-none-match"]
    assert direct["upload_id"] in urllib.parse.urlsplit(direct["url"]).path


def test_bytes_that_are_not_those_announced_are_refused(direct_lake, table):
    direct = announce(direct_lake, table, size_bytes=len(BODY) + 1).json()
    assert put(direct).status_code == 200
    check_problem(complete(direct_lake, direct), 422, str(len(BODY)), str(len(BODY) + 1))
    direct = announce(direct_lake, table, sha256="0" * 64).json()
    assert put(direct).status_code == 200
    check_problem(complete(direct_lake, direct), 422, hashlib.sha256(BODY).hexdigest())
    direct_lake.describe(table, status=404)


def test_what_cannot_be_read_is_told_at_the_end(direct_lake, table):
    body = b"a,b\n1\n"
    direct = announce(direct_lake, table, size_bytes=len(body)).json()
    assert put(direct, body).status_code == 200
    first = check_problem(complete(direct_lake, direct), 400)
    again = check_problem(complete(direct_lake, direct), 400)
    assert first["detail"] == again["detail"] and first["upload_id"] == direct["upload_id"]


def test_an_answer_may_come_before_the_commit(direct_lake, table):
    direct = announce(direct_lake, table).json()
    assert put(direct).status_code == 200
    response = complete(direct_lake, direct, Prefer="respond-async")
    assert response.status_code == 202 and response.json()["sha256"] == hashlib.sha256(BODY).hexdigest()
    with direct_lake.request("GET", f"/api/v1/uploads/{direct['upload_id']}/events", stream=True) as events:
        assert "event: committed" in events.text
    assert direct_lake.count(table) == ROWS


def test_an_object_that_s3_takes_by_no_one_request_is_refused(direct_lake, table):
    check_problem(announce(direct_lake, table, 413, size_bytes=(5 << 30) + 1), 413)
    check_problem(announce(direct_lake, table, 400, size_bytes=0), 400)
    check_problem(announce(direct_lake, table, 400, params={"delimeter": ";"}), 400, "delimeter")


def test_a_signed_request_is_not_in_the_log(direct_lake, table):
    direct = announce(direct_lake, table).json()
    signature = urllib.parse.parse_qs(urllib.parse.urlsplit(direct["url"]).query)["X-Amz-Signature"][0]
    assert signature not in direct_lake.server.log_tail()


def test_an_upload_in_pieces_lands_in_the_bucket(direct_lake, table):
    tus = {"Tus-Resumable": "1.0.0"}
    value = base64.b64encode(table.encode()).decode()
    headers = {**tus, "Upload-Length": str(len(BODY)), "Upload-Metadata": f"table {value},format Y3N2"}
    path = direct_lake.request("POST", "/api/v1/tus", headers).headers["Location"]
    for begin in range(0, len(BODY), 300_000):
        headers = {**tus, "Upload-Offset": str(begin), "Content-Type": "application/offset+octet-stream"}
        response = direct_lake.request("PATCH", path, headers, data=BODY[begin : begin + 300_000])
        assert response.status_code == 204, response.text
    id = path.rsplit("/", 1)[1]
    with direct_lake.request("GET", f"/api/v1/uploads/{id}/events", stream=True) as events:
        assert "event: committed" in events.text
    assert direct_lake.get(f"/api/v1/uploads/{id}/content").content == BODY

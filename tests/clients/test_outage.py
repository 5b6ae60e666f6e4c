"""The object store goes away and comes back: nobody waits in vain, nothing is lost, and no restart is needed."""

import concurrent.futures
import time
import urllib.parse

import pytest
import requests
from cuttable_proxy import CuttableProxy
from sluice_client import Lake, check_problem, new_table, table_path
from sluice_server import wait_for
from test_operations import samples

OPEN_SECONDS = 5
CALL_SECONDS = 4
SOON_SECONDS = 20
CLOSED, OPEN = 0, 2


@pytest.fixture(scope="module")
def buckets(localstack):
    client = localstack.client("s3")
    for bucket in ("outage-raw", "outage-curated"):
        client.create_bucket(Bucket=bucket)
    return "s3://outage-raw/zone", "s3://outage-curated/zone"


@pytest.fixture
def proxy(localstack):
    address = urllib.parse.urlsplit(localstack.endpoint)
    proxy = CuttableProxy((address.hostname, address.port))
    yield proxy
    proxy.close()


@pytest.fixture
def environment(localstack, buckets, proxy):
    return {
        **localstack.server_environment(*buckets),
        "SLUICE_STORAGE__S3__ENDPOINT": proxy.endpoint,
        "SLUICE_STORAGE__S3__TIMEOUTS__CALL_SECONDS": str(CALL_SECONDS),
        "SLUICE_STORAGE__BREAKER__OPEN_SECONDS": str(OPEN_SECONDS),
        "SLUICE_INGEST__RETRY_SECONDS": "1",
    }


@pytest.fixture
def server(servers, environment):
    return servers.start(environment=environment)


def breaker_state(lake):
    return samples(lake.get("/metrics").text)["data_lake_store_breaker_state", frozenset({("store", "s3")})]


def timed(call):
    started = time.monotonic()
    return call(), time.monotonic() - started


def check_away(response):
    problem = check_problem(response, 503)
    assert 1 <= int(response.headers["Retry-After"]) <= OPEN_SECONDS, response.headers
    return problem


def fail_until_open(lake, table, body):
    """Send uploads until the breaker is open; how long each of them took."""
    taken = []
    while breaker_state(lake) != OPEN:
        response, seconds = timed(lambda: lake.send(table, body, format="csv"))
        check_away(response)
        taken.append(seconds)
        assert len(taken) <= 5, "the breaker does not open"
    return taken


@pytest.mark.parametrize("outage", [CuttableProxy.cut, CuttableProxy.freeze])
def test_an_outage_is_told_soon_and_is_over_without_a_restart(server, proxy, outage):
    lake, table, body = Lake(server.url), new_table(), b"id\n1\n2\n"
    lake.upload(table, body, format="csv")
    assert breaker_state(lake) == CLOSED

    outage(proxy)
    taken = fail_until_open(lake, table, body)
    print("uploads failed after", [round(seconds, 1) for seconds in taken], "s")
    assert max(taken) < SOON_SECONDS

    # Now nobody waits at all.
    for call in (
        lambda: lake.send(table, body, format="csv"),
        lambda: lake.send_query(f"SELECT count(*) FROM {table}"),
        lambda: lake.request("GET", table_path(table)),
        lambda: lake.request("GET", f"{table_path(table)}/preview"),
        lambda: lake.request("GET", "/readyz"),
    ):
        response, seconds = timed(call)
        problem = check_away(response)
        assert seconds < 1, problem
    check_problem(lake.request("GET", "/readyz"), 503, "circuit breaker of s3 is open")
    assert lake.get("/healthz").status_code == 200
    assert lake.get("/api/v1/tables").status_code == 200

    proxy.mend()
    wait_for(lambda: requests.get(f"{server.url}/readyz", timeout=10).ok, SOON_SECONDS, "the server is ready again")
    assert lake.count(table) == 2
    lake.upload(table, body, format="csv")
    assert breaker_state(lake) == CLOSED
    assert lake.count(table) == 4


def test_queries_alone_find_out_that_the_store_is_away(server, proxy):
    lake, table = Lake(server.url), new_table()
    lake.upload(table, b"id\n1\n", format="csv")
    proxy.cut()
    response, seconds = timed(lambda: lake.send_query(f"SELECT count(id) FROM {table}"))
    check_away(response)
    assert seconds < SOON_SECONDS
    proxy.mend()
    wait_for(lambda: lake.send_query(f"SELECT count(id) AS n FROM {table}").ok, SOON_SECONDS, "queries are answered")


def test_uploads_that_landed_before_an_outage_go_on_by_themselves(server, proxy):
    lake, tables = Lake(server.url), [new_table() for _ in range(8)]
    body = b"id\n" + b"".join(b"%d\n" % number for number in range(20_000))

    def land(table):
        return lake.send(table, body, {"Prefer": "respond-async"}, key="k", format="csv")

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        landed = list(pool.map(land, tables))
        proxy.cut()
    uploads = [response.json()["upload_id"] for response in landed if response.status_code == 202]
    assert len(uploads) == len(tables), [response.text for response in landed]

    def states():
        return [lake.get(f"/api/v1/uploads/{upload}").json()["status"] for upload in uploads]

    before = states()
    assert before.count("committed") < len(uploads), "the outage came too late to matter"
    fail_until_open(lake, new_table(), body)
    proxy.mend()
    wait_for(lambda: set(states()) == {"committed"}, 60, "every upload that landed is committed")
    assert [lake.count(table) for table in tables] == [20_000] * len(tables)
    # Who asks again gets the receipt and adds nothing.
    for table, upload in zip(tables, uploads, strict=True):
        assert lake.upload(table, body, key="k", format="csv")["upload_id"] == upload
        assert lake.count(table) == 20_000


def test_a_server_does_not_start_without_its_store(servers, environment, proxy):
    proxy.cut()
    started = time.monotonic()
    with pytest.raises(AssertionError, match="storage is not available"):
        servers.start(environment=environment)
    assert time.monotonic() - started < 2 * SOON_SECONDS

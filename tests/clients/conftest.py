"""What every test can ask for: the binary, servers, LocalStack, the flights."""

import os
import socket
from pathlib import Path

import boto3
import flights
import pytest
import requests
from sluice_client import Lake, new_table
from sluice_server import Process, Server, clean_environment, wait_for

PROJECT = Path(__file__).resolve().parents[2]
CREDENTIALS = {"region_name": "us-east-1", "aws_access_key_id": "test", "aws_secret_access_key": "test"}

# Servers on this machine are never behind a proxy, whatever the way to the package index is.
for name in ("NO_PROXY", "no_proxy"):
    os.environ[name] = "127.0.0.1,localhost"


class Servers:
    """Starts servers, and ends those that a test left running."""

    def __init__(self, binary, folder):
        self._binary = binary
        self._folder = folder
        self._started = []

    def start(self, data_dir=None, arguments=(), environment=None) -> Server:
        data_dir = data_dir or self._folder / f"data-{len(self._started)}"
        server = Server(self._binary, data_dir, arguments, environment)
        self._started.append(server)
        return server

    def log_tail(self):
        return "\n".join(server.log_tail() for server in self._started)

    def end(self):
        running = [server for server in self._started if server.running]
        for server in running:
            server.stop()


class LocalStack:
    """The real LocalStack on a port of its own."""

    def __init__(self, process, endpoint):
        self._process = process
        self.endpoint = endpoint

    def client(self, service):
        return boto3.client(service, endpoint_url=self.endpoint, **CREDENTIALS)

    def server_environment(self, raw_url, curated_url):
        """The settings that put a server's zones there."""
        return {
            "SLUICE_STORAGE__RAW_URL": raw_url,
            "SLUICE_STORAGE__CURATED_URL": curated_url,
            "SLUICE_STORAGE__S3__ENDPOINT": self.endpoint,
            "SLUICE_STORAGE__S3__REGION": CREDENTIALS["region_name"],
            "SLUICE_STORAGE__S3__ACCESS_KEY_ID": CREDENTIALS["aws_access_key_id"],
            "SLUICE_STORAGE__S3__SECRET_ACCESS_KEY": CREDENTIALS["aws_secret_access_key"],
            "SLUICE_STORAGE__S3__ALLOW_HTTP": "true",
        }

    def log_tail(self):
        return self._process.log_tail()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if report.failed:
        for name, value in item.funcargs.items():
            if hasattr(value, "log_tail"):
                report.sections.append((f"log of {name}", value.log_tail()))
    return report


@pytest.fixture(scope="session")
def cache_folder():
    default = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sluice"
    return Path(os.environ.get("SLUICE_CACHE") or default)


@pytest.fixture(scope="session")
def binary():
    """The server's binary, which the caller has built."""
    path = os.environ.get("SLUICE_BINARY")
    assert path and os.access(path, os.X_OK), "SLUICE_BINARY must name the binary (tests/run clients builds it)"
    return Path(path).resolve()


@pytest.fixture(scope="session")
def server(binary, tmp_path_factory):
    """One server for all tests that leave it as it is, on local folders."""
    servers = Servers(binary, tmp_path_factory.mktemp("server"))
    yield servers.start()
    servers.end()


@pytest.fixture
def servers(binary, tmp_path):
    """Servers of the test's own."""
    servers = Servers(binary, tmp_path)
    yield servers
    servers.end()


@pytest.fixture(scope="module")
def module_servers(binary, tmp_path_factory):
    """Servers that the tests of one file share."""
    servers = Servers(binary, tmp_path_factory.mktemp("servers"))
    yield servers
    servers.end()


@pytest.fixture
def lake(server):
    return Lake(server.url)


@pytest.fixture
def table():
    return new_table()


@pytest.fixture(scope="session")
def localstack(tmp_path_factory):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    kept = {name: value for name, value in os.environ.items() if name == "SLUICE_CACHE"}
    environment = clean_environment(PORT=str(port), LOCALSTACK_STATE=str(tmp_path_factory.mktemp("localstack")), **kept)
    process = Process([PROJECT / "localstack" / "start"], r"^Ready\.", environment)
    try:
        # The first start installs.
        process.wait_until_ready(300)
        endpoint = f"http://127.0.0.1:{port}"
        wait_for(lambda: requests.get(f"{endpoint}/_localstack/health", timeout=10).ok, 30, "LocalStack's health")
        yield LocalStack(process, endpoint)
    finally:
        process.stop()


@pytest.fixture(scope="session")
def flights_csv(cache_folder):
    return flights.fetch(cache_folder / "data")

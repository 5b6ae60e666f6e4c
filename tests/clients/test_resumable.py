"""Uploads in pieces by the protocol's own clients, with connections that are cut and servers that are killed."""

import io
import json
import os
import shutil
import subprocess
import threading
import urllib.parse
from pathlib import Path

import pytest
import requests
from cuttable_proxy import CuttableProxy
from sluice_client import Lake
from sluice_server import Process, wait_for
from tusclient.client import TusClient
from tusclient.exceptions import TusCommunicationError, TusUploadFailed

ROWS = 200_000
CHUNK_BYTES = 128 * 1024
JAVASCRIPT = Path(__file__).parent / "javascript"


@pytest.fixture(scope="module")
def file_bytes():
    return b"id,name\n" + b"".join(b"%d,name of %d\n" % (row, row) for row in range(ROWS))


@pytest.fixture
def proxy(servers):
    """A server, and a proxy before it whose address stays when the server is another."""
    server = servers.start()
    proxy = CuttableProxy(address_of(server))
    proxy.server = server
    yield proxy
    proxy.close()


def address_of(server):
    url = urllib.parse.urlsplit(server.url)
    return url.hostname, url.port


def uploader(server_url, file_bytes, table, key=None, **arguments):
    client = TusClient(f"{server_url}/api/v1/tus", headers={"Authorization": f"Bearer {key}"} if key else None)
    metadata = {"table": table, "filename": "names.csv", "filetype": "text/csv"}
    return client.uploader(
        file_stream=io.BytesIO(file_bytes), chunk_size=CHUNK_BYTES, metadata=metadata, **arguments
    )


def upload_id(url):
    return url.rsplit("/", 1)[1]


def outcome(lake, id):
    """The upload once it is over, told by its last event."""
    with lake.request("GET", f"/api/v1/uploads/{id}/events", stream=True) as events:
        assert events.status_code == 200
        lines = [line for line in events.iter_lines(decode_unicode=True) if line.startswith(("event:", "data:"))]
    name, data = lines[-2].removeprefix("event:").strip(), json.loads(lines[-1].removeprefix("data:"))
    assert name == data["status"] == data["progress"]["phase"]
    return data


def check_committed(lake, id, table, file_bytes):
    upload = outcome(lake, id)
    assert upload["receipt"]["rows_committed"] == ROWS, upload
    assert lake.get(f"/api/v1/uploads/{id}/content").content == file_bytes
    sql = f"SELECT count(*) AS n, count(DISTINCT id) AS d, sum(id) AS s FROM {table}"
    assert lake.row(sql) == {"n": ROWS, "d": ROWS, "s": ROWS * (ROWS - 1) // 2}


@pytest.mark.parametrize("checksum", [False, True])
def test_tuspy_uploads_a_file_in_pieces(server, lake, table, file_bytes, checksum):
    upload = uploader(server.url, file_bytes, table, upload_checksum=checksum)
    upload.upload(stop_at=3 * CHUNK_BYTES)
    id = upload_id(upload.url)
    view = lake.get(f"/api/v1/uploads/{id}").json()
    assert (view["status"], view["bytes_received"]) == ("receiving", 3 * CHUNK_BYTES)
    assert view["progress"] == {
        "phase": "receiving",
        "bytes_received": 3 * CHUNK_BYTES,
        "bytes_total": len(file_bytes),
        "rows": 0,
    }
    upload.upload()
    check_committed(lake, id, table, file_bytes)


def test_tuspy_goes_on_after_a_cut_connection(proxy, table, file_bytes):
    upload = uploader(proxy.endpoint, file_bytes, table)
    upload.upload(stop_at=CHUNK_BYTES)
    cut_in_a_piece(proxy, upload.url, CHUNK_BYTES, file_bytes)
    proxy.mend()
    resumed = uploader(proxy.endpoint, file_bytes, table, url=upload.url)
    assert resumed.offset == 3 * CHUNK_BYTES, "what came before the cut stays"
    resumed.upload()
    check_committed(Lake(proxy.server.url), upload_id(upload.url), table, file_bytes)


def cut_in_a_piece(proxy, url, offset, file_bytes):
    """Cut the connection of a piece that is to go on to the end of the file, after two chunks of it."""
    lake, id = Lake(proxy.server.url), upload_id(url)

    def received():
        return lake.get(f"/api/v1/uploads/{id}").json()["bytes_received"]

    def chunks():
        end = offset + 2 * CHUNK_BYTES
        yield file_bytes[offset:end]
        wait_for(lambda: received() == end, 60, "two chunks come in")
        proxy.cut()
        yield file_bytes[end:]

    headers = {
        "Tus-Resumable": "1.0.0",
        "Upload-Offset": str(offset),
        "Content-Type": "application/offset+octet-stream",
    }
    with pytest.raises(requests.RequestException):
        requests.patch(url, data=chunks(), headers=headers, timeout=60)
    # The server hears of the cut when it does; until then the piece is its own.
    wait_for(lambda: head_offset(lake, id) == offset + 2 * CHUNK_BYTES, 60, "the server keeps what came")


def head_offset(lake, id):
    response = lake.request("HEAD", f"/api/v1/tus/{id}", {"Tus-Resumable": "1.0.0"})
    return int(response.headers["Upload-Offset"])


@pytest.mark.parametrize("pieces", [1, 5, 20])
def test_tuspy_goes_on_after_a_killed_server(servers, table, file_bytes, pieces):
    server = servers.start()
    upload = uploader(server.url, file_bytes, table)
    upload.upload(stop_at=pieces * CHUNK_BYTES)
    server.kill()
    with pytest.raises((TusUploadFailed, TusCommunicationError)):
        upload.upload()
    server = servers.start(server.data_dir)
    path = urllib.parse.urlsplit(upload.url).path
    resumed = uploader(server.url, file_bytes, table, url=server.url + path)
    assert resumed.offset == pieces * CHUNK_BYTES, "what was acknowledged is there"
    resumed.upload()
    check_committed(Lake(server.url), upload_id(path), table, file_bytes)


def test_a_server_that_is_killed_at_any_moment_lands_the_file_once(servers, table, file_bytes):
    server, path, kills = servers.start(), None, 0
    for kill_after in (0, 3, 9, 17, 26):
        upload = uploader(server.url, file_bytes, table, url=path and server.url + path)
        sending = threading.Thread(target=send_until_it_fails, args=(upload,))
        sending.start()
        wait_for(lambda: not sending.is_alive() or upload.offset >= kill_after * CHUNK_BYTES, 60, "pieces go")
        server.kill()
        sending.join()
        kills += 1
        path = path or (upload.url and urllib.parse.urlsplit(upload.url).path)
        server = servers.start(server.data_dir)
    lake = Lake(server.url)
    resumed = uploader(server.url, file_bytes, table, url=path and server.url + path)
    resumed.upload()
    check_committed(lake, upload_id(resumed.url), table, file_bytes)
    assert os.listdir(server.data_dir / "partial") == []


def send_until_it_fails(upload):
    try:
        upload.upload()
    except (TusUploadFailed, TusCommunicationError):
        pass


def test_two_servers_share_an_upload(servers, table, file_bytes):
    first = servers.start()
    second = servers.start(first.data_dir)
    upload = uploader(first.url, file_bytes, table)
    upload.upload(stop_at=2 * CHUNK_BYTES)
    path = urllib.parse.urlsplit(upload.url).path
    uploader(second.url, file_bytes, table, url=second.url + path).upload(stop_at=4 * CHUNK_BYTES)
    last = uploader(first.url, file_bytes, table, url=first.url + path)
    assert last.offset == 4 * CHUNK_BYTES
    last.upload()
    check_committed(Lake(second.url), upload_id(path), table, file_bytes)


@pytest.fixture(scope="session")
def tus_js(cache_folder):
    """The folder of the script, with what it needs."""
    assert shutil.which("npm") and shutil.which("node"), "npm and node are needed"
    folder = cache_folder / "tus-js"
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "package-lock.json", "upload.js"):
        shutil.copy(JAVASCRIPT / name, folder / name)
    command = ["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=300)
    return folder


class Sending(Process):
    """tus-js-client that sends a file; what it says is kept."""

    def __init__(self, folder, endpoint, file, table):
        self.events = []
        command = ["node", "upload.js", f"{endpoint}/api/v1/tus", file, table, CHUNK_BYTES]
        super().__init__(command, r'"url"', dict(os.environ), cwd=folder)

    def accepted(self):
        events = [json.loads(line) for line in list(self._lines) if line.startswith("{")]
        return max((event.get("accepted", 0) for event in events), default=0)

    def url(self):
        return json.loads(self.wait_until_ready(120).string)["url"]


@pytest.mark.parametrize("trouble", ["none", "cut", "kill"])
def test_tus_js_client_goes_on_whatever_happens(servers, proxy, tus_js, tmp_path, table, file_bytes, trouble):
    file = tmp_path / "names.csv"
    file.write_bytes(file_bytes)
    sending = Sending(tus_js, proxy.endpoint, file, table)
    try:
        if trouble != "none":
            wait_for(lambda: sending.accepted() >= 3 * CHUNK_BYTES or not sending.running, 60, "pieces go")
            proxy.cut()
        if trouble == "kill":
            proxy.server.kill()
            proxy.server = servers.start(proxy.server.data_dir)
            proxy.turn_to(address_of(proxy.server))
        proxy.mend()
        id = upload_id(sending.url())
        assert sending.wait() == 0
    finally:
        if sending.running:
            sending.kill()
    check_committed(Lake(proxy.server.url), id, table, file_bytes)

"""The feed of changes told to webhooks: in order, signed, through failures and a killed server."""

import base64
import hashlib
import hmac
import http.server
import json
import os
import threading
import time

import pytest
from sluice_client import Lake, check_problem, new_table
from sluice_server import wait_for

WEBHOOKS = "/api/v1/changes/webhooks"
CSV = {"Content-Type": "text/csv"}


class Receiver:
    """A server that takes events, and answers as the test asks: with a status, or with those of a list first."""

    def __init__(self):
        self.requests, self.status, self.first, self.answer_headers = [], 204, [], {}
        self.hold = threading.Event()
        self.hold.set()
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status = receiver.first.pop(0) if receiver.first else receiver.status
                receiver.requests.append((time.monotonic(), status, dict(self.headers.items()), body))
                receiver.hold.wait(30)
                try:
                    self.send_response(status)
                    for name, value in receiver.answer_headers.items():
                        self.send_header(name, value)
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                except OSError:
                    pass  # Who asked is gone.

            def log_message(self, *_):
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.host = f"127.0.0.1:{self._server.server_port}"
        self.url = f"http://{self.host}/hook?token=t0ken"

    def taken(self):
        """The events of the requests that were answered with a success, in the order of arrival."""
        events = [json.loads(body) for _, status, _, body in list(self.requests) if status < 300]
        return [event for body in events for event in (body if isinstance(body, list) else [body])]

    def ids(self):
        return [int(event["id"]) for event in self.taken() if event["id"].isdecimal()]

    def end(self):
        self._server.shutdown()
        self._server.server_close()


class Told:
    """A server that may tell one receiver of changes."""

    def __init__(self, servers, folder, **settings):
        self.servers, self.folder, self.receiver = servers, folder, Receiver()
        lines = {"hosts": json.dumps([self.receiver.host]), "backoff_ms": 50, "timeout_seconds": 5, **settings}
        self.file = folder / "sluice.toml"
        text = "\n".join(f"{name} = {value}" for name, value in lines.items())
        self.file.write_text(f"[monitor.webhooks]\n{text}\n")
        self.start()

    def start(self):
        self.server = self.servers.start(self.folder / "data", ["--config", self.file])
        self.lake = Lake(self.server.url)

    def define(self, status=201, name="hook", **wish):
        body = {"url": self.receiver.url, **wish}
        response = self.lake.request("PUT", f"{WEBHOOKS}/{name}", json=body)
        assert response.status_code == status, response.text
        return response.json()

    def state(self, name="hook"):
        return self.lake.get(f"{WEBHOOKS}/{name}").json()

    def upload(self, table):
        self.lake.upload(table, b"id\n1\n", CSV)

    def feed(self):
        return self.lake.get("/api/v1/changes", params={"since": "0", "limit": 1000}).json()["items"]

    def wait_until_told(self):
        """Everything that happened was taken, or was not for it."""
        newest = self.feed()[-1]["id"]
        return wait_for(lambda: self.state()["position"] == newest and self.state(), 60, f"position {newest}")


@pytest.fixture
def told(servers, tmp_path):
    made = []

    def make(**settings):
        made.append(Told(servers, tmp_path, **settings))
        return made[-1]

    yield make
    for one in made:
        one.receiver.hold.set()
        one.receiver.end()


def test_events_come_in_order_as_the_feed_tells_them_and_signed(told):
    told = told()
    secret = base64.b64encode(os.urandom(32)).decode()
    table = new_table()
    told.upload(table)
    made = told.define(secret=f"whsec_{secret}", since="0")
    assert made["signed"] and made["state"] == "active"
    told.upload(table)
    told.upload(new_table())
    state = told.wait_until_told()
    assert told.receiver.taken() == told.feed(), "each event once, as the feed has it"
    assert state["last_delivered"]["event_id"] == state["position"] and "last_error" not in state
    for _, _, headers, body in told.receiver.requests:
        assert headers["content-type"] == "application/cloudevents+json"
        signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
        digest = hmac.new(base64.b64decode(secret), signed, hashlib.sha256).digest()
        assert headers["webhook-signature"] == f"v1,{base64.b64encode(digest).decode()}"
        assert abs(time.time() - int(headers["webhook-timestamp"])) < 60
    ids = [headers["webhook-id"] for _, _, headers, _ in told.receiver.requests]
    assert len(set(ids)) == len(ids)
    everything = told.lake.get(WEBHOOKS).text + told.lake.get(f"{WEBHOOKS}/hook").text + told.server.log_tail()
    assert secret not in everything
    assert told.define(200)["signed"], "it stays where nothing is said of it"
    assert not told.define(200, secret=None)["signed"]


def test_a_webhook_begins_now_and_hears_what_it_asks_for_in_batches(told):
    told = told()
    told.upload("before.t")
    told.define(types=["io.sluice.table.created", "upload.committed"], namespaces=["shop"], mode="batched")
    told.receiver.hold.clear()
    for table in ["shop.a", "hr.b", "shop.c", "shop.a"]:
        told.upload(table)
    told.receiver.hold.set()
    told.wait_until_told()
    heard = [(event["type"], event["subject"]) for event in told.receiver.taken()]
    created, committed = "io.sluice.table.created", "io.sluice.upload.committed"
    assert heard == [
        (created, "shop.a"), (committed, "shop.a"), (created, "shop.c"), (committed, "shop.c"), (committed, "shop.a"),
    ]  # fmt: skip
    for _, _, headers, body in told.receiver.requests:
        assert headers["content-type"] == "application/cloudevents-batch+json" and isinstance(json.loads(body), list)
        assert "webhook-signature" not in headers


def test_a_receiver_that_fails_first_gets_everything_in_order_and_by_the_same_ids(told):
    told = told()
    told.receiver.first = [503, 500, 302]
    told.define()
    told.upload(new_table())
    state = told.wait_until_told()
    ids = [int(event["id"]) for event in told.feed()]
    assert told.receiver.ids() == ids, "nothing overtakes what fails"
    tries = [headers["webhook-id"] for _, _, headers, _ in told.receiver.requests]
    assert tries[:4] == [tries[0]] * 4 and len(set(tries[3:])) == len(ids)
    assert state["state"] == "active" and state["attempts"] == 0 and "failing_since" not in state
    assert "302" in state["last_error"]["detail"] and "t0ken" not in state["last_error"]["detail"]


def test_a_killed_server_goes_on_where_it_was_and_loses_nothing(told):
    told = told()
    table = new_table()
    told.define()
    told.upload(table)
    told.wait_until_told()
    told.receiver.status = 503
    told.upload(table)
    told.upload(new_table())
    failing = wait_for(lambda: told.state()["state"] == "failing" and told.state(), 60, "it fails")
    assert "503" in failing["last_error"]["detail"] and failing["failing_since"]
    told.server.kill()
    told.receiver.status = 204
    told.start()
    told.wait_until_told()
    assert told.receiver.ids() == [int(event["id"]) for event in told.feed()]

    # Killed while a request is under way: whether it was taken nobody knows, so that it comes again.
    told.receiver.hold.clear()
    seen = len(told.receiver.requests)
    told.upload(table)
    wait_for(lambda: len(told.receiver.requests) > seen, 60, "a request is under way")
    told.server.kill()
    told.receiver.hold.set()
    told.start()
    told.wait_until_told()
    ids = told.receiver.ids()
    assert sorted(set(ids)) == [int(event["id"]) for event in told.feed()]
    assert ids == sorted(ids) and len(ids) == len(set(ids)) + 1, "one event came twice, and none too late"


def test_a_receiver_that_is_gone_is_told_nothing_until_it_is_defined_again(told):
    told = told()
    told.receiver.status = 410
    told.define()
    told.upload(new_table())
    state = wait_for(lambda: told.state()["state"] == "disabled" and told.state(), 60, "it is disabled")
    assert "410" in state["disabled_because"] and state["position"] == "0" and state["attempts"] == 1
    told.receiver.status = 204
    told.upload(new_table())
    told.define(name="other")
    told.upload(new_table())
    newest = told.feed()[-1]["id"]
    wait_for(lambda: told.state("other")["position"] == newest, 60, "the other is told")
    assert len([status for _, status, _, _ in told.receiver.requests if status == 410]) == 1
    assert told.state()["state"] == "disabled", "and is not tried again"
    told.lake.request("DELETE", f"{WEBHOOKS}/other").raise_for_status()
    told.receiver.requests.clear()
    assert told.define(200)["state"] == "active"
    told.wait_until_told()
    assert told.receiver.ids() == [int(event["id"]) for event in told.feed()], "from where it was"


def test_a_receiver_that_asks_to_wait_is_left_in_peace(told):
    told = told()
    told.receiver.first, told.receiver.answer_headers = [429], {"Retry-After": "3"}
    told.define()
    told.upload(new_table())
    told.wait_until_told()
    first, second = (at for at, *_ in told.receiver.requests[:2])
    assert 2.9 <= second - first < 30


def test_a_webhook_is_tried_by_a_button_and_refused_by_its_field(told):
    told = told()
    told.define()
    tried = told.lake.request("POST", f"{WEBHOOKS}/hook/test").json()
    assert tried == {"webhook": "hook", "delivered": True}
    (event,) = told.receiver.taken()
    assert (event["type"], event["subject"]) == ("io.sluice.webhook.test", "hook")
    told.receiver.status = 500
    tried = told.lake.request("POST", f"{WEBHOOKS}/hook/test").json()
    assert not tried["delivered"] and "500" in tried["detail"]
    assert told.state()["attempts"] == 0
    for wrong, status, word in [
        ({"url": "http://169.254.169.254/latest"}, 422, "url: the host 169.254.169.254:80"),
        ({"url": "file:///etc/passwd"}, 422, "url:"),
        ({"url": f"http://user:pa55@{told.receiver.host}/"}, 422, "url: credentials"),
        ({"url": told.receiver.url, "secret": "s3cret"}, 422, "secret:"),
        ({"url": told.receiver.url, "types": ["table.exploded"]}, 422, "types:"),
        ({"url": told.receiver.url, "namespaces": ["a b"]}, 422, "namespaces:"),
        ({"url": told.receiver.url, "since": "999"}, 422, "since:"),
        ({"url": told.receiver.url, "since": "x"}, 400, "since"),
        ({"url": told.receiver.url, "mode": "binary"}, 422, "mode"),
        ({"url": told.receiver.url, "strange": 1}, 422, "strange"),
    ]:
        check_problem(told.lake.request("PUT", f"{WEBHOOKS}/wrong", json=wrong), status, word)
    check_problem(told.lake.request("PUT", f"{WEBHOOKS}/a.b", json={"url": told.receiver.url}), 400)
    check_problem(told.lake.request("GET", f"{WEBHOOKS}/wrong"), 404)
    assert [one["name"] for one in told.lake.pages(WEBHOOKS)] == ["hook"]

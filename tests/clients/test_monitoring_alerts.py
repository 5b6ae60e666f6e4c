"""Alerts on their way to people: webhook, Slack, PagerDuty and e-mail, through failures and a restart."""

import json
import time
import uuid

import pytest
from alert_targets import Mailboxes, Target
from sluice_client import Lake, check_problem, new_table, table_path
from sluice_server import wait_for

ROUTING_KEY = "k3y-of-pagerduty"


class Watched:
    """A server whose alerts go to targets of the test."""

    def __init__(self, servers, folder, **settings):
        self.servers, self.folder = servers, folder
        self.hook, self.slack, self.pagerduty = Target(), Target(), Target()
        self.mail = Mailboxes(folder)
        self.file = folder / "sluice.toml"
        self.file.write_text(self._settings(**{"backoff_ms": 50, "dedup_seconds": 3600, **settings}))
        self.start()

    def _settings(self, **alerts):
        lines = [f"{name} = {value}" for name, value in {"timeout_seconds": 5, **alerts}.items()]
        return f"""
[monitor]
interval_seconds = 1
[monitor.alerts]
{chr(10).join(lines)}
[monitor.channels.hook]
type = "webhook"
url = "{self.hook.url}/hook"
headers = {{ Authorization = "Bearer h00k" }}
[monitor.channels.slack]
type = "slack"
url = "{self.slack.url}/services/s3cret"
[monitor.channels.pagerduty]
type = "pagerduty"
url = "{self.pagerduty.url}/v2/enqueue"
routing_key = "{ROUTING_KEY}"
[monitor.channels.email]
type = "email"
host = "127.0.0.1"
port = {self.mail.port}
ca_file = "{self.mail.ca_file}"
username = "{Mailboxes.USER}"
password = "{Mailboxes.PASSWORD}"
from = "alerts@example.com"
to = ["data-team@example.com"]
"""

    def start(self):
        self.server = self.servers.start(self.folder / "data", ["--config", self.file])
        self.lake = Lake(self.server.url)

    def restart(self):
        self.server.kill()
        self.start()

    def rule(self, name, status=201, **rule):
        response = self.lake.request("PUT", f"/api/v1/alerts/rules/{name}", json=rule)
        assert response.status_code == status, response.text
        return response.json()

    def alerts(self, subject):
        return list(self.lake.pages("/api/v1/alerts", subject=subject))

    def settled(self, subject, rule=None):
        """The only alert of a subject, and of a rule, once all its deliveries are settled."""

        def found():
            alerts = [alert for alert in self.alerts(subject) if rule in (None, alert["rule"])]
            done = alerts and all(way["state"] != "waiting" for way in alerts[0]["deliveries"])
            return alerts if done else None

        (alert,) = wait_for(found, 60, f"a settled alert of {subject}")
        return alert

    def end(self):
        for target in (self.hook, self.slack, self.pagerduty, self.mail):
            target.end()


@pytest.fixture
def watched(servers, tmp_path):
    made = []

    def make(**settings):
        made.append(Watched(servers, tmp_path, **settings))
        return made[-1]

    yield make
    for one in made:
        one.end()


def new_pipeline():
    return f"daily_etl_{uuid.uuid4().hex[:8]}"


def ways(alert):
    return {way["channel"]: way["state"] for way in alert["deliveries"]}


def test_a_failed_run_reaches_slack_pagerduty_and_mailboxes_in_their_shapes(watched):
    watched = watched()
    pipeline = new_pipeline()
    watched.rule(
        "failed", condition="pipeline_failed", severity="CRITICAL", channels=["hook", "slack", "pagerduty", "email"],
        pipeline=pipeline,
    )  # fmt: skip
    error = "<b>database</b> connection error"
    watched.lake.request("POST", "/api/v1/runs", json={"pipeline_name": pipeline, "status": "FAILED", "error": error})
    alert = watched.settled(pipeline, "failed")
    assert ways(alert) == dict.fromkeys(["email", "hook", "pagerduty", "slack"], "delivered")
    common = {"alert_type": "Pipeline Failure", "severity": "CRITICAL", "message": alert["message"]}
    (plain,) = [body for body in watched.hook.bodies() if body["message"] == alert["message"]]
    timestamp = plain.pop("timestamp")
    assert plain == common and error in alert["message"]
    assert watched.hook.headers[0]["Authorization"] == "Bearer h00k"
    fields = [("Alert Type", "Pipeline Failure", True), ("Timestamp", timestamp, True), ("Message", alert["message"], False)]
    attachment = {
        "color": "#ff0000",
        "title": "Data Pipeline Alert - CRITICAL",
        "fields": [{"title": title, "value": value, "short": short} for title, value, short in fields],
    }
    assert {"attachments": [attachment]} in watched.slack.bodies("/services/s3cret")
    assert watched.pagerduty.bodies("/v2/enqueue") == [
        {
            "routing_key": ROUTING_KEY,
            "event_action": "trigger",
            "payload": {
                "summary": "Data Pipeline Alert: Pipeline Failure",
                "source": "data-pipeline-monitor",
                "severity": "critical",
                "custom_details": {"message": alert["message"], "timestamp": timestamp},
            },
        }
    ]
    envelope, message = watched.mail.messages[0]
    assert envelope.rcpt_tos == ["data-team@example.com"]
    assert message["Subject"] == "Data Pipeline Alert - CRITICAL"
    html = message.get_body(("html",)).get_content()
    assert "&lt;b&gt;database&lt;/b&gt;" in html and "<b>" not in html


def test_a_warning_does_not_call_pagerduty_and_is_raised_once_in_its_window(watched):
    watched = watched()
    pipeline = new_pipeline()
    watched.rule("slow", condition="duration_seconds", threshold=60, channels=["hook", "pagerduty"], pipeline=pipeline)
    for _ in range(3):
        body = {"pipeline_name": pipeline, "status": "SUCCESS", "duration_seconds": 61}
        watched.lake.request("POST", "/api/v1/runs", json=body).raise_for_status()
    assert ways(watched.settled(pipeline, "slow")) == {"hook": "delivered"}
    # Whatever is judged later than those three tells that they were judged.
    other = new_pipeline()
    watched.rule("later", condition="pipeline_failed", channels=["hook"], pipeline=other)
    watched.lake.request("POST", "/api/v1/runs", json={"pipeline_name": other, "status": "FAILED"}).raise_for_status()
    watched.settled(other, "later")
    assert len(watched.alerts(pipeline)) == 1
    assert watched.pagerduty.received == []


def test_one_channel_that_is_down_stops_no_other_and_is_tried_again_after_a_restart(watched):
    watched = watched(backoff_ms=300, max_attempts=1000)
    watched.slack.status = 503
    pipeline = new_pipeline()
    channels = ["email", "hook", "slack"]
    watched.rule("failed", condition="pipeline_failed", channels=channels, pipeline=pipeline)
    body = {"pipeline_name": pipeline, "status": "FAILED"}
    watched.lake.request("POST", "/api/v1/runs", json=body).raise_for_status()

    def tried():
        alerts = [alert for alert in watched.alerts(pipeline) if alert["rule"] == "failed"]
        way = {way["channel"]: way for way in alerts[0]["deliveries"]} if alerts else {}
        others = way and way["email"]["state"] == way["hook"]["state"] == "delivered"
        return way["slack"] if others and way["slack"].get("detail") else None

    slack = wait_for(tried, 60, "the others are delivered while Slack is down")
    assert slack["state"] == "waiting" and "503" in slack["detail"] and "s3cret" not in slack["detail"]
    watched.restart()
    watched.slack.status = 200
    alert = watched.settled(pipeline, "failed")
    assert ways(alert) == dict.fromkeys(channels, "delivered")
    assert [way["attempts"] for way in alert["deliveries"] if way["channel"] == "slack"][0] > 1
    assert len([body for body in watched.hook.bodies() if pipeline in body["message"]]) == 1, "nobody hears it twice"


def test_a_channel_is_left_alone_for_as_long_as_it_asks(watched):
    watched = watched(backoff_ms=50, max_attempts=1000)
    watched.hook.status, watched.hook.retry_after = 429, "3"
    pipeline = new_pipeline()
    watched.rule("failed", condition="pipeline_failed", channels=["hook"], pipeline=pipeline)
    body = {"pipeline_name": pipeline, "status": "FAILED"}
    watched.lake.request("POST", "/api/v1/runs", json=body).raise_for_status()
    assert watched.hook.reached.wait(60)
    first = time.monotonic()
    watched.hook.status = 200
    (way,) = watched.settled(pipeline, "failed")["deliveries"]
    assert (way["state"], way["attempts"]) == ("delivered", 2)
    assert time.monotonic() - first > 2.5, "the wait of the settings is shorter"


def test_a_channel_that_stays_down_is_given_up_and_told(watched):
    watched = watched(max_attempts=2)
    watched.hook.status = 500
    pipeline = new_pipeline()
    watched.rule("failed", condition="pipeline_failed", channels=["hook"], pipeline=pipeline)
    body = {"pipeline_name": pipeline, "status": "FAILED"}
    watched.lake.request("POST", "/api/v1/runs", json=body).raise_for_status()
    (way,) = watched.settled(pipeline, "failed")["deliveries"]
    assert (way["state"], way["attempts"]) == ("failed", 2) and "500" in way["detail"]


def test_a_channel_is_tried_by_a_button_and_hides_its_secrets(watched):
    watched = watched()
    for channel in ("hook", "slack", "pagerduty", "email"):
        tried = watched.lake.request("POST", f"/api/v1/alerts/channels/{channel}/test").json()
        assert (tried["channel"], tried["delivered"]) == (channel, True), tried
    assert watched.pagerduty.bodies("/v2/enqueue")[0]["payload"]["severity"] == "critical"
    watched.slack.status = 404
    tried = watched.lake.request("POST", "/api/v1/alerts/channels/slack/test").json()
    assert not tried["delivered"] and "404" in tried["detail"]
    check_problem(watched.lake.request("POST", "/api/v1/alerts/channels/pigeon/test"), 404)
    rule = {"condition": "pipeline_failed", "channels": ["pigeon"]}
    check_problem(watched.lake.request("PUT", "/api/v1/alerts/rules/lost", json=rule), 422, "channels", "pigeon")
    everything = json.dumps([
        tried,
        watched.lake.get("/api/v1/alerts/channels").json(),
        watched.lake.get("/api/v1/alerts/rules").json(),
    ]) + watched.server.log_tail()  # fmt: skip
    for secret in ("s3cret", ROUTING_KEY, Mailboxes.PASSWORD, "h00k"):
        assert secret not in everything


def test_failed_uploads_stale_tables_and_missed_service_levels_raise_alerts(watched):
    watched = watched()
    lake, table = watched.lake, new_table()
    lake.upload(table, b"id\n1\n", {"Content-Type": "text/csv"})
    assert lake.send(table, b"id\nx\n", {"Content-Type": "text/csv"}).status_code == 422
    failed = watched.settled(table, "pipeline-failure")
    assert (failed["severity"], failed["alert_type"]) == ("CRITICAL", "Pipeline Failure")
    assert ways(failed) == {"email": "delivered", "slack": "delivered"}, "the rule that is there from the beginning"
    assert lake.request("PUT", f"{table_path(table)}/freshness", json={"expected_every": "1s"}).status_code == 201
    stale = watched.settled(table, "stale-data")
    assert "STALE" in stale["message"]
    assert lake.request("PUT", f"/api/v1/sla/definitions/{table}", json={}).status_code == 201
    watched.restart()
    missed = watched.settled(table, "sla-breach")
    assert "success rate is 50.00" in missed["message"]
    health = watched.lake.get("/api/v1/runs/health", params={"pipeline": table}).json()
    assert {alert["severity"] for alert in health["alerts"]} == {"CRITICAL", "WARNING"}


def test_a_failed_check_raises_an_alert_that_is_over_when_the_next_one_passes(watched):
    watched = watched()
    lake, table = watched.lake, new_table()
    lake.upload(table, b"id,n\n1,1\n", {"Content-Type": "text/csv"})
    rule = {
        "kind": "unexpected_rows_expectation",
        "kwargs": {"unexpected_rows_query": "SELECT * FROM {batch} WHERE n > 5"},
        "severity": "high",
    }
    path = f"{table_path(table)}/quality"
    lake.request("PUT", path, json={"name": "s", "rules": [rule]}).raise_for_status()
    lake.request("PATCH", table_path(table), json={"tags": ["gold"]}).raise_for_status()
    scope = {"namespace": table.split(".")[0], "tag": "gold"}
    watched.rule("gold", condition="quality_check_failed", min_rule_severity="high", channels=["hook"], **scope)
    watched.rule("silver", condition="quality_check_failed", channels=["hook"], tag="silver")
    check_problem(
        lake.request("PUT", "/api/v1/alerts/rules/x", json={"condition": "sla", "channels": [], "tag": "gold"}), 422, "tag"
    )
    check = lambda: lake.request("POST", f"{path}/check").json()  # noqa: E731
    lake.upload(table, b"id,n\n2,9\n", {"Content-Type": "text/csv"})
    for _ in range(2):
        assert check()["success"] is False
    alert = watched.settled(table, "gold")
    assert ways(alert) == {"hook": "delivered"} and "unexpected_rows_expectation (high)" in alert["message"]
    lake.request("POST", f"{table_path(table)}/uploads?format=csv&mode=overwrite", data=b"id,n\n1,1\n").raise_for_status()
    assert check()["success"] is True

    def over():
        return [alert for alert in watched.alerts(table) if alert["rule"] == "gold" and "resolved_at" in alert]

    assert len(wait_for(over, 60, "the alert is over")) == 1
    assert not [alert for alert in watched.alerts(table) if alert["rule"] == "silver"]


def test_rows_that_a_gate_blocks_raise_the_alert_of_their_suite(watched):
    watched = watched()
    lake, source, target = watched.lake, new_table(), new_table()
    lake.upload(source, b"id\n1\n", {"Content-Type": "text/csv"})
    body = {"sql": f"SELECT id FROM {source}", "target": target}
    pipeline = f"/api/v1/pipelines/{new_pipeline()}"
    wait = {"Prefer": "wait=60"}
    lake.request("PUT", pipeline, json=body).raise_for_status()
    assert lake.request("POST", f"{pipeline}/runs", wait).json()["status"] == "SUCCESS"
    rule = {"kind": "expect_column_values_to_be_between", "kwargs": {"column": "id", "max_value": 0}}
    lake.request("PUT", f"{table_path(target)}/quality", json={"name": "s", "rules": [rule]}).raise_for_status()
    lake.request("PUT", pipeline, json={**body, "gate": {"on_failure": "block"}}).raise_for_status()
    run = lake.request("POST", f"{pipeline}/runs", wait).json()
    assert run["status"] == "FAILED", run
    alert = watched.settled(target, "quality-check-failure")
    assert run["run_id"] in alert["message"] and "expect_column_values_to_be_between" in alert["message"], alert

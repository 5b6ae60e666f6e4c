"""Airflow has Sluice make the tables of the demo: each task is a run of a pipeline, triggered, polled, and safe to try again.

The key of a request makes it repeatable: a task that was cut off and is tried again finds the run that it began, and only a run
that failed is followed by another one. Put the file among Airflow's DAGs; SLUICE_SERVER and SLUICE_KEY say where and who.
"""

import os
import time
from datetime import datetime, timedelta, timezone

import requests
from airflow.sdk import dag, get_current_context, task
from airflow.sdk.exceptions import AirflowException

SERVER = os.environ.get("SLUICE_SERVER", "http://127.0.0.1:8080")
POLL_SECONDS = 5


def ask(method, path, headers=None):
    if key := os.environ.get("SLUICE_KEY"):
        headers = {**(headers or {}), "Authorization": f"Bearer {key}"}
    answer = requests.request(method, f"{SERVER}{path}", headers=headers, timeout=90)
    answer.raise_for_status()
    return answer


@task(retries=3, retry_delay=timedelta(minutes=5))
def run_pipeline(pipeline):
    context = get_current_context()
    for attempt in range(1, context["ti"].try_number + 1):
        headers = {"Idempotency-Key": f"{context['run_id']}/{pipeline}/{attempt}", "Prefer": "wait=30"}
        begun = ask("POST", f"/api/v1/pipelines/{pipeline}/runs", headers)
        run = begun.json()
        has_failed_before = run["status"] == "FAILED" and begun.headers.get("Idempotent-Replayed") == "true"
        if not has_failed_before:
            break
    while run["status"] == "RUNNING":
        time.sleep(POLL_SECONDS)
        run = ask("GET", f"/api/v1/runs/{run['run_id']}").json()
    if run["status"] not in ("SUCCESS", "WARNING"):
        raise AirflowException(f"{pipeline}: {run['status']}: {run.get('error')}")
    return {"run_id": run["run_id"], "rows_out": run["rows_out"], "version_out": run.get("version_out")}


@dag(schedule="0 6 * * *", start_date=datetime(2026, 1, 1, tzinfo=timezone.utc), catchup=False, max_active_runs=1)
def sluice_delays():
    departures = run_pipeline.override(task_id="departures")("departures")
    departures >> [run_pipeline.override(task_id=name)(name) for name in ("delays", "routes")]


sluice_delays()

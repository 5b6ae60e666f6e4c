"""What runs of pipelines leave in their targets, as other readers see it: histories, partitions, and gates."""

import random
import threading
import uuid
from datetime import datetime, timezone

import pytest
from other_readers import read_with_deltalake, read_with_duckdb
from sluice_client import ndjson, new_table, table_path
from test_pipelines import define, trigger


@pytest.fixture
def name():
    return f"p_{uuid.uuid4().hex[:12]}"


def began(run):
    return datetime.fromisoformat(run["started_at"]).astimezone(timezone.utc)


def test_a_history_is_what_every_run_saw(lake, name):
    """Rounds of changes, against the same in the plainest words; other readers see the same rows."""
    source, target, draws = new_table("raw"), new_table("curated"), random.Random(7)
    held, current = [], {}
    for round_number in range(6):
        rows = {key: draws.choice(["a", "b", None]) for key in draws.sample(range(40), 30)}
        mode = "overwrite" if round_number else "append"
        lake.upload(source, ndjson({"k": key, "v": value} for key, value in rows.items()), format="ndjson", mode=mode)
        if round_number == 0:
            sql = f"SELECT k, v FROM {source}"
            body = {"mode": "merge", "keys": ["k"], "scd": 2, "deletes": "close", "partition_by": ["is_current"]}
            define(lake, name, sql=sql, target=target, **body)
        run = trigger(lake, name)
        assert run["status"] == "SUCCESS", run
        for key in [key for key, (value, _) in current.items() if key not in rows or rows[key] != value]:
            value, since = current.pop(key)
            held.append((key, value, since, began(run)))
        current |= {key: (value, began(run)) for key, value in rows.items() if key not in current}
    expected = held + [(key, value, since, None) for key, (value, since) in current.items()]
    for read in (read_with_duckdb, read_with_deltalake):
        found = read(lake.describe(target)["location"]).to_pylist()
        assert all(row["is_current"] is (row["valid_to"] is None) for row in found)
        told = [(row["k"], row["v"], row["valid_from"], row["valid_to"]) for row in found]
        assert sorted(told, key=str) == sorted(expected, key=str)


def test_partitions_of_one_day_are_made_anew(lake, name):
    source, target = new_table("raw"), new_table("curated")
    rows = [{"day": f"2026-01-0{day}", "n": n} for day in (1, 2, 3) for n in range(100)]
    lake.upload(source, ndjson(rows), format="ndjson")
    sql = f"SELECT day, sum(n) AS total FROM {source} GROUP BY day"
    define(lake, name, sql=sql, target=target, mode="overwrite_partitions", partition_by=["day"])
    trigger(lake, name)
    late = [{"day": "2026-01-02", "n": 7}]
    lake.upload(source, ndjson(late), format="ndjson", mode="overwrite")
    assert trigger(lake, name)["rows_out"] == 1
    found = read_with_duckdb(lake.describe(target)["location"]).to_pylist()
    totals = {str(row["day"]): row["total"] for row in found}
    assert totals == {"2026-01-01": 4950, "2026-01-02": 7, "2026-01-03": 4950}


def test_no_reader_sees_rows_that_a_gate_blocks(lake, name):
    source, target = new_table("raw"), new_table("curated")
    lake.upload(source, ndjson({"n": n, "v": n} for n in range(100)), format="ndjson")
    body = {"sql": f"SELECT n, v FROM {source}", "target": target}
    define(lake, name, **body)
    trigger(lake, name)
    rule = {"kind": "expect_column_values_to_not_be_null", "kwargs": {"column": "v"}}
    response = lake.request("PUT", f"{table_path(target)}/quality", json={"name": "s", "rules": [rule]})
    assert response.status_code == 200, response.text
    bad = ({"n": n, "v": None if n % 50 == 0 else n} for n in range(50_000))
    lake.upload(source, ndjson(bad), format="ndjson", mode="overwrite")
    define(lake, name, gate={"on_failure": "block", "criticality": "critical"}, **body)
    seen, done = set(), threading.Event()

    def look():
        while not done.is_set():
            seen.add((lake.describe(target)["version"], lake.count(target)))

    reader = threading.Thread(target=look)
    reader.start()
    try:
        run = trigger(lake, name)
    finally:
        done.set()
        reader.join()
    assert (run["status"], run["quality"]["score"], run["quality"]["passed"]) == ("FAILED", 98.0, False), run
    assert seen == {(0, 100)}
    results = lake.get(f"{table_path(target)}/quality/results").json()["items"]
    assert [result["run_id"] for result in results] == [run["run_id"]]

"""Pipelines kept in files: what `sluice diff` shows and `sluice apply` does, with the binary as users start it."""

import subprocess
import uuid

import pytest
from sluice_client import ndjson, new_table


@pytest.fixture
def sluice(binary, server):
    def run(*arguments):
        command = [binary, *map(str, arguments), "--server", server.url]
        return subprocess.run(command, capture_output=True, text=True, timeout=60)

    return run


@pytest.fixture
def lake_file(lake, tmp_path):
    """A file with a pipeline over a table that is there; and the names of both."""
    source, name = new_table("raw"), f"p_{uuid.uuid4().hex[:12]}"
    lake.upload(source, ndjson({"id": n, "amount": n - 20} for n in range(100)), format="ndjson")
    path = tmp_path / "lake.yaml"
    path.write_text(
        f"pipelines:\n  {name}:\n    sql: |\n      SELECT id, amount\n      FROM {source}\n      WHERE amount > 0\n"
        f"    target: {new_table('curated')}\n"
    )
    return path, name, source


def test_a_file_becomes_a_pipeline_and_a_second_time_changes_nothing(lake, sluice, lake_file):
    path, name, source = lake_file
    before = sluice("diff", path)
    assert before.returncode == 1 and f"pipeline {name}: new" in before.stdout, before
    assert any(line.startswith("+") and "WHERE amount > 0" in line for line in before.stdout.splitlines()), before.stdout
    assert lake.request("GET", f"/api/v1/pipelines/{name}").status_code == 404, "a diff makes nothing"
    applied = sluice("apply", path)
    assert (applied.returncode, applied.stdout) == (0, f"pipeline {name}: new\n"), applied
    made = lake.get(f"/api/v1/pipelines/{name}").json()
    assert made["inputs"] == [source]
    assert sluice("diff", path).returncode == 0
    again = sluice("apply", path)
    assert (again.returncode, again.stdout) == (0, f"pipeline {name}: unchanged\n"), again
    assert lake.get(f"/api/v1/pipelines/{name}").json()["updated_at"] == made["updated_at"]


def test_a_diff_shows_the_line_that_changes(lake, sluice, lake_file):
    path, name, _ = lake_file
    assert sluice("apply", path).returncode == 0
    path.write_text(path.read_text().replace("amount > 0", "amount > 50") + "    retries: 1\n")
    told = sluice("diff", path)
    changed = [line[0] + line[1:].strip() for line in told.stdout.splitlines() if line[:1] in ("+", "-")]
    assert told.returncode == 1 and f"pipeline {name}: changed" in told.stdout, told
    assert set(changed) == {"-WHERE amount > 0", "+WHERE amount > 50", "-retries: 3", "+retries: 1"}, told.stdout
    assert sluice("apply", path).stdout == f"pipeline {name}: changed\n"
    assert lake.get(f"/api/v1/pipelines/{name}").json()["retries"] == 1


def test_toml_says_the_same(lake, sluice, lake_file, tmp_path):
    path, name, source = lake_file
    assert sluice("apply", path).returncode == 0
    made = lake.get(f"/api/v1/pipelines/{name}").json()
    toml = tmp_path / "lake.toml"
    toml.write_text(f'[pipelines.{name}]\nsql = """{made["sql"]}"""\ntarget = "{made["target"]}"\n')
    assert sluice("diff", toml).returncode == 0


def test_a_mistake_is_told_with_its_place_and_the_others_are_made(lake, sluice, lake_file):
    path, name, source = lake_file
    other = f"p_{uuid.uuid4().hex[:12]}"
    path.write_text(
        path.read_text() + f"  {other}:\n    sql: |\n      SELECT id,\n        amont\n      FROM {source}\n"
        f"    target: {new_table('curated')}\n"
    )
    applied = sluice("apply", path)
    assert applied.returncode == 1 and applied.stdout == f"pipeline {name}: new\n", applied
    assert f"pipeline {other}: " in applied.stderr and "line 2, column 3" in applied.stderr, applied.stderr
    broken = path.with_name("broken.yaml")
    broken.write_text("pipelines:\n  a: [1\n")
    told = sluice("apply", broken)
    assert told.returncode == 1 and "broken.yaml" in told.stderr and "line" in told.stderr, told.stderr


def test_what_reads_another_pipelines_table_may_stand_before_it(lake, sluice, lake_file):
    path, name, source = lake_file
    target = lake_target(path)
    first, second = f"a_{uuid.uuid4().hex[:12]}", new_table("curated")
    path.write_text(
        path.read_text() + f"  {first}:\n    sql: SELECT count(*) AS n FROM {target}\n    target: {second}\n"
    )
    applied = sluice("apply", path)
    assert applied.returncode == 0 and applied.stdout.count(": new\n") == 2, applied
    for pipeline in (name, first):
        ran = sluice("run", pipeline)
        assert ran.returncode == 0 and f"{pipeline}: SUCCESS" in ran.stdout, ran
    assert lake.rows(f"SELECT n FROM {second}") == [{"n": 79}]
    missing = sluice("run", "no_such_pipeline")
    assert missing.returncode == 1 and "no_such_pipeline" in missing.stderr, missing


def lake_target(path):
    return path.read_text().rsplit("target: ", 1)[1].strip()

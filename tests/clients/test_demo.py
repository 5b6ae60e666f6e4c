"""What `sluice demo` makes of the flights, beside the same SQL in DuckDB on the same CSV files."""

import subprocess
from datetime import datetime
from pathlib import Path

import pytest
import yaml
from other_readers import duckdb_connection
from sluice_client import Lake

DEMO = Path(__file__).parents[2] / "crates" / "sluice" / "demo"
SAMPLES = {
    "flights": "flights-2013-01.csv.gz",
    "airlines": "airlines.csv",
    "airports": "airports.csv.gz",
    "planes": "planes.csv.gz",
    "weather": "weather-2013-01.csv.gz",
}


@pytest.fixture(scope="module")
def pipelines():
    return yaml.safe_load((DEMO / "lake.yaml").read_text())["pipelines"]


@pytest.fixture(scope="module")
def demo(binary, tmp_path_factory):
    """The folder of a demo that went through, and what it said."""
    folder = tmp_path_factory.mktemp("demo") / "lake"
    command = [binary, "demo", "--once", "--data-dir", folder]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return folder, done.stdout


@pytest.fixture(scope="module")
def lake(demo, module_servers):
    return Lake(module_servers.start(data_dir=demo[0]).url)


@pytest.fixture(scope="module")
def duckdb(pipelines):
    connection = duckdb_connection()
    connection.execute("CREATE SCHEMA nyc; CREATE SCHEMA curated")
    for name, file in SAMPLES.items():
        connection.execute(f"CREATE VIEW nyc.{name} AS FROM read_csv('{DEMO / file}', nullstr = 'NA')")
    for name in ("departures", "delays", "routes"):
        connection.execute(f"CREATE VIEW curated.{name} AS {statement(pipelines[name])}")
    return connection


def statement(pipeline):
    """What a pipeline says, as one statement."""
    if "sql" in pipeline:
        return pipeline["sql"]
    dated, routes = pipeline["steps"]
    return f"WITH dated AS (SELECT {', '.join(dated['expressions'])} FROM {pipeline['inputs'][0]}) {routes['sql']}"


def plain(value):
    if isinstance(value, float):
        return round(value, 9)
    if isinstance(value, datetime):
        return value.replace(tzinfo=None)
    return value


def rows(connection, query):
    found = [tuple(plain(value) for value in row) for row in connection.execute(query).fetchall()]
    return sorted(found, key=lambda row: [(value is None, str(value)) for value in row])


@pytest.mark.parametrize(("name", "count"), [("departures", 27_004), ("delays", 16), ("routes", None)])
def test_the_tables_equal_what_duckdb_makes_of_the_files(lake, duckdb, pipelines, name, count):
    location = lake.describe(pipelines[name]["target"])["location"]
    columns = [row[0] for row in duckdb.execute(f"DESCRIBE curated.{name}").fetchall()]
    assert sorted(row[0] for row in duckdb.execute(f"DESCRIBE FROM delta_scan('{location}')").fetchall()) == sorted(columns)
    listed = ", ".join(f'"{column}"' for column in columns)
    ours = rows(duckdb, f"SELECT {listed} FROM delta_scan('{location}')")
    theirs = rows(duckdb, f"SELECT {listed} FROM curated.{name}")
    assert ours == theirs
    assert len(ours) > 1000 if count is None else len(ours) == count


def test_the_fleet_tells_what_aeroplanes_were(lake, duckdb):
    location = lake.describe("curated.fleet")["location"]
    told = rows(duckdb, f"SELECT tailnum, seats, is_current, valid_to IS NULL FROM delta_scan('{location}') "
                        "WHERE tailnum IN ('N10156', 'N102UW', 'N999SL')")
    assert told == [
        ("N10156", 50, True, True), ("N10156", 55, False, False),
        ("N102UW", 150, True, True), ("N102UW", 182, False, False),
        ("N999SL", 20, True, True),
    ]
    planes = duckdb.execute("SELECT count(*) FROM nyc.planes").fetchone()[0]
    found = duckdb.execute(f"SELECT count(*), count(*) FILTER (is_current) FROM delta_scan('{location}')").fetchone()
    assert found == (planes + 3, planes + 1)


def test_what_was_asked_for_is_said(demo):
    _, told = demo
    for line in ("sluice apply lake.yaml", "pipeline departures: new", "departures: SUCCESS", "Endeavor Air Inc.", "N999SL"):
        assert line in told, told

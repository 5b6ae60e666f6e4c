"""The catalog goes out of one database and into another one, by the command line."""

import json
import subprocess

import pytest
from sluice_client import Lake


def sluice(binary, *arguments):
    return subprocess.run([binary, *map(str, arguments)], capture_output=True, text=True, timeout=60)


@pytest.fixture
def exported(binary, servers, tmp_path):
    """A lake with a table, closed, and the export of its catalog."""
    server = servers.start(tmp_path / "lake")
    Lake(server.url).upload("shop.orders", b"id,email\n1,a@b\n2,c@d\n", format="csv")
    server.stop()
    done = sluice(binary, "catalog", "export", tmp_path / "lake.jsonl", "--data-dir", tmp_path / "lake")
    assert done.returncode == 0, done.stderr
    return tmp_path / "lake.jsonl"


def test_a_catalog_that_was_lost_is_back_after_an_import(binary, servers, exported, tmp_path):
    for file in (tmp_path / "lake").glob("catalog.db*"):
        file.unlink()
    done = sluice(binary, "catalog", "import", exported, "--data-dir", tmp_path / "lake")
    assert done.returncode == 0, done.stderr
    lake = Lake(servers.start(tmp_path / "lake").url)
    lake.upload("shop.orders", b"id,email\n3,e@f\n", format="csv")
    assert lake.rows("SELECT count(*) AS n, max(id) AS most FROM shop.orders") == [{"n": 3, "most": 3}]


def test_an_export_is_whole_and_overwrites_nothing(binary, exported, tmp_path):
    lines = [json.loads(line) for line in exported.read_text().splitlines()]
    assert lines[0] == {"sluice_catalog": {"form": 1}}
    assert lines[-1] == {"end": {"rows": len(lines) - 2}}
    again = sluice(binary, "catalog", "export", exported, "--data-dir", tmp_path / "lake")
    assert again.returncode == 1 and "is there already" in again.stderr


def test_what_is_cut_off_or_comes_too_late_is_not_imported(binary, exported, tmp_path):
    cut = tmp_path / "cut.jsonl"
    cut.write_text(exported.read_text()[:-20])
    done = sluice(binary, "catalog", "import", cut, "--data-dir", tmp_path / "new")
    assert done.returncode == 1 and "is cut off" in done.stderr, done.stderr
    assert sluice(binary, "catalog", "import", exported, "--data-dir", tmp_path / "new").returncode == 0
    done = sluice(binary, "catalog", "import", exported, "--data-dir", tmp_path / "new")
    assert done.returncode == 1 and "not a new one" in done.stderr, done.stderr

"""The served document holds: schemathesis makes requests from it and compares what comes back."""

import subprocess
import sys
from pathlib import Path

from sluice_client import Lake
from sluice_server import clean_environment

FOLDER = Path(__file__).parent
SEED = 20_130_101
BUDGET_SECONDS = 100
# A request can fit the document and still not be taken: a table that is not there, SQL that is not SQL, bytes that
# are no CSV. That such a request is answered as documented is what the other checks see to.
CANNOT_HOLD = "positive_data_acceptance"


def test_every_answer_is_as_documented(servers, tmp_path):
    server = servers.start()
    Lake(server.url).upload("nyc.flights", b"id,month\n1,1\n2,2\n", format="csv", partition_by="month")
    st = Path(sys.executable).with_name("st")
    command = [
        st, "--config-file", FOLDER / "schemathesis.toml", "run", f"{server.url}/openapi.json", "--checks", "all", "--exclude-checks", CANNOT_HOLD,
        "--phases", "examples,coverage,fuzzing", "--max-examples", "30", "--max-time", BUDGET_SECONDS,
        "--seed", SEED, "--generation-database", "none", "--request-timeout", "30", "--continue-on-failure",
        "--no-color", "--warnings", "off",
    ]  # fmt: skip
    command = [str(word) for word in command]
    environment = clean_environment(SCHEMATHESIS_HOOKS="schemathesis_hooks", PYTHONPATH=str(FOLDER))
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=2 * BUDGET_SECONDS, cwd=tmp_path, env=environment
    )
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-5_000:]
    assert server.running
    assert Lake(server.url).get("/readyz").status_code == 200

"""F7: many clients send the first upload of one table at the same moment; one of them makes the table, and all are in it.

An upload both makes its table and adds to it, so all of them succeed. Exactly one version 0 exists, it alone carries a
`metaData` action, and one receipt alone names it.
"""

import json
import threading
from pathlib import Path
from urllib.parse import unquote, urlparse

from clients import Crowd, deliver
from model import FORMATS, Model
from server import table_path

CLIENTS = 16
SHORT_ROUNDS, LONG_ROUNDS = 20, 100
ROUND_SECONDS = 60


def race(site, uploads):
    """All of them at once."""
    gate = threading.Barrier(len(uploads))
    for upload in uploads:
        upload.encode()

    def work(number):
        gate.wait(ROUND_SECONDS)
        deliver(site, uploads[number], number)

    Crowd(len(uploads), work).start().join(ROUND_SECONDS)


def commits_with(location, action):
    """The versions whose commit has the action."""
    log = Path(unquote(urlparse(location).path)) / "_delta_log"
    found = []
    for commit in sorted(log.glob("[0-9]*.json")):
        actions = [json.loads(line) for line in commit.read_text().splitlines()]
        found += [int(commit.stem) for body in actions if action in body]
    return found


def measure(run):
    rounds = LONG_ROUNDS if run.long else SHORT_ROUNDS
    model, site = Model(run.random("F7")), run.site("F7", servers=run.servers)
    site.start()
    several_creators = several_metadata = several_schemas = 0
    for number in range(rounds):
        table = f"creates.round_{number}"
        uploads = [model.new(table, 200, 2000, format=FORMATS[client % len(FORMATS)]) for client in range(CLIENTS)]
        race(site, uploads)
        several_creators += [upload.receipt["version"] for upload in uploads].count(0) != 1
        several_metadata += commits_with(site.lake.describe(table)["location"], "metaData") != [0]
        history = list(site.lake.pages(f"{table_path(table)}/schema/history"))
        several_schemas += len(history) != 1
    run.report.at_least("F7.creates", len(model.uploads), rounds * CLIENTS)
    run.report.equal("F7.rounds_without_exactly_one_creator", several_creators, 0)
    run.report.equal("F7.rounds_without_exactly_one_metadata", several_metadata, 0)
    run.report.equal("F7.rounds_without_exactly_one_schema", several_schemas, 0)
    run.judge("F7", site, model)
    site.stop()

#!/usr/bin/env python3
"""How long questions about lineage take in a lake with many edges.

Usage: lineage.py --binary target/release/sluice [--edges 100000] [--questions 500]
                                                                         (with the Python of the client tests)

Events of OpenLineage tell of domains of eleven layers of ten tables: each table of a layer is made of all ten of the
layer before, so that 100,000 edges, with as many between columns, are a hundred domains. Then a client asks, one question
after the other over a kept connection, about tables and columns at the beginning of a domain: what depends on the column
through all layers (a hundred columns, a thousand steps), the graph of the table through three layers and through all.
"""

import argparse
import json
import math
import os
import random
import statistics
import sys
import tempfile
import threading
import time
import uuid
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "clients"))

import requests  # noqa: E402
from sluice_server import Server  # noqa: E402

WIDTH, LAYERS, CLIENTS = 10, 11, 8


def table(domain, layer, number):
    return f"d{domain}.l{layer}_{number}"


def event(domain, layer):
    """The job that makes one layer of the one before."""
    inputs = [{"namespace": "sluice", "name": table(domain, layer, number)} for number in range(WIDTH)]
    step = [{"type": "DIRECT", "subtype": "TRANSFORMATION", "masking": False}]
    fields = {"c": {"inputFields": [{**source, "field": "c", "transformations": step} for source in inputs]}}
    outputs = [
        {"namespace": "sluice", "name": table(domain, layer + 1, number), "facets": {"columnLineage": {"fields": fields}}}
        for number in range(WIDTH)
    ]
    return {
        "eventType": "COMPLETE", "eventTime": "2026-01-02T03:04:05Z", "producer": "https://example.org/bench",
        "schemaURL": "https://openlineage.io/spec/2-0-2/OpenLineage.json", "run": {"runId": str(uuid.uuid4())},
        "job": {"namespace": "bench", "name": f"d{domain}_l{layer}"}, "inputs": inputs, "outputs": outputs,
    }  # fmt: skip


def tell(url, domains):
    """Send every event, and make the tables that are asked about; the edges there are then."""
    jobs = [(domain, layer) for domain in range(domains) for layer in range(LAYERS - 1)]
    lock, failures = threading.Lock(), []

    def work():
        session = requests.Session()
        while True:
            with lock:
                if not jobs or failures:
                    return
                domain, layer = jobs.pop()
            answers = [session.post(f"{url}/api/v1/lineage", json=event(domain, layer), timeout=120)]
            if layer == 0:
                path = f"/api/v1/tables/d{domain}/l0_0/uploads?format=csv"
                answers.append(session.post(url + path, data=b"c\n1\n", timeout=120))
            failures.extend(answer.text for answer in answers if answer.status_code != 201)

    threads = [threading.Thread(target=work) for _ in range(CLIENTS)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert not failures, failures[0]
    return domains * (LAYERS - 1) * WIDTH * WIDTH


def ask(url, domains, questions, query, check):
    """The times of the answers, in milliseconds."""
    session, times = requests.Session(), []
    for _ in range(questions):
        path = f"/api/v1/tables/d{random.randrange(domains)}/l0_0/lineage?{query}"
        begun = time.perf_counter()
        answer = session.get(url + path, timeout=120)
        body = answer.content
        times.append((time.perf_counter() - begun) * 1000)
        assert answer.status_code == 200, answer.text
        check(json.loads(body))
    return sorted(times)


def whole_impact(answer):
    assert len(answer["impact"]["downstream"]) == WIDTH * (LAYERS - 1), answer
    assert not answer["truncated"]


def near_graph(answer):
    assert len(answer["flows"]) == WIDTH + 2 * WIDTH * WIDTH and not answer["truncated"]


def whole_graph(answer):
    assert len(answer["flows"]) == WIDTH + (LAYERS - 2) * WIDTH * WIDTH and not answer["truncated"]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--binary", type=Path, default=os.environ.get("SLUICE_BINARY"), required=False)
    parser.add_argument("--edges", type=int, default=100_000)
    parser.add_argument("--questions", type=int, default=500)
    options = parser.parse_args()
    domains = math.ceil(options.edges / ((LAYERS - 1) * WIDTH * WIDTH))
    with tempfile.TemporaryDirectory(prefix="sluice-bench-") as folder:
        server = Server(options.binary, Path(folder) / "lake")
        try:
            begun = time.perf_counter()
            edges = tell(server.url, domains)
            seconds = time.perf_counter() - begun
            print(f"{edges} edges between tables and as many between columns told in {seconds:.0f} s\n")
            print(f"{'question':<34}{'p50 ms':>9}{'p99 ms':>9}{'max ms':>9}")
            for name, query, check in (
                ("impact of a column, all layers", "column=c&depth=50", whole_impact),
                ("graph downstream, 3 layers", "direction=downstream&depth=3", near_graph),
                ("graph downstream, all layers", "direction=downstream&depth=50", whole_graph),
            ):
                times = ask(server.url, domains, options.questions, query, check)
                p99 = times[min(len(times) - 1, math.ceil(len(times) * 0.99) - 1)]
                print(f"{name:<34}{statistics.median(times):>9.1f}{p99:>9.1f}{times[-1]:>9.1f}", flush=True)
        finally:
            server.stop()


if __name__ == "__main__":
    main()

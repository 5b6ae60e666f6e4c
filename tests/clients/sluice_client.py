"""The HTTP interface as the tests call it: every answer is checked for its status before it is used."""

import json
import uuid

import requests

TIMEOUT_SECONDS = 120
PROBLEM_FIELDS = {"type", "title", "status", "detail", "instance", "request_id"}
RECEIPT_FIELDS = {
    "upload_id", "table", "version", "format", "bytes_received", "sha256", "rows_received", "rows_committed",
    "rows_quarantined", "rows_deduplicated", "rows_rejected", "landed_at", "committed_at", "raw_object", "duration_ms",
}  # fmt: skip


def new_table(namespace="test"):
    """A table name that nobody has used."""
    return f"{namespace}.t_{uuid.uuid4().hex[:12]}"


def table_path(table):
    namespace, name = table.split(".", 1)
    return f"/api/v1/tables/{namespace}/{name}"


def check_receipt(receipt):
    """What holds for every receipt."""
    assert RECEIPT_FIELDS <= receipt.keys(), RECEIPT_FIELDS - receipt.keys()
    parts = ("rows_committed", "rows_quarantined", "rows_deduplicated", "rows_rejected")
    assert receipt["rows_received"] == sum(receipt[part] for part in parts)
    return receipt


def check_problem(response, statuses, *words):
    """The problem, which has all fields, one of the statuses, and the words in its detail."""
    statuses = {statuses} if isinstance(statuses, int) else set(statuses)
    assert response.status_code in statuses, f"{response.status_code}: {response.text[:1000]}"
    assert response.headers["Content-Type"].startswith("application/problem+json"), response.headers
    problem = response.json()
    assert PROBLEM_FIELDS <= problem.keys(), PROBLEM_FIELDS - problem.keys()
    assert problem["status"] == response.status_code
    for word in words:
        assert word.lower() in problem["detail"].lower(), f"{word!r} is not in {problem['detail']!r}"
    return problem


class Lake:
    """One server, seen by one caller. Safe to use from several threads."""

    def __init__(self, url, key=None):
        self.url = url
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}

    def request(self, method, path, headers=None, **arguments):
        arguments.setdefault("timeout", TIMEOUT_SECONDS)
        return requests.request(method, self.url + path, headers={**self._headers, **(headers or {})}, **arguments)

    def get(self, path, status=200, **arguments):
        response = self.request("GET", path, **arguments)
        assert response.status_code == status, f"GET {path}: {response.status_code} {response.text[:1000]}"
        return response

    def pages(self, path, **params):
        """Every entry of a listing, page by page."""
        token = None
        while True:
            page = self.get(path, params={**params, **({"page_token": token} if token else {})}).json()
            yield from page["items"]
            token = page.get("next_page_token")
            if not token:
                return

    def send(self, table, body, headers=None, key=None, **params):
        """The answer to an upload of a raw body, whatever it is."""
        headers = {**({"Idempotency-Key": key} if key else {}), **(headers or {})}
        return self.request("POST", f"{table_path(table)}/uploads", headers, data=body, params=params)

    def upload(self, table, body, headers=None, key=None, **params):
        """The receipt of an upload that must be taken."""
        response = self.send(table, body, headers, key, **params)
        assert response.status_code == 201, f"{response.status_code}: {response.text[:1000]}"
        return check_receipt(response.json())

    def describe(self, table, status=200):
        return self.get(table_path(table), status).json()

    def send_query(self, sql, accept="application/json", **fields):
        return self.request("POST", "/api/v1/queries", {"Accept": accept}, json={"sql": sql, **fields})

    def query(self, sql, **fields):
        response = self.send_query(sql, **fields)
        assert response.status_code == 200, f"{sql}: {response.status_code} {response.text[:1000]}"
        return response.json()

    def rows(self, sql, **fields):
        """The rows of an answer, each an object by column name."""
        answer = self.query(sql, **fields)
        assert not answer["truncated"], sql
        return answer["rows"]

    def row(self, sql, **fields):
        """The only row of an answer."""
        (row,) = self.rows(sql, **fields)
        return row

    def count(self, table):
        return self.row(f"SELECT count(*) AS n FROM {table}")["n"]


def ndjson(rows):
    return "".join(json.dumps(row) + "\n" for row in rows).encode()

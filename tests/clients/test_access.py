"""Bearer keys: who is not known, who may not, and what does not exist for somebody."""

import hashlib

import pytest
from sluice_client import Lake, check_problem, table_path

KEYS = {
    "admin": ('["read", "append", "manage"]', None),
    "loader": ('["read", "append"]', '["nyc"]'),
    "reader": ('["read"]', '["nyc"]'),
}


def secret(name):
    return f"{name}-secret-of-the-tests"


@pytest.fixture(scope="module")
def url(module_servers, tmp_path_factory):
    """A server with keys, and with one table that only the administrator sees."""
    lines = []
    for name, (actions, namespaces) in KEYS.items():
        digest = hashlib.sha256(secret(name).encode()).hexdigest()
        lines += ["[[auth.keys]]", f'name = "{name}"', f'secret_sha256 = "{digest}"', f"actions = {actions}"]
        lines += [f"namespaces = {namespaces}"] if namespaces else []
    config = tmp_path_factory.mktemp("access") / "sluice.toml"
    config.write_text("\n".join(lines) + "\n")
    url = module_servers.start(arguments=["--config", config]).url
    admin = Lake(url, secret("admin"))
    admin.upload("hr.salaries", b"id,salary\n1,100\n", format="csv")
    admin.upload("nyc.rides", b"id\n1\n", format="csv")
    return url


@pytest.fixture
def callers(url):
    return {name: Lake(url, secret(name)) for name in KEYS}


@pytest.mark.parametrize("key", [None, "wrong", "", secret("admin") + "x", "ü"])
def test_nobody_gets_in_without_a_key(url, key):
    stranger = Lake(url)
    headers = {"Authorization": f"Bearer {key}".encode()} if key is not None else {}
    for method, path in (
        ("GET", "/api/v1/tables"),
        ("GET", "/api/v1/namespaces"),
        ("GET", table_path("nyc.rides")),
        ("POST", f"{table_path('nyc.rides')}/uploads?format=csv"),
        ("POST", "/api/v1/queries"),
        ("DELETE", table_path("nyc.rides")),
    ):
        answer = stranger.request(method, path, headers)
        check_problem(answer, 401)
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")


def test_another_scheme_is_no_key(url):
    check_problem(Lake(url).request("GET", "/api/v1/tables", auth=("admin", secret("admin"))), 401)


def test_health_needs_no_key(url):
    for path in ("/healthz", "/readyz"):
        assert Lake(url).get(path).status_code == 200


def test_a_reader_reads_and_no_more(callers):
    reader, path = callers["reader"], table_path("nyc.rides")
    assert reader.rows("SELECT id FROM nyc.rides") == [{"id": 1}]
    check_problem(reader.send("nyc.rides", b"id\n2\n", format="csv"), 403)
    check_problem(reader.send("nyc.fresh", b"id\n2\n", format="csv"), 403)
    check_problem(reader.request("PATCH", path, json={"description": "mine"}), 403)
    check_problem(reader.request("DELETE", path), 403)
    assert callers["admin"].count("nyc.rides") == 1


def test_a_loader_adds_and_does_not_delete(callers):
    loader = callers["loader"]
    loader.upload("nyc.loaded", b"id\n1\n", format="csv")
    assert loader.describe("nyc.loaded")["owner"] == "loader"
    check_problem(loader.request("DELETE", table_path("nyc.loaded")), 403)
    assert callers["admin"].request("DELETE", table_path("nyc.loaded")).status_code == 204


@pytest.mark.parametrize("name", ["loader", "reader"])
def test_what_lies_elsewhere_does_not_exist(callers, name):
    caller, path = callers[name], table_path("hr.salaries")
    for method, tail in (("GET", ""), ("GET", "/preview"), ("GET", "/uploads"), ("POST", "/uploads?format=csv")):
        check_problem(caller.request(method, path + tail), 404)
    check_problem(caller.send("hr.salaries", b"id,salary\n2,1\n", format="csv"), 404)
    assert [view["name"] for view in caller.pages("/api/v1/namespaces")] == ["nyc"]
    assert not [view for view in caller.pages("/api/v1/tables") if view["name"].startswith("hr.")]
    assert callers["admin"].count("hr.salaries") == 1


def test_uploads_of_others_do_not_exist(callers):
    (upload,) = callers["admin"].pages(f"{table_path('hr.salaries')}/uploads")
    for tail in ("", "/content"):
        path = f"/api/v1/uploads/{upload['upload_id']}{tail}"
        assert callers["admin"].get(path).status_code == 200
        check_problem(callers["reader"].request("GET", path), 404)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM {}",
        "SELECT (SELECT max(id) FROM {}) AS x FROM nyc.rides",
        "WITH hidden AS (SELECT * FROM {}) SELECT * FROM hidden",
        "SELECT r.id FROM nyc.rides r JOIN {} s ON r.id = s.id",
        "SELECT id FROM nyc.rides WHERE EXISTS (SELECT 1 FROM {})",
        "SELECT id FROM nyc.rides UNION ALL SELECT id FROM {}",
    ],
)
def test_sql_cannot_tell_a_hidden_table_from_none(callers, sql):
    answers = [callers["reader"].send_query(sql.format(table)) for table in ("hr.salaries", "hr.absentee")]
    hidden, absent = (check_problem(answer, range(400, 500)) for answer in answers)
    assert (hidden["status"], hidden["type"]) == (absent["status"], absent["type"])
    assert hidden["detail"].replace("salaries", "absentee") == absent["detail"]


def test_a_key_of_another_caller_replays_nothing(callers):
    arguments = {"key": "the-same-key", "format": "csv"}
    first = callers["admin"].upload("nyc.keyed", b"id\n1\n", **arguments)
    second = callers["loader"].upload("nyc.keyed", b"id\n1\n", **arguments)
    assert second["upload_id"] != first["upload_id"]
    assert callers["admin"].count("nyc.keyed") == 2

"""Lineage, as the clients of OpenLineage report and read it."""

import hashlib
import json
import uuid
from datetime import datetime, timedelta, timezone

import pytest
import requests
from openlineage.client import OpenLineageClient
from openlineage.client.event_v2 import (
    DatasetEvent,
    InputDataset,
    Job,
    JobEvent,
    OutputDataset,
    Run,
    RunEvent,
    RunState,
    StaticDataset,
)
from openlineage.client.facet_v2 import (
    column_lineage_dataset as columns,
    dataset_version_dataset,
    error_message_run,
    output_statistics_output_dataset,
    ownership_dataset,
    symlinks_dataset,
)
from openlineage.client.transport.http import HttpConfig, HttpTransport
from sluice_client import Lake, check_problem, new_table, table_path

PRODUCER = "https://example.org/tests"
SECRET = "jobs-secret-of-the-tests"
START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)


@pytest.fixture(scope="module")
def keyed(module_servers, tmp_path_factory):
    """A server that wants keys, seen by the holder of one."""
    digest = hashlib.sha256(SECRET.encode()).hexdigest()
    config = tmp_path_factory.mktemp("lineage") / "sluice.toml"
    config.write_text(
        f'[[auth.keys]]\nname = "jobs"\nsecret_sha256 = "{digest}"\nactions = ["read", "append", "manage"]\n'
    )
    return Lake(module_servers.start(arguments=["--config", config]).url, SECRET)


def client_of(lake, key=None):
    """The client as its manual configures it for Marquez."""
    config = {"url": lake.url, "endpoint": "api/v1/lineage"}
    if key:
        config["auth"] = {"type": "api_key", "apiKey": key}
    return OpenLineageClient(transport=HttpTransport(HttpConfig.from_dict(config)))


def flows_of(lake, asset, **params):
    return lake.get("/api/v1/lineage", params={"asset": asset, **params}).json()["items"]


def moment(seconds):
    return (START + timedelta(seconds=seconds)).isoformat()


class Story:
    """A run that reads a database and writes a table, with everything that events can tell of columns."""

    def __init__(self, table, run_id=None):
        self.run = Run(runId=run_id or str(uuid.uuid4()))
        self.job = Job(namespace="airflow", name=f"daily.{table}")
        source = ("postgres://db:5432", "shop.public.orders")
        self.inputs = [
            InputDataset(
                *source, facets={"version": dataset_version_dataset.DatasetVersionDatasetFacet(datasetVersion="12")}
            )
        ]
        amount = columns.InputField(
            *source, "amount", [columns.Transformation(type="DIRECT", subtype="AGGREGATION", masking=False)]
        )
        day = columns.InputField(*source, "day", [columns.Transformation(type="INDIRECT", subtype="GROUP_BY")])
        facet = columns.ColumnLineageDatasetFacet(
            fields={"total": columns.Fields(inputFields=[amount])}, dataset=[day]
        )
        self.outputs = [
            OutputDataset(
                "sluice",
                table,
                facets={
                    "columnLineage": facet,
                    "version": dataset_version_dataset.DatasetVersionDatasetFacet(datasetVersion="0"),
                    "ownership": ownership_dataset.OwnershipDatasetFacet(
                        owners=[ownership_dataset.Owner(name="team:data")]
                    ),
                },
                outputFacets={
                    "outputStatistics": output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(rowCount=7)
                },
            )
        ]

    def event(self, state, seconds, **sides):
        return RunEvent(
            eventType=state, eventTime=moment(seconds), run=self.run, job=self.job, producer=PRODUCER, **sides
        )

    def events(self):
        return [
            self.event(RunState.START, 0, inputs=self.inputs),
            self.event(RunState.RUNNING, 1),
            self.event(RunState.COMPLETE, 2, outputs=self.outputs),
        ]


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_a_run_is_reported_by_the_client_in_any_order(keyed, order):
    table = new_table()
    keyed.upload(table, b"total\n1\n", format="csv")
    story, client = Story(table), client_of(keyed, SECRET)
    events = story.events()
    for at in order:
        client.emit(events[at])
        client.emit(events[at])
    (flow,) = flows_of(keyed, table)
    assert flow["source"] == {"namespace": "postgres://db:5432", "name": "shop.public.orders"}
    assert flow["target"] == {"namespace": "sluice", "name": table}
    assert (flow["source_version"], flow["target_version"]) == (12, 0)
    assert (flow["run"]["run_id"], flow["run"]["state"]) == (story.run.runId, "COMPLETE")
    lineage = keyed.get(f"{table_path(table)}/lineage", params={"columns": "true"}).json()
    (flow,) = (flow for flow in lineage["flows"] if flow["origin"] == "openlineage")
    assert flow["technical"]["schema_version"] == 1
    assert flow["business"]["data_owner"] == "team:data"
    assert flow["operational"] == {"processing_time": 2000, "quality_score": None, "record_count": 7}
    assert sorted((edge["source"], edge["target"], edge["kind"], edge["subtype"]) for edge in flow["columns"]) == [
        ("amount", "total", "DIRECT", "AGGREGATION"),
        ("day", "total", "INDIRECT", "GROUP_BY"),
    ]
    kept = keyed.get(f"/api/v1/lineage/runs/{story.run.runId}/events").json()["items"]
    assert [entry["event"]["eventType"] for entry in kept] == ["START", "RUNNING", "COMPLETE"]
    assert kept[2]["event"]["outputs"][0]["facets"]["ownership"]["owners"][0]["name"] == "team:data"


def test_the_client_needs_a_key_where_there_are_keys(keyed):
    for key in (None, "wrong"):
        with pytest.raises(requests.HTTPError, match="401"):
            client_of(keyed, key).emit(Story(new_table()).event(RunState.START, 0))


@pytest.mark.parametrize("state", [RunState.ABORT, RunState.FAIL])
def test_a_run_that_did_not_end_well_says_so(lake, state):
    table, client = new_table(), client_of(lake)
    story = Story(table)
    failure = error_message_run.ErrorMessageRunFacet(message="boom", programmingLanguage="python")
    client.emit(story.event(RunState.START, 0, inputs=story.inputs, outputs=story.outputs))
    story.run = Run(runId=story.run.runId, facets={"errorMessage": failure})
    client.emit(story.event(state, 3))
    client.emit(story.event(RunState.RUNNING, 9))
    (flow,) = flows_of(lake, table)
    assert flow["run"]["state"] == state.value


def test_jobs_and_datasets_are_reported_without_runs(lake):
    table, client = new_table(), client_of(lake)
    story = Story(table)
    client.emit(
        JobEvent(eventTime=moment(0), job=story.job, inputs=story.inputs, outputs=story.outputs, producer=PRODUCER)
    )
    (flow,) = flows_of(lake, table)
    assert "run" not in flow and flow["transformation"] == f"airflow/daily.{table}"
    other = new_table()
    dataset = StaticDataset("sluice", other, facets=story.outputs[0].facets)
    client.emit(DatasetEvent(eventTime=moment(1), dataset=dataset, producer=PRODUCER))
    (flow,) = flows_of(lake, other)
    assert flow["source"]["name"] == "shop.public.orders"


def test_datasets_at_a_tables_location_are_the_table(lake):
    table, client = new_table(), client_of(lake)
    lake.upload(table, b"total\n1\n", format="csv")
    path = lake.describe(table)["location"].removeprefix("file://").rstrip("/")
    link = symlinks_dataset.Identifier(namespace="file", name=path, type="LOCATION")
    story = Story(table)
    for number, output in enumerate(
        (
            OutputDataset("file", path),
            OutputDataset(
                "hive", "default.x", facets={"symlinks": symlinks_dataset.SymlinksDatasetFacet(identifiers=[link])}
            ),
        )
    ):
        client.emit(story.event(RunState.RUNNING, number, inputs=story.inputs, outputs=[output]))
    assert [flow["target"]["name"] for flow in flows_of(lake, table)] == [table]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("eventTime", "yesterday"),
        ("eventType", "DONE"),
        ("producer", None),
        ("run", {"runId": "7"}),
        ("job", {"namespace": "", "name": "x"}),
        ("inputs", "all"),
        ("outputs", [{"namespace": "a"}]),
    ],
)
def test_what_is_no_event_is_refused_naming_the_field(lake, field, value):
    event = {
        "eventType": "COMPLETE", "eventTime": moment(0), "producer": PRODUCER, "schemaURL": "https://example.org/s",
        "run": {"runId": str(uuid.uuid4())}, "job": {"namespace": "a", "name": "b"}, "inputs": [], "outputs": [],
    }  # fmt: skip
    event[field] = value
    check_problem(lake.request("POST", "/api/v1/lineage", json=event), 422, field)


def test_exported_events_are_events_of_the_client(servers):
    """They are taken apart by the client's own classes, and reported to another lake they tell the same."""
    one, other = Lake(servers.start().url), Lake(servers.start().url)
    one.upload("nyc.flights", b"id,amount,day\n1,10,mon\n", format="csv")
    sql = "SELECT id, amount * 2 AS double_amount FROM nyc.flights WHERE day = 'mon'"
    edge = {"sql": sql, "target": "nyc.delays", "transformation": "curate", "target_version": 3}
    assert one.request("POST", "/api/v1/lineage/edges", json=edge).status_code == 201
    client_of(one).emit(Story("nyc.flights").event(RunState.COMPLETE, 0, outputs=Story("nyc.flights").outputs))
    exported = one.get("/api/v1/lineage/export", params={"format": "openlineage"}).json()
    assert len(exported) == 2
    for event in exported:
        facet = event["outputs"][0]["facets"]["columnLineage"]
        rebuilt = RunEvent(
            eventType=RunState(event["eventType"]),
            eventTime=event["eventTime"],
            run=Run(runId=event["run"]["runId"]),
            job=Job(namespace=event["job"]["namespace"], name=event["job"]["name"]),
            inputs=[InputDataset(entry["namespace"], entry["name"]) for entry in event["inputs"]],
            outputs=[
                OutputDataset(
                    entry["namespace"],
                    entry["name"],
                    facets={
                        "columnLineage": columns.ColumnLineageDatasetFacet(
                            fields={
                                name: columns.Fields(
                                    inputFields=[
                                        columns.InputField(
                                            input["namespace"],
                                            input["name"],
                                            input["field"],
                                            [columns.Transformation(**step) for step in input["transformations"]],
                                        )
                                        for input in field["inputFields"]
                                    ]
                                )
                                for name, field in facet["fields"].items()
                            }
                        )
                    },
                )
                for entry in event["outputs"]
            ],
            producer=event["producer"],
        )
        client_of(other).emit(rebuilt)
    told = {
        (edge["source"], edge["target"], edge["subtype"])
        for flow in other.get("/api/v1/lineage/export", params={"format": "openlineage"}).json()
        for output in flow["outputs"]
        if output["name"] == "nyc.delays"
        for target, field in output["facets"]["columnLineage"]["fields"].items()
        for input in field["inputFields"]
        for edge in [
            {"source": input["field"], "target": target, "subtype": input["transformations"][0]["subtype"]}
        ]
    }
    assert told == {
        ("amount", "double_amount", "TRANSFORMATION"),
        ("id", "id", "IDENTITY"),
        ("day", "double_amount", "FILTER"),
        ("day", "id", "FILTER"),
    }


def test_the_trackers_example_comes_out_as_it_went_in(servers):
    lake = Lake(servers.start().url)
    flows = [
        {
            "source": "raw_orders_table", "target": "cleaned_orders_table", "transformation": "data_cleaning_pipeline",
            "metadata": {"pipeline_version": "1.2.3", "records_processed": 1000},
        },
        {
            "source": "cleaned_orders_table", "target": "sales_analytics_table",
            "transformation": "aggregation_pipeline", "metadata": {"aggregation_type": "daily_summary"},
        },
    ]  # fmt: skip
    for flow in flows:
        assert lake.request("POST", "/api/v1/lineage/edges", json=flow).status_code == 201
        assert lake.request("POST", "/api/v1/lineage/edges", json=flow).status_code == 200
    listed = [
        (flow["source"]["name"], flow["target"]["name"], flow["transformation"])
        for flow in flows_of(lake, "cleaned_orders_table")
    ]
    assert listed == [
        ("cleaned_orders_table", "sales_analytics_table", "aggregation_pipeline"),
        ("raw_orders_table", "cleaned_orders_table", "data_cleaning_pipeline"),
    ]
    assert lake.get("/api/v1/lineage/export", params={"format": "dot"}).text == (
        "digraph DataLineage {\n"
        '  "raw_orders_table" -> "cleaned_orders_table" [label="data_cleaning_pipeline"];\n'
        '  "cleaned_orders_table" -> "sales_analytics_table" [label="aggregation_pipeline"];\n'
        "}\n"
    )
    text = lake.get("/api/v1/lineage/export", params={"format": "json"}).text
    document = json.loads(text)
    assert list(document) == ["raw_orders_table", "cleaned_orders_table"]
    for flow in flows:
        (entry,) = document[flow["source"]]
        datetime.fromisoformat(entry.pop("timestamp"))
        assert entry == flow
    check_problem(lake.get("/api/v1/lineage/export", status=422, params={"format": "xml"}), 422, "format", "xml")
    back = {"source": "sales_analytics_table", "target": "raw_orders_table", "transformation": "x"}
    check_problem(lake.request("POST", "/api/v1/lineage/edges", json=back), 422, "target")


def test_lineage_is_told_by_a_process_of_its_own(lake, table):
    """The server's queries run in workers here, as they do by default."""
    lake.upload(table, b"id,amount\n1,10\n", format="csv")
    body = {"sql": f"WITH t AS (SELECT amount * 2 AS d, id FROM {table}) SELECT sum(d) AS s FROM t WHERE id > 0"}
    answer = lake.request("POST", "/api/v1/queries/lineage", json=body)
    assert answer.status_code == 200, answer.text
    (column,) = answer.json()["columns"]
    assert [(entry["column"], entry["subtype"]) for entry in column["inputs"]] == [("amount", "AGGREGATION")]
    assert [(entry["column"], entry["subtype"]) for entry in answer.json()["influences"]] == [("id", "FILTER")]

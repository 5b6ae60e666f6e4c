//! Lineage as callers see it.

mod inheritance;

use axum::http::Method;
use serde_json::{Value, json};
use sluice_domain::Action;
use sluice_tests::{Answer, TestLake, assert_problem};

const EDGES: &str = "/api/v1/lineage/edges";

async fn declare(lake: &TestLake, body: Value) -> Answer {
    lake.call(Method::POST, EDGES).json(&body).send().await
}

fn edge(source: &str, target: &str, transformation: &str) -> Value {
    json!({"source": source, "target": target, "transformation": transformation})
}

/// The two flows of the tracker's example.
async fn orders(lake: &TestLake) {
    let mut first = edge("raw_orders_table", "cleaned_orders_table", "data_cleaning_pipeline");
    first["metadata"] = json!({"pipeline_version": "1.2.3", "records_processed": 1000});
    let mut second = edge("cleaned_orders_table", "sales_analytics_table", "aggregation_pipeline");
    second["metadata"] = json!({"aggregation_type": "daily_summary"});
    for body in [first, second] {
        declare(lake, body).await.expect_status(201);
    }
}

fn ways(items: &Value) -> Vec<String> {
    let way = |flow: &Value| {
        let name = |end: &str| flow[end]["name"].as_str().unwrap().to_owned();
        format!("{} -> {} via {}", name("source"), name("target"), flow["transformation"].as_str().unwrap())
    };
    items.as_array().unwrap().iter().map(way).collect()
}

async fn uploaded(lake: &TestLake, table: &str, csv: &'static str) {
    lake.upload(table, "?format=csv", csv).await.expect_status(201);
}

#[tokio::test]
async fn declared_flows_are_listed_from_an_asset_first_and_exported() {
    let lake = TestLake::open().await;
    orders(&lake).await;
    let listed = lake.get("/api/v1/lineage?asset=cleaned_orders_table").await.expect(200);
    let expected = [
        "cleaned_orders_table -> sales_analytics_table via aggregation_pipeline",
        "raw_orders_table -> cleaned_orders_table via data_cleaning_pipeline",
    ];
    assert_eq!(ways(&listed["items"]), expected);
    let dot = lake.get("/api/v1/lineage/export?format=dot").await;
    dot.expect_status(200);
    assert_eq!(
        dot.text(),
        "digraph DataLineage {\n  \
         \"raw_orders_table\" -> \"cleaned_orders_table\" [label=\"data_cleaning_pipeline\"];\n  \
         \"cleaned_orders_table\" -> \"sales_analytics_table\" [label=\"aggregation_pipeline\"];\n}\n"
    );
    let document = lake.get("/api/v1/lineage/export").await.expect(200);
    assert_eq!(
        document["raw_orders_table"][0]["metadata"],
        json!({"pipeline_version": "1.2.3", "records_processed": 1000})
    );
    assert_eq!(document.as_object().unwrap().len(), 2);
    let near = lake.get("/api/v1/lineage/export?asset=raw_orders_table&direction=downstream&depth=1").await.expect(200);
    assert_eq!(near.as_object().unwrap().len(), 1);
}

#[tokio::test]
async fn every_export_has_its_media_type_and_no_markup_of_others() {
    let lake = TestLake::open().await;
    declare(&lake, edge("<script>alert(1)</script>", "b\"]", "t & \"u\"")).await.expect_status(201);
    for (format, media_type) in [
        ("json", "application/json"),
        ("dot", "text/vnd.graphviz; charset=utf-8"),
        ("mermaid", "text/plain; charset=utf-8"),
        ("svg", "image/svg+xml"),
        ("openlineage", "application/json"),
    ] {
        let answer = lake.get(&format!("/api/v1/lineage/export?format={format}")).await;
        answer.expect_status(200);
        assert_eq!(answer.header("content-type"), Some(media_type));
        assert!(answer.header("content-security-policy").is_some_and(|policy| policy.contains("sandbox")));
        if ["svg", "mermaid"].contains(&format) {
            assert!(!answer.text().contains("<script"), "{}", answer.text());
        }
    }
    let problem = assert_problem(&lake.get("/api/v1/lineage/export?format=xml").await, 422, "unsupported-format");
    assert!(problem["detail"].as_str().unwrap().starts_with("format:"), "{problem}");
}

#[tokio::test]
async fn wrong_declarations_name_the_field_and_change_nothing() {
    let lake = TestLake::open().await;
    orders(&lake).await;
    let good = edge("a", "b", "t");
    for (field, value, code, named) in [
        ("target", json!("a"), "lineage-cycle", "target"),
        ("source", json!(""), "bad-lineage-edge", "source"),
        ("source", json!({"namespace": "x", "name": "a\nb"}), "bad-lineage-edge", "source"),
        ("source", json!(null), "bad-lineage-edge", "source"),
        ("target", json!("x".repeat(800)), "bad-lineage-edge", "target"),
        ("target", json!(7), "bad-body", "target"),
        ("transformation", json!(""), "bad-lineage-edge", "transformation"),
        ("transformation", json!("a\u{0}"), "bad-lineage-edge", "transformation"),
        ("metadata", json!([1]), "bad-body", "metadata"),
        ("metadata", json!({"long": "x".repeat(70_000)}), "bad-lineage-edge", "metadata"),
        ("target_version", json!(u64::MAX), "bad-lineage-edge", "target_version"),
        ("sql", json!("SELECT 1"), "bad-lineage-edge", "source"),
        ("strange", json!(1), "bad-body", "strange"),
    ] {
        let mut body = good.clone();
        body[field] = value;
        let problem = assert_problem(&declare(&lake, body).await, 422, code);
        assert!(problem["detail"].as_str().unwrap().contains(named), "{field}: {problem}");
    }
    let back = declare(&lake, edge("sales_analytics_table", "raw_orders_table", "t")).await;
    assert_problem(&back, 422, "lineage-cycle");
    assert_eq!(lake.get("/api/v1/lineage").await.expect(200)["items"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn uploads_are_the_beginning_of_a_tables_lineage() {
    let lake = TestLake::open().await;
    uploaded(&lake, "nyc.flights", "id,amount\n1,10\n").await;
    uploaded(&lake, "nyc.flights", "id,amount\n2,-5\n").await;
    let notes = json!({"description": "Departures", "classification": "confidential"});
    lake.call(Method::PATCH, "/api/v1/tables/nyc/flights").json(&notes).send().await.expect_status(200);
    let lineage = lake.get("/api/v1/tables/nyc/flights/lineage").await.expect(200);
    let flows = lineage["flows"].as_array().unwrap();
    assert_eq!(flows.len(), 2);
    let uploads = lake.get("/api/v1/tables/nyc/flights/uploads").await.expect(200);
    for (flow, upload) in flows.iter().zip(uploads["items"].as_array().unwrap().iter().rev()) {
        assert_eq!((&flow["origin"], &flow["id"]), (&json!("upload"), &upload["upload_id"]));
        assert_eq!(flow["target"], json!({"namespace": "sluice", "name": "nyc.flights"}));
        assert_eq!(flow["metadata"]["format"], "csv");
        assert_eq!(flow["metadata"]["sha256"].as_str().unwrap().len(), 64);
        let client = &flow["principal"];
        assert_eq!(flow["technical"], json!({"schema_version": 1, "pipeline_id": flow["id"], "source_system": client}));
        let business = json!({"data_owner": client, "sensitivity": "confidential", "purpose": "Departures"});
        assert_eq!(flow["business"], business);
        assert_eq!(flow["operational"]["record_count"], 1);
        assert_eq!(flow["operational"]["quality_score"], 100.0);
        assert!(flow["operational"]["processing_time"].is_u64(), "{flow}");
    }
    assert_eq!((&flows[0]["target_version"], &flows[1]["target_version"]), (&json!(0), &json!(1)));
    assert_eq!(lineage["nodes"].as_array().unwrap().len(), 3);
    let first = lake.get("/api/v1/tables/nyc/flights/lineage?version=0").await.expect(200);
    assert_eq!((first["flows"].as_array().unwrap().len(), &first["version"]), (1, &json!(0)));
    assert_problem(&lake.get("/api/v1/tables/nyc/flights/lineage?version=9").await, 404, "version-not-found");
    let far = format!("/api/v1/tables/nyc/flights/lineage?version={}", u64::MAX);
    assert_problem(&lake.get(&far).await, 404, "version-not-found");
    let down = lake.get("/api/v1/tables/nyc/flights/lineage?direction=downstream").await.expect(200);
    assert_eq!(down["flows"], json!([]));
}

/// `nyc.flights`, `nyc.delays` from it and `nyc.report` from that, all declared by the statements that make them.
async fn curated(lake: &TestLake) {
    uploaded(lake, "nyc.flights", "id,amount,day\n1,10,mon\n").await;
    uploaded(lake, "nyc.delays", "id,double_amount\n1,20\n").await;
    uploaded(lake, "nyc.report", "total\n20\n").await;
    for (sql, target) in [
        ("SELECT id, amount * 2 AS double_amount FROM nyc.flights WHERE day = 'mon'", "nyc.delays"),
        ("SELECT sum(double_amount) AS total FROM nyc.delays", "nyc.report"),
    ] {
        let metadata = json!({"technical": {"schema_version": 1, "pipeline_id": "curate", "source_system": "lake"},
            "business": {"data_owner": "ann", "sensitivity": "internal", "purpose": "billing"},
            "operational": {"processing_time": 12, "quality_score": 100, "record_count": 1}});
        let body = json!({"sql": sql, "target": target, "transformation": "curate", "target_version": 0, "metadata": metadata});
        let made = declare(lake, body).await.expect(201);
        assert_eq!(made["items"][0]["origin"], "sql");
    }
}

#[tokio::test]
async fn a_curated_table_has_the_nine_facts_its_versions_and_the_lineage_of_its_columns() {
    let lake = TestLake::open().await;
    curated(&lake).await;
    let path = "/api/v1/tables/nyc/delays/lineage?direction=upstream&columns=true";
    let lineage = lake.get(path).await.expect(200);
    let flows = lineage["flows"].as_array().unwrap();
    let flow = flows.iter().find(|flow| flow["origin"] == "sql").unwrap();
    assert_eq!((&flow["source_version"], &flow["target_version"]), (&json!(0), &json!(0)));
    assert_eq!(flow["technical"], json!({"schema_version": 1, "pipeline_id": "curate", "source_system": "lake"}));
    assert_eq!(flow["business"], json!({"data_owner": "ann", "sensitivity": "internal", "purpose": "billing"}));
    assert_eq!(flow["operational"], json!({"processing_time": 12, "quality_score": 100, "record_count": 1}));
    let columns = flow["columns"].as_array().unwrap();
    let expected =
        json!({"source": "amount", "target": "double_amount", "kind": "DIRECT", "subtype": "TRANSFORMATION"});
    assert!(columns.contains(&expected), "{columns:?}");
    assert!(columns.iter().any(|column| column["source"] == "day" && column["kind"] == "INDIRECT"), "{columns:?}");
}

#[tokio::test]
async fn the_impact_of_a_column_is_told_through_all_tables() {
    let lake = TestLake::open().await;
    curated(&lake).await;
    let told = async |path: &str| {
        let answer = lake.get(&format!("/api/v1/tables/nyc/{path}")).await.expect(200);
        let text = |impact: &Value| {
            let name = |field: &str| impact[field].as_str().unwrap().to_owned();
            format!("{}.{} {} {}", name("name"), name("column"), name("kind"), impact["depth"])
        };
        let side = |side: &str| answer["impact"][side].as_array().unwrap().iter().map(text).collect::<Vec<_>>();
        (side("upstream"), side("downstream"))
    };
    let (up, down) = told("flights/lineage?column=amount").await;
    assert_eq!(up, Vec::<String>::new());
    assert_eq!(down, ["nyc.delays.double_amount DIRECT 1", "nyc.report.total DIRECT 2"]);
    let (_, down) = told("flights/lineage?column=day&direction=both").await;
    assert_eq!(
        down,
        ["nyc.delays.double_amount INDIRECT 1", "nyc.delays.id INDIRECT 1", "nyc.report.total INDIRECT 2"]
    );
    let (up, _) = told("report/lineage?column=total&direction=upstream&depth=1").await;
    assert_eq!(up, ["nyc.delays.double_amount DIRECT 1"]);
    let unused = told("report/lineage?column=total").await;
    assert_eq!(unused.1, Vec::<String>::new());
    let unknown = lake.get("/api/v1/tables/nyc/flights/lineage?column=nothing").await;
    let problem = assert_problem(&unknown, 422, "unknown-column");
    assert!(problem["detail"].as_str().unwrap().starts_with("column:"), "{problem}");
}

#[tokio::test]
async fn a_statements_columns_are_traced() {
    let lake = TestLake::open().await;
    uploaded(&lake, "nyc.flights", "id,amount,day\n1,10,mon\n").await;
    let body = json!({"sql": "SELECT amount * 2 AS double_amount FROM nyc.flights WHERE day = 'mon'"});
    let answer = lake.call(Method::POST, "/api/v1/queries/lineage").json(&body).send().await.expect(200);
    let input = |column: &str, kind: &str, subtype: &str| json!([{"table": "nyc.flights", "column": column, "kind": kind, "subtype": subtype}]);
    assert_eq!(
        answer,
        json!({"columns": [{"name": "double_amount", "inputs": input("amount", "DIRECT", "TRANSFORMATION")}],
            "influences": input("day", "INDIRECT", "FILTER"), "tables": {"nyc.flights": 0}})
    );
}

#[tokio::test]
async fn a_caller_sees_no_flow_of_tables_that_it_does_not_see() {
    let all = [Action::Read, Action::Append, Action::Manage];
    let builder = TestLake::builder().key("owner", &all, None).key("guest", &all, Some(&["nyc"]));
    let lake = builder.open().await;
    let upload =
        |table: &str| lake.call(Method::POST, &sluice_tests::uploads_path(table)).header("content-type", "text/csv");
    for table in ["nyc.a", "nyc.b", "hr.secret", "nyc.beyond"] {
        upload(table).body("x\n1\n").key("owner").send().await.expect_status(201);
    }
    let post = |body: Value| lake.call(Method::POST, EDGES).json(&body);
    for (source, target) in [("nyc.a", "nyc.b"), ("nyc.a", "hr.secret"), ("hr.secret", "nyc.beyond"), ("out", "there")]
    {
        post(edge(source, target, "t")).key("owner").send().await.expect_status(201);
    }
    for path in [
        "/api/v1/tables/nyc/a/lineage",
        "/api/v1/lineage",
        "/api/v1/lineage?asset=nyc.a",
        "/api/v1/lineage?asset=hr.secret",
        "/api/v1/lineage?asset=out",
        "/api/v1/lineage/export",
        "/api/v1/lineage/export?format=openlineage",
        "/api/v1/lineage/export?asset=out",
    ] {
        let answer = lake.call(Method::GET, path).key("guest").send().await;
        answer.expect_status(200);
        for hidden in ["secret", "beyond", "out\"", "there"] {
            assert!(!answer.text().contains(hidden), "{path} tells of {hidden}: {}", answer.text());
        }
        let whole = lake.call(Method::GET, path).key("owner").send().await;
        assert!(whole.text().len() > answer.text().len() || path.contains("asset=nyc.a"), "{path}");
    }
    for body in [edge("nyc.a", "hr.secret", "u"), edge("hr.secret", "nyc.a", "u")] {
        assert_problem(&post(body).key("guest").send().await, 404, "not-found");
    }
    assert_problem(&post(edge("one", "other", "u")).key("guest").send().await, 403, "forbidden");
    let around = lake.call(Method::GET, "/api/v1/lineage/export?asset=hr.secret").key("guest").send().await;
    assert_problem(&around, 404, "not-found");
    let events = "/api/v1/lineage/runs/01941f29-7c00-7000-8000-000000000001/events";
    assert_problem(&lake.call(Method::GET, events).key("guest").send().await, 403, "forbidden");
}

fn event(kind: &str, second: u32, output: Value) -> Value {
    json!({"eventType": kind, "eventTime": format!("2026-01-02T03:04:{second:02}Z"), "producer": "https://example.org",
        "schemaURL": "https://openlineage.io/spec/2-0-2/OpenLineage.json", "job": {"namespace": "jobs", "name": "load"},
        "run": {"runId": "01941f29-7c00-7000-8000-000000000001", "facets": {"mine": {"kept": [1, 2.50]}}},
        "inputs": [{"namespace": "files", "name": "a.csv"}], "outputs": [output]})
}

#[tokio::test]
async fn an_events_dataset_is_the_table_at_its_location_or_of_its_name() {
    let lake = TestLake::open().await;
    uploaded(&lake, "nyc.flights", "id\n1\n").await;
    let location = lake.describe("nyc.flights").await["location"].as_str().unwrap().to_owned();
    let path = location.strip_prefix("file://").unwrap().trim_end_matches('/').to_owned();
    let post = |body: &Value| lake.call(Method::POST, "/api/v1/lineage").json(body);
    let outputs = [
        json!({"namespace": "sluice", "name": "NYC.flights"}),
        json!({"namespace": "sluice://127.0.0.1:8080", "name": "nyc.flights"}),
        json!({"namespace": "file", "name": path}),
        json!({"namespace": "hive", "name": "x", "facets": {"symlinks": {"identifiers": [{"namespace": "file", "name": path, "type": "LOCATION"}]}}}),
    ];
    for (second, output) in (1..).zip(outputs) {
        let event = event("RUNNING", second, output);
        post(&event).send().await.expect_status(201);
        post(&event).send().await.expect_status(200);
    }
    let flows = lake.get("/api/v1/lineage").await.expect(200);
    assert_eq!(ways(&flows["items"]), ["a.csv -> nyc.flights via jobs/load"]);
    let of_run = "/api/v1/lineage/runs/01941f29-7c00-7000-8000-000000000001/events?page_size=3";
    let events = lake.get(of_run).await.expect(200);
    assert_eq!(events["items"].as_array().unwrap().len(), 3);
    assert_eq!(events["items"][0]["event"]["run"]["facets"]["mine"], json!({"kept": [1, 2.50]}));
    assert!(events["next_page_token"].is_string());
}

#[tokio::test]
async fn events_that_are_none_are_refused_naming_the_field() {
    let lake = TestLake::open().await;
    let good = event("COMPLETE", 1, json!({"namespace": "sluice", "name": "nyc.flights"}));
    let refused = async |body: String, status: u16, code: &str| {
        let call = lake.call(Method::POST, "/api/v1/lineage").header("content-type", "application/json");
        assert_problem(&call.body(body).send().await, status, code)["detail"].as_str().unwrap().to_owned()
    };
    for (field, value) in [
        ("eventTime", json!("2999-01-01T00:00:00Z")),
        ("eventType", json!("DONE")),
        ("run", json!({})),
        ("inputs", json!(7)),
    ] {
        let mut wrong = good.clone();
        wrong[field] = value;
        assert!(refused(wrong.to_string(), 422, "bad-lineage-event").await.starts_with(field), "{field}");
    }
    refused("[]".into(), 422, "bad-body").await;
    refused("{".into(), 400, "bad-body").await;
    let mut deep = good.clone();
    deep["run"]["facets"]["deep"] = json!("HERE");
    refused(deep.to_string().replace("\"HERE\"", &("[".repeat(5_000) + &"]".repeat(5_000))), 422, "bad-lineage-event")
        .await;
    let mut large = good.clone();
    large["run"]["facets"]["large"] = json!("x".repeat(1 << 20));
    refused(large.to_string(), 413, "body-too-large").await;
    assert_eq!(lake.get("/api/v1/lineage").await.expect(200), json!({"items": []}));
}

#[tokio::test]
async fn lineage_survives_a_restart() {
    let lake = TestLake::open().await;
    curated(&lake).await;
    let before = lake.get("/api/v1/tables/nyc/report/lineage?columns=true").await.expect(200);
    let lake = lake.reopen().await;
    assert_eq!(lake.get("/api/v1/tables/nyc/report/lineage?columns=true").await.expect(200), before);
}

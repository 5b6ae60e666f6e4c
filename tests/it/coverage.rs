//! Every operation of the document: called as it should be, by callers who may not, and with input that is wrong.
//!
//! Invariant: an operation of the document without a row here is a failure.

mod basics;
mod discovery;
mod lifecycle;
mod lineage;
mod monitoring;
mod pieces;
mod pipelines;
mod sources;
mod tables;
mod webhooks;

use std::collections::BTreeSet;

use axum::http::Method;
use serde_json::{Value, json};
use sluice_domain::Action;
use sluice_tests::{Answer, Call, TestLake, assert_problem};
use tempfile::TempDir;

use self::basics::{reads, writes};

/// Who may call an operation, and what it is to a caller who does not see the namespace `nyc`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Access {
    /// Open by design: probes have no keys, and there is nothing in it that is anybody's.
    Open,
    /// Any key that is not confined to some namespaces.
    Unconfined,
    /// Any key: it tells what the server can do, and nothing of what is in it.
    Anyone,
    /// Needs the action; elsewhere the thing does not exist.
    Hidden(Action),
    /// Needs the right to read; elsewhere the listing is empty.
    Listing,
}

/// What is sent beside method and path.
#[derive(Debug, Clone, Copy)]
enum Content {
    Nothing,
    Csv(&'static str),
    Json(&'static str),
    /// A request of tus, with headers of its own.
    Piece(&'static [(&'static str, &'static str)]),
}

/// One operation.
struct Row {
    method: Method,
    path: &'static str,
    access: Access,
    /// The path to call, with `{upload_id}` for that of the upload into `nyc.flights`.
    call: &'static str,
    content: Content,
    status: u16,
    bad: Bad,
}

/// A call that is wrong.
struct Bad {
    method: Method,
    call: &'static str,
    content: Content,
    status: u16,
    code: &'static str,
}

const SELECT: Content = Content::Json(r#"{"sql": "SELECT id FROM nyc.flights"}"#);

fn bad(method: Method, call: &'static str, content: Content, status: u16, code: &'static str) -> Bad {
    Bad { method, call, content, status, code }
}

fn get(path: &'static str, access: Access, call: &'static str, bad_call: &'static str, code: &'static str) -> Row {
    let bad = bad(Method::GET, bad_call, Content::Nothing, 400, code);
    Row { method: Method::GET, path, access, call, content: Content::Nothing, status: 200, bad }
}

fn open(path: &'static str) -> Row {
    let bad = bad(Method::PUT, path, Content::Nothing, 405, "method-not-allowed");
    let content = Content::Nothing;
    Row { method: Method::GET, path, access: Access::Open, call: path, content, status: 200, bad }
}

fn rows() -> Vec<Row> {
    let reads = reads().into_iter().chain(pieces::reads()).chain(sources::reads());
    let reads = reads.chain(pipelines::reads());
    let reads = reads.chain(lineage::reads()).chain(monitoring::reads()).chain(lifecycle::reads());
    reads
        .chain(writes())
        .chain(discovery::finding())
        .chain(discovery::describing())
        .chain(tables::quarantine())
        .chain(tables::schemas())
        .chain(tables::quality())
        .chain(tables::small_writes())
        .chain(pieces::writes())
        .chain(sources::writes())
        .chain(pipelines::writes())
        .chain(lineage::writes())
        .chain(monitoring::writes())
        .chain(monitoring::settings())
        .chain(lifecycle::writes())
        .chain(webhooks::operations())
        .collect()
}

/// A lake with keys, and tables to read, to delete and to restore in `nyc`.
struct Covered {
    lake: TestLake,
    upload_id: String,
    /// An upload of the owner's into `nyc.flights` whose bytes are still to come.
    partial_id: String,
    /// The folder of the sources into `nyc.flights`, and a run of theirs.
    drop: TempDir,
    run_id: String,
    /// A run into `nyc.flights` that was reported.
    reported_run_id: String,
    /// A run of a pipeline that goes on.
    endless_run_id: String,
    /// A lifecycle plan that nobody has applied.
    plan_id: String,
}

impl Covered {
    async fn open() -> Self {
        let all = [Action::Read, Action::Append, Action::Manage];
        let builder = TestLake::builder().key("owner", &all, None).key("stranger", &all, Some(&["elsewhere"]));
        let builder = builder.key("reader", &[Action::Read], None).key("loader", &[Action::Append], None);
        let drop = tempfile::tempdir().unwrap();
        let folder = drop.path().to_owned();
        let builder = builder.set(|settings| settings.sources.folders = vec![folder]);
        let lake = builder.set(monitoring::add_channel).open().await;
        let mut upload_id = String::new();
        for table in ["doomed", "gone", "flights"] {
            let path = format!("/api/v1/tables/nyc/{table}/uploads");
            let call = with(lake.call(Method::POST, &path), Content::Csv("id\n1\n2,3\n"));
            upload_id = call.key("owner").send().await.expect(201)["upload_id"].as_str().unwrap().to_owned();
        }
        for channel in ["open", "doomed"] {
            let path = format!("/api/v1/tables/nyc/flights/channels/{channel}");
            lake.call(Method::PUT, &path).key("owner").send().await.expect_status(200);
        }
        let delete = lake.call(Method::DELETE, "/api/v1/tables/nyc/gone").key("owner");
        delete.send().await.expect_status(204);
        let partial_id = pieces::announce(&lake, "owner").await;
        let run_id = sources::define(&lake, &drop, "owner").await;
        let reported_run_id = monitoring::define(&lake, "owner").await;
        let plan_id = lifecycle::plan(&lake, "owner").await;
        let endless_run_id = pipelines::define(&lake, "owner").await;
        Self { lake, upload_id, partial_id, drop, run_id, reported_run_id, endless_run_id, plan_id }
    }

    fn call(&self, method: &Method, path: &str, content: Content) -> Call {
        let drop = self.drop.path().to_string_lossy();
        let ids = [
            ("{upload_id}", &self.upload_id),
            ("{partial_id}", &self.partial_id),
            ("{run_id}", &self.run_id),
            ("{reported_run_id}", &self.reported_run_id),
            ("{endless_run_id}", &self.endless_run_id),
            ("{plan_id}", &self.plan_id),
        ];
        let named =
            |text: &str| ids.iter().fold(text.replace("{drop}", &drop), |text, (name, id)| text.replace(name, id));
        let call = self.lake.call(method.clone(), &named(path));
        match content {
            Content::Json(text) => call.header("content-type", "application/json").body(named(text)),
            other => with(call, other),
        }
    }

    fn good(&self, row: &Row) -> Call {
        self.call(&row.method, row.call, row.content)
    }

    async fn good_by(&self, row: &Row, caller: &str) -> Answer {
        self.good(row).key(caller).send().await
    }
}

fn with(call: Call, content: Content) -> Call {
    match content {
        Content::Nothing => call,
        Content::Csv(text) => call.header("content-type", "text/csv").body(text),
        Content::Json(text) => call.header("content-type", "application/json").body(text),
        Content::Piece(headers) => headers.iter().fold(call, |call, (name, value)| call.header(name, value)),
    }
}

#[test]
fn every_operation_of_the_document_has_a_row_and_every_row_an_operation() {
    let documented: BTreeSet<_> =
        crate::openapi::operations().into_iter().map(|(method, path, _)| (method, path)).collect();
    let covered: Vec<_> = rows().iter().map(|row| (row.method.to_string(), row.path.to_owned())).collect();
    assert_eq!(covered.len(), documented.len(), "an operation has two rows, or a row or an operation is missing");
    assert_eq!(covered.into_iter().collect::<BTreeSet<_>>(), documented);
}

#[tokio::test]
async fn every_operation_serves_a_caller_who_may() {
    let covered = Covered::open().await;
    for row in rows() {
        let call = covered.good(&row);
        let answer = if row.access == Access::Open { call } else { call.key("owner") }.send().await;
        answer.expect_status(row.status);
    }
}

#[tokio::test]
async fn no_operation_serves_a_caller_without_a_key() {
    let covered = Covered::open().await;
    for row in rows().iter().filter(|row| row.access != Access::Open) {
        assert_refused(row, &covered.good(row).send().await, 401, "unauthenticated");
        assert_refused(row, &covered.good_by(row, "nobody").await, 401, "unauthenticated");
    }
}

#[tokio::test]
async fn no_operation_serves_a_caller_without_the_right() {
    let covered = Covered::open().await;
    for row in rows() {
        let caller = match row.access {
            Access::Open | Access::Anyone => continue,
            Access::Unconfined => "stranger",
            Access::Listing | Access::Hidden(Action::Read) => "loader",
            Access::Hidden(Action::Append | Action::Manage) => "reader",
        };
        assert_refused(&row, &covered.good_by(&row, caller).await, 403, "forbidden");
    }
}

#[tokio::test]
async fn nothing_exists_for_a_caller_who_does_not_see_the_namespace() {
    let covered = Covered::open().await;
    for row in rows() {
        let answer = covered.good_by(&row, "stranger").await;
        match row.access {
            Access::Open => answer.expect_status(200),
            Access::Anyone => answer.expect_status(row.status),
            Access::Unconfined => drop(assert_problem(&answer, 403, "forbidden")),
            Access::Listing => assert_eq!(answer.expect(200)["items"], json!([])),
            Access::Hidden(_) => assert_refused(&row, &answer, 404, "not-found"),
        }
    }
}

#[tokio::test]
async fn metrics_are_shown_to_any_key_that_sees_every_namespace() {
    let covered = Covered::open().await;
    for caller in ["reader", "loader"] {
        let answer = covered.lake.call(Method::GET, "/metrics").key(caller).send().await;
        answer.expect_status(200);
        assert!(answer.text().contains("nyc.flights"), "{}", answer.text());
    }
}

#[tokio::test]
async fn every_operation_refuses_what_it_cannot_take() {
    let covered = Covered::open().await;
    for row in rows() {
        let bad = &row.bad;
        let call = covered.call(&bad.method, bad.call, bad.content);
        assert_refused(&row, &call.key("owner").send().await, bad.status, bad.code);
    }
}

/// It is a problem; the answer to a HEAD has no body to tell it.
#[track_caller]
fn assert_refused(row: &Row, answer: &Answer, status: u16, code: &str) {
    if row.method == Method::HEAD {
        return answer.expect_status(status);
    }
    assert_problem(answer, status, code);
}

#[tokio::test]
async fn what_was_refused_changed_nothing() {
    let covered = Covered::open().await;
    let seen = async || {
        let table = covered.lake.call(Method::GET, "/api/v1/tables/nyc/flights").key("owner").send().await.expect(200);
        let tables = covered.lake.call(Method::GET, "/api/v1/tables").key("owner").send().await.expect(200);
        Value::from(vec![table, tables])
    };
    let before = seen().await;
    for row in writes()
        .into_iter()
        .chain(tables::schemas())
        .chain(pieces::writes())
        .chain(sources::writes())
        .chain(pipelines::writes())
        .chain(lineage::writes())
        .chain(monitoring::writes())
        .chain(lifecycle::writes())
    {
        covered.good(&row).send().await.expect_status(401);
        covered.good_by(&row, "stranger").await.expect_status(404);
        covered.call(&row.bad.method, row.bad.call, row.bad.content).key("owner").send().await;
    }
    assert_eq!(seen().await, before);
}

//! Sources, their runs, and what those pulled.

use sluice_catalog::{Begun, Catalog, CommittedUpload, Defined, NewSource};
use sluice_domain::{
    ErrorKind, Pull, PullEntry, RunCause, RunCounts, RunOutcome, RunState, Source, SourceDefinition, SourceRun,
    StoredFailure, UploadId,
};

use crate::samples::{Lake, begin, commit, instant, namespaces, new_upload, page};

fn new_source(name: &str, table: &str, every: Option<u32>) -> NewSource {
    let definition = format!(
        r#"{{"table": "{table}", "kind": {{"folder": {{"location": "/srv/drop"}}}}, "options": {{"mode": "append"}}}}"#
    );
    let definition: SourceDefinition = serde_json::from_str(&definition).unwrap();
    let definition = SourceDefinition { every_seconds: every, ..definition };
    NewSource { name: name.parse().unwrap(), definition, principal: "ada".into() }
}

async fn define(catalog: &Catalog, name: &str, table: &str) -> Source {
    match catalog.sources().define(&new_source(name, table, None), 10).await.unwrap() {
        Defined::Made(source) => source,
        other => panic!("{name} is not new: {other:?}"),
    }
}

async fn started(catalog: &Catalog, source: &Source) -> SourceRun {
    match catalog.source_runs().begin(source, RunCause::Request, None).await.unwrap() {
        Begun::Started(run) => run,
        other => panic!("no run began: {other:?}"),
    }
}

fn outcome(failure: Option<StoredFailure>) -> RunOutcome {
    RunOutcome { failure, counts: RunCounts { files_taken: 3, ..RunCounts::default() } }
}

fn failure(code: &str) -> StoredFailure {
    StoredFailure { kind: ErrorKind::Invalid, code: code.into(), detail: "no".into() }
}

fn pull(run: &SourceRun, position: &str, watermark: Option<&str>) -> Pull {
    Pull {
        run: run.id,
        position: position.into(),
        fingerprint: "7-etag".into(),
        pages: 2,
        watermark: watermark.map(str::to_owned),
    }
}

async fn seen(catalog: &Catalog, source: &Source, position: &str) -> Vec<PullEntry> {
    catalog.pulls().seen(source.id, &[position.to_owned(), "another".to_owned()]).await.unwrap()
}

#[tokio::test]
async fn a_source_is_defined_again_under_its_id() {
    let lake = Lake::open().await;
    let first = define(&lake.catalog, "orders", "nyc.flights").await;
    let changed = NewSource { principal: "bob".into(), ..new_source("orders", "nyc.taxis", Some(60)) };
    let Defined::Changed(second) = lake.catalog.sources().define(&changed, 1).await.unwrap() else { panic!("new") };
    assert_eq!((second.id, second.created_at), (first.id, first.created_at));
    assert_eq!((&second.definition, second.principal.as_str()), (&changed.definition, "bob"));
    let more = lake.catalog.sources().define(&new_source("more", "nyc.taxis", None), 1).await.unwrap();
    assert_eq!(more, Defined::TooMany);
    let lake = lake.reopen().await;
    assert_eq!(lake.catalog.sources().find(&changed.name).await.unwrap(), Some(second));
}

#[tokio::test]
async fn sources_are_listed_by_name_to_those_who_see_their_tables() {
    let lake = Lake::open().await;
    for (name, table) in [("b", "nyc.flights"), ("a", "hr.people"), ("c", "nyc.flights")] {
        define(&lake.catalog, name, table).await;
    }
    let visible = namespaces(&["nyc"]);
    let names = |sources: Vec<Source>| sources.iter().map(|source| source.name.to_string()).collect::<Vec<_>>();
    let list = async |visible, token| lake.catalog.sources().list(visible, &page(1, token)).await.unwrap();
    let first = list(Some(visible.as_slice()), None).await;
    let second = list(Some(visible.as_slice()), first.next.clone()).await;
    assert_eq!((names(first.items), names(second.items), second.next), (vec!["b".into()], vec!["c".into()], None));
    assert_eq!(names(lake.catalog.sources().list(None, &page(9, None)).await.unwrap().items), ["a", "b", "c"]);
}

#[tokio::test]
async fn a_source_has_one_run_at_a_time_and_one_per_key() {
    let lake = Lake::open().await;
    let source = define(&lake.catalog, "orders", "nyc.flights").await;
    let runs = lake.catalog.source_runs();
    let Begun::Started(run) = runs.begin(&source, RunCause::Request, Some("k")).await.unwrap() else { panic!("busy") };
    assert_eq!(runs.begin(&source, RunCause::Schedule, None).await.unwrap(), Begun::Busy(run.clone()));
    assert_eq!(runs.begin(&source, RunCause::Request, Some("k")).await.unwrap(), Begun::Known(run.clone()));
    assert!(!lake.catalog.sources().forget(source.id).await.unwrap());
    assert_eq!(runs.unfinished(9).await.unwrap(), std::slice::from_ref(&run));
    runs.finish(run.id, &outcome(Some(failure("x"))), 9).await.unwrap();
    runs.finish(run.id, &outcome(None), 9).await.unwrap();
    let ended = runs.find(run.id).await.unwrap().unwrap();
    assert_eq!((ended.state, ended.failure), (RunState::Failed, Some(failure("x"))), "its first end is its end");
    assert_eq!(ended.counts.unwrap().files_taken, 3);
    assert!(runs.unfinished(9).await.unwrap().is_empty());
    let next = started(&lake.catalog, &source).await;
    runs.finish(next.id, &outcome(None), 1).await.unwrap();
    let kept = runs.list(source.id, &page(9, None)).await.unwrap().items;
    assert_eq!(kept.iter().map(|run| run.id).collect::<Vec<_>>(), [next.id]);
    assert!(lake.catalog.sources().forget(source.id).await.unwrap());
    assert_eq!(lake.catalog.sources().find_by_id(source.id).await.unwrap(), None);
}

#[tokio::test]
async fn a_content_is_landed_once_unless_it_failed() {
    let lake = Lake::open().await;
    let source = define(&lake.catalog, "orders", "nyc.flights").await;
    let run = started(&lake.catalog, &source).await;
    let (pulls, file) = (lake.catalog.pulls(), pull(&run, "a.csv", None));
    pulls.refuse(&file, &failure("unknown-format")).await.unwrap();
    assert_eq!(seen(&lake.catalog, &source, "a.csv").await[0].failure(), Some(&failure("unknown-format")));

    let upload = new_upload("nyc.flights");
    assert_eq!(pulls.land(&upload, &file).await.unwrap().unwrap().id, upload.id);
    assert_eq!(pulls.unsettled(source.id, 9).await.unwrap(), [upload.id]);
    let second = new_upload("nyc.flights");
    assert!(pulls.land(&second, &file).await.unwrap().is_none());
    assert!(lake.catalog.uploads().find(second.id).await.is_err(), "what is not taken is not entered");
    pulls.refuse(&file, &failure("late")).await.unwrap();
    assert_eq!(seen(&lake.catalog, &source, "a.csv").await[0].failure(), None);

    lake.catalog.uploads().fail(upload.id, &failure("malformed-file")).await.unwrap();
    assert_eq!(seen(&lake.catalog, &source, "a.csv").await[0].failure(), Some(&failure("malformed-file")));
    assert!(pulls.land(&second, &file).await.unwrap().is_some());
    assert_eq!(pulls.list(run.id, &page(9, None)).await.unwrap().items.len(), 1);
}

#[tokio::test]
async fn a_run_that_ended_lands_nothing() {
    let lake = Lake::open().await;
    let source = define(&lake.catalog, "orders", "nyc.flights").await;
    let run = started(&lake.catalog, &source).await;
    lake.catalog.source_runs().finish(run.id, &outcome(None), 9).await.unwrap();
    let (upload, file) = (new_upload("nyc.flights"), pull(&run, "a.csv", None));
    assert!(lake.catalog.pulls().land(&upload, &file).await.unwrap().is_none());
    lake.catalog.pulls().refuse(&file, &failure("x")).await.unwrap();
    assert!(seen(&lake.catalog, &source, "a.csv").await.is_empty());
}

#[tokio::test]
async fn the_watermark_is_that_of_the_newest_pull_whose_rows_are_in_the_table() {
    let lake = Lake::open().await;
    let table = lake.active_table("nyc.flights").await.id;
    let source = define(&lake.catalog, "orders", "nyc.flights").await;
    let (catalog, uploads) = (&lake.catalog, lake.catalog.uploads());
    let land = async |run: &SourceRun, mark: &str| -> UploadId {
        let upload = new_upload("nyc.flights");
        catalog.pulls().land(&upload, &pull(run, mark, Some(mark))).await.unwrap().unwrap().id
    };
    let first = started(catalog, &source).await;
    let id = land(&first, "10").await;
    begin(uploads, id, table).await.unwrap();
    let rows = sluice_domain::RowCounts::all_committed(5);
    let committed = CommittedUpload { version: 0, rows, committed_at: instant("2026-01-31T23:59:59Z") };
    commit(uploads, id, table, committed).await.unwrap();
    catalog.source_runs().finish(first.id, &outcome(None), 9).await.unwrap();
    let second = started(catalog, &source).await;
    assert_eq!(second.watermark_before.as_deref(), Some("10"));
    let failed = land(&second, "20").await;
    uploads.fail(failed, &failure("malformed-file")).await.unwrap();
    catalog.source_runs().finish(second.id, &outcome(None), 9).await.unwrap();
    let ended = catalog.source_runs().find(second.id).await.unwrap().unwrap();
    assert_eq!((ended.state, ended.watermark_after.as_deref()), (RunState::Succeeded, Some("10")));
    assert_eq!(catalog.sources().find(&source.name).await.unwrap().unwrap().watermark.as_deref(), Some("10"));
}

#[tokio::test]
async fn a_source_is_due_when_its_time_has_come_and_no_run_is_under_way() {
    let lake = Lake::open().await;
    let sources = lake.catalog.sources();
    sources.define(&new_source("often", "nyc.flights", Some(3600)), 9).await.unwrap();
    sources.define(&new_source("never", "nyc.flights", None), 9).await.unwrap();
    let (now, later) = (chrono::Utc::now(), chrono::Utc::now() + chrono::TimeDelta::seconds(3601));
    let due = sources.due(now, 9).await.unwrap();
    assert_eq!(due.iter().map(|source| source.name.as_str()).collect::<Vec<_>>(), ["often"]);
    let run = started(&lake.catalog, &due[0]).await;
    assert!(sources.due(later, 9).await.unwrap().is_empty(), "it runs");
    lake.catalog.source_runs().finish(run.id, &outcome(None), 9).await.unwrap();
    assert!(sources.due(now, 9).await.unwrap().is_empty(), "it has run");
    assert_eq!(sources.due(later, 9).await.unwrap().len(), 1);
}

#[tokio::test]
async fn the_runs_of_a_server_that_ended_are_taken_over() {
    let lake = Lake::open().await;
    let source = define(&lake.catalog, "orders", "nyc.flights").await;
    let other = lake.another().await.unwrap();
    let run = started(&other, &source).await;
    assert_eq!(lake.catalog.take_over().await.unwrap(), 0);
    let (upload, file) = (new_upload("nyc.flights"), pull(&run, "a.csv", None));
    assert!(lake.catalog.pulls().land(&upload, &file).await.unwrap().is_none(), "it is another server's");
    other.close().await.unwrap();
    assert_eq!(lake.catalog.take_over().await.unwrap(), 1);
    assert_eq!(lake.catalog.source_runs().unfinished(9).await.unwrap(), [run]);
    assert!(lake.catalog.pulls().land(&upload, &file).await.unwrap().is_some());
}

#[tokio::test]
async fn what_a_run_pulled_is_listed_page_by_page() {
    let lake = Lake::open().await;
    let source = define(&lake.catalog, "orders", "nyc.flights").await;
    let run = started(&lake.catalog, &source).await;
    for position in ["b/1.csv", "a.csv", "ü.csv"] {
        lake.catalog.pulls().refuse(&pull(&run, position, None), &failure("x")).await.unwrap();
    }
    let other = Pull { fingerprint: "8-etag".into(), ..pull(&run, "a.csv", None) };
    lake.catalog.pulls().refuse(&other, &failure("x")).await.unwrap();
    let (mut token, mut positions) = (None, Vec::new());
    loop {
        let page = lake.catalog.pulls().list(run.id, &page(1, token)).await.unwrap();
        positions.extend(page.items.into_iter().map(|entry| entry.pull.position));
        match page.next {
            Some(next) => token = Some(next),
            None => break,
        }
    }
    assert_eq!(positions, ["a.csv", "a.csv", "b/1.csv", "ü.csv"]);
}

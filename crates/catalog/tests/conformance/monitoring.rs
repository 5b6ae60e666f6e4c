//! Runs of three kinds in one order, and what is expected of tables and pipelines.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use rstest::rstest;
use sluice_catalog::{CommittedUpload, EndedPlace, Entry, NewSource, NewUpload, RunBegun, RunFilter, RunLimits};
use sluice_domain::{
    ErrorKind, FolderSource, NewPipelineRun, PipelineName, PipelineRun, RowCounts, RunCause, RunCounts, RunId, RunKind,
    RunOutcome, RunReport, RunStatus, RunTotals, ServiceLevel, ServiceLevelTargets, SourceDefinition, SourceKind,
    StoredFailure, UploadId,
};
use uuid::{NoContext, Timestamp, Uuid};

use crate::samples::{Lake, begin, commit, namespaces, new_upload, page, table_ref};

const LIMITS: RunLimits = RunLimits { pipelines: 3, runs: 3 };

fn reported(pipeline: &str, started_at: DateTime<Utc>) -> PipelineRun {
    let seconds = u64::try_from(started_at.timestamp()).unwrap();
    let timestamp = Timestamp::from_unix(NoContext, seconds, started_at.timestamp_subsec_nanos());
    let report = RunReport { records_processed: Some(10), records_failed: Some(1), ..RunReport::default() };
    let pipeline = pipeline.parse().unwrap();
    let new = NewPipelineRun { pipeline, table: None, started_at: Some(started_at), report };
    new.begin(RunId(Uuid::new_v7(timestamp)), "ada", Utc::now()).unwrap()
}

fn started(begun: RunBegun) -> PipelineRun {
    match begun {
        RunBegun::Started(run) => run,
        other => panic!("{other:?}"),
    }
}

fn failure() -> StoredFailure {
    StoredFailure { kind: ErrorKind::Invalid, code: "bad".into(), detail: "no such column".into() }
}

fn now() -> DateTime<Utc> {
    chrono::SubsecRound::trunc_subsecs(Utc::now(), 6)
}

/// An upload into a table, with its end.
async fn upload(lake: &Lake, table: &str, rows: Option<RowCounts>, version: u64) -> UploadId {
    let upload = NewUpload { started_at: now(), ..new_upload(table) };
    lake.catalog.uploads().land(&upload).await.unwrap();
    let uploads = lake.catalog.uploads();
    match rows {
        Some(rows) => {
            let entry = match lake.catalog.tables().find(&table_ref(table)).await {
                Ok(entry) => entry,
                Err(_) => lake.active_table(table).await,
            };
            begin(uploads, upload.id, entry.id).await.unwrap();
            let committed = CommittedUpload { version, rows, committed_at: now() };
            commit(uploads, upload.id, entry.id, committed).await.unwrap();
        }
        None => uploads.fail(upload.id, &failure()).await.unwrap(),
    }
    upload.id
}

async fn source_run(lake: &Lake, source: &str, table: &str, outcome: &RunOutcome) -> RunId {
    let folder: FolderSource = serde_json::from_value(serde_json::json!({"location": "/srv/drop"})).unwrap();
    let definition = SourceDefinition {
        table: table_ref(table),
        kind: SourceKind::Folder(folder),
        options: serde_json::Map::new(),
        every_seconds: None,
    };
    let new = NewSource { name: source.parse().unwrap(), definition, principal: "ada".into() };
    lake.catalog.sources().define(&new, 10).await.unwrap();
    let source = lake.catalog.sources().find(&new.name).await.unwrap().unwrap();
    let begun = lake.catalog.source_runs().begin(&source, RunCause::Request, None).await.unwrap();
    let sluice_catalog::Begun::Started(run) = begun else { panic!("{begun:?}") };
    lake.catalog.source_runs().finish(run.id, outcome, 100).await.unwrap();
    run.id
}

fn rows(committed: u64, quarantined: u64) -> Option<RowCounts> {
    Some(RowCounts { committed, quarantined, ..RowCounts::default() })
}

/// One run of every kind and status: good, bad and failed uploads, a source's good, bad and failed runs, and two that
/// were reported.
async fn lake_with_runs() -> (Lake, Vec<Uuid>) {
    let lake = Lake::open().await;
    let mut ids = Vec::new();
    ids.push(upload(&lake, "nyc.flights", rows(1000, 0), 1).await.0);
    ids.push(upload(&lake, "nyc.flights", rows(90, 10), 2).await.0);
    ids.push(upload(&lake, "hr.staff", None, 1).await.0);
    upload(&lake, "nyc.flights__quarantine", rows(10, 0), 1).await;
    let counts = |files_failed, quarantined| RunCounts {
        files_failed,
        rows: RowCounts { committed: 5, quarantined, ..RowCounts::default() },
        ..RunCounts::default()
    };
    let good = RunOutcome { failure: None, counts: counts(0, 0) };
    ids.push(source_run(&lake, "sales_data_pipeline", "nyc.sales", &good).await.0);
    let bad = RunOutcome { failure: None, counts: counts(1, 0) };
    ids.push(source_run(&lake, "sales_data_pipeline", "nyc.sales", &bad).await.0);
    let failed = RunOutcome { failure: Some(failure()), counts: counts(0, 0) };
    ids.push(source_run(&lake, "sales_data_pipeline", "nyc.sales", &failed).await.0);
    for pipeline in ["daily_etl", "daily_etl"] {
        let run = reported(pipeline, now());
        ids.push(run.id.0);
        started(lake.catalog.pipeline_runs().begin(&run, None, LIMITS).await.unwrap());
    }
    (lake, ids)
}

#[tokio::test]
async fn one_listing_has_the_runs_of_all_kinds_the_last_begun_first() {
    let (lake, mut ids) = lake_with_runs().await;
    ids.reverse();
    ids.sort_by(|one, other| other.cmp(one));
    let runs = lake.catalog.pipeline_runs();
    let (mut seen, mut token) = (Vec::new(), None);
    loop {
        let found = runs.list(&RunFilter::default(), &page(3, token)).await.unwrap();
        assert!(found.items.len() <= 3);
        seen.extend(found.items.iter().map(|run| run.id.0));
        token = found.next;
        if token.is_none() {
            break;
        }
    }
    assert_eq!(seen, ids);
    for id in ids {
        assert_eq!(runs.find(RunId(id)).await.unwrap().unwrap().id.0, id);
    }
    assert_eq!(runs.find(RunId(Uuid::now_v7())).await.unwrap(), None);
}

#[tokio::test]
async fn totals_are_those_of_the_runs_that_are_listed() {
    let (lake, _) = lake_with_runs().await;
    let runs = lake.catalog.pipeline_runs();
    let finished = reported("hourly", now());
    let report = RunReport {
        status: Some(RunStatus::Success),
        duration_seconds: Some(12.5),
        quality_score: Some(87.5),
        ..RunReport::default()
    };
    let finished = finished.report(&report, now()).unwrap();
    started(runs.begin(&finished, None, LIMITS).await.unwrap());
    let (later, of) = (Utc::now() + TimeDelta::hours(1), |name: &str| Some(name.parse::<PipelineName>().unwrap()));
    let filters = [
        RunFilter::default(),
        RunFilter { pipeline: of("nyc.flights"), ..RunFilter::default() },
        RunFilter { pipeline: of("sales_data_pipeline"), ..RunFilter::default() },
        RunFilter { pipeline: of("hourly"), ..RunFilter::default() },
        RunFilter { visible: Some(namespaces(&["nyc"])), ..RunFilter::default() },
        RunFilter { since: Some(later), ..RunFilter::default() },
    ];
    for filter in filters {
        let listed = runs.list(&filter, &page(100, None)).await.unwrap().items;
        let found = runs.totals(&filter).await.unwrap();
        let pipelines: BTreeSet<_> =
            listed.iter().filter(|run| run.status.has_ended()).map(|run| &run.pipeline).collect();
        assert_eq!(found.iter().map(|one| &one.pipeline).collect::<BTreeSet<_>>(), pipelines, "{filter:?}");
        for pipeline in pipelines {
            let own = listed.iter().filter(|run| run.pipeline == *pipeline);
            let (mut totals, expected) = (RunTotals::default(), RunTotals::of(own));
            found.iter().filter(|one| one.pipeline == *pipeline).for_each(|one| totals.merge(&one.totals));
            assert!((totals.seconds.sum - expected.seconds.sum).abs() < 0.1, "{pipeline}: {totals:?}, {expected:?}");
            assert_eq!(RunTotals { seconds: expected.seconds, ..totals }, expected, "{pipeline}");
            assert_eq!(totals.seconds.count, expected.seconds.count, "{pipeline}");
        }
    }
    let of_source = RunFilter { pipeline: of("sales_data_pipeline"), ..RunFilter::default() };
    let tables: BTreeSet<_> = runs.totals(&of_source).await.unwrap().into_iter().map(|one| one.table).collect();
    assert_eq!(tables, [Some(table_ref("nyc.sales"))].into());
}

#[tokio::test]
async fn a_run_of_the_ledger_tells_its_rows_and_its_end() {
    let (lake, ids) = lake_with_runs().await;
    let run = lake.catalog.pipeline_runs().find(RunId(ids[1])).await.unwrap().unwrap();
    assert_eq!((run.kind, run.status), (RunKind::Upload, RunStatus::Warning));
    assert_eq!((run.records_processed, run.records_failed, run.records_written), (100, 10, 90));
    assert_eq!((run.quality_score, run.pipeline.as_str()), (Some(90.0), "nyc.flights"));
    assert!(run.ended_at.is_some() && run.duration_seconds.is_some());
    let failed = lake.catalog.pipeline_runs().find(RunId(ids[2])).await.unwrap().unwrap();
    assert_eq!((failed.status, failed.error.as_deref()), (RunStatus::Failed, Some("no such column")));
    assert_eq!((failed.records_processed, failed.quality_score), (0, None));
    assert!(failed.ended_at.is_some(), "the ledger tells when an upload failed");
    let source = lake.catalog.pipeline_runs().find(RunId(ids[4])).await.unwrap().unwrap();
    assert_eq!((source.kind, source.status), (RunKind::Source, RunStatus::Warning));
    assert_eq!(source.table, Some(table_ref("nyc.sales")));
}

#[rstest]
#[case::pipeline(RunFilter { pipeline: Some("sales_data_pipeline".parse().unwrap()), ..RunFilter::default() }, &[3, 4, 5])]
#[case::pipeline_of_uploads(RunFilter { pipeline: Some("nyc.flights".parse().unwrap()), ..RunFilter::default() }, &[0, 1])]
#[case::table(RunFilter { table: Some(table_ref("nyc.sales")), ..RunFilter::default() }, &[3, 4, 5])]
#[case::table_that_another_begins_with(RunFilter { table: Some(table_ref("nyc.sale")), ..RunFilter::default() }, &[])]
#[case::success(RunFilter { status: Some(RunStatus::Success), ..RunFilter::default() }, &[0, 3])]
#[case::warning(RunFilter { status: Some(RunStatus::Warning), ..RunFilter::default() }, &[1, 4])]
#[case::failed(RunFilter { status: Some(RunStatus::Failed), ..RunFilter::default() }, &[2, 5])]
#[case::running(RunFilter { status: Some(RunStatus::Running), ..RunFilter::default() }, &[6, 7])]
#[case::cancelled(RunFilter { status: Some(RunStatus::Cancelled), ..RunFilter::default() }, &[])]
#[case::visible(RunFilter { visible: Some(namespaces(&["nyc"])), ..RunFilter::default() }, &[0, 1, 3, 4, 5])]
#[case::nothing_visible(RunFilter { visible: Some(Vec::new()), ..RunFilter::default() }, &[])]
#[case::later(RunFilter { since: Some(Utc::now() + TimeDelta::hours(1)), ..RunFilter::default() }, &[])]
#[case::since(RunFilter { since: Some(Utc::now() - TimeDelta::hours(1)), ..RunFilter::default() }, &[0, 1, 2, 3, 4, 5, 6, 7])]
#[tokio::test]
async fn runs_are_listed_by_what_is_asked(#[case] filter: RunFilter, #[case] expected: &[usize]) {
    let (lake, ids) = lake_with_runs().await;
    let mut found: Vec<usize> = Vec::new();
    for run in lake.catalog.pipeline_runs().list(&filter, &page(100, None)).await.unwrap().items {
        found.push(ids.iter().position(|id| *id == run.id.0).unwrap());
    }
    found.sort_unstable();
    assert_eq!(found, expected);
}

#[tokio::test]
async fn what_ended_is_told_once_in_the_order_of_the_ends() {
    let (lake, ids) = lake_with_runs().await;
    let mut place = EndedPlace { at: Utc::now() - TimeDelta::hours(1), run: None };
    let mut seen = Vec::new();
    loop {
        let ended = lake.catalog.pipeline_runs().ended_after(&place, 2).await.unwrap();
        let Some(last) = ended.last() else { break };
        place = EndedPlace { at: last.ended_at.unwrap(), run: Some(last.id) };
        seen.extend(ended.iter().map(|run| run.id.0));
    }
    assert_eq!(seen, ids[..6], "the two that were reported go on");
    let later = EndedPlace { at: Utc::now() + TimeDelta::hours(1), run: None };
    assert_eq!(lake.catalog.pipeline_runs().ended_after(&later, 100).await.unwrap(), []);
}

#[tokio::test]
async fn a_run_is_begun_once_by_its_key_and_saved_at_its_revision() {
    let lake = Lake::open().await;
    let runs = lake.catalog.pipeline_runs();
    let run = started(runs.begin(&reported("daily_etl", now()), Some("k"), LIMITS).await.unwrap());
    let again = runs.begin(&reported("daily_etl", now()), Some("k"), LIMITS).await.unwrap();
    assert_eq!(again, RunBegun::Known(run.clone()));
    let report = RunReport { status: Some(RunStatus::Success), quality_score: Some(98.7), ..RunReport::default() };
    let ended = run.report(&report, now()).unwrap();
    assert!(runs.save(&ended).await.unwrap());
    assert!(!runs.save(&ended).await.unwrap(), "it was made from a revision that is gone");
    let found = runs.find(run.id).await.unwrap().unwrap();
    assert_eq!(found, PipelineRun { revision: 1, ..ended });
    let lake = lake.reopen().await;
    assert_eq!(lake.catalog.pipeline_runs().find(run.id).await.unwrap(), Some(found));
}

#[tokio::test]
async fn pipelines_and_their_runs_are_bounded() {
    let lake = Lake::open().await;
    let runs = lake.catalog.pipeline_runs();
    let mut ids = Vec::new();
    for minute in 0..5 {
        let run = reported("a", now() - TimeDelta::minutes(60 - minute));
        ids.push(started(runs.begin(&run, None, LIMITS).await.unwrap()).id);
    }
    let kept = runs.list(&RunFilter::default(), &page(100, None)).await.unwrap().items;
    assert_eq!(kept.iter().map(|run| run.id).collect::<Vec<_>>(), [ids[4], ids[3], ids[2]]);
    for pipeline in ["b", "c"] {
        started(runs.begin(&reported(pipeline, now()), None, LIMITS).await.unwrap());
    }
    let refused = runs.begin(&reported("d", now()), None, LIMITS).await.unwrap();
    assert_eq!(refused, RunBegun::TooMany);
    started(runs.begin(&reported("c", now()), None, LIMITS).await.unwrap());
}

#[tokio::test]
async fn a_table_is_as_fresh_as_its_newest_committed_upload() {
    let lake = Lake::open().await;
    let freshness = lake.catalog.freshness();
    upload(&lake, "nyc.flights", rows(1, 0), 1).await;
    let newest = upload(&lake, "nyc.flights", rows(1, 0), 2).await;
    upload(&lake, "nyc.flights", None, 0).await;
    lake.active_table("hr.empty").await;
    let committed = lake.catalog.uploads().find(newest).await.unwrap().committed_at;
    let found = freshness.find(&table_ref("nyc.flights")).await.unwrap();
    assert_eq!((found.last_update, found.expected_every_seconds), (committed, None));

    assert!(freshness.expect(found.table.id, 3600, "ada").await.unwrap());
    assert!(!freshness.expect(found.table.id, 300, "ada").await.unwrap());
    let all = freshness.list(None, false, &page(1, None)).await.unwrap();
    assert_eq!(all.items[0].table.name, table_ref("hr.empty"));
    assert_eq!(all.items[0].last_update, None);
    let rest = freshness.list(None, false, &page(1, all.next)).await.unwrap();
    assert_eq!((rest.items[0].expected_every_seconds, rest.next), (Some(300), None));
    for (visible, only_expected, count) in
        [(None, true, 1), (Some(namespaces(&["hr"])), false, 1), (Some(Vec::new()), false, 0)]
    {
        let page = freshness.list(visible.as_deref(), only_expected, &page(10, None)).await.unwrap();
        assert_eq!(page.items.len(), count, "{visible:?}");
    }
    assert!(freshness.forget(found.table.id).await.unwrap());
    assert!(!freshness.forget(found.table.id).await.unwrap());
    assert!(freshness.find(&table_ref("nyc.nothing")).await.is_err());
}

#[tokio::test]
async fn service_levels_are_as_said_last_and_bounded() {
    let lake = Lake::open().await;
    let levels = lake.catalog.service_levels();
    let level = |pipeline: &str, min_success_rate| ServiceLevel {
        pipeline: pipeline.parse().unwrap(),
        targets: ServiceLevelTargets { min_success_rate, ..ServiceLevelTargets::default() },
    };
    assert_eq!(levels.define(&level("b", 98.0), "ada", 2).await.unwrap(), Entry::Made);
    assert_eq!(levels.define(&level("a", 99.0), "ada", 2).await.unwrap(), Entry::Made);
    assert_eq!(levels.define(&level("c", 99.0), "ada", 2).await.unwrap(), Entry::TooMany);
    assert_eq!(levels.define(&level("b", 97.5), "ada", 2).await.unwrap(), Entry::Changed);
    assert_eq!(levels.list().await.unwrap(), [level("a", 99.0), level("b", 97.5)]);
    let a: PipelineName = "a".parse().unwrap();
    assert!(levels.forget(&a).await.unwrap());
    assert!(!levels.forget(&a).await.unwrap());
}

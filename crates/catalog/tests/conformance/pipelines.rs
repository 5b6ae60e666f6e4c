//! Pipelines that make curated tables, and their runs.

use std::collections::{BTreeMap, BTreeSet};

use sluice_catalog::{
    BackfillBegun, Catalog, CuratedBegun, EndedPlace, NewBackfill, NewCuratedRun, NewPipeline, PipelineDefined,
    Preparation, RunFilter,
};
use sluice_domain::{
    Backfill, BackfillRange, CronSchedule, CuratedFigures, CuratedOutcome, CuratedRun, ErrorKind, FileRecord, Interval,
    Pipeline, PipelineCause, PipelineDefinition, PipelineMode, PipelineSchedule, PreparedRun, RunKind, RunStatus,
    RunWish, StepKind, StoredFailure, TableRef,
};

use crate::samples::{Lake, namespaces, page};

fn new_pipeline(name: &str, inputs: &[&str], target: &str) -> NewPipeline {
    let inputs = inputs.iter().map(|input| input.parse().unwrap()).collect();
    let step = StepKind::Sql("SELECT 1 AS one".into());
    let definition = PipelineDefinition::of(step, target.parse().unwrap(), PipelineMode::Append);
    let definition = PipelineDefinition { inputs, ..definition };
    NewPipeline { name: name.parse().unwrap(), definition, principal: "ada".into(), is_trial: false }
}

fn scheduled(name: &str, target: &str, schedule: PipelineSchedule) -> NewPipeline {
    let mut new = new_pipeline(name, &["raw.orders"], target);
    new.definition.schedule = Some(schedule);
    new
}

async fn define(catalog: &Catalog, new: &NewPipeline) -> Pipeline {
    match catalog.pipelines().define(new, 10).await.unwrap() {
        PipelineDefined::Made(pipeline) => pipeline,
        other => panic!("{} is not new: {other:?}", new.name),
    }
}

fn wish(pipeline: &Pipeline, key: Option<&str>) -> NewCuratedRun {
    NewCuratedRun {
        pipeline: pipeline.id,
        cause: PipelineCause::Request,
        wish: RunWish { full_refresh: key.is_some(), ..RunWish::default() },
        principal: "bob".into(),
        key: key.map(str::to_owned),
        seen: BTreeMap::from([("raw.orders".parse().unwrap(), 7)]),
    }
}

async fn started(catalog: &Catalog, pipeline: &Pipeline) -> CuratedRun {
    match catalog.pipelines().begin_run(&wish(pipeline, None)).await.unwrap() {
        CuratedBegun::Started(run) => run,
        other => panic!("no run began: {other:?}"),
    }
}

fn outcome(status: RunStatus) -> CuratedOutcome {
    let figures = CuratedFigures { rows_in: 9, rows_out: 4, version_out: Some(3), ..CuratedFigures::default() };
    let failure = StoredFailure { kind: ErrorKind::Invalid, code: "x".into(), detail: "no".into() };
    CuratedOutcome { status, figures, failure: (status == RunStatus::Failed).then_some(failure) }
}

async fn finish(catalog: &Catalog, run: &CuratedRun, status: RunStatus) {
    catalog.pipelines().finish_run(run.id, &outcome(status), &BTreeSet::new(), 9).await.unwrap();
}

fn file(path: &str) -> FileRecord {
    FileRecord { path: path.into(), size_bytes: 10, sha256: "00".into(), rows: 2, upload: None }
}

#[tokio::test]
async fn a_pipeline_is_defined_again_under_its_id() {
    let lake = Lake::open().await;
    let first = define(&lake.catalog, &new_pipeline("a", &["raw.orders"], "c.a")).await;
    let again = NewPipeline { principal: "bob".into(), ..new_pipeline("a", &["raw.other"], "c.b") };
    let PipelineDefined::Changed(second) = lake.catalog.pipelines().define(&again, 1).await.unwrap() else {
        panic!("new")
    };
    assert_eq!((second.id, second.created_at), (first.id, first.created_at));
    assert_eq!((&second.definition, second.principal.as_str()), (&again.definition, "bob"));
    let more = lake.catalog.pipelines().define(&new_pipeline("b", &[], "c.c"), 1).await.unwrap();
    assert_eq!(more, PipelineDefined::TooMany);
    let lake = lake.reopen().await;
    assert_eq!(lake.catalog.pipelines().find(&again.name).await.unwrap(), Some(second));
}

#[tokio::test]
async fn a_trial_tells_what_would_come_of_it_and_changes_nothing() {
    let lake = Lake::open().await;
    let pipelines = lake.catalog.pipelines();
    let trial = NewPipeline { is_trial: true, ..new_pipeline("a", &["raw.orders"], "c.a") };
    let made = pipelines.define(&trial, 1).await.unwrap();
    assert!(matches!(made, PipelineDefined::Made(pipeline) if pipeline.definition == trial.definition));
    assert_eq!(pipelines.find(&trial.name).await.unwrap(), None);
    let kept = define(&lake.catalog, &new_pipeline("a", &["raw.orders"], "c.a")).await;
    let trial = NewPipeline { is_trial: true, ..new_pipeline("a", &["raw.other"], "c.b") };
    let changed = pipelines.define(&trial, 1).await.unwrap();
    assert!(matches!(changed, PipelineDefined::Changed(pipeline) if pipeline.definition == trial.definition));
    assert_eq!(pipelines.find(&trial.name).await.unwrap(), Some(kept));
}

#[tokio::test]
async fn a_target_has_one_pipeline_and_data_does_not_come_back() {
    let lake = Lake::open().await;
    define(&lake.catalog, &new_pipeline("a", &["raw.orders"], "c.a")).await;
    define(&lake.catalog, &new_pipeline("b", &["c.a"], "c.b")).await;
    let pipelines = lake.catalog.pipelines();
    let taken = pipelines.define(&new_pipeline("x", &["raw.orders"], "c.b"), 10).await.unwrap();
    assert_eq!(taken, PipelineDefined::TargetTaken("b".parse().unwrap()));
    let cycle = pipelines.define(&new_pipeline("a", &["c.b"], "c.a"), 10).await.unwrap();
    assert_eq!(cycle, PipelineDefined::Cycle(["a", "b", "a"].map(|name| name.parse().unwrap()).into()));
    let kept = pipelines.find(&"a".parse().unwrap()).await.unwrap().unwrap();
    assert_eq!(kept.definition.inputs, ["raw.orders".parse::<TableRef>().unwrap()]);
}

#[tokio::test]
async fn pipelines_are_listed_by_name_to_those_who_see_their_targets() {
    let lake = Lake::open().await;
    for (name, target) in [("b", "c.b"), ("a", "hr.a"), ("d", "c.d")] {
        define(&lake.catalog, &new_pipeline(name, &[], target)).await;
    }
    let visible = namespaces(&["c"]);
    let list = async |token| lake.catalog.pipelines().list(Some(&visible), &page(1, token)).await.unwrap();
    let first = list(None).await;
    let second = list(first.next.clone()).await;
    assert_eq!((first.items[0].name.as_str(), second.items[0].name.as_str(), second.next), ("b", "d", None));
}

#[tokio::test]
async fn a_pipeline_has_one_run_at_a_time_and_one_per_key() {
    let lake = Lake::open().await;
    let pipeline = define(&lake.catalog, &new_pipeline("a", &["raw.orders"], "c.a")).await;
    let runs = lake.catalog.pipelines();
    let CuratedBegun::Started(run) = runs.begin_run(&wish(&pipeline, Some("k"))).await.unwrap() else { panic!("busy") };
    assert_eq!((run.sequence, run.status, run.attempts), (1, RunStatus::Running, 0));
    assert_eq!(runs.begin_run(&wish(&pipeline, None)).await.unwrap(), CuratedBegun::Busy(run.clone()));
    assert_eq!(runs.begin_run(&wish(&pipeline, Some("k"))).await.unwrap(), CuratedBegun::Known(run.clone()));
    assert!(!runs.forget(pipeline.id).await.unwrap());
    assert_eq!(runs.running(pipeline.id).await.unwrap(), Some(run.clone()));
    assert_eq!(runs.unfinished_runs(9).await.unwrap(), std::slice::from_ref(&run));
    assert_eq!(runs.count_attempt(run.id).await.unwrap(), Some(1));
    finish(&lake.catalog, &run, RunStatus::Failed).await;
    finish(&lake.catalog, &run, RunStatus::Success).await;
    let ended = runs.find_run(run.id).await.unwrap().unwrap();
    assert_eq!((ended.status, ended.failure), (RunStatus::Failed, outcome(RunStatus::Failed).failure));
    assert_eq!(runs.count_attempt(run.id).await.unwrap(), None);
    assert!(matches!(runs.begin_run(&wish(&pipeline, Some("k"))).await.unwrap(), CuratedBegun::Known(_)));
    let next = started(&lake.catalog, &pipeline).await;
    assert_eq!(next.sequence, 2);
    runs.finish_run(next.id, &outcome(RunStatus::Success), &BTreeSet::new(), 1).await.unwrap();
    assert_eq!(runs.find_run(run.id).await.unwrap(), None, "the newest are kept");
    assert!(runs.forget(pipeline.id).await.unwrap());
    assert!(runs.find_run(next.id).await.unwrap().is_some(), "runs outlive their pipelines");
    assert_eq!(runs.begin_run(&wish(&pipeline, None)).await.unwrap(), CuratedBegun::Gone);
}

#[tokio::test]
async fn files_are_entered_before_a_commit_and_those_of_no_commit_are_struck_out() {
    let lake = Lake::open().await;
    let table = lake.active_table("c.a").await.id;
    let pipeline = define(&lake.catalog, &new_pipeline("a", &[], "c.a")).await;
    let run = started(&lake.catalog, &pipeline).await;
    let runs = lake.catalog.pipelines();
    for path in ["first", "second"] {
        let prepared = PreparedRun::new(table, vec![path.into()], outcome(RunStatus::Success).figures);
        let entered = runs.prepare_run(run.id, table, &prepared, &[file(path)]).await.unwrap();
        assert_eq!(entered, Preparation::Entered);
    }
    let kept = runs.find_run(run.id).await.unwrap().unwrap().prepared.unwrap();
    assert_eq!((kept.files, kept.figures.rows_out), (vec!["first".to_owned(), "second".to_owned()], 4));
    let known = async || {
        let files = lake.catalog.inventory().files(table, None, 9).await.unwrap();
        files.into_iter().map(|file| file.path).collect::<Vec<_>>()
    };
    assert_eq!(known().await, ["first", "second"]);
    let live = BTreeSet::from(["second".to_owned()]);
    runs.finish_run(run.id, &outcome(RunStatus::Success), &live, 9).await.unwrap();
    assert_eq!(known().await, ["second"]);
    let late = PreparedRun::new(table, vec!["late".into()], CuratedFigures::default());
    assert_eq!(runs.prepare_run(run.id, table, &late, &[file("late")]).await.unwrap(), Preparation::Lost);
    assert_eq!(known().await, ["second"]);
}

#[tokio::test]
async fn a_run_that_is_to_end_does_not_commit() {
    let lake = Lake::open().await;
    let table = lake.active_table("c.a").await.id;
    let pipeline = define(&lake.catalog, &new_pipeline("a", &[], "c.a")).await;
    let run = started(&lake.catalog, &pipeline).await;
    let runs = lake.catalog.pipelines();
    let asked = runs.cancel_run(run.id).await.unwrap().unwrap();
    assert!(asked.cancel_asked && asked.status == RunStatus::Running);
    let prepared = PreparedRun::new(table, vec!["x".into()], CuratedFigures::default());
    assert_eq!(runs.prepare_run(run.id, table, &prepared, &[file("x")]).await.unwrap(), Preparation::Cancelled);
    assert!(lake.catalog.inventory().files(table, None, 9).await.unwrap().is_empty());
    finish(&lake.catalog, &run, RunStatus::Cancelled).await;
    assert_eq!(runs.cancel_run(run.id).await.unwrap().unwrap().status, RunStatus::Cancelled);
}

#[tokio::test]
async fn a_run_gets_a_place_behind_what_the_log_has() {
    let lake = Lake::open().await;
    let pipeline = define(&lake.catalog, &new_pipeline("a", &[], "c.a")).await;
    let run = started(&lake.catalog, &pipeline).await;
    assert_eq!(lake.catalog.pipelines().skip_run_sequence(run.id, 41).await.unwrap(), 42);
    finish(&lake.catalog, &run, RunStatus::Success).await;
    assert_eq!(started(&lake.catalog, &pipeline).await.sequence, 43);
}

#[tokio::test]
async fn a_pipeline_is_due_by_the_clock_or_waits_for_data() {
    let lake = Lake::open().await;
    let pipelines = lake.catalog.pipelines();
    let often = define(&lake.catalog, &scheduled("often", "c.a", PipelineSchedule::EverySeconds(3600))).await;
    let waits = define(&lake.catalog, &scheduled("waits", "c.b", PipelineSchedule::OnNewData)).await;
    define(&lake.catalog, &new_pipeline("never", &[], "c.c")).await;
    let mut off = scheduled("off", "c.d", PipelineSchedule::OnNewData);
    off.definition.enabled = false;
    define(&lake.catalog, &off).await;
    let (now, later) = (chrono::Utc::now(), chrono::Utc::now() + chrono::TimeDelta::seconds(3601));
    assert_eq!(pipelines.due(now, 9).await.unwrap(), std::slice::from_ref(&often));
    assert_eq!(pipelines.watching(9).await.unwrap(), std::slice::from_ref(&waits));
    let runs = [started(&lake.catalog, &often).await, started(&lake.catalog, &waits).await];
    assert!(pipelines.due(later, 9).await.unwrap().is_empty() && pipelines.watching(9).await.unwrap().is_empty());
    for run in &runs {
        finish(&lake.catalog, run, RunStatus::Success).await;
    }
    assert!(pipelines.due(now, 9).await.unwrap().is_empty(), "it has run");
    assert_eq!(pipelines.due(later, 9).await.unwrap().len(), 1);
    assert_eq!(pipelines.watching(9).await.unwrap()[0].seen, wish(&waits, None).seen);
}

#[tokio::test]
async fn a_pipeline_by_the_calendar_waits_for_its_time_and_missed_ones_come_to_one_run() {
    let lake = Lake::open().await;
    let pipelines = lake.catalog.pipelines();
    let cron = CronSchedule { pattern: "30 4 * * *".into(), time_zone: "Europe/Zurich".into() };
    let mut new = scheduled("daily", "c.a", PipelineSchedule::Cron(cron.clone()));
    let before = chrono::Utc::now();
    let daily = define(&lake.catalog, &new).await;
    let next = daily.next_run_at.unwrap();
    assert!(next > before && next - before <= chrono::TimeDelta::hours(25), "{next}");
    assert!(pipelines.due(before, 9).await.unwrap().is_empty(), "it does not run at once");
    let missed = next + chrono::TimeDelta::days(9);
    assert_eq!(pipelines.due(missed, 9).await.unwrap(), std::slice::from_ref(&daily));
    new.definition.description = Some("told anew".into());
    assert!(matches!(pipelines.define(&new, 10).await.unwrap(), PipelineDefined::Changed(again)
        if again.next_run_at == Some(next)));
    finish(&lake.catalog, &started(&lake.catalog, &daily).await, RunStatus::Success).await;
    let after = pipelines.find(&daily.name).await.unwrap().unwrap().next_run_at.unwrap();
    assert_eq!(Some(after), cron.next_after(chrono::Utc::now()), "the next one is the first to come");
    new.definition.enabled = false;
    pipelines.define(&new, 10).await.unwrap();
    assert_eq!(pipelines.find(&daily.name).await.unwrap().unwrap().next_run_at, None);
}

#[tokio::test]
async fn the_runs_of_a_server_that_ended_are_taken_over() {
    let lake = Lake::open().await;
    let pipeline = define(&lake.catalog, &new_pipeline("a", &[], "c.a")).await;
    let other = lake.another().await.unwrap();
    let run = started(&other, &pipeline).await;
    assert_eq!(lake.catalog.take_over().await.unwrap(), 0);
    assert_eq!(lake.catalog.pipelines().count_attempt(run.id).await.unwrap(), None, "it is another server's");
    other.close().await.unwrap();
    assert_eq!(lake.catalog.take_over().await.unwrap(), 1);
    assert_eq!(lake.catalog.pipelines().unfinished_runs(9).await.unwrap(), std::slice::from_ref(&run));
    assert_eq!(lake.catalog.pipelines().count_attempt(run.id).await.unwrap(), Some(1));
}

#[tokio::test]
async fn runs_of_pipelines_are_among_all_runs() {
    let lake = Lake::open().await;
    let pipeline = define(&lake.catalog, &new_pipeline("a", &[], "c.a")).await;
    let run = started(&lake.catalog, &pipeline).await;
    let all = lake.catalog.pipeline_runs();
    let found = all.find(run.id).await.unwrap().unwrap();
    assert_eq!((found.kind, found.status, found.ended_at), (RunKind::Pipeline, RunStatus::Running, None));
    finish(&lake.catalog, &run, RunStatus::Success).await;
    let filter = RunFilter {
        pipeline: Some("a".parse().unwrap()),
        table: Some("c.a".parse().unwrap()),
        status: Some(RunStatus::Success),
        visible: Some(namespaces(&["c"])),
        ..RunFilter::default()
    };
    let listed = all.list(&filter, &page(9, None)).await.unwrap().items;
    assert_eq!(listed.len(), 1);
    let details = listed[0].details.as_ref().unwrap();
    assert_eq!((details.figures.rows_out, details.figures.version_out), (4, Some(3)));
    assert_eq!((listed[0].records_processed, listed[0].data_loss()), (9, 0.0));
    let hidden = RunFilter { visible: Some(namespaces(&["d"])), ..RunFilter::default() };
    assert!(all.list(&hidden, &page(9, None)).await.unwrap().items.is_empty());
    let place = EndedPlace { at: run.started_at, run: None };
    let ended = all.ended_after(&place, 9).await.unwrap();
    assert_eq!(ended.iter().map(|ended| ended.id).collect::<Vec<_>>(), [run.id]);
}

#[tokio::test]
async fn pipelines_and_their_runs_are_carried_over() {
    let lake = Lake::open().await;
    let pipeline = define(&lake.catalog, &scheduled("a", "c.a", PipelineSchedule::OnNewData)).await;
    let run = started(&lake.catalog, &pipeline).await;
    finish(&lake.catalog, &run, RunStatus::Success).await;
    let mut text = Vec::new();
    lake.catalog.export(&mut text).await.unwrap();
    let copy = Lake::open().await;
    copy.catalog.import(&mut text.as_slice()).await.unwrap();
    let pipelines = copy.catalog.pipelines();
    assert_eq!(
        pipelines.find(&pipeline.name).await.unwrap(),
        lake.catalog.pipelines().find(&pipeline.name).await.unwrap()
    );
    assert_eq!(pipelines.find_run(run.id).await.unwrap(), lake.catalog.pipelines().find_run(run.id).await.unwrap());
    assert_eq!(started(&copy.catalog, &pipeline).await.sequence, 2);
}

fn moment(hour: u32) -> chrono::DateTime<chrono::Utc> {
    chrono::NaiveDate::from_ymd_opt(2026, 1, 1).unwrap().and_hms_opt(hour, 0, 0).unwrap().and_utc()
}

fn new_backfill(pipeline: &Pipeline) -> NewBackfill {
    let range = BackfillRange::new(Interval::new(moment(0), moment(2)).unwrap(), 3600).unwrap();
    NewBackfill { pipeline: pipeline.id, range, principal: "bob".into() }
}

async fn begun(catalog: &Catalog, pipeline: &Pipeline) -> Backfill {
    match catalog.pipelines().begin_backfill(&new_backfill(pipeline)).await.unwrap() {
        BackfillBegun::Started(backfill) => backfill,
        other => panic!("no backfill began: {other:?}"),
    }
}

/// Begin the run for a part, if it is the next one.
async fn run_part(catalog: &Catalog, pipeline: &Pipeline, backfill: &Backfill, part: Interval) -> Option<CuratedRun> {
    let part = RunWish { interval: Some(part), backfill: Some(backfill.id), ..RunWish::default() };
    let new = NewCuratedRun { wish: part, cause: PipelineCause::Backfill, ..wish(pipeline, None) };
    match catalog.pipelines().begin_run(&new).await.unwrap() {
        CuratedBegun::Started(run) => Some(run),
        CuratedBegun::Gone => None,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_backfill_moves_on_with_the_end_of_the_run_for_its_part() {
    let lake = Lake::open().await;
    let catalog = &lake.catalog;
    let pipeline = define(catalog, &new_pipeline("a", &["raw.orders"], "c.a")).await;
    assert_eq!(catalog.pipelines().find_backfill(pipeline.id).await.unwrap(), None);
    let backfill = begun(catalog, &pipeline).await;
    assert_eq!(
        catalog.pipelines().begin_backfill(&new_backfill(&pipeline)).await.unwrap(),
        BackfillBegun::Busy(backfill.clone())
    );
    assert_eq!(catalog.pipelines().idle_backfills(9).await.unwrap(), vec![backfill.clone()]);
    let (first, second) = (Interval::new(moment(0), moment(1)).unwrap(), Interval::new(moment(1), moment(2)).unwrap());
    assert_eq!(run_part(catalog, &pipeline, &backfill, second).await, None, "it is not the turn of this part");
    let run = run_part(catalog, &pipeline, &backfill, first).await.unwrap();
    assert_eq!((run.wish.interval, run.wish.backfill), (Some(first), Some(backfill.id)));
    assert!(catalog.pipelines().idle_backfills(9).await.unwrap().is_empty(), "a run goes on");
    finish(catalog, &run, RunStatus::Success).await;
    assert_eq!(run_part(catalog, &pipeline, &backfill, first).await, None, "a part runs once");
    let run = run_part(catalog, &pipeline, &backfill, second).await.unwrap();
    finish(catalog, &run, RunStatus::Success).await;
    let done = catalog.pipelines().find_backfill(pipeline.id).await.unwrap().unwrap();
    assert_eq!((done.status, done.next, done.ended_at.is_some()), (RunStatus::Success, moment(2), true));
    assert_eq!(catalog.pipelines().cancel_backfill(pipeline.id).await.unwrap(), Some(done), "it has ended");
    assert!(catalog.pipelines().idle_backfills(9).await.unwrap().is_empty());
    let next = begun(catalog, &pipeline).await;
    assert_ne!(next.id, backfill.id);
    let cancelled = catalog.pipelines().cancel_backfill(pipeline.id).await.unwrap().unwrap();
    assert_eq!(cancelled.status, RunStatus::Cancelled);
    assert_eq!(run_part(catalog, &pipeline, &next, first).await, None);
    assert!(catalog.pipelines().forget(pipeline.id).await.unwrap());
    assert_eq!(catalog.pipelines().find_backfill(pipeline.id).await.unwrap(), None);
    assert_eq!(catalog.pipelines().begin_backfill(&new_backfill(&pipeline)).await.unwrap(), BackfillBegun::Gone);
}

#[tokio::test]
async fn the_time_of_a_run_begins_with_the_end_of_that_of_the_last_one_that_went_through() {
    let lake = Lake::open().await;
    let catalog = &lake.catalog;
    let pipeline = define(catalog, &new_pipeline("a", &["raw.orders"], "c.a")).await;
    let first = started(catalog, &pipeline).await;
    assert_eq!(first.wish.interval, Some(Interval::until(first.started_at)));
    finish(catalog, &first, RunStatus::Success).await;
    let failed = started(catalog, &pipeline).await;
    assert_eq!(failed.wish.interval, Interval::new(first.started_at, failed.started_at).ok());
    finish(catalog, &failed, RunStatus::Failed).await;
    let told = Interval::new(moment(0), moment(1)).ok();
    let told_run = NewCuratedRun { wish: RunWish { interval: told, ..RunWish::default() }, ..wish(&pipeline, None) };
    let CuratedBegun::Started(run) = catalog.pipelines().begin_run(&told_run).await.unwrap() else { panic!("no run") };
    assert_eq!(run.wish.interval, told);
    finish(catalog, &run, RunStatus::Success).await;
    let last = started(catalog, &pipeline).await;
    assert_eq!(last.wish.interval.unwrap().start, first.started_at, "neither the failed one nor the one that was told");
}

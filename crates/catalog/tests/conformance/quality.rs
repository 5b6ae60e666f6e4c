//! Suites and their results.

use sluice_catalog::{CatalogError, CommittedUpload, MAX_QUALITY_RESULTS, RecordedPlace, TableChange};
use sluice_domain::{
    NotesChange, QualityResult, QualitySubject, RowCounts, RowScore, RunId, Suite, TableEntry, TableId, UploadId,
    Validation,
};
use uuid::Uuid;

use crate::samples::{Lake, begin, commit, instant, page};

fn suite(name: &str) -> Suite {
    serde_json::from_str(&format!(
        r#"{{"name": {name:?}, "criticality": "high", "rules": [{{"kind": "expect_column_values_to_not_be_null",
            "kwargs": {{"column": "Über", "mostly": 0.95}}, "severity": "critical", "action": "block"}}]}}"#
    ))
    .unwrap()
}

fn result(subject: QualitySubject, version: Option<u64>, publishable: bool) -> QualityResult {
    let rows = RowScore { total: 10, valid: 7 };
    let validation = Validation { suite: "nö".into(), rows, publishable, results: Vec::new(), not_asked: Vec::new() };
    QualityResult { subject, version, checked_at: instant("2026-01-31T23:59:59.123456789Z"), validation }
}

fn check(version: u64, publishable: bool) -> QualityResult {
    result(QualitySubject::Table(Uuid::now_v7()), Some(version), publishable)
}

impl Lake {
    async fn record(&self, table: TableId, result: &QualityResult) {
        self.catalog.quality().record(table, result).await.unwrap();
    }

    /// An upload with a result, in the table from this version on.
    async fn uploaded(&self, table: &TableEntry, version: u64, publishable: bool) -> UploadId {
        let id = self.landed(&table.name.to_string()).await;
        self.record(table.id, &result(QualitySubject::Upload(id), None, publishable)).await;
        let uploads = self.catalog.uploads();
        begin(self.catalog.uploads(), id, table.id).await.unwrap();
        let rows = RowCounts::all_committed(1);
        let committed = CommittedUpload { version, rows, committed_at: instant("2026-02-01T00:00:00Z") };
        commit(uploads, id, table.id, committed).await.unwrap();
        id
    }
}

#[tokio::test]
async fn a_table_has_the_suite_that_was_set_last_and_its_uploads_are_held_to_it() {
    let lake = Lake::open().await;
    let (table, other) = (lake.active_table("nyc.flights").await.id, lake.active_table("nyc.taxis").await.id);
    assert_eq!(lake.catalog.quality().suite(table).await.unwrap(), None);
    lake.catalog.quality().set_suite(table, &suite("one"), "ada").await.unwrap();
    lake.catalog.quality().set_suite(table, &suite("two"), "bob").await.unwrap();
    let lake = lake.reopen().await;
    assert_eq!(lake.catalog.quality().suite(table).await.unwrap(), Some(suite("two")));
    assert_eq!(lake.catalog.contracts().terms(table).await.unwrap().suite, Some(suite("two")));
    assert_eq!(lake.catalog.contracts().terms(other).await.unwrap().suite, None);
    let empty = Suite { rules: Vec::new(), ..suite("empty") };
    lake.catalog.quality().set_suite(table, &empty, "ada").await.unwrap();
    assert_eq!(lake.catalog.quality().suite(table).await.unwrap(), Some(empty));
    assert_eq!(lake.catalog.contracts().terms(table).await.unwrap().suite, None);
}

#[tokio::test]
async fn results_are_told_in_the_order_in_which_they_were_written_down() {
    let lake = Lake::open().await;
    let table = lake.active_table("nyc.flights").await;
    let notes = NotesChange { tags: Some(vec!["gold".parse().unwrap()]), ..NotesChange::default() };
    let change = TableChange { notes, ..TableChange::default() };
    lake.catalog.tables().change(&table.name, change, "ada").await.unwrap();
    let quality = lake.catalog.quality();
    let begin = RecordedPlace { at: chrono::Utc::now() - chrono::TimeDelta::minutes(1), id: None };
    let late = check(1, false);
    let upload = lake.uploaded(&table, 2, true).await;
    lake.record(table.id, &late).await;
    let all = quality.recorded_after(&begin, 10).await.unwrap();
    let ids: Vec<Uuid> = all.iter().map(|judged| judged.result.subject.id()).collect();
    assert_eq!(ids, [upload.0, late.subject.id()], "not by when they were begun");
    assert_eq!((&all[1].table, all[1].tags[0].as_str(), &all[1].result), (&table.name, "gold", &late));
    assert_eq!(all[0].result.version, Some(2));
    let place = RecordedPlace { at: all[0].recorded_at, id: Some(ids[0]) };
    assert_eq!(quality.recorded_after(&place, 10).await.unwrap(), all[1..]);
    assert_eq!(quality.recorded_after(&begin, 1).await.unwrap(), all[..1]);
    lake.record(table.id, &result(QualitySubject::Upload(upload), None, false)).await;
    let again = quality.recorded_after(&place, 10).await.unwrap();
    assert_eq!(again.len(), 2, "what is said anew comes again");
    lake.catalog.tables().delete(&table.name).await.unwrap();
    assert_eq!(quality.recorded_after(&begin, 10).await.unwrap(), []);
}

#[tokio::test]
async fn a_table_that_does_not_exist_gets_no_suite() {
    let lake = Lake::open().await;
    let error = lake.catalog.quality().set_suite(TableId(Uuid::now_v7()), &suite("s"), "ada").await.unwrap_err();
    assert!(matches!(error, CatalogError::TableNotFound { .. }), "{error:?}");
}

#[tokio::test]
async fn results_come_newest_first_in_pages_and_know_the_versions_of_their_uploads() {
    let lake = Lake::open().await;
    let table = lake.active_table("nyc.flights").await;
    let upload = lake.uploaded(&table, 3, true).await;
    let failed = lake.landed("nyc.flights").await;
    lake.record(table.id, &result(QualitySubject::Upload(failed), None, false)).await;
    let checked = check(4, true);
    lake.record(table.id, &checked).await;
    let first = lake.catalog.quality().results(table.id, &page(2, None)).await.unwrap();
    assert_eq!(first.items[0], checked);
    assert_eq!((first.items[1].subject, first.items[1].version), (QualitySubject::Upload(failed), None));
    let rest = lake.catalog.quality().results(table.id, &page(2, first.next)).await.unwrap();
    assert_eq!((rest.items[0].subject, rest.items[0].version), (QualitySubject::Upload(upload), Some(3)));
    assert!(rest.next.is_none() && rest.items.len() == 1);
}

#[tokio::test]
async fn an_upload_that_is_tried_again_has_one_result() {
    let lake = Lake::open().await;
    let table = lake.active_table("nyc.flights").await;
    let id = lake.landed("nyc.flights").await;
    for publishable in [false, true] {
        lake.record(table.id, &result(QualitySubject::Upload(id), None, publishable)).await;
    }
    let all = lake.catalog.quality().results(table.id, &page(10, None)).await.unwrap();
    assert_eq!(all.items.len(), 1);
    assert!(all.items[0].validation.publishable);
}

#[tokio::test]
async fn a_table_may_be_published_until_rows_that_are_in_it_stand_against_that() {
    let lake = Lake::open().await;
    let table = lake.active_table("nyc.flights").await;
    let quality = lake.catalog.quality();
    assert!(quality.verdict(table.id).await.unwrap().publishable);
    lake.uploaded(&table, 1, true).await;
    // One that is not in the table says nothing about it.
    let failed = lake.landed("nyc.flights").await;
    lake.record(table.id, &result(QualitySubject::Upload(failed), None, false)).await;
    assert!(quality.verdict(table.id).await.unwrap().publishable);
    let against = lake.uploaded(&table, 2, false).await;
    lake.uploaded(&table, 3, true).await;
    let verdict = quality.verdict(table.id).await.unwrap();
    assert!(!verdict.publishable);
    assert_eq!(verdict.because.unwrap().subject, QualitySubject::Upload(against));
    // A check of an older version does not know of them, one of a newer does.
    lake.record(table.id, &check(1, true)).await;
    assert!(!quality.verdict(table.id).await.unwrap().publishable);
    lake.record(table.id, &check(3, true)).await;
    assert!(quality.verdict(table.id).await.unwrap().publishable);
    lake.record(table.id, &check(3, false)).await;
    assert!(!quality.verdict(table.id).await.unwrap().publishable);
}

#[tokio::test]
async fn the_result_of_a_run_counts_once_its_rows_are_in_the_table() {
    let lake = Lake::open().await;
    let (table, quality) = (lake.active_table("nyc.flights").await, lake.catalog.quality());
    lake.record(table.id, &check(4, true)).await;
    let (blocked, published) = (RunId(Uuid::now_v7()), RunId(Uuid::now_v7()));
    for run in [blocked, published] {
        lake.record(table.id, &result(QualitySubject::Run(run), None, false)).await;
    }
    assert!(quality.verdict(table.id).await.unwrap().publishable, "no version has these rows");
    quality.publish(published, 5).await.unwrap();
    let verdict = quality.verdict(table.id).await.unwrap();
    assert_eq!(
        verdict.because.map(|because| (because.subject, because.version)),
        Some((QualitySubject::Run(published), Some(5)))
    );
    let all = quality.results(table.id, &page(9, None)).await.unwrap().items;
    assert_eq!((all[1].subject, all[1].version), (QualitySubject::Run(blocked), None));
    let place = RecordedPlace { at: instant("2026-01-01T00:00:00Z"), id: None };
    assert_eq!(quality.recorded_after(&place, 9).await.unwrap().len(), 3);
    lake.record(table.id, &check(5, true)).await;
    assert!(quality.verdict(table.id).await.unwrap().publishable, "the whole table was looked at since");
}

#[tokio::test]
async fn old_results_are_forgotten_but_for_those_that_the_verdict_rests_on() {
    let lake = Lake::open().await;
    let table = lake.active_table("nyc.flights").await;
    let under_way = lake.landed("nyc.flights").await;
    lake.record(table.id, &result(QualitySubject::Upload(under_way), None, true)).await;
    lake.record(table.id, &check(1, true)).await;
    lake.uploaded(&table, 2, false).await;
    let against = lake.uploaded(&table, 3, false).await;
    for _ in 0..MAX_QUALITY_RESULTS {
        let failed = lake.landed("nyc.flights").await;
        let nothing = sluice_domain::StoredFailure {
            kind: sluice_domain::ErrorKind::Invalid,
            code: "x".into(),
            detail: "x".into(),
        };
        lake.catalog.uploads().fail(failed, &nothing).await.unwrap();
        lake.record(table.id, &result(QualitySubject::Upload(failed), None, true)).await;
    }
    let all = lake.catalog.quality().results(table.id, &page(1000, None)).await.unwrap().items;
    assert_eq!(all.len(), MAX_QUALITY_RESULTS as usize + 3);
    let last: Vec<_> = all[MAX_QUALITY_RESULTS as usize..].iter().map(|kept| kept.subject).collect();
    assert_eq!((last[0], last[2]), (QualitySubject::Upload(against), QualitySubject::Upload(under_way)));
    assert!(!lake.catalog.quality().verdict(table.id).await.unwrap().publishable);
}

//! Lifecycle rules, plans, and where the bytes of uploads are.

use chrono::{TimeDelta, Utc};
use sluice_catalog::{Catalog, DefinedRule, NewPlan};
use sluice_domain::{
    ItemResult, ItemState, LifecycleRule, PlanAction, PlanCause, PlanEntry, PlanId, PlanItem, PlanState, PlanSubject,
    PlanSummary, StorageClass, StoredFailure, UploadId,
};
use uuid::Uuid;

use crate::samples::{Lake, new_upload, page, table_ref};

fn rule(after: &str) -> LifecycleRule {
    let text = format!(r#"{{"scope": {{"zone": "raw"}}, "action": {{"expire_objects": {{"after": "{after}"}}}}}}"#);
    serde_json::from_str(&text).unwrap()
}

async fn define(catalog: &Catalog, name: &str, after: &str, limit: u32) -> DefinedRule {
    let rules = catalog.lifecycle_rules();
    rules.define(&name.parse().unwrap(), &rule(after), "ada", limit).await.unwrap()
}

fn item(path: &str, refusal: Option<&str>) -> PlanItem {
    PlanItem {
        subject: PlanSubject::Object {
            upload: UploadId(Uuid::now_v7()),
            table: table_ref("nyc.flights"),
            path: path.into(),
        },
        action: PlanAction::Transition { from: StorageClass::Standard, to: StorageClass::Glacier },
        rule: "cold".into(),
        overridden: vec!["warm".into()],
        why: "it's 90 days old'); DROP TABLE lifecycle_items; --".into(),
        size_bytes: 1 << 33,
        rows: None,
        saved_per_month: 0.1,
        simulated: true,
        refusal: refusal.map(str::to_owned),
    }
}

async fn store(catalog: &Catalog, items: Vec<PlanItem>, valid: TimeDelta, keep: u32) -> PlanEntry {
    let plan = NewPlan {
        id: PlanId(Uuid::now_v7()),
        cause: PlanCause::Request,
        principal: "ada".into(),
        as_of: Utc::now(),
        expires_at: Utc::now() + valid,
        summary: PlanSummary::of(&items, false),
        items,
    };
    catalog.lifecycle_plans().store(&plan, keep).await.unwrap()
}

fn result(state: ItemState, freed_bytes: u64) -> ItemResult {
    ItemResult { state, detail: Some("so it was".into()), freed_bytes }
}

#[tokio::test]
async fn a_rule_is_defined_found_listed_and_deleted() {
    let lake = Lake::open().await;
    let DefinedRule::Made(made) = define(&lake.catalog, "b", "30d", 2).await else { panic!("it is new") };
    let DefinedRule::Changed(changed) = define(&lake.catalog, "b", "7y", 1).await else { panic!("it was there") };
    assert_eq!((changed.created_at, &changed.rule), (made.created_at, &rule("7y")));
    define(&lake.catalog, "a", "1d", 2).await;
    assert_eq!(define(&lake.catalog, "c", "1d", 2).await, DefinedRule::TooMany);
    let lake = lake.reopen().await;
    let rules = lake.catalog.lifecycle_rules();
    assert_eq!(rules.find(&changed.name).await.unwrap(), Some(changed.clone()));
    let first = rules.list(&page(1, None)).await.unwrap();
    let second = rules.list(&page(1, first.next)).await.unwrap();
    assert_eq!((first.items[0].name.as_str(), &second.items[..], second.next), ("a", &[changed.clone()][..], None));
    assert!(rules.delete(&changed.name).await.unwrap() && !rules.delete(&changed.name).await.unwrap());
    assert_eq!(rules.find(&changed.name).await.unwrap(), None);
}

#[tokio::test]
async fn a_plan_keeps_its_items_and_each_comes_to_its_result_once() {
    let lake = Lake::open().await;
    let items = vec![item("uploads/1", None), item("uploads/2", Some("on hold")), item("uploads/3", None)];
    let plan = store(&lake.catalog, items.clone(), TimeDelta::hours(1), 9).await;
    assert_eq!((plan.state, plan.counts.pending, plan.summary.refused), (PlanState::Ready, 2, 1));
    let plans = lake.catalog.lifecycle_plans();
    assert!(
        plans.unfinished(9).await.unwrap().is_empty() && plans.runs(&page(9, None)).await.unwrap().items.is_empty()
    );
    let first = plans.items(plan.id, &page(2, None)).await.unwrap();
    let second = plans.items(plan.id, &page(2, first.next)).await.unwrap();
    let stored: Vec<_> = first.items.iter().chain(&second.items).map(|planned| planned.item.clone()).collect();
    assert_eq!((stored, second.next), (items, None));

    assert_eq!(plans.begin(plan.id).await.unwrap().unwrap().state, PlanState::Applying);
    assert!(plans.begin(plan.id).await.unwrap().is_none(), "it has begun");
    let lake = lake.reopen().await;
    let plans = lake.catalog.lifecycle_plans();
    assert_eq!(plans.unfinished(9).await.unwrap().iter().map(|plan| plan.id).collect::<Vec<_>>(), [plan.id]);
    plans.record(plan.id, 0, &result(ItemState::Done, 7)).await.unwrap();
    plans.record(plan.id, 0, &result(ItemState::Failed, 9)).await.unwrap();
    plans.record(plan.id, 1, &result(ItemState::Done, 9)).await.unwrap();
    let counts = plans.find(plan.id).await.unwrap().unwrap().counts;
    assert_eq!((counts.pending, counts.done, counts.failed, counts.freed_bytes), (1, 1, 0, 7));
    plans.record(plan.id, 2, &result(ItemState::Skipped, 0)).await.unwrap();
    plans.finish(plan.id, 9).await.unwrap();
    let ended = plans.find(plan.id).await.unwrap().unwrap();
    assert_eq!((ended.state, ended.counts.done, ended.counts.skipped), (PlanState::Applied, 1, 1));
    assert!(ended.started_at.is_some() && ended.finished_at.is_some());
    assert_eq!(plans.runs(&page(9, None)).await.unwrap().items, [ended]);
    let results = plans.items(plan.id, &page(9, None)).await.unwrap().items;
    assert_eq!(results[0].result, result(ItemState::Done, 7));
    assert_eq!(results[1].result.state, ItemState::Refused);
}

#[tokio::test]
async fn a_plan_that_expired_is_never_begun() {
    let lake = Lake::open().await;
    let plan = store(&lake.catalog, vec![item("a", None)], TimeDelta::seconds(-1), 9).await;
    assert!(lake.catalog.lifecycle_plans().begin(plan.id).await.unwrap().is_none());
    assert_eq!(lake.catalog.lifecycle_plans().find(plan.id).await.unwrap().unwrap().state, PlanState::Ready);
}

#[tokio::test]
async fn old_plans_are_forgotten_and_those_under_way_are_not() {
    let lake = Lake::open().await;
    let plans = lake.catalog.lifecycle_plans();
    let hour = TimeDelta::hours(1);
    let begun = store(&lake.catalog, vec![item("a", None)], hour, 2).await;
    plans.begin(begun.id).await.unwrap().unwrap();
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(store(&lake.catalog, vec![item("a", None)], hour, 2).await.id);
    }
    assert!(plans.find(ids[0]).await.unwrap().is_none(), "two are kept");
    assert!(plans.items(ids[0], &page(9, None)).await.unwrap().items.is_empty());
    for id in [begun.id, ids[1], ids[2]] {
        assert!(plans.find(id).await.unwrap().is_some());
    }
    for id in [begun.id, ids[1], ids[2]] {
        plans.begin(id).await.unwrap();
        plans.finish(id, 1).await.unwrap();
    }
    let runs = plans.runs(&page(9, None)).await.unwrap().items;
    assert_eq!(runs.iter().map(|plan| plan.id).collect::<Vec<_>>(), [ids[2]]);
}

#[tokio::test]
async fn the_bytes_of_uploads_are_known_by_class_until_they_are_gone() {
    let lake = Lake::open().await;
    let (objects, uploads) = (lake.catalog.stored_objects(), lake.catalog.uploads());
    let (mut first, mut second) = (new_upload("nyc.flights"), new_upload("hr.people"));
    (first.landed.raw_path, second.landed.raw_path) = ("uploads/1.csv".into(), "uploads/2.csv".into());
    for upload in [&first, &second] {
        uploads.land(upload).await.unwrap();
    }
    let failure = StoredFailure { kind: sluice_domain::ErrorKind::Invalid, code: "x".into(), detail: "no".into() };
    uploads.fail(second.id, &failure).await.unwrap();
    let page = objects.originals(None, 1).await.unwrap();
    assert_eq!((page.len(), page[0].upload, page[0].object.class), (1, first.id, StorageClass::Standard));
    assert_eq!((page[0].raw_path.as_str(), page[0].size_bytes), ("uploads/1.csv", 1 << 40));
    objects.set_class("uploads/1.csv", StorageClass::Glacier, true).await.unwrap();
    let found = objects.original(first.id).await.unwrap().unwrap().object;
    assert_eq!((found.class, found.simulated), (StorageClass::Glacier, true));
    assert_eq!(objects.find("uploads/1.csv").await.unwrap(), found);
    objects.expire("uploads/1.csv").await.unwrap();
    objects.expire("uploads/2.csv").await.unwrap();
    assert!(objects.originals(None, 9).await.unwrap().is_empty());
    assert!(objects.original(first.id).await.unwrap().is_none());
    assert!(objects.find("uploads/1.csv").await.unwrap().expired_at.is_some());
    assert_eq!(objects.find("uploads/3.csv").await.unwrap(), Default::default());
    assert!(uploads.find(first.id).await.is_ok(), "the ledger keeps the upload");
}

#[tokio::test]
async fn a_deleted_table_can_be_restored_until_its_purge_begins() {
    let lake = Lake::open().await;
    let (tables, objects) = (lake.catalog.tables(), lake.catalog.stored_objects());
    let table = lake.active_table("nyc.flights").await;
    let later = Utc::now() + TimeDelta::hours(1);
    assert!(!objects.begin_purge(table.id).await.unwrap(), "it is in use");
    assert!(objects.deleted_tables(later, 9).await.unwrap().is_empty());
    tables.delete(&table.name).await.unwrap();
    assert!(objects.deleted_tables(Utc::now() - TimeDelta::hours(1), 9).await.unwrap().is_empty());
    assert_eq!(objects.deleted_tables(later, 9).await.unwrap()[0].id, table.id);
    tables.restore(&table.name).await.unwrap();
    tables.delete(&table.name).await.unwrap();
    assert!(objects.begin_purge(table.id).await.unwrap());
    assert!(objects.begin_purge(table.id).await.unwrap(), "a purge that was cut off goes on");
    assert!(tables.restore(&table.name).await.is_err());
    assert!(objects.deleted_tables(later, 9).await.unwrap().is_empty());
    objects.finish_purge(table.id).await.unwrap();
    assert!(lake.catalog.inventory().files(table.id, None, 9).await.unwrap().is_empty());
}

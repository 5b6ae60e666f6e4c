//! What columns inherit of what is said of those that their values come from.

use chrono::Duration;
use rstest::rstest;
use sluice_catalog::{NewFlow, SearchQuery};
use sluice_domain::{
    Label, NotesChange, TableEntry, TableNotes,
    lineage::{FlowOrigin, Influence},
};
use uuid::Uuid;

use crate::{
    lineage::{column, declare, new_flow},
    samples::{Lake, instant, table_ref},
};

fn label(text: &str) -> Label {
    text.parse().unwrap()
}

impl Lake {
    async fn classify(&self, table: &TableEntry, column: &str, classification: Option<&str>) {
        let change = NotesChange { classification: Some(classification.map(label)), ..NotesChange::default() };
        self.catalog.annotations().annotate(table.id, column, change, "ada").await.unwrap();
    }

    async fn derive(&self, (source, from): (&str, &str), (target, to): (&str, &str), influence: Influence) {
        let mut flow = NewFlow { origin: FlowOrigin::Sql, ..new_flow(source, target, "derive") };
        flow.columns = [column(&flow, from, to, influence)].into();
        declare(&self.catalog, flow).await;
    }

    async fn notes(&self, table: &TableEntry) -> TableNotes {
        self.catalog.annotations().notes(table.id).await.unwrap()
    }

    async fn inherited(&self, table: &TableEntry) -> Vec<String> {
        let text = |(column, notes): (String, sluice_domain::InheritedNotes)| {
            let all = notes.classifications.into_iter().chain(notes.tags);
            all.map(|one| format!("{column}: {} from {}", one.label, one.from)).collect::<Vec<_>>()
        };
        self.notes(table).await.inherited.into_iter().flat_map(text).collect()
    }

    /// The tables that a search for this classification finds, each with its strictest one.
    async fn classified(&self, classification: &str) -> Vec<String> {
        let query = SearchQuery { classification: Some(label(classification)), ..SearchQuery::default() };
        let hits = self.catalog.discovery().search(&query).await.unwrap();
        hits.iter().map(|hit| format!("{} {}", hit.table.name, hit.notes.strictest().unwrap())).collect()
    }
}

#[tokio::test]
async fn labels_go_from_column_to_column_through_tables_under_other_names() {
    let lake = Lake::open().await;
    let (source, middle, end) =
        (lake.active_table("shop.orders").await, lake.active_table("mart.m").await, lake.active_table("mart.t").await);
    lake.classify(&source, "Email", Some("pii")).await;
    let tags = NotesChange { tags: Some(vec![label("gdpr")]), ..NotesChange::default() };
    lake.catalog.annotations().annotate(source.id, "Email", tags, "ada").await.unwrap();
    lake.derive(("shop.orders", "email"), ("outside", "contact"), Influence::Identity).await;
    lake.derive(("outside", "contact"), ("mart.m", "hash"), Influence::Transformation).await;
    lake.derive(("mart.m", "hash"), ("mart.t", "who"), Influence::Aggregation).await;
    lake.derive(("shop.orders", "email"), ("mart.t", "kept"), Influence::Filter).await;
    let expected = ["who: pii from shop.orders.Email", "who: gdpr from shop.orders.Email"];
    assert_eq!(lake.inherited(&end).await, expected);
    assert_eq!(lake.notes(&end).await.strictest(), Some(&label("pii")));
    assert_eq!(lake.classified("pii").await, ["mart.m pii", "mart.t pii", "shop.orders pii"]);

    lake.classify(&middle, "hash", Some("public")).await;
    assert_eq!(lake.inherited(&end).await[0], "who: public from mart.m.hash", "what is said there ends it");
    assert_eq!(lake.classified("pii").await, ["shop.orders pii"]);
    assert_eq!(lake.classified("public").await, ["mart.m public", "mart.t public"]);

    let annotated = NotesChange { classification: Some(None), ..NotesChange::default() };
    let told = lake.catalog.annotations().annotate(middle.id, "hash", annotated, "ada").await.unwrap();
    assert_eq!(told, lake.notes(&middle).await, "what is answered is what is there");
    assert_eq!(told.classification_of("HASH"), Some(&label("pii")));
}

#[tokio::test]
async fn a_deleted_table_says_nothing_and_its_own_heirs_keep_what_they_have() {
    let lake = Lake::open().await;
    let (source, target) = (lake.active_table("a.s").await, lake.active_table("a.t").await);
    lake.classify(&source, "x", Some("pii")).await;
    lake.derive(("a.s", "x"), ("a.t", "y"), Influence::Identity).await;
    lake.catalog.tables().delete(&target.name).await.unwrap();
    assert_eq!(lake.inherited(&target).await, ["y: pii from a.s.x"], "a rule about deleted tables asks it");
    assert_eq!(lake.classified("pii").await, ["a.s pii"]);
    lake.catalog.tables().restore(&target.name).await.unwrap();
    lake.catalog.tables().delete(&source.name).await.unwrap();
    assert_eq!(lake.inherited(&target).await, Vec::<String>::new());
    assert_eq!(lake.classified("pii").await, Vec::<String>::new());
    let other = lake.active_table("a.s").await;
    assert_eq!(lake.inherited(&target).await, Vec::<String>::new(), "of the new one nothing is said");
    lake.catalog.tables().delete(&other.name).await.unwrap();
    lake.catalog.tables().restore(&table_ref("a.s")).await.unwrap();
}

#[tokio::test]
async fn a_table_that_is_classified_speaks_for_its_columns() {
    let lake = Lake::open().await;
    let (_, target) = (lake.active_table("a.s").await, lake.active_table("a.t").await);
    let notes = NotesChange { classification: Some(Some(label("pii"))), ..NotesChange::default() };
    let change = sluice_catalog::TableChange { notes, ..Default::default() };
    lake.catalog.tables().change(&table_ref("a.s"), change, "ada").await.unwrap();
    lake.derive(("a.s", "x"), ("a.t", "y"), Influence::Identity).await;
    assert_eq!(lake.inherited(&target).await, ["y: pii from a.s"]);
    assert_eq!(lake.classified("pii").await, ["a.s pii", "a.t pii"]);
}

#[rstest]
#[case::in_order([0, 1, 2])]
#[case::the_oldest_last([1, 2, 0])]
#[case::the_newest_first([2, 0, 1])]
#[tokio::test]
async fn the_newest_run_that_tells_of_columns_is_believed(#[case] order: [usize; 3]) {
    let lake = Lake::open().await;
    let (source, target) = (lake.active_table("a.s").await, lake.active_table("a.t").await);
    lake.classify(&source, "x", Some("pii")).await;
    let run = |minute: i64, columns: &[&str]| {
        let mut flow = NewFlow {
            run: Some(Uuid::from_u128(u128::try_from(minute).unwrap())),
            origin: FlowOrigin::OpenLineage,
            occurred_at: instant("2026-02-03T04:00:00Z") + Duration::minutes(minute),
            ..new_flow("a.s", "a.t", "daily")
        };
        flow.columns = columns.iter().map(|name| column(&flow, "x", name, Influence::Identity)).collect();
        flow
    };
    let runs = [run(1, &["old"]), run(5, &["new"]), run(9, &[])];
    for at in order {
        declare(&lake.catalog, runs[at].clone()).await;
    }
    assert_eq!(lake.inherited(&target).await, ["new: pii from a.s.x"]);
    declare(&lake.catalog, run(9, &["newest"])).await;
    assert_eq!(lake.inherited(&target).await, ["newest: pii from a.s.x"]);
    declare(&lake.catalog, NewFlow { occurred_at: instant("2026-02-04T00:00:00Z"), ..run(5, &[]) }).await;
    assert_eq!(lake.inherited(&target).await, ["new: pii from a.s.x"], "an older run went on for longer");
}

#[tokio::test]
async fn cycles_do_no_harm_and_a_chain_that_is_too_long_says_so() {
    let lake = Lake::open().await;
    let first = lake.active_table("a.t0").await;
    lake.classify(&first, "x", Some("pii")).await;
    for number in 0..52 {
        lake.derive((&format!("a.t{number}"), "x"), (&format!("a.t{}", number + 1), "x"), Influence::Identity).await;
    }
    lake.derive(("a.t3", "x"), ("a.t1", "x"), Influence::Identity).await;
    let (near, far) = (lake.active_table("a.t50").await, lake.active_table("a.t52").await);
    assert_eq!(lake.inherited(&near).await, ["x: pii from a.t0.x"]);
    let notes = lake.notes(&far).await;
    assert_eq!((notes.inherited.len(), notes.is_cut_off), (0, true));
    assert!(!lake.notes(&lake.active_table("a.t4").await).await.is_cut_off);
    assert_eq!(lake.inherited(&first).await, Vec::<String>::new());
}

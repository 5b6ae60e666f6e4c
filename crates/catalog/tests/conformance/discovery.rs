//! Notes, the search, what is read most, and the feed of changes.

use arrow_schema::{DataType, Field, Schema};
use chrono::{TimeDelta, Utc};
use rstest::rstest;
use sluice_catalog::{CatalogError, NewSchemaVersion, SearchQuery, TableChange};
use sluice_domain::{ChangedKind, ErrorKind, Label, NotesChange, Place, StoredFailure, TableEntry, words};

use crate::samples::{Lake, namespaces, new_upload, table_ref};

fn label(text: &str) -> Label {
    text.parse().unwrap()
}

fn notes(tags: &[&str], classification: Option<&str>) -> NotesChange {
    NotesChange {
        tags: Some(tags.iter().map(|tag| label(tag)).collect()),
        classification: Some(classification.map(label)),
        ..NotesChange::default()
    }
}

impl Lake {
    async fn table_with(&self, name: &str, columns: &[&str]) -> TableEntry {
        let entry = self.active_table(name).await;
        let fields: Vec<Field> = columns.iter().map(|name| Field::new(*name, DataType::Utf8, true)).collect();
        let new = NewSchemaVersion {
            table_id: entry.id,
            table_version: 0,
            schema: Schema::new(fields),
            upload_id: None,
            run_id: None,
            principal: "ada".into(),
        };
        self.catalog.schemas().record(&new).await.unwrap();
        entry
    }

    async fn found(&self, query: SearchQuery) -> Vec<String> {
        let hits = self.catalog.discovery().search(&query).await.unwrap();
        hits.iter().map(|hit| hit.table.name.to_string()).collect()
    }

    async fn kinds(&self) -> Vec<(ChangedKind, String)> {
        let (changes, _) = self.catalog.changes().since(0, None, 1000).await.unwrap();
        let numbers: Vec<i64> = changes.iter().map(|change| change.number).collect();
        assert_eq!(numbers, (1..=changes.len() as i64).collect::<Vec<_>>());
        changes.into_iter().map(|change| (change.kind, change.subject)).collect()
    }
}

fn asked(text: &str) -> SearchQuery {
    SearchQuery { words: words(text), ..SearchQuery::default() }
}

async fn shop() -> Lake {
    let lake = Lake::open().await;
    let orders = lake.table_with("shop.customer_orders", &["order_id", "customerEmail"]).await;
    lake.table_with("shop.customers", &["id", "name"]).await;
    lake.table_with("hr.salaries", &["customer_visits", "amount"]).await;
    let change = TableChange {
        description: Some(Some("What people bought, by day".into())),
        owner: Some("Grace".into()),
        notes: notes(&["gold", "team_a"], Some("confidential")),
    };
    lake.catalog.tables().change(&orders.name, change, "ada").await.unwrap();
    lake.catalog.annotations().annotate(orders.id, "customerEmail", notes(&[], Some("pii")), "ada").await.unwrap();
    lake
}

#[rstest]
#[case::names_before_columns("customer", &["shop.customer_orders", "shop.customers", "hr.salaries"])]
#[case::the_beginning_of_a_word("cust", &["shop.customers", "shop.customer_orders", "hr.salaries"])]
#[case::a_slip_of_the_keys("custmoer", &["shop.customer_orders", "hr.salaries"])]
#[case::every_word_is_wanted("customer email", &["shop.customer_orders"])]
#[case::words_of_the_description("bought", &["shop.customer_orders"])]
#[case::the_owner("grace", &["shop.customer_orders"])]
#[case::a_tag("gold", &["shop.customer_orders"])]
#[case::a_classification("pii", &["shop.customer_orders"])]
#[case::one_word_that_is_not_there("customer zebra", &[])]
#[case::no_words_is_everything("", &["hr.salaries", "shop.customer_orders", "shop.customers"])]
#[tokio::test]
async fn tables_are_found_by_their_words(#[case] text: &str, #[case] expected: &[&str]) {
    let lake = shop().await;
    assert_eq!(lake.found(asked(text)).await, expected, "{text}");
}

#[tokio::test]
async fn filters_narrow_a_search() {
    let lake = shop().await;
    let narrowed = [
        SearchQuery { namespace: Some("hr".parse().unwrap()), ..asked("customer") },
        SearchQuery { visible: Some(namespaces(&["hr"])), ..asked("customer") },
        SearchQuery { visible: Some(Vec::new()), ..asked("customer") },
        SearchQuery { owner: Some("Grace".into()), ..asked("") },
        SearchQuery { tag: Some(label("team_a")), ..asked("") },
        SearchQuery { tag: Some(label("teamxa")), ..asked("") },
        SearchQuery { classification: Some(label("pii")), ..asked("customer") },
    ];
    let expected =
        ["hr.salaries", "hr.salaries", "", "shop.customer_orders", "shop.customer_orders", "", "shop.customer_orders"];
    for (query, expected) in narrowed.into_iter().zip(expected) {
        let expected: Vec<&str> = Some(expected).filter(|name| !name.is_empty()).into_iter().collect();
        assert_eq!(lake.found(query.clone()).await, expected, "{query:?}");
    }
}

#[tokio::test]
async fn a_hit_tells_where_its_words_were_found_and_what_is_said_of_it() {
    let lake = shop().await;
    let hits = lake.catalog.discovery().search(&asked("customer gold")).await.unwrap();
    let places: Vec<Place> = Place::of_bits(hits[0].places).collect();
    assert_eq!(places, [Place::Name, Place::Tag, Place::Column]);
    assert_eq!(hits[0].notes.table.tags, [label("gold"), label("team_a")]);
    assert_eq!(hits[0].notes.strictest(), Some(&label("pii")));
}

#[tokio::test]
async fn what_changed_is_found_by_its_new_words_only() {
    let lake = shop().await;
    let name = table_ref("shop.customer_orders");
    let change = TableChange { description: Some(Some("Receipts".into())), ..TableChange::default() };
    lake.catalog.tables().change(&name, change, "ada").await.unwrap();
    assert!(lake.found(asked("bought")).await.is_empty());
    assert_eq!(lake.found(asked("receipts")).await, ["shop.customer_orders"]);
    lake.catalog.tables().delete(&name).await.unwrap();
    assert!(lake.found(asked("receipts")).await.is_empty());
    lake.catalog.tables().restore(&name).await.unwrap();
    assert_eq!(lake.found(asked("receipts")).await, ["shop.customer_orders"]);
    assert_eq!(lake.catalog.discovery().index_missing(10).await.unwrap(), 0);
}

#[tokio::test]
async fn notes_are_kept_until_they_are_taken_away() {
    let lake = shop().await;
    let table = lake.catalog.tables().find(&table_ref("shop.customer_orders")).await.unwrap();
    assert_eq!(table.owner, "Grace");
    let annotations = lake.catalog.annotations();
    let described = NotesChange { description: Some(Some("Where to write to".into())), ..NotesChange::default() };
    let kept = annotations.annotate(table.id, "customerEmail", described, "ada").await.unwrap();
    assert_eq!(kept, annotations.notes(table.id).await.unwrap());
    let column = &kept.columns["customerEmail"];
    assert_eq!(
        (column.description.as_deref(), column.classification.as_ref()),
        (Some("Where to write to"), Some(&label("pii")))
    );
    let nothing = NotesChange { description: Some(None), tags: Some(Vec::new()), classification: Some(None) };
    let left = annotations.annotate(table.id, "customerEmail", nothing.clone(), "ada").await.unwrap();
    assert!(left.columns.is_empty() && left.table.classification.is_some());
    lake.catalog.tables().delete(&table.name).await.unwrap();
    let error = annotations.annotate(table.id, "customerEmail", nothing, "ada").await.unwrap_err();
    assert!(matches!(error, CatalogError::TableNotFound { .. }), "{error:?}");
}

#[tokio::test]
async fn the_tables_that_are_read_most_come_first() {
    let lake = shop().await;
    let id = async |name: &str| lake.catalog.tables().find(&table_ref(name)).await.unwrap().id;
    let (orders, salaries) = (id("shop.customer_orders").await, id("hr.salaries").await);
    let (today, discovery) = (Utc::now(), lake.catalog.discovery());
    discovery.count_reads(&[(orders, 2), (salaries, 3)], today).await.unwrap();
    discovery.count_reads(&[(orders, 2)], today).await.unwrap();
    discovery.count_reads(&[(salaries, 100)], today - TimeDelta::days(40)).await.unwrap();
    let since = today - TimeDelta::days(30);
    let popular = async |visible: Option<&[_]>| {
        let found = discovery.popular(since, visible, 10).await.unwrap();
        found.into_iter().map(|(table, reads)| (table.name.to_string(), reads)).collect::<Vec<_>>()
    };
    assert_eq!(popular(None).await, [("shop.customer_orders".into(), 4), ("hr.salaries".into(), 3)]);
    assert_eq!(popular(Some(&namespaces(&["hr"]))).await, [("hr.salaries".into(), 3)]);
}

#[tokio::test]
async fn what_happens_is_told_in_order_and_once() {
    let lake = Lake::open().await;
    let table = lake.table_with("a.t", &["x"]).await;
    lake.catalog.tables().activate(table.id, &[]).await.unwrap();
    lake.catalog.tables().change(&table.name, TableChange::default(), "ada").await.unwrap();
    lake.catalog.annotations().annotate(table.id, "x", notes(&["k"], None), "ada").await.unwrap();
    let upload = new_upload("a.t");
    lake.catalog.uploads().land(&upload).await.unwrap();
    let failure = StoredFailure { kind: ErrorKind::Invalid, code: "bad-csv".into(), detail: "line 3".into() };
    lake.catalog.uploads().fail(upload.id, &failure).await.unwrap();
    lake.catalog.tables().delete(&table.name).await.unwrap();
    lake.catalog.tables().delete(&table.name).await.unwrap_err();
    lake.catalog.tables().restore(&table.name).await.unwrap();
    use ChangedKind as K;
    let kinds =
        [K::TableCreated, K::SchemaChanged, K::TableChanged, K::UploadFailed, K::TableDeleted, K::TableRestored];
    assert_eq!(lake.kinds().await, kinds.map(|kind| (kind, "a.t".to_owned())));
}

#[tokio::test]
async fn a_reader_of_changes_goes_on_where_it_was_and_sees_what_it_may() {
    let lake = Lake::open().await;
    for name in ["a.one", "b.two", "a.three"] {
        lake.active_table(name).await;
    }
    let changes = lake.catalog.changes();
    let subjects = |page: &(Vec<sluice_domain::CatalogChange>, i64)| {
        page.0.iter().map(|change| change.subject.clone()).collect::<Vec<_>>()
    };
    let first = changes.since(0, None, 2).await.unwrap();
    assert_eq!((subjects(&first), first.1), (vec!["a.one".to_owned(), "b.two".to_owned()], 2));
    let second = changes.since(first.1, None, 2).await.unwrap();
    assert_eq!((subjects(&second), second.1), (vec!["a.three".to_owned()], 3));
    let visible = namespaces(&["b"]);
    let seen = changes.since(0, Some(&visible), 10).await.unwrap();
    assert_eq!((subjects(&seen), seen.1), (vec!["b.two".to_owned()], 3));
    assert_eq!(changes.since(3, None, 2).await.unwrap().1, 3);
    assert_eq!(changes.forget_changes(Utc::now() + TimeDelta::hours(1), 1).await.unwrap(), 1);
    assert_eq!(changes.forget_changes(Utc::now() + TimeDelta::hours(1), 10).await.unwrap(), 1);
    assert_eq!(changes.range().await.unwrap(), (3, 3));
    lake.active_table("a.four").await;
    assert_eq!(changes.range().await.unwrap(), (3, 4));
}

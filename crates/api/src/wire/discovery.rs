//! The search, what is read most, and the feed of changes, on the wire.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use sluice_catalog::MAX_HITS;
use sluice_domain::{CatalogChange, EVENT_SOURCE, Place, SearchHit};
use utoipa::ToSchema;

use super::TableSummary;

/// How many values of a facet are told, the most frequent first.
const MAX_FACET_VALUES: usize = 20;

/// What a search found.
#[derive(Serialize, ToSchema)]
pub(crate) struct SearchView {
    /// The tables of this page, best first.
    items: Vec<HitView>,
    /// How many tables fit, 1000 at the most.
    total: u64,
    /// Whether there may be more tables than the total tells.
    truncated: bool,
    /// How many of the tables have which namespace, zone, format, owner, tag and classification.
    facets: BTreeMap<&'static str, Vec<FacetValue>>,
    /// Where the next page begins; absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) next_page_token: Option<String>,
}

/// A table that fits.
#[derive(Serialize, ToSchema)]
struct HitView {
    #[serde(flatten)]
    table: TableSummary,
    /// The tags of the table and its columns.
    tags: Vec<String>,
    /// The strictest classification of the table and its columns.
    classification: Option<String>,
    /// Where words were found: `name`, `tag`, `column`, `namespace`, `description`, `owner`, `column_description`.
    matched: Vec<&'static str>,
    /// How well it fits; higher is better.
    score: i64,
}

/// A value, and how many tables have it.
#[derive(Serialize, ToSchema)]
struct FacetValue {
    /// The value.
    value: String,
    /// How many tables have it.
    count: u64,
}

impl SearchView {
    /// A page of hits.
    pub(crate) fn new(
        hits: Vec<SearchHit>,
        offset: usize,
        size: usize,
        location: impl Fn(&SearchHit) -> String,
    ) -> Self {
        let (total, facets) = (hits.len(), facets(&hits));
        let items = hits.into_iter().skip(offset).take(size).map(|hit| {
            let location = location(&hit);
            HitView {
                tags: tags(&hit),
                classification: hit.notes.strictest().map(ToString::to_string),
                matched: Place::of_bits(hit.places).map(Place::as_str).collect(),
                score: hit.score,
                table: TableSummary::new(hit.table, location),
            }
        });
        let items = items.collect();
        Self { items, total: total as u64, truncated: total >= MAX_HITS, facets, next_page_token: None }
    }
}

fn tags(hit: &SearchHit) -> Vec<String> {
    let all = hit.notes.columns.values().chain([&hit.notes.table]);
    let mut tags: Vec<String> = all.flat_map(|notes| &notes.tags).map(ToString::to_string).collect();
    tags.sort_unstable();
    tags.dedup();
    tags
}

fn facets(hits: &[SearchHit]) -> BTreeMap<&'static str, Vec<FacetValue>> {
    let of = |values: &dyn Fn(&SearchHit) -> Vec<String>| {
        let mut counts: BTreeMap<String, u64> = BTreeMap::new();
        hits.iter().flat_map(values).for_each(|value| *counts.entry(value).or_default() += 1);
        let mut values: Vec<FacetValue> =
            counts.into_iter().map(|(value, count)| FacetValue { value, count }).collect();
        values.sort_by_key(|value| std::cmp::Reverse(value.count));
        values.truncate(MAX_FACET_VALUES);
        values
    };
    BTreeMap::from([
        ("namespace", of(&|hit| vec![hit.table.name.namespace.to_string()])),
        ("zone", of(&|hit| vec![hit.table.zone.to_string()])),
        ("format", of(&|hit| vec![hit.table.format.as_str().to_owned()])),
        ("owner", of(&|hit| vec![hit.table.owner.clone()])),
        ("tag", of(&tags)),
        ("classification", of(&|hit| hit.notes.strictest().map(ToString::to_string).into_iter().collect())),
    ])
}

/// The tables that are read most.
#[derive(Serialize, ToSchema)]
pub(crate) struct PopularPage {
    /// The tables, the most read first.
    pub(crate) items: Vec<PopularView>,
}

/// A table, and how often it was read.
#[derive(Serialize, ToSchema)]
pub(crate) struct PopularView {
    #[serde(flatten)]
    pub(crate) table: TableSummary,
    /// How often it was read: by queries and previews, each counted once.
    pub(crate) reads: u64,
}

/// Something that happened, as a CloudEvent.
#[derive(Serialize, ToSchema)]
pub(crate) struct ChangeEvent {
    /// The version of CloudEvents.
    #[schema(example = "1.0")]
    specversion: &'static str,
    /// Its number in the order of what happened.
    #[schema(example = "17")]
    id: String,
    /// Whose event it is.
    source: &'static str,
    /// What kind of thing happened.
    #[serde(rename = "type")]
    #[schema(example = "io.sluice.table.created")]
    kind: String,
    /// The table that it happened to.
    #[schema(example = "nyc.flights")]
    subject: String,
    /// When.
    time: DateTime<Utc>,
    /// What `data` is.
    #[schema(example = "application/json")]
    datacontenttype: &'static str,
    /// What more there is to tell.
    #[schema(value_type = Object)]
    data: Value,
}

impl From<CatalogChange> for ChangeEvent {
    fn from(change: CatalogChange) -> Self {
        Self {
            specversion: "1.0",
            id: change.number.to_string(),
            source: EVENT_SOURCE,
            kind: change.kind.event_type(),
            subject: change.subject,
            time: change.at,
            datacontenttype: "application/json",
            data: change.body,
        }
    }
}

/// What happened since.
#[derive(Serialize, ToSchema)]
pub(crate) struct ChangePage {
    /// The events, in order.
    pub(crate) items: Vec<ChangeEvent>,
    /// What to ask with next.
    #[schema(example = "17")]
    pub(crate) next: String,
}

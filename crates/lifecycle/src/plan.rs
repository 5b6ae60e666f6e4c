//! Plans: what the rules say of everything there is, with nothing done.
//!
//! Invariant: a plan has so many items at the most, refusals aside, and says when there was more.

mod bucket;
mod objects;
mod tables;

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sluice_domain::{
    Age, ExpiryAge, LakeZone, LifecycleAction, LifecycleRule, LifecycleScope, PlanItem, PlanSubject, RowExpiry, RunBy,
    StorageClass, StoredLifecycleRule, TableId, ZoneName,
};

use crate::{
    Labels, Lake, LifecycleError, LifecycleSettings, ZoneRetention,
    rules::{OF_SETTINGS, Proposal},
};

pub use bucket::bucket_rules;

/// How many refusals a plan names.
const MAX_REFUSALS: usize = 1000;
/// How many entries of the catalog are read at a time.
const PAGE: u32 = 1000;

/// Finds out what the rules say.
pub(crate) struct Planner<'a> {
    pub(crate) lake: &'a Lake,
    pub(crate) settings: &'a LifecycleSettings,
    pub(crate) rules: Vec<StoredLifecycleRule>,
    /// The instant that ages are counted from.
    pub(crate) now: DateTime<Utc>,
    labels: HashMap<TableId, Labels>,
}

/// A plan that is being made.
pub(crate) struct Draft {
    pub(crate) items: Vec<PlanItem>,
    pub(crate) truncated: bool,
    refusals: usize,
    max_items: usize,
}

impl Draft {
    fn new(max_items: u32) -> Self {
        Self { items: Vec::new(), truncated: false, refusals: 0, max_items: max_items.max(1) as usize }
    }

    fn add(&mut self, item: PlanItem) {
        let is_refused = item.refusal.is_some();
        let has_room = if is_refused { self.refusals < MAX_REFUSALS } else { !self.is_full() };
        if has_room {
            self.refusals += usize::from(is_refused);
            self.items.push(item);
        } else {
            self.truncated = true;
        }
    }

    /// Whether there is no room for what is done.
    fn is_full(&self) -> bool {
        self.items.len() - self.refusals >= self.max_items
    }
}

impl<'a> Planner<'a> {
    pub(crate) fn new(
        lake: &'a Lake,
        settings: &'a LifecycleSettings,
        rules: Vec<StoredLifecycleRule>,
        now: DateTime<Utc>,
    ) -> Self {
        Self { lake, settings, rules, now, labels: HashMap::new() }
    }

    /// What the rules say of everything.
    pub(crate) async fn plan(&mut self) -> Result<Draft, LifecycleError> {
        let mut draft = Draft::new(self.settings.max_items);
        self.add_bucket_changes(&mut draft).await?;
        self.add_tables(&mut draft).await?;
        self.add_deleted_tables(&mut draft).await?;
        self.add_objects(&mut draft).await?;
        Ok(draft)
    }

    /// Whether any rule that the server runs is of such a kind.
    fn has(&self, kind: impl Fn(&LifecycleAction) -> bool) -> bool {
        let own = self.rules.iter().filter(|stored| stored.rule.enabled && stored.rule.run_by == RunBy::Server);
        own.map(|stored| &stored.rule.action).any(kind)
    }

    async fn labels_of(&mut self, table: TableId) -> Result<Labels, LifecycleError> {
        if let Some(known) = self.labels.get(&table) {
            return Ok(known.clone());
        }
        let labels = self.lake.facts.labels(table).await?;
        self.labels.insert(table, labels.clone());
        Ok(labels)
    }

    /// The item of a proposal.
    fn item(&self, subject: PlanSubject, proposal: Proposal, size_bytes: u64, saved_per_month: f64) -> PlanItem {
        let Proposal { action, rule, overridden, why, refusal } = proposal;
        PlanItem {
            subject,
            action,
            rule,
            overridden,
            why,
            size_bytes,
            rows: None,
            saved_per_month,
            simulated: false,
            refusal,
        }
    }

    fn saved_by_removal(&self, size_bytes: u64) -> f64 {
        self.settings.prices.saved(StorageClass::Standard, None, size_bytes)
    }
}

/// The zone that tables of a zone of the store are in.
pub(crate) fn zone_of(zone: ZoneName) -> LakeZone {
    match zone {
        ZoneName::Raw => LakeZone::Standardized,
        ZoneName::Curated => LakeZone::Curated,
    }
}

/// What the settings say of zones, as rules: any other goes before them.
pub(crate) fn rules_of_zones(retention: &ZoneRetention, now: DateTime<Utc>) -> Vec<StoredLifecycleRule> {
    let finite = LakeZone::ALL.into_iter().filter(|zone| retention.of(*zone) != Age::Infinite);
    let rule = |zone: LakeZone| {
        let after = retention.of(zone);
        let action = match zone {
            LakeZone::Raw => LifecycleAction::ExpireObjects(ExpiryAge { after }),
            _ => LifecycleAction::ExpireRows(RowExpiry { column: None, after }),
        };
        let name = format!("{OF_SETTINGS}zones.{}", zone.as_str()).parse().ok()?;
        let scope = LifecycleScope::Zone(zone);
        let rule = LifecycleRule { scope, action, run_by: RunBy::Server, enabled: true, description: None };
        Some(StoredLifecycleRule { name, rule, principal: "settings".to_owned(), created_at: now, updated_at: now })
    };
    finite.filter_map(rule).collect()
}

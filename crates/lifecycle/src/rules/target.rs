//! What rules are asked about, and whether a scope holds it.

use sluice_domain::{LakeZone, LifecycleScope, TableRef};

use crate::Labels;

/// A thing that rules are asked about.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    /// Its key in the store.
    pub key: &'a str,
    /// Its zone.
    pub zone: LakeZone,
    /// The table that it is or belongs to.
    pub table: &'a TableRef,
    /// How that table is labelled.
    pub labels: &'a Labels,
}

impl Target<'_> {
    /// Whether a scope holds it. The quarantine of a table is in the scope of the table.
    pub fn is_in(&self, scope: &LifecycleScope) -> bool {
        match scope {
            LifecycleScope::Lake => true,
            LifecycleScope::Zone(zone) => *zone == self.zone,
            LifecycleScope::Namespace(namespace) => *namespace == self.table.namespace,
            LifecycleScope::Classification(label) => self.labels.classifications.contains(label),
            LifecycleScope::Tag(label) => self.labels.tags.contains(label),
            LifecycleScope::Prefix(prefix) => self.key.starts_with(prefix.as_str()),
            LifecycleScope::Table(table) => table == self.table || table.quarantine().as_ref() == Some(self.table),
        }
    }
}

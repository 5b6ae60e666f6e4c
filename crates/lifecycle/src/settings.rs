//! When the server acts by itself, and how far a plan goes.

use serde::{Deserialize, Serialize};
use sluice_domain::{Age, LakeZone, StoragePrices};

/// How long each zone keeps its data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ZoneRetention {
    /// The uploads as they came.
    pub raw: Age,
    /// The rows of the tables made from them.
    pub standardized: Age,
    /// The rows of the tables made from other tables.
    pub curated: Age,
}

impl Default for ZoneRetention {
    fn default() -> Self {
        Self { raw: Age::Infinite, standardized: Age::Years(7), curated: Age::Years(2) }
    }
}

impl ZoneRetention {
    /// That of a zone.
    pub fn of(&self, zone: LakeZone) -> Age {
        match zone {
            LakeZone::Raw => self.raw,
            LakeZone::Standardized => self.standardized,
            LakeZone::Curated => self.curated,
        }
    }
}

/// When the server acts by itself, and how far a plan goes.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LifecycleSettings {
    /// How often the server makes a plan of the rules and applies it, in seconds; 0 is never.
    pub every_seconds: u64,
    /// How often a server looks for plans that others left, in seconds.
    pub poll_seconds: u64,
    /// How many items a plan has at the most; what is left over is for the next one.
    pub max_items: u32,
    /// How many tables or objects are worked on at a time.
    pub concurrency: usize,
    /// For how long a plan can be applied, in seconds.
    pub plan_valid_seconds: u64,
    /// How many runs are kept.
    pub keep_runs: u32,
    /// How long each zone keeps its data. A plan that is asked for lists what is older; the server never removes it by
    /// itself.
    pub zones: ZoneRetention,
    /// What a GiB costs for a month, in US dollars.
    pub prices: StoragePrices,
}

impl Default for LifecycleSettings {
    fn default() -> Self {
        Self {
            every_seconds: 24 * 3600,
            poll_seconds: 30,
            max_items: 10_000,
            concurrency: 4,
            plan_valid_seconds: 24 * 3600,
            keep_runs: 200,
            zones: ZoneRetention::default(),
            prices: StoragePrices::default(),
        }
    }
}

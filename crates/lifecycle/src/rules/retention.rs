//! Retention that is demanded: nothing younger is removed.

use std::cmp::Reverse;

use sluice_domain::{Age, LifecycleAction, StoredLifecycleRule};

use super::Target;

/// The longest retention that is demanded for a target, whatever its scope, and its rule.
pub(super) fn demanded<'a>(rules: &'a [StoredLifecycleRule], target: &Target<'_>) -> Option<(&'a str, Age)> {
    longest(rules.iter().filter(|stored| target.is_in(&stored.rule.scope)))
}

/// The longest retention that is demanded for anything: S3 cannot tell what it is for.
pub(crate) fn longest_retention(rules: &[StoredLifecycleRule]) -> Option<(&str, Age)> {
    longest(rules.iter())
}

fn longest<'a>(rules: impl Iterator<Item = &'a StoredLifecycleRule>) -> Option<(&'a str, Age)> {
    let demands = rules.filter(|stored| stored.rule.enabled).filter_map(|stored| match &stored.rule.action {
        LifecycleAction::Retain(retained) => Some((stored.name.as_str(), retained.period)),
        _ => None,
    });
    demands.min_by_key(|(name, period)| (Reverse(period.seconds()), *name))
}

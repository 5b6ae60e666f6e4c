//! The order of rules of one kind.

use std::cmp::Reverse;

use sluice_domain::{LifecycleAction, RunBy, StoredLifecycleRule};

use super::Target;

/// What the names of rules begin with that stand for the settings: any other rule goes before them.
pub(crate) const OF_SETTINGS: &str = "settings.";

/// The rule that decides, what it says, and the rules that it goes before.
#[derive(Debug, Clone)]
pub struct Ranked<'a, T> {
    /// The rule.
    pub rule: &'a StoredLifecycleRule,
    /// What it says.
    pub says: T,
    /// The names of the others, in their order.
    pub overridden: Vec<String>,
}

/// The first of the rules over a target that say something of this kind. `says` gives that, and for how long it keeps.
pub(super) fn first<'a, T>(
    rules: &'a [StoredLifecycleRule],
    target: &Target<'_>,
    says: impl Fn(&'a LifecycleAction) -> Option<(T, u64)>,
) -> Option<Ranked<'a, T>> {
    let in_force = rules.iter().filter(|stored| stored.rule.enabled && stored.rule.run_by == RunBy::Server);
    let over_it = in_force.filter(|stored| target.is_in(&stored.rule.scope));
    let mut said: Vec<_> = over_it.filter_map(|stored| Some((stored, says(&stored.rule.action)?))).collect();
    said.sort_by_key(|(stored, (_, keeps))| {
        let is_default = stored.name.as_str().starts_with(OF_SETTINGS);
        (is_default, Reverse(stored.rule.scope.narrowness()), Reverse(*keeps), &stored.name)
    });
    let mut said = said.into_iter();
    let (rule, (says, _)) = said.next()?;
    Some(Ranked { rule, says, overridden: said.map(|(stored, _)| stored.name.to_string()).collect() })
}

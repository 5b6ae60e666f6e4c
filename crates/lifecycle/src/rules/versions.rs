//! Retention of old versions: vacuum, and clean-up of the log.

use sluice_domain::{Age, LifecycleAction, PlanAction, StoredLifecycleRule};

use super::{
    Proposal, Target,
    hold::respect_hold,
    order::{Ranked, first},
};

/// What of a table's old versions the rules let go.
pub fn decide_versions(rules: &[StoredLifecycleRule], target: &Target<'_>) -> Vec<Proposal> {
    let vacuum = first(rules, target, |action| match action {
        LifecycleAction::Versions(versions) => versions.vacuum_after.map(|after| (after, after.seconds())),
        _ => None,
    });
    let log = first(rules, target, |action| match action {
        LifecycleAction::Versions(versions) => versions.log_after.map(|after| (after, after.seconds())),
        _ => None,
    });
    let vacuum = vacuum.and_then(|rule| Some((PlanAction::Vacuum { hours: hours(rule.says)? }, rule)));
    let log = log.and_then(|rule| Some((PlanAction::CleanLog { hours: hours(rule.says)? }, rule)));
    let said = vacuum.into_iter().chain(log);
    said.map(|(action, rule)| respect_hold(rules, target, proposed(action, &rule))).collect()
}

/// Whole hours, never fewer than the age; none for ever.
fn hours(age: Age) -> Option<u64> {
    (age != Age::Infinite).then(|| age.seconds().div_ceil(3600))
}

fn proposed(action: PlanAction, rule: &Ranked<'_, Age>) -> Proposal {
    let what =
        if matches!(action, PlanAction::Vacuum { .. }) { "data files that no newer version needs" } else { "versions" };
    Proposal {
        action,
        rule: rule.rule.name.to_string(),
        overridden: rule.overridden.clone(),
        why: format!("{what} of {} go after {}", rule.rule.rule.scope, rule.says),
        refusal: None,
    }
}

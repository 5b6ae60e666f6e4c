//! Transitions: objects get colder classes as they grow older.

use sluice_domain::{LifecycleAction, StorageClass, StoredLifecycleRule, Transition};

use super::{
    Target,
    order::{Ranked, first},
};

/// The transitions of a target, and the class that they give it at an age.
pub(super) fn class_at<'a>(
    rules: &'a [StoredLifecycleRule],
    target: &Target<'_>,
    age_seconds: u64,
) -> Option<(Ranked<'a, &'a Transition>, StorageClass)> {
    let transition = first(rules, target, |action| match action {
        // The later the first step, the longer it is kept as it is.
        LifecycleAction::Transition(transition) => {
            Some((transition, transition.steps.first().map_or(0, |step| step.after.seconds())))
        }
        _ => None,
    })?;
    let class = transition.says.class_at(age_seconds);
    Some((transition, class))
}

//! Expiry of rows.

use chrono::{DateTime, Utc};
use sluice_domain::{LifecycleAction, PlanAction, RowExpiry, StoredLifecycleRule};

use super::{Proposal, Target, hold::respect_hold, order::first, retention::demanded};

/// Which rows of a table the rules let go at an instant; none where they keep all.
pub fn decide_rows(rules: &[StoredLifecycleRule], target: &Target<'_>, now: DateTime<Utc>) -> Option<Proposal> {
    let expiry = first(rules, target, |action| match action {
        LifecycleAction::ExpireRows(expiry) => Some((expiry, expiry.after.seconds())),
        _ => None,
    })?;
    let RowExpiry { column, after } = expiry.says;
    let own = expiry.rule.name.to_string();
    let retained = demanded(rules, target).filter(|(_, period)| period.seconds() > after.seconds());
    let (rule, age, overridden) = match retained {
        None => (own, *after, expiry.overridden),
        Some((name, period)) => (name.to_owned(), period, std::iter::once(own).chain(expiry.overridden).collect()),
    };
    let told_by = column.as_ref().map_or("their data files' time".to_owned(), |column| column.as_str().to_owned());
    let proposal = Proposal {
        action: PlanAction::ExpireRows {
            column: column.as_ref().map(|column| column.as_str().to_owned()),
            before: age.before(now)?,
        },
        rule,
        overridden,
        why: format!("rows of {} go after {age} by {told_by}", expiry.rule.rule.scope),
        refusal: None,
    };
    Some(respect_hold(rules, target, proposal))
}

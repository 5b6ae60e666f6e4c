//! The rules of a bucket's lifecycle configuration.
//!
//! Invariant: a rule that is not asked to change is kept with everything it says.

use aws_sdk_s3::{
    error::BuildError,
    types::{
        BucketLifecycleConfiguration, ExpirationStatus, LifecycleExpiration, LifecycleRule, LifecycleRuleFilter,
        Transition,
    },
};
use sluice_domain::StorageClass;

/// A rule of a bucket: objects below a prefix get colder, and go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BucketRule {
    /// Its id, unique in the bucket.
    pub id: String,
    /// The beginning of the keys that it is about.
    pub prefix: String,
    /// Whether it is in force.
    pub enabled: bool,
    /// The classes, each with the age in days from which on objects have it.
    pub transitions: Vec<(u64, StorageClass)>,
    /// The age in days from which on objects go.
    pub expiration_days: Option<u64>,
}

/// The rules of a bucket.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct BucketRules {
    rules: Vec<LifecycleRule>,
}

impl BucketRules {
    pub(super) fn new(rules: Vec<LifecycleRule>) -> Self {
        Self { rules }
    }

    /// The rule of this id, where it says nothing but what rules of this program say.
    pub fn find(&self, id: &str) -> Option<BucketRule> {
        let stored = self.rules.iter().find(|rule| rule.id() == Some(id))?;
        let read = BucketRule::read(stored)?;
        read.to_stored().is_ok_and(|written| written == *stored).then_some(read)
    }

    /// The ids of all rules.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.rules.iter().map(|rule| rule.id().unwrap_or_default())
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// The same with this rule in the place of the one with its id, or at the end.
    pub(super) fn with(&self, rule: &BucketRule) -> Result<Self, BuildError> {
        let new = rule.to_stored()?;
        let mut rules = self.rules.clone();
        match rules.iter_mut().find(|present| present.id == new.id) {
            Some(present) => *present = new,
            None => rules.push(new),
        }
        Ok(Self { rules })
    }

    /// The same without the rule of this id; none where there is no such rule.
    pub(super) fn without(&self, id: &str) -> Option<Self> {
        let rules: Vec<_> = self.rules.iter().filter(|rule| rule.id() != Some(id)).cloned().collect();
        (rules.len() < self.rules.len()).then_some(Self { rules })
    }

    /// Whether both have the same rules, in whatever order.
    pub(super) fn says_the_same(&self, other: &Self) -> bool {
        let sorted = |rules: &Self| {
            let mut rules = rules.rules.clone();
            rules.sort_by(|a, b| a.id.cmp(&b.id));
            rules
        };
        sorted(self) == sorted(other)
    }

    pub(super) fn to_configuration(&self) -> Result<BucketLifecycleConfiguration, BuildError> {
        BucketLifecycleConfiguration::builder().set_rules(Some(self.rules.clone())).build()
    }
}

impl BucketRule {
    /// What a rule says of this; the rest is left out.
    fn read(stored: &LifecycleRule) -> Option<Self> {
        let days = |days: Option<i32>| u64::try_from(days?).ok();
        let step = |step: &Transition| Some((days(step.days)?, step.storage_class()?.as_str().parse().ok()?));
        Some(Self {
            id: stored.id()?.to_owned(),
            prefix: stored.filter()?.prefix()?.to_owned(),
            enabled: stored.status == ExpirationStatus::Enabled,
            transitions: stored.transitions().iter().map(step).collect::<Option<_>>()?,
            expiration_days: stored.expiration().and_then(|expiration| days(expiration.days)),
        })
    }

    fn to_stored(&self) -> Result<LifecycleRule, BuildError> {
        let days = |days: u64| i32::try_from(days).unwrap_or(i32::MAX);
        let step = |(after, class): &(u64, StorageClass)| {
            Transition::builder().days(days(*after)).storage_class(class.as_str().into()).build()
        };
        let steps: Vec<_> = self.transitions.iter().map(step).collect();
        let expiration = self.expiration_days.map(|after| LifecycleExpiration::builder().days(days(after)).build());
        LifecycleRule::builder()
            .id(&self.id)
            .filter(LifecycleRuleFilter::builder().prefix(&self.prefix).build())
            .status(if self.enabled { ExpirationStatus::Enabled } else { ExpirationStatus::Disabled })
            .set_transitions((!steps.is_empty()).then_some(steps))
            .set_expiration(expiration)
            .build()
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_s3::types::{LifecycleRuleAndOperator, NoncurrentVersionExpiration, Tag};
    use proptest::prelude::*;

    use super::*;

    fn rule(id: &str, prefix: &str) -> BucketRule {
        BucketRule {
            id: id.into(),
            prefix: prefix.into(),
            enabled: true,
            transitions: vec![
                (30, StorageClass::StandardIa),
                (90, StorageClass::Glacier),
                (365, StorageClass::DeepArchive),
            ],
            expiration_days: None,
        }
    }

    fn foreign() -> LifecycleRule {
        let tag = Tag::builder().key("a").value("b").build().unwrap();
        let and = LifecycleRuleAndOperator::builder().prefix("logs/").tags(tag).build();
        LifecycleRule::builder()
            .id("logs & more")
            .filter(LifecycleRuleFilter::builder().and(and).build())
            .status(ExpirationStatus::Enabled)
            .noncurrent_version_expiration(NoncurrentVersionExpiration::builder().noncurrent_days(3).build())
            .build()
            .unwrap()
    }

    #[test]
    fn rules_of_others_are_kept_whole() {
        let present = BucketRules::new(vec![foreign()]);
        assert_eq!((present.ids().collect::<Vec<_>>(), present.find("logs & more")), (vec!["logs & more"], None));
        let ours = rule("sluice-transition-to-ia", "raw-data/");
        let wanted = present.with(&ours).unwrap();
        assert_eq!(wanted.to_configuration().unwrap().rules()[0], foreign());
        assert_eq!(wanted.find("sluice-transition-to-ia"), Some(ours));
        let turned = BucketRules::new(wanted.rules.iter().rev().cloned().collect());
        assert!(turned.says_the_same(&wanted) && !wanted.says_the_same(&present));
        assert_eq!(wanted.without("sluice-transition-to-ia"), Some(present));
    }

    #[test]
    fn a_rule_is_changed_in_its_place_and_a_strange_one_is_not_taken_for_ours() {
        let rules = BucketRules::default().with(&rule("a", "x/")).and_then(|rules| rules.with(&rule("b", "y/")));
        let changed =
            BucketRule { expiration_days: Some(7), enabled: false, transitions: Vec::new(), ..rule("a", "z/") };
        let rules = rules.unwrap().with(&changed).unwrap();
        assert_eq!((rules.ids().collect::<Vec<_>>(), rules.find("a")), (vec!["a", "b"], Some(changed)));
        let mut strange = rule("a", "x/").to_stored().unwrap();
        strange.noncurrent_version_expiration = foreign().noncurrent_version_expiration;
        assert_eq!(BucketRules::new(vec![strange]).find("a"), None);
        assert!(rules.without("c").is_none());
    }

    proptest! {
        #[test]
        fn any_rule_is_read_as_it_was_written(id in "\\PC{1,40}", prefix in "\\PC{0,40}", days in 1u64..40_000) {
            let written = BucketRule { expiration_days: Some(days), ..rule(&id, &prefix) };
            let rules = BucketRules::default().with(&written).unwrap();
            prop_assert_eq!(rules.find(&id), Some(written));
        }
    }
}
